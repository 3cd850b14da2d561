"""Detection of sets out of distribution: numbers of four rows worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from auditkit.check import Context
from auditkit.finding import Measurement
from auditkit.metrics.ood_detection import (
    FEW_TRAINING,
    NO_LOGITS,
    DetectionParams,
    detection_measurements,
)
from auditkit.model import Capability, Head, Predictions
from auditkit.testing import FixedAnswers, shifted, tiny_context, tiny_data

ALONE = {Capability.EMBEDDINGS: "no embeddings", Capability.TRAINING_ROWS: "no training rows"}


def measured(context: Context, judged: str = "msp") -> dict[str, Measurement]:
    params = DetectionParams(judged, neighbours=1, training_rows=50, most_rows=50)
    return {one.name: one for one in detection_measurements(context, params)}


def sure(*highest: float) -> Context:
    """Answers this sure; the last two rows are the set."""
    scores = np.array([[one, 1 - one] for one in highest])
    data = tiny_data(np.zeros(len(highest)))
    far = np.arange(len(highest) - 2, len(highest))
    context = tiny_context(data, Predictions.from_probabilities(scores))
    return replace(context, shifts=shifted(data, far=far), lacking=ALONE)


def test_four_rows_by_hand():
    # msp 0.05, 0.3 inside and 0.2, 0.4 outside: three of four pairs are in order.
    found = measured(sure(0.95, 0.7, 0.8, 0.6))
    assert found["auroc"].value == 0.75
    assert found["auroc"].n == 4
    # The threshold that keeps 95 % of two rows keeps both: 0.3, below which 0.2 lies.
    assert found["fpr95"].value == 0.5
    # The same order by entropy, of which two classes have no other.
    assert measured(sure(0.95, 0.7, 0.8, 0.6), "entropy")["auroc"].value == 0.75


def test_the_evidence_has_the_average_precisions_by_hand():
    table = measured(sure(0.95, 0.7, 0.8, 0.6))["auroc"].evidence[1]
    assert [row[0] for row in table.rows] == ["msp", "entropy"]
    # Out first: 0.4 (1 of 1), 0.3, 0.2 (2 of 3). In first: 0.05 (1 of 1), 0.2, 0.3 (2 of 3).
    assert table.rows[0][2].startswith("0.833 ")
    assert table.rows[0][3].startswith("0.833 ")


def test_a_set_or_a_side_without_rows_has_no_number():
    context = sure(0.9, 0.8)
    assert measured(context)["auroc"].note == "no row in distribution"
    empty = {n: replace(s, data=s.data.rows(s.origin[:0])) for n, s in context.shifts.items()}
    context = replace(sure(0.9, 0.8, 0.7), shifts=empty)
    found = measured(context)
    assert (found["auroc"].value, found["auroc"].note) == (None, "no row in the set")


@pytest.mark.parametrize(
    ("judged", "why"), [("energy", NO_LOGITS), ("max-logit", NO_LOGITS), ("vim", "no embeddings")]
)
def test_what_is_left_out_has_no_number_but_a_reason(judged, why):
    for one in measured(sure(0.95, 0.7, 0.8, 0.6), judged).values():
        assert (one.value, one.bounds) == (None, None)
        assert one.note == f"{judged} is left out: {why}"


def test_logits_are_those_of_the_embedding_and_the_last_layer():
    # Logits (z, 0): the largest one inside is 3 and 1, outside 2 and 0.5.
    vectors = np.array([[3.0], [1.0], [2.0], [0.5]])
    head = Head(np.array([[1.0], [0.0]]), np.zeros(2))
    given = sure(0.95, 0.7, 0.8, 0.6)
    context = replace(
        given,
        predictor=FixedAnswers(given.predictor.predictions, vectors, head),
        lacking={Capability.TRAINING_ROWS: "no training rows"},
    )
    for judged in ("max-logit", "energy", "msp", "entropy"):
        assert measured(context, judged)["auroc"].value == 0.75
    assert "knn, vim (no training rows)" in measured(context)["auroc"].note
    few = replace(context, lacking={}, training=given.data.rows(np.arange(2)))
    assert measured(few, "knn")["auroc"].note == f"knn is left out: {FEW_TRAINING}"
