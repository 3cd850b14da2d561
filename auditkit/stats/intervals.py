"""Intervals of one rate, of one mean, and of a rate whose rows come in clusters."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditkit.finding import Interval

Floats = NDArray[np.float64]

_MANY = 500
"""Counts from which on equal ones are bounded once."""
SPARSE = 10.0
"""Below this many hits, or misses, in a group the score intervals of a difference or a ratio are
widened to one built on exact bounds: near 0 and 1 a single end of theirs errs too often."""


def critical_value(alpha: float) -> float:
    """Upper `alpha` point of the standard normal distribution.

    Raises ValueError unless 0 < alpha < 0.5.
    """
    if not 0.0 < alpha < 0.5:
        raise ValueError(f"alpha is the error of one end, between 0 and 0.5, not {alpha}")
    return -NormalDist().inv_cdf(alpha)


def critical_t(alpha: float, freedom: int) -> float:
    """Upper `alpha` point of Student's t with `freedom` >= 1 degrees of freedom."""
    from scipy.special import stdtrit

    critical_value(alpha)
    return -float(stdtrit(freedom, alpha))


def checked_counts(k: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """`k` and `n` as float arrays of their common shape.

    Raises ValueError unless everything is finite and 0 <= k <= n.
    """
    hits, sizes = np.broadcast_arrays(
        np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    )
    if not (np.isfinite(sizes).all() and (hits >= 0).all() and (hits <= sizes).all()):
        raise ValueError(f"counts must be finite with 0 <= k <= n, not k={k!r}, n={n!r}")
    return hits, sizes


def wilson_bounds(k: ArrayLike, n: ArrayLike, alpha: float) -> tuple[Floats, Floats]:
    """Wilson's score bounds (Wilson 1927) of many rates at once.

    `k` and `n` broadcast to one shape, which both returned arrays have; n = 0 gives 0 and 1.
    The closed form is written out because it runs inside simulations over millions of pairs, and
    statsmodels' import alone takes longer than an audit's statistics; it agrees with
    `proportion_confint(method="wilson")` to rounding.
    """
    z2 = critical_value(alpha) ** 2
    hits, sizes = checked_counts(k, n)
    denominator = sizes + z2
    centre = (hits + z2 / 2) / denominator
    safe = np.maximum(sizes, 1e-300)
    half = np.sqrt(z2 * (hits * (sizes - hits) / safe + z2 / 4)) / denominator
    empty = sizes == 0
    lower = np.where(empty | (hits == 0), 0.0, np.maximum(centre - half, 0.0))
    upper = np.where(empty | (hits == sizes), 1.0, np.minimum(centre + half, 1.0))
    rates = np.where(empty, 0.5, hits / safe)
    return np.minimum(lower, rates), np.maximum(upper, rates)


def clopper_pearson_bounds(k: ArrayLike, n: ArrayLike, alpha: float) -> tuple[Floats, Floats]:
    """Exact bounds (Clopper & Pearson 1934) of many rates at once; n = 0 gives 0 and 1.

    Each end's error is at most `alpha` for whole counts, whatever the true rate.
    """
    from scipy.special import betaincinv

    critical_value(alpha)
    hits, sizes = checked_counts(k, n)
    if hits.size > _MANY:
        # All pairs of many groups: the counts of each group come once for every other group.
        once, place = np.unique(hits.ravel() + 1j * sizes.ravel(), return_inverse=True)
        if once.size < hits.size:
            ends = clopper_pearson_bounds(once.real, once.imag, alpha)
            place = place.reshape(hits.shape)
            return ends[0][place], ends[1][place]
    misses = sizes - hits
    none, all_hit = hits == 0, misses == 0
    lower = betaincinv(np.where(none, 1.0, hits), misses + 1, alpha)
    upper = 1.0 - betaincinv(np.where(all_hit, 1.0, misses), hits + 1, alpha)
    rates = np.where(sizes == 0, 0.5, hits / np.maximum(sizes, 1e-300))
    return (
        np.where(none, 0.0, np.minimum(lower, rates)),
        np.where(all_hit, 1.0, np.maximum(upper, rates)),
    )


def wilson(k: float, n: float, alpha: float) -> Interval:
    """Wilson's score interval (Wilson 1927) of `k` hits in `n`; Interval(0, 1) for n = 0."""
    return _interval(*wilson_bounds(k, n, alpha))


def clopper_pearson(k: float, n: float, alpha: float) -> Interval:
    """Exact interval (Clopper & Pearson 1934) of `k` hits in `n`; Interval(0, 1) for n = 0."""
    return _interval(*clopper_pearson_bounds(k, n, alpha))


def rate(k: float, n: float, alpha: float) -> Interval:
    """The interval a verdict on one rate is read from.

    Exact (Clopper & Pearson 1934); Interval(0, 1), which says nothing, for n = 0. A verdict
    reads one end alone, and Wilson's ends do not hold one at a time: its 95 % lower bound of a
    rare event is wrong in up to 18 % of samples, its 99.9 % bound in up to 7 % (Cai 2005 has
    the theory). Use `wilson` to draw whiskers. `k` and `n` may be effective counts.
    """
    return clopper_pearson(k, n, alpha)


class EffectiveCounts(NamedTuple):
    """Counts of the independent sample that would say as much as the clustered one."""

    k: float
    n: float


def effective_counts(
    hits: ArrayLike, clusters: ArrayLike, alpha: float | None = None
) -> EffectiveCounts:
    """Effective hits and rows of a rate whose rows come in clusters (people, documents).

    `hits` (n,) holds 0 and 1, `clusters` (n,) a label a row. Kish's design effect is the
    cluster-robust variance of the rate over p(1-p)/n, never taken below 1; feed the result to
    `rate`, `difference` or `ratio` (Korn & Graubard 1998; Franco et al. 2019). With `alpha`, n
    also shrinks by (t[n-1] / t[clusters-1])**2, Korn & Graubard's allowance for few clusters;
    give the smallest alpha the counts will be used at.

    Where all rows agree there is no variance to compare: every cluster then counts as one row.
    Raises ValueError on values other than 0 and 1, or shapes that differ.
    """
    values = np.asarray(hits, dtype=np.float64)
    labels = np.asarray(clusters)
    if values.ndim != 1 or values.shape != labels.shape or not np.isin(values, (0, 1)).all():
        raise ValueError("hits must be a vector of 0 and 1, with one cluster label each")
    n = values.size
    if n == 0:
        return EffectiveCounts(0.0, 0.0)
    share = float(values.mean())
    sums = cluster_sums(values - share, labels)
    groups = sums.size
    plain = n * share * (1 - share)
    if groups == n:
        return EffectiveCounts(float(values.sum()), float(n))
    if groups < 2 or plain == 0:
        effect = n / groups
    else:
        effect = max(1.0, groups / (groups - 1) * float(sums @ sums) / plain)
    size = n / effect
    if alpha is not None:
        few = critical_t(alpha, max(groups - 1, 1))
        size = min(size, size * (critical_t(alpha, n - 1) / few) ** 2)
    return EffectiveCounts(min(share, 1.0) * size, size)


def cluster_sums(values: Floats, clusters: ArrayLike | None) -> Floats:
    """Sum of `values` (n,) within each cluster, in the order of the sorted labels.

    Without clusters every row is its own, and `values` itself comes back.
    """
    if clusters is None:
        return values
    labels = np.asarray(clusters)
    if labels.shape != values.shape:
        raise ValueError(f"{labels.size} cluster labels for {values.size} rows")
    _, position = np.unique(labels, return_inverse=True)
    return np.bincount(position, weights=values).astype(np.float64)


def mean_interval(
    values: ArrayLike,
    alpha: float,
    clusters: ArrayLike | None = None,
    support: tuple[float, float] | None = (0.0, 1.0),
) -> Interval:
    """t interval of the mean of per-row values, with a cluster-robust error where rows repeat.

    `values` (n,) lie within `support`, to which the interval is clipped; None stands for values
    without known limits. With `clusters` (n,) the error is that of the cluster sums, on
    clusters - 1 degrees of freedom (Miller 2024, arXiv 2411.00640).

    When no two rows (or clusters) differ the sample says nothing about its own variance. Then
    at most 1 - alpha**(1/n) of the population can differ from what was seen, and the interval
    reaches as far as that share, at the ends of the support, could move the mean.
    Too little to say anything (n = 0, or one row and no support) gives the support, or no bounds.
    Raises ValueError on values that are not finite or lie outside the support.
    """
    rows = np.asarray(values, dtype=np.float64)
    low, high = support if support is not None else (-math.inf, math.inf)
    if rows.ndim != 1 or not np.isfinite(rows).all():
        raise ValueError("values must be a vector of finite numbers")
    if rows.size and (rows.min() < low or rows.max() > high):
        raise ValueError(f"values must lie within {support}")
    if rows.size == 0:
        return Interval(*support) if support is not None else Interval(None, None)
    mean = float(rows.mean())
    sums = cluster_sums(rows - mean, clusters)
    units = sums.size
    error = 0.0
    if units > 1:
        error = math.sqrt(units / (units - 1) * float(sums @ sums)) / rows.size
    if error <= 1e-12 * max(1.0, abs(mean)):
        if support is None:
            return Interval(None, None)
        unseen = 1 - alpha ** (1 / units)
        return Interval(mean - (mean - low) * unseen, mean + (high - mean) * unseen)
    half = critical_t(alpha, units - 1) * error
    return Interval(max(low, mean - half), min(high, mean + half))


def _interval(lower: Floats, upper: Floats) -> Interval:
    return Interval(float(lower), float(upper))
