"""Percentile intervals per group are fairlearn's, resample for resample."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import auditkit
from auditkit.data import Attribute
from auditkit.metrics.group_intervals import METRICS


def rows(n: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.5
    chosen = rng.random(n) < np.where(truth, 0.8, 0.2)
    return truth, chosen, rng.choice(["a", "b", "c"], n), rng.choice(["x", "y"], n)


def test_the_bounds_are_fairlearns_on_the_same_resamples():
    from fairlearn.metrics import (
        MetricFrame,
        false_positive_rate,
        selection_rate,
        true_positive_rate,
    )
    from sklearn.metrics import accuracy_score, precision_score

    truth, chosen, first, second = rows(900)
    theirs = MetricFrame(
        metrics={
            "selection_rate": selection_rate,
            "true_positive_rate": true_positive_rate,
            "false_positive_rate": false_positive_rate,
            "precision": precision_score,
            "accuracy": accuracy_score,
        },
        y_true=truth.astype(int),
        y_pred=chosen.astype(int),
        sensitive_features={"first": first, "second": second},
        n_boot=12,
        ci_quantiles=[0.1, 0.5, 0.9],
        random_state=7,
    )
    attribute = Attribute.from_values("first", first.tolist()).cross(
        Attribute.from_values("second", second.tolist())
    )
    ours = auditkit.group_intervals(truth, chosen, attribute, resamples=12, seed=7)
    names = list(METRICS)
    assert ours.values == pytest.approx(theirs.by_group[names].to_numpy().T, abs=1e-12)
    by_group = np.stack([one[names].to_numpy().T for one in theirs.by_group_ci])
    assert ours.by_group([0.1, 0.5, 0.9]) == pytest.approx(by_group, abs=1e-12)
    gaps = theirs.difference_ci(method="between_groups")
    between = np.stack([one[names].to_numpy() for one in gaps])
    assert ours.between_groups([0.1, 0.5, 0.9]) == pytest.approx(between, abs=1e-12)


def test_rows_of_no_known_group_are_in_none():
    truth, chosen, first, _ = rows(300)
    values = [None if i % 4 == 0 else name for i, name in enumerate(first.tolist())]
    attribute = Attribute.from_values("first", values)
    found = auditkit.group_intervals(truth, chosen, attribute, resamples=3)
    of_a = np.array([value == "a" for value in values])
    assert found.values[0, 0] == pytest.approx(chosen[of_a].mean())
    assert found.draws.shape == (3, 5, 3)


def test_a_rate_without_rows_is_undefined_and_not_zero():
    attribute = Attribute.from_values("g", ["a"] * 20 + ["b"] * 20)
    truth = np.arange(40) < 20
    found = auditkit.group_intervals(truth, truth, attribute, resamples=5)
    recall = found.values[METRICS.index("true_positive_rate")]
    assert recall[0] == 1.0
    assert np.isnan(recall[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        bounds = found.by_group()[:, METRICS.index("true_positive_rate")]
    assert np.isnan(bounds[:, 1]).all()


def test_unequal_lengths_are_refused():
    attribute = Attribute.from_values("g", ["a", "b"])
    with pytest.raises(ValueError, match="for each of 2 rows"):
        auditkit.group_intervals([1], [1, 0], attribute)
