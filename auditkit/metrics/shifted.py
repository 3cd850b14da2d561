"""What a model gets right in distribution and on each set of rows out of distribution."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Confidence, Context
from auditkit.data import AuditData
from auditkit.errors import NotApplicable
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Estimate,
    Estimates,
    Interval,
    Measurement,
)
from auditkit.model import Predictions
from auditkit.stats.bootstrap import Replicates, RowDesign, bootstrap_tables
from auditkit.stats.differences import difference
from auditkit.stats.gaps import Comparison, combine_max, independent_difference
from auditkit.stats.intervals import Floats, effective_counts, mean_interval, rate, wilson
from auditkit.stats.paired import paired_gap
from auditkit.stats.power import smallest_detectable_gap

INSIDE = "in distribution"
FEWEST = 100
"""Rows of a side below which nothing passes: so few pass by luck, and say little of the rest."""
_SALT = b"auditkit halves:"

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Labelled rows of one distribution, and the model's answers.

    Attributes:
        name: Name of the set, or `INSIDE`.
        data: n rows.
        answers: The answers.
        slice: What a measurement calls it; empty in distribution.
    """

    name: str
    data: AuditData
    answers: Predictions
    slice: str = ""

    def __len__(self) -> int:
        return len(self.data)

    @property
    def labels(self) -> Rows:
        """True classes, shape (n,)."""
        assert self.data.labels is not None
        return self.data.labels

    @property
    def probabilities(self) -> Floats:
        """Shape (n, k)."""
        assert self.answers.probabilities is not None
        return self.answers.probabilities

    @property
    def right(self) -> Flags:
        """Which answers are right, shape (n,)."""
        return np.asarray(self.answers.labels == self.labels)

    def rows(self, index: Rows) -> Side:
        """Some of the rows."""
        return replace(self, data=self.data.rows(index), answers=self.answers.take(index))


def sides(context: Context) -> tuple[Side, list[Side]]:
    """The rows in distribution, and each set out of distribution that has labels.

    Raises:
        NotApplicable: There is no such set, or no row in distribution.
    """
    inside = context.data.rows(context.in_distribution())
    sets = {
        name: shift.data
        for name, shift in context.shifts.items()
        if shift.data.labels is not None and len(shift.data)
    }
    if not sets:
        raise NotApplicable("no set of rows out of distribution has labels.")
    if not len(inside):
        raise NotApplicable("no row of the sample is in distribution.")
    ask = context.predictor.predict
    return Side(INSIDE, inside, ask(inside.inputs)), [
        Side(name, data, ask(data.inputs), name) for name, data in sets.items()
    ]


def halves(data: AuditData) -> tuple[Rows, Rows]:
    """Rows to choose by and rows to judge by, about half each, by a hash of their content.

    Rows of one cluster, and copies of one text, are in the same half.
    """
    keys: Sequence[object] = data.inputs if data.clusters is None else data.clusters.tolist()
    chosen = np.array(
        [
            hashlib.sha256(_SALT + repr(key).encode("utf-8", "surrogatepass")).digest()[0] % 2
            for key in keys
        ],
        dtype=bool,
    )
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def guarded(
    measurement: Measurement, rows: int, worse: Literal["more", "less"] = "more"
) -> Measurement:
    """The measurement of the smallest side's rows; without a claim when they are too few.

    Where more is worse, the upper bound of a claim is what passes; where less is, the lower one.
    """
    bounds = measurement.bounds
    if rows >= FEWEST or bounds is None:
        return measurement
    lower, upper = bounds.claim.lower, bounds.claim.upper
    claim = Interval(lower, None) if worse == "more" else Interval(None, upper)
    return replace(measurement, bounds=replace(bounds, claim=claim), least_n=FEWEST)


def share_interval(flags: Flags, clusters: Rows | None, alpha: float) -> Interval:
    """Bounds of the share of rows that are flagged, as a verdict reads them."""
    if clusters is None:
        return rate(float(flags.sum()), float(len(flags)), alpha)
    return rate(*effective_counts(flags, clusters, alpha), alpha)


def gain_interval(before: Flags, after: Flags, clusters: Rows | None, alpha: float) -> Interval:
    """Interval of the share of rows right after less that before, both on the same rows."""
    if clusters is None:
        mended, broken = int((after & ~before).sum()), int((before & ~after).sum())
        return paired_gap(mended, broken, len(after), alpha)
    gain = after.astype(np.float64) - before
    return mean_interval(gain, alpha, clusters, support=(-1.0, 1.0))


