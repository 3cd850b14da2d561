"""Reads what says which rows there are: inputs, ids, splits and clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from auditkit.config import DataConfig
from auditkit.errors import DataError, nearest
from auditkit.sources.table import SourceTable, shown_rows


class Splits(NamedTuple):
    """Row numbers by split name, and what the reader should know."""

    rows: dict[str, NDArray[np.int64]]
    warnings: tuple[str, ...]


class Clusters(NamedTuple):
    """Cluster number of each row, shape (n,), and what the reader should know."""

    numbers: NDArray[np.int64]
    warnings: tuple[str, ...]


def read_texts(table: SourceTable, column: str) -> tuple[str, ...]:
    """The text of each row.

    Raises:
        DataError: There is no such column, or rows without a text. An empty text is a text.
    """
    values = table.column(column)
    missing = [row for row, value in enumerate(values) if value is None]
    if missing:
        raise DataError(
            f"{table.name}: column {column!r} has no text in {shown_rows(missing)}.",
            "Leave out the rows without a text.",
        )
    return tuple(value for value in values if value is not None)


def check_ids(table: SourceTable, column: str) -> None:
    """Refuse ids that are missing or occur twice.

    Raises:
        DataError: They do, or there is no such column.
    """
    first: dict[str | None, int] = {}
    for row, value in enumerate(table.column(column)):
        if value is None or value == "":
            raise DataError(f"{table.name}: column {column!r} has no id in row {row + 1}.")
        if value in first:
            raise DataError(
                f"{table.name}: the id {value!r} occurs more than once "
                f"({shown_rows([first[value], row])}).",
                "Remove the copy, or name data.cluster if rows may belong together.",
            )
        first[value] = row


def read_splits(table: SourceTable, config: DataConfig) -> Splits:
    """Rows of each split; without a split column, all rows are the split to evaluate.

    Raises:
        DataError: There is no such column, or it does not name the split to evaluate.
    """
    if config.split is None:
        return Splits({config.evaluate: np.arange(table.n)}, ())
    values = table.column(config.split)
    names = sorted({value for value in values if value})
    if config.evaluate not in names:
        raise DataError(
            f"{table.name}: column {config.split!r} names no split {config.evaluate!r}.",
            f"{nearest(config.evaluate, names)} Set data.evaluate.".strip(),
        )
    array = np.array([value or "" for value in values], dtype=object)
    rows = {name: np.flatnonzero(array == name) for name in names}
    unnamed = int((array == "").sum())
    warnings = (f"{unnamed} rows are in no split and are left out.",) if unnamed else ()
    return Splits(rows, warnings)


def read_clusters(table: SourceTable, column: str, missing: Sequence[str]) -> Clusters:
    """Cluster of each row; a row whose cluster is not known is one of its own.

    Raises:
        DataError: There is no such column.
    """
    numbers: dict[str | tuple[int], int] = {}
    codes = []
    alone = 0
    for row, value in enumerate(table.column(column)):
        unknown = value is None or value in missing
        alone += unknown
        key: str | tuple[int] = (row,) if unknown or value is None else value
        codes.append(numbers.setdefault(key, len(numbers)))
    warnings = (f"{alone} rows have no {column!r} and count as independent.",) if alone else ()
    return Clusters(np.array(codes, dtype=np.int64), warnings)


def read_pairs(table: SourceTable, column: str, missing: Sequence[str]) -> tuple[str | None, ...]:
    """The id that ties each row to its contrasts; None for a row without.

    Raises:
        DataError: There is no such column.
    """
    return tuple(None if value in missing else value for value in table.column(column))
