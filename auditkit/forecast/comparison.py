"""A plan beside the run it was for."""

from __future__ import annotations

from dataclasses import dataclass

from auditkit.errors import AuditkitError
from auditkit.forecast.expected import Forecast
from auditkit.result import AuditResult


@dataclass(frozen=True, slots=True)
class Compared:
    """One predicted number beside the actual one; None where there is none."""

    name: str
    predicted: float | None
    actual: float | None
    is_time: bool = True

    @property
    def ratio(self) -> float | None:
        """Predicted over actual."""
        if self.predicted is None or not self.actual:
            return None
        return self.predicted / self.actual


def compare(expected: Forecast, actual: AuditResult) -> tuple[Compared, ...]:
    """Predicted against actual time and calls of an audit that has run.

    Raises:
        AuditkitError: The run audited another model, or another number of rows.
    """
    subject = actual.subject
    if (subject.model, subject.rows) != (expected.model_name, expected.rows):
        raise AuditkitError(
            f"that run audited {subject.rows:,} rows of {subject.data} with {subject.model}; this "
            f"plan is for {expected.rows:,} rows of {expected.data_name} with "
            f"{expected.model_name}.",
            "Give --against the folder of a run of this configuration.",
        )
    return (*_times(expected, actual), *_counts(expected, actual))


def _times(expected: Forecast, actual: AuditResult) -> list[Compared]:
    """Times; no total where a check is not estimated."""
    timing = actual.timing
    taken = {id: s for id, s in timing.checks.items() if id not in actual.replayed}
    before = expected.load + expected.probe + expected.model.total
    return [
        Compared("before the first check", before, max(timing.seconds - sum(taken.values()), 0.0)),
        *(Compared(c.id, c.total, taken.get(c.id)) for c in expected.checks if not c.obstacle),
        Compared("total time", _whole(expected, expected.seconds), timing.seconds),
        Compared("of it in the model", _whole(expected, sum(c.seconds for c in expected.asked)),
                 timing.model_seconds),
    ]  # fmt: skip


def _counts(expected: Forecast, actual: AuditResult) -> list[Compared]:
    asked, costs = actual.timing.asking, expected.asked
    counts = {
        "distinct inputs": (sum(c.distinct for c in costs), asked.distinct),
        "from the cache": (sum(c.cached for c in costs), asked.cached),
        "tokens": (sum(c.tokens for c in costs), asked.tokens),
        "batches": (sum(c.batches for c in costs), asked.batches),
    }
    return [
        Compared(name, _whole(expected, predicted), taken, is_time=False)
        for name, (predicted, taken) in counts.items()
    ]


def _whole(expected: Forecast, total: float) -> float | None:
    """A total of all checks; None if one of them is not estimated."""
    return total if expected.complete else None
