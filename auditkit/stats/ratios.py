"""Intervals of the ratio of two independent rates, and the four-fifths rule in whole numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditkit.finding import Interval
from auditkit.stats.intervals import (
    SPARSE,
    Floats,
    checked_counts,
    clopper_pearson_bounds,
    critical_value,
)

_HALVINGS = 64
_LOG_SPAN = 80.0
"""Logarithm of the largest ratio looked for: no counts below 10**30 reach it."""


def koopman_bounds(
    k1: ArrayLike, n1: ArrayLike, k2: ArrayLike, n2: ArrayLike, alpha: float
) -> tuple[Floats, Floats]:
    """Score bounds of (k1/n1) / (k2/n2) (Koopman 1984) for many pairs at once.

    The shapes broadcast. An upper end without bound is inf; a pair with an empty group, or
    without a hit in either group, gets 0 and inf. Own bisection: the ratio interval of
    `confint_proportions_2indep(method="score")` corrects the variance, which Koopman's does
    not, and turns complex or NaN when a count is 0 or n.
    """
    z = critical_value(alpha)
    hits1, sizes1, hits2, sizes2 = np.broadcast_arrays(
        *checked_counts(k1, n1), *checked_counts(k2, n2)
    )
    lower = _koopman_lower(hits1, sizes1, hits2, sizes2, z)
    return lower, reciprocal(_koopman_lower(hits2, sizes2, hits1, sizes1, z))


def exact_hybrid_ratio_bounds(
    k1: ArrayLike, n1: ArrayLike, k2: ArrayLike, n2: ArrayLike, alpha: float
) -> tuple[Floats, Floats]:
    """Two Clopper-Pearson intervals combined into one of their ratio (Donner & Zou 2012).

    Wider than Koopman's, and right with few hits or misses. Ends as in `koopman_bounds`.
    """
    hits1, sizes1, hits2, sizes2 = np.broadcast_arrays(
        *checked_counts(k1, n1), *checked_counts(k2, n2)
    )
    first, second = (hits1, sizes1), (hits2, sizes2)
    return _hybrid_lower(first, second, alpha), reciprocal(_hybrid_lower(second, first, alpha))


def ratio_bounds(
    k1: ArrayLike, n1: ArrayLike, k2: ArrayLike, n2: ArrayLike, alpha: float
) -> tuple[Floats, Floats]:
    """Many ratios at once by the rule of `ratio`; the shapes broadcast; inf is no bound."""
    lower = ratio_lower_bounds(k1, n1, k2, n2, alpha)
    return lower, reciprocal(ratio_lower_bounds(k2, n2, k1, n1, alpha))


def ratio_lower_bounds(
    k1: ArrayLike, n1: ArrayLike, k2: ArrayLike, n2: ArrayLike, alpha: float
) -> Floats:
    """The lower ends of `ratio_bounds` alone; the reciprocal's is the upper end."""
    hits1, sizes1, hits2, sizes2 = np.broadcast_arrays(
        *checked_counts(k1, n1), *checked_counts(k2, n2)
    )
    lower = _koopman_lower(hits1, sizes1, hits2, sizes2, critical_value(alpha))
    fewest = np.minimum(
        np.minimum(hits1, sizes1 - hits1),
        np.minimum(hits2, sizes2 - hits2),
    )
    sparse = fewest < SPARSE
    if sparse.any():
        exact = _hybrid_lower(
            (hits1[sparse], sizes1[sparse]), (hits2[sparse], sizes2[sparse]), alpha
        )
        lower[sparse] = np.minimum(lower[sparse], exact)
    return lower


def reciprocal(ratios: Floats) -> Floats:
    """1 / ratio; inf, which is no bound, for 0, and 0 for inf."""
    found: Floats = np.divide(1.0, ratios, out=np.full(ratios.shape, np.inf), where=ratios > 0)
    return found


def koopman(k1: float, n1: float, k2: float, n2: float, alpha: float) -> Interval:
    """Koopman's score interval of (k1/n1) / (k2/n2); an end without bound is None."""
    return _interval(*koopman_bounds(k1, n1, k2, n2, alpha))


def katz(k1: float, n1: float, k2: float, n2: float, alpha: float) -> Interval:
    """Katz's log interval of (k1/n1) / (k2/n2) (Katz et al. 1978), for tables that cite it.

    Interval(0, None) where it is undefined, which is with an empty group or a count of 0.
    """
    from statsmodels.stats.proportion import confint_proportions_2indep

    critical_value(alpha)
    checked_counts((k1, k2), (n1, n2))
    if min(k1, k2) == 0:
        return Interval(0.0, None)
    lower, upper = confint_proportions_2indep(
        k1, n1, k2, n2, method="log", compare="ratio", alpha=2 * alpha
    )
    return _interval(lower, upper)


def ratio(k1: float, n1: float, k2: float, n2: float, alpha: float) -> Interval:
    """The interval a verdict on (k1/n1) / (k2/n2) is read from.

    Koopman's; with fewer than 10 hits or misses in a group, where its single ends err up to
    twice as often as they claim, the wider of it and `exact_hybrid_ratio_bounds`.
    Interval(0, None) when a group is empty or nobody was hit in either; the upper end is None
    when k2 = 0, the lower 0 when k1 = 0. The counts may be effective counts.
    """
    return _interval(*ratio_bounds(k1, n1, k2, n2, alpha))


