"""How often the intervals and the verdicts built on them are wrong. The long version is
benchmarks/calibration.py."""

from functools import cache

import numpy as np
import pytest
from scipy.stats import binom

from auditkit.stats.auc import auc_components, auc_interval
from auditkit.stats.bootstrap import bootstrap_counts
from auditkit.stats.differences import difference_bounds, miettinen_nurminen_bounds, newcombe_bounds
from auditkit.stats.gaps import ordered_pairs, pairwise_difference_bounds
from auditkit.stats.intervals import (
    clopper_pearson_bounds,
    effective_counts,
    mean_interval,
    rate,
    wilson,
    wilson_bounds,
)
from auditkit.stats.paired import paired_difference
from auditkit.stats.quantiles import order_statistic_ranks
from auditkit.stats.ratios import ratio_bounds

LIMIT = 0.1
FINE = np.linspace(0.0005, 0.9995, 1999)[:, None]


def most_misses(runs, level=0.05):
    """More misses than this come up once in 10,000 tests of a method that keeps its level."""
    return binom.isf(1e-4, runs, level)


def test_the_bands_are_the_published_ones():
    assert [most_misses(runs) for runs in (1000, 2000, 5000)] == [77, 138, 309]


@pytest.mark.parametrize("n", [1, 7, 20, 100, 400])
@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.001])
def test_each_end_of_the_exact_interval_keeps_its_level_at_every_rate(n, alpha):
    k = np.arange(n + 1)
    lower, upper = clopper_pearson_bounds(k, n, alpha)
    weight = binom.pmf(k, n, FINE)
    assert (weight * (lower > FINE)).sum(axis=1).max() <= alpha * (1 + 1e-9)
    assert (weight * (upper < FINE)).sum(axis=1).max() <= alpha * (1 + 1e-9)


@pytest.mark.parametrize(
    ("bounds", "n", "mean", "worst"),
    [
        (wilson_bounds, 20, 0.954, 0.917),
        (wilson_bounds, 100, 0.951, 0.928),
        (clopper_pearson_bounds, 20, 0.976, 0.958),
        (clopper_pearson_bounds, 100, 0.963, 0.950),
    ],
)
def test_the_coverage_between_5_and_95_percent_is_the_tabled_one(bounds, n, mean, worst):
    grid = np.linspace(0.05, 0.95, 901)[:, None]
    k = np.arange(n + 1)
    lower, upper = bounds(k, n, 0.025)
    covered = (binom.pmf(k, n, grid) * ((lower <= grid) & (grid <= upper))).sum(axis=1)
    assert covered.mean() == pytest.approx(mean, abs=0.002)
    assert covered.min() == pytest.approx(worst, abs=0.002)


def test_one_end_of_wilson_alone_does_not_keep_its_level():
    k = np.arange(101)
    lower, _ = wilson_bounds(k, 100, 0.05)
    assert (binom.pmf(k, 100, FINE) * (lower > FINE)).sum(axis=1).max() > 0.15


def _worst_end(bounds, n1, n2, alpha, truths):
    k1, k2 = np.arange(n1 + 1)[:, None], np.arange(n2 + 1)[None, :]
    lower, upper = bounds(k1, n1, k2, n2, alpha)
    worst = 0.0
    for rate1, rate2, truth in truths:
        weight = binom.pmf(k1, n1, rate1) * binom.pmf(k2, n2, rate2)
        missed = (weight * (lower > truth + 1e-12)).sum(), (weight * (upper < truth - 1e-12)).sum()
        worst = max(worst, *missed)
    return worst


@pytest.mark.parametrize(("n1", "n2"), [(20, 20), (50, 50), (100, 100), (20, 180), (50, 450)])
def test_each_end_of_a_difference_keeps_its_level_within_the_band(n1, n2):
    rates = (0.01, 0.05, 0.1, 0.2, 0.5, 0.7, 0.9, 0.98)
    truths = [(p, q, p - q) for p in rates for q in rates if abs(p - q) <= 0.31]
    worst = _worst_end(difference_bounds, n1, n2, 0.05, truths)
    assert worst <= most_misses(5000) / 5000


