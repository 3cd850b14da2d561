"""Temperature scaling: one number that makes a model more or less sure, and changes no label."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from auditkit.stats.intervals import Floats

COLDEST, HOTTEST = 0.02, 50.0
_SMALLEST = 1e-300


def log_probabilities(probabilities: Floats) -> Floats:
    """Logarithms, shape (n, k): logits up to a constant a row, which scaling does not see."""
    found: Floats = np.log(np.maximum(probabilities, _SMALLEST))
    return found


def scaled(logits: Floats, temperature: float) -> Floats:
    """Probabilities of the logits (n, k) divided by the temperature."""
    raised = logits / temperature
    weights = np.exp(raised - raised.max(axis=1, keepdims=True))
    found: Floats = weights / weights.sum(axis=1, keepdims=True)
    return found


def negative_log_likelihood(
    logits: Floats, labels: NDArray[np.int64], temperature: float = 1.0
) -> float:
    """Mean negative log-likelihood of the labels (n,) under the scaled logits (n, k)."""
    raised = logits / temperature
    highest = raised.max(axis=1)
    total = highest + np.log(np.exp(raised - highest[:, None]).sum(axis=1))
    return float((total - raised[np.arange(len(labels)), labels]).mean())


def fit_temperature(logits: Floats, labels: NDArray[np.int64]) -> float:
    """The temperature with the smallest negative log-likelihood (Guo et al. 2017), 0.02..50.

    The likelihood is convex in the inverse of the temperature. 1 without a row.

    Args:
        logits: Shape (n, k); log-probabilities do as well.
        labels: True classes, shape (n,).
    """
    from scipy.optimize import minimize_scalar

    if not len(labels):
        return 1.0
    found = minimize_scalar(
        lambda exponent: negative_log_likelihood(logits, labels, math.exp(exponent)),
        bounds=(math.log(COLDEST), math.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return math.exp(float(found.x))
