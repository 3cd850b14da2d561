"""Many signed comparisons combined into one statement about the largest of them.

The interval of a largest gap is never computed from the largest gap: its sampling distribution
is folded at 0 and biased away from it, so that a percentile bootstrap of it never covers a true
gap of 0. Every signed comparison gets its own bounds, and the bounds are combined:

- The largest gap is at most the largest upper bound. Each comparison has to hold, so the
  uncorrected bounds keep the error of a PASS (intersection-union, Berger 1982).
- The largest gap is at least the largest lower bound, if those are corrected for the number of
  comparisons (Bonferroni), which keeps the error of a FAIL.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditkit.finding import Interval
from auditkit.stats.differences import SMALL, difference_bounds
from auditkit.stats.intervals import SPARSE, Floats, checked_counts
from auditkit.stats.ratios import ratio_bounds


class Comparison(NamedTuple):
    """One signed comparison: its value, and its interval at the two levels a verdict needs."""

    value: float | None
    claim: Interval
    corrected: Interval


@dataclass(frozen=True, slots=True)
class LargestGap:
    """What several comparisons say together about the largest of them."""

    value: float | None
    """None when no comparison is defined."""
    claim: Interval
    corrected: Interval
    widest: int | None
    """Index of the comparison that `value` comes from."""


@dataclass(frozen=True, slots=True)
class GroupBounds:
    """Bounds of the largest gap, or the smallest ratio, between any two groups."""

    value: float | None
    """None when fewer than two groups have a rate, or no rate is above 0 for a ratio."""
    claim_lower: float
    claim_upper: float
    corrected_lower: float
    corrected_upper: float
    pair: tuple[int, int] | None
    """Indices of the two groups `value` comes from: (highest, lowest) rate for a gap, (lowest,
    highest) for a ratio."""
    method: str
    small: tuple[int, ...]
    """Indices of the groups below the minimum, because of which no PASS is possible."""
    comparisons: int
    """Ordered pairs of different groups."""

    @property
    def claim(self) -> Interval:
        """Both ends at the claim level."""
        return Interval(self.claim_lower, self.claim_upper)

    @property
    def corrected(self) -> Interval:
        """Both ends at the corrected level."""
        return Interval(self.corrected_lower, self.corrected_upper)


def ordered_pairs(groups: int) -> int:
    """How many comparisons `groups` groups give, each pair in both directions."""
    return groups * (groups - 1)


def pairwise_difference_bounds(
    k: ArrayLike, n: ArrayLike, claim_alpha: float, corrected_alpha: float, minimum_n: float
) -> GroupBounds:
    """Bounds of max - min of the groups' rates `k` / `n`, both (groups,).

    PASS needs claim_upper <= limit, FAIL needs corrected_lower > limit, where the caller makes
    `corrected_alpha` = error / comparisons (`ordered_pairs`, times the limits of the suite).
    Each pair is judged by `difference`. Lower ends are floored at 0.

    A group below `minimum_n` rows, empty ones among them, makes every claim about its pairs
    vacuous: claim_upper is then 1. Such a group can still support a FAIL. Counts may be
    effective counts. Raises ValueError unless 0 <= k <= n and both are vectors of one length.
    """
    hits, sizes = _group_counts(k, n)
    small = np.flatnonzero(sizes < max(minimum_n, 1))
    first, second = _pairs(hits.size)
    counts = hits[first], sizes[first], hits[second], sizes[second]
    claim_lower, claim_upper = difference_bounds(*counts, claim_alpha)
    lower, upper = difference_bounds(*counts, corrected_alpha)
    vacuous = np.isin(first, small) | np.isin(second, small)
    claim_lower = np.where(vacuous, -1.0, claim_lower)
    claim_upper = np.where(vacuous, 1.0, claim_upper)
    rates = _rates(hits, sizes)
    defined = np.flatnonzero(sizes > 0)
    pair = None
    if defined.size >= 2:
        pair = int(np.nanargmax(rates)), int(np.nanargmin(rates))
    return GroupBounds(
        value=None if pair is None else float(rates[pair[0]] - rates[pair[1]]),
        claim_lower=_largest(claim_lower, 0.0, floor=0.0),
        claim_upper=_largest(claim_upper, 1.0),
        corrected_lower=_largest(lower, 0.0, floor=0.0),
        corrected_upper=_largest(upper, 1.0),
        pair=pair,
        method=_difference_method(hits, sizes),
        small=tuple(int(index) for index in small),
        comparisons=first.size,
    )


def pairwise_ratio_bounds(
    k: ArrayLike, n: ArrayLike, claim_alpha: float, corrected_alpha: float, minimum_n: float
) -> GroupBounds:
    """Bounds of min / max of the groups' rates `k` / `n`, both (groups,): the impact ratio.

    PASS needs claim_lower >= limit, FAIL needs corrected_upper < limit. Each pair is judged by
    `ratio`; upper ends are capped at 1. A group below `minimum_n` makes claim_lower 0. With no
    hit anywhere the ratio is undefined: value None, and bounds 0 and 1.
    Otherwise as `pairwise_difference_bounds`.
    """
    hits, sizes = _group_counts(k, n)
    small = np.flatnonzero(sizes < max(minimum_n, 1))
    first, second = _pairs(hits.size)
    counts = hits[first], sizes[first], hits[second], sizes[second]
    claim_lower, claim_upper = ratio_bounds(*counts, claim_alpha)
    lower, upper = ratio_bounds(*counts, corrected_alpha)
    vacuous = np.isin(first, small) | np.isin(second, small)
    claim_lower = np.where(vacuous, 0.0, claim_lower)
    claim_upper = np.where(vacuous, np.inf, claim_upper)
    rates = _rates(hits, sizes)
    pair, value = None, None
    if np.count_nonzero(sizes > 0) >= 2 and hits.any():
        pair = int(np.nanargmin(rates)), int(np.nanargmax(rates))
        value = float(rates[pair[0]] / rates[pair[1]])
    return GroupBounds(
        value=value,
        claim_lower=-_largest(-claim_lower, 0.0),
        claim_upper=-_largest(-claim_upper, -1.0, floor=-1.0),
        corrected_lower=-_largest(-lower, 0.0),
        corrected_upper=-_largest(-upper, -1.0, floor=-1.0),
        pair=pair,
        method=_ratio_method(hits, sizes),
        small=tuple(int(index) for index in small),
        comparisons=first.size,
    )


def combine_max(comparisons: Sequence[Comparison], *, both_ways: bool = True) -> LargestGap:
    """The largest of signed comparisons made elsewhere (AUC gaps, bootstrapped gaps).

    With `both_ways` each comparison stands for itself and its mirror image, so one per
    unordered pair is enough, the value is the largest absolute one and lower ends are floored
    at 0. Without, only the sign given counts (a drop, not a rise), and nothing is floored.
    The caller makes the corrected intervals for as many comparisons as that is: two for each
    with `both_ways`. An upper end is None as soon as one comparison has none; a comparison
    without a value still counts through its intervals. No comparison at all gives no bounds.
    """
    if not comparisons:
        return LargestGap(None, Interval(None, None), Interval(None, None), None)
    values = [
        -math.inf if one.value is None else abs(one.value) if both_ways else one.value
        for one in comparisons
    ]
    widest = max(range(len(values)), key=values.__getitem__)
    defined = comparisons[widest].value is not None
    return LargestGap(
        value=values[widest] if defined else None,
        claim=_combine([one.claim for one in comparisons], both_ways),
        corrected=_combine([one.corrected for one in comparisons], both_ways),
        widest=widest if defined else None,
    )


def independent_difference(a: float, of_a: Interval, b: float, of_b: Interval) -> Interval:
    """Interval of a - b from those of two independent quantities (Zou & Donner 2008).

    An open end of either makes both ends open.
    """
    ends = (of_a.lower, of_a.upper, of_b.lower, of_b.upper)
    if None in ends:
        return Interval(None, None)
    low_a, high_a, low_b, high_b = (float(end) for end in ends if end is not None)
    below = math.hypot(a - low_a, high_b - b)
    above = math.hypot(high_a - a, b - low_b)
    return Interval(a - b - below, a - b + above)


def dependent_difference(of_a: Interval, of_b: Interval) -> Interval:
    """Interval of a - b from those of two quantities, however they depend on each other.

    Each of its ends needs one end of both, so that their errors add up (Bonferroni).
    """
    return Interval(
        None if of_a.lower is None or of_b.upper is None else of_a.lower - of_b.upper,
        None if of_a.upper is None or of_b.lower is None else of_a.upper - of_b.lower,
    )


def _combine(intervals: Sequence[Interval], both_ways: bool) -> Interval:
    lower = [-math.inf if one.lower is None else one.lower for one in intervals]
    upper = [math.inf if one.upper is None else one.upper for one in intervals]
    if both_ways:
        lower, upper = [*lower, *(-end for end in upper), 0.0], [*upper, *(-end for end in lower)]
    ends = max(lower), max(upper)
    return Interval(*(end if math.isfinite(end) else None for end in ends))


def _largest(ends: Floats, without: float, floor: float = -math.inf) -> float:
    return max(floor, float(ends.max())) if ends.size else without


def _group_counts(k: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    if np.ndim(k) != 1 or np.shape(k) != np.shape(n):
        raise ValueError("k and n must be vectors with one count per group")
    return checked_counts(k, n)


def _pairs(groups: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    first, second = np.nonzero(~np.eye(groups, dtype=bool))
    return first, second


def _rates(hits: Floats, sizes: Floats) -> Floats:
    rates = np.full(hits.shape, np.nan)
    np.divide(hits, sizes, out=rates, where=sizes > 0)
    return rates


def _sparse(hits: Floats, sizes: Floats) -> bool:
    return bool((np.minimum(hits, sizes - hits) < SPARSE).any())


def _difference_method(hits: Floats, sizes: Floats) -> str:
    if _sparse(hits, sizes):
        return "Newcombe, Miettinen-Nurminen and exact hybrid where sparse"
    if (sizes < SMALL).any():
        return "Newcombe, Miettinen-Nurminen below 50"
    return "Newcombe"


def _ratio_method(hits: Floats, sizes: Floats) -> str:
    return "Koopman, exact hybrid where sparse" if _sparse(hits, sizes) else "Koopman"
