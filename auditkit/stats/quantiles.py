"""Intervals of a quantile from the order statistics alone, for any continuous distribution."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditkit.finding import Interval
from auditkit.stats.intervals import critical_value

BURST_ALPHA = 0.01
"""Error of the claim that values over a quantile come in bursts."""
BLOCKS = 25
"""Blocks into which a series is cut to look for bursts."""
_ROUNDING = 1e-9


class Ranks(NamedTuple):
    """1-based ranks of two order statistics; None where no rank of this sample will do."""

    lower: int | None
    upper: int | None


@lru_cache(maxsize=4096)
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


def quantile_interval(
    sorted_values: ArrayLike, p: float, alpha: float, effective: float | None = None
) -> Interval:
    """Interval of the `p` quantile of what `sorted_values` (n,) were drawn from.

    Each end errs with probability `alpha` at most: together they are a two-sided interval of level
    1 - 2 alpha, and each is a one-sided bound by itself. An end is None where the sample is too
    small to bound it. `effective` is how many independent values these are worth, where they
    depend on each other; the ranks of a sample of that size are scaled to this one, outwards.
    Raises ValueError unless the values ascend and are finite, or on `effective` outside 1 to n.
    """
    values = _ascending(sorted_values)
    n = values.size
    if effective is None or n == 0:
        size, scale = n, 1.0
    elif 1.0 <= effective <= n:
        size = math.floor(effective)
        scale = n / size
    else:
        raise ValueError(f"effective must lie between 1 and {n}, not {effective}")
    ranks = order_statistic_ranks(size, p, alpha)
    # A rank r of the smaller sample leaves the share r / size of the values at or below it.
    lower = None if ranks.lower is None else math.floor((ranks.lower - 1) * scale) + 1
    upper = None if ranks.upper is None else math.ceil(ranks.upper * scale)
    return Interval(
        None if lower is None else float(values[lower - 1]),
        None if upper is None else float(values[min(upper, n) - 1]),
    )


def quantile(sorted_values: ArrayLike, p: float) -> float:
    """The `p` quantile of a sample itself: the smallest value that a share `p` does not exceed.

    Raises ValueError unless there is a value, and the values ascend and are finite.
    """
    values = _ascending(sorted_values)
    if not values.size or not 0.0 < p < 1.0:
        raise ValueError(f"need a value and 0 < p < 1, not n={values.size}, p={p}")
    return float(values[max(math.ceil(p * values.size - _ROUNDING), 1) - 1])


def needed_to_bound(p: float, alpha: float) -> int:
    """Fewest values of which one bounds the `p` quantile from above: the largest, then.

    299 for the 99 % quantile at alpha 0.05.
    """
    return needed_for_quantile(p, 0, alpha)


def early_stopping_estimate(sorted_values: ArrayLike, p: float, alpha: float) -> float | None:
    """What MLPerf Inference reports as the `p` quantile of a single stream; None of too few values.

    With the most values t of which `needed_for_quantile(p, t, alpha)` are there, the t - 1 largest
    are dropped and the next is the estimate (LoadGen's `results.cc`; alpha is 0.01 there). It is an
    upper bound, one rank above that of `quantile_interval`.
    """
    values = _ascending(sorted_values)
    over = 0
    # At most the upper rank's count of values may be over it: start next to where it must end.
    rank = order_statistic_ranks(values.size, p, alpha).upper
    if rank is not None:
        over = values.size - rank
    while over and needed_for_quantile(p, over, alpha) > values.size:
        over -= 1
    return float(values[values.size - over]) if over else None


def independent_values(values: ArrayLike, p: float, alpha: float = BURST_ALPHA) -> float:
    """How many independent values a series is worth when its `p` quantile is bounded.

    Values that are large one after the other (a burst, while something else uses the machine) tell
    less than as many large ones here and there. The series (n,), in the order it was measured, is
    cut into `BLOCKS` blocks, as for batch means (Schmeiser 1982); the values over the quantile are
    counted in each. If the counts are spread more than binomial ones are (Fisher's dispersion test
    at level `alpha`), n is divided by their variance over the binomial one, the design effect of
    Kish (1965); else it is n.
    """
    from scipy.stats import chi2

    series = np.asarray(values, dtype=np.float64)
    n = series.size
    length = n // BLOCKS
    if length < 2:
        return float(n)
    over = series > quantile(np.sort(series), p)
    counts = over[: BLOCKS * length].reshape(BLOCKS, length).sum(axis=1)
    share = float(counts.mean()) / length
    if not 0.0 < share < 1.0:
        return float(n)
    spread = float(((counts - counts.mean()) ** 2).sum()) / (length * share * (1 - share))
    if chi2.sf(spread, BLOCKS - 1) > alpha:
        return float(n)
    return max(n * (BLOCKS - 1) / spread, 1.0)


def _ascending(values: ArrayLike) -> NDArray[np.float64]:
    ordered = np.asarray(values, dtype=np.float64)
    if ordered.ndim != 1 or not np.isfinite(ordered).all() or (np.diff(ordered) < 0).any():
        raise ValueError("values must be a vector of finite numbers in ascending order")
    return ordered


@lru_cache(maxsize=4096)
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
