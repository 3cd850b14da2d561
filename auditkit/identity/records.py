"""Reads the small files of terms and templates: csv, or one JSON object per line."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditkit.errors import DataError, nearest

MAX_BYTES = 16 * 2**20
MAX_ROWS = 100_000
MAX_CHARACTERS = 10_000
"""Most characters of one field."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a file: its line, and its fields without the blanks around them."""

    file: str
    line: int
    fields: dict[str, str]

    def wrong(self, what: str, remedy: str) -> DataError:
        """The error to raise when the row says `what`."""
        return DataError(f"{self.file}:{self.line}: {what}.", remedy)

    def chosen(self, name: str, known: Sequence[str]) -> str:
        """The field `name`, which must be one of the known values."""
        value = self.fields.get(name, "")
        if value not in known:
            hint = nearest(value[:100], [one for one in known if one])
            raise self.wrong(f"{name} {value[:60]!r} is unknown", hint)
        return value


@dataclass(frozen=True, slots=True)
class Records:
    """The rows of a file, and the first 12 hex digits of the SHA-256 of its content."""

    rows: tuple[Record, ...]
    digest: str


def read_records(path: Path, columns: Sequence[str], needed: Sequence[str]) -> Records:
    """The rows of a csv file with a header, or of a jsonl file.

    Args:
        path: The file; its name ends in .csv or .jsonl.
        columns: Every column it may have.
        needed: Those of which every row must have a value.

    Raises:
        DataError: It cannot be read, is too large, or has a row that is no such row; with its line.
    """
    content = _content(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path.name}:{line}: not UTF-8 text.", "Save it as UTF-8.") from None
    if path.suffix not in {".csv", ".jsonl"}:
        raise DataError(f"{path.name}: not a csv or jsonl file.", "Name it .csv or .jsonl.")
    found = _csv(path.name, text) if path.suffix == ".csv" else _json_lines(path.name, text)
    rows = tuple(_checked(record, columns, needed) for record in found)
    if not rows:
        raise DataError(f"{path.name}: the file has no rows.", f"Columns: {', '.join(columns)}.")
    if len(rows) > MAX_ROWS:
        raise DataError(f"{path.name}: more than {MAX_ROWS:,} rows.", "Sample or split it.")
    return Records(rows, hashlib.sha256(content).hexdigest()[:12])


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}).",
            "A relative path is taken from the configuration file's folder.",
        ) from None
    if len(content) > MAX_BYTES:
        raise DataError(f"{path.name}: more than {MAX_BYTES:,} bytes.", "Sample or split it.")
    return content


def _csv(name: str, text: str) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [one.strip() for one in next(reader, [])]
        if len(set(header)) < len(header):
            raise DataError(f"{name}:1: a column is named twice.", "Name each column once.")
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{name}:{reader.line_num}: {len(row)} fields, the header has {len(header)}.",
                    "Quote fields that hold commas.",
                )
            yield Record(name, reader.line_num, dict(zip(header, row, strict=True)))
    except csv.Error as error:
        raise DataError(f"{name}:{reader.line_num}: {error}.", "Check the quotes.") from None


def _json_lines(name: str, text: str) -> Iterator[Record]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{name}:{number}: not valid JSON: {error}.", "Write one JSON object per line."
            ) from None
        if not isinstance(row, dict):
            raise DataError(f"{name}:{number}: not a JSON object.", "Put it in braces.")
        for field, value in row.items():
            if not isinstance(value, str | int) or isinstance(value, bool):
                raise DataError(f"{name}:{number}: {field} is no text.", "Put it in quotes.")
        yield Record(name, number, {field: str(value) for field, value in row.items()})


def _checked(record: Record, columns: Sequence[str], needed: Sequence[str]) -> Record:
    fields = {name: value.strip() for name, value in record.fields.items()}
    unknown = next((name for name in fields if name not in columns), None)
    if unknown is not None:
        raise record.wrong(f"unknown column {unknown[:60]!r}", nearest(unknown[:100], columns))
    missing = [name for name in needed if not fields.get(name)]
    if missing:
        raise record.wrong(f"no {' and no '.join(missing)}", f"Needed: {', '.join(needed)}.")
    if any(len(value) > MAX_CHARACTERS for value in fields.values()):
        raise record.wrong(f"a field has more than {MAX_CHARACTERS:,} characters", "Shorten it.")
    return Record(record.file, record.line, fields)
