"""Reads parquet files, and Arrow tables from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import numpy as np

from auditkit.errors import DataError
from auditkit.sources.files import MAX_BYTES, DataFile, open_bytes
from auditkit.sources.table import Column, SourceTable

MAX_ROWS = 100_000_000
"""Most rows a parquet file may claim; run-length encoding makes rows almost free to claim."""


def read_parquet(file: DataFile, lists: Collection[str] = ()) -> SourceTable:
    """The table of a parquet file; the lists in columns of `lists` are written as JSON.

    Raises:
        DataError: The file is damaged, has no rows, a duplicate column, or claims more than
            `MAX_ROWS` rows or `MAX_BYTES` bytes.
    """
    import pyarrow
    import pyarrow.parquet

    with open_bytes(file) as stream:
        # Arrow closes and seeks its source, which a decompressing stream cannot.
        source = pyarrow.BufferReader(stream.read()) if file.compressed else str(file.path)
    try:
        with pyarrow.parquet.ParquetFile(source) as parquet:
            _check_claims(file, parquet.metadata)
            table = parquet.read()
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"{file.name}: the parquet file is damaged: {_first_line(error)}."
        ) from None
    return table_from_arrow(file.name, table, lists)


def table_from_arrow(name: str, table: Any, lists: Collection[str] = ()) -> SourceTable:
    """A `pyarrow.Table` as text; nested and binary columns are unusable.

    Lists in the columns that `lists` names are written as JSON.

    Raises:
        DataError: It has no rows or two columns of one name.
    """
    names = table.column_names
    twice = sorted({column for column in names if names.count(column) > 1})
    if twice:
        raise DataError(f"{name}: there is more than one column {twice[0]!r}.")
    if not table.num_rows or not names:
        raise DataError(f"{name}: there are no rows.")
    columns: dict[str, Column] = {}
    unusable: dict[str, str] = {}
    for column in names:
        own = _lists_as_text if column in lists else _as_text
        values = own(table.column(column))
        if values is None:
            unusable[column] = f"its type is {table.column(column).type}, not text or numbers"
        columns[column] = values if values is not None else [None] * table.num_rows
    return SourceTable(name, columns, unusable)


def _lists_as_text(column: Any) -> Column | None:
    """Lists of whole numbers, or of lists of them, as JSON; other columns as ever."""
    import pyarrow.types as kinds

    def is_list(kind: Any) -> bool:
        return bool(
            kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)
        )

    kind, depth = column.type, 0
    while is_list(kind):
        kind, depth = kind.value_type, depth + 1
    if not 1 <= depth <= 2 or not (kinds.is_integer(kind) or kinds.is_null(kind)):
        return _as_text(column)
    return [None if value is None else json.dumps(value) for value in column.to_pylist()]


def _as_text(column: Any) -> Column | None:
    """Values as text, or None when the type has no plain text."""
    import pyarrow.types as kinds

    if kinds.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind):
        return list(column.to_pylist())
    if kinds.is_floating(kind):
        # A 32-bit 0.1 is 0.10000000149011612 once widened; its own type prints what was meant.
        own = np.float64 if kinds.is_float64(kind) else np.float32
        values = column.to_pylist()
        return [None if v is None or v != v else str(own(v)) for v in values]  # noqa: PLR0124
    if kinds.is_boolean(kind):
        return [None if v is None else str(v).lower() for v in column.to_pylist()]
    if kinds.is_nested(kind) or kinds.is_binary(kind) or kinds.is_large_binary(kind):
        return None
    if (
        kinds.is_integer(kind)
        or kinds.is_decimal(kind)
        or kinds.is_temporal(kind)
        or kinds.is_null(kind)
    ):
        return [None if v is None else str(v) for v in column.to_pylist()]
    return None


def _check_claims(file: DataFile, metadata: Any) -> None:
    groups = range(metadata.num_row_groups)
    size = sum(metadata.row_group(i).total_byte_size for i in groups)
    if metadata.num_rows > MAX_ROWS or size > MAX_BYTES:
        raise DataError(
            f"{file.name}: claims {metadata.num_rows:,} rows and {size:,} bytes, more than is "
            f"read ({MAX_ROWS:,} rows, {MAX_BYTES:,} bytes)."
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
