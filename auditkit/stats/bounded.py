"""Means of bounded values without a normality assumption."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.finding import Interval


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
