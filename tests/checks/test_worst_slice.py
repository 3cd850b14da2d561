"""A planted bad slice is found and fails; a fair model passes; few rows decide nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from auditkit.finding import Finding, Outcome, Table
from auditkit.model import Predictions
from auditkit.registry import load_registry
from auditkit.testing import findings_of, findings_on, tiny_data

CHECK = load_registry().checks["fairness.worst-slice"]


class Answering:
    """A predictor that knows the answer to every text."""

    def __init__(self, texts, answers):
        self._answers = dict(zip(texts, answers, strict=True))

    def predict(self, inputs):
        return Predictions(np.array([self._answers[one] for one in inputs]), None)


def audit(rows: int, worse: float, seed: int = 0) -> Finding:
    """Texts of two dialects; long ones in dialect b are answered wrongly more often."""
    rng = np.random.default_rng(seed)
    dialect, length = rng.choice(["a", "b"], rows), rng.integers(2, 40, rows)
    words = np.array([f"w{chr(97 + i)}" for i in range(26)])
    texts = [f"id{i} " + " ".join(rng.choice(words, k)) for i, k in enumerate(length)]
    data = tiny_data(rng.integers(0, 2, rows), {"dialect": dialect.tolist()})
    right = rng.random(rows) < np.where((dialect == "b") & (length >= 30), 0.9 - worse, 0.9)
    answers = np.where(right, data.labels, 1 - data.labels)
    data = dataclasses.replace(data, inputs=tuple(texts))
    return findings_on(CHECK, data, Answering(texts, answers))[0]


def test_long_texts_of_one_dialect_are_found_and_fail():
    found = audit(4000, 0.3)
    assert found.outcome is Outcome.FAIL
    table = next(e for e in found.measurement.evidence if isinstance(e, Table))
    assert "dialect is b" in table.rows[0][0]
    assert "words" in table.rows[0][0]
    assert found.measurement.value == pytest.approx(0.3, abs=0.08)


def test_a_model_without_bad_slices_passes():
    found = audit(4000, 0.0)
    assert found.outcome is Outcome.PASS
    assert found.measurement.detectable < 0.2
    assert "slices of fewer than 100 rows in either (5% of them)" in found.measurement.note


@pytest.mark.parametrize("worse", [0.0, 0.3])
def test_few_rows_decide_nothing(worse):
    assert audit(200, worse).outcome is Outcome.INCONCLUSIVE


def test_the_numbers_are_those_of_the_rows_counted_by_hand():
    groups = [name for name in "abc" for _ in range(400)]
    right = np.array([i % 10 != 0 for i in range(1200)])
    right[:400] = [i % 2 == 0 for i in range(400)]
    data = tiny_data(np.zeros(1200, dtype=int), {"g": groups})
    found = findings_of(CHECK, data, Predictions(np.where(right, 0, 1), None))[0]
    table = next(e for e in found.measurement.evidence if isinstance(e, Table))
    worst = dict(zip(table.columns, table.rows[0], strict=True))
    assert worst["slice"] == "g is a"
    assert (worst["rows searched"], worst["rows judged"]) == (200, 200)
    # What is not searched is judged, so that both halves together are all rows.
    assert worst["accuracy searched"] + worst["accuracy judged"] == pytest.approx(2 * 0.5)
    gap = worst["accuracy of the rest"] - worst["accuracy judged"]
    assert found.measurement.value == pytest.approx(gap)
    assert found.outcome is Outcome.FAIL
