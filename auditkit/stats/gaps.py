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
from auditkit.stats.differences import SMALL, difference_bounds, difference_upper_bounds
from auditkit.stats.intervals import SPARSE, Floats, checked_counts
from auditkit.stats.ratios import ratio_lower_bounds, reciprocal


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


class Counts(NamedTuple):
    """Hits and rows of every group, both (groups,); they may be effective counts."""

    k: Floats
    n: Floats


class Extremes(NamedTuple):
    """The groups' counts with the rows of unknown group where they do most to a rate.

    Any number of them may belong to any group. A signed gap is largest when all unknown hits are
    of the first group and all unknown misses of the second, and smallest the other way round
    (Manski 2003). The rows of one group with the unknown hits, say, are a sample like any other, so
    that an interval from these counts holds for that end of the identification region, and with
    it for the true gap (Horowitz & Manski 2000).
    """

    highest: Counts
    """Each group with every unknown hit that may be of it."""
    lowest: Counts
    """Each group with every unknown miss that may be of it."""


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
    region: Interval | None = None
    """Values of the gap or ratio of these very rows, whatever groups the unknown ones are of; None
    without unknown rows. With more than two groups not every value need be possible."""

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


class Ends(NamedTuple):
    """Ends of the signed comparison of group i with group j at [i, j], both (groups, groups)."""

    lower: Floats
    upper: Floats


def pairwise_difference_bounds(
    k: ArrayLike,
    n: ArrayLike,
    claim_alpha: float,
    corrected_alpha: float,
    minimum_n: float,
    extremes: Extremes | None = None,
) -> GroupBounds:
    """Bounds of max - min of the groups' rates `k` / `n`, both (groups,).

    PASS needs claim_upper <= limit, FAIL needs corrected_lower > limit, where the caller makes
    `corrected_alpha` = error / comparisons (`ordered_pairs`, times the limits of the suite).
    Each pair is judged by `difference`. Lower ends are floored at 0. With `extremes`, upper ends
    are those of the worst placement of the unknown rows for each signed pair, lower ends those of
    the best one.

    A group below `minimum_n` rows, empty ones among them, makes every claim about its pairs
    vacuous: claim_upper is then 1. Such a group can still support a FAIL. Counts may be
    effective counts. Raises ValueError unless 0 <= k <= n and both are vectors of one length.
    """
    hits, sizes = _group_counts(k, n)
    known = Counts(hits, sizes)
    small = np.flatnonzero(sizes < max(minimum_n, 1))
    claim, corrected = (
        _difference_ends(known, extremes, alpha) for alpha in (claim_alpha, corrected_alpha)
    )
    rates = _rates(hits, sizes)
    pair = None
    if np.count_nonzero(sizes > 0) >= 2:
        pair = int(np.nanargmax(rates)), int(np.nanargmin(rates))
    return GroupBounds(
        value=None if pair is None else float(rates[pair[0]] - rates[pair[1]]),
        **largest_difference(claim, corrected, _touched(hits.size, small)),
        pair=pair,
        method=_difference_method(hits, sizes),
        small=tuple(int(index) for index in small),
        comparisons=ordered_pairs(hits.size),
        region=None if extremes is None else difference_region(*map(_square, extremes)),
    )


def pairwise_ratio_bounds(
    k: ArrayLike,
    n: ArrayLike,
    claim_alpha: float,
    corrected_alpha: float,
    minimum_n: float,
    extremes: Extremes | None = None,
) -> GroupBounds:
    """Bounds of min / max of the groups' rates `k` / `n`, both (groups,): the impact ratio.

    PASS needs claim_lower >= limit, FAIL needs corrected_upper < limit. Each pair is judged by
    `ratio`; upper ends are capped at 1. A group below `minimum_n` makes claim_lower 0. With no
    hit anywhere the ratio is undefined: value None, and bounds 0 and 1.
    Otherwise as `pairwise_difference_bounds`.
    """
    hits, sizes = _group_counts(k, n)
    known = Counts(hits, sizes)
    small = np.flatnonzero(sizes < max(minimum_n, 1))
    claim, corrected = (
        _ratio_ends(known, extremes, alpha) for alpha in (claim_alpha, corrected_alpha)
    )
    rates = _rates(hits, sizes)
    pair, value = None, None
    if np.count_nonzero(sizes > 0) >= 2 and hits.any():
        pair = int(np.nanargmin(rates)), int(np.nanargmax(rates))
        value = float(rates[pair[0]] / rates[pair[1]])
    return GroupBounds(
        value=value,
        **smallest_ratio(claim, corrected, _touched(hits.size, small)),
        pair=pair,
        method=_ratio_method(hits, sizes),
        small=tuple(int(index) for index in small),
        comparisons=ordered_pairs(hits.size),
        region=None if extremes is None else ratio_region(*map(_square, extremes)),
    )


