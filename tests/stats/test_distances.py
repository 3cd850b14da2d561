"""Distances of distributions are scipy's, and their bounds hold at every number of rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp, permutation_test, wasserstein_distance

from auditkit.stats.distances import (
    Distributions,
    kolmogorov_smirnov_interval,
    permutation_p,
    wasserstein_interval,
)
from auditkit.stats.roc import Sample


@pytest.mark.parametrize("decimals", [9, 2, 1])
def test_both_distances_are_scipys(decimals):
    rng = np.random.default_rng(0)
    groups = [np.round(rng.beta(2, b, n), decimals) for b, n in [(2, 300), (3, 41), (5, 7)]]
    curves = Distributions.of(groups)
    for a in range(3):
        for b in range(3):
            ks, area = curves.kolmogorov_smirnov(a, b), curves.wasserstein(a, b)
            assert ks == pytest.approx(ks_2samp(groups[a], groups[b]).statistic, abs=1e-9)
            assert area == pytest.approx(wasserstein_distance(groups[a], groups[b]), abs=1e-9)


def test_distances_by_hand():
    curves = Distributions.of([np.array([0.0, 0.5]), np.array([0.5, 1.0])])
    assert curves.kolmogorov_smirnov(0, 1) == 0.5
    assert curves.wasserstein(0, 1) == 0.5
    one = Distributions.of([np.array([0.3]), np.array([0.3])])
    assert one.kolmogorov_smirnov(0, 1) == one.wasserstein(0, 1) == 0.0


def test_the_band_is_massarts():
    found = kolmogorov_smirnov_interval(0.3, Sample(200), Sample(100), 0.05)
    away = sum(np.sqrt(np.log(2 / 0.025) / (2 * n)) for n in (200, 100))
    assert found.upper == pytest.approx(0.3 + away)
    assert found.lower == pytest.approx(max(0.3 - away, 0.0))


# Uniform on [0, 1] against uniform on [shift, 1]: both distances are known.
@pytest.mark.parametrize("shift", [0.0, 0.6])
@pytest.mark.parametrize("size", [15, 120])
def test_the_bounds_hold(shift, size):
    rng = np.random.default_rng(1)
    samples = Sample(size), Sample(size)
    wrong = np.zeros(4)
    for _ in range(400):
        curves = Distributions.of([rng.random(size), shift + (1 - shift) * rng.random(size)])
        ks = kolmogorov_smirnov_interval(curves.kolmogorov_smirnov(0, 1), *samples, 0.05)
        area = wasserstein_interval(curves.wasserstein(0, 1), *samples, 0.05)
        wrong += [ks.lower > shift, ks.upper < shift, area.lower > shift / 2,
                  area.upper < shift / 2]  # fmt: skip
    assert (wrong <= 20).all()


def test_the_bounds_hold_where_rows_are_copies_and_would_not_without_clusters():
    rng = np.random.default_rng(2)
    units = np.repeat(np.arange(20), 30)
    wrong, naive = 0, 0
    for _ in range(200):
        curves = Distributions.of([rng.random(20)[units], rng.random(20)[units]])
        value = curves.kolmogorov_smirnov(0, 1)
        told = Sample(600, units), Sample(600, units + 20)
        plain = Sample(600), Sample(600)
        wrong += kolmogorov_smirnov_interval(value, *told, 0.05).lower > 0
        naive += kolmogorov_smirnov_interval(value, *plain, 0.05).lower > 0
    assert wrong <= 10
    assert naive > 50


def test_the_permutation_p_is_scipys_up_to_chance():
    rng = np.random.default_rng(3)
    first, second = rng.beta(2, 2, 60), rng.beta(2, 2.6, 50)
    ks, area = permutation_p(first, second, np.random.default_rng(0), times=2_000)
    for found, statistic in (
        (ks, lambda a, b: ks_2samp(a, b).statistic),
        (area, wasserstein_distance),
    ):
        theirs = permutation_test(
            (first, second), statistic, n_resamples=500, alternative="greater", rng=1
        ).pvalue
        assert found == pytest.approx(theirs, abs=0.06)


def test_the_permutation_p_is_uniform_for_equal_groups_and_small_for_unlike_ones():
    rng = np.random.default_rng(4)
    found = np.array([permutation_p(rng.random(30), rng.random(20), rng, 99) for _ in range(200)])
    assert ((found <= 0.05).mean(axis=0) < 0.11).all()
    assert ((found <= 0.5).mean(axis=0) < 0.62).all()
    assert ((found <= 0.5).mean(axis=0) > 0.38).all()
    assert max(permutation_p(rng.random(60), 0.5 + rng.random(60) / 2, rng, 99)) == 0.01
