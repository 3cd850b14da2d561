"""Metrics of a confusion matrix, vectorised over leading axes.

Every function takes counts of shape (..., k, k), true class by predicted class, and returns an
array of shape (...). Conventions for empty classes are scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[Any]
Values = NDArray[np.float64]
METRICS = ("accuracy", "balanced-accuracy", "f1", "mcc")


def confusion_matrix(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Counts of shape (classes, classes): rows are true classes, columns predicted ones."""
    cells = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def accuracy(matrix: Matrix) -> Values:
    """Share of rows on the diagonal, 0..1."""
    return _ratio(_diagonal(matrix).sum(-1), matrix.sum((-2, -1)))


def balanced_accuracy(matrix: Matrix) -> Values:
    """Mean recall over the classes that occur, 0..1."""
    occurring = matrix.sum(-1)
    recall = _ratio(_diagonal(matrix), occurring)
    return _ratio(recall.sum(-1), (occurring > 0).sum(-1))


def f1(matrix: Matrix, positive: int | None = None) -> Values:
    """F1 of the positive class, or the mean over all classes that occur or are predicted, 0..1."""
    hits = _diagonal(matrix)
    denominator = matrix.sum(-1) + matrix.sum(-2)
    per_class = _ratio(2.0 * hits, denominator)
    if positive is not None:
        return np.asarray(per_class[..., positive])
    return _ratio(per_class.sum(-1), (denominator > 0).sum(-1))


def mcc(matrix: Matrix) -> Values:
    """Matthews correlation coefficient for any number of classes, -1..1 (Gorodkin 2004)."""
    counts = matrix.astype(np.float64)
    total = counts.sum((-2, -1))
    true, predicted = counts.sum(-1), counts.sum(-2)
    covariance = _diagonal(counts).sum(-1) * total - (true * predicted).sum(-1)
    spread = (total**2 - (predicted**2).sum(-1)) * (total**2 - (true**2).sum(-1))
    return _ratio(covariance, np.sqrt(spread))


def metric_function(name: str, positive: int | None) -> Callable[[Matrix], Values]:
    """The metric of this name, one of `METRICS`; F1 is that of `positive` when it is given."""
    functions: dict[str, Callable[[Matrix], Values]] = {
        "accuracy": accuracy,
        "balanced-accuracy": balanced_accuracy,
        "f1": lambda matrix: f1(matrix, positive),
        "mcc": mcc,
    }
    return functions[name]


def majority_matrix(matrix: Matrix, majority: int) -> Matrix:
    """The confusion matrix of always answering `majority` on the same rows."""
    constant = np.zeros_like(matrix)
    constant[..., :, majority] = matrix.sum(-1)
    return constant


def _diagonal(matrix: Matrix) -> Matrix:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _ratio(numerator: Any, denominator: Any) -> Values:
    """Quotient, 0 where the denominator is 0 (scikit-learn's zero_division=0)."""
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    return np.divide(top, bottom, out=np.zeros(np.broadcast(top, bottom).shape), where=bottom > 0)
