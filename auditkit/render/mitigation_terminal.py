"""A mitigation for a terminal, as something rich can print."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditkit.comparison import Change
from auditkit.mitigation import Mitigation, Repair
from auditkit.render.figures import NONE, figure, level, span
from auditkit.render.mitigation_overview import MARKS, chosen_sentence, overview
from auditkit.render.mitigation_page import sentences, summary_counts
from auditkit.render.terminal import Pen

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.padding import Padding
    from rich.text import Text

ROWS = 40
"""Measurements listed for each repair: those that changed, and those that should have."""


def summary(record: Mitigation, *, ci_log: bool | None = None) -> Summary:
    """What `auditkit mitigate` prints at its end.

    Args:
        record: The mitigation.
        ci_log: Break everything a CI runner could take for a command; by default when the
            environment has GITHUB_ACTIONS.
    """
    if ci_log is None:
        ci_log = bool(os.environ.get("GITHUB_ACTIONS"))
    return Summary(record, ci_log)


@dataclass(frozen=True, slots=True)
class Summary:
    """Prints what became of each measurement that changed, and the verdicts."""

    record: Mitigation
    ci_log: bool

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay out for the encoding of the console."""
        pen = Pen(self.ci_log, options.encoding)
        for repair in self.record.repairs:
            yield from _lines(repair, pen)
        yield from _overview(self.record, pen)
        yield pen.write(f"before: exit code {self.record.before.exit_code}. "
                        f"{self.record.before.reason}", "dim", 1_000)  # fmt: skip
        for repair in self.record.repairs:
            word = "PASS" if repair.verdict.passed else "BLOCKED"
            style = "bold cyan" if repair.verdict.passed else "bold red"
            yield pen.write(f"{word}  {repair.remedy}", style)
            yield pen.write(
                f"{repair.verdict.reason} Exit code {repair.verdict.exit_code}.", longest=1_000
            )


def _lines(repair: Repair, pen: Pen) -> Iterator[RenderableType]:
    seen = repair.comparison
    yield pen.write(f"{repair.remedy}: {repair.title}", "bold", 300)
    for warning in repair.warnings:
        yield _indented(pen.write(f"know this first: {warning}", "yellow", 1_000))
    shown = [change for change in seen.changes if _is_shown(change)]
    for change in shown[:ROWS]:
        mark = MARKS[change.word]
        name = " · ".join(part for part in (change.check, change.name.replace("_", " "),
                                            change.slice) if part)  # fmt: skip
        sides = [figure(side.value if side else None) for side in (change.before, change.after)]
        line = f"{mark.symbol} {mark.word}: {name}: {sides[0]} → {sides[1]}"
        if change.interval is not None:
            line += f", difference {figure(change.difference)} ({span(change.interval)})"
        yield _indented(pen.write(line, _STYLES.get(change.word, ""), 400))
    if len(shown) > ROWS:
        yield _indented(pen.write(f"{len(shown) - ROWS} more in mitigation.json", "dim"))
    counts = ", ".join(f"{number} {mark.word}" for mark, number in summary_counts(seen))
    yield _indented(pen.write(f"{counts}. {' '.join(sentences(repair))}", longest=1_000))
    together = f"{seen.compared} paired intervals of {level(1 - seen.level)} each hold together."
    yield _indented(pen.write(together, "dim"))
    yield pen.write("")


def _overview(record: Mitigation, pen: Pen) -> Iterator[RenderableType]:
    """The models side by side, which one is chosen, and what failed."""
    seen = overview(record)
    for row in seen.rows:
        marks = f" ({row.standing})" if row.standing else ""
        yield pen.write(f"{row.number} {row.name}{marks}: {row.gate}", "bold", 300)
        for cell in row.cells:
            if cell.value == NONE and not cell.detail:
                continue
            word = f"{cell.mark.symbol} {cell.mark.word}: " if cell.mark else ""
            detail = f", {cell.detail}" if cell.detail else ""
            yield _indented(pen.write(f"{word}{cell.column}: {cell.value}{detail}", "", 400))
    for failure in seen.failures:
        yield pen.write(f"FAILED  {failure.remedy}: {failure.reason}", "bold red", 1_000)
    if seen.chosen:
        yield pen.write(chosen_sentence(record), "", 1_000)
    if seen.rule:
        yield pen.write(f"Rule: {seen.rule}", "dim", 1_000)
    yield pen.write("")


def _indented(text: Text) -> Padding:
    from rich.padding import Padding

    return Padding(text, (0, 0, 0, 2))


_STYLES = {"improved": "cyan", "worsened": "red"}


def _is_shown(change: Change) -> bool:
    hoped_for = change.meant and change.word == "no difference shown"
    return change.word in {"improved", "worsened"} or hoped_for or not change.check
