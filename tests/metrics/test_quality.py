"""Metrics of the confusion matrix equal scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    matthews_corrcoef,
)

from auditkit.metrics.quality import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    f1,
    majority_matrix,
    mcc,
)


def draws(classes: int, seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    predicted = np.where(rng.random(n) < 0.7, labels, rng.integers(0, classes, n))
    return labels, predicted


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("seed", range(5))
def test_every_metric_equals_scikit_learns(classes, seed):
    labels, predicted = draws(classes, seed)
    matrix = confusion_matrix(labels, predicted, classes)
    assert accuracy(matrix) == pytest.approx(accuracy_score(labels, predicted), abs=1e-12)
    expected = balanced_accuracy_score(labels, predicted)
    assert balanced_accuracy(matrix) == pytest.approx(expected, abs=1e-12)
    assert f1(matrix) == pytest.approx(f1_score(labels, predicted, average="macro"), abs=1e-12)
    assert mcc(matrix) == pytest.approx(matthews_corrcoef(labels, predicted), abs=1e-12)
    if classes == 2:
        assert f1(matrix, positive=1) == pytest.approx(f1_score(labels, predicted), abs=1e-12)


def test_a_class_that_never_occurs_does_not_count():
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    wide = confusion_matrix(labels, predicted, 5)
    assert balanced_accuracy(wide) == balanced_accuracy_score(labels, predicted)
    assert f1(wide) == pytest.approx(f1_score(labels, predicted, average="macro"))


def test_one_class_only_gives_zero_correlation_not_an_error():
    matrix = confusion_matrix(np.zeros(5, dtype=int), np.zeros(5, dtype=int), 2)
    assert mcc(matrix) == 0.0
    assert accuracy(matrix) == 1.0


def test_metrics_are_computed_for_many_matrices_at_once():
    many = np.stack([confusion_matrix(*draws(3, seed), 3) for seed in range(6)])
    for metric in (accuracy, balanced_accuracy, f1, mcc):
        assert metric(many).shape == (6,)
        assert metric(many)[2] == metric(many[2])


def test_the_majority_matrix_is_that_of_a_constant_answer():
    labels, predicted = draws(3, 0)
    matrix = confusion_matrix(labels, predicted, 3)
    constant = majority_matrix(matrix, 1)
    assert (constant == confusion_matrix(labels, np.ones_like(labels), 3)).all()
