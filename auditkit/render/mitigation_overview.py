"""Several repaired models side by side: accuracy against what was to be improved, and a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from auditkit.comparison import Change, Word
from auditkit.finding import Interval
from auditkit.judge import number
from auditkit.mitigation import Mitigation, Repair
from auditkit.remedy_choice import Standing, Target, undominated
from auditkit.render import figures
from auditkit.render.charts import Segment
from auditkit.render.overview import Mark
from auditkit.render.svg import Scale, Tick, scale_around

MARKS: Mapping[Word, Mark] = {
    "worsened": Mark("fail", "▼", "worsened"),
    "improved": Mark("pass", "▲", "improved"),
    "no difference shown": Mark("inconclusive", "=", "no difference shown"),
    "not compared pairwise": Mark("not-applicable", "–", "not compared pairwise"),
    "before only": Mark("not-applicable", "–", "before only"),
    "after only": Mark("not-applicable", "–", "after only"),
}
"""How a word is shown: never by colour alone."""
_CALIBRATION = "quality.calibration"
_VALIDATION = "both on the validation rows"
_NEAR = 3.0
"""Per cent of the plot within which two points share a label."""
_WORST_FIRST: tuple[Word, ...] = (
    "worsened", "no difference shown", "not compared pairwise", "before only", "after only",
    "improved",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlotPoint:
    """A model on the plot with its two intervals; positions in per cent, y downwards."""

    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float
    label: str
    """Number in the table, with those of points too near; empty where another point has it."""
    before: bool
    chosen: bool


@dataclass(frozen=True, slots=True)
class FrontierChart:
    """Accuracy against the target."""

    words: str
    points: tuple[PlotPoint, ...]
    frontier: tuple[Segment, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    limit: float | None
    limit_label: str
    x_label: str


@dataclass(frozen=True, slots=True)
class OverviewCell:
    """What became of one thing."""

    column: str
    mark: Mark | None
    value: str
    detail: str


@dataclass(frozen=True, slots=True)
class OverviewRow:
    """One model."""

    number: str
    name: str
    anchor: str
    standing: str
    """"chosen", "on the frontier" or nothing."""
    gate: str
    cells: tuple[OverviewCell, ...]


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A remedy without a model, and why."""

    remedy: str
    reason: str


@dataclass(frozen=True, slots=True)
class Overview:
    """All models of a mitigation."""

    chart: FrontierChart | None
    columns: tuple[str, ...]
    rows: tuple[OverviewRow, ...]
    chosen: str
    """Which one the validation rows choose, and what the audited rows say of it."""
    rule: str
    failures: tuple[FailureRow, ...]


def overview(record: Mitigation) -> Overview:
    """Everything the overview shows, in words and positions."""
    chart, best = _chart(record)
    columns = _columns(record)
    return Overview(
        chart=chart,
        columns=columns,
        rows=_rows(record, columns, best),
        chosen=chosen_sentence(record),
        rule=record.choice.rule if record.choice else "",
        failures=tuple(FailureRow(one.remedy, one.reason) for one in record.failures),
    )


def target_name(target: Target) -> str:
    """The target in words: "equalized-odds gap · gender"."""
    name = f"{target.check.partition('.')[2]} {target.name.replace('_', ' ')}"
    return " · ".join(part for part in (name, target.slice) if part)


def chosen_sentence(record: Mitigation) -> str:
    """What the validation rows choose, and whether the audited rows confirm it."""
    choice = record.choice
    if choice is None:
        return ""
    if choice.remedy is None:
        return f"No repaired model is chosen. {choice.reason}"
    repair = next(one for one in record.repairs if one.remedy == choice.remedy)
    worse = [change for change in repair.comparison.changes if change.word == "worsened"]
    said = [f"Chosen: {choice.remedy}.", choice.reason]
    own = record.target and _change(repair, record.target)
    if own:
        sides = [figures.figure(side.value if side else None) for side in (own.before, own.after)]
        said.append(f"On the audited rows it goes from {sides[0]} to {sides[1]}: {own.word}.")
    said.append(
        f"{len(worse)} of {len(repair.comparison.changes)} measurements worsened there, and the "
        f"gate {'lets it pass' if repair.verdict.passed else 'blocks it'}."
    )
    return " ".join(said)


