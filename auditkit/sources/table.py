"""The rows of a data source, as text, before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from auditkit.errors import DataError, nearest

Column = list[str | None]
"""Values of one column, in row order. None is a value that is not there."""


@dataclass(frozen=True, slots=True, eq=False)
class SourceTable:
    """Columns of equal length; every value is text as written in the source, or None.

    Numbers of a typed source become their shortest exact text ("1", "0.5"), booleans "true" and
    "false", NaN and null None. Rows are counted from 1 in messages, a header not included.

    Attributes:
        name: File or data set name, for messages and the report.
        columns: Values by column name, in the source's order.
        unusable: Columns that have no plain values, with the reason; using one is an error.
        notes: What reading had to change or leave open, as sentences.
    """

    name: str
    columns: dict[str, Column]
    unusable: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values()), ()))

    def column(self, name: str) -> Column:
        """Values of one column.

        Raises:
            DataError: There is no such column, or it has no plain values.
        """
        if name in self.unusable:
            raise DataError(f"{self.name}: column {name!r} cannot be used: {self.unusable[name]}.")
        if name not in self.columns:
            raise DataError(f"{self.name}: no column {name!r}.", nearest(name, self.columns))
        return self.columns[name]


def shown_rows(rows: list[int], most: int = 5) -> str:
    """`rows` (from 0) as a reader counts them: "row 3", "rows 1, 2, 3, 4, 5 and 7 more"."""
    listed = ", ".join(str(row + 1) for row in rows[:most])
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return f"row{'s' if len(rows) > 1 else ''} {listed}{more}"
