"""Intervals of a quantile from the order statistics alone, for any continuous distribution."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from auditkit.finding import Interval
from auditkit.stats.intervals import critical_value


class Ranks(NamedTuple):
    """1-based ranks of two order statistics; None where no rank of this sample will do."""

    lower: int | None
    upper: int | None


def order_statistic_ranks(n: int, p: float, alpha: float) -> Ranks:
    """Ranks of the sorted sample between which the `p` quantile lies, each end with error `alpha`.

    The count of values below the quantile is Binomial(n, p) (Conover 1999, 3.2). Too few
    values give None: no maximum of 100 requests bounds their 99 % quantile from above.
    Raises ValueError unless n >= 0 and 0 < p < 1.
    """
    from scipy.stats import binom

    critical_value(alpha)
    if n < 0 or not 0.0 < p < 1.0:
        raise ValueError(f"need n >= 0 and 0 < p < 1, not n={n}, p={p}")
    if n == 0:
        return Ranks(None, None)
    lower = int(binom.ppf(alpha, n, p))
    while lower > 0 and binom.cdf(lower - 1, n, p) > alpha:
        lower -= 1
    upper = int(binom.ppf(1 - alpha, n, p)) + 1
    return Ranks(lower or None, upper if upper <= n else None)


def quantile_interval(sorted_values: ArrayLike, p: float, alpha: float) -> Interval:
    """Interval of the `p` quantile of what `sorted_values` (n,) were drawn from.

    An end is None where the sample is too small to bound it. Raises ValueError unless the
    values ascend and are finite.
    """
    values = np.asarray(sorted_values, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (np.diff(values) < 0).any():
        raise ValueError("values must be a vector of finite numbers in ascending order")
    ranks = order_statistic_ranks(values.size, p, alpha)
    return Interval(
        None if ranks.lower is None else float(values[ranks.lower - 1]),
        None if ranks.upper is None else float(values[ranks.upper - 1]),
    )


def needed_for_quantile(p: float, exceeding: int, alpha: float) -> int:
    """Fewest values that show the `p` quantile below a bound when `exceeding` of them are over it.

    The rule by which MLPerf Inference stops early (its LoadGen, `early_stopping.cc`): the
    smallest n with P(Binomial(n, 1 - p) <= exceeding) <= alpha.
    """
    from scipy.stats import binom

    critical_value(alpha)
    if exceeding < 0 or not 0.0 < p < 1.0:
        raise ValueError(f"need exceeding >= 0 and 0 < p < 1, not {exceeding}, {p}")
    high = math.ceil((exceeding + 1) / (1 - p))
    while binom.cdf(exceeding, high, 1 - p) > alpha:
        high *= 2
    low = exceeding
    while high - low > 1:
        middle = (low + high) // 2
        if binom.cdf(exceeding, middle, 1 - p) <= alpha:
            high = middle
        else:
            low = middle
    return high