def signed(value: float | None) -> str:
    """A difference with its sign."""
    if value is None:
        return figures.NONE
    return f"+{number(value)}" if value > 0 else number(value).replace("-", "−")


def _chart(record: Mitigation) -> tuple[FrontierChart | None, list[bool]]:
    """The plot, and which of the models, the one before first, are on the frontier."""
    target = record.target
    standings = [record.audited, *(repair.audited for repair in record.repairs)]
    known = [(i, s) for i, s in enumerate(standings) if s is not None and s.value is not None]
    best = [False] * len(standings)
    if target is None or len(known) < 2:
        return None, best
    values = [s.value or 0.0 for _, s in known]
    for (i, _), is_best in zip(
        known,
        undominated([s.accuracy for _, s in known], [target.cost(v) for v in values]),
        strict=True,
    ):
        best[i] = is_best
    x = scale_around((*values, target.limit, *(e for _, s in known for e in _ends(s.interval))))
    y = scale_around([e for _, s in known for e in (s.accuracy, *_ends(s.accuracy_interval))])
    chosen = record.choice.remedy if record.choice else None
    points = [
        _point(x, y, s, i, i > 0 and record.repairs[i - 1].remedy == chosen) for i, s in known
    ]
    better = "left" if target.direction == "max" else "right"
    return FrontierChart(
        words=_words(record, known, best, target),
        points=_labelled(points),
        frontier=_steps([p for p, (i, _) in zip(points, known, strict=True) if best[i]], better),
        x_ticks=x.ticks(5),
        y_ticks=tuple(Tick(round(100 - t.at, 2), t.label) for t in y.ticks(5)),
        limit=None if target.limit is None else x.at(target.limit),
        limit_label="" if target.limit is None else f"limit {number(target.limit)}",
        x_label=f"{target_name(target)}, better to the {better}",
    ), best


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (interval.lower, interval.upper)


def _point(x: Scale, y: Scale, standing: Standing, place: int, chosen: bool) -> PlotPoint:
    at = x.at(standing.value or 0.0)
    left, right = _ends(standing.interval) if standing.interval else (standing.value,) * 2
    low, high = _ends(standing.accuracy_interval)
    return PlotPoint(
        x=at,
        y=_up(y, standing.accuracy, 0.0),
        left=0.0 if left is None else x.at(left),
        right=100.0 if right is None else x.at(right),
        top=_up(y, high, 0.0),
        bottom=_up(y, low, 100.0),
        label=str(place),
        before=place == 0,
        chosen=chosen,
    )


def _up(scale: Scale, value: float | None, otherwise: float) -> float:
    return otherwise if value is None else round(100 - scale.at(value), 2)


def _labelled(points: Sequence[PlotPoint]) -> tuple[PlotPoint, ...]:
    """One label for points that lie on one another."""
    done: list[PlotPoint] = []
    for point in points:
        near = next(
            (
                place
                for place, one in enumerate(done)
                if one.label and abs(one.x - point.x) < _NEAR and abs(one.y - point.y) < _NEAR
            ),
            None,
        )
        if near is None:
            done.append(point)
            continue
        done[near] = replace(done[near], label=f"{done[near].label}, {point.label}")
        done.append(replace(point, label=""))
    return tuple(done)


def _steps(best: Sequence[PlotPoint], better: str) -> tuple[Segment, ...]:
    """Along the corner that both dominate, from one model of the frontier to the next."""
    ordered = sorted(best, key=lambda point: (point.x, -point.y))
    found = []
    for one, other in pairwise(ordered):
        corner = (other.x if better == "left" else one.x, max(one.y, other.y))
        found += [Segment(one.x, one.y, *corner), Segment(*corner, other.x, other.y)]
    return tuple(found)


def _words(
    record: Mitigation,
    known: Sequence[tuple[int, Standing]],
    best: Sequence[bool],
    target: Target,
) -> str:
    names = ["before", *(repair.remedy for repair in record.repairs)]
    said = [
        f"{names[i]}: {figures.figure(s.value)}, accuracy {figures.figure(s.accuracy)}"
        + (", on the frontier" if best[i] else "")
        for i, s in known
    ]
    return f"Accuracy against {target_name(target)}. {'; '.join(said)}."


