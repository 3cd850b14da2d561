"""Intervals of changes: they hold, they are symmetric, and they claim nothing without cause."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.finding import Interval
from auditkit.stats import changes
from auditkit.stats.changes import (
    change_of_largest,
    cluster_draws,
    drawn_change_of_largest,
    mirrored,
    table_draws,
    weight_draws,
)
from auditkit.stats.intervals import critical_value


def test_with_one_quantity_it_is_the_plain_interval_of_the_difference():
    covariance = np.array([[4.0, 1.0], [1.0, 9.0]])
    found = change_of_largest(np.array([1.0]), np.array([3.0]), covariance, 0.025)
    half = critical_value(0.025) * np.sqrt(4 + 9 - 2)
    assert found.lower == pytest.approx(2 - half)
    assert found.upper == pytest.approx(2 + half)


def test_exchanging_before_and_after_mirrors_the_interval():
    rng = np.random.default_rng(0)
    m = 5
    root = rng.normal(size=(2 * m, 2 * m))
    covariance = root @ root.T / 100
    before, after = rng.normal(size=m), rng.normal(size=m)
    swapped = np.block(
        [[covariance[m:, m:], covariance[m:, :m]], [covariance[:m, m:], covariance[:m, :m]]]
    )
    one = change_of_largest(before, after, covariance, 0.01)
    other = mirrored(change_of_largest(after, before, swapped, 0.01))
    assert one.lower == pytest.approx(other.lower)
    assert one.upper == pytest.approx(other.upper)
    assert one.holds(float(after.max() - before.max()))


def test_the_two_models_may_have_quantities_of_their_own():
    """Two before, three after: each end is corrected for those of which the best may be taken."""
    before, after = np.array([0.5, 0.1]), np.array([0.2, 0.15, 0.1])
    covariance = np.eye(5) / 1e4
    found = change_of_largest(before, after, covariance, 0.05)
    spread = np.sqrt(2) / 100
    assert found.upper == pytest.approx(0.2 - 0.5 + critical_value(0.05 / 2) * spread)
    assert found.lower == pytest.approx(0.2 - 0.5 - critical_value(0.05 / 3) * spread)


def test_a_difference_without_an_error_of_its_own_has_no_bound():
    zero = np.zeros((2, 2))
    nothing = change_of_largest(np.array([0.2]), np.array([0.1]), zero, 0.05)
    assert nothing == Interval(None, None)
    same = change_of_largest(np.array([0.2]), np.array([0.2]), zero, 0.05)
    assert same == Interval(0.0, 0.0)


def test_few_clusters_widen_the_interval():
    covariance = np.diag([1.0, 1.0])
    many = change_of_largest(np.zeros(1), np.ones(1), covariance, 0.05)
    few = change_of_largest(np.zeros(1), np.ones(1), covariance, 0.05, freedom=3)
    assert few.lower < many.lower
    assert few.upper > many.upper


def test_draws_have_the_mean_and_spread_of_resampled_tables():
    table = np.array([[30, 10], [20, 40]])
    drawn = np.concatenate(list(table_draws(table, np.random.default_rng(0), 1)))
    assert len(drawn) == changes.DRAWS
    shares = drawn[:, :, 0] / drawn.sum(axis=2)
    assert shares.mean(axis=0) == pytest.approx([31 / 42, 21 / 62], abs=0.01)
    expected = [np.sqrt(0.75 * 0.25 / 40), np.sqrt(1 / 3 * 2 / 3 / 60)]
    assert shares.std(axis=0) == pytest.approx(expected, rel=0.1)


def test_an_empty_stratum_stays_empty_and_disagreement_is_never_impossible():
    table = np.array([[50, 0], [0, 0]])
    drawn = np.concatenate(list(table_draws(table, np.random.default_rng(0), 1)))
    assert (drawn[:, 1] == 0).all()
    assert (drawn[:, 0, 1] > 0).all()


def test_clusters_are_drawn_whole():
    tables = np.array([[4, 0], [0, 4]])
    drawn = np.concatenate(list(cluster_draws(tables, np.random.default_rng(0))))
    share = drawn[:, 0] / drawn.sum(axis=1)
    assert share.std() > 0.25  # of 8 independent rows it would be 0.17


def test_weights_have_mean_one():
    weights = np.concatenate(list(weight_draws(50, np.random.default_rng(0))))
    assert weights.shape == (changes.DRAWS, 50)
    assert weights.mean() == pytest.approx(1.0, abs=0.02)


def gaps(matrices: np.ndarray) -> np.ndarray:
    rates = matrices[..., 1] / matrices.sum(axis=-1)
    return (rates[:, :, None] - rates[:, None, :])[:, ~np.eye(rates.shape[1], dtype=bool)]


def gaps_of_both(tables: np.ndarray) -> np.ndarray:
    return np.concatenate([gaps(tables.sum(axis=3)), gaps(tables.sum(axis=2))], axis=1)


def test_of_draws_the_interval_is_that_of_their_covariance(monkeypatch):
    table = np.random.default_rng(1).integers(1, 30, size=(5, 2, 2))
    both = tuple(gaps(table.sum(axis=a)[None].astype(float))[0] for a in (2, 1))
    draws = np.concatenate(list(table_draws(table, np.random.default_rng(0), 1)))
    covariance = np.cov(gaps_of_both(draws), rowvar=False)
    plain = change_of_largest(*both, covariance, 0.05)
    monkeypatch.setattr(changes, "_CHUNK", 1000)
    found = drawn_change_of_largest(both, iter(np.array_split(draws, 3)), gaps_of_both, 0.05)
    assert found.lower == pytest.approx(plain.lower)
    assert found.upper == pytest.approx(plain.upper)
    monkeypatch.setattr(changes, "LEADERS", 2)
    wider = drawn_change_of_largest(both, iter([draws]), gaps_of_both, 0.05)
    assert wider.lower <= found.lower + 1e-12
    assert wider.upper >= found.upper - 1e-12


@pytest.mark.parametrize(
    ("before", "after", "n"),
    [
        ((0.9, 0.7), (0.9, 0.9), 300),
        ((0.9, 0.7), (0.9, 0.7), 300),
        ((0.8, 0.8, 0.8), (0.8, 0.8, 0.8), 300),
        ((0.98, 0.9), (0.9, 0.98), 120),
    ],
)
def test_the_interval_holds_the_change_of_the_largest_gap_as_often_as_it_says(
    monkeypatch, before, after, n
):
    monkeypatch.setattr(changes, "DRAWS", 400)
    rng = np.random.default_rng(0)
    truth = (max(after) - min(after)) - (max(before) - min(before))
    groups, alpha, times = len(before), 0.05, 300
    missed = 0
    for _ in range(times):
        group = np.arange(n) % groups
        shared = rng.random(n)
        one = shared < np.array(before)[group]
        other = np.where(rng.random(n) < 0.7, shared, rng.random(n)) < np.array(after)[group]
        table = np.zeros((groups, 2, 2), dtype=np.int64)
        np.add.at(table, (group, one.astype(int), other.astype(int)), 1)
        both = [gaps(table.sum(axis=2)[None].astype(float))[0],
                gaps(table.sum(axis=1)[None].astype(float))[0]]  # fmt: skip
        found = drawn_change_of_largest(
            tuple(both), table_draws(table, rng, 1), gaps_of_both, alpha
        )
        missed += not found.holds(truth)
    # 10 % are allowed for both ends; 300 samples show up to 14.6 % one time in 100.
    assert missed / times <= 0.146
