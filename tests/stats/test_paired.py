"""Two answers to the same rows."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from auditkit.finding import Interval
from auditkit.stats.paired import (
    mcnemar,
    mcnemar_exact,
    mcnemar_midp,
    paired_difference,
    paired_gap,
)

small = st.integers(0, 60)


@pytest.mark.parametrize(("b", "c", "p"), [(5, 15, 0.041389), (1, 9, 0.021484), (0, 6, 0.03125)])
def test_the_exact_test_gives_the_published_p(b, c, p):
    assert mcnemar_exact(b, c) == pytest.approx(p, abs=1e-6)


def test_the_mid_p_test_gives_the_published_p():
    assert mcnemar_midp(5, 15) == pytest.approx(0.026604, abs=1e-6)


def test_the_yardstick_itself_gives_the_published_p():
    table = [[0, 5], [15, 0]]
    plain = statsmodels_mcnemar(table, exact=False, correction=False)
    assert (plain.statistic, plain.pvalue) == pytest.approx((5.0, 0.025347), abs=1e-6)
    corrected = statsmodels_mcnemar(table, exact=False, correction=True)
    assert (corrected.statistic, corrected.pvalue) == pytest.approx((4.05, 0.044171), abs=1e-6)


@given(small, small)
@settings(deadline=None)
def test_the_exact_test_agrees_with_statsmodels(b, c):
    expected = statsmodels_mcnemar([[0, b], [c, 0]], exact=True).pvalue if b + c else 1.0
    assert mcnemar_exact(b, c) == pytest.approx(expected, abs=1e-12)


def test_up_to_25_discordant_rows_the_test_is_exact():
    assert mcnemar(7, 18) == mcnemar_exact(7, 18)
    assert mcnemar(7, 19) == mcnemar_midp(7, 19)


@given(small, small)
@settings(deadline=None)
def test_a_p_value_is_a_probability_and_symmetric(b, c):
    for test in (mcnemar_exact, mcnemar_midp, mcnemar):
        assert 0 <= test(b, c) <= 1
        assert test(b, c) == pytest.approx(test(c, b), abs=1e-12)


def test_no_discordant_row_is_no_evidence():
    assert mcnemar(0, 0) == mcnemar_midp(0, 0) == 1.0


def test_tango_gives_the_published_intervals():
    # Fagerland, Lydersen & Laake (2014): airway hyper-responsiveness, 1 and 7 discordant of 21.
    airway = paired_difference(1, 7, 21, 0.025)
    assert (airway.lower, airway.upper) == pytest.approx((-0.517, -0.026), abs=5.1e-4)
    # R package PropCIs, scoreci.mp(25, 28, 618, 0.90), which subtracts the first from the second.
    opinions = paired_difference(28, 25, 618, 0.05)
    assert (opinions.lower, opinions.upper) == pytest.approx((-0.0148, 0.0247), abs=5.1e-5)


def _tango_statistic(b, c, n, gap):
    """The score statistic at the likeliest discordant shares, found on a grid."""
    second = np.linspace(max(0.0, -gap), (1 - gap) / 2, 400_001)[1:-1]
    likely = b * np.log(second + gap) + c * np.log(second)
    likely += (n - b - c) * np.log(1 - 2 * second - gap)
    at = second[likely.argmax()]
    return (b - c - n * gap) / np.sqrt(n * (2 * at + gap - gap * gap))


@pytest.mark.parametrize(("b", "c", "n"), [(12, 2, 50), (3, 9, 40), (30, 25, 200), (1, 4, 900)])
def test_tango_inverts_the_score_test_at_the_likeliest_shares(b, c, n):
    interval = paired_difference(b, c, n, 0.025)
    assert _tango_statistic(b, c, n, interval.lower) == pytest.approx(1.959964, abs=1e-3)
    assert _tango_statistic(b, c, n, interval.upper) == pytest.approx(-1.959964, abs=1e-3)


@given(small, small, st.integers(0, 100), st.floats(1e-5, 0.4), st.floats(1e-5, 0.4))
@settings(max_examples=60, deadline=None)
def test_the_paired_gap_lies_inside_and_swapping_flips_the_sign(b, c, rest, one, other):
    n = b + c + rest
    wide = paired_difference(b, c, n, min(one, other))
    narrow = paired_difference(b, c, n, max(one, other))
    back = paired_difference(c, b, n, min(one, other))
    assert (wide.lower, wide.upper) == (-back.upper, -back.lower)
    assert -1 <= wide.lower <= narrow.lower + 1e-12
    assert narrow.upper - 1e-12 <= wide.upper <= 1
    if n:
        assert narrow.lower - 1e-12 <= (b - c) / n <= narrow.upper + 1e-12


def test_equal_answers_still_leave_some_width():
    interval = paired_difference(0, 0, 100, 0.025)
    assert interval.lower == -interval.upper
    assert 0.02 < interval.upper < 0.05


def test_no_rows_say_nothing():
    assert paired_difference(0, 0, 0, 0.05) == Interval(-1.0, 1.0)


@pytest.mark.parametrize(("b", "c", "n"), [(-1, 0, 5), (3, 3, 5)])
def test_impossible_counts_are_refused(b, c, n):
    with pytest.raises(ValueError, match="discordant"):
        paired_difference(b, c, n, 0.05)


@cache
def ends(b, c, n, alpha):
    interval = paired_gap(b, c, n, alpha)
    return interval.lower, interval.upper


@pytest.mark.parametrize(("alpha", "most"), [(0.05, 0.052), (0.0005, 0.00055)])
@pytest.mark.parametrize("second_only", [0.0, 0.005, 0.02, 0.05])
@pytest.mark.parametrize("gap", [0.05, 0.1])
def test_each_end_of_the_verdicts_interval_errs_no_more_than_it_says(gap, second_only, alpha, most):
    n = 60
    low = high = 0.0
    for c in range(n + 1):
        weight = binom.pmf(c, n, second_only)
        if weight < 1e-7:
            continue
        likely = weight * binom.pmf(
            range(n - c + 1), n - c, (gap + second_only) / (1 - second_only)
        )
        for b, probability in enumerate(likely):
            if probability > 1e-9:
                lower, upper = ends(b, c, n, alpha)
                low += probability * (lower > gap + 1e-12)
                high += probability * (upper < gap - 1e-12)
    assert low <= most
    assert high <= most


def test_the_verdicts_interval_is_tangos_where_neither_kind_is_rare_and_never_narrower():
    assert paired_gap(30, 20, 400, 0.05) == paired_difference(30, 20, 400, 0.05)
    for b, c, n in [(0, 0, 20), (3, 0, 50), (20, 0, 20), (12, 4, 60), (0, 0, 0)]:
        wide, tango = paired_gap(b, c, n, 0.01), paired_difference(b, c, n, 0.01)
        assert -1 <= wide.lower <= tango.lower <= tango.upper <= wide.upper <= 1
