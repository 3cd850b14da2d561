"""ood.detection: closed-form answers, an independent computation, and the three verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import average_precision_score, roc_auc_score

from auditkit.check import Context
from auditkit.data import unit_id
from auditkit.finding import Finding, Outcome
from auditkit.metrics.detectors import DETECTORS, Reference, logit_scores
from auditkit.model import Capability, Head, Predictions
from auditkit.registry import load_registry
from auditkit.testing import FixedAnswers, findings_in, shifted, tiny_context, tiny_data

DETECTION = load_registry().checks["ood.detection"]
BOTH = Head(np.array([[1.0, 0, 0, 0], [1.0, 0, 0, 0]]), np.zeros(2))
"""Both logits are the first number: -max logit is N(0, 1) where that is."""


def audit(inside: int, outside: int, d: float, *, training: int = 200, seed: int = 0) -> Context:
    """A context whose set `far` lies d standard deviations away by max-logit; `near` does not."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(inside + 2 * outside + training, 4))
    far = np.arange(inside, inside + outside)
    vectors[far, 0] -= d
    data = tiny_data(rng.integers(0, 2, inside + 2 * outside))
    everything = tiny_data(np.arange(len(vectors)) % 2)
    answers = Predictions.from_probabilities(np.full((len(vectors), 2), 0.5))
    return replace(
        tiny_context(data, answers),
        predictor=FixedAnswers(answers, vectors, BOTH),
        shifts=shifted(data, far=far, near=far + outside),
        training=everything.rows(np.arange(len(data), len(vectors))),
    )


def finding(name: str, part: str, context: Context, limits=None, **params) -> Finding:
    given = DETECTION.params(**{"judged": "max-logit", **params})
    found = findings_in(DETECTION, context, given, limits)
    return next(f for f in found if (f.measurement.name, f.measurement.slice) == (name, part))


@pytest.mark.parametrize(("d", "area"), [(1, 0.7602), (2, 0.9214), (3, 0.9831)])
def test_planted_normals_have_the_auroc_of_the_closed_form(d, area):
    found = finding("auroc", "far", audit(2_000, 2_000, d)).measurement
    assert found.bounds.corrected.lower < area < found.bounds.corrected.upper
    assert found.value == pytest.approx(area, abs=0.015)


@pytest.mark.parametrize(("d", "rate"), [(2, 0.3612), (3, 0.0877)])
def test_planted_normals_have_the_fpr95_of_the_closed_form(d, rate):
    found = finding("fpr95", "far", audit(2_000, 2_000, d)).measurement
    assert found.bounds.corrected.lower < rate < found.bounds.corrected.upper
    assert found.value == pytest.approx(rate, abs=0.05)


def test_a_shift_that_is_seen_passes_and_one_that_is_not_fails():
    context = audit(800, 400, 3)
    assert finding("auroc", "far", context).outcome is Outcome.PASS
    assert finding("auroc", "near", context).outcome is Outcome.FAIL
    limits = {"fpr95": 0.3}
    assert finding("fpr95", "far", context, limits).outcome is Outcome.PASS
    assert finding("fpr95", "near", context, limits).outcome is Outcome.FAIL
    assert finding("fpr95", "near", context).outcome is Outcome.NOT_APPLICABLE


def test_fifty_rows_are_inconclusive():
    context = audit(25, 25, 1)
    assert finding("auroc", "far", context).outcome is Outcome.INCONCLUSIVE
    assert finding("fpr95", "far", context, {"fpr95": 0.3}).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("detector", DETECTORS)
def test_values_are_those_of_scikit_learn_on_scores_computed_apart(detector):
    context = audit(300, 100, 1.5)
    head = Head(np.random.default_rng(1).normal(size=(2, 4)), np.array([0.3, -0.1]))
    predictor = replace(context.predictor, layer=head)
    context = replace(context, predictor=predictor)
    found = finding("auroc", "far", context, judged=detector, neighbours=5).measurement
    known = context.training.inputs
    reference = Reference(
        predictor.embed(known).astype(float), context.training.labels, head, neighbours=5
    )
    rows = [*range(300), *range(300, 400)]
    vectors = predictor.embed(rows).astype(float)
    scores = (logit_scores(head.logits(vectors)) | reference.scores(vectors))[detector]
    far = np.arange(400) >= 300
    assert found.value == pytest.approx(roc_auc_score(far, scores), abs=1e-9)
    table = next(e for e in found.evidence if e.kind == "table")
    row = next(row for row in table.rows if row[0] == detector)
    assert len(table.rows) == len(DETECTORS)
    for cell, value in zip(
        row[1:4],
        (
            roc_auc_score(far, scores),
            average_precision_score(far, scores),
            average_precision_score(~far, -scores),
        ),
        strict=True,
    ):
        assert cell.startswith(f"{value:.3f} ")


def test_rows_that_a_set_takes_are_not_in_distribution():
    context = audit(300, 100, 3)
    assert len(context.in_distribution()) == 300
    assert finding("auroc", "far", context).measurement.n == 400


WITHOUT = {
    Capability.EMBEDDINGS: "there are no embeddings",
    Capability.TRAINING_ROWS: "there are no training rows",
}


def answered(probabilities: np.ndarray, far: int) -> Context:
    """A context that has nothing but probabilities; the last `far` rows are the set."""
    data = tiny_data(np.arange(len(probabilities)) % 2)
    context = tiny_context(data, Predictions.from_probabilities(probabilities))
    rows = np.arange(len(data) - far, len(data))
    return replace(context, shifts=shifted(data, far=rows), lacking=WITHOUT)


