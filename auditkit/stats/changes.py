"""How a quantity of one model differs from the same quantity of another, on the same rows.

Draws come from the Bayesian bootstrap (Rubin 1981): every row, or cluster, gets a random weight,
the same one for both models, so that what they share cancels. Its spread is that of resampling,
and it never empties a group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from auditkit.finding import Interval
from auditkit.stats.intervals import Floats, critical_t, critical_value

DRAWS = 4_000
PRIOR = 2.0
"""Rows that a stratum of a table is thought to have beside its own, spread evenly: without them a
table without disagreement would say that there can be none."""
_CHUNK = 1 << 22
_NOTHING = 1e-12


def table_draws(
    tables: NDArray[np.int64], rng: np.random.Generator, strata_axes: int
) -> Iterator[Floats]:
    """Random tables like this one, in chunks of shape (b, *tables.shape).

    Args:
        tables: Counts; the first `strata_axes` axes name strata (group, true class), the others
            what the models answered.
        rng: Random numbers.
        strata_axes: How many of the leading axes are strata.
    """
    inner = int(np.prod(tables.shape[strata_axes:]))
    filled = tables.sum(axis=tuple(range(strata_axes, tables.ndim)), keepdims=True) > 0
    shape = np.where(filled, tables + PRIOR / inner, 0.0)
    size = max(1, _CHUNK // max(tables.size, 1))
    for start in range(0, DRAWS, size):
        drawn = rng.gamma(shape, size=(min(size, DRAWS - start), *tables.shape))
        yield drawn.astype(np.float64)


def cluster_draws(tables: NDArray[np.int64], rng: np.random.Generator) -> Iterator[Floats]:
    """Random sums of the clusters' tables, in chunks of shape (b, *tables.shape[1:]).

    Args:
        tables: Counts of each cluster, shape (clusters, ...).
        rng: Random numbers.
    """
    flat = tables.reshape(len(tables), -1).astype(np.float64)
    size = max(1, _CHUNK // max(*flat.shape, 1))
    for start in range(0, DRAWS, size):
        weights = rng.exponential(size=(min(size, DRAWS - start), len(tables)))
        yield (weights @ flat).reshape(-1, *tables.shape[1:])


def weight_draws(units: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Random weights of the rows, or clusters, with mean 1, in chunks of shape (b, units)."""
    size = max(1, _CHUNK // max(units, 1))
    for start in range(0, DRAWS, size):
        yield rng.exponential(size=(min(size, DRAWS - start), units))


def covariance_of(chunks: Iterator[Floats], quantities: Callable[[Floats], Floats]) -> Floats:
    """Covariance (m, m) of the quantities (b, m) over all draws; NaN where one is undefined."""
    values = np.concatenate([quantities(chunk) for chunk in chunks])
    return np.atleast_2d(np.cov(values, rowvar=False))


def change_of_largest(
    before: Floats,
    after: Floats,
    covariance: Floats,
    alpha: float,
    freedom: int | None = None,
) -> Interval:
    """Interval of how the largest of some quantities has changed: max(after) - max(before).

    The two largest need not be the same quantity, and a largest of several is biased upwards, so
    the change of the largest is never resampled itself. Let p be the truly largest one after. For
    any one q before, max(after) - max(before) <= after[p] - before[q], so that the largest upper
    bound over p, which needs no correction, holds for that q; the smallest of these over q holds
    when each is corrected for the number of q. The lower end is the mirror image. With one quantity
    each this is the plain interval of the difference.

    Args:
        before: The quantities (m,) of one model.
        after: Those of the other, (k,), which need not be the same ones.
        covariance: Of both, before then after, shape (m + k, m + k).
        alpha: One-sided error of each end.
        freedom: Degrees of freedom, when the covariance is of few clusters; None for many rows.
    """
    m = len(before)
    reach_up, reach_down = (
        critical_value(level) if freedom is None else critical_t(level, max(freedom, 1))
        for level in (alpha / m, alpha / len(after))
    )
    variance = np.diag(covariance)
    shared = covariance[m:, :m]
    spread = np.sqrt(np.maximum(variance[m:, None] + variance[None, :m] - 2 * shared, 0.0))
    gaps = after[:, None] - before[None, :]
    unknown = (spread <= _NOTHING) & (np.abs(gaps) > _NOTHING)
    spread = np.where(unknown | np.isnan(spread), np.inf, spread)
    upper = float((gaps + reach_up * spread).max(axis=0).min())
    lower = float((gaps - reach_down * spread).min(axis=1).max())
    return Interval(*(end if math.isfinite(end) else None for end in (lower, upper)))


def mirrored(interval: Interval) -> Interval:
    """The interval of the negative."""
    return Interval(
        None if interval.upper is None else -interval.upper,
        None if interval.lower is None else -interval.lower,
    )