def test_the_published_methods_alone_do_not_in_the_corners():
    corner = [(0.08, 0.02, 0.06), (0.01, 0.01, 0.0)]
    assert _worst_end(miettinen_nurminen_bounds, 50, 50, 0.05, corner) > 0.08
    assert _worst_end(newcombe_bounds, 20, 180, 0.05, corner) > 0.08


@pytest.mark.parametrize(("n1", "n2"), [(20, 20), (50, 50), (100, 100), (20, 180), (180, 20)])
def test_each_end_of_a_ratio_keeps_its_level_within_the_band(n1, n2):
    truths = [(p * r, p, r) for p in (0.05, 0.1, 0.4, 0.8, 0.99) for r in (0.67, 0.8, 1.0)]
    worst = _worst_end(ratio_bounds, n1, n2, 0.05, truths)
    assert worst <= most_misses(5000) / 5000


def test_ranks_of_a_quantile_keep_their_level():
    lower, upper = order_statistic_ranks(500, 0.95, 0.05)
    uniform = np.sort(np.random.default_rng(0).random((5000, 500)), axis=1)
    assert (uniform[:, lower - 1] > 0.95).sum() <= most_misses(5000)
    assert (uniform[:, upper - 1] < 0.95).sum() <= most_misses(5000)


def _misses(draw, truth, runs):
    rng = np.random.default_rng(1)
    intervals = [draw(rng) for _ in range(runs)]
    return sum(not one.lower <= truth <= one.upper for one in intervals)


def test_the_paired_difference_covers():
    ends = cache(paired_difference)

    def draw(rng):
        b, c, _ = rng.multinomial(200, (0.05, 0.02, 0.93))
        return ends(int(b), int(c), 200, 0.025)

    assert _misses(draw, 0.03, 2000) <= most_misses(2000)


def test_the_mean_of_clusters_covers():
    label = np.repeat(np.arange(30), 5)

    def draw(rng):
        values = 0.5 * rng.random(30)[label] + 0.5 * rng.random(150)
        return mean_interval(values, 0.025, label)

    assert _misses(draw, 0.5, 2000) <= most_misses(2000)


def test_copied_rows_are_covered_by_effective_counts_and_by_nothing_else():
    label = np.repeat(np.arange(100), 10)

    def hits(rng):
        first, own = rng.random((100, 1)) < 0.8, rng.random((100, 10)) < 0.8
        return np.where(rng.random((100, 10)) < 0.5, first, own).ravel()

    def careful(rng):
        counted = effective_counts(hits(rng), label, 0.025)
        return rate(counted.k, counted.n, 0.025)

    assert _misses(careful, 0.8, 1000) <= most_misses(1000)
    naive = _misses(lambda rng: wilson(hits(rng).sum(), 1000, 0.025), 0.8, 1000)
    assert naive == pytest.approx(280, abs=60)


@pytest.mark.parametrize(("shift", "area"), [(1.0, 0.760250), (3.0, 0.983053)])
def test_the_auc_covers(shift, area):
    mask = np.arange(100) < 50

    def draw(rng):
        return auc_interval(
            auc_components(rng.normal(0, 1, 100) + shift * mask, mask, ~mask), 0.025
        )

    assert _misses(draw, area, 2000) <= most_misses(2000)


@pytest.mark.parametrize("correct", [0.8, 0.98])
def test_bootstrapped_balanced_accuracy_covers(correct):
    def balanced(tables):
        return (
            tables[:, 0] / tables[:, :2].sum(axis=1) + tables[:, 3] / tables[:, 2:].sum(axis=1)
        ) / 2

    def draw(rng):
        hits = rng.binomial(100, correct, 2)
        table = [hits[0], 100 - hits[0], 100 - hits[1], hits[1]]
        return bootstrap_counts(table, balanced, 0.025, rng, [0, 0, 1, 1]).interval(0.025)

    assert _misses(draw, correct, 500) <= most_misses(500)


