"""Numbers fairness remedies train with and choose by, against other libraries and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference
from sklearn.metrics import log_loss

from auditkit.data import MISSING, Attribute
from auditkit.metrics.group_training import (
    cell_counts,
    cells,
    evenly,
    goodness,
    of_cells,
    reweighing,
    widest_gap,
    worst_mean,
)


def attribute(codes: np.ndarray, levels: str = "abc") -> Attribute:
    return Attribute("group", tuple(levels), codes)


def test_weights_by_hand_as_in_kamiran_and_calders():
    # Their example, section 5.3: 10 people, 5 of each sex; 4 of the men and 2 of the women hired.
    counts = np.array([[1, 4], [3, 2]])
    assert reweighing(counts) == pytest.approx(np.array([[2.0, 0.75], [2 / 3, 1.5]]), abs=1e-12)


def test_weights_make_group_and_label_independent():
    rng = np.random.default_rng(3)
    codes, labels = rng.integers(0, 3, 500), rng.integers(0, 2, 500)
    labels[codes == 1] &= rng.integers(0, 2, int((codes == 1).sum()))
    weights = of_cells(reweighing(cell_counts(attribute(codes), labels, 2)), codes, labels, 1.0)
    frame = pd.DataFrame({"g": codes, "y": labels, "w": weights})
    shares = frame.groupby("g").apply(lambda part: np.average(part["y"], weights=part["w"]))
    assert shares.to_numpy() == pytest.approx(labels.mean(), abs=1e-9)
    # The formula once more, from relative frequencies.
    p = frame.value_counts(["g", "y"], normalize=True)
    pg, py = (frame[name].value_counts(normalize=True) for name in "gy")
    expected = [pg[g] * py[y] / p[g, y] for g, y in zip(codes, labels, strict=True)]
    assert weights == pytest.approx(expected, abs=1e-9)


def test_rows_without_a_group_are_in_no_cell_and_get_the_weight_given():
    codes, labels = np.array([0, MISSING, 1]), np.array([1, 1, 0])
    assert cells(codes, labels, 2).tolist() == [1, MISSING, 2]
    assert cell_counts(attribute(codes, "ab"), labels, 2).tolist() == [[0, 1], [1, 0]]
    table = np.array([[5.0, 6.0], [7.0, 8.0]])
    assert of_cells(table, codes, labels, 0.5).tolist() == [6.0, 0.5, 7.0]


def test_a_cell_without_rows_has_weight_1():
    assert reweighing(np.array([[4, 0], [2, 2]]))[0, 1] == 1.0
    assert evenly(np.array([[4, 0], [2, 2]]), within_labels=True)[0, 1] == 1.0


@pytest.mark.parametrize("within", [True, False])
def test_even_weights_give_groups_the_same_sum_and_rows_a_mean_of_1(within):
    counts = np.array([[90, 5], [10, 5], [0, 40]])
    sums = counts * evenly(counts, within_labels=within)
    assert sums.sum() == pytest.approx(counts.sum())
    if within:
        assert sums[:2, 0].tolist() == pytest.approx([50, 50])
        assert sums[:, 1].tolist() == pytest.approx([50 / 3] * 3)
    else:
        assert sums.sum(axis=1).tolist() == pytest.approx([50] * 3)


@pytest.mark.parametrize("seed", range(5))
def test_the_widest_gap_is_fairlearns(seed):
    rng = np.random.default_rng(seed)
    codes, labels, predicted = (rng.integers(0, k, 600) for k in (3, 2, 2))
    given = {"sensitive_features": codes}
    odds = widest_gap(predicted, labels, attribute(codes), (1,), "equalized-odds")
    assert odds == pytest.approx(equalized_odds_difference(labels, predicted, **given), abs=1e-9)
    parity = widest_gap(predicted, labels, attribute(codes), (1,), "demographic-parity")
    expected = demographic_parity_difference(labels, predicted, **given)
    assert parity == pytest.approx(expected, abs=1e-9)


def test_groups_with_few_rows_and_rows_without_a_group_do_not_widen_the_gap():
    codes = np.array([0] * 20 + [1] * 20 + [2] * 9 + [MISSING] * 20)
    predicted = np.array([1, 0] * 20 + [1] * 9 + [1] * 20)
    found = widest_gap(predicted, predicted * 0, attribute(codes), (1,), "demographic-parity")
    assert found == 0.0


def test_goodness_is_minus_the_cross_entropy_or_right_or_wrong():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 3)), rng.integers(0, 3, 50)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    by_loss = goodness(logits, labels, "loss")
    assert -by_loss.mean() == pytest.approx(log_loss(labels, probabilities, labels=[0, 1, 2]))
    right = goodness(logits, labels, "accuracy")
    assert right.tolist() == (logits.argmax(axis=1) == labels).astype(float).tolist()


def test_the_worst_cell_counts_if_it_has_rows_enough():
    values = np.array([1.0] * 10 + [0.5] * 10 + [0.0] * 9 + [0.0] * 10)
    cell = np.array([0] * 10 + [1] * 10 + [2] * 9 + [MISSING] * 10)
    assert worst_mean(values, cell) == 0.5
    assert worst_mean(values[:9], cell[:9]) == 1.0
