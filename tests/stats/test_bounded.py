"""Bounds of a mean that need no normal distribution."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.finding import Interval
from auditkit.stats.bounded import empirical_bernstein, signed_mean
from auditkit.stats.intervals import clopper_pearson


def test_the_margin_is_that_of_maurer_and_pontil():
    values = np.r_[np.zeros(500), np.ones(500)]
    margin = np.sqrt(2 * values.var(ddof=1) * np.log(2 / 0.05) / 1000)
    margin += 7 * np.log(2 / 0.05) / (3 * 999)
    bounds = empirical_bernstein(values, 0.0, 1.0, 0.05)
    assert bounds.upper == pytest.approx(0.5 + margin)
    assert bounds.lower == pytest.approx(0.5 - margin)


def test_small_variance_is_rewarded():
    # Certified half width at n = 1,000, V = 0.01 and a two-sided error of 5 %.
    values = 0.5 + 0.1 * np.tile([1, -1], 500)
    bounds = empirical_bernstein(values, 0.0, 1.0, 0.05)
    assert (bounds.upper - bounds.lower) / 2 == pytest.approx(0.0172, abs=2e-3)


def test_a_rare_event_that_did_not_occur_is_not_ruled_out():
    """A t interval of twenty equal values would have no width at all."""
    assert empirical_bernstein(np.zeros(20), 0.0, 1.0, 0.05).upper > 0.14


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("n", [20, 200])
def test_each_end_holds(rate, n):
    rng = np.random.default_rng(0)
    draws = (rng.random((1000, n)) < rate).astype(float)
    bounds = [empirical_bernstein(row, 0.0, 1.0, 0.05) for row in draws]
    assert np.mean([one.upper >= rate for one in bounds]) >= 0.95
    assert np.mean([one.lower <= rate for one in bounds]) >= 0.95


def test_one_value_says_nothing_and_values_outside_are_refused():
    assert empirical_bernstein(np.array([0.3]), 0.0, 1.0, 0.05).upper == 1.0
    with pytest.raises(ValueError, match="outside"):
        empirical_bernstein(np.array([0.3, 1.2]), 0.0, 1.0, 0.05)


@pytest.mark.parametrize("n", [20, 60, 100, 250])
@pytest.mark.parametrize("limit", [0.05, 0.1])
def test_rare_large_shifts_are_passed_no_more_often_than_allowed(n, limit):
    """By enumeration: a share `limit` of the values is 1, the others 0; a pass errs."""
    from scipy.stats import binom

    passes = 0.0
    for k in range(n + 1):
        upper = signed_mean(np.repeat([1.0, 0.0], [k, n - k]), 0.05).upper
        assert upper is not None
        passes += binom.pmf(k, n, limit) * (upper < limit)
    assert passes <= 0.052


def test_of_zeros_and_ones_the_signed_mean_is_clopper_and_pearsons():
    values = np.repeat([1.0, 0.0], [7, 33])
    exact, found = clopper_pearson(7, 40, 0.05), signed_mean(values, 0.05)
    # The losses, of which there are none, are bounded too: the lower end is lower.
    assert found.upper == pytest.approx(exact.upper, abs=1e-12)
    assert found.lower <= exact.lower
    assert signed_mean(-values, 0.05).lower == pytest.approx(-exact.upper, abs=1e-12)


def test_values_that_cannot_be_negative_have_no_losses_to_bound():
    values = np.repeat([1.0, 0.0], [7, 33])
    exact = clopper_pearson(7, 40, 0.05)
    assert signed_mean(values, 0.05, lowest=0.0) == exact
    assert signed_mean(values[:0], 0.05, lowest=0.0) == Interval(0.0, 1.0)


def test_signed_means_of_both_signs_cover_at_their_level():
    rng = np.random.default_rng(0)
    shares = [0.1, 0.75, 0.15]
    missed = np.zeros(2)
    for _ in range(400):
        found = signed_mean(rng.choice([-1.0, 0.0, 0.4], 80, p=shares), 0.05)
        missed += (found.lower > -0.04, found.upper < -0.04)
    assert (missed / 400 <= 0.07).all()


def test_values_of_one_cluster_count_as_one():
    values = np.tile([0.3, -0.1, 0.0], 20)
    thrice, clusters = np.repeat(values, 3), np.repeat(np.arange(60), 3)
    once, again = signed_mean(values, 0.05), signed_mean(thrice, 0.05, clusters)
    assert again.lower == pytest.approx(once.lower, abs=1e-9)
    assert again.upper == pytest.approx(once.upper, abs=1e-9)


def test_a_signed_mean_of_nothing_or_too_much():
    assert signed_mean(np.array([]), 0.05) == Interval(-1.0, 1.0)
    with pytest.raises(ValueError, match="outside"):
        signed_mean(np.array([1.1]), 0.05)
