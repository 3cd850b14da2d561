"""Two-sample tests: hand-computed values, exact levels under no shift, power under one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel

from auditkit.stats.two_samples import (
    auc_test,
    mean_discrepancy_test,
    relabelled,
    stability_index,
    stability_interval,
    stability_test,
)


def test_the_two_rows_of_a_cluster_change_places_and_the_others_are_dealt():
    second, clusters = np.array([0, 0, 0, 0, 1, 1, 1], bool), np.array([7, 8, 1, 2, 8, 7, 3])
    rng, seen = np.random.default_rng(0), set()
    for _ in range(200):
        found = relabelled(second, clusters, rng)
        assert found[0] != found[5]
        assert found[1] != found[4]
        assert found[[2, 3, 6]].sum() == 1
        seen.add(tuple(found.tolist()))
    assert len(seen) == 2 * 2 * 3
    assert sorted(relabelled(second, None, rng)) == sorted(second)


@pytest.mark.parametrize("test", ["auc", "mean discrepancy"])
def test_permutation_of_samples_that_share_clusters_keeps_its_level(test):
    rng, runs, found = np.random.default_rng(0), 50, 0
    clusters, second = np.tile(np.arange(25), 2), np.arange(50) >= 25
    for _ in range(runs):
        own = np.tile(rng.normal(size=25), 2) * np.where(second, -1, 1)
        values = own + 0.3 * rng.normal(size=50)
        if test == "auc":
            p = auc_test(values, second, rng, clusters).p
        else:
            p = mean_discrepancy_test(values[~second, None], values[second, None], rng, clusters).p
        found += p <= 0.05
    assert found <= binom.ppf(1 - 1e-3, runs, 0.05)


def test_the_stability_index_by_hand():
    # 60.5/101 and 30.5/101 against 20.5/101 and 80.5/101: half a row is added to each bin.
    p, q = np.array([60.5, 40.5]) / 101, np.array([20.5, 80.5]) / 101
    expected = float(((p - q) * np.log(p / q)).sum())
    assert stability_index([60, 40], [20, 80]) == pytest.approx(expected, abs=1e-12)
    assert stability_index([60, 40], [20, 80]) == stability_index([20, 80], [60, 40])
    assert stability_index([10, 0], [0, 10]) < 10  # an empty bin is not infinite
    assert stability_index([10, 10], [50, 50]) == 0


@pytest.mark.parametrize("bins", [2, 10])
@pytest.mark.parametrize("tilt", [0.0, 0.4, 0.8])
def test_the_interval_of_the_stability_index_covers(bins, tilt):
    rng = np.random.default_rng(0)
    p = np.full(bins, 1 / bins)
    q = p * np.exp(tilt * np.linspace(-1, 1, bins))
    q /= q.sum()
    truth, low, high = float(((p - q) * np.log(p / q)).sum()), 0, 0
    for _ in range(500):
        first, second = rng.multinomial(800, p), rng.multinomial(400, q)
        interval = stability_interval(first, second, 0.05)
        assert interval.holds(stability_index(first, second))
        low, high = low + (interval.lower > truth), high + (interval.upper < truth)
    assert max(low, high) <= 45  # of 500 at 5 %, or 6 % as it says


def test_a_smaller_error_gives_a_wider_interval():
    wide, narrow = (stability_interval([300, 200], [200, 300], a) for a in (0.001, 0.05))
    assert wide.lower < narrow.lower < narrow.upper < wide.upper


def test_the_auc_is_scikit_learns_ties_included():
    rng = np.random.default_rng(0)
    scores, second = np.round(rng.normal(size=120), 1), rng.random(120) < 0.4
    assert auc_test(scores, second, rng).value == pytest.approx(
        roc_auc_score(second, scores), abs=1e-12
    )
    assert auc_test(scores, np.zeros(120, bool), rng) == (0.5, 1.0)


def test_the_mean_discrepancy_is_that_of_scikit_learns_kernel():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(30, 5)), rng.normal(0.5, 1, size=(20, 5))
    both = np.concatenate([first, second])
    distances = np.sqrt(((both[:, None] - both[None]) ** 2).sum(-1))
    gamma = 1 / (2 * np.median(distances[np.triu_indices(50, 1)]) ** 2)
    kernel = rbf_kernel(both, gamma=gamma)
    a, b, c = kernel[:30, :30], kernel[30:, 30:], kernel[:30, 30:]
    expected = (a.sum() - 30) / (30 * 29) + (b.sum() - 20) / (20 * 19) - 2 * c.mean()
    found = mean_discrepancy_test(first, second, rng)
    assert found.value == pytest.approx(expected, abs=1e-10)


def p_values(test, times: int) -> np.ndarray:
    return np.array([test(np.random.default_rng(seed)).p for seed in range(times)])


NULL = {
    "stability": lambda rng: stability_test(
        rng.multinomial(80, [0.2] * 5), rng.multinomial(60, [0.2] * 5), rng
    ),
    "auc": lambda rng: auc_test(rng.normal(size=50), np.arange(50) < 20, rng),
    "mean discrepancy": lambda rng: mean_discrepancy_test(
        rng.normal(size=(20, 3)), rng.normal(size=(15, 3)), rng
    ),
}
SHIFTED = {
    "stability": lambda rng: stability_test(
        rng.multinomial(80, [0.2] * 5), rng.multinomial(60, [0.5, 0.3, 0.1, 0.05, 0.05]), rng
    ),
    "auc": lambda rng: auc_test(
        rng.normal(size=50) + 1.2 * (np.arange(50) < 20), np.arange(50) < 20, rng
    ),
    "mean discrepancy": lambda rng: mean_discrepancy_test(
        rng.normal(size=(20, 3)), rng.normal(1, 1, size=(15, 3)), rng
    ),
}


@pytest.mark.parametrize("name", NULL)
def test_false_alarms_come_at_the_nominal_level(name):
    p = p_values(NULL[name], 300)
    assert p.min() >= 1 / 1000
    # Of 300 at 5 % at most 30, at 20 % at most 88, and not far fewer: chances of 1e-4.
    assert (p <= 0.05).sum() <= 30
    assert 35 <= (p <= 0.2).sum() <= 88


@pytest.mark.parametrize("name", SHIFTED)
def test_a_shift_is_found(name):
    assert (p_values(SHIFTED[name], 20) <= 0.05).mean() >= 0.8
