"""Rates per group equal fairlearn's, and AUCs per group scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from fairlearn.metrics import (
    demographic_parity_difference,
    demographic_parity_ratio,
    equalized_odds_difference,
)
from sklearn.metrics import roc_auc_score

from auditkit.data import Attribute
from auditkit.metrics.identity_auc import identity_aucs
from auditkit.metrics.rates import by_group, class_rate, fairlearn_difference, fairlearn_ratio


def draws(seed: int, n: int = 600) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    predicted = np.where(rng.random(n) < 0.8, labels, 1 - labels)
    return labels, predicted, rng.choice(["a", "b", "c"], n).tolist()


def spread(values: list[float | None]) -> float:
    defined = [value for value in values if value is not None]
    return max(defined) - min(defined)


@pytest.mark.parametrize("seed", range(4))
def test_gaps_and_ratios_equal_fairlearns(seed):
    labels, predicted, names = draws(seed)
    attribute = Attribute.from_values("g", names)
    selection = class_rate("selection_rate", 1, labels, predicted)
    expected = demographic_parity_difference(labels, predicted, sensitive_features=names)
    values = by_group(selection, attribute, None).values
    assert spread(values) == pytest.approx(expected, abs=1e-12)
    assert fairlearn_difference(selection, attribute) == pytest.approx(expected, abs=1e-12)
    ratio = demographic_parity_ratio(labels, predicted, sensitive_features=names)
    assert min(values) / max(values) == pytest.approx(ratio, abs=1e-12)
    assert fairlearn_ratio(selection, attribute) == pytest.approx(ratio, abs=1e-12)
    odds = max(
        spread(by_group(class_rate(metric, 1, labels, predicted), attribute, None).values)
        for metric in ("true_positive_rate", "false_positive_rate")
    )
    expected = equalized_odds_difference(labels, predicted, sensitive_features=names)
    assert odds == pytest.approx(expected, abs=1e-12)


def test_a_group_without_eligible_rows_has_no_rate():
    labels, predicted = np.array([1, 1, 0, 0]), np.array([1, 0, 0, 1])
    attribute = Attribute.from_values("g", ["a", "a", "b", "b"])
    table = by_group(class_rate("true_positive_rate", 1, labels, predicted), attribute, None)
    assert table.values == [0.5, None]


def test_rows_of_no_known_group_are_in_none():
    attribute = Attribute.from_values("g", ["a", None, "b", "b"])
    predicted = np.array([1, 1, 1, 0])
    table = by_group(class_rate("selection_rate", 1, None, predicted), attribute, None)
    assert table.sizes.tolist() == [1, 2]
    assert attribute.missing == 1


def test_repeated_rows_count_as_fewer():
    rng = np.random.default_rng(0)
    predicted = np.repeat(rng.integers(0, 2, 50), 10)
    attribute = Attribute.from_values("g", ["a", "b"] * 250)
    clusters = np.repeat(np.arange(50), 10)
    table = by_group(class_rate("selection_rate", 1, None, predicted), attribute, clusters)
    assert (table.effective_sizes < 100).all()
    assert table.effective_hits / table.effective_sizes == pytest.approx(table.hits / table.sizes)


def test_crossed_attributes_keep_only_combinations_that_occur():
    sex = Attribute.from_values("sex", ["f", "m", "f", None])
    race = Attribute.from_values("race", ["x", "x", "y", "y"])
    crossed = sex.cross(race)
    assert crossed.levels == ("f × x", "f × y", "m × x")
    assert crossed.codes.tolist() == [0, 2, 1, -1]


def test_identity_aucs_equal_scikit_learns():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 400).astype(bool), rng.random(400)
    member = rng.random(400) < 0.3
    aucs = identity_aucs(scores, labels, member, ~member)
    rows = {
        "subgroup": member,
        "BPSN": (labels & ~member) | (~labels & member),
        "BNSP": (labels & member) | (~labels & ~member),
    }
    for name, estimate in aucs.named().items():
        chosen = rows[name]
        assert estimate.value == pytest.approx(roc_auc_score(labels[chosen], scores[chosen]))
