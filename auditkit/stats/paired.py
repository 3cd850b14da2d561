"""Two answers to the same rows: McNemar's tests and the interval of the paired difference.

Throughout, `b` rows are a hit for the first only and `c` rows for the second only.
"""

from __future__ import annotations

import math

from auditkit.finding import Interval
from auditkit.stats.intervals import SPARSE, clopper_pearson, critical_value

EXACT_UP_TO = 25
"""Discordant rows up to which `mcnemar` is exact."""

_HALVINGS = 60


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided p of McNemar's exact conditional test (binomial, McNemar 1947); 1 for b = c = 0."""
    from scipy.stats import binomtest

    _check(b, c, b + c)
    return float(binomtest(b, b + c, 0.5).pvalue) if b + c else 1.0


def mcnemar_midp(b: int, c: int) -> float:
    """Two-sided mid-p of McNemar's test (Fagerland, Lydersen & Laake 2013); 1 for b = c = 0.

    The exact p less the probability of the observed split, which makes the test's error come
    out near its level instead of far below it.
    """
    from scipy.stats import binom

    _check(b, c, b + c)
    if b == c:
        return 1.0 - 0.5 * float(binom.pmf(b, 2 * b, 0.5)) if b else 1.0
    return mcnemar_exact(b, c) - float(binom.pmf(b, b + c, 0.5))


def mcnemar(b: int, c: int) -> float:
    """Two-sided p that both have the same rate: exact up to 25 discordant rows, then mid-p."""
    return mcnemar_exact(b, c) if b + c <= EXACT_UP_TO else mcnemar_midp(b, c)


def paired_difference(b: float, c: float, n: float, alpha: float) -> Interval:
    """Tango's score interval of (b - c)/n over `n` paired rows (Tango 1998, Stat. Med. 17:891).

    Chosen over Newcombe's paired method 10 because it needs the discordant rows only, is the
    inversion of one test, and stays near its level at small n and rare events (Fagerland,
    Lydersen & Laake 2014); a single end of 5 % errs up to 6.5 % of the time with few discordant
    rows. Interval(-1, 1) for n = 0. Raises ValueError unless b, c >= 0 and b + c <= n.
    """
    _check(b, c, n)
    z = critical_value(alpha)
    if n == 0:
        return Interval(-1.0, 1.0)
    return Interval(_tango_lower(b, c, n, z), -_tango_lower(c, b, n, z))


def paired_gap(b: float, c: float, n: float, alpha: float) -> Interval:
    """The interval a verdict on (b - c)/n is read from; Interval(-1, 1) for n = 0.

    Tango's, and with fewer than 10 discordant rows of a kind the wider of it and Newcombe's
    combination of two exact intervals (Zou & Donner 2008, with Clopper-Pearson ends): by complete
    enumeration of 60 to 500 rows with true gaps of 0.05 and 0.1, Tango's lower end of 5 % errs in
    up to 8.5 % of samples and that of 0.05 % in up to 0.15 %; here in up to 5.2 % and 0.053 %.
    """
    tango = paired_difference(b, c, n, alpha)
    if n == 0 or min(b, c) >= SPARSE:
        return tango
    first, second = clopper_pearson(b, n, alpha), clopper_pearson(c, n, alpha)
    assert tango.lower is not None
    assert tango.upper is not None
    lower = (b - c) / n - _apart(b / n, first.lower, c / n, second.upper)
    upper = (b - c) / n + _apart(b / n, first.upper, c / n, second.lower)
    return Interval(min(tango.lower, max(lower, -1.0)), max(tango.upper, min(upper, 1.0)))


def _apart(rate1: float, end1: float | None, rate2: float, end2: float | None) -> float:
    assert end1 is not None
    assert end2 is not None
    return math.hypot(rate1 - end1, end2 - rate2)


def _tango_lower(b: float, c: float, n: float, z: float) -> float:
    low, high = -1.0, (b - c) / n
    for _ in range(_HALVINGS):
        gap = (low + high) / 2
        linear = (2 * n - b + c) * gap - b - c
        product = -c * gap * (1 - gap)
        only_second = (math.sqrt(max(linear * linear - 8 * n * product, 0.0)) - linear) / (4 * n)
        variance = max(n * (2 * only_second + gap * (1 - gap)), 0.0)
        deviation = b - c - n * gap
        if deviation * deviation > z * z * variance:
            low = gap
        else:
            high = gap
    return low


def _check(b: float, c: float, n: float) -> None:
    if min(b, c) < 0 or b + c > n:
        raise ValueError(f"discordant rows must be b, c >= 0 with b + c <= n, not {b}, {c}, {n}")
