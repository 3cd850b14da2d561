"""Reads files with one JSON object per line."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from auditkit.errors import DataError
from auditkit.sources.files import DataFile, open_lines
from auditkit.sources.table import Column, SourceTable

MAX_LINE = 100_000_000
"""Most characters of one line."""

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json_lines(file: DataFile, lists: Collection[str] = ()) -> SourceTable:
    """The table of a jsonl file: one column per key, numbers as written, true and false in words.

    A key that some objects lack, and null, are missing values. Halves of surrogate pairs, which
    no UTF-8 file can hold, become U+FFFD. Blank lines are skipped. A list or an object makes its
    key unusable, unless it is among `lists`: there it is written as JSON.

    Raises:
        DataError: The file has no rows, or a line is no JSON object, names a key twice, or has
            NaN or infinity; with the line number.
    """
    rows = _Rows(file.name, lists)
    with open_lines(file) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                rows.add(number, _parse(file, number, line))
    return rows.table()


def _parse(file: DataFile, number: int, line: str) -> dict[str, Any]:
    if len(line) > MAX_LINE:
        raise DataError(f"{file.name}: line {number} has more than {MAX_LINE:,} characters.")
    try:
        value = _DECODER.decode(line.rstrip())
    except json.JSONDecodeError as error:
        where = f"line {number}, column {error.colno}"
        raise DataError(f"{file.name}: {where}: not valid JSON: {error.msg}.") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file.name}: line {number}: not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise DataError(
            f"{file.name}: line {number} is not a JSON object.",
            "Write one object per line, without a list around them.",
        )
    return _without_surrogates(value) if _SURROGATE_ESCAPE.search(line) else value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} occurs twice")
    return found


def _refuse_constant(name: str) -> str:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_without_duplicates,
    parse_constant=_refuse_constant,
    parse_int=str,
    parse_float=str,
)


def _without_surrogates(row: dict[str, Any]) -> dict[str, Any]:
    return {_repaired(k): _repaired(v) if isinstance(v, str) else v for k, v in row.items()}


def _repaired(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class _Rows:
    """Columns that grow row by row, and come and go as the keys do."""

    def __init__(self, name: str, lists: Collection[str]) -> None:
        self._name = name
        self._lists = lists
        self._columns: dict[str, Column] = {}
        self._nested: dict[str, str] = {}
        self._n = 0

    def add(self, number: int, row: dict[str, Any]) -> None:
        """Append one object, read from line `number`."""
        for key, value in row.items():
            column = self._columns.get(key)
            if column is None:
                column = self._columns[key] = [None] * self._n
            if value is None or type(value) is str:
                column.append(value)
            elif isinstance(value, bool):
                column.append("true" if value else "false")
            elif key in self._lists:
                column.append(json.dumps(value))
            else:
                column.append(None)
                self._nested.setdefault(key, f"line {number} has a list or an object in it")
        self._n += 1
        if len(row) < len(self._columns):
            for column in self._columns.values():
                if len(column) < self._n:
                    column.append(None)

    def table(self) -> SourceTable:
        """Everything added."""
        if not self._n:
            raise DataError(f"{self._name}: the file has no rows.")
        if not self._columns:
            raise DataError(f"{self._name}: the objects have no keys.")
        return SourceTable(
            self._name, self._columns, self._nested, _replacement_note(self._columns)
        )


def _replacement_note(columns: dict[str, Column]) -> tuple[str, ...]:
    count = sum(1 for column in columns.values() for value in column if value and "\ufffd" in value)
    if not count:
        return ()
    return (f"{count} values hold U+FFFD, the sign for a character that could not be read.",)
