"""Differences of two samples in which clusters have rows on both sides."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, t, ttest_rel

from auditkit.finding import Interval
from auditkit.stats.shared_clusters import mean_difference, share_clusters, wider

PAIR = np.array([0, 1])


def test_a_cluster_on_both_sides_is_found_and_rows_without_clusters_share_none():
    assert share_clusters(np.array([1, 2]), np.array([2, 3]))
    assert not share_clusters(np.array([1, 2]), np.array([3, 4]))
    assert not share_clusters(None, None)
    assert not share_clusters(np.zeros(0, dtype=np.int64), np.array([3]))


def test_what_moves_both_means_alike_cancels_and_what_moves_them_apart_adds_up():
    alike = mean_difference([1.0, 3.0], [0.0, 2.0], (PAIR, PAIR), 0.05)
    assert (alike.lower, alike.upper) == (1.0, 1.0)
    against = mean_difference([1.0, 3.0], [2.0, 0.0], (PAIR, PAIR), 0.05)
    # Influence of the clusters -1 and 1: variance 2 / (2 - 1) * 2, with 1 degree of freedom.
    half = t.ppf(0.95, 1) * 2.0
    assert against.upper == pytest.approx(1.0 + half)
    assert against.lower == pytest.approx(1.0 - half)


def test_one_row_of_each_cluster_on_either_side_is_the_paired_t_test_of_scipy():
    rng = np.random.default_rng(0)
    first, second, clusters = rng.normal(size=30), rng.normal(size=30), rng.permutation(30)
    order = rng.permutation(30)
    found = mean_difference(first, second[order], (clusters, clusters[order]), 0.025)
    known = ttest_rel(first, second).confidence_interval(0.95)
    assert found.lower == pytest.approx(known.low, abs=1e-12)
    assert found.upper == pytest.approx(known.high, abs=1e-12)


def test_one_cluster_gives_no_bounds_and_rows_without_clusters_are_their_own():
    one = np.zeros(3, dtype=np.int64)
    assert mean_difference([1, 2, 3], [1, 2, 3], (one, one), 0.05) == Interval(None, None)
    free = mean_difference([0.0, 1.0], [0.0, 1.0, 0.0, 1.0], (None, None), 0.05)
    error = math.sqrt(2 * (2 * 0.25**2 * 4 / 4 + 4 * 0.125**2))
    assert free.upper == pytest.approx(t.ppf(0.95, 1) * error)


def test_the_wider_of_two_holds_both_and_stays_open_where_one_is():
    assert wider(Interval(0.0, 2.0), Interval(1.0, 3.0)) == Interval(0.0, 3.0)
    assert wider(Interval(None, 2.0), Interval(1.0, None)) == Interval(None, None)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_bound_errs_no_more_often_than_it_claims_with_every_cluster_on_both_sides(sign):
    rng, runs, errors, apart = np.random.default_rng(1), 1_000, np.zeros(2), 0
    clusters = np.repeat(np.arange(40), 5)
    for _ in range(runs):
        moved = rng.normal(size=40)
        first = np.repeat(moved, 5) + rng.normal(size=200)
        second = np.repeat(sign * moved, 5) + rng.normal(size=200)
        found = mean_difference(first, second, (clusters, clusters), 0.05)
        errors += [found.lower > 0, found.upper < 0]
        apart += mean_difference(first, second, (clusters, clusters + 40), 0.05).lower > 0
    assert errors.max() <= binom.ppf(1 - 1e-4, runs, 0.05)
    # Taken for independent, samples that a cluster moves apart err twice as often as claimed.
    assert sign == 1 or apart > 1.7 * 0.05 * runs
