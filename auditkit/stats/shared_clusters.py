"""Two samples in which one cluster (a person, a document) may have rows on both sides."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditkit.finding import Interval
from auditkit.stats.intervals import Floats, cluster_sums, critical_t

Clusters = NDArray[np.int64] | None


def share_clusters(first: Clusters, second: Clusters) -> bool:
    """Whether a cluster has rows in both samples. Without clusters every row is its own."""
    return first is not None and second is not None and bool(np.isin(first, second).any())


def mean_difference(
    first: ArrayLike, second: ArrayLike, clusters: tuple[Clusters, Clusters], alpha: float
) -> Interval:
    """t interval of the mean of `first` (n,) less that of `second` (m,), clusters summed over both.

    The difference is a sum of one influence value a row; those of a cluster are added wherever
    its rows are, so that what a cluster does to both means together is in the error: less than of
    independent samples where it moves both alike, and up to twice the variance where it moves one
    up and the other down. Degrees of freedom are those of the sample of fewer clusters. No bounds
    where a sample has fewer than two.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    labels = [
        np.arange(len(values)) if own is None else own
        for values, own in zip((one, other), clusters, strict=True)
    ]
    fewest = min(len(np.unique(own)) for own in labels)
    if fewest < 2:
        return Interval(None, None)
    influence: Floats = np.concatenate(
        [(one - one.mean()) / len(one), -(other - other.mean()) / len(other)]
    )
    together = None if clusters[0] is None or clusters[1] is None else np.concatenate(labels)
    sums = cluster_sums(influence, together)
    error = math.sqrt(fewest / (fewest - 1) * float(sums @ sums))
    gap, half = float(one.mean() - other.mean()), critical_t(alpha, fewest - 1) * error
    return Interval(gap - half, gap + half)


def wider(one: Interval, other: Interval) -> Interval:
    """The smallest interval that contains both; an open end of either stays open."""
    lower = None if one.lower is None or other.lower is None else min(one.lower, other.lower)
    upper = None if one.upper is None or other.upper is None else max(one.upper, other.upper)
    return Interval(lower, upper)
