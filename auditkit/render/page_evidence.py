"""Evidence as the page shows it: how much of it, and as which kind of figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from auditkit.finding import (
    Cell,
    Curve,
    Estimate,
    Estimates,
    Evidence,
    Examples,
    ScoredTexts,
    Table,
)
from auditkit.render import charts, figures, heat
from auditkit.render.changes import Piece, marked
from auditkit.render.text import plain

EVIDENCE_ROWS = 200
"""Rows of one piece of evidence."""
COLUMNS = 24
"""Columns of a table of evidence."""
CELL = 120
"""Characters of one cell or label in evidence."""
ALL_CELLS = 12_000
"""Cells of evidence in the whole page: what keeps it small however many findings there are."""


@dataclass(frozen=True, slots=True)
class TableView:
    """A table of evidence."""

    title: str
    columns: tuple[tuple[str, bool], ...]
    """Name, and whether the column holds numbers."""
    rows: tuple[tuple[str, ...], ...]
    more: int
    kind: Literal["table"] = "table"


@dataclass(frozen=True, slots=True)
class EstimateView:
    """One row of estimates with its whisker."""

    label: str
    rows: str
    """`611 of 1,204`, or n alone."""
    value: str
    interval: str
    note: str
    whisker: charts.Whisker | None
    words: str


@dataclass(frozen=True, slots=True)
class EstimatesView:
    """Estimates beside their chart."""

    title: str
    caption: str
    chart: charts.EstimatesChart
    rows: tuple[EstimateView, ...]
    more: int
    noted: bool
    of: str
    kind: Literal["estimates"] = "estimates"


@dataclass(frozen=True, slots=True)
class CurveView:
    """A curve and its points in numbers."""

    title: str
    x_label: str
    y_label: str
    diagonal: bool
    chart: charts.CurveChart
    rows: tuple[tuple[str, str, str], ...]
    more: int
    kind: Literal["curve"] = "curve"


@dataclass(frozen=True, slots=True)
class ExampleView:
    """One changed text: both versions in pieces, of which the changed ones are marked."""

    before: tuple[Piece, ...]
    after: tuple[Piece, ...]
    before_label: str
    after_label: str
    note: str


@dataclass(frozen=True, slots=True)
class ExamplesView:
    """Changed texts."""

    title: str
    rows: tuple[ExampleView, ...]
    more: int
    kind: Literal["examples"] = "examples"


EvidenceView = TableView | EstimatesView | CurveView | ExamplesView | heat.HeatsView


class Room:
    """How many cells of evidence still fit into the page."""

    def __init__(self) -> None:
        self.left = ALL_CELLS

    def take(self, rows: int, cells: int) -> int:
        """How many of the rows may be shown, at so many cells a row."""
        granted = min(rows, EVIDENCE_ROWS, self.left // max(cells, 1))
        self.left -= granted * cells
        return granted


def evidence_view(piece: Evidence, room: Room) -> EvidenceView:
    """A piece of evidence, as much of it as there is room for."""
    match piece:
        case Table():
            return _table(piece, room)
        case Estimates():
            return _estimates(piece, room)
        case Curve():
            return _curve(piece, room)
        case Examples():
            return _examples(piece, room)
        case ScoredTexts():
            return _heats(piece, room)


def _table(table: Table, room: Room) -> TableView:
    columns = table.columns[:COLUMNS]
    rows = table.rows[: room.take(len(table.rows), len(columns))]
    return TableView(
        title=table.title,
        columns=tuple((name, _numeric(rows, place)) for place, name in enumerate(columns)),
        rows=tuple(tuple(plain(figures.cell(c), CELL) for c in row[:COLUMNS]) for row in rows),
        more=len(table.rows) - len(rows),
    )


def _numeric(rows: tuple[tuple[Cell, ...], ...], place: int) -> bool:
    cells = [row[place] for row in rows if place < len(row) and row[place] is not None]
    return bool(cells) and not any(isinstance(cell, str) for cell in cells)


def _estimates(evidence: Estimates, room: Room) -> EstimatesView:
    # A whisker weighs about as much as three cells.
    rows = evidence.rows[: room.take(len(evidence.rows), 8)]
    chart = charts.estimates_chart(evidence, rows)
    return EstimatesView(
        title=evidence.title,
        caption=f"{figures.level(1 - evidence.level)} intervals, two-sided, {evidence.method}",
        chart=chart,
        rows=tuple(
            EstimateView(
                label=plain(row.label, CELL),
                rows=_rows_of(row),
                value=figures.figure(row.value),
                interval=figures.span(row.interval),
                note=plain(row.note, CELL),
                whisker=whisker,
                words=words,
            )
            for row, whisker, words in zip(rows, chart.whiskers, chart.words, strict=True)
        ),
        more=len(evidence.rows) - len(rows),
        noted=any(row.note for row in rows),
        of=plain(evidence.of.capitalize(), CELL),
    )


def _rows_of(row: Estimate) -> str:
    if row.count is None:
        return figures.count(row.n)
    return f"{figures.count(row.count)} of {figures.count(row.n)}"


def _curve(curve: Curve, room: Room) -> CurveView:
    size = room.take(min(len(curve.x), len(curve.y), len(curve.sizes)), 6)
    shown = zip(curve.x[:size], curve.y[:size], curve.sizes[:size], strict=True)
    return CurveView(
        title=curve.title,
        x_label=curve.x_label,
        y_label=curve.y_label,
        diagonal=curve.diagonal,
        chart=charts.curve_chart(curve, size),
        rows=tuple((figures.figure(x), figures.figure(y), figures.count(n)) for x, y, n in shown),
        more=len(curve.x) - size,
    )


def _examples(evidence: Examples, room: Room) -> ExamplesView:
    # Two texts weigh about as much as a dozen cells.
    rows = evidence.rows[: room.take(len(evidence.rows), 12)]
    views = []
    for row in rows:
        before, after = marked(row.before, row.after)
        labels = plain(row.before_label, CELL), plain(row.after_label, CELL)
        views.append(ExampleView(before, after, *labels, plain(row.note, CELL)))
    return ExamplesView(evidence.title, tuple(views), len(evidence.rows) - len(rows))


def _heats(evidence: ScoredTexts, room: Room) -> heat.HeatsView:
    kept = heat.fitting(evidence.rows[:EVIDENCE_ROWS], room.left)
    room.left -= sum(map(heat.cells, kept))
    return heat.heats_view(evidence.title, kept, len(evidence.rows) - len(kept))