def drop(
    first: Side, second: Side, confidence: Confidence, comparisons: int, rng: np.random.Generator
) -> Comparison:
    """Accuracy of the first less that of the second, with bounds at both levels.

    For independent rows those of `difference`. With clusters the wider of a cluster bootstrap of
    both sides together, in which one cluster may have rows on both, and of `difference` on
    effective counts, which does not trust few errors.
    """
    shares = [float(side.right.mean()) for side in (first, second)]
    levels = confidence.claim_alpha, confidence.corrected_alpha(comparisons)
    replicates = None
    if first.data.clusters is not None:
        replicates = _resampled(first, second, min(levels), rng)
    found = []
    for alpha in levels:
        counts = [_counts(side, min(levels)) for side in (first, second)]
        interval = difference(*counts[0], *counts[1], alpha)
        found.append(interval if replicates is None else _wider(interval, replicates, alpha))
    return Comparison(shares[0] - shares[1], *found)


def _counts(side: Side, alpha: float) -> tuple[float, float]:
    if side.data.clusters is None:
        return float(side.right.sum()), float(len(side))
    return effective_counts(side.right, side.data.clusters, alpha)


def _resampled(first: Side, second: Side, alpha: float, rng: np.random.Generator) -> Replicates:
    assert first.data.clusters is not None
    assert second.data.clusters is not None
    codes = np.concatenate([first.right, 2 + second.right])

    def gap(tables: Floats) -> Floats:
        sizes = tables[:, ::2] + tables[:, 1::2]
        shares = np.full(sizes.shape, np.nan)
        np.divide(tables[:, 1::2], sizes, out=shares, where=sizes > 0)
        return np.asarray(shares[:, 0] - shares[:, 1])

    clusters = np.concatenate([first.data.clusters, second.data.clusters])
    return bootstrap_tables(codes, 4, gap, RowDesign(len(codes), clusters=clusters), alpha, rng)


def _wider(interval: Interval, replicates: Replicates, alpha: float) -> Interval:
    other = replicates.interval(alpha)
    ends = (interval.lower, other.lower), (interval.upper, other.upper)
    lower, upper = ([end for end in pair if end is not None] for pair in ends)
    return Interval(max(min(lower), -1.0), min(max(upper), 1.0))


def drop_measurements(context: Context) -> Iterator[Measurement]:
    """The drop in accuracy to each set, and the largest of them."""
    inside, sets = sides(context)
    comparisons = len(sets)
    alpha = context.confidence.corrected_alpha(comparisons)
    method = "Newcombe" if inside.data.clusters is None else "Newcombe and cluster bootstrap"
    found = [drop(inside, one, context.confidence, comparisons, context.rng) for one in sets]
    worst = combine_max(found, both_ways=False)
    assert worst.widest is not None
    measured = Measurement(
        name="worst_drop",
        value=worst.value,
        n=len(inside) + sum(map(len, sets)),
        bounds=Bounds(worst.claim, worst.corrected, method, comparisons),
        note=f"Largest for {sets[worst.widest].name}.",
        evidence=(_accuracies(inside, sets),),
    )
    yield guarded(measured, min(map(len, (inside, *sets))))
    for one, compared in zip(sets, found, strict=True):
        measured = Measurement(
            name="drop",
            value=compared.value,
            n=len(inside) + len(one),
            bounds=Bounds(compared.claim, compared.corrected, method, comparisons),
            slice=one.name,
            note=context.shifts[one.name].said,
            detectable=smallest_detectable_gap(
                len(inside), len(one), float(inside.right.mean()), alpha
            ),
        )
        yield guarded(measured, min(len(inside), len(one)))


def _accuracies(inside: Side, sets: Sequence[Side]) -> Estimates:
    rows = []
    for side in (inside, *sets):
        hits, n = int(side.right.sum()), len(side)
        whisker = (
            wilson(hits, n, WHISKER_ALPHA)
            if side.data.clusters is None
            else share_interval(side.right, side.data.clusters, WHISKER_ALPHA)
        )
        rows.append(Estimate(side.name, n, hits / n, whisker, hits))
    return Estimates(
        "Accuracy in distribution and on each set",
        tuple(rows),
        WHISKER_LEVEL,
        "Wilson" if inside.data.clusters is None else "Clopper-Pearson on effective counts",
        float(inside.right.mean()),
        INSIDE,
    )


def rise(inside: float, of_inside: Interval, outside: float, of_outside: Interval) -> Interval:
    """Interval of a quantity out of distribution less the same in distribution, within -1..1."""
    found = independent_difference(outside, of_outside, inside, of_inside)
    return Interval(
        None if found.lower is None else max(found.lower, -1.0),
        None if found.upper is None else min(found.upper, 1.0),
    )
