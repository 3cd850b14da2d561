"""Simulated models whose true rates per group are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from auditkit.data import AuditData
from auditkit.model import Predictions
from auditkit.testing import tiny_data

Simulated = tuple[AuditData, Predictions]


def simulate(
    rows: int,
    true_positive: Mapping[str, float],
    false_positive: Mapping[str, float] | None = None,
    base_rate: float = 0.5,
    seed: int = 0,
) -> Simulated:
    """Rows spread evenly over groups with these true rates; scores are 0.95 or 0.05 sure."""
    rng = np.random.default_rng(seed)
    names = list(true_positive)
    false_positive = false_positive or dict.fromkeys(names, 0.1)
    groups = [names[i % len(names)] for i in range(rows)]
    labels = (rng.random(rows) < base_rate).astype(np.int64)
    chance = np.array(
        [
            (true_positive if label else false_positive)[g]
            for label, g in zip(labels, groups, strict=True)
        ]
    )
    predicted = rng.random(rows) < chance
    # Right nine times in ten, and 0.9 sure: calibrated unless a test plants otherwise.
    score = np.where(predicted, 0.9, 0.1) + rng.uniform(-0.05, 0.05, rows)
    probabilities = np.stack([1 - score, score], axis=1)
    return tiny_data(labels, {"group": groups}), Predictions.from_probabilities(probabilities)


@pytest.fixture
def simulated() -> Callable[..., Simulated]:
    return simulate