def _verdicts(rates, n, runs):
    """How many of `runs` simulated models with these true rates PASS, and how many FAIL."""
    groups = len(rates)
    corrected = 0.05 / ordered_pairs(groups)
    sizes = np.full(groups, n)

    @cache
    def judged(counts):
        return pairwise_difference_bounds(counts, sizes, 0.05, corrected, 20)

    k = np.sort(np.random.default_rng(7).binomial(n, rates, (runs, groups)), axis=1)
    bounds = [judged(tuple(row)) for row in k]
    passed = sum(one.claim_upper <= LIMIT for one in bounds)
    return passed, sum(one.corrected_lower > LIMIT for one in bounds)


@pytest.mark.parametrize("groups", [2, 4, 8])
@pytest.mark.parametrize("n", [100, 200, 500])
def test_fair_models_seldom_fail(groups, n):
    _, failed = _verdicts(np.full(groups, 0.8), n, 1000)
    assert failed <= most_misses(1000)


@pytest.mark.parametrize("n", [100, 500])
@pytest.mark.parametrize(("groups", "worse"), [(2, 1), (4, 2), (8, 1), (8, 4)])
def test_models_exactly_at_the_limit_seldom_get_a_verdict(groups, worse, n):
    rates = np.full(groups, 0.8)
    rates[:worse] = 0.7
    passed, failed = _verdicts(rates, n, 1000)
    assert passed <= most_misses(1000)
    assert failed <= most_misses(1000)


@pytest.mark.parametrize(
    ("groups", "n", "share"), [(2, 100, 0.11), (2, 200, 0.61), (4, 500, 0.91), (8, 500, 0.72)]
)
def test_fair_models_pass_as_often_as_tabled(groups, n, share):
    passed, _ = _verdicts(np.full(groups, 0.8), n, 1000)
    error = 3 * (share * (1 - share) * (1 / 1000 + 1 / 2000)) ** 0.5
    assert passed / 1000 == pytest.approx(share, abs=error + 0.005)


@pytest.mark.parametrize(("n", "share"), [(200, 0.47), (500, 0.93)])
def test_a_group_20_points_behind_fails_as_often_as_tabled(n, share):
    rates = np.full(8, 0.8)
    rates[0] = 0.6
    _, failed = _verdicts(rates, n, 1000)
    error = 3 * (share * (1 - share) * (1 / 1000 + 1 / 2000)) ** 0.5
    assert failed / 1000 == pytest.approx(share, abs=error + 0.005)


class TestNaiveBootstrap:
    """The percentile bootstrap of a folded gap fails the test that the signed intervals pass."""

    def _lower_ends(self, groups, n, runs):
        rng = np.random.default_rng(3)
        shares = rng.binomial(n, 0.8, (runs, groups)) / n
        drawn = rng.binomial(n, shares[:, None, :], (runs, 1000, groups)) / n
        return np.quantile(drawn.max(axis=2) - drawn.min(axis=2), 0.025, axis=1)

    def test_eight_fair_groups_are_never_covered_and_mostly_called_unfair(self):
        lower = self._lower_ends(8, 50, 200)
        assert (lower > 0).all()
        assert (lower > LIMIT).mean() == pytest.approx(0.66, abs=0.12)

    def test_two_fair_groups_are_seldom_covered(self):
        assert (self._lower_ends(2, 1000, 300) <= 0).mean() < 0.3

    def test_the_signed_interval_covers_them(self):
        k = np.random.default_rng(3).binomial(1000, 0.8, (5000, 2))
        lower, upper = difference_bounds(k[:, 0], 1000, k[:, 1], 1000, 0.025)
        assert ((lower <= 0) & (upper >= 0)).mean() >= 0.93
