"""Reads csv and tsv files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager

from auditkit.errors import DataError
from auditkit.sources.files import DataFile, open_lines
from auditkit.sources.table import Column, SourceTable

MAX_FIELD = 10_000_000
"""Most characters of one field; beyond it a forgotten quote is likelier than a text."""


def read_delimited(file: DataFile) -> SourceTable:
    """The table of a csv file (commas) or tsv file (tabs), both with double quotes as in RFC 4180.

    Every value is kept as written: no text stands for a missing value here. Blank lines are
    skipped.

    Raises:
        DataError: The file is empty, has no rows, a duplicate column, a row with another number
            of fields than the header, a broken quote, or a field above `MAX_FIELD`; with the line.
    """
    delimiter = "\t" if file.format == "tsv" else ","
    with open_lines(file) as lines, _field_limit():
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            header = next(reader, None)
            if header is None:
                raise DataError(f"{file.name}: the file is empty.")
            _check_header(file, header)
            rows = list(_checked_rows(file, reader, len(header)))
        except csv.Error as error:
            raise DataError(
                f"{file.name}: line {reader.line_num}: {error}.",
                'Quote fields that hold quotes or line breaks: "like ""this""".',
            ) from None
    if not rows:
        raise DataError(f"{file.name}: the file has a header but no rows.")
    columns: list[Column] = [list(values) for values in zip(*rows, strict=True)]
    return SourceTable(file.name, dict(zip(header, columns, strict=True)))


def _checked_rows(file: DataFile, reader: Iterator[list[str]], width: int) -> Iterator[list[str]]:
    for row in reader:
        if len(row) == width:
            yield row
        elif row:
            line = getattr(reader, "line_num", 0)
            raise DataError(
                f"{file.name}: line {line} has {len(row)} fields, the header has {width}.",
                "Quote fields that hold the delimiter.",
            )


def _check_header(file: DataFile, header: list[str]) -> None:
    if not any(header):
        raise DataError(f"{file.name}: the first line names no columns.")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{file.name}: the header names column {twice[0]!r} more than once.")


@contextmanager
def _field_limit() -> Iterator[None]:
    # The csv module keeps one limit for the whole process.
    before = csv.field_size_limit(MAX_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)
