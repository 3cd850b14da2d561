"""Every check finds a planted defect, passes a clean model, and decides nothing on too few rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from auditkit.finding import Estimates, Finding, Outcome, Table
from auditkit.model import Predictions
from auditkit.registry import load_registry
from auditkit.testing import findings_of, tiny_data

CHECKS = load_registry().checks
FAIR = {"a": 0.9, "b": 0.9}
UNFAIR = {"a": 0.9, "b": 0.6}


def outcomes(check_id: str, simulated, name: str, **settings) -> set[Outcome]:
    found = findings_of(CHECKS[check_id], *simulated, **settings)
    return {f.outcome for f in found if f.measurement is not None and f.measurement.name == name}


GAP_CHECKS = {
    "fairness.demographic-parity": "gap",
    "fairness.equalized-odds": "gap",
    "fairness.impact-ratio": "ratio",
    "quality.group-quality": "gap",
    "fairness.subgroup-auc": "drop",
}


@pytest.mark.parametrize(("check_id", "name"), GAP_CHECKS.items())
def test_a_group_whose_positives_are_missed_is_found(check_id, name, simulated):
    rates = {"a": 0.95, "b": 0.3}
    assert outcomes(check_id, simulated(8000, rates), name) == {Outcome.FAIL}


@pytest.mark.parametrize(("check_id", "name"), GAP_CHECKS.items())
def test_a_fair_model_passes(check_id, name, simulated):
    assert outcomes(check_id, simulated(8000, FAIR), name) == {Outcome.PASS}


@pytest.mark.parametrize(("check_id", "name"), GAP_CHECKS.items())
@pytest.mark.parametrize("rates", [FAIR, UNFAIR])
def test_forty_rows_decide_nothing(check_id, name, rates, simulated):
    assert outcomes(check_id, simulated(40, rates), name) == {Outcome.INCONCLUSIVE}


def test_predictive_parity_finds_a_group_whose_flags_are_wrong(simulated):
    false = {"a": 0.05, "b": 0.4}
    found = outcomes("fairness.predictive-parity", simulated(8000, FAIR, false), "gap")
    assert found == {Outcome.FAIL}
    assert outcomes("fairness.predictive-parity", simulated(8000, FAIR), "gap") == {Outcome.PASS}
    few = outcomes("fairness.predictive-parity", simulated(40, FAIR, false), "gap")
    assert few == {Outcome.INCONCLUSIVE}


def test_false_alarms_on_one_group_are_an_error_rate_gap(simulated):
    false = {"a": 0.05, "b": 0.4}
    assert outcomes("fairness.equalized-odds", simulated(8000, FAIR, false), "gap") == {
        Outcome.FAIL
    }


def test_a_small_group_makes_it_inconclusive_and_is_named(simulated):
    data, predictions = simulated(8000, FAIR)
    names = ["rare" if i < 5 else "a" if i % 2 else "b" for i in range(8000)]
    data = tiny_data(data.labels, {"group": names})
    for check_id in ("fairness.demographic-parity", "fairness.impact-ratio"):
        found = findings_of(CHECKS[check_id], data, predictions)
        assert {f.outcome for f in found} == {Outcome.INCONCLUSIVE}
        assert "rare (5)" in found[0].measurement.note


def test_bias_against_an_intersection_is_found_where_neither_attribute_shows_it():
    rng = np.random.default_rng(0)
    n = 12_000
    first, second = rng.integers(0, 2, n), rng.integers(0, 2, n)
    labels = rng.integers(0, 2, n)
    hit = np.where(first == second, 0.95, 0.65)
    predicted = np.where(labels == 1, rng.random(n) < hit, rng.random(n) < 0.1).astype(int)
    data = tiny_data(labels, {"x": [str(v) for v in first], "y": [str(v) for v in second]})
    found = findings_of(CHECKS["fairness.equalized-odds"], data, Predictions(predicted, None))
    by_slice = {f.measurement.slice: f.outcome for f in found}
    assert by_slice == {"x": Outcome.PASS, "y": Outcome.PASS, "x × y": Outcome.FAIL}


def test_a_group_below_the_minimum_cannot_pass_any_check(simulated):
    data, predictions = simulated(8000, FAIR)
    for check_id in GAP_CHECKS:
        check = CHECKS[check_id]
        params = check.params(minimum_group_size=100_000)
        found = findings_of(check, data, predictions, params)
        judged = {f.outcome for f in found if f.limit is not None}
        assert judged == {Outcome.INCONCLUSIVE}, check_id


def test_every_class_is_looked_at_when_there_is_no_positive_one():
    rng = np.random.default_rng(0)
    n = 9_000
    labels = rng.integers(0, 3, n)
    groups = rng.choice(["a", "b"], n)
    # Class 2 of group b is taken for class 1.
    confused = (labels == 2) & (groups == "b") & (rng.random(n) < 0.5)
    predicted = np.where(confused, 1, labels)
    data = tiny_data(labels, {"g": groups.tolist()}, classes=3)
    found = findings_of(CHECKS["fairness.equalized-odds"], data, Predictions(predicted, None))
    assert found[0].outcome is Outcome.FAIL
    assert "class 2" in found[0].measurement.note
    charts = [e for e in found[0].measurement.evidence if isinstance(e, Estimates)]
    assert len(charts) == 6


@pytest.mark.parametrize("metric", ["balanced-accuracy", "f1", "mcc"])
def test_other_metrics_of_the_worst_group_are_judged_too(metric, simulated):
    check = CHECKS["quality.group-quality"]
    params = check.params(metric=metric)
    bad = outcomes(
        "quality.group-quality", simulated(6000, {"a": 0.95, "b": 0.4}), "gap", params=params
    )
    assert bad == {Outcome.FAIL}
    good = outcomes("quality.group-quality", simulated(6000, FAIR), "gap", params=params)
    assert good == {Outcome.PASS}
    few = outcomes("quality.group-quality", simulated(30, FAIR), "gap", params=params)
    assert few == {Outcome.INCONCLUSIVE}


def test_the_worst_group_is_held_to_a_limit_of_its_own(simulated):
    data = simulated(6000, {"a": 0.95, "b": 0.4})
    settings = {"limits": {"worst": 0.8, "gap": None}}
    assert outcomes("quality.group-quality", data, "worst", **settings) == {Outcome.FAIL}
    assert outcomes("quality.group-quality", simulated(6000, FAIR), "worst", **settings) == {
        Outcome.PASS
    }


def overconfident(simulated, score: float):
    data, predictions = simulated
    positive = np.where(predictions.labels == 1, score, 1 - score)
    return data, Predictions.from_probabilities(np.stack([1 - positive, positive], axis=1))


def test_a_badly_calibrated_score_is_found(simulated):
    assert outcomes(
        "quality.calibration", overconfident(simulated(4000, UNFAIR), 0.999), "calibration_error"
    ) == {Outcome.FAIL}
    assert outcomes(
        "quality.calibration", overconfident(simulated(4000, FAIR), 0.6), "calibration_error"
    ) == {Outcome.FAIL}


def test_a_calibrated_score_passes_and_few_rows_do_not(simulated):
    assert outcomes("quality.calibration", simulated(4000, FAIR), "calibration_error") == {
        Outcome.PASS
    }
    assert outcomes("quality.calibration", simulated(40, FAIR), "calibration_error") == {
        Outcome.INCONCLUSIVE
    }


@pytest.mark.parametrize("metric", ["accuracy", "balanced-accuracy", "f1", "mcc"])
def test_a_model_that_has_learnt_nothing_fails_and_a_good_one_passes(metric):
    rng = np.random.default_rng(0)
    check = CHECKS["quality.metric"]
    labels = (rng.random(3000) < 0.3).astype(int)
    guessing = rng.integers(0, 2, 3000)
    good = np.where(rng.random(3000) < 0.9, labels, 1 - labels)
    settings = {"params": check.params(metric=metric)}
    data = tiny_data(labels)
    assert outcomes(check.id, (data, Predictions(good, None)), "gain", **settings) == {Outcome.PASS}
    found = outcomes(check.id, (data, Predictions(guessing, None)), "gain", **settings)
    # Guessing is worse than the majority in accuracy, better in F1, and even in the other two.
    expected = {"accuracy": Outcome.FAIL, "f1": Outcome.PASS}.get(metric, Outcome.INCONCLUSIVE)
    assert found == {expected}


def test_a_metric_below_its_limit_fails_and_few_rows_decide_nothing(simulated):
    settings = {"limits": {"value": 0.95}}
    assert outcomes("quality.metric", simulated(4000, FAIR), "value", **settings) == {Outcome.FAIL}
    assert outcomes("quality.metric", simulated(40, FAIR), "value", **settings) == {
        Outcome.INCONCLUSIVE
    }
    settings = {"limits": {"value": 0.85}}
    assert outcomes("quality.metric", simulated(4000, FAIR), "value", **settings) == {Outcome.PASS}


def impact_rows(found: Finding) -> dict[str, tuple]:
    table = next(e for e in found.measurement.evidence if isinstance(e, Table))
    return {row[0]: row for row in table.rows}


def selection(counts: dict[str, tuple[int, int]]):
    """Data in which k of n are selected, per group."""
    predicted = [1 if i < k else 0 for k, n in counts.values() for i in range(n)]
    groups = [name for name, (_, n) in counts.items() for _ in range(n)]
    data = tiny_data([0] * len(predicted), {"group": groups})
    return data, Predictions(np.array(predicted), None)


# 6 RCNY 5-301(b) and (c), worked examples: selected of n per category, and the published ratio.
LL144_SEX = {"Male": (667, 1390, 1.00), "Female": (555, 1181, 0.979)}
LL144_RACE = {
    "Hispanic or Latino": (204, 408, 0.97),
    "White": (412, 797, 1.00),
    "Black or African American": (170, 390, 0.84),
    "Native Hawaiian or Pacific Islander": (52, 119, 0.85),
    "Asian": (302, 616, 0.95),
    "Native American or Alaska Native": (18, 41, 0.85),
    "Two or More Races": (96, 213, 0.87),
}
LL144_SCORED_SEX = {"Male": (50, 92, 1.00), "Female": (34, 76, 0.82)}


@pytest.mark.parametrize("published", [LL144_SEX, LL144_RACE, LL144_SCORED_SEX])
def test_the_worked_examples_of_local_law_144_give_the_published_ratios(published):
    counts = {name: (k, n) for name, (k, n, _) in published.items()}
    found = findings_of(CHECKS["fairness.impact-ratio"], *selection(counts))[0]
    rows = impact_rows(found)
    for name, (_, _, ratio) in published.items():
        assert rows[name][4] == pytest.approx(ratio, abs=0.006)


def test_exactly_four_fifths_is_met_although_floats_say_otherwise():
    found = findings_of(
        CHECKS["fairness.impact-ratio"], *selection({"a": (12, 100), "b": (15, 100)})
    )
    rows = impact_rows(found[0])
    assert rows["a"][7] == "met"
    assert rows["a"][8] == "yes"


def test_nobody_selected_is_undefined_not_a_pass():
    found = findings_of(CHECKS["fairness.impact-ratio"], *selection({"a": (0, 100), "b": (0, 100)}))
    assert found[0].outcome is Outcome.INCONCLUSIVE
    assert "nobody is selected" in found[0].message


def test_copies_of_the_same_rows_decide_no_more_than_the_rows(simulated):
    data, predictions = simulated(60, FAIR)
    index = np.tile(np.arange(60), 50)
    copied = data.rows(index)
    naive = findings_of(CHECKS["fairness.demographic-parity"], copied, predictions.take(index))
    told = replace(copied, clusters=index)
    honest = findings_of(CHECKS["fairness.demographic-parity"], told, predictions.take(index))
    assert naive[0].interval.upper < honest[0].interval.upper
    assert honest[0].outcome is Outcome.INCONCLUSIVE


def test_the_findings_say_what_this_run_could_have_detected(simulated):
    found = findings_of(CHECKS["fairness.demographic-parity"], *simulated(2000, FAIR))[0]
    more = findings_of(CHECKS["fairness.demographic-parity"], *simulated(8000, FAIR))[0]
    assert 0 < more.measurement.detectable < found.measurement.detectable < 0.2
