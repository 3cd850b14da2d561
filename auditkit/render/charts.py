"""Charts as frozen values: everything a template needs to draw, nothing it would have to compute.

Positions are per cent of the plot (see `svg.py`). Every chart carries the sentence that says the
same in words.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

from auditkit.finding import Curve, Estimate, Estimates, Finding, Interval
from auditkit.judge import Direction, number
from auditkit.render import figures
from auditkit.render.svg import Scale, Tick, scale_around

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Whisker:
    """An interval with its value on some scale."""

    left: float
    right: float
    dot: float | None
    open_left: bool
    """No bound on this side: drawn as an arrow to the edge."""
    open_right: bool

    @property
    def width(self) -> float:
        """Length of the bar."""
        return round(self.right - self.left, 2)


@dataclass(frozen=True, slots=True)
class LimitLine:
    """A limit, and the side of it where values are allowed."""

    at: float
    label: str
    anchor: Anchor
    allowed_left: float
    allowed_width: float
    allowed_anchor: float
    """Middle of the allowed side."""


@dataclass(frozen=True, slots=True)
class IntervalChart:
    """One finding on an axis: inside the limit, outside of it, or across."""

    shape: str
    """Name of the outcome: picks the marker and its colour."""
    words: str
    whisker: Whisker | None
    limit: LimitLine | None
    lower: str
    """Label of the lower end, empty when open."""
    upper: str
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Strip:
    """A finding in a table row: the limit stands in the middle, the same place in every row."""

    shape: str
    words: str
    whisker: Whisker
    allowed_left: float
    """0 when the allowed side is the left half, 50 when it is the right."""


@dataclass(frozen=True, slots=True)
class EstimatesChart:
    """The common scale of rows of estimates."""

    ticks: tuple[Tick, ...]
    reference: float | None
    reference_label: str
    reference_anchor: Anchor
    whiskers: tuple[Whisker | None, ...]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a curve; `r` is its radius in pixels."""

    x: float
    y: float
    r: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A straight piece of a curve or of the diagonal."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class CurveChart:
    """A curve; y grows downwards here, as SVG has it."""

    words: str
    points: tuple[Point, ...]
    segments: tuple[Segment, ...]
    diagonal: Segment | None
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def interval_chart(finding: Finding) -> IntervalChart | None:
    """The chart of a finding; None when there is no number to draw."""
    value = finding.measurement.value if finding.measurement else None
    interval = finding.interval
    if value is None and interval is None:
        return None
    ends = (interval.lower, interval.upper) if interval else (None, None)
    scale = scale_around((value, finding.limit, *ends), margin=0.15)
    limited = finding.limit is not None and finding.direction is not None
    return IntervalChart(
        shape=finding.outcome.value.replace("_", "-"),
        words=_in_words(finding, value),
        whisker=_whisker(scale, value, interval),
        limit=_limit_line(scale, finding.limit, finding.direction) if limited else None,
        lower="" if ends[0] is None else number(ends[0]),
        upper="" if ends[1] is None else number(ends[1]),
        ticks=scale.ticks(5),
    )


def strip(finding: Finding) -> Strip | None:
    """The row's miniature; None without a limit or an interval."""
    interval, limit = finding.interval, finding.limit
    value = finding.measurement.value if finding.measurement else None
    if interval is None or limit is None or finding.direction is None:
        return None
    half = max(
        (
            abs(end / 2 - limit / 2) * 2.1
            for end in (interval.lower, interval.upper, value)
            if end is not None
        ),
        default=0.0,
    )
    half = min(max(half, _room(limit)), 4e307)
    return Strip(
        shape=finding.outcome.value.replace("_", "-"),
        words=_in_words(finding, value),
        whisker=_whisker(Scale(limit - half, limit + half), value, interval),
        allowed_left=0.0 if finding.direction == "max" else 50.0,
    )


