"""Intervals of the difference of two rates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import xlogy
from statsmodels.stats.proportion import confint_proportions_2indep

from auditkit.finding import Interval
from auditkit.stats.differences import (
    difference,
    difference_bounds,
    exact_hybrid_bounds,
    miettinen_nurminen,
    miettinen_nurminen_bounds,
    newcombe,
    newcombe_bounds,
)

alphas = st.floats(1e-5, 0.4)


@st.composite
def tables(draw):
    n1, n2 = draw(st.integers(1, 150)), draw(st.integers(1, 150))
    return draw(st.integers(0, n1)), n1, draw(st.integers(0, n2)), n2


def test_newcombe_gives_the_published_digits():
    # Fagerland, Lydersen & Laake (2015): 0.019 to 0.34; Newcombe (1998, Stat. Med. 17:873).
    small, large = newcombe(7, 34, 1, 34, 0.025), newcombe(56, 70, 48, 80, 0.025)
    assert (small.lower, small.upper) == pytest.approx((0.0189214, 0.3403687), abs=1e-6)
    assert (large.lower, large.upper) == pytest.approx((0.0524315, 0.3338727), abs=1e-6)


def test_miettinen_nurminen_gives_the_digits_of_propcis():
    # R package PropCIs, diffscoreci.
    small = miettinen_nurminen(7, 34, 1, 34, 0.025)
    large = miettinen_nurminen(56, 70, 48, 80, 0.025)
    assert (small.lower, small.upper) == pytest.approx((0.0270416, 0.3452912), abs=1e-6)
    assert (large.lower, large.upper) == pytest.approx((0.0528297, 0.3381729), abs=1e-6)


def test_mee_is_miettinen_nurminen_without_its_variance_correction():
    # Fagerland et al. (2015): 0.028 to 0.34, and 0.0533338 to 0.3377295 for 56/70 against 48/80.
    # The correction N / (N - 1) is undone by a critical value that is larger by its root.
    from statistics import NormalDist

    for counts, expected in [
        ((7, 34, 1, 34), (0.0283705, 0.3439399)),
        ((56, 70, 48, 80), (0.0533338, 0.3377295)),
    ]:
        total = counts[1] + counts[3]
        z = NormalDist().inv_cdf(0.975) * ((total - 1) / total) ** 0.5
        interval = miettinen_nurminen(*counts, 1 - NormalDist().cdf(z))
        assert (interval.lower, interval.upper) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("counts", "wald", "agresti_caffo"),
    [
        ((7, 34, 1, 34), (0.0291694, 0.3237718), (0.0116117, 0.3217217)),
        ((56, 70, 48, 80), (0.0575049, 0.3424951), (0.0524529, 0.3357585)),
    ],
)
def test_the_yardstick_itself_gives_the_published_digits(counts, wald, agresti_caffo):
    # R package PropCIs: what we compare with, and the two methods we do not use.
    for method, expected in [("wald", wald), ("agresti-caffo", agresti_caffo)]:
        given_ = confint_proportions_2indep(*counts, method=method, compare="diff")
        assert given_ == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.0005])
def test_newcombe_agrees_with_statsmodels(alpha):
    rng = np.random.default_rng(0)
    for _ in range(100):
        n1, n2 = rng.integers(1, 300, 2)
        k1, k2 = rng.integers(0, n1 + 1), rng.integers(0, n2 + 1)
        expected = confint_proportions_2indep(
            k1, n1, k2, n2, method="newcomb", compare="diff", alpha=2 * alpha
        )
        interval = newcombe(k1, n1, k2, n2, alpha)
        assert (interval.lower, interval.upper) == pytest.approx(expected, abs=1e-12)


def _statistic_by_maximum_likelihood(k1, n1, k2, n2, gap):
    def unlikely(second):
        terms = xlogy(k1, second + gap) + xlogy(n1 - k1, 1 - second - gap)
        return -(terms + xlogy(k2, second) + xlogy(n2 - k2, 1 - second))

    edges = max(0.0, -gap) + 1e-12, min(1.0, 1 - gap) - 1e-12
    second = minimize_scalar(unlikely, bounds=edges, method="bounded", options={"xatol": 1e-12}).x
    first = second + gap
    variance = first * (1 - first) / n1 + second * (1 - second) / n2
    total = n1 + n2
    return (k1 / n1 - k2 / n2 - gap) / np.sqrt(variance * total / (total - 1))


def test_miettinen_nurminen_inverts_the_score_test_at_the_likeliest_rates():
    rng = np.random.default_rng(1)
    for _ in range(60):
        n1, n2 = rng.integers(5, 200, 2)
        counts = rng.integers(1, n1), n1, rng.integers(1, n2), n2
        interval = miettinen_nurminen(*counts, 0.025)
        for end, z in [(interval.lower, 1.959964), (interval.upper, -1.959964)]:
            assert _statistic_by_maximum_likelihood(*counts, end) == pytest.approx(z, abs=1e-4)


@pytest.mark.parametrize("interval", [newcombe, miettinen_nurminen, difference])
@given(tables(), alphas, alphas)
@settings(max_examples=60, deadline=None)
def test_a_gap_lies_inside_and_smaller_alphas_are_wider(interval, counts, one, other):
    k1, n1, k2, n2 = counts
    wide, narrow = interval(*counts, min(one, other)), interval(*counts, max(one, other))
    gap = k1 / n1 - k2 / n2
    assert -1 <= wide.lower <= narrow.lower + 1e-12
    assert narrow.upper - 1e-12 <= wide.upper <= 1
    assert narrow.lower - 1e-12 <= gap <= narrow.upper + 1e-12


@pytest.mark.parametrize("interval", [newcombe, miettinen_nurminen, difference])
@given(tables(), alphas)
@settings(max_examples=60, deadline=None)
def test_swapping_the_groups_flips_the_sign_exactly(interval, counts, alpha):
    k1, n1, k2, n2 = counts
    there, back = interval(k1, n1, k2, n2, alpha), interval(k2, n2, k1, n1, alpha)
    assert (there.lower, there.upper) == (-back.upper, -back.lower)


@pytest.mark.parametrize("interval", [newcombe, miettinen_nurminen, difference])
@pytest.mark.parametrize("counts", [(0, 0, 3, 5), (3, 5, 0, 0), (0, 0, 0, 0)])
def test_an_empty_group_says_nothing(interval, counts):
    assert interval(*counts, 0.05) == Interval(-1.0, 1.0)


@pytest.mark.parametrize(
    "counts", [(0, 20, 0, 30), (20, 20, 30, 30), (20, 20, 0, 30), (0, 1, 1, 1), (0, 500, 1, 500)]
)
def test_counts_in_the_corners_give_intervals_of_some_width(counts):
    k1, n1, k2, n2 = counts
    interval = difference(*counts, 0.025)
    assert interval.lower < interval.upper
    assert interval.lower <= k1 / n1 - k2 / n2 <= interval.upper


def test_full_against_empty_reaches_the_largest_gap():
    assert difference(20, 20, 0, 30, 0.025).upper == 1.0


def test_large_groups_use_newcombe():
    assert difference(60, 100, 50, 100, 0.025) == newcombe(60, 100, 50, 100, 0.025)


def test_below_fifty_rows_the_score_interval_is_used():
    assert difference(20, 49, 50, 100, 0.025) == miettinen_nurminen(20, 49, 50, 100, 0.025)


def test_with_few_misses_the_wider_of_score_and_exact_is_used():
    counts = (96, 100, 60, 100)
    score, exact = miettinen_nurminen(*counts, 0.025), exact_hybrid_bounds(*counts, 0.025)
    interval = difference(*counts, 0.025)
    assert interval.lower == min(score.lower, float(exact[0]))
    assert interval.upper == max(score.upper, float(exact[1]))


def test_many_pairs_at_once_equal_one_at_a_time():
    rng = np.random.default_rng(2)
    n = rng.integers(1, 200, (2, 40))
    k = rng.integers(0, n + 1)
    for many, one in [
        (newcombe_bounds, newcombe),
        (miettinen_nurminen_bounds, miettinen_nurminen),
        (difference_bounds, difference),
    ]:
        lower, upper = many(k[0], n[0], k[1], n[1], 0.01)
        for at in range(40):
            single = one(k[0, at], n[0, at], k[1, at], n[1, at], 0.01)
            assert (lower[at], upper[at]) == pytest.approx((single.lower, single.upper), abs=1e-12)


def test_effective_counts_below_one_row_are_survived():
    interval = difference(0.2, 0.4, 0.1, 0.3, 0.05)
    assert interval.lower < -0.5
    assert interval.upper > 0.5
