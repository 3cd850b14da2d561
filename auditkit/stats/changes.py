"""How a quantity of one model differs from the same quantity of another, on the same rows.

Draws come from the Bayesian bootstrap (Rubin 1981): every row, or cluster, gets a random weight,
the same one for both models, so that what they share cancels. Its spread is that of resampling,
and it never empties a group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from auditkit.finding import Interval
from auditkit.stats.intervals import Floats, critical_t, critical_value

DRAWS = 4_000
PRIOR = 2.0
"""Rows that a stratum of a table is thought to have beside its own, spread evenly: without them a
table without disagreement would say that there can be none."""
LEADERS = 1_000
"""Quantities that the largest of many is held against."""
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
    spread = np.diag(covariance)
    variance = spread[m:, None] + spread[None, :m] - 2 * covariance[m:, :m]
    reach = partial(_reach, alpha, freedom)
    upper = _upper(after, before, variance, reach(m))
    lower = _upper(before, after, variance.T, reach(len(after)))
    return Interval(None if lower is None else -lower, upper)


def drawn_change_of_largest(
    own: tuple[Floats, Floats],
    draws: Iterator[Floats],
    quantities: Callable[[Floats], Floats],
    alpha: float,
    freedom: int | None = None,
) -> Interval:
    """As `change_of_largest`, of many quantities whose covariance is that of random draws.

    Each end holds for any one quantity that the largest is held against, so that a few are enough:
    the `LEADERS` largest are tried. They are chosen by the data, and so corrected for all.

    Args:
        own: The quantities (m,) of either model.
        draws: Random tables (b, ...), in chunks.
        quantities: From tables to the quantities (b, 2m), one model's before the other's.
        alpha: One-sided error of each end.
        freedom: As there.
    """
    m, count = len(own[0]), 0
    leading = [np.sort(np.argsort(-one, kind="stable")[:LEADERS]) for one in own]
    centre = np.concatenate(own)
    total, squares = np.zeros(2 * m), np.zeros(2 * m)
    products = [np.zeros((m, len(one))) for one in leading]
    for chunk in draws:
        parts = -(-len(chunk) * 2 * m // _CHUNK)
        for tables in np.array_split(chunk, min(parts, len(chunk))):
            away = quantities(tables) - centre
            count += len(away)
            total += away.sum(axis=0)
            squares += (away * away).sum(axis=0)
            products[0] += away[:, m:].T @ away[:, leading[0]]
            products[1] += away[:, :m].T @ away[:, m + leading[1]]
    mean = total / count
    spread = (squares - count * mean**2) / (count - 1)
    reach = _reach(alpha, freedom, m)
    ends = []
    for side, product in enumerate(products):
        rest, lead = slice(m, None) if side == 0 else slice(m), side * m + leading[side]
        shared = (product - count * np.outer(mean[rest], mean[lead])) / (count - 1)
        variance = spread[rest][:, None] + spread[lead][None, :] - 2 * shared
        ends.append(_upper(own[1 - side], own[side][leading[side]], variance, reach))
    return Interval(None if ends[1] is None else -ends[1], ends[0])


def _reach(alpha: float, freedom: int | None, tried: int) -> float:
    """Standard errors to an end that holds for all of so many quantities."""
    level = alpha / tried
    return critical_value(level) if freedom is None else critical_t(level, max(freedom, 1))


def _upper(largest: Floats, against: Floats, variance: Floats, reach: float) -> float | None:
    """Upper end of max(largest) less the largest of `against`; None if there is none.

    Args:
        largest: Shape (m,).
        against: Shape (k,).
        variance: Of each difference, shape (m, k); NaN where it is not known.
        reach: Standard errors to the end.
    """
    gaps = largest[:, None] - against[None, :]
    spread = np.sqrt(np.maximum(variance, 0.0))
    unknown = (spread <= _NOTHING) & (np.abs(gaps) > _NOTHING)
    spread = np.where(unknown | np.isnan(spread), np.inf, spread)
    end = float((gaps + reach * spread).max(axis=0).min())
    return end if math.isfinite(end) else None


def mirrored(interval: Interval) -> Interval:
    """The interval of the negative."""
    return Interval(
        None if interval.upper is None else -interval.upper,
        None if interval.lower is None else -interval.lower,
    )
