"""Quantiles from order statistics."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from auditkit.finding import Interval
from auditkit.stats.quantiles import (
    early_stopping_estimate,
    independent_values,
    needed_for_quantile,
    needed_to_bound,
    order_statistic_ranks,
    quantile,
    quantile_interval,
)

# MLPerf Inference prints 64 (p90, one over) and 662 (p99, one over) at 99 % confidence.
OVER = (0, 1, 2, 3, 5, 10, 20, 50)
EARLY_STOPPING = {
    0.90: (44, 64, 81, 97, 127, 197, 325, 681),
    0.95: (90, 130, 165, 198, 259, 398, 656, 1372),
    0.99: (459, 662, 838, 1001, 1307, 2010, 3304, 6898),
    0.999: (4603, 6636, 8403, 10042, 13105, 20140, 33097, 69058),
}


@pytest.mark.parametrize(
    ("p", "n", "ranks"),
    [
        (0.95, 1000, (936, 964)),
        (0.99, 1000, (983, 997)),
        (0.99, 5000, (4936, 4964)),
        (0.50, 100, (40, 61)),
    ],
)
def test_the_ranks_are_the_tabled_ones(p, n, ranks):
    assert order_statistic_ranks(n, p, 0.025) == ranks


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.001])
def test_each_end_errs_at_most_as_often_as_it_says_and_the_next_rank_would_not(alpha):
    for n in (5, 30, 100, 777):
        for p in (0.05, 0.5, 0.9, 0.99):
            lower, upper = order_statistic_ranks(n, p, alpha)
            if lower is not None:
                assert binom.cdf(lower - 1, n, p) <= alpha < binom.cdf(lower, n, p)
            else:
                assert binom.cdf(0, n, p) > alpha
            if upper is not None:
                assert binom.sf(upper - 1, n, p) <= alpha < binom.sf(upper - 2, n, p)
            else:
                assert binom.sf(n - 1, n, p) > alpha


def test_a_hundred_requests_cannot_bound_their_last_percent():
    assert order_statistic_ranks(100, 0.99, 0.05).upper is None
    assert order_statistic_ranks(299, 0.99, 0.05).upper == 299


@pytest.mark.parametrize("p", EARLY_STOPPING)
def test_early_stopping_needs_the_tabled_queries(p):
    assert tuple(needed_for_quantile(p, over, 0.01) for over in OVER) == EARLY_STOPPING[p]


@pytest.mark.parametrize(("p", "n"), [(0.95, 59), (0.99, 299), (0.999, 2995)])
def test_without_a_single_one_over_it_needs_the_known_minimum(p, n):
    assert needed_for_quantile(p, 0, 0.05) == n


def test_the_interval_holds_the_values_at_the_ranks():
    values = np.arange(1.0, 1001.0)
    assert quantile_interval(values, 0.95, 0.025) == Interval(936.0, 964.0)
    assert quantile_interval(values[:10], 0.99, 0.025).upper is None


def test_no_values_bound_nothing():
    assert quantile_interval([], 0.5, 0.05) == Interval(None, None)


def test_unsorted_values_are_refused():
    with pytest.raises(ValueError, match="ascending"):
        quantile_interval([2.0, 1.0], 0.5, 0.05)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_an_impossible_quantile_is_refused(p):
    with pytest.raises(ValueError, match="0 < p < 1"):
        order_statistic_ranks(10, p, 0.05)
    with pytest.raises(ValueError, match="0 < p < 1"):
        needed_for_quantile(p, 0, 0.05)


def test_a_sample_quantile_is_the_nearest_rank_of_numpy():
    values = np.sort(np.random.default_rng(0).exponential(size=1_001))
    for p in (0.001, 0.5, 0.9, 0.99, 0.999):
        assert quantile(values, p) == np.quantile(values, p, method="inverted_cdf")
    assert quantile([3.0], 0.01) == quantile([3.0], 0.99) == 3.0
    with pytest.raises(ValueError, match="need a value"):
        quantile([], 0.5)


@pytest.mark.parametrize(
    ("p", "alpha", "n"), [(0.5, 0.05, 5), (0.9, 0.05, 29), (0.99, 0.05, 299), (0.99, 0.01, 459)]
)
def test_the_fewest_that_bound_a_quantile_bound_it_and_one_less_does_not(p, alpha, n):
    assert needed_to_bound(p, alpha) == n
    assert order_statistic_ranks(n, p, alpha).upper == n
    assert order_statistic_ranks(n - 1, p, alpha).upper is None


def loadgen(values, p, alpha):
    """The loop of LoadGen's results.cc for a single stream, as it stands there."""
    issued = len(values)
    if issued < needed_for_quantile(p, 1, alpha):
        return None
    t = 1
    for i in range(2, issued + 1):
        if issued < needed_for_quantile(p, i, alpha):
            t = i - 1
            break
    return values[issued - t]


@pytest.mark.parametrize("n", [1, 63, 64, 80, 81, 500, 661, 662, 663])
@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_the_early_stopping_estimate_is_that_of_loadgen(n, p):
    values = np.arange(float(n))
    assert early_stopping_estimate(values, p, 0.01) == loadgen(values, p, 0.01)


def test_the_early_stopping_estimate_is_one_rank_above_the_order_statistic_bound():
    values = np.arange(1.0, 5001.0)
    upper = quantile_interval(values, 0.99, 0.01).upper
    assert early_stopping_estimate(values, 0.99, 0.01) == upper + 1


def test_fewer_independent_values_have_wider_bounds():
    values = np.arange(1.0, 10_001.0)
    narrow, wide = (quantile_interval(values, 0.9, 0.05, n) for n in (None, 1_000))
    small = quantile_interval(np.arange(1.0, 1_001.0), 0.9, 0.05)
    assert wide.lower < narrow.lower < narrow.upper < wide.upper
    assert (wide.lower, wide.upper) == (10 * small.lower - 9, 10 * small.upper)
    assert quantile_interval(values, 0.99, 0.05, 100).upper is None
    with pytest.raises(ValueError, match="effective"):
        quantile_interval(values, 0.9, 0.05, 10_001)


def test_values_that_do_not_depend_on_each_other_are_worth_themselves():
    rng = np.random.default_rng(0)
    for p in (0.5, 0.9, 0.99):
        worth = [independent_values(rng.exponential(size=2_000), p) for _ in range(400)]
        assert np.mean(np.array(worth) == 2_000) > 0.97


def test_bounds_hold_for_a_series_that_is_slow_in_bursts():
    rng = np.random.default_rng(0)
    runs, n, length = 300, 3_000, 50
    naive = honest = 0
    for _ in range(runs):
        slow = np.repeat(rng.random(n // length) < 0.2, length)
        series = rng.exponential(size=n) + 2 * slow
        # exceeded by 0.8 exp(-x) + 0.2 exp(2 - x) = 0.1
        truth = math.log(8 + 2 * math.exp(2))
        values = np.sort(series)
        naive += quantile_interval(values, 0.9, 0.025).holds(truth)
        worth = independent_values(series, 0.9)
        honest += quantile_interval(values, 0.9, 0.025, worth).holds(truth)
    assert naive < 0.7 * runs
    assert honest > 0.9 * runs
