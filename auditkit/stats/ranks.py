"""How alike two vectors of weights of the same things are: by rank, and by what is on top."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from auditkit.stats.intervals import Floats


def average_ranks(values: ArrayLike) -> Floats:
    """Ranks from 1 for the smallest, shape (n,); equal values share the mean of their ranks.

    Raises ValueError unless the values are a finite vector.
    """
    vector = _checked(values)
    _, place, counts = np.unique(vector, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: Floats = last - (counts - 1) / 2.0
    return mean[place]


def spearman(first: ArrayLike, second: ArrayLike) -> float | None:
    """Rank correlation (Spearman 1904) of two vectors, -1 to 1, ties at their mean rank.

    None where it is undefined: fewer than two values, or a vector whose values are all equal.
    Raises ValueError for vectors that are not finite, or of two lengths.
    """
    one, other = _pair(first, second)
    if min(len(np.unique(one)), len(np.unique(other))) < 2:
        return None
    x, y = (ranks - ranks.mean() for ranks in (average_ranks(one), average_ranks(other)))
    return _within(float(x @ y) / math.sqrt(float(x @ x) * float(y @ y)))


def top_overlap(first: ArrayLike, second: ArrayLike, count: int) -> float | None:
    """Share of the `count` largest weights that two vectors have in common, 0 to 1.

    With fewer weights than that the whole is meant, and the overlap is 1. Weights that tie at the
    edge of the top are taken in parts, as the mean over all ways to break the ties one by one and
    independently in each vector: a vector that prefers nothing overlaps as much as chance. None
    where there are no weights. Raises ValueError as `spearman`, or for `count` below 1.
    """
    one, other = _pair(first, second)
    if not len(one):
        return None
    size = min(count, len(one))
    return _within(float(_membership(one, count) @ _membership(other, count)) / size)


def _membership(weights: Floats, count: int) -> Floats:
    """The chance of each weight to be in the top when ties are broken at random, shape (n,)."""
    if count < 1:
        raise ValueError(f"the top is at least 1 of the weights, not {count}")
    if count >= len(weights):
        return np.ones(len(weights))
    edge = np.partition(weights, len(weights) - count)[len(weights) - count]
    above, at = weights > edge, weights == edge
    share = (count - int(above.sum())) / int(at.sum())
    return np.where(above, 1.0, np.where(at, share, 0.0))


def _checked(values: ArrayLike) -> Floats:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise ValueError("weights must be a vector of finite numbers")
    return vector


def _pair(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats]:
    one, other = _checked(first), _checked(second)
    if len(one) != len(other):
        raise ValueError(f"two vectors of one length are compared, not {len(one)} and {len(other)}")
    return one, other


def _within(value: float) -> float:
    """The value less what rounding puts beyond -1 or 1."""
    return min(max(value, -1.0), 1.0)
