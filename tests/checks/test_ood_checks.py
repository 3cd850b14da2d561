"""What the checks of the family ood say: of no shift, of a planted one, and of too few rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from auditkit.check import Confidence, Context
from auditkit.data import AuditData, Shift
from auditkit.finding import Finding, Outcome
from auditkit.metrics.calibration import reliability
from auditkit.metrics.temperature import fit_temperature
from auditkit.model import Predictions
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel, findings_in, shifted, tiny_context, tiny_data

CHECKS = load_registry().checks
SHIFTED = (
    "ood.accuracy-drop",
    "ood.selective-prediction",
    "ood.conformal-coverage",
    "ood.calibration-shift",
)


def scene(inside: int, outside: int, planted: bool, seed: int = 0, **groups: Any) -> Context:
    """Rows right as often as the model is sure; those of a planted set half of the time."""
    rng = np.random.default_rng(seed)
    n = inside + outside
    labels = rng.integers(0, 2, n)
    sure = rng.uniform(0.8, 1.0, n)
    right = rng.random(n) < sure
    if planted:
        right[inside:] = rng.random(outside) < 0.5
    score = np.where(right == (labels == 1), sure, 1 - sure)
    data = tiny_data(labels, groups)
    answers = Predictions.from_probabilities(np.stack([1 - score, score], axis=1))
    context = tiny_context(data, answers, family=10)
    return replace(context, shifts=shifted(data, other=np.arange(inside, n)))


def judged(check: str, context: Context, params: Any = None) -> list[Finding]:
    """The findings that a limit judges."""
    found = findings_in(CHECKS[check], context, params)
    crashed = [f.message for f in found if f.outcome is Outcome.ERROR]
    assert not crashed
    return [f for f in found if f.limit is not None]


def outcomes(check: str, context: Context, params: Any = None) -> dict[str, str]:
    return {
        f"{f.measurement.name} {f.measurement.slice}".strip(): f.outcome.value
        for f in judged(check, context, params)
    }


@pytest.mark.parametrize("check", SHIFTED)
def test_no_shift_passes(check):
    assert set(outcomes(check, scene(6000, 3000, planted=False)).values()) == {"pass"}


@pytest.mark.parametrize("check", SHIFTED)
def test_a_planted_shift_fails_on_its_set_and_nowhere_else(check):
    found = outcomes(check, scene(6000, 3000, planted=True))
    assert {name for name, outcome in found.items() if outcome == "fail"} == {
        name for name in found if name.endswith("other")
    }
    assert "fail" in found.values()


@pytest.mark.parametrize("planted", [False, True])
@pytest.mark.parametrize("check", SHIFTED)
def test_fifty_rows_decide_nothing(check, planted):
    found = outcomes(check, scene(25, 25, planted))
    assert set(found.values()) == {"inconclusive"}


@pytest.mark.parametrize("check", SHIFTED)
def test_sets_without_labels_are_not_judged(check):
    context = scene(200, 100, planted=False)
    bare = {n: replace(s, data=replace(s.data, labels=None)) for n, s in context.shifts.items()}
    (finding,) = findings_in(CHECKS[check], replace(context, shifts=bare))
    assert finding.outcome is Outcome.NOT_APPLICABLE
    assert "labels" in finding.message


@pytest.mark.parametrize("check", SHIFTED)
def test_rows_in_clusters_are_judged_with_wider_intervals(check):
    context = scene(4800, 1200, planted=True)
    repeated = np.repeat(np.arange(0, 6000, 6), 6)
    same = context.predictor.predictions.take(repeated)
    alone = replace(context.data, labels=context.data.labels[repeated])
    predictor = replace(context.predictor, predictions=same)

    def of(data: AuditData) -> list[Finding]:
        shifts = shifted(data, other=np.arange(4800, 6000))
        return judged(check, replace(context, predictor=predictor, data=data, shifts=shifts))

    wide, narrow = of(replace(alone, clusters=np.arange(6000) // 6)), of(alone)
    wider = 0
    for one, other in zip(wide, narrow, strict=True):
        if one.measurement.slice != "other" or None in (one.interval, other.interval):
            continue
        first, second = (f.interval.upper - f.interval.lower for f in (one, other))
        wider += first > second
    assert wider


def test_the_worst_of_several_sets_is_named():
    context = scene(4000, 2000, planted=True)
    data = context.data
    shifts = shifted(data, good=np.arange(3000, 4000), bad=np.arange(4000, 6000))
    found = findings_in(CHECKS["ood.accuracy-drop"], replace(context, shifts=shifts))
    values = {(f.measurement.name, f.measurement.slice): f for f in found}
    assert values["drop", "good"].outcome is Outcome.PASS
    assert values["drop", "bad"].outcome is Outcome.FAIL
    worst = values["worst_drop", ""].measurement
    assert worst.value == values["drop", "bad"].measurement.value
    assert "Largest for bad" in worst.note
    (chart,) = worst.evidence
    assert [row.label for row in chart.rows] == ["in distribution", "good", "bad"]
    right = context.predictor.predictions.labels == data.labels
    assert chart.rows[0].value == pytest.approx(right[:3000].mean())


def test_a_group_that_is_covered_less_fails_unless_it_is_calibrated_by_itself():
    rng = np.random.default_rng(0)
    n = 9000
    labels, rare = rng.integers(0, 2, n), rng.random(n) < 0.25
    sure = rng.uniform(0.8, 1.0, n)
    right = rng.random(n) < np.where(rare, 0.6, 0.97)
    score = np.where(right == (labels == 1), sure, 1 - sure)
    data = tiny_data(labels, {"g": np.where(rare, "rare", "common").tolist()})
    answers = Predictions.from_probabilities(np.stack([1 - score, score], axis=1))
    context = replace(tiny_context(data, answers), shifts=shifted(data, out=np.arange(8500, n)))
    check = "ood.conformal-coverage"
    assert outcomes(check, context)["group_shortfall g"] == "fail"
    params = CHECKS[check].params(within="g")
    assert outcomes(check, context, params)["group_shortfall g"] == "pass"
    (finding,) = findings_in(CHECKS[check], context, CHECKS[check].params(within="h"))
    assert "no sensitive attribute is called 'h'" in finding.message


@pytest.mark.parametrize("name", ["ece_rise", "brier_rise"])
def test_clusters_that_are_right_here_and_wrong_there_widen_the_bounds_of_a_rise(name):
    rng = np.random.default_rng(0)
    moved = np.repeat(rng.choice([-0.19, 0.19], 200), 8)
    right = rng.random(3200) < 0.75 + np.concatenate([moved, -moved])
    labels = rng.integers(0, 2, 3200)
    score = np.where(right == (labels == 1), 0.85, 0.15)
    clusters = np.tile(np.repeat(np.arange(200), 8), 2)
    answers = Predictions.from_probabilities(np.stack([1 - score, score], axis=1))

    def bounds(clusters: np.ndarray) -> Any:
        data = tiny_data(labels, clusters=clusters)
        context = tiny_context(data, answers)
        context = replace(context, shifts=shifted(data, other=np.arange(1600, 3200)))
        found = findings_in(CHECKS["ood.calibration-shift"], context)
        return next(f.measurement.bounds for f in found if f.measurement.name == name)

    shared, apart = bounds(clusters), bounds(np.where(np.arange(3200) < 1600, 0, 200) + clusters)
    for one, other in ((shared.claim, apart.claim), (shared.corrected, apart.corrected)):
        assert one.lower < other.lower
        assert one.upper > other.upper


def test_the_temperature_mends_what_it_was_planted_for():
    context = scene(6000, 3000, planted=False)
    scores = context.predictor.predictions.probabilities
    sharp = scores**3 / (scores**3).sum(axis=1, keepdims=True)
    sure = replace(context.predictor, predictions=Predictions.from_probabilities(sharp))
    found = findings_in(CHECKS["ood.calibration-shift"], replace(context, predictor=sure))
    gain = found[0].measurement
    assert (gain.name, gain.slice) == ("scaling_gain", "")
    assert gain.note.startswith("Temperature 2.97")
    assert gain.bounds.corrected.lower > 0.02
    gains = next(one for one in gain.evidence if one.title.startswith("What the temperature"))
    assert [row.label for row in gains.rows] == ["in distribution", "other"]
    assert all(row.interval.lower > 0.02 for row in gains.rows)


def validated(n: int) -> Context:
    """A context whose last n rows are a validation split; its model is too sure of itself."""
    context = scene(3000, 1000 + n, planted=False)
    scores = context.predictor.predictions.probabilities
    sharp = scores**3 / (scores**3).sum(axis=1, keepdims=True)
    data, kept = context.data, np.arange(4000)
    return replace(
        context,
        predictor=replace(context.predictor, predictions=Predictions.from_probabilities(sharp)),
        data=data.rows(kept),
        shifts=shifted(data.rows(kept), other=np.arange(3000, 4000)),
        validation=data.rows(np.arange(4000, 4000 + n)),
    )


def test_validation_rows_fit_the_temperature_and_leave_every_audited_row_to_be_measured():
    context = validated(800)
    answers, rows = context.predictor.predictions, np.asarray(context.validation.inputs)
    temperature = fit_temperature(np.log(answers.probabilities[rows]), context.validation.labels)
    found = findings_in(CHECKS["ood.calibration-shift"], context)
    gain, *rises = [finding.measurement for finding in found]
    assert gain.n == 3000
    assert gain.note.startswith(f"Temperature {temperature:.3g}: ")
    assert gain.note.endswith("Fitted to 800 rows: the validation split.")
    assert {rise.n for rise in rises} == {4000}
    inside, outside = (
        reliability(answers.probabilities[part], context.data.labels[part], 15).ece
        for part in (np.arange(3000), np.arange(3000, 4000))
    )
    values = {rise.name: rise.value for rise in rises}
    assert values["ece_rise"] == pytest.approx(outside - inside, abs=1e-12)


def test_with_few_validation_rows_the_temperature_is_fitted_to_half_of_the_rows():
    few, none = validated(99), replace(validated(99), validation=None)
    one, other = (findings_in(CHECKS["ood.calibration-shift"], c) for c in (few, none))
    assert one == other
    assert one[0].measurement.n < 2000
    assert one[0].measurement.note.endswith("half of the rows in distribution.")


# --- contrasts ------------------------------------------------------------------------------------


def paired(first: np.ndarray, second: np.ndarray, apart: bool = False) -> Context:
    """Pairs of which the first and the second are right as said; apart in a set of its own."""
    n = len(first)
    labels = np.tile([0, 1], n) if not apart else np.repeat([0, 1], n)
    right = np.stack([first, second], axis=1).ravel()
    if apart:
        right = np.concatenate([first, second])
    ids = np.repeat(np.arange(n), 2) if not apart else np.tile(np.arange(n), 2)
    answers = Predictions(np.where(right, labels, 1 - labels).astype(np.int64), None)
    data = replace(tiny_data(labels), pairs=tuple(f"p{i}" for i in ids))
    context = tiny_context(data, answers)
    if not apart:
        return context
    own = Shift(data.rows(np.arange(n, 2 * n)), np.full(n, -1), np.zeros(0, dtype=np.int64), "s")
    return replace(context, data=data.rows(np.arange(n)), shifts={"revised": own})


@pytest.mark.parametrize("apart", [False, True])
def test_pairs_are_found_within_the_rows_and_across_sets(apart):
    rng = np.random.default_rng(0)
    first, second = rng.random(600) < 0.95, rng.random(600) < 0.6
    found = findings_in(CHECKS["ood.contrast-consistency"], paired(first, second, apart))
    values = {f.measurement.name: f.measurement.value for f in found}
    assert values["drop"] == pytest.approx(first.mean() - second.mean())
    assert values["consistency"] == pytest.approx((first & second).mean())
    assert [f.outcome.value for f in found] == ["fail", "fail"]
    assert "600 of 600 have a contrast of another class" in found[0].measurement.note


def test_a_model_that_follows_the_change_passes_and_one_that_does_not_react_fails():
    rng = np.random.default_rng(0)
    good = rng.random(800) < 0.95
    assert set(outcomes("ood.contrast-consistency", paired(good, good)).values()) == {"pass"}
    deaf = rng.random(800) < 0.5
    assert outcomes("ood.contrast-consistency", paired(deaf, ~deaf)) == {
        "drop": "pass", "consistency": "fail",
    }  # fmt: skip
    few = rng.random(25) < 0.9
    found = outcomes("ood.contrast-consistency", paired(few, rng.random(25) < 0.8))
    assert set(found.values()) == {"inconclusive"}


def test_rows_without_a_partner_are_left_out_and_none_is_not_applicable():
    context = paired(np.ones(4, dtype=bool), np.ones(4, dtype=bool))
    ids = ("a", "a", "b", "b", "b", None, None, "c")
    found = findings_in(
        CHECKS["ood.contrast-consistency"],
        replace(context, data=replace(context.data, pairs=ids)),
    )
    assert found[0].measurement.n == 2
    alone = replace(context.data, pairs=tuple("abcdefgh"))
    (finding,) = findings_in(CHECKS["ood.contrast-consistency"], replace(context, data=alone))
    assert finding.outcome is Outcome.NOT_APPLICABLE


# --- length ---------------------------------------------------------------------------------------


def texts(n: int, right_of: Callable[[int], float]) -> tuple[AuditData, SharedPredictor]:
    """Texts of 1 to 50 words, right with a chance that depends on their length."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 51, n)
    labels = rng.integers(0, 2, n)
    right = rng.random(n) < np.array([right_of(int(length)) for length in lengths])
    said = np.where(right, labels, 1 - labels)
    inputs = tuple(
        f"{'word ' * (length - 1)}x{i}q{answer}q"
        for i, (length, answer) in enumerate(zip(lengths, said, strict=True))
    )
    model = FakeModel(lambda text: [0.1, 0.9] if text.endswith("q1q") else [0.9, 0.1])
    return replace(tiny_data(labels), inputs=inputs), SharedPredictor(model)


