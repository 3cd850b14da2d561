"""The area under the ROC curve by DeLong's method, as one influence value a row.

Influence values add up: the variance of an AUC is the sum of their squares, of a difference of
two AUCs the sum of squared differences, whichever rows each AUC was made of; and rows that
belong together are summed first. On equal rows this is DeLong, DeLong & Clarke-Pearson (1988).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditkit.finding import Interval
from auditkit.stats.intervals import Floats, cluster_sums, critical_t, critical_value

_NOTHING = 1e-12
"""Standard errors below this are rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class AucEstimate:
    """An AUC and what each row contributes to its error."""

    value: float | None
    """None when a class is empty."""
    influence: Floats
    """(n_rows,): 0 for rows in neither class; the squares sum to DeLong's variance."""
    positives: NDArray[np.bool_]
    negatives: NDArray[np.bool_]

    @property
    def n_pos(self) -> int:
        """Rows of the positive class."""
        return int(self.positives.sum())

    @property
    def n_neg(self) -> int:
        """Rows of the negative class."""
        return int(self.negatives.sum())


class AucDifference(NamedTuple):
    """One AUC less another, and the test that they are equal."""

    difference: float | None
    interval: Interval
    z: float | None
    """None when the difference has no estimable error."""
    p: float | None


def auc(scores_pos: ArrayLike, scores_neg: ArrayLike) -> float | None:
    """Share of pairs of a positive and a negative that the scores order rightly, ties one half.

    None when a class is empty. Raises ValueError on a score that is not finite.
    """
    positive = np.asarray(scores_pos, dtype=np.float64)
    scores = np.concatenate([positive, np.asarray(scores_neg, dtype=np.float64)])
    mask = np.arange(scores.size) < positive.size
    return auc_components(scores, mask, ~mask).value


def auc_components(
    scores: ArrayLike, positive_mask: ArrayLike, negative_mask: ArrayLike
) -> AucEstimate:
    """AUC of the rows under the two masks, with DeLong's influence values.

    All arguments are (n_rows,); rows under neither mask take no part, so that AUCs of different
    slices of one data set share an index and can be compared. O(n log n) by midranks (Sun &
    Xu 2014). Raises ValueError when shapes differ, a row is in both classes, or a score used is
    not finite.
    """
    values = np.asarray(scores, dtype=np.float64)
    positive = np.asarray(positive_mask, dtype=np.bool_)
    negative = np.asarray(negative_mask, dtype=np.bool_)
    if values.ndim != 1 or values.shape != positive.shape or values.shape != negative.shape:
        raise ValueError("scores and masks must be vectors of one length")
    if (positive & negative).any():
        raise ValueError("a row cannot be positive and negative")
    if not np.isfinite(values[positive | negative]).all():
        raise ValueError("scores must be finite")
    influence = np.zeros(values.size)
    above, below = values[positive], values[negative]
    if not above.size or not below.size:
        return AucEstimate(None, influence, positive, negative)
    won = _share_below(above, below)
    lost = 1.0 - _share_below(below, above)
    value = float(won.mean())
    influence[positive] = _centred(won, value)
    influence[negative] = _centred(lost, value)
    return AucEstimate(value, influence, positive, negative)