def estimates_chart(evidence: Estimates, rows: tuple[Estimate, ...]) -> EstimatesChart:
    """All rows on one scale, the reference value included."""
    ends = [end for row in rows if row.interval for end in (row.interval.lower, row.interval.upper)]
    scale = scale_around((evidence.reference, *ends, *(row.value for row in rows)), margin=0.04)
    reference = None if evidence.reference is None else scale.at(evidence.reference)
    return EstimatesChart(
        ticks=scale.ticks(4),
        reference=reference,
        reference_label=" ".join(
            (evidence.reference_label, figures.figure(evidence.reference))
            if evidence.reference is not None
            else ()
        ).strip(),
        reference_anchor="middle" if reference is None else _anchor(reference),
        whiskers=tuple(_row_whisker(scale, row) for row in rows),
        words=tuple(
            f"{figures.figure(row.value)}, interval {figures.span(row.interval)}" for row in rows
        ),
    )


def curve_chart(curve: Curve, size: int) -> CurveChart:
    """The first `size` points of a curve, each sized by the rows behind it."""
    points_known = zip(curve.x[:size], curve.y[:size], curve.sizes[:size], strict=False)
    known = [(x, y, n) for x, y, n in points_known if math.isfinite(x) and math.isfinite(y)]
    xs, ys = [x for x, _, _ in known], [y for _, y, _ in known]
    x_scale = scale_around((*xs, *ys) if curve.diagonal else xs, margin=0.05)
    y_scale = x_scale if curve.diagonal else scale_around(ys, margin=0.05)
    largest = max((n for _, _, n in known), default=1) or 1
    points = tuple(
        Point(x_scale.at(x), _up(y_scale, y), round(2.5 + 6.5 * math.sqrt(max(n, 0) / largest), 1))
        for x, y, n in known
    )
    return CurveChart(
        words=f"{curve.y_label} against {curve.x_label}, {len(curve.x)} points",
        points=points,
        segments=tuple(Segment(a.x, a.y, b.x, b.y) for a, b in itertools.pairwise(points)),
        diagonal=Segment(0.0, 100.0, 100.0, 0.0) if curve.diagonal else None,
        x_ticks=x_scale.ticks(5),
        y_ticks=tuple(Tick(round(100 - t.at, 2), t.label) for t in y_scale.ticks(5)),
    )


def _whisker(scale: Scale, value: float | None, interval: Interval | None) -> Whisker:
    if interval is None:
        at = scale.at(value or 0.0)
        return Whisker(at, at, at, open_left=False, open_right=False)
    lower, upper = interval.lower, interval.upper
    return Whisker(
        left=0.0 if lower is None else scale.at(lower),
        right=100.0 if upper is None else scale.at(upper),
        dot=None if value is None else scale.at(value),
        open_left=lower is None,
        open_right=upper is None,
    )


def _row_whisker(scale: Scale, row: Estimate) -> Whisker | None:
    if row.value is None and row.interval is None:
        return None
    return _whisker(scale, row.value, row.interval)


def _limit_line(scale: Scale, limit: float | None, direction: Direction | None) -> LimitLine:
    assert limit is not None
    at = scale.at(limit)
    left, right = (0.0, at) if direction == "max" else (at, 100.0)
    return LimitLine(
        at=at,
        label=f"limit: {'at most' if direction == 'max' else 'at least'} {number(limit)}",
        anchor=_anchor(at),
        allowed_left=left,
        allowed_width=round(right - left, 2),
        allowed_anchor=round((left + right) / 2, 2),
    )


def _anchor(at: float) -> Anchor:
    """Which way a label at a position runs, so that it stays on the chart."""
    if at < 25:
        return "start"
    return "end" if at > 75 else "middle"


def _room(limit: float) -> float:
    """How far around a limit a strip shows at least: what is natural for a share, else its size."""
    if 0 < limit < 1:
        return min(limit, 1 - limit)
    return abs(limit) or 1.0


def _up(scale: Scale, value: float) -> float:
    return round(100 - scale.at(value), 2)


def _in_words(finding: Finding, value: float | None) -> str:
    where = "reported without a limit"
    if finding.limit is not None and finding.direction is not None:
        where = f"limit {figures.bound(finding.limit, finding.direction)}"
    held = (
        "no interval" if finding.interval is None else f"interval {figures.span(finding.interval)}"
    )
    return f"{figures.figure(value)}, {held}, {where}: {finding.outcome.value.replace('_', ' ')}"