def length_findings(n: int, right_of: Callable[[int], float]) -> Finding:
    data, predictor = texts(n, right_of)
    rng = np.random.default_rng(0)
    predictor.predict(data.inputs)
    context = Context(predictor, data, {}, Confidence(), rng, lambda _: None)
    (finding,) = findings_in(CHECKS["ood.invariance-to-length"], context)
    return finding


def test_long_texts_that_are_answered_worse_fail_and_equal_ones_pass():
    bad = length_findings(4000, lambda length: 0.95 if length <= 40 else 0.6)
    assert bad.outcome is Outcome.FAIL
    assert bad.measurement.note.endswith("to 50 words.")
    assert length_findings(9000, lambda _: 0.95).outcome is Outcome.PASS
    assert length_findings(50, lambda _: 0.95).outcome is Outcome.INCONCLUSIVE


def test_the_accuracy_of_every_band_and_property_is_shown():
    finding = length_findings(1000, lambda _: 0.9)
    by_length, by_property = finding.measurement.evidence
    data, predictor = texts(1000, lambda _: 0.9)
    lengths = np.array([len(text.split()) for text in data.inputs])
    right = predictor.predict(data.inputs).labels == data.labels
    first = lengths <= int(by_length.rows[0].label.split()[2])
    assert by_length.rows[0].n == int(first.sum())
    assert by_length.rows[0].value == pytest.approx(right[first].mean())
    assert sum(row.n for row in by_length.rows) == 1000
    assert by_property.reference == pytest.approx(right.mean())


def test_recorded_answers_and_texts_of_one_length_are_not_applicable():
    data = tiny_data(np.zeros(30))
    answers = Predictions(np.zeros(30, dtype=np.int64), None)
    (finding,) = findings_in(CHECKS["ood.invariance-to-length"], tiny_context(data, answers))
    assert finding.outcome is Outcome.NOT_APPLICABLE
