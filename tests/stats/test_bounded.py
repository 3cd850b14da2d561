"""Bounds of a mean that need no normal distribution."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.stats.bounded import empirical_bernstein


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
