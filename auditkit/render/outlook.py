"""A plan for a terminal: what the audit costs, what the data can show, and plan beside run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditkit.forecast import BUSY_SPREAD, Budgeted, CheckCost, Compared, Forecast
from auditkit.render.figures import NONE, count, duration, figure, percent
from auditkit.render.terminal import Pen
from auditkit.resolution import ASSUMED_RATE, POWER, AttributeRows, Resolution

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table

UNKNOWN = "not estimated"
_GROUPS = 12
"""Groups of one attribute that are listed."""


def outlook(expected: Forecast, fitted: Budgeted | None) -> Outlook:
    """What `auditkit plan` prints."""
    return Outlook(expected, fitted, bool(os.environ.get("GITHUB_ACTIONS")))


def comparison(rows: Sequence[Compared]) -> Comparison:
    """Predicted beside actual, as `auditkit plan --against` prints it."""
    return Comparison(tuple(rows), bool(os.environ.get("GITHUB_ACTIONS")))


@dataclass(frozen=True, slots=True)
class Outlook:
    """Prints as a table of costs, the groups, and a table of what the checks can show."""

    expected: Forecast
    fitted: Budgeted | None
    ci_log: bool

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Lay out for the encoding of the console."""
        pen, expected = Pen(self.ci_log, options.encoding), self.expected
        title = f"{expected.rows:,} rows of {expected.data_name}, model {expected.model_name}"
        yield pen.write(f"Plan: {title}", "bold")
        yield pen.write("")
        yield _costs(expected, pen)
        for line in _cost_notes(expected):
            yield pen.write(line, "dim")
        if expected.attributes:
            yield pen.write("\n")
            yield pen.write("Groups", "bold")
            for attribute in expected.attributes:
                yield pen.write(_groups(attribute), longest=2_000)
        if expected.resolutions:
            yield pen.write("")
            yield _resolutions(expected.resolutions, pen)
            for line in _resolution_notes(expected):
                yield pen.write(line, "dim", longest=1_000)
        if self.fitted is not None:
            yield pen.write("")
            yield from _budget(expected, self.fitted, pen)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Prints as a table of predicted, actual and their ratio."""

    rows: tuple[Compared, ...]
    ci_log: bool

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Lay out for the encoding of the console."""
        pen = Pen(self.ci_log, options.encoding)
        yield pen.write("")
        table = _table("plan against run", "predicted", "actual", "ratio")
        for row in self.rows:
            shown = (_quantity(value, row.is_time) for value in (row.predicted, row.actual))
            ratio = NONE if row.ratio is None else f"{row.ratio:.2f}"
            table.add_row(*(pen.write(text) for text in (row.name, *shown, ratio)))
        yield table


def _table(*names: str) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column(names[0], overflow="fold")
    for name in names[1:]:
        table.add_column(name, justify="right", overflow="fold")
    return table


def _quantity(value: float | None, is_time: bool) -> str:
    if value is None:
        return NONE
    if not is_time:
        return count(round(value))
    return duration(value) if value >= 1 else f"{value:.3f} s"


def _costs(expected: Forecast, pen: Pen) -> Table:
    asked = "answers looked up" if expected.recorded else "model calls"
    table = _table("part", asked, "time")
    model = expected.model
    table.add_row("reading the data, loading the model", NONE, duration(expected.load))
    if not expected.recorded:
        table.add_row("asking about the audited rows", count(model.distinct),
                      duration(model.seconds + model.tokenize))  # fmt: skip
        table.add_row("asking some twice", NONE, duration(model.probe))
    else:
        table.add_row("audited rows", count(model.distinct), duration(model.seconds))
    for check in expected.checks:
        table.add_row(pen.write(check.id), *_check_cells(check, pen))
    for check_id, reason in expected.left_out:
        table.add_row(pen.write(check_id), NONE, pen.write(reason))
    calls = None if any(c.calls is None for c in expected.checks) else model.distinct
    total = count(calls) if calls is not None else f"{model.distinct:,} + ?"
    table.add_row("total", total, duration(expected.seconds), style="bold")
    return table


def _check_cells(check: CheckCost, pen: Pen) -> tuple[RenderableType, RenderableType]:
    if check.obstacle:
        return NONE, pen.write(f"not applicable: {check.obstacle}", "dim")
    if check.total is None:
        return UNKNOWN, UNKNOWN
    return count(check.calls), duration(check.total)


