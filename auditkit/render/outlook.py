"""A plan for a terminal: what the audit costs, what the data can show, and plan beside run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditkit.forecast import Budgeted, Forecast
from auditkit.forecast.check_cost import CheckCost
from auditkit.forecast.comparison import Compared
from auditkit.forecast.model_cost import ModelCost
from auditkit.render.figures import NONE, count, duration, figure, percent
from auditkit.render.terminal import Pen
from auditkit.resolution import ASSUMED_AUC, ASSUMED_RATE, POWER, AttributeRows, Resolution

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table

UNKNOWN = "not estimated"
RECALLED = "replayed from the store"
BUSY_SPREAD = 3.0
"""Spread of the timed batches from which on the reader is told not to trust the estimate."""
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
            yield pen.write(line, "dim", longest=1_000)
        if expected.attributes:
            yield pen.write("\n")
            yield pen.write("Groups", "bold")
            for attribute in expected.attributes:
                yield pen.write(_groups(attribute), longest=2_000)
        if expected.resolutions:
            yield pen.write("")
            yield _resolutions(expected.resolutions, pen)
            for line in _resolution_notes(expected):
                yield pen.write(line, "dim", longest=1_500)
        for one in expected.unresolved:
            yield pen.write(f"not estimated: {one.check}, {one.reason}", "dim")
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
    asked = ("rows looked up",) if expected.recorded else ("inputs", "in cache", "to model")
    table = _table("part", *asked, "time")
    dashes = (NONE,) * len(asked)
    model = expected.model
    table.add_row("reading the data, loading the model", *dashes, duration(expected.load))
    if expected.recorded:
        table.add_row("audited rows", count(model.distinct), duration(model.total))
    else:
        table.add_row("asking about the audited rows", *_calls(model), duration(model.total))
        table.add_row("asking some twice", *dashes, duration(expected.probe))
    for check in expected.checks:
        cells = _check_cells(check, dashes, pen)
        table.add_row(pen.write(check.id), *cells)
    for check_id, reason in expected.left_out:
        table.add_row(pen.write(check_id), *dashes, pen.write(reason))
    parts = expected.asked
    figures = [sum(n) for n in zip(*((p.distinct, p.cached, p.asked) for p in parts), strict=True)]
    more = "" if expected.complete else " + ?"
    totals = [f"{n:,}{more}" for n in figures[: len(asked)]]
    table.add_row("total", *totals, duration(expected.seconds), style="bold")
    return table


def _calls(cost: ModelCost) -> tuple[str, str, str]:
    return count(cost.distinct), count(cost.cached), count(cost.asked)


def _check_cells(check: CheckCost, dashes: tuple[str, ...], pen: Pen) -> tuple[RenderableType, ...]:
    if check.obstacle:
        return *dashes, pen.write(f"not applicable: {check.obstacle}", "dim")
    if check.recalled:
        return *dashes, pen.write(RECALLED, "dim")
    if check.total is None or check.asked is None:
        return *(("?",) * len(dashes)), UNKNOWN
    return *_calls(check.asked)[: len(dashes)], duration(check.total)


def _cost_notes(expected: Forecast) -> Iterator[str]:
    found = expected.found
    if found.stored:
        yield (
            f"{expected.directory} holds the verdict of just this audit: it will be shown, and "
            "nothing measured."
        )
    elif not expected.recorded:
        yield from _model_notes(expected)
    if found.recalled and not found.stored:
        yield f"{RECALLED}: nothing it depends on has changed since a run in {expected.directory}."
    if found.note:
        yield found.note
    if expected.spread > BUSY_SPREAD:
        yield (
            f"This machine is busy: the same work took up to {expected.spread:.0f} times as long "
            "from one batch to the next. The times can be wrong by as much."
        )
    if not expected.complete:
        yield (
            "not estimated: what the check asks depends on the model's answers, it fails on "
            "made-up ones, or its pilot failed or took too long. The total leaves it out."
        )
    if any(c.asked is not None and c.asked.distinct for c in expected.checks):
        yield (
            "inputs of a check: those about which neither the model nor the baseline has been asked "
            "before. The other "
            "checks run beside it, which the total takes into account."
        )


def _model_notes(expected: Forecast) -> Iterator[str]:
    model = expected.model
    if model.asked:
        size = f"{model.tokens:,} tokens in " if model.tokens else ""
        yield (
            f"{size}{model.batches:,} batches, timed on {expected.timed}. The audited rows are "
            "asked once, before the first check."
        )
    elif expected.rows and not expected.timed:
        yield "The cache answers everything: the model is not loaded, now or in the audit."
    if expected.cache:
        yield expected.cache


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

    table = _table("what it can show", "limit", "margin", "detects", "PASS chance", "rows needed")
    check = ""
    for one in found:
        if one.check != check:
            table.add_row(pen.write(one.check))
            check = one.check
        label = Text.assemble("  ", pen.write(_label(one), longest=60))
        if one.small:
            shown = f"{', '.join(one.small[:4])}{', …' if len(one.small) > 4 else ''}"
            label.append_text(Text("\n  ") + pen.write(f"too small: {shown}", "yellow", 120))
        margin = NONE if one.margin is None else f"{one.margin:.3f}"
        table.add_row(
            label, figure(one.limit), margin, _detects(one), _chance(one), count(one.needed_total)
        )
    return table


def _label(one: Resolution) -> str:
    if one.measure in _DISTANCES:
        return f"{one.attribute}, {one.measure}"
    return one.attribute or one.rate


def _detects(one: Resolution) -> str:
    return "none" if one.detectable is None else f"{one.detectable:.3f}"


def _chance(one: Resolution) -> str:
    if one.pass_chance is None:
        return NONE
    if one.small:
        return "impossible"
    return percent(round(one.pass_chance, 2)) if one.pass_chance >= 0.005 else "below 1 %"


def _resolution_notes(expected: Forecast) -> Iterator[str]:
    measures = {one.measure for one in expected.resolutions}
    yield (
        "margin: how far the bound a PASS is read from lies from the number itself. detects: what "
        f"is found in {percent(POWER)} of audits, corrected for all comparisons: "
        f"{'; '.join(said for name, said in _DETECTED.items() if name in measures)}. PASS "
        "chance: that of a model without any such fault. rows needed: rows like these that raise "
        f"it to about {percent(POWER)}."
    )
    yield f"Assumed before any answer is seen: {_assumed(expected.resolutions)}."
    if expected.clustered:
        yield "Rows that belong together count as one here: the least they are worth."


_DISTANCES = ("ks", "wasserstein")
_DETECTED = {
    "gap": "the smallest gap between the two smallest groups",
    "ratio": "the highest ratio below 1 of their rates",
    "drop": "the smallest drop of a group's AUC, or of accuracy on a set or on contrasts",
    "value": "the smallest drop of the metric below its limit, or below what is assumed",
    "gain": "the smallest gain or loss",
    "calibration_error": "the smallest calibration error",
    "ks": "the smallest distance of scores (ks, wasserstein) whatever their distribution",
    "auc": "the lowest AUC above 0.5 of telling a group, or audited from training rows",
    "auroc": "the smallest drop of the AUROC below its limit",
    "shortfall": "the smallest shortfall of coverage",
    "group_shortfall": "the same in the smallest group",
    "shift_shortfall": "the same on a set",
    "consistency": "the smallest drop of consistency below its limit",
    "flagged": "the smallest excess of flagged labels over the limit",
    "leaked": "the smallest excess of leaked rows over the limit",
}


def _assumed(shown: Sequence[Resolution]) -> str:
    said, measures = [], {one.measure for one in shown}
    if measures & {"gap", "ratio"}:
        said.append(
            "a selection rate as the share of the label, a false positive and a false negative "
            f"rate of {1 - ASSUMED_RATE:.1f}"
        )
    said.append(f"a true positive rate, precision and accuracy of {ASSUMED_RATE:g}")
    if any("AUC of class" in one.rate or one.measure == "auroc" for one in shown):
        said.append(f"an AUC of {ASSUMED_AUC:.2f} (variance by Hanley and McNeil, 1982)")
    if "shortfall" in measures:
        said.append("coverage as promised")
    if measures & {"flagged", "leaked"}:
        said.append("no wrong label and no leaked row")
    if "calibration_error" in measures:
        said.append("for the calibration error, probabilities evenly between chance and 1")
    return "; ".join(said)


def _budget(expected: Forecast, fitted: Budgeted, pen: Pen) -> Iterator[RenderableType]:
    head = f"Budget {duration(fitted.budget)}: "
    if fitted.rows >= expected.rows:
        yield pen.write(f"{head}all {expected.rows:,} rows fit; no sample is needed.", "bold")
        return
    yield pen.write(
        f"{head}{fitted.rows:,} of {expected.rows:,} rows, {duration(fitted.seconds)}.", "bold"
    )
    yield pen.write(fitted.note, longest=1_000)
    table = _table("what that costs", "detects", "instead of", "PASS chance", "instead of")
    before = {(one.check, one.measure, one.attribute): one for one in expected.resolutions}
    for one in fitted.resolutions:
        was = before.get((one.check, one.measure, one.attribute))
        cells = (_detects(one), _detects(was), _chance(one), _chance(was)) if was else ()
        table.add_row(
            pen.write(f"{one.check.partition('.')[2]}, {_label(one)}", longest=120), *cells
        )
    yield table
    yield pen.write("To audit these rows, put into the configuration, under [data]:")
    yield pen.write(f"sample = {fitted.rows}", "bold")
