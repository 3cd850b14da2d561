"""Means of what examples have, where some have nothing."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.metrics.example_means import Sample
from auditkit.metrics.example_tables import (
    correlations,
    defined,
    difference,
    drawn_mean,
    mean_of,
    written_mean,
)
from auditkit.stats.intervals import mean_interval


def sample(n: int, clusters: np.ndarray | None = None) -> Sample:
    return Sample(tuple(f"{i:016x}" for i in range(n)), clusters, 1)


def test_examples_without_a_value_are_in_no_number():
    clusters = np.array([0, 0, 1, 2])
    found = defined("x", "all", [0.25, None, 0.75, None], sample(4, clusters), (0.0, 1.0))
    assert found.values.tolist() == [0.25, 0.75]
    assert found.sample.ids == ("0" * 16, "0" * 15 + "2")
    assert found.sample.clusters.tolist() == [0, 1]
    assert drawn_mean("all", found).value == pytest.approx(0.5)
    assert mean_of([None, 0.5, None]) == pytest.approx(0.5)
    assert mean_of([None]) is None
    assert difference([1.0, None, 0.5], [0.25, 0.5, None]) == [0.75, None, None]


def test_nothing_at_all_is_said_to_be_undefined():
    nothing = defined("x", "all", [None, None], sample(2), (0.0, 1.0))
    assert written_mean(nothing) == "undefined"
    assert drawn_mean("all", nothing).value is None


def test_a_mean_is_written_with_its_interval():
    found = defined("x", "all", [0.5] * 20 + [0.7] * 20, sample(40), (0.0, 1.0))
    assert written_mean(found) == "0.60 (0.57 to 0.63)"


def test_rare_values_that_a_sample_lacks_are_allowed_for():
    rng = np.random.default_rng(0)
    high, too_high = 0, 0
    for _ in range(400):
        values = np.where(rng.random(20) < 0.1, -0.3, rng.normal(0.7, 0.05, 20))
        found = correlations("x", "all", values.tolist(), sample(20))
        high += found.interval(0.05).lower > 0.6
        too_high += mean_interval(values, 0.05, None, (-1.0, 1.0)).lower > 0.6
    assert high <= 20
    assert too_high > 40
