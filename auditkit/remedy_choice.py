"""Which of several repaired models to take: measured and chosen on the validation rows.

The rows that judge have no say, so what they show of the chosen model is a confirmation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditkit.comparison import Change, Comparison
from auditkit.data import AuditData
from auditkit.finding import Interval, Measurement
from auditkit.model import Capability, Predictions
from auditkit.plan import PlannedCheck
from auditkit.stats.intervals import mean_interval, rate

READABLE = frozenset({Capability.GROUPS, Capability.LABELS, Capability.PROBABILITIES})
"""What a check may need to be measured on the validation rows: the answers to them, no more."""


@dataclass(frozen=True, slots=True)
class Target:
    """The measurement that the remedies are meant to improve."""

    check: str
    name: str
    slice: str
    direction: Literal["max", "min"]
    limit: float | None

    def is_of(self, change: Change) -> bool:
        """Whether a change is one of this measurement."""
        own = (self.check, self.name, self.slice)
        return (change.check, change.name, change.slice) == own

    def within(self, value: float) -> bool:
        """Whether the limit, if there is one, allows a value."""
        if self.limit is None:
            return True
        return value <= self.limit if self.direction == "max" else value >= self.limit

    def cost(self, value: float) -> float:
        """The value, or its negative, so that less is better."""
        return value if self.direction == "max" else -value


@dataclass(frozen=True, slots=True)
class Standing:
    """Accuracy and target of a model on some rows; every end is a one-sided bound."""

    accuracy: float
    accuracy_interval: Interval
    value: float | None
    """Of the target; None where it is undefined on these rows."""
    interval: Interval | None
    n: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Which remedy the validation rows choose."""

    remedy: str | None
    """None when they choose none."""
    rule: str
    reason: str


def target_of(repairs: Iterable[tuple[Sequence[str], Comparison]]) -> Target | None:
    """What the models are compared by; None when no check measures what they are meant to improve.

    Of the measurements that remedies are meant to improve, one that the model did not pass; of
    these one with an interval of its change, then the one that stands first in what a remedy is
    meant for, then the one that most are meant for, then the first.

    Args:
        repairs: What each remedy is meant to improve (ids or families of checks), and what became
            of its model.
    """
    meant = [
        (_place(change.check, improves), change)
        for improves, one in repairs
        for change in one.changes
        if change.meant and change.before is not None and change.before.value is not None
    ]
    if not meant:
        return None
    tally = Counter((change.check, change.name, change.slice) for _, change in meant)

    def order(placed: tuple[int, Change]) -> tuple[bool, bool, int, int]:
        place, change = placed
        assert change.before is not None
        return (
            change.before.outcome not in {"fail", "inconclusive"},
            change.interval is None,
            place,
            -tally[change.check, change.name, change.slice],
        )

    _, first = min(meant, key=order)  # the first of equals
    return Target(first.check, first.name, first.slice, first.direction, first.limit)


def _place(check: str, improves: Sequence[str]) -> int:
    """Place of a check in what a remedy is meant to improve."""
    own = (i for i, name in enumerate(improves) if check == name or check.startswith(f"{name}."))
    return next(own, len(improves))


def standing(
    data: AuditData, answers: Predictions, measurement: Measurement | None, alpha: float
) -> Standing | None:
    """Where a model stands on labelled rows; None without labels or rows.

    Args:
        data: The rows.
        answers: The model's answers to them.
        measurement: The target, measured on them.
        alpha: One-sided error of each bound.
    """
    if data.labels is None or not len(data):
        return None
    right = answers.labels == data.labels
    if data.clusters is None:
        interval = rate(int(right.sum()), len(right), alpha)
    else:
        interval = mean_interval(right.astype(float), alpha, data.clusters, support=(0.0, 1.0))
    value = measurement.value if measurement else None
    bounds = measurement.bounds if measurement and value is not None else None
    return Standing(
        accuracy=float(right.mean()),
        accuracy_interval=interval,
        value=value,
        interval=bounds.claim if bounds else None,
        n=len(right),
    )


def obstacle(target: Target, entry: PlannedCheck | None, data: AuditData) -> str:
    """Why the target cannot be measured on the validation rows; empty when it can."""
    if not len(data):
        return "there are none."
    if entry is None or entry.obstacle:
        return f"{target.check} cannot be measured on them."
    if not entry.check.needs <= READABLE:
        return f"{target.check} asks about more than the rows themselves."
    if Capability.GROUPS in entry.check.needs and not data.groups:
        return "they have no sensitive attribute."
    return ""


def choose_remedy(
    target: Target, before: Standing, models: Sequence[tuple[str, Standing | None]]
) -> Choice:
    """The most accurate repaired model whose target is within the limit, on the validation rows.

    Args:
        target: What was to be improved.
        before: The model before, on the validation rows.
        models: Id of each remedy and where its model stands on them.
    """
    what = f"{target.check} {target.name.replace('_', ' ')}"
    limit = "has" if target.limit is None else f"is within the limit of {target.limit:g} and has"
    rule = (
        f"On the validation rows, the most accurate of the models whose {what} {limit} become "
        "better; where none is, the one whose value is best, if it has become better. Of equally "
        "accurate ones, the one whose value is better."
    )
    known = [(id, s, target.cost(s.value)) for id, s in models if s and s.value is not None]
    if before.value is None or not known:
        return Choice(None, rule, f"The {what} is undefined on the validation rows.")
    better = [one for one in known if one[2] < target.cost(before.value)]
    if not better:
        return Choice(None, rule, f"No remedy improves it on the {before.n:,} validation rows.")
    within = [one for one in better if one[1].value is not None and target.within(one[1].value)]
    if within:
        best = min(within, key=lambda one: (-one[1].accuracy, one[2]))
        said = f"the most accurate of {len(within)} within the limit"
    else:
        best = min(better, key=lambda one: one[2])
        said = "the best of those that improve it, none being within the limit"
    return Choice(
        best[0],
        rule,
        f"On the {best[1].n:,} validation rows it is {said}: accuracy {best[1].accuracy:.4g} "
        f"(before {before.accuracy:.4g}), {target.name.replace('_', ' ')} {best[1].value:.3g} "
        f"(before {before.value:.3g}).",
    )


def undominated(accuracy: Sequence[float], cost: Sequence[float]) -> list[bool]:
    """Whether no other point is at least as good in both and better in one (Pareto)."""
    gains, costs = np.array(accuracy), np.array(cost)
    as_good = (gains[None] >= gains[:, None]) & (costs[None] <= costs[:, None])
    better = (gains[None] > gains[:, None]) | (costs[None] < costs[:, None])
    beaten: NDArray[np.bool_] = np.any(np.logical_and(as_good, better), axis=1)
    return [not one for one in beaten.tolist()]
