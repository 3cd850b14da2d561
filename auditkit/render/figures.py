"""Numbers as every report writes them."""

from __future__ import annotations

import math

from auditkit.finding import Cell, Interval
from auditkit.judge import Direction, number

NONE = "–"


def figure(value: float | None) -> str:
    """A measured value, a dash when there is none."""
    return NONE if value is None else number(value)


def span(interval: Interval | None) -> str:
    """`0.02 to 0.13`; an open end is "no bound"."""
    if interval is None:
        return NONE
    return " to ".join(
        "no bound" if end is None else number(end) for end in (interval.lower, interval.upper)
    )


def bound(limit: float | None, direction: Direction | None) -> str:
    """`≤ 0.1` or `≥ 0.8`; a dash when nothing is gated."""
    if limit is None or direction is None:
        return NONE
    return f"{'≤' if direction == 'max' else '≥'} {number(limit)}"


def count(value: int | None) -> str:
    """`12,345`."""
    return NONE if value is None else f"{value:,}"


def cell(value: Cell) -> str:
    """A cell of an evidence table."""
    if isinstance(value, str):
        return value
    return figure(value) if isinstance(value, float) else count(value)


def level(alpha: float) -> str:
    """`95 %` for an error of 0.05, with as many nines as a small error needs."""
    if not 0 < alpha < 1:
        return "100 %" if alpha <= 0 else "0 %"
    decimals = max(0, 1 - math.floor(math.log10(100 * alpha)))
    shown = f"{100 * (1 - alpha):.{decimals}f}"
    return f"{shown.rstrip('0').rstrip('.') if '.' in shown else shown} %"


def percent(share: float) -> str:
    """`5 %` for 0.05."""
    return f"{100 * share:.4g} %"


def duration(seconds: float) -> str:
    """`0.8 s`, `42 s`, `3 min 20 s`, `1 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
