"""Quantiles from order statistics."""

import numpy as np
import pytest
from scipy.stats import binom

from auditkit.finding import Interval
from auditkit.stats.quantiles import (
    needed_for_quantile,
    order_statistic_ranks,
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