def auc_interval(
    estimate: AucEstimate, alpha: float, clusters: ArrayLike | None = None
) -> Interval:
    """Interval of an AUC on the logit scale, as is usual near 1 (Qin & Hotilovac 2008).

    `clusters` (n_rows,) sums influence within clusters first (Obuchowski 1997).

    Never narrower than what perfectly separated classes would support: m disjoint pairs of a
    positive and a negative, all in order, have probability AUC**m, so the AUC is at least
    alpha**(1/m) with m the smaller class; a share of 1 - alpha**(1/m) may be unseen. This
    alone is used when the variance is 0. Interval(0, 1) when a class is empty, or has one row
    (or cluster) only and the classes overlap.
    """
    z = critical_value(alpha)
    value = estimate.value
    if value is None:
        return Interval(0.0, 1.0)
    positive_units, negative_units, units = _units(estimate, clusters)
    fewest = min(positive_units, negative_units, max(1, units // 2))
    seen = alpha ** (1.0 / fewest)
    lower, upper = value * seen, 1.0 - (1.0 - value) * seen
    if 0.0 < value < 1.0:
        if fewest < 2:
            return Interval(0.0, 1.0)
        if clusters is not None:
            z = critical_t(alpha, units - 1)
        error = _error(estimate.influence, estimate.positives | estimate.negatives, clusters)
        centre = math.log(value / (1.0 - value))
        half = z * error / (value * (1.0 - value))
        lower = min(lower, _expit(centre - half))
        upper = max(upper, _expit(centre + half))
    return Interval(lower, upper)


def auc_difference(
    a: AucEstimate, b: AucEstimate, alpha: float, clusters: ArrayLike | None = None
) -> AucDifference:
    """`a` - `b` with its interval and the two-sided test that they are equal (paired DeLong).

    Both must be made from the same rows in the same order, under whatever masks. When the
    error of the difference vanishes (equal rankings, perfect separation) or one AUC has no
    error of its own, the interval is built from the two separate ones as if they were
    independent (Zou & Donner 2008), which for the positive correlation of shared rows is wide;
    z and p are None when the error vanishes. Interval(-1, 1) when an AUC is undefined.
    Raises ValueError when the row counts differ.
    """
    if a.influence.shape != b.influence.shape:
        raise ValueError("the two AUCs must be made from the same rows")
    critical_value(alpha)
    if a.value is None or b.value is None:
        return AucDifference(None, Interval(-1.0, 1.0), None, None)
    gap = a.value - b.value
    used = a.positives | a.negatives | b.positives | b.negatives
    error = _error(a.influence - b.influence, used, clusters)
    z = gap / error if error > _NOTHING else None
    p = None if z is None else math.erfc(abs(z) / math.sqrt(2))
    if z is None or _is_degenerate(a, clusters) or _is_degenerate(b, clusters):
        return AucDifference(gap, _separate(a, b, alpha, clusters), z, p)
    half = error * critical_value(alpha)
    if clusters is not None:
        units = np.unique(np.asarray(clusters)[used]).size
        half = error * critical_t(alpha, units - 1)
    return AucDifference(gap, Interval(max(-1.0, gap - half), min(1.0, gap + half)), z, p)


def _share_below(values: Floats, others: Floats) -> Floats:
    """For each of `values` the share of `others` below it, ties counting half."""
    ordered = np.sort(others)
    left = np.searchsorted(ordered, values, side="left")
    right = np.searchsorted(ordered, values, side="right")
    share: Floats = (left + right) / (2.0 * others.size)
    return share


def _centred(placements: Floats, value: float) -> Floats:
    """Deviations whose squares sum to the sample variance of the placements over their number."""
    rows = placements.size
    return (placements - value) / math.sqrt(rows * max(rows - 1, 1))


def _units(estimate: AucEstimate, clusters: ArrayLike | None) -> tuple[int, int, int]:
    if clusters is None:
        return estimate.n_pos, estimate.n_neg, 2 * max(estimate.n_pos, estimate.n_neg)
    labels = np.asarray(clusters)
    if labels.shape != estimate.influence.shape:
        raise ValueError(f"{labels.size} cluster labels for {estimate.influence.size} rows")
    used = estimate.positives | estimate.negatives
    masks = (estimate.positives, estimate.negatives, used)
    positive, negative, either = (np.unique(labels[mask]).size for mask in masks)
    return positive, negative, either


def _error(influence: Floats, used: NDArray[np.bool_], clusters: ArrayLike | None) -> float:
    if clusters is None:
        return math.sqrt(float(influence @ influence))
    sums = cluster_sums(influence[used], np.asarray(clusters)[used])
    return math.sqrt(sums.size / max(sums.size - 1, 1) * float(sums @ sums))


def _is_degenerate(estimate: AucEstimate, clusters: ArrayLike | None) -> bool:
    positive_units, negative_units, units = _units(estimate, clusters)
    if min(positive_units, negative_units, units // 2) < 2:
        return True
    used = estimate.positives | estimate.negatives
    return _error(estimate.influence, used, clusters) <= _NOTHING


def _separate(a: AucEstimate, b: AucEstimate, alpha: float, clusters: ArrayLike | None) -> Interval:
    first, second = auc_interval(a, alpha, clusters), auc_interval(b, alpha, clusters)
    one, other = a.value or 0.0, b.value or 0.0
    gap = one - other
    below = math.hypot(one - (first.lower or 0.0), (second.upper or 0.0) - other)
    above = math.hypot((first.upper or 0.0) - one, other - (second.lower or 0.0))
    return Interval(max(-1.0, gap - below), min(1.0, gap + above))


def _expit(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))
