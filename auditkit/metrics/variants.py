"""What variants of a model take beside it, and what they answer otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Confidence
from auditkit.data import AuditData, unit_id
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Cell,
    Estimate,
    Estimates,
    Interval,
    Measurement,
    Table,
)
from auditkit.latency.asking import Timings
from auditkit.metrics.answered_twice import Recomputed, Twice, Which
from auditkit.metrics.behaviour import MOST_UNITS
from auditkit.metrics.latency import METHOD, Series, drift
from auditkit.metrics.latency_ratio import median_ratio
from auditkit.metrics.table_changes import rate_gap
from auditkit.model import Predictions
from auditkit.stats.intervals import effective_counts, mean_interval, rate
from auditkit.stats.paired import paired_gap
from auditkit.stats.quantiles import (
    independent_values,
    needed_to_bound,
    quantile,
    quantile_interval,
)

DRIFTED = 0.1
"""How far the ratio may be shown to rise or fall over the run."""
_GROUPS = {"attributes": (), "intersections": False, "minimum_group_size": 1}
_MS = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """The same rows answered by the audited model and by a variant.

    Attributes:
        data: The rows, n of them.
        audited: What the audited model answers in the audit.
        own: What the variant answers.
    """

    data: AuditData
    audited: Predictions
    own: Predictions

    @property
    def differs(self) -> NDArray[np.bool_]:
        """Which labels differ, shape (n,)."""
        return np.not_equal(self.audited.labels, self.own.labels)

    @property
    def largest_change(self) -> float | None:
        """Largest change of a probability; None where there are none."""
        before, after = self.audited.probabilities, self.own.probabilities
        if before is None or after is None or not len(before):
            return None
        return float(np.abs(before - after).max())


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """A variant that was asked beside the audited model.

    Attributes:
        name: Which one.
        took: Milliseconds for one input in each round, shape (n,).
        ratios: The same over the audited model's in the same round.
        made: Seconds it took to make it and have its first answer.
        answers: What it answers.
        note: What a reader must know.
        withheld: Why no verdict may be read from its ratio; empty when one may.
    """

    name: str
    took: Series
    ratios: Series
    made: float
    answers: Answers
    note: str = ""
    withheld: str = ""


def each_input(timings: Timings) -> NDArray[np.float64]:
    """Nanoseconds for one input of each request, in their order. All requests are equally large."""
    if not len(timings):
        return np.zeros(0)
    size = int(timings.batch[0])
    return timings.latency[::size] / size


def drifted(ratios: Series) -> str:
    """Why the ratio means nothing: it moved over the run. Empty when that is not shown."""
    found = drift(ratios, Confidence(), "") if len(ratios) else None
    if found is None or found.bounds is None or found.value is None:
        return ""
    claim = found.bounds.claim
    risen = claim.lower is not None and claim.lower > DRIFTED
    fallen = claim.upper is not None and claim.upper < -DRIFTED
    if not risen and not fallen:
        return ""
    return f"the ratio moved by {found.value:+.0%} from the first half of the run to the second"


def ratio_of(timed: Timed, confidence: Confidence, comparisons: int) -> Measurement:
    """The median over rounds of the variant's time over the audited model's."""
    n = len(timed.ratios)
    if not n:
        why = "no request came to an end, or one took no time."
        return Measurement("ratio", None, 0, None, slice=timed.name, note=why)
    value, bounds = median_ratio(timed.ratios, confidence, comparisons)
    worth = independent_values(timed.ratios, 0.5)
    needed = int(np.ceil(needed_to_bound(0.5, confidence.claim_alpha) * n / worth))
    said = "The median over requests that both were asked in turn; below 1 the variant is faster."
    return Measurement(
        "ratio", value, n, bounds, timed.name, " ".join(filter(None, (said, timed.note))),
        least_n=needed if needed > n else None, counted="requests", withheld=timed.withheld,
    )  # fmt: skip


def disagreement_of(timed: Timed, confidence: Confidence, comparisons: int) -> Measurement:
    """The share of inputs that the variant labels otherwise than the audited model."""
    answers = timed.answers
    differs, n = answers.differs, len(answers.data)
    if not n:
        note = "it answered nothing."
        return Measurement("disagreement", None, 0, None, slice=timed.name, note=note)
    alphas = confidence.claim_alpha, confidence.corrected_alpha(comparisons)
    k, size = float(differs.sum()), float(n)
    clusters = answers.data.clusters
    if clusters is not None:
        k, size = effective_counts(differs, clusters, min(alphas))
    claim, corrected = (rate(k, size, alpha) for alpha in alphas)
    count = int(differs.sum())
    return Measurement(
        "disagreement",
        count / n,
        n,
        Bounds(claim, corrected, "Clopper-Pearson", comparisons),
        slice=timed.name,
        note=f"{count:,} of {n:,} labels are others than the audited model's.",
        units=_units(answers.data.inputs, differs),
    )


def _units(inputs: Sequence[object], differs: NDArray[np.bool_]) -> dict[str, float]:
    if len(inputs) > MOST_UNITS or not all(isinstance(one, str) for one in inputs):
        return {}
    units = {unit_id(str(one)): float(yes) for one, yes in zip(inputs, differs, strict=True)}
    return units if len(units) == len(inputs) else {}


def not_made(name: str, why: str) -> Measurement:
    """The ratio of a variant that there is none of here."""
    note = f"cannot be made here: {why}"
    return Measurement("ratio", None, 0, None, slice=name, note=note, counted="requests")


def accuracy_change(answers: Answers, alpha: float) -> tuple[float, Interval] | None:
    """The variant's accuracy less the audited model's on the same rows; None without labels."""
    labels, clusters = answers.data.labels, answers.data.clusters
    if labels is None or not len(labels):
        return None
    own, audited = answers.own.labels == labels, answers.audited.labels == labels
    gain = own.astype(np.float64) - audited
    if clusters is not None:
        return float(gain.mean()), mean_interval(gain, alpha, clusters, (-1.0, 1.0))
    interval = paired_gap(int((gain > 0).sum()), int((gain < 0).sum()), len(gain), alpha)
    return float(gain.mean()), interval


def gap_change(answers: Answers, rng: np.random.Generator) -> tuple[str, Recomputed] | None:
    """How the largest gap of selection rates between two groups changes, of the attribute whose gap
    changes most; None where there are no groups to compare. The interval counts all attributes."""
    groups = answers.data.groups
    if not groups or not len(answers.data):
        return None
    twice = Twice(answers.data, answers.audited, answers.own)
    found = []
    for name in groups:
        which = Which("", "gap", name, _GROUPS)
        changed = rate_gap(("selection",), which, twice, WHISKER_ALPHA / len(groups), rng)
        if changed is not None:
            found.append((name, changed))
    return max(found, key=lambda one: abs(one[1].after - one[1].before), default=None)


COLUMNS = (
    "variant", "requests", "median ms of an input", "ratio", "its 95 % interval",
    "seconds to make", "texts compared", "accuracy", "less the audited model's",
    "labels that agree", "largest change of a probability", "change of the fairness gap", "note",
)  # fmt: skip


def variants_table(
    audited: Series,
    timed: Iterable[Timed],
    missing: Mapping[str, str],
    rng: np.random.Generator,
) -> Table:
    """Everything about every variant, the audited model first, what could not be made last.

    Args:
        audited: Milliseconds of the audited model for one input in each round, shape (n,).
        timed: What was timed.
        missing: Why others could not be made.
        rng: Random numbers for the intervals of fairness gaps.
    """
    blank: tuple[Cell, ...] = (None,) * (len(COLUMNS) - 4)
    rows: list[tuple[Cell, ...]] = [
        ("as audited", len(audited), quantile(np.sort(audited), 0.5), 1.0, *blank)
    ]
    rows += [_row(one, rng) for one in timed]
    rows += [
        (name, *(None,) * (len(COLUMNS) - 2), f"cannot be made here: {why}")
        for name, why in missing.items()
    ]
    return Table("Variants beside the audited model, asked in turn", COLUMNS, tuple(rows))


def _row(timed: Timed, rng: np.random.Generator) -> tuple[Cell, ...]:
    answers, n = timed.answers, len(timed.answers.data)
    whisker = _whisker(timed)
    ratio = (quantile(np.sort(timed.ratios), 0.5), _spoken(whisker)) if whisker else (None, None)
    labels = answers.data.labels
    right = None if labels is None or not n else float((answers.own.labels == labels).mean())
    return (
        timed.name,
        len(timed.ratios),
        quantile(np.sort(timed.took), 0.5) if len(timed.took) else None,
        *ratio,
        timed.made,
        n,
        right,
        _changed(accuracy_change(answers, WHISKER_ALPHA)),
        1.0 - float(answers.differs.mean()) if n else None,
        answers.largest_change,
        _gap_said(gap_change(answers, rng)),
        "; ".join(filter(None, (timed.note, timed.withheld))),
    )


def _whisker(timed: Timed) -> Interval | None:
    if not len(timed.ratios):
        return None
    worth = independent_values(timed.ratios, 0.5)
    return quantile_interval(np.sort(timed.ratios), 0.5, WHISKER_ALPHA, worth)


def _spoken(interval: Interval, signed: str = "") -> str:
    ends = (interval.lower, interval.upper)
    said = ["no bound" if end is None else f"{end:{signed}.3g}" for end in ends]
    return f"{said[0]} to {said[1]}"


def _changed(change: tuple[float, Interval] | None) -> str | None:
    return None if change is None else f"{change[0]:+.3g} ({_spoken(change[1], '+')})"


def _gap_said(found: tuple[str, Recomputed] | None) -> str | None:
    if found is None:
        return None
    name, change = found
    moved = change.after - change.before
    return f"{name}: {moved:+.3g} ({_spoken(change.interval, '+')}), from {change.before:.3g}"


def ratio_chart(timed: Iterable[Timed]) -> Estimates:
    """The ratios with 95 % intervals, to be drawn."""
    rows = []
    for one in timed:
        n, interval = len(one.ratios), _whisker(one)
        value = quantile(np.sort(one.ratios), 0.5) if n else None
        rows.append(Estimate(one.name, n, value, interval, note=one.note))
    return Estimates(
        "Time of an input over the audited model's", tuple(rows), WHISKER_LEVEL, METHOD, 1.0,
        "as audited", "variant",
    )  # fmt: skip
