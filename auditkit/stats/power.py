"""How many rows a claim needs, and what a sample of a given size could have shown.

Normal approximations with unpooled variances, as in Chow, Shao & Wang (2008), chapter 4: good to
plan with, not to judge by. `alpha` is one-sided as everywhere; 0.025 plans a two-sided 5 % test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

from auditkit.stats.intervals import critical_value

_HALVINGS = 60
_STEPS = 200


def smallest_detectable_gap(
    n1: int, n2: int, rate: float, alpha: float, power: float = 0.8
) -> float | None:
    """The gap between two groups' rates that a test of this size finds with probability `power`.

    One group has `rate`, the other a rate nearer 1/2, which is the harder case; the smaller
    group is the one that moved. None when no gap in that direction could be found.
    """
    small, large = sorted((n1, n2))
    if small < 1:
        return None
    needed = _distance(alpha, power) ** 2
    sign, room = _towards_half(rate)

    def found(gap: float) -> bool:
        other = rate + sign * gap
        return gap * gap >= needed * (other * (1 - other) / small + rate * (1 - rate) / large)

    if not found(room):
        return None
    return _smallest(found, room)


def smallest_detectable_drop(n: int, rate: float, alpha: float, power: float = 0.8) -> float | None:
    """The drop of one rate below `rate` that `n` rows find with probability `power`.

    With the variance at `rate` for the level, as a test has it, and that below for the power.
    None when not even a drop to 0 could be found.
    """
    if n < 1 or not 0.0 < rate <= 1.0:
        return None
    level, chance = critical_value(alpha), _quantile(power)

    def found(drop: float) -> bool:
        lower = rate - drop
        needed = level * math.sqrt(rate * (1 - rate)) + chance * math.sqrt(lower * (1 - lower))
        return math.sqrt(n) * drop >= needed

    return _smallest(found, rate) if found(rate) else None


def largest_detectable_ratio(
    n1: int, n2: int, rate: float, alpha: float, power: float = 0.8
) -> float | None:
    """The ratio below 1 of two groups' rates that is told from 1 with probability `power`.

    One group has `rate`; the smaller one's is lower. By the variance of the logarithm of a ratio
    (Katz et al. 1978). None when no ratio that leaves the smaller group a hit could be found.
    """
    small, large = sorted((n1, n2))
    if small < 1 or not 0.0 < rate <= 1.0:
        return None
    distance = _distance(alpha, power)

    def found(shortfall: float) -> bool:
        lower = rate * (1 - shortfall)
        variance = (1 - lower) / (small * lower) + (1 - rate) / (large * rate)
        return -math.log1p(-shortfall) >= distance * math.sqrt(variance)

    # Beyond some shortfall the few hits left say less again, so the first that is found counts.
    most = max(1 - 1 / (small * rate), 0.0)
    steps = np.linspace(0.0, most, _STEPS + 1)[1:].tolist()
    first = next((step for step in steps if found(step)), None)
    return None if first is None else 1 - _smallest(found, first)


def smallest_detectable_paired(
    n: int, discordant: float, alpha: float, power: float = 0.8
) -> float | None:
    """The gap between two answers to the same `n` rows that McNemar's test finds (Connor 1987).

    `discordant` is the share of rows that are a hit of one answer only. None when not even a gap
    as large as that could be found.
    """
    if n < 1 or not 0.0 < discordant <= 1.0:
        return None

    def found(gap: float) -> bool:
        first = (discordant + gap) / 2
        return needed_n_paired(first, discordant - first, alpha, power) <= n

    return _smallest(found, discordant) if found(discordant) else None


def auc_variance(auc: float, positives: float, negatives: float) -> float:
    """Variance of an AUC by Hanley & McNeil (1982, Radiology 143:29, equation 1).

    The chance it needs, that two rows of one class are both on the right side of one of the other,
    is that of normal scores of equal spread (Owen 1956); their exponential scores would make one
    class the more variable, and which one cannot be known. Raises ValueError unless
    0 < auc < 1 and both classes have a row.
    """
    from scipy.special import owens_t

    if not 0.0 < auc < 1.0 or min(positives, negatives) < 1:
        raise ValueError(f"no variance of an AUC of {auc} from {positives} and {negatives} rows")
    both = auc - 2 * float(owens_t(NormalDist().inv_cdf(auc), 1 / math.sqrt(3)))
    terms = (positives + negatives - 2) * (both - auc**2)
    return (auc * (1 - auc) + terms) / (positives * negatives)


def needed_n(rate: float, gap: float, alpha: float, power: float = 0.8, ratio: float = 1.0) -> int:
    """Rows of the smaller group that find a `gap` with probability `power`.

    The larger group, `ratio` times as many rows, has `rate`; the smaller one's differs by `gap`
    towards 1/2. Raises ValueError unless gap > 0, ratio >= 1 and the second rate is a rate.
    """
    sign, room = _towards_half(rate)
    if not 0.0 < gap <= room or ratio < 1.0:
        raise ValueError(f"no gap of {gap} from a rate of {rate}, or ratio {ratio} below 1")
    other = rate + sign * gap
    variance = other * (1 - other) + rate * (1 - rate) / ratio
    return _whole(_distance(alpha, power) ** 2 * variance / gap**2)


def needed_n_equivalence(
    rate: float, limit: float, alpha: float, true_gap: float = 0.0, power: float = 0.8
) -> int:
    """Rows of each group that prove the gap within +-`limit` with probability `power`.

    Two one-sided tests (Schuirmann 1987). At a true gap of 0 both can fail, which halves the
    type II error of each; at another only the nearer limit is counted, but never fewer rows
    than at 0. Raises ValueError unless 0 <= true_gap < limit.
    """
    if not 0.0 <= true_gap < limit:
        raise ValueError(f"only a gap inside the limit can be proved: 0 <= {true_gap} < {limit}")
    centred = _distance(alpha, (1 + power) / 2) ** 2 * 2 * rate * (1 - rate) / limit**2
    sign, _ = _towards_half(rate)
    other = rate + sign * true_gap
    variance = other * (1 - other) + rate * (1 - rate)
    shifted = _distance(alpha, power) ** 2 * variance / (limit - true_gap) ** 2
    return _whole(max(centred, shifted))


def needed_n_ratio(rate: float, limit: float, alpha: float, power: float = 0.8) -> int:
    """Rows of each group that prove the ratio of equal rates at least `limit`, both ways.

    Two one-sided tests on the scale of the logarithm, with its variance by Katz et al. (1978).
    Raises ValueError unless 0 < limit < 1 and 0 < rate <= 1.
    """
    if not (0.0 < limit < 1.0 and 0.0 < rate <= 1.0):
        raise ValueError(f"no ratio of at least {limit} can be proved at a rate of {rate}")
    distance = _distance(alpha, (1 + power) / 2)
    return max(1, _whole(distance**2 * 2 * (1 - rate) / rate / math.log(limit) ** 2))


def needed_n_paired(only_first: float, only_second: float, alpha: float, power: float = 0.8) -> int:
    """Rows a McNemar test needs when these shares are hits of one answer only (Connor 1987)."""
    gap, discordant = abs(only_first - only_second), only_first + only_second
    if gap == 0 or discordant > 1:
        raise ValueError("the two shares must differ and be at most 1 together")
    width = critical_value(alpha) * math.sqrt(discordant)
    width += _quantile(power) * math.sqrt(discordant - gap**2)
    return _whole(width**2 / gap**2)


def needed_n_from_interval(n: int, value: float, bound: float, limit: float) -> int | None:
    """Rows like these that would bring `bound` to the limit while `value` stays.

    An interval's half-width shrinks with the root of n. None when the value is on the limit,
    where no number of rows decides.
    """
    distance = abs(limit - value)
    if distance == 0.0:
        return None
    return _whole(max(1.0, (abs(bound - value) / distance) ** 2) * n)


def expected_null_gap(
    sizes: Sequence[int], rate: float, rng: np.random.Generator, draws: int = 2000
) -> float:
    """Mean gap between the highest and the lowest group by chance, when all share `rate`.

    `sizes` are the groups' rows; empty groups have no rate and are left out. The maximum of
    differences is biased upwards (Lum, Zhang & Bower 2022, arXiv 2205.05770): print this beside
    an observed gap. 0 with fewer than two groups.
    """
    counts = np.asarray([size for size in sizes if size > 0])
    if counts.size < 2:
        return 0.0
    rates = rng.binomial(counts, rate, size=(draws, counts.size)) / counts
    return float((rates.max(axis=1) - rates.min(axis=1)).mean())


def _smallest(found: Callable[[float], bool], most: float) -> float:
    """The smallest value that is found, where `most` is, and all between them are."""
    low, high = 0.0, most
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def _towards_half(rate: float) -> tuple[int, float]:
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"a rate lies between 0 and 1, not {rate}")
    return (-1, rate) if rate >= 0.5 else (1, 1 - rate)


def _quantile(probability: float) -> float:
    if not 0.5 <= probability < 1.0:
        raise ValueError(f"power lies between 0.5 and 1, not {probability}")
    return 0.0 if probability == 0.5 else critical_value(1 - probability)


def _distance(alpha: float, power: float) -> float:
    return critical_value(alpha) + _quantile(power)


def _whole(n: float) -> int:
    return math.ceil(n - 1e-9 * n)