def _columns(record: Mitigation) -> tuple[str, ...]:
    families = dict.fromkeys(
        change.check.partition(".")[0]
        for repair in record.repairs
        for change in repair.comparison.changes
        if change.check and change.check != _CALIBRATION
    )
    checks = {c.check for repair in record.repairs for c in repair.comparison.changes}
    return (
        "accuracy",
        *([target_name(record.target)] if record.target else []),
        *([_VALIDATION] if record.validated else []),
        *(f"worst in {family}" for family in families),
        *(["worst in calibration"] if _CALIBRATION in checks else []),
    )


def _rows(
    record: Mitigation, columns: Sequence[str], best: Sequence[bool]
) -> tuple[OverviewRow, ...]:
    chosen = record.choice.remedy if record.choice else None
    rows = [
        OverviewRow(
            number="0",
            name="before",
            anchor="",
            standing="on the frontier" if best[0] else "",
            gate="pass" if record.before.passed else "blocked",
            cells=tuple(_before_cell(record, column) for column in columns),
        )
    ]
    for place, repair in enumerate(record.repairs, start=1):
        marks = ["chosen"] if repair.remedy == chosen else []
        marks += ["on the frontier"] if best[place] else []
        rows.append(
            OverviewRow(
                number=str(place),
                name=repair.remedy,
                anchor=f"repair-{place}",
                standing=", ".join(marks),
                gate="pass" if repair.verdict.passed else "blocked",
                cells=tuple(_cell(record, repair, column) for column in columns),
            )
        )
    return tuple(rows)


def _before_cell(record: Mitigation, column: str) -> OverviewCell:
    audited = record.audited
    if column == "accuracy" and audited:
        detail = figures.span(audited.accuracy_interval)
        return OverviewCell(column, None, figures.figure(audited.accuracy), detail)
    if record.target and column == target_name(record.target) and audited:
        detail = figures.span(audited.interval) if audited.interval else ""
        return OverviewCell(column, None, figures.figure(audited.value), detail)
    if column == _VALIDATION:
        return OverviewCell(column, None, *_validated(record.validated))
    return OverviewCell(column, None, figures.NONE, "")


def _validated(standing: Standing | None) -> tuple[str, str]:
    if standing is None:
        return figures.NONE, ""
    return f"{number(standing.accuracy)}, {figures.figure(standing.value)}", ""


def _cell(record: Mitigation, repair: Repair, column: str) -> OverviewCell:
    if column == _VALIDATION:
        return OverviewCell(column, None, *_validated(repair.validated))
    changes = repair.comparison.changes
    if column == "accuracy":
        own = next((change for change in changes if not change.check), None)
        return _of_change(column, own, named=False)
    if record.target and column == target_name(record.target):
        return _of_change(column, _change(repair, record.target), named=False)
    family = column.removeprefix("worst in ")
    if family == "calibration":
        return _of_change(column, worst(c for c in changes if c.check == _CALIBRATION), named=True)
    others = [
        change
        for change in changes
        if change.check.startswith(f"{family}.")
        and change.check != _CALIBRATION
        and not (record.target and record.target.is_of(change))
    ]
    return _of_change(column, worst(others), named=True)


def _change(repair: Repair, target: Target) -> Change | None:
    return next((c for c in repair.comparison.changes if target.is_of(c)), None)


def worst(changes: Iterable[Change]) -> Change | None:
    """The change for the worst: one that worsened before others, then by its size."""

    def order(change: Change) -> tuple[int, float]:
        loss = change.difference or 0.0
        loss = loss if change.direction == "max" else -loss
        return _WORST_FIRST.index(change.word), -loss

    return min(changes, key=order, default=None)


def _of_change(column: str, change: Change | None, *, named: bool) -> OverviewCell:
    if change is None:
        return OverviewCell(column, None, figures.NONE, "")
    value = figures.figure(change.after.value if change.after else None)
    parts = []
    if named:
        check = change.check.partition(".")[2]
        names = (check, change.name.replace("_", " "), change.slice)
        parts.append(" · ".join(filter(None, names)))
    if change.interval is not None:
        parts.append(f"{signed(change.difference)} ({figures.span(change.interval)})")
    return OverviewCell(column, MARKS[change.word], value, ", ".join(parts))
