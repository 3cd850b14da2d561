"""Adds the columns of a second table by id."""

from __future__ import annotations

from auditkit.errors import DataError
from auditkit.sources.table import Column, SourceTable, shown_rows


def join(first: SourceTable, second: SourceTable, on: str) -> SourceTable:
    """The rows of `first`, in their order, with the columns of `second` whose id is the same.

    A row whose id `second` lacks has missing values there; a note counts them.

    Args:
        first: The data.
        second: The columns to add; its ids are unique.
        on: Name of the id column in both.

    Raises:
        DataError: An id occurs twice in `second`, no id matches, or both have another column
            of one name.
    """
    clash = sorted(set(first.columns) & set(second.columns) - {on})
    if clash:
        raise DataError(
            f"{first.name} and {second.name} both have a column {clash[0]!r}.",
            "Rename it in one of the files.",
        )
    where = _positions(second, on)
    rows = [where.get(key) if key is not None else None for key in first.column(on)]
    lost = sum(row is None for row in rows)
    if lost == len(rows):
        raise DataError(
            f"no value of {on!r} in {first.name} occurs in {second.name}.",
            "Ids are compared as written: '7' is neither '007' nor '7.0'.",
        )
    added: dict[str, Column] = {
        name: [None if row is None else values[row] for row in rows]
        for name, values in second.columns.items()
        if name != on
    }
    notes = (*first.notes, *second.notes)
    if lost:
        notes += (f"{lost} of {len(rows)} rows have an id that {second.name} lacks.",)
    return SourceTable(
        first.name, first.columns | added, {**second.unusable, **first.unusable}, notes
    )


def _positions(table: SourceTable, on: str) -> dict[str, int]:
    where: dict[str, int] = {}
    for row, key in enumerate(table.column(on)):
        if key is None:
            continue
        if key in where:
            raise DataError(
                f"{table.name}: {on} {key!r} occurs more than once "
                f"({shown_rows([where[key], row])})."
            )
        where[key] = row
    return where
