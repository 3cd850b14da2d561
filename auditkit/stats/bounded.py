"""Means of bounded values without a normality assumption."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.finding import Interval
from auditkit.stats.intervals import clopper_pearson


def empirical_bernstein(
    values: NDArray[Any], lowest: float, highest: float, alpha: float
) -> Interval:
    """One-sided bounds of a mean that hold at every n (Maurer & Pontil 2009, theorem 4).

    Args:
        values: Independent values, shape (n,), n >= 1.
        lowest: Smallest value possible.
        highest: Largest value possible.
        alpha: One-sided error of each end, 0..1.

    Raises:
        ValueError: A value lies outside lowest..highest.
    """
    sample = np.asarray(values, dtype=np.float64)
    if len(sample) and not (lowest <= sample.min() and sample.max() <= highest):
        raise ValueError(f"a value lies outside {lowest}..{highest}")
    n = len(sample)
    if n < 2:
        return Interval(lowest, highest)
    margin = bernstein_margin(n, float(sample.var(ddof=1)), highest - lowest, alpha)
    mean = float(sample.mean())
    return Interval(max(mean - margin, lowest), min(mean + margin, highest))


def bernstein_margin(n: int, variance: float, width: float, alpha: float) -> float:
    """How far a bound of `empirical_bernstein` lies from the mean, before it is clipped.

    Args:
        n: Values, at least 2.
        variance: Their sample variance.
        width: Largest value possible less the smallest.
        alpha: One-sided error of the bound.
    """
    log = math.log(2.0 / alpha)
    return math.sqrt(2.0 * variance * log / n) + 7.0 * width * log / (3.0 * (n - 1))


def signed_mean(
    values: NDArray[Any],
    alpha: float,
    clusters: NDArray[Any] | None = None,
    *,
    lowest: float = -1.0,
) -> Interval:
    """Bounds of the mean of values in -1..1 that trust no small sample's variance.

    The mean is that of the gains less that of the losses. Each is bounded as if it were a share:
    among values in 0..1 with one mean those of 0 and 1 spread most, so their exact bounds (Clopper
    & Pearson 1934, for sums between whole counts by interpolation of the beta quantile) are not
    too narrow; the two are combined as in Zou & Donner 2008. A t interval of values most of which
    are 0 passes rare large shifts that it has not seen; this one allows for them.

    Args:
        values: Shape (n,).
        alpha: One-sided error of each end, 0..1.
        clusters: Shape (n,); values of one cluster count as one, so that n becomes
            (sum of sizes)² / (sum of squared sizes), Kish's design effect at its largest.
        lowest: Smallest value possible, -1 or 0; with 0 there are no losses to bound.

    Returns:
        The interval, (lowest, 1) for n = 0.

    Raises:
        ValueError: A value lies outside lowest..1.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not len(sample):
        return Interval(lowest, 1.0)
    if not ((sample >= lowest) & (sample <= 1)).all():
        raise ValueError(f"a value lies outside {lowest:g}..1")
    sizes = np.ones(len(sample)) if clusters is None else np.unique(clusters, return_counts=True)[1]
    n = float(sizes.sum()) ** 2 / float(np.square(sizes).sum())
    gain, loss = float(np.maximum(sample, 0).mean()), float(np.maximum(-sample, 0).mean())
    up, down = clopper_pearson(gain * n, n, alpha), clopper_pearson(loss * n, n, alpha)
    if lowest >= 0:
        return up
    assert up.lower is not None and up.upper is not None  # noqa: PT018
    assert down.lower is not None and down.upper is not None  # noqa: PT018
    below = math.hypot(gain - up.lower, down.upper - loss)
    above = math.hypot(up.upper - gain, loss - down.lower)
    return Interval(max(gain - loss - below, -1.0), min(gain - loss + above, 1.0))
