"""The delete-a-group jackknife, for statistics too expensive for a bootstrap."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.finding import Interval
from auditkit.stats.intervals import critical_t


@dataclass(frozen=True, slots=True)
class JackknifeEstimate:
    """A statistic of all rows and its standard error."""

    value: float | None
    """None when the statistic is undefined on all rows."""
    error: float | None
    """None when it could not be estimated: the statistic was undefined, or never changed."""
    groups: int

    def interval(self, alpha: float) -> Interval:
        """t interval on groups - 1 degrees of freedom; no bounds without an error."""
        if self.value is None or self.error is None:
            return Interval(None, None)
        half = critical_t(alpha, self.groups - 1) * self.error
        return Interval(self.value - half, self.value + half)


def jackknife(
    statistic: Callable[[NDArray[np.intp]], float], n: int, groups: int, rng: np.random.Generator
) -> JackknifeEstimate:
    """Call `statistic` with the indices of all `n` rows, then `groups` times with a part gone.

    The rows are dealt at random into `groups` parts of equal size, give or take one (Shao & Tu
    1995, 2.3); n < groups leaves one part a row. Raises ValueError unless n, groups >= 2.
    """
    if n < 2 or groups < 2:
        raise ValueError(f"a jackknife needs two rows and two groups, not {n} and {groups}")
    parts = np.array_split(rng.permutation(n), min(n, groups))
    rows = np.arange(n)
    value = float(statistic(rows))
    left = np.array([statistic(np.delete(rows, part)) for part in parts], dtype=np.float64)
    error = math.sqrt((left.size - 1) / left.size * float(((left - left.mean()) ** 2).sum()))
    if not math.isfinite(value):
        return JackknifeEstimate(None, None, left.size)
    usable = math.isfinite(error) and error > 1e-12 * max(1.0, abs(value))
    return JackknifeEstimate(value, error if usable else None, left.size)


def delete_group_jackknife(
    statistic: Callable[[NDArray[np.intp]], float],
    n: int,
    groups: int,
    rng: np.random.Generator,
    alpha: float,
) -> Interval:
    """t interval by `jackknife`; for two levels of one statistic call that and ask it twice."""
    return jackknife(statistic, n, groups, rng).interval(alpha)
