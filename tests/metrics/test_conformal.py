"""Conformal scores by hand, and coverage in simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from auditkit.data import Attribute
from auditkit.metrics.conformal import Score, Thresholds, class_scores, threshold, true_scores
from auditkit.testing import tiny_data

SPLITS = 1000


def test_scores_by_hand():
    probabilities = np.array([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1]])
    assert class_scores(probabilities, "lac") == pytest.approx(1 - probabilities)
    found = class_scores(probabilities, "aps")
    assert found[0] == pytest.approx([0.5, 1.0, 0.8])
    assert found[1] == pytest.approx([0.9, 0.8, 1.0])
    assert true_scores(found, np.array([2, 0])) == pytest.approx([0.8, 0.9])


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("n", [9, 19, 100, 333])
def test_the_threshold_is_the_quantile_of_numpy_at_the_corrected_level(n, level):
    scores = np.random.default_rng(n).random(n)
    corrected = math.ceil((n + 1) * level - 1e-9) / n
    if corrected > 1:
        assert threshold(scores, level) == math.inf
    else:
        expected = np.quantile(scores, corrected, method="inverted_cdf")
        assert threshold(scores, level) == expected


def band(share: float) -> tuple[float, float]:
    return tuple(binom.ppf([5e-5, 1 - 5e-5], SPLITS, share))


def rows(rng: np.random.Generator, n: int, sure: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of three classes, and labels drawn from other ones: a model that is wrong."""
    logits = rng.normal(size=(n, 3))
    shown = np.exp(sure * logits)
    true = np.exp(logits)
    cumulative = np.cumsum(true / true.sum(axis=1, keepdims=True), axis=1)
    labels = (rng.random((n, 1)) > cumulative).sum(axis=1)
    return shown / shown.sum(axis=1, keepdims=True), labels


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_coverage_holds_in_simulation(score: Score):
    rng, n, level, covered = np.random.default_rng(0), 99, 0.9, 0
    for _ in range(SPLITS):
        probabilities, labels = rows(rng, n + 1, 3.0)
        scores = true_scores(class_scores(probabilities, score), labels)
        covered += scores[-1] <= threshold(scores[:-1], level)
    lowest, highest = band(math.ceil((n + 1) * level) / (n + 1))
    assert lowest <= covered
    assert covered <= highest or score == "aps"  # all classes together always score 1: ties


def test_coverage_holds_in_every_group_that_is_calibrated_by_itself():
    rng, n, level = np.random.default_rng(1), 99, 0.9
    within, shared = np.zeros(2), np.zeros(2)
    for _ in range(SPLITS):
        easy, hard = rows(rng, n + 1, 0.5), rows(rng, n + 1, 4.0)
        scores = [true_scores(class_scores(*[p], "lac"), y) for p, y in (easy, hard)]
        calibration = np.concatenate([one[:-1] for one in scores])
        group = Attribute.from_values("g", ["easy"] * n + ["hard"] * n)
        data = tiny_data([0, 0], {"g": ["easy", "hard"]})
        last = np.array([one[-1] for one in scores])
        within += last <= Thresholds.of(calibration, level, group).for_rows(data)
        shared += last <= Thresholds.of(calibration, level).for_rows(data)
    lowest, highest = band(math.ceil((n + 1) * level) / (n + 1))
    assert (within >= lowest).all()
    assert (within <= highest).all()
    assert shared[1] < lowest
    assert shared[0] > highest


def test_a_group_that_was_not_calibrated_has_the_threshold_of_all_rows():
    scores = np.linspace(0, 1, 40)
    group = Attribute.from_values("g", ["a"] * 20 + ["b"] * 20)
    found = Thresholds.of(scores, 0.8, group)
    data = tiny_data([0, 0, 0], {"g": ["b", "c", None]})
    assert found.for_rows(data)[1:].tolist() == [found.overall] * 2
    assert found.for_rows(data)[0] == threshold(scores[20:], 0.8)
    assert found.for_rows(tiny_data([0], {})).tolist() == [found.overall]
