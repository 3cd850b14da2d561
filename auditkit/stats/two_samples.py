"""Whether two samples come from one distribution: permutation tests, and how large a shift is.

Every p-value is (b + 1) / (m + 1) for b of m random relabellings that give at least the observed
statistic, which makes the test exact at any m (Phipson & Smyth 2010).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditkit.finding import Interval
from auditkit.stats.intervals import Floats, critical_value

RELABELLINGS = 999
_PRIOR = 0.5
"""Added to each count: an empty bin would make the index infinite."""
_NEAR = 1e-12
"""Statistics that differ by less are equal."""


class Tested(NamedTuple):
    """A statistic and its permutation p-value."""

    value: float
    p: float


def stability_index(first: ArrayLike, second: ArrayLike) -> float:
    """Population stability index of two histograms (bins,): Σ (p - q) ln(p / q).

    The symmetrised Kullback-Leibler divergence (Jeffreys 1948; Siddiqi 2006), with half a row added
    to each bin. Below 0.1 is usually called small, above 0.25 large.
    """
    return float(_stability(np.asarray(first, float)[None], np.asarray(second, float)[None])[0])


def _stability(first: Floats, second: Floats) -> Floats:
    bins = first.shape[1]
    p = (first + _PRIOR) / (first.sum(axis=1, keepdims=True) + _PRIOR * bins)
    q = (second + _PRIOR) / (second.sum(axis=1, keepdims=True) + _PRIOR * bins)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=1))


def stability_interval(first: ArrayLike, second: ArrayLike, alpha: float) -> Interval:
    """Interval of the stability index of what two histograms (bins,) were drawn from.

    n m / (n + m) times the estimate is about noncentral χ² with bins - 1 degrees of freedom, its
    noncentrality that multiple of the true index (Yurdakul & Naranjo 2020 for no shift); the
    interval is its inversion, and so reaches 0 when there is no shift, which a bootstrap of an
    index that is never negative does not. For a large shift, whose index varies more than that, it
    is the wider of this and the delta method, whose upper end is taken of the root. Widened to hold
    the estimate, which is biased upwards by (bins - 1)(n + m) / (n m). In simulations of 200 to
    2,000 rows an end of 5 % errs in up to 6 %.
    """
    from scipy.special import chdtr, chndtrinc

    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    n, m, freedom = float(one.sum()), float(other.sum()), len(one) - 1
    value, rows = stability_index(one, other), n * m / (n + m)
    scaled, below = value * rows, float(chdtr(freedom, value * rows))
    lower = 0.0 if below <= 1 - alpha else float(chndtrinc(scaled, freedom, 1 - alpha)) / rows
    upper = 0.0 if below <= alpha else float(chndtrinc(scaled, freedom, alpha)) / rows
    centre = value - freedom / rows
    if lower > 0 and centre > 0:
        half = critical_value(alpha) * _stability_error(one, other)
        lower = max(min(lower, centre - half), 0.0)
        upper = max(upper, centre + half + half**2 / (4 * centre))
    return Interval(min(lower, value), max(upper, value))


def _stability_error(first: Floats, second: Floats) -> float:
    """Standard error of the index by the delta method."""
    p = (first + _PRIOR) / (first.sum() + _PRIOR * len(first))
    q = (second + _PRIOR) / (second.sum() + _PRIOR * len(second))
    ratio = np.log(p / q)
    variance = 0.0
    for share, slope, rows in (
        (p, ratio + 1 - q / p, first.sum()),
        (q, 1 - p / q - ratio, second.sum()),
    ):
        variance += float(share @ slope**2 - (share @ slope) ** 2) / rows
    return float(np.sqrt(max(variance, 0.0)))


def stability_test(first: ArrayLike, second: ArrayLike, rng: np.random.Generator) -> Tested:
    """The index, and the chance of one as large when rows are dealt to the two samples at random.

    Exact if the bins do not depend on which sample a row is of: quantiles of both together.
    """
    one, other = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    total = one + other
    drawn = rng.multivariate_hypergeometric(total, int(one.sum()), size=RELABELLINGS)
    values = _stability(drawn.astype(float), (total - drawn).astype(float))
    return _tested(stability_index(one, other), values)


def auc_test(
    scores: ArrayLike,
    second: ArrayLike,
    rng: np.random.Generator,
    clusters: NDArray[np.int64] | None = None,
) -> Tested:
    """AUC of scores (n,) that were learnt on other rows, and its chance under relabelling.

    A classifier two-sample test (Lopez-Paz & Oquab 2017; Kim et al. 2021). `second` (n,) says which
    rows are of the second sample, which should score higher; of one sample alone nothing is told.
    `clusters` (n,) with a row in either sample keep one in either, see `relabelled`.
    """
    from scipy.stats import rankdata

    is_second = np.asarray(second, dtype=np.bool_)
    ranks, m = rankdata(np.asarray(scores, dtype=float)), int(is_second.sum())
    n = len(ranks) - m
    if not n or not m:
        return Tested(0.5, 1.0)
    least = m * (m + 1) / 2

    def area(rows: NDArray[np.bool_]) -> float:
        return float((ranks[rows].sum() - least) / (n * m))

    values = np.array([area(relabelled(is_second, clusters, rng)) for _ in range(RELABELLINGS)])
    return _tested(area(is_second), values)


def relabelled(
    second: NDArray[np.bool_], clusters: NDArray[np.int64] | None, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which rows are of the second sample (n,), dealt anew as if the samples were one.

    The two rows of a cluster that has one in either sample change places or do not; all others are
    dealt at random. A cluster has at most one row in a sample.
    """
    if clusters is None:
        return rng.permutation(second)
    _, number, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    paired, found = sizes[number] > 1, second.copy()
    swapped = rng.random(len(sizes)) < 0.5
    found[paired] ^= swapped[number[paired]]
    found[~paired] = rng.permutation(second[~paired])
    return found