def _cost_notes(expected: Forecast) -> Iterator[str]:
    model = expected.model
    if not expected.recorded:
        size = f"{model.tokens:,} tokens in " if model.tokens else ""
        yield (
            f"{size}{model.batches:,} batches, timed on {model.timed}. The audited rows are asked "
            "once, before the first check."
        )
    if model.spread > BUSY_SPREAD:
        yield (
            f"This machine is busy: the same work took up to {model.spread:.0f} times as long from "
            "one batch to the next. The times can be wrong by as much."
        )
    if any(c.total is None for c in expected.checks):
        yield "The total leaves out what is not estimated."


def _groups(attribute: AttributeRows) -> str:
    said = []
    for group in sorted(attribute.groups, key=lambda g: g.n)[:_GROUPS]:
        classes = ", ".join(f"{n:,} {name}" for name, n in group.positives.items())
        said.append(f"{group.name} {group.n:,}" + (f" ({classes})" if classes else ""))
    if len(attribute.groups) > _GROUPS:
        said.append(f"{len(attribute.groups) - _GROUPS} larger ones")
    if attribute.missing:
        said.append(f"unknown {attribute.missing:,}")
    return f"{attribute.name}: {'; '.join(said)}"


def _resolutions(found: Sequence[Resolution], pen: Pen) -> Table:
    from rich.text import Text

    table = _table("what it can show", "limit", "detects", "PASS if fair", "rows needed")
    check = ""
    for one in found:
        if one.check != check:
            table.add_row(pen.write(one.check))
            check = one.check
        label = Text.assemble("  ", pen.write(one.attribute, longest=60))
        if one.small:
            shown = f"{', '.join(one.small[:4])}{', …' if len(one.small) > 4 else ''}"
            label.append_text(Text("\n  ") + pen.write(f"too small: {shown}", "yellow", 120))
        table.add_row(label, figure(one.limit), _gap(one), _chance(one), count(one.needed_total))
    return table


def _gap(one: Resolution) -> str:
    return "none" if one.detectable is None else f"{one.detectable:.3f}"


def _chance(one: Resolution) -> str:
    if one.pass_chance is None:
        return NONE
    if one.small:
        return "impossible"
    return percent(round(one.pass_chance, 2)) if one.pass_chance >= 0.005 else "below 1 %"


def _resolution_notes(expected: Forecast) -> Iterator[str]:
    yield (
        f"detects: smallest gap found in {percent(POWER)} of audits, between the two smallest "
        "groups, corrected for all comparisons. PASS if fair: chance that a model without any gap "
        "passes. rows needed: rows like these that raise it to about "
        f"{percent(POWER)}."
    )
    yield (
        "Before any answer is seen, the selection rate is assumed to be the share of the label, "
        f"true positive rate, precision and accuracy {ASSUMED_RATE:g}, the false positive rate "
        f"{1 - ASSUMED_RATE:.1f}."
    )
    if expected.clustered:
        yield "Rows that belong together count as one here: the least they are worth."


def _budget(expected: Forecast, fitted: Budgeted, pen: Pen) -> Iterator[RenderableType]:
    head = f"Budget {duration(fitted.budget)}: "
    if fitted.rows >= expected.rows:
        yield pen.write(f"{head}all {expected.rows:,} rows fit; no sample is needed.", "bold")
        return
    yield pen.write(
        f"{head}{fitted.rows:,} of {expected.rows:,} rows, {duration(fitted.seconds)}.", "bold"
    )
    yield pen.write(fitted.note, longest=1_000)
    table = _table("what that costs", "detects", "instead of", "PASS if fair", "instead of")
    before = {(one.check, one.attribute): one for one in expected.resolutions}
    for one in fitted.resolutions:
        was = before.get((one.check, one.attribute))
        table.add_row(
            pen.write(f"{one.check.partition('.')[2]}, {one.attribute}", longest=120),
            _gap(one), _gap(was) if was else NONE, _chance(one), _chance(was) if was else NONE,
        )  # fmt: skip
    yield table
    yield pen.write("To audit these rows, put into the configuration, under [data]:")
    yield pen.write(f"sample = {fitted.rows}", "bold")
