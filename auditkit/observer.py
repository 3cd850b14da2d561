"""Who is told about the progress of an audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from auditkit.finding import Finding


class Observer(Protocol):
    """Told about the progress of an audit; every method may do nothing."""

    def stage(self, name: str) -> None:
        """A part of the audit begins: loading, asking the model."""

    def asked(self, done: int, total: int) -> None:
        """The model has answered `done` of `total` distinct inputs of this request."""

    def check_started(self, check_id: str, position: int, total: int) -> None:
        """Check `position` (from 1) of `total` begins."""

    def advanced(self, share: float) -> None:
        """A share (0..1) of the running check is done."""

    def check_finished(self, check_id: str, findings: Sequence[Finding]) -> None:
        """A check has ended with these findings."""

    def check_recalled(self, check_id: str, findings: Sequence[Finding], *, replayed: bool) -> None:
        """A check need not run: it was finished before, in an earlier run when `replayed`."""

    def note(self, text: str) -> None:
        """Something the user should know about this run, in a sentence."""


class Silent:
    """An observer that does nothing."""

    def stage(self, name: str) -> None:
        """Ignore."""

    def asked(self, done: int, total: int) -> None:
        """Ignore."""

    def check_started(self, check_id: str, position: int, total: int) -> None:
        """Ignore."""

    def advanced(self, share: float) -> None:
        """Ignore."""

    def check_finished(self, check_id: str, findings: Sequence[Finding]) -> None:
        """Ignore."""

    def check_recalled(self, check_id: str, findings: Sequence[Finding], *, replayed: bool) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""