def fisher_exact(k1: int, n1: int, k2: int, n2: int) -> float:
    """Two-sided p value of Fisher's exact test that both rates are equal."""
    from scipy.stats import fisher_exact as test

    checked_counts((k1, k2), (n1, n2))
    return float(test(np.array([[k1, n1 - k1], [k2, n2 - k2]])).pvalue)


def at_least_four_fifths(
    k1: int, n1: int, k2: int, n2: int, limit: Fraction = Fraction(4, 5)
) -> bool:
    """Whether (k1/n1) / (k2/n2) >= `limit`, in whole numbers (29 CFR 1607.4 D).

    Exactly four fifths is no violation, which floats get wrong in a third of the cases. The
    second group is the reference; when it has no hit there is nothing to fall short of: True.
    Raises ValueError for an empty group, or counts that are not 0 <= k <= n.
    """
    checked_counts((k1, k2), (n1, n2))
    if min(n1, n2) == 0:
        raise ValueError("an empty group has no rate")
    return k1 * n2 * limit.denominator >= limit.numerator * k2 * n1


def one_person_flip(k1: int, n1: int, k2: int, n2: int, limit: Fraction = Fraction(4, 5)) -> bool:
    """Whether another outcome for one person, in either group, moves the ratio across `limit`.

    The ratio is that of the smaller rate to the larger, before and after, so the order of the
    groups does not matter. This is a warning that the numbers are small. It is stricter than
    the Uniform Guidelines' own example (Questions and Answers, no. 21), where choosing one
    other person must turn adverse impact into a higher rate for the same group.
    Raises ValueError as `at_least_four_fifths` does.
    """

    def holds(first: int, second: int) -> bool:
        return at_least_four_fifths(first, n1, second, n2, limit) and at_least_four_fifths(
            second, n2, first, n1, limit
        )

    now = holds(k1, k2)
    others = ((k1 - 1, k2), (k1 + 1, k2), (k1, k2 - 1), (k1, k2 + 1))
    return any(
        holds(first, second) != now
        for first, second in others
        if 0 <= first <= n1 and 0 <= second <= n2
    )


def _interval(lower: Floats, upper: Floats) -> Interval:
    return Interval(float(lower), float(upper) if np.isfinite(upper) else None)


def _hybrid_lower(
    first: tuple[Floats, Floats], second: tuple[Floats, Floats], alpha: float
) -> Floats:
    lower1 = clopper_pearson_bounds(*first, alpha)[0]
    upper2 = clopper_pearson_bounds(*second, alpha)[1]
    rate1, rate2 = (k / np.maximum(n, 1e-300) for k, n in (first, second))
    return hybrid_ratio_lower((rate1, lower1), (rate2, upper2))


def hybrid_ratio_lower(first: tuple[Floats, Floats], second: tuple[Floats, Floats]) -> Floats:
    """Lower end of a ratio from intervals of its parts (Donner & Zou 2012).

    `first` is the upper part and the lower end of its interval, `second` the lower part and the
    upper end of its.
    """
    (rate1, lower1), (rate2, upper2) = first, second
    a = lower1 * (2 * rate1 - lower1)
    b = upper2 * (2 * rate2 - upper2)
    product = rate1 * rate2
    bottom = product + np.sqrt(np.maximum(product * product - a * b, 0.0))
    return np.divide(a, bottom, out=np.zeros(np.shape(a)), where=bottom > 0)


def _koopman_lower(k1: Floats, n1: Floats, k2: Floats, n2: Floats, z: float) -> Floats:
    empty = (n1 == 0) | (n2 == 0) | ((k1 == 0) & (k2 == 0))
    first = np.where(empty, 1.0, k1), np.where(empty, 1.0, n1)
    second = np.where(empty, 1.0, k2), np.where(empty, 1.0, n2)
    return np.where(empty, 0.0, _score_lower(*first, *second, z))


def _score_lower(k1: Floats, n1: Floats, k2: Floats, n2: Floats, z: float) -> Floats:
    positive = k1 > 0
    hits = np.where(positive, k1, 1.0)
    span = np.full(hits.shape, _LOG_SPAN)
    farthest = np.full(hits.shape, np.exp(_LOG_SPAN))
    high = np.log(np.divide(hits * n2, n1 * k2, out=farthest, where=k2 > 0))
    low = -span
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        too_low = _score_is_beyond(hits, n1, k2, n2, np.exp(middle), z)
        low = np.where(too_low, middle, low)
        high = np.where(too_low, high, middle)
    return np.where(positive, np.exp(low), 0.0)


def _score_is_beyond(
    k1: Floats, n1: Floats, k2: Floats, n2: Floats, ratio: Floats, z: float
) -> NDArray[np.bool_]:
    total = n1 + n2
    b = ratio * (n1 + k2) + k1 + n2
    c = k1 + k2
    root = np.sqrt(np.maximum(b * b - 4 * ratio * total * c, 0.0))
    second = np.clip(2 * c / (b + root), 0.0, np.minimum(1.0, 1 / ratio))
    first = np.minimum(second * ratio, 1.0)
    variance = first * (1 - first) / n1 + ratio * ratio * second * (1 - second) / n2
    deviation = k1 / n1 - ratio * k2 / n2
    beyond: NDArray[np.bool_] = deviation * deviation > z * z * variance
    return beyond