def largest_difference(
    claim: Ends, corrected: Ends, vacuous: NDArray[np.bool_]
) -> dict[str, float]:
    """The four ends of the largest gap from those of its signed pairs, as `GroupBounds` has them.

    `vacuous` (groups, groups) marks the pairs about which nothing is claimed.
    """
    return {
        "claim_lower": _largest(np.where(vacuous, -1.0, claim.lower), 0.0, floor=0.0),
        "claim_upper": _largest(np.where(vacuous, 1.0, claim.upper), 1.0),
        "corrected_lower": _largest(corrected.lower, 0.0, floor=0.0),
        "corrected_upper": _largest(corrected.upper, 1.0),
    }


def smallest_ratio(claim: Ends, corrected: Ends, vacuous: NDArray[np.bool_]) -> dict[str, float]:
    """As `largest_difference`, for the smallest ratio."""
    claim_upper = np.where(vacuous, np.inf, claim.upper)
    return {
        "claim_lower": -_largest(-np.where(vacuous, 0.0, claim.lower), 0.0),
        "claim_upper": -_largest(-claim_upper, -1.0, floor=-1.0),
        "corrected_lower": -_largest(-corrected.lower, 0.0),
        "corrected_upper": -_largest(-corrected.upper, -1.0, floor=-1.0),
    }


def _difference_ends(known: Counts, extremes: Extremes | None, alpha: float) -> Ends:
    """Ends of all pairs. Each pair's are the mirror image of the reversed pair's."""
    groups = known.n.size
    upper = np.zeros((groups, groups))
    if extremes is None:
        first, second = np.triu_indices(groups, 1)
        counts = known.k[first], known.n[first], known.k[second], known.n[second]
        lower, upper[first, second] = difference_bounds(*counts, alpha)
        upper[second, first] = -lower
    else:
        first, second = np.nonzero(~np.eye(groups, dtype=bool))
        (high_k, high_n), (low_k, low_n) = extremes
        counts = high_k[first], high_n[first], low_k[second], low_n[second]
        upper[first, second] = difference_upper_bounds(*counts, alpha)
    return Ends(-upper.T, upper)


def _ratio_ends(known: Counts, extremes: Extremes | None, alpha: float) -> Ends:
    """As `_difference_ends`; the reversed pair has the reciprocal ratio."""
    groups = known.n.size
    lower = np.ones((groups, groups))
    first, second = np.nonzero(~np.eye(groups, dtype=bool))
    (high_k, high_n), (low_k, low_n) = (known, known) if extremes is None else extremes
    lower[first, second] = ratio_lower_bounds(
        low_k[first], low_n[first], high_k[second], high_n[second], alpha
    )
    return Ends(lower, reciprocal(lower.T))


def difference_region(highest: Floats, lowest: Floats) -> Interval:
    """What the largest gap may be, given what each rate may be.

    `highest` and `lowest` are (groups, groups): what the rate of group i may be when compared
    with group j. NaN where there is none.
    """
    apart = ~np.eye(len(highest), dtype=bool)
    worst, best = (highest - lowest.T)[apart], (lowest - highest.T)[apart]
    return Interval(*(max(0.0, float(np.nanmax(ends, initial=0.0))) for ends in (best, worst)))


def ratio_region(highest: Floats, lowest: Floats) -> Interval:
    """As `difference_region`, for the smallest ratio."""
    apart = ~np.eye(len(highest), dtype=bool)
    ends = []
    for top, bottom in ((lowest, highest), (highest, lowest)):
        ratios = np.full(top.shape, np.nan)
        np.divide(top, bottom.T, out=ratios, where=bottom.T > 0)
        ends.append(float(np.nanmin(ratios[apart], initial=1.0)))
    return Interval(*ends)


def _square(counts: Counts) -> Floats:
    rates = _rates(counts.k, counts.n)
    return np.repeat(rates[:, None], rates.size, axis=1)


def _touched(groups: int, small: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which pairs have a group that is too small."""
    is_small = np.isin(np.arange(groups), small)
    return is_small[:, None] | is_small[None, :]


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
    """The largest end of any two different groups, from (groups, groups)."""
    if len(ends) < 2:
        return without
    return max(floor, float(ends[~np.eye(len(ends), dtype=bool)].max()))


def _group_counts(k: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    if np.ndim(k) != 1 or np.shape(k) != np.shape(n):
        raise ValueError("k and n must be vectors with one count per group")
    return checked_counts(k, n)


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
