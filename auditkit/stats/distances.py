"""Distances between the distributions of groups' scores, with bounds that hold at every n."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.finding import Interval
from auditkit.stats.intervals import Floats
from auditkit.stats.roc import Sample, deviation


@dataclass(frozen=True, slots=True, eq=False)
class Distributions:
    """Empirical distribution functions of several groups on a shared grid.

    Attributes:
        grid: Distinct scores of all groups, ascending, shape (points,).
        shares: Share of each group's rows with at most that score, shape (groups, points).
    """

    grid: Floats
    shares: Floats

    @classmethod
    def of(cls, groups: list[Floats]) -> Distributions:
        """From the scores of each group, shape (rows,), none of them empty."""
        grid, place = np.unique(np.concatenate(groups), return_inverse=True)
        starts = np.cumsum([len(scores) for scores in groups])[:-1]
        counts = [np.bincount(p, minlength=len(grid)) for p in np.split(place, starts)]
        shares = [np.cumsum(c) / max(int(c.sum()), 1) for c in counts]
        return cls(grid, np.array(shares))

    def kolmogorov_smirnov(self, first: int, second: int) -> float:
        """Largest difference of the two functions, 0..1: of the shares above any threshold."""
        return float(np.abs(self.shares[first] - self.shares[second]).max())

    def wasserstein(self, first: int, second: int) -> float:
        """Area between the two functions, the earth mover's distance of order 1.

        For scores in 0..1: the mean difference of the shares above a threshold, over thresholds.
        """
        apart = np.abs(self.shares[first] - self.shares[second])
        return float(apart[:-1] @ np.diff(self.grid))


def kolmogorov_smirnov_interval(
    value: float, first: Sample, second: Sample, alpha: float
) -> Interval:
    """Bounds of the largest difference of two true distribution functions.

    Each end errs by `alpha`. From the band of Dvoretzky, Kiefer & Wolfowitz with Massart's constant
    (1990) around each empirical function, half of the error each. Rows of one cluster count as
    copies of each other.
    """
    # The band is sqrt(log(2 / error) / (2 n)), and 1 / (2 n) is twice the squared error.
    away = math.sqrt(2.0 * math.log(4.0 / alpha)) * (first.error + second.error)
    return Interval(max(value - away, 0.0), min(value + away, 1.0))


def wasserstein_interval(value: float, first: Sample, second: Sample, alpha: float) -> Interval:
    """Bounds of the area between two true distribution functions on 0..1.

    Each end errs by `alpha`. One row moves the estimate by at most 1/n, so that it stays within
    `deviation` of its mean (McDiarmid 1989). Empirical functions are unbiased and a distance is
    convex, so that its mean is never below the true distance, and above it by at most the two
    functions' own errors.
    """
    away = deviation([first, second], alpha)
    apart = first.error + second.error
    return Interval(max(value - away - apart, 0.0), min(value + away, 1.0))


def permutation_p(
    first: Floats, second: Floats, rng: np.random.Generator, times: int = 199
) -> tuple[float, float]:
    """Chance of distances as large as these when group does not matter, by dealing rows anew.

    Args:
        first: Scores of one group, at least one.
        second: Scores of the other.
        rng: Deals the rows.
        times: Random deals; the smallest p is 1 / (times + 1).

    Returns:
        The p of the Kolmogorov-Smirnov and of the Wasserstein distance.
    """
    both = np.concatenate([first, second])
    order = np.argsort(both, kind="stable")
    steps = np.diff(both[order])
    own = order < len(first)
    observed = _distances(own, steps)
    dealt = np.array([_distances(rng.permutation(own), steps) for _ in range(times)])
    beaten = (dealt >= observed - 1e-12).sum(axis=0)
    ks, wasserstein = ((1 + beaten) / (times + 1)).tolist()
    return ks, wasserstein


def _distances(own: NDArray[np.bool_], steps: Floats) -> Floats:
    """Both distances, from which of the sorted rows are of the first group, and the steps between
    their scores."""
    below, size, n = np.cumsum(own), int(own.sum()), len(own)
    apart = np.abs(below / size - (np.arange(1, n + 1) - below) / (n - size))
    last = np.append(steps > 0, True)
    return np.array([apart[last].max(), apart[:-1] @ steps])
