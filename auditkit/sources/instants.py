"""Rows by a column of numbers or dates."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auditkit.config import Instant
from auditkit.errors import ConfigError, DataError
from auditkit.sources.table import SourceTable


def rows_between(
    table: SourceTable,
    column: str,
    after: Instant | None,
    before: Instant | None,
    missing: Sequence[str],
) -> NDArray[np.int64]:
    """Rows whose value is at or after `after`, and before `before`, ascending.

    Values are all numbers, or all ISO 8601 dates or times; one without an offset is taken as UTC.
    A row without a value is not among them.

    Raises:
        DataError: There is no such column, or a value is neither; with the row.
        ConfigError: A bound is neither, or of the other kind than the values.
    """
    values = table.column(column)
    known = [row for row, value in enumerate(values) if value is not None and value not in missing]
    texts = [values[row] or "" for row in known]
    numeric = all(_number(text) is not None for text in texts)
    read = _number if numeric else _instant
    places = []
    for row, text in zip(known, texts, strict=True):
        place = read(text)
        if place is None:
            raise DataError(
                f"{table.name}: column {column!r} has {text[:40]!r} in row {row + 1}, which is "
                "neither a number nor an ISO date.",
                "Write dates as 2024-01-31.",
            )
        places.append(place)
    lowest, highest = (_bound(end, numeric, column) for end in (after, before))
    array = np.array(places, dtype=np.float64)
    inside = np.ones(len(array), dtype=bool)
    if lowest is not None:
        inside &= array >= lowest
    if highest is not None:
        inside &= array < highest
    return np.array(known, dtype=np.int64)[inside]


def _bound(end: Instant | None, numeric: bool, column: str) -> float | None:
    if end is None:
        return None
    text = end.isoformat() if isinstance(end, datetime.date) else str(end)
    place = _number(text) if numeric else _instant(text)
    if place is None:
        kind = "numbers" if numeric else "dates"
        raise ConfigError(f"{text!r} cannot be compared with column {column!r}, which has {kind}.")
    return place


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _instant(text: str) -> float | None:
    """Seconds since 1970."""
    try:
        moment = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)).total_seconds()