def test_probabilities_and_a_set_are_enough_for_msp_and_entropy():
    probabilities = np.random.default_rng(0).dirichlet([0.6, 0.3, 0.1], 500)
    is_far = np.arange(500) >= 300
    expected = {
        "msp": 1 - probabilities.max(axis=1),
        "entropy": scipy.stats.entropy(probabilities, axis=1),
    }
    for judged, scores in expected.items():
        found = finding("auroc", "far", answered(probabilities, 200), judged=judged).measurement
        assert found.value == pytest.approx(roc_auc_score(is_far, scores), abs=1e-12)
        table = next(e for e in found.evidence if e.kind == "table")
        assert [row[0] for row in table.rows] == ["msp", "entropy"]


def test_probabilities_alone_still_give_three_verdicts():
    rng = np.random.default_rng(1)
    near, far = (rng.beta(*shape, 400) / 2 for shape in ((1, 9), (9, 9)))
    least = np.concatenate([near, far, near[::2]])
    context, rows = answered(np.column_stack([1 - least, least]), 0), np.arange(len(least))
    sets = {"far": rows[400:792], "few": rows[792:800], "near": rows[800:]}
    context = replace(context, shifts=shifted(context.data, **sets))
    assert finding("auroc", "far", context, judged="msp").outcome is Outcome.PASS
    assert finding("auroc", "near", context, judged="msp").outcome is Outcome.FAIL
    few = finding("auroc", "few", context, limits={"auroc": 0.95}, judged="msp")
    assert few.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("judged", ["max-logit", "energy"])
def test_scores_of_logits_are_not_made_of_probabilities(judged):
    context = answered(np.random.default_rng(0).dirichlet([1, 1], 500), 200)
    found = finding("auroc", "far", context, judged=judged)
    assert found.measurement.value is None
    assert found.outcome is Outcome.INCONCLUSIVE
    assert f"{judged} is left out: it reads logits" in found.message


def test_the_report_says_which_detectors_are_left_out_and_why():
    alone = answered(np.random.default_rng(0).dirichlet([1, 1], 500), 200)
    note = finding("auroc", "far", alone, judged="msp").measurement.note
    assert "Left out: max-logit, energy (it reads logits" in note
    assert "Left out: mahalanobis, knn, vim (there are no embeddings)." in note
    known = replace(
        audit(300, 100, 2), training=None, lacking={Capability.TRAINING_ROWS: "none are named"}
    )
    found = finding("auroc", "far", known).measurement
    assert "Left out: mahalanobis, knn, vim (none are named)." in found.note
    assert found.value == finding("auroc", "far", audit(300, 100, 2)).measurement.value
    assert "Left out" not in finding("auroc", "far", audit(300, 100, 2)).measurement.note


def test_too_few_training_rows_leave_the_detectors_of_logits():
    context = replace(audit(300, 100, 2, training=10))
    assert finding("auroc", "far", context).outcome is Outcome.PASS
    fitted = finding("auroc", "far", context, judged="knn")
    assert fitted.outcome is Outcome.INCONCLUSIVE
    assert "fitted to training rows" in fitted.message


def test_large_sets_are_drawn_from_and_the_note_says_so():
    found = finding("auroc", "far", audit(300, 100, 2), most_rows=50).measurement
    assert found.n == 100
    assert "50 of them were drawn" in found.note


def test_clusters_widen_the_bounds():
    context = audit(300, 100, 1)
    clusters = np.arange(len(context.data)) // 20
    data = replace(context.data, clusters=clusters)
    shifts = {n: replace(s, data=data.rows(s.origin)) for n, s in context.shifts.items()}
    tied = replace(context, data=data, shifts=shifts)
    for name in ("auroc", "fpr95"):
        free, held = (finding(name, "far", one).measurement.bounds.claim for one in (context, tied))
        assert held.lower < free.lower
        assert held.upper >= free.upper


def test_values_by_text_have_the_auroc_as_mean_and_its_error():
    context = audit(200, 100, 1)
    names = {row: f"text {row}" for row in range(len(context.predictor.embeddings))}
    rows = {text: row for row, text in names.items()}

    class ByText:
        def embed(self, inputs):
            return context.predictor.embed([rows[text] for text in inputs])

        def head(self):
            return BOTH

    def named(data):
        return replace(data, inputs=tuple(names[row] for row in data.inputs))

    shifts = {n: replace(s, data=named(s.data)) for n, s in context.shifts.items()}
    asked = replace(
        context, predictor=ByText(), data=named(context.data), shifts=shifts,
        training=named(context.training),
    )  # fmt: skip
    found = finding("auroc", "far", asked).measurement
    assert found.value == finding("auroc", "far", context).measurement.value
    values = np.array(list(found.units.values()))
    assert unit_id("text 200") in found.units
    assert values.mean() == pytest.approx(found.value, abs=1e-12)
    half = 1.645 * values.std() / np.sqrt(300)
    assert found.bounds.claim.upper - found.value == pytest.approx(half, rel=0.15)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"judged": "mps"}, "no detector"),
        ({"neighbours": 0}, "neighbours"),
        ({"most_rows": 3}, "at least 20"),
    ],
)
def test_impossible_parameters_are_refused(params, said):
    with pytest.raises(ValueError, match=said):
        DETECTION.params(**params)
