"""ood.drift: no drift passes, planted drift is found, too few rows are inconclusive."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from auditkit.check import Context
from auditkit.data import AuditData
from auditkit.finding import Finding, Outcome
from auditkit.metrics.drift import bin_names, histograms, independent, properties
from auditkit.model import Predictions
from auditkit.registry import load_registry
from auditkit.testing import findings_in, shifted, tiny_context, tiny_data

DRIFT = load_registry().checks["ood.drift"]
WORDS = ("the", "a", "film", "plot", "was", "good", "bad", "quite", "warm", "cold", "story", "long")


class ByText:
    """Embeds a text as numbers that its content picks, the last one moved for marked texts."""

    def __init__(self, moved: float = 0.0):
        self._moved = moved

    def embed(self, inputs):
        rows = []
        for text in inputs:
            rng = np.random.default_rng(list(text.encode()))
            rows.append([*rng.normal(size=5), rng.normal() + self._moved * text.endswith("!")])
        return np.array(rows, dtype=np.float32)


def texts(n: int, seed: int, words=(5, 20), mark: str = "") -> list[str]:
    rng = Random(seed)
    return [f"{' '.join(rng.choices(WORDS, k=rng.randint(*words)))} {i}{mark}" for i in range(n)]


def rows(inputs: list[str], share: float = 0.5, seed: int = 0) -> AuditData:
    labels = (np.random.default_rng(seed).random(len(inputs)) < share).astype(np.int64)
    return replace(tiny_data(labels), inputs=tuple(inputs))


def audit(n: int, moved: float = 0.0, share: float = 0.5, words=(5, 20), **sets) -> Context:
    data = rows(texts(n, 1, words, "!"), share, 1)
    return replace(
        tiny_context(data, Predictions(data.labels, None)),
        predictor=ByText(moved),
        training=rows(texts(n, 2), 0.5, 2),
        shifts=shifted(data, **sets),
    )


def finding(context: Context, name: str = "auc", part: str = "", **params) -> Finding:
    found = findings_in(DRIFT, context, DRIFT.params(**params))
    return next(f for f in found if (f.measurement.name, f.measurement.slice) == (name, part))


def test_no_drift_passes_and_planted_drift_fails():
    assert finding(audit(600)).outcome is Outcome.PASS
    found = finding(audit(600, moved=2.0))
    assert found.outcome is Outcome.FAIL
    assert found.measurement.value > 0.85
    assert "p-values: 0.001 by the probe, 0.001 by mean discrepancy" in found.measurement.note


def test_fifty_rows_are_inconclusive_and_ten_say_nothing():
    assert finding(audit(25)).outcome is Outcome.INCONCLUSIVE
    found = finding(audit(10))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "fewer than 20" in found.message


def test_the_auc_is_that_of_a_probe_learnt_apart():
    context = audit(400, moved=1.0)
    found = finding(context).measurement
    vectors = context.predictor.embed([*context.training.inputs, *context.data.inputs])
    which, order = np.arange(800) >= 400, np.random.default_rng(5).permutation(800)
    learnt, held = order[:400], order[400:]
    probe = LogisticRegression(max_iter=1_000).fit(vectors[learnt], which[learnt])
    apart = roc_auc_score(which[held], probe.predict_proba(vectors[held])[:, 1])
    assert found.value == pytest.approx(apart, abs=0.06)
    assert found.bounds.corrected.holds(apart)


def test_a_label_that_moved_is_found_and_the_words_have_not():
    context = audit(400, share=0.9)
    assert finding(context, "stability_index", "label").outcome is Outcome.FAIL
    assert finding(context, "stability_index", "words").outcome is Outcome.PASS
    longer = audit(400, words=(15, 40))
    assert finding(longer, "stability_index", "words").outcome is Outcome.FAIL
    assert finding(longer, "stability_index", "label").outcome is Outcome.PASS


def test_sets_are_shown_beside_and_their_rows_are_not_in_distribution():
    context = audit(300, far=np.arange(100))
    found = finding(context).measurement
    table = found.evidence[0]
    assert [row[:2] for row in table.rows] == [("audited rows in distribution", 200), ("far", 100)]


def test_one_row_of_each_cluster_is_drawn():
    data = replace(rows(texts(300, 3)), clusters=np.arange(300) // 30)
    drawn = independent(data, 1_000, np.random.default_rng(0))
    assert sorted(drawn.clusters.tolist()) == list(range(10))
    assert len(independent(data, 4, np.random.default_rng(0))) == 4


def test_a_cluster_in_both_samples_does_not_teach_the_probe_the_wrong_answer():
    values = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        people = rng.normal(size=(300, 40))
        vectors = np.concatenate([people + 0.3 * rng.normal(size=people.shape) for _ in "12"])
        data = tiny_data(rng.integers(0, 2, 600), clusters=np.tile(np.arange(300), 2))
        answers = Predictions.from_probabilities(np.full((600, 2), 0.5))
        context = replace(
            tiny_context(data, answers, embeddings=vectors),
            data=data.rows(np.arange(300)),
            training=data.rows(np.arange(300, 600)),
        )
        found = finding(context).measurement
        assert found.bounds.claim.holds(0.5)
        values.append(found.value)
    assert np.mean(values) == pytest.approx(0.5, abs=0.03)


def test_bins_are_quantiles_of_both_samples_and_few_values_are_bins_of_their_own():
    first, second = np.arange(100.0), np.arange(100.0) + 0.5
    counts = histograms(first, second, 10)
    assert (counts[0] + counts[1]).tolist() == [20] * 10
    assert [c.tolist() for c in histograms(np.array([0.0, 1, 1]), np.array([1.0, 7]), 10)] == [
        [1, 2, 0],
        [0, 1, 1],
    ]
    assert len(histograms(np.ones(5), np.ones(5), 10)[0]) == 1


def test_bins_are_named_by_the_values_in_them():
    first, second = np.array([1.0, 2, 2, 9]), np.array([2.0, 5, 7.5, 9])
    assert bin_names(first, second, 10) == ["1", "2", "5", "7.5", "9"]
    assert bin_names(first, second, 2) == ["1 to 2", "5 to 9"]
    assert [counts.tolist() for counts in histograms(first, second, 2)] == [[3, 1], [1, 3]]
    (label,) = (
        f.measurement.evidence[0]
        for f in findings_in(DRIFT, audit(200, share=0.5))
        if f.measurement.slice == "label"
    )
    assert [row[0] for row in label.rows] == ["class 0", "class 1"]


def test_properties_of_texts_by_hand():
    found = {n: a.tolist() for n, a, _ in properties(rows(["AB cd! 1"]), rows(["x"]))}
    assert found["words"] == [3]
    assert found["letters per word"] == [pytest.approx(5 / 3)]
    assert found["share of capitals"] == [pytest.approx(2 / 6)]
    assert found["share of digits and signs"] == [pytest.approx(2 / 6)]


@pytest.mark.parametrize("params", [{"most_rows": 5}, {"bins": 1}])
def test_impossible_parameters_are_refused(params):
    with pytest.raises(ValueError, match="must lie between"):
        DRIFT.params(**params)
