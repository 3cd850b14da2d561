"""The calibration error and its bounds."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.metrics.calibration import brier_scores, ece_bounds, reliability


def draw(n: int, rng: np.random.Generator, power: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Binary probabilities whose true odds are the stated odds to the power."""
    stated = rng.uniform(0.02, 0.98, n)
    odds = (stated / (1 - stated)) ** power
    labels = (rng.random(n) < odds / (1 + odds)).astype(np.int64)
    return np.stack([1 - stated, stated], axis=1), labels


def true_ece(power: float, bins: int = 15) -> float:
    probabilities, _ = draw(2_000_000, np.random.default_rng(9), power)
    top = probabilities.max(axis=1)
    odds = (top / (1 - top)) ** power
    code = np.ceil(top * bins).astype(int) - 1
    gap = np.bincount(code, weights=top - odds / (1 + odds), minlength=bins)
    return float(np.abs(gap).sum() / len(top))


def test_the_error_is_the_size_weighted_gap_of_the_bins():
    probabilities = np.array([[0.1, 0.9], [0.1, 0.9], [0.4, 0.6], [0.4, 0.6]])
    table = reliability(probabilities, np.array([1, 0, 1, 1]), bins=10)
    assert table.ece == pytest.approx(0.5 * abs(0.9 - 0.5) + 0.5 * abs(0.6 - 1.0))


def test_a_certain_and_right_model_has_no_error():
    probabilities = np.eye(3)[[0, 1, 2, 0]]
    table = reliability(probabilities, np.array([0, 1, 2, 0]), bins=15)
    assert table.ece == 0.0
    assert brier_scores(probabilities, np.array([0, 1, 2, 0])).tolist() == [0.0] * 4


def test_the_brier_score_is_twice_the_binary_one():
    from sklearn.metrics import brier_score_loss

    probabilities, labels = draw(500, np.random.default_rng(0))
    expected = 2 * brier_score_loss(labels, probabilities[:, 1])
    assert brier_scores(probabilities, labels).mean() == pytest.approx(expected)


@pytest.mark.parametrize(("power", "n"), [(1.0, 300), (1.0, 3000), (0.4, 300), (0.4, 3000)])
def test_each_bound_holds_in_at_least_its_share_of_samples(power, n):
    """One-sided 95 %: at perfect calibration, where the plain estimate is too high, and off it."""
    truth, rng, runs = true_ece(power), np.random.default_rng(1), 400
    low = high = 0
    for _ in range(runs):
        bounds = ece_bounds(reliability(*draw(n, rng, power), 15), 0.05, rng)
        low += bounds.lower <= truth
        high += bounds.upper >= truth
    assert min(low, high) / runs >= 0.93  # 0.95 less 1.8 Monte Carlo errors


def test_a_bootstrap_of_the_error_itself_would_not_hold():
    """The reason for the construction: at perfect calibration its lower bound is always wrong."""
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(50):
        probabilities, labels = draw(300, rng)
        resampled = []
        for _ in range(100):
            rows = rng.integers(0, 300, 300)
            resampled.append(reliability(probabilities[rows], labels[rows], 15).ece)
        wrong += np.quantile(resampled, 0.05) > 0.005
    assert wrong == 50


def test_bounds_of_clustered_rows_are_wider():
    rng = np.random.default_rng(3)
    probabilities, labels = draw(200, rng)
    repeated = np.repeat(np.arange(200), 10)
    table = reliability(probabilities[repeated], labels[repeated], 15)
    naive = ece_bounds(table, 0.05, np.random.default_rng(4))
    robust = ece_bounds(table, 0.05, np.random.default_rng(4), clusters=repeated)
    single = ece_bounds(reliability(probabilities, labels, 15), 0.05, np.random.default_rng(4))
    assert robust.upper - robust.lower > naive.upper - naive.lower
    assert single.upper >= robust.lower