def mean_discrepancy_test(
    first: Floats,
    second: Floats,
    rng: np.random.Generator,
    clusters: NDArray[np.int64] | None = None,
) -> Tested:
    """Unbiased squared maximum mean discrepancy, and its chance under relabelling.

    Gretton et al. 2012, equation 3, with a Gaussian kernel exp(-d² / (2 σ²)) whose σ is the median
    distance of all rows. May be negative. Both (rows, width) with at least two rows. `clusters` of
    the rows of both, as in `auc_test`.
    """
    both = np.concatenate([first, second]).astype(np.float64)
    squares = (both**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * both @ both.T, 0.0)
    above = distances[np.triu_indices(len(both), 1)]
    kernel = np.exp(-distances / (2 * max(float(np.median(above)), 1e-300)))
    np.fill_diagonal(kernel, 0.0)
    of_first = np.arange(len(both)) < len(first)
    labels = np.stack(
        [of_first, *(relabelled(of_first, clusters, rng) for _ in range(RELABELLINGS))], axis=1
    )
    values = _discrepancies(kernel, labels.astype(np.float64))
    return _tested(float(values[0]), values[1:])


def _discrepancies(kernel: Floats, labels: Floats) -> Floats:
    """Squared discrepancy for each column of `labels` (rows, b), 1 for the first sample."""
    n = labels[:, 0].sum()
    m = len(labels) - n
    reached = kernel @ labels
    within = (reached * labels).sum(axis=0)
    across = reached.sum(axis=0) - within
    other = kernel.sum() - within - 2 * across
    return np.asarray(within / (n * (n - 1)) + other / (m * (m - 1)) - 2 * across / (n * m))


def _tested(value: float, drawn: Floats) -> Tested:
    extreme = int((drawn >= value - _NEAR).sum())
    return Tested(value, (extreme + 1) / (len(drawn) + 1))
