"""Shows the progress of an audit on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from auditkit.finding import Finding, worst_outcome
from auditkit.render.text import inert_for_ci_log, plain

SIGNS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "error": "!", "not_applicable": "–"}


class TerminalProgress:
    """An observer that draws a bar on a terminal, and one line per stage and check elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._done = 0
        self._total = 1

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def stage(self, name: str) -> None:
        """Begin a part of the audit."""
        self._show(name, 0.0)

    def asked(self, done: int, total: int) -> None:
        """Show how far the model is while no check runs; a check's own share is steadier."""
        if self._done == 0:
            self._update(done / max(total, 1))

    def check_started(self, check_id: str, position: int, total: int) -> None:
        """Begin a check."""
        self._done, self._total = position, total
        if self._console.is_terminal:
            self._show(check_id, (position - 1) / total)

    def advanced(self, share: float) -> None:
        """Move within the running check."""
        self._update((self._done - 1 + share) / self._total)

    def check_finished(self, check_id: str, findings: Sequence[Finding]) -> None:
        """Say what the check came to."""
        outcome = worst_outcome(finding.outcome for finding in findings)
        self._console.print(
            f"  {SIGNS[outcome]} {check_id}", markup=False, highlight=False, soft_wrap=True
        )

    def check_recalled(self, check_id: str, findings: Sequence[Finding], *, replayed: bool) -> None:
        """Say what a check came to that need not run."""
        outcome = worst_outcome(finding.outcome for finding in findings)
        when = "unchanged since an earlier run" if replayed else "done before"
        self._console.print(
            f"  {SIGNS[outcome]} {check_id} ({when})", markup=False, highlight=False, soft_wrap=True
        )

    def note(self, text: str) -> None:
        """Say something in a line of its own."""
        shown = inert_for_ci_log(plain(text, 1_000))
        self._console.print(shown, markup=False, highlight=False, soft_wrap=True)

    def portion(self, name: str, share: float) -> None:
        """Show a share (0..1) of a named piece of work that is not an audit."""
        if self._task is None or self._bar.tasks[0].description != name:
            self._show(name, share)
        self._update(share)

    def _show(self, name: str, share: float) -> None:
        if not self._console.is_terminal:
            self._console.print(name, markup=False, highlight=False, soft_wrap=True)
        if self._task is None:
            self._task = self._bar.add_task(name, total=1.0)
        self._bar.update(self._task, description=name, completed=share)

    def _update(self, share: float) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=min(max(share, 0.0), 1.0))
