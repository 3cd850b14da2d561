"""Gaps and ratios of two groups' rates within strata, with one interval over all strata.

The rate of each group is standardised: every stratum in which both groups have rows counts
n1 n2 / (n1 + n2), the weights of Mantel & Haenszel (1959). Strata without rows of both say
nothing about their difference and have no weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from auditkit.stats.differences import difference_upper_bounds
from auditkit.stats.gaps import (
    Ends,
    GroupBounds,
    difference_region,
    largest_difference,
    ordered_pairs,
    ratio_region,
    smallest_ratio,
)
from auditkit.stats.intervals import Floats, wilson_bounds
from auditkit.stats.ratios import hybrid_ratio_lower, ratio_lower_bounds, reciprocal

_PRIOR = 2.0
"""Rows by which the variance of a stratum leans on the rate of its whole group."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A rate by group and stratum.

    Attributes:
        k: Effective hits, shape (groups, strata).
        n: Effective rows, of the same shape.
        covariance: Of a group's rates between strata, shape (groups, strata, strata), where rows
            come in clusters that reach across strata; None when rows are independent.
    """

    k: Floats
    n: Floats
    covariance: Floats | None = None


class StratifiedExtremes(NamedTuple):
    """The cells with the rows of unknown group where they do most; see `gaps.Extremes`."""

    highest: Cells
    lowest: Cells


class Standardised(NamedTuple):
    """Each group's rate over the strata it shares with each other group, all (groups, groups).

    At [i, j] the rate of group i for its comparison with group j; NaN without a shared stratum.
    """

    rates: Floats
    sizes: Floats
    """Rows of one simple sample whose rate would be known as well."""
    below: Floats
    """Distance to the lower end of the rate's own interval, from Wilson's for each stratum."""
    above: Floats


def mantel_haenszel_weights(sizes: NDArray[np.int64]) -> Floats:
    """Share of each stratum for each two groups, (groups, groups, strata), from (groups, strata).

    All 0 where two groups share no stratum, and for a group with itself.
    """
    n = sizes.astype(np.float64)
    product = n[:, None, :] * n[None, :, :]
    weights = np.zeros(product.shape)
    np.divide(product, n[:, None, :] + n[None, :, :], out=weights, where=product > 0)
    weights[np.arange(len(n)), np.arange(len(n))] = 0.0
    total = weights.sum(axis=2, keepdims=True)
    np.divide(weights, total, out=weights, where=total > 0)
    return weights


def standardise(cells: Cells, weights: Floats, alpha: float) -> Standardised:
    """Every group's standardised rates with what an interval of them needs.

    Args:
        cells: The counts.
        weights: Shape (groups, groups, strata), from `mantel_haenszel_weights`.
        alpha: One-sided error of the ends of each rate.
    """
    clustered = None
    if cells.covariance is not None:
        of_groups = zip(weights, cells.covariance, strict=True)
        clustered = np.stack([np.einsum("js,st,jt->j", w, c, w) for w, c in of_groups])
    return standardised_rates(cells.k[:, None], cells.n[:, None], weights, alpha, clustered)


def standardised_rates(
    k: Floats, n: Floats, weights: Floats, alpha: float, clustered: Floats | None = None
) -> Standardised:
    """Rates over strata by weights; all (..., strata), which broadcast.

    The variance of a rate is that of its strata, each taken at a rate that leans a little on the
    whole group's, so that strata of one or two rows have one, and made unbiased for that; or the
    `clustered` one (...) where it is larger. It becomes the size of a simple sample with that
    variance (Korn & Graubard 1998).
    """
    sizes = np.maximum(n, 1e-300)
    within, shared = k / sizes, weights.sum(axis=-1) > 0
    rates = (weights * within).sum(axis=-1)
    whole = np.maximum(np.where(weights > 0, n, 0.0).sum(axis=-1, keepdims=True), 1e-300)
    lean = sizes / (sizes + _PRIOR)
    shrunk = lean * within + (1 - lean) * rates[..., None]
    unbiased = 1 - lean**2 * np.maximum(1 / sizes - 1 / whole, 0.0)
    squares = weights**2
    variance = (squares * shrunk * (1 - shrunk) / unbiased / sizes).sum(axis=-1)
    effect = np.ones(rates.shape)
    if clustered is not None:
        np.divide(clustered, variance, out=effect, where=variance > 0)
        effect = np.maximum(effect, 1.0)
    even = np.divide(1.0, (squares / sizes).sum(axis=-1), out=np.zeros(rates.shape), where=shared)
    spread = rates * (1 - rates)
    usable = (spread > 0) & (variance > 0)
    size = np.divide(spread, variance * effect, out=even / effect, where=usable)
    lower, upper = wilson_bounds(k, n, alpha)
    below = np.sqrt(effect * (squares * (within - lower) ** 2).sum(axis=-1))
    above = np.sqrt(effect * (squares * (upper - within) ** 2).sum(axis=-1))
    return Standardised(np.where(shared, rates, np.nan), size, below, above)


def standardised_upper(first: Standardised, second: Standardised, alpha: float) -> Floats:
    """Upper ends of first - second, two independent standardised rates; 1 where there is none.

    The wider of two intervals: `difference` of the two rates with their sizes, and the combination
    of Wilson's intervals of all strata (method of variance estimates recovery, Zou & Donner 2008;
    Yan & Su 2010). The first holds with many small strata, the second where a
    stratum has few hits or misses.
    """
    newcombe = difference_upper_bounds(*_counts(first), *_counts(second), alpha)
    combined = first.rates - second.rates + np.hypot(first.above, second.below)
    ends = np.maximum(newcombe, np.minimum(combined, 1.0))
    return np.where(np.isnan(combined), 1.0, ends)


def stratified_difference_bounds(
    cells: Cells,
    weights: Floats,
    levels: tuple[float, float],
    minimum_n: float,
    extremes: StratifiedExtremes | None = None,
) -> GroupBounds:
    """Bounds of the largest stratified difference between two groups, by `standardised_upper`.

    Args:
        cells: The known rows.
        weights: From `mantel_haenszel_weights`, by the known rows also for the extremes.
        levels: One-sided error of the claim, and of each comparison when corrected.
        minimum_n: Rows in shared strata below which a pair can never be part of a pass.
        extremes: The cells with the rows of unknown group.
    """

    def upper(alpha: float) -> Floats:
        high, low = _sides(cells, weights, alpha, extremes)
        return standardised_upper(high, _second(low), alpha)

    claim, corrected = (Ends(-u.T, u) for u in map(upper, levels))
    known = standardise(cells, weights, levels[0])
    gaps = known.rates - known.rates.T
    pair = _place(gaps, np.nanargmax)
    vacuous, small = _vacuous(cells, weights, minimum_n)
    return GroupBounds(
        value=None if pair is None else max(float(gaps[pair]), 0.0),
        **largest_difference(claim, corrected, vacuous),
        pair=pair,
        method="stratified Newcombe, Mantel-Haenszel weights",
        small=small,
        comparisons=ordered_pairs(len(gaps)),
        region=None if extremes is None else difference_region(*_rates(weights, extremes)),
    )


def stratified_ratio_bounds(
    cells: Cells,
    weights: Floats,
    levels: tuple[float, float],
    minimum_n: float,
    extremes: StratifiedExtremes | None = None,
) -> GroupBounds:
    """As `stratified_difference_bounds`, for the smallest ratio of two standardised rates.

    That is Mantel and Haenszel's ratio of risks (Nurminen 1981; Greenland & Robins 1985).
    """

    def lower(alpha: float) -> Floats:
        high, low = _sides(cells, weights, alpha, extremes)
        first, second = low, _second(high)
        hybrid = hybrid_ratio_lower(
            (first.rates, np.maximum(first.rates - first.below, 0.0)),
            (second.rates, np.minimum(second.rates + second.above, 1.0)),
        )
        koopman = ratio_lower_bounds(*_counts(first), *_counts(second), alpha)
        return np.where(np.isnan(first.rates), 0.0, np.minimum(koopman, np.nan_to_num(hybrid)))

    claim, corrected = (Ends(e, reciprocal(e.T)) for e in map(lower, levels))
    known = standardise(cells, weights, levels[0])
    bottom = known.rates.T
    ratios = np.full(bottom.shape, np.nan)
    np.divide(known.rates, bottom, out=ratios, where=bottom > 0)
    pair = _place(ratios, np.nanargmin)
    vacuous, small = _vacuous(cells, weights, minimum_n)
    return GroupBounds(
        value=None if pair is None else min(float(ratios[pair]), 1.0),
        **smallest_ratio(claim, corrected, vacuous),
        pair=pair,
        method="Koopman of standardised rates, Mantel-Haenszel weights",
        small=small,
        comparisons=ordered_pairs(len(ratios)),
        region=None if extremes is None else ratio_region(*_rates(weights, extremes)),
    )


def shared_rows(sizes: Floats, weights: Floats) -> Floats:
    """Rows of group i in the strata it shares with group j, (groups, groups)."""
    found: Floats = np.where(weights > 0, sizes[:, None, :], 0.0).sum(axis=2)
    return found


def _sides(
    cells: Cells, weights: Floats, alpha: float, extremes: StratifiedExtremes | None
) -> tuple[Standardised, Standardised]:
    if extremes is None:
        known = standardise(cells, weights, alpha)
        return known, known
    return standardise(extremes.highest, weights, alpha), standardise(
        extremes.lowest, weights, alpha
    )


def _second(rates: Standardised) -> Standardised:
    """At [i, j] the rate of group j for its comparison with group i."""
    return Standardised(*(part.T for part in rates))


def _counts(rates: Standardised) -> tuple[Floats, Floats]:
    return np.minimum(np.nan_to_num(rates.rates), 1.0) * rates.sizes, rates.sizes


def _rates(weights: Floats, extremes: StratifiedExtremes) -> tuple[Floats, Floats]:
    high, low = (standardise(side, weights, 0.05).rates for side in extremes)
    return high, low


def _place(values: Floats, extreme: object) -> tuple[int, int] | None:
    """Where the largest or smallest value of two different groups is; None without any."""
    assert callable(extreme)
    if values.size == 0 or np.isnan(values).all():
        return None
    first, second = np.unravel_index(int(extreme(values)), values.shape)
    return int(first), int(second)


def _vacuous(
    cells: Cells, weights: Floats, minimum_n: float
) -> tuple[NDArray[np.bool_], tuple[int, ...]]:
    """Pairs about which nothing is claimed, and the groups because of which."""
    apart = ~np.eye(len(cells.n), dtype=bool)
    few = (shared_rows(cells.n, weights) < max(minimum_n, 1)) & apart
    small = tuple(int(i) for i in np.flatnonzero(few.any(axis=1)))
    return few | few.T, small
