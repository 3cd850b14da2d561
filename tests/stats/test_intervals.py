"""Intervals of one rate and one mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from auditkit.finding import Interval
from auditkit.stats.intervals import (
    clopper_pearson,
    clopper_pearson_bounds,
    critical_value,
    effective_counts,
    mean_interval,
    rate,
    wilson,
    wilson_bounds,
)

# Newcombe (1998, Stat. Med. 17:857) has 81/263, 15/148 and 0/20; the rest as R prints them.
WILSON = [
    (0, 20, 0.0, 0.16113),
    (1, 20, 0.00888, 0.23613),
    (10, 20, 0.2993, 0.7007),
    (20, 20, 0.83887, 1.0),
    (0, 100, 0.0, 0.03699),
    (95, 100, 0.88825, 0.97846),
    (81, 263, 0.25529, 0.36621),
    (15, 148, 0.06239, 0.16049),
]
CLOPPER_PEARSON = [
    (0, 20, 0.0, 0.16843),
    (1, 20, 0.00127, 0.24873),
    (10, 20, 0.27196, 0.72804),
    (20, 20, 0.83157, 1.0),
    (0, 100, 0.0, 0.03622),
    (95, 100, 0.88717, 0.98357),
    (81, 263, 0.25274, 0.36762),
    (15, 148, 0.05784, 0.16165),
]
alphas = st.floats(1e-6, 0.4)


@st.composite
def counts(draw):
    n = draw(st.integers(1, 400))
    return draw(st.integers(0, n)), n


@pytest.mark.parametrize(("k", "n", "lower", "upper"), WILSON)
def test_wilson_gives_the_published_digits(k, n, lower, upper):
    interval = wilson(k, n, 0.025)
    assert (interval.lower, interval.upper) == pytest.approx((lower, upper), abs=5.1e-6)


@pytest.mark.parametrize(("k", "n", "lower", "upper"), CLOPPER_PEARSON)
def test_clopper_pearson_gives_the_published_digits(k, n, lower, upper):
    interval = clopper_pearson(k, n, 0.025)
    assert (interval.lower, interval.upper) == pytest.approx((lower, upper), abs=5.1e-6)


@pytest.mark.parametrize(("n", "upper"), [(100, 0.0295), (300, 0.0099), (1000, 0.0030)])
def test_no_success_in_n_attacks_bounds_their_rate_by_the_rule_of_three(n, upper):
    assert rate(0, n, 0.05).upper == pytest.approx(upper, abs=5.1e-5)
    assert rate(0, n, 0.05).upper == pytest.approx(1 - 0.05 ** (1 / n), abs=1e-12)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(wilson_bounds, "wilson"), (clopper_pearson_bounds, "beta")]
)
@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.001])
def test_bounds_agree_with_statsmodels(ours, theirs, alpha):
    for n in (1, 7, 34, 250):
        k = np.arange(n + 1)
        lower, upper = ours(k, n, alpha)
        expected = proportion_confint(k, np.full(n + 1, n), alpha=2 * alpha, method=theirs)
        np.testing.assert_allclose(lower, expected[0], atol=1e-12)
        np.testing.assert_allclose(upper, expected[1], atol=1e-12)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson, rate])
def test_no_rows_say_nothing(interval):
    assert interval(0, 0, 0.025) == Interval(0.0, 1.0)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson, rate])
@given(counts(), alphas, alphas)
@settings(max_examples=60, deadline=None)
def test_a_rate_lies_inside_and_smaller_alphas_are_wider(interval, data, one, other):
    k, n = data
    wide, narrow = interval(k, n, min(one, other)), interval(k, n, max(one, other))
    assert 0 <= wide.lower <= narrow.lower <= k / n <= narrow.upper <= wide.upper <= 1


@given(counts(), alphas)
@settings(max_examples=60, deadline=None)
def test_counting_misses_mirrors_the_interval(data, alpha):
    k, n = data
    hits, misses = wilson(k, n, alpha), wilson(n - k, n, alpha)
    assert hits.lower == pytest.approx(1 - misses.upper, abs=1e-12)
    assert hits.upper == pytest.approx(1 - misses.lower, abs=1e-12)


def test_doubling_the_data_shrinks_wilson_by_root_two():
    once, twice = wilson(4000, 10000, 0.025), wilson(8000, 20000, 0.025)
    shrunk = (once.upper - once.lower) / (twice.upper - twice.lower)
    assert shrunk == pytest.approx(2**0.5, rel=1e-3)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (float("nan"), 5), (1, float("inf"))])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(ValueError, match="counts must be finite"):
        rate(k, n, 0.05)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, -0.1])
def test_an_impossible_alpha_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha"):
        critical_value(alpha)


def test_fractional_counts_are_allowed():
    whole, fraction = rate(8, 10, 0.05), rate(8.0, 10.000001, 0.05)
    assert whole.lower == pytest.approx(fraction.lower, abs=1e-5)


class TestEffectiveCounts:
    def test_rows_of_their_own_keep_their_counts(self):
        hits = np.array([1, 0, 1, 1, 0])
        assert effective_counts(hits, np.arange(5)) == (3.0, 5.0)

    def test_copies_of_a_row_count_about_once(self):
        rng = np.random.default_rng(0)
        people = (rng.random(200) < 0.7).astype(int)
        counted = effective_counts(np.repeat(people, 5), np.repeat(np.arange(200), 5))
        assert counted.n == pytest.approx(199, abs=1e-6)
        assert counted.k / counted.n == pytest.approx(people.mean())

    def test_they_never_exceed_the_rows(self):
        alternating = np.tile([0, 1], 50)
        assert effective_counts(alternating, np.repeat(np.arange(50), 2)) == (50.0, 100.0)

    @pytest.mark.parametrize("value", [0, 1])
    def test_rows_that_all_agree_count_their_clusters(self, value):
        counted = effective_counts(np.full(30, value), np.repeat(np.arange(6), 5))
        assert counted == (6.0 * value, 6.0)

    def test_one_cluster_counts_as_one_row(self):
        assert effective_counts([1, 0, 1, 0], [7, 7, 7, 7]).n == 1.0

    def test_few_clusters_cost_more(self):
        hits, clusters = np.tile([1, 1, 0, 0, 1], 8), np.repeat(np.arange(8), 5)
        plain, careful = effective_counts(hits, clusters), effective_counts(hits, clusters, 0.025)
        ratio = (student.isf(0.025, 39) / student.isf(0.025, 7)) ** 2
        assert careful.n == pytest.approx(plain.n * ratio)

    def test_the_order_of_rows_does_not_matter(self):
        rng = np.random.default_rng(1)
        hits, clusters = rng.integers(0, 2, 60), rng.integers(0, 12, 60)
        order = rng.permutation(60)
        shuffled = effective_counts(hits[order], clusters[order])
        assert shuffled == pytest.approx(effective_counts(hits, clusters), abs=1e-12)

    def test_no_rows_stay_no_rows(self):
        assert effective_counts([], []) == (0.0, 0.0)

    def test_anything_but_zero_and_one_is_refused(self):
        with pytest.raises(ValueError, match="0 and 1"):
            effective_counts([0, 2], [1, 2])


class TestMeanInterval:
    def test_it_is_the_t_interval(self):
        values = np.random.default_rng(0).random(40)
        half = student.isf(0.025, 39) * values.std(ddof=1) / 40**0.5
        interval = mean_interval(values, 0.025)
        assert interval.lower == pytest.approx(values.mean() - half, abs=1e-12)
        assert interval.upper == pytest.approx(values.mean() + half, abs=1e-12)

    def test_clusters_of_one_change_nothing(self):
        values = np.random.default_rng(0).random(40)
        clustered = mean_interval(values, 0.025, np.arange(40))
        plain = mean_interval(values, 0.025)
        assert clustered.lower == pytest.approx(plain.lower, abs=1e-12)

    def test_copied_rows_give_the_interval_of_the_originals(self):
        values = np.random.default_rng(0).random(40)
        copied = mean_interval(np.repeat(values, 3), 0.025, np.repeat(np.arange(40), 3))
        assert copied.upper == pytest.approx(mean_interval(values, 0.025).upper, abs=1e-12)

    def test_equal_rows_are_bounded_by_what_was_not_seen(self):
        interval = mean_interval(np.ones(59), 0.05)
        assert interval.upper == 1.0
        assert interval.lower == pytest.approx(0.05 ** (1 / 59))

    def test_equal_rows_without_limits_have_no_bounds(self):
        assert mean_interval([3.0, 3.0], 0.05, support=None) == Interval(None, None)

    def test_no_rows_say_nothing(self):
        assert mean_interval([], 0.05) == Interval(0.0, 1.0)
        assert mean_interval([], 0.05, support=None) == Interval(None, None)

    def test_values_outside_the_support_are_refused(self):
        with pytest.raises(ValueError, match="within"):
            mean_interval([0.5, 1.5], 0.05)

    def test_values_that_are_no_numbers_are_refused(self):
        with pytest.raises(ValueError, match="finite"):
            mean_interval([0.5, float("nan")], 0.05)

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=30), alphas)
    @settings(max_examples=60, deadline=None)
    def test_the_mean_lies_inside_the_support(self, values, alpha):
        interval = mean_interval(values, alpha)
        assert 0 <= interval.lower <= np.mean(values) + 1e-12
        assert np.mean(values) - 1e-12 <= interval.upper <= 1
