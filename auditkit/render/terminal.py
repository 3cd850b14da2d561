"""The verdict for a terminal, as something rich can print."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from auditkit.finding import Outcome
from auditkit.render.figures import NONE
from auditkit.render.overview import Family, Mark, Overview, Row, families, overview
from auditkit.render.text import inert_for_ci_log, plain
from auditkit.result import AuditResult

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table
    from rich.text import Text

ROWS = 200
"""Findings in the table."""
FOLDED = 5
"""Passes of one measurement of a check from which on only the worst of them is shown."""
_NARROW = 78
"""Below this width a table would cut numbers off; findings then stand in lines."""
_STYLES = {
    "pass": "cyan",
    "fail": "bold red",
    "inconclusive": "yellow",
    "error": "bold magenta",
    "not-applicable": "dim",
}
_ASCII = {"✓": "+", "✕": "x", "–": "-", "≤": "<=", "≥": ">=", "·": "-", "…": "...", "×": "x"}


def summary(result: AuditResult, *, ci_log: bool | None = None) -> Summary:
    """What `auditkit audit` prints at its end.

    Args:
        result: The result.
        ci_log: Break everything a CI runner could take for a command; by default when the
            environment has GITHUB_ACTIONS.
    """
    if ci_log is None:
        ci_log = bool(os.environ.get("GITHUB_ACTIONS"))
    return Summary(overview(result), result.title, ci_log)


@dataclass(frozen=True, slots=True)
class Summary:
    """Prints as a table of findings, what blocks, and the one line that says why."""

    seen: Overview
    title: str
    ci_log: bool

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Lay out for the width and the encoding of the console."""
        pen = Pen(self.ci_log, options.encoding)
        rows = folded(self.seen.rows)
        shown = families(rows[:ROWS])
        if options.max_width < _NARROW:
            yield from _lines(shown, pen)
        elif shown:
            yield _table(shown, pen)
        more = len(rows) - ROWS
        if more > 0:
            yield pen.write(f"{more:,} more in result.json", "dim")
        yield pen.write("")
        yield from self._verdict(pen)

    def _verdict(self, pen: Pen) -> Iterator[Text]:
        from rich.text import Text

        head = self.seen.headline
        symbol, style = ("✓", "pass") if head.passed else ("✕", "fail")
        word = pen.write(f"{symbol} {head.word}", f"bold {_STYLES[style]}")
        yield Text("  ").join((word, pen.write(self.title, "dim", longest=120)))
        yield pen.write(f"{head.reason} Exit code {head.exit_code}.", longest=1_000)


def folded(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows, with many passes of one measurement shown as the one nearest to its limit."""
    alike: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.finding.outcome is Outcome.PASS:
            alike.setdefault((row.finding.check, row.measure), []).append(row)
    worst = {
        key: replace(nearest, slice=f"{nearest.slice}, worst of {len(same)}")
        for key, same in alike.items()
        if len(same) >= FOLDED and (nearest := max(same, key=_nearness))
    }
    shown = []
    for row in rows:
        key = (row.finding.check, row.measure)
        if row.finding.outcome is not Outcome.PASS or key not in worst:
            shown.append(row)
        elif row is alike[key][0]:
            shown.append(worst[key])
    return tuple(shown)


def _nearness(row: Row) -> float:
    value = row.finding.measurement.value if row.finding.measurement else None
    return 0.0 if value is None else value if row.finding.direction == "max" else -value


@dataclass(frozen=True, slots=True)
class Pen:
    """Turns text from outside into text that is safe on this console."""

    ci_log: bool
    encoding: str

    def write(self, text: str, style: str = "", longest: int = 300) -> Text:
        """One line of styled text."""
        from rich.text import Text

        return Text(self.safe(text, longest), style=style)

    def outcome(self, mark: Mark) -> Text:
        """An outcome in its colour."""
        return self.write(f"{mark.symbol} {mark.word}", _STYLES[mark.name])

    def safe(self, text: str, longest: int = 300) -> str:
        """The text with nothing in it that this console cannot show or would obey."""
        shown = plain(text, longest)
        if not self.encoding.lower().startswith("utf"):
            for symbol, letters in _ASCII.items():
                shown = shown.replace(symbol, letters)
            shown = shown.encode(self.encoding, "replace").decode(self.encoding)
        return inert_for_ci_log(shown) if self.ci_log else shown


def _table(shown: tuple[Family, ...], pen: Pen) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("outcome", no_wrap=True)
    table.add_column("check", overflow="fold", ratio=1)
    for name in ("value", "interval", "rows", "limit"):
        table.add_column(name, justify="right", no_wrap=True)
    below = Text("\n")
    for family in shown:
        table.add_row("", below.join((Text(""), pen.write(family.name, "bold", 60))))
        for row in family.rows:
            outcome = [pen.outcome(row.mark)]
            check = [pen.write(row.name, longest=120)]
            if row.standing:
                outcome.append(Text.assemble("  ", pen.write(row.standing, "dim")))
            if row.subject:
                check.append(pen.write(row.subject, "dim", 120))
            numbers = (pen.write(text) for text in (row.value, row.interval, row.n, row.limit))
            table.add_row(below.join(outcome), below.join(check), *numbers)
    return table


def _lines(shown: tuple[Family, ...], pen: Pen) -> Iterator[Text]:
    """For a narrow console: two lines a finding, wrapped rather than cut."""
    from rich.text import Text

    for family in shown:
        yield pen.write(family.name, "bold", 60)
        for row in family.rows:
            said = (
                pen.outcome(row.mark),
                pen.write(row.name, longest=120),
                pen.write(row.standing),
            )
            yield Text(" ").join(part for part in said if part)
            if row.subject:
                yield Text.assemble("  ", pen.write(row.subject, "dim", 120))
            if row.n != NONE:
                numbers = f"{row.value} ({row.interval}), limit {row.limit}, {row.n} rows"
                yield Text.assemble("  ", pen.write(numbers))
