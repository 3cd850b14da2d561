"""explanations.completeness finds weights that do not add up to what they explain."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.finding import Outcome, Table
from auditkit.registry import load_registry

from .bag_of_words import (
    by_method,
    data_of,
    explaining,
    findings,
    judged,
    named,
    noise,
    texts,
    true_weights,
)

CHECK = load_registry().get("explanations.completeness")
DATA = data_of(texts(60))


def in_total(method, text, label):
    """The log odds, which the true weights add up to."""
    return None if method in ("lime", "occlusion") else sum(true_weights(method, text, label, 0))


def params(*methods, **more):
    return CHECK.params(methods=methods, **more)


def scaled(factor: float):
    return lambda *args: [factor * weight for weight in true_weights(*args)]


def without_the_first(*args):
    weights = true_weights(*args)
    return [0.0, *weights[1:]]


def rounded(method, text, label, seed):
    weights = np.array(true_weights(method, text, label, seed))
    return weights + noise(text).normal(0, 1e-7, len(weights))


@pytest.mark.parametrize("weigh", [true_weights, rounded, scaled(1.01), scaled(0.97)])
def test_weights_that_add_up_but_for_rounding_pass(weigh):
    found = findings(CHECK, DATA, explaining(weigh, totals=in_total), params())
    assert {name: one.outcome for name, one in named(found, "incomplete").items()} == {
        "shap": Outcome.PASS,
        "integrated-gradients": Outcome.PASS,
    }
    assert named(found, "error")["shap"].measurement.value < 0.031


@pytest.mark.parametrize(
    "weigh", [scaled(0.9), scaled(1.2), scaled(-1.0), scaled(0.0), without_the_first]
)
def test_weights_that_lose_some_of_the_score_or_make_some_up_fail(weigh):
    found = findings(CHECK, DATA, explaining(weigh, totals=in_total), params("shap"))
    assert judged(found) == {Outcome.FAIL}


def test_the_method_that_loses_mass_fails_and_no_other():
    explainer = explaining(
        by_method(shap=true_weights, **{"integrated-gradients": scaled(0.8)}), totals=in_total
    )
    found = findings(CHECK, DATA, explainer, params())
    outcomes = {name: one.outcome for name, one in named(found, "incomplete").items()}
    assert outcomes == {"shap": Outcome.PASS, "integrated-gradients": Outcome.FAIL}
    errors = named(found, "error")
    assert errors["integrated-gradients"].measurement.value == pytest.approx(0.2, abs=0.01)
    assert errors["shap"].measurement.value < 1e-12


def test_a_loss_in_every_tenth_example_is_undecided_and_in_every_third_found():
    def losing(share):
        def weigh(method, text, label, seed):
            factor = 0.5 if noise(text).random() < share else 1.0
            return [factor * weight for weight in true_weights(method, text, label, seed)]

        explainer = explaining(weigh, totals=in_total)
        return judged(findings(CHECK, DATA, explainer, params("shap")))

    assert losing(0.1) == {Outcome.INCONCLUSIVE}
    assert losing(0.4) == {Outcome.FAIL}


def test_weights_of_both_signs_hide_no_loss():
    """A tenth of a small difference is lost, which is little beside the weights that cancel."""

    def cancelling(*_):
        return [1.0, -0.9, *[0.0] * 10]

    explainer = explaining(cancelling, totals=lambda *_: 0.12)
    assert judged(findings(CHECK, DATA, explainer, params("shap"))) == {Outcome.FAIL}


def test_where_there_is_nothing_to_explain_rounding_is_no_error():
    explainer = explaining(lambda *_: [1e-7] * 12, totals=lambda *_: 1e-9)
    assert judged(findings(CHECK, DATA, explainer, params("shap"))) == {Outcome.PASS}
    explainer = explaining(lambda *_: [0.0] * 12, totals=lambda *_: 0.0)
    assert judged(findings(CHECK, DATA, explainer, params("shap"))) == {Outcome.PASS}


@pytest.mark.parametrize("rows", [1, 19, 24])
def test_too_few_examples_decide_nothing(rows):
    found = findings(CHECK, data_of(texts(rows)), explaining(true_weights, totals=in_total),
                     params())  # fmt: skip
    assert judged(found) == {Outcome.INCONCLUSIVE}


def test_texts_of_one_author_decide_no_more_than_one():
    data = data_of(texts(60), clusters=np.zeros(60, dtype=np.int64))
    for weigh in (true_weights, scaled(0.5)):
        found = findings(CHECK, data, explaining(weigh, totals=in_total), params())
        assert judged(found) == {Outcome.INCONCLUSIVE}


def test_methods_that_promise_no_sum_are_named_and_not_judged():
    explainer = explaining(true_weights, totals=in_total)
    found = findings(CHECK, DATA, explainer, params("lime", "shap", "occlusion"))
    assert set(named(found, "incomplete")) == {"shap"}
    note = named(found, "incomplete")["shap"].measurement.note
    assert "No sum is promised by lime, occlusion." in note
    assert named(found, "incomplete")["shap"].measurement.bounds.comparisons == 1
    none = findings(CHECK, DATA, explainer, params("lime", "occlusion"))
    assert [one.outcome for one in none] == [Outcome.NOT_APPLICABLE]
    assert "no sum is promised by lime, occlusion" in none[0].message


def test_a_method_that_cannot_be_used_is_a_note_or_undefined_where_it_was_asked_for():
    explainer = explaining(true_weights, totals=in_total, blocked={"shap": "shap is not here"})
    usual = named(findings(CHECK, DATA, explainer, params()), "incomplete")
    assert set(usual) == {"integrated-gradients"}
    assert "shap, shap is not here" in usual["integrated-gradients"].measurement.note
    wanted = findings(CHECK, DATA, explainer, params("integrated-gradients", "shap"))
    asked_for = named(wanted, "incomplete")["shap"]
    assert asked_for.outcome is Outcome.INCONCLUSIVE
    assert "shap is not here" in asked_for.message
    none = findings(CHECK, DATA, explainer, params("shap"))
    assert [one.outcome for one in none] == [Outcome.NOT_APPLICABLE]


@pytest.mark.parametrize("inputs", [(0, 1), ("text", None), ("", "   ")])
def test_inputs_that_are_no_texts_are_not_applicable(inputs):
    found = findings(CHECK, data_of(inputs), explaining(true_weights, totals=in_total), params())
    assert [one.outcome for one in found] == [Outcome.NOT_APPLICABLE]


def test_the_table_has_the_errors_in_the_score_s_own_unit():
    found = findings(CHECK, DATA, explaining(scaled(0.9), totals=in_total),
                     params("shap", examples=60))  # fmt: skip
    measured = named(found, "incomplete")["shap"].measurement
    assert len(measured.units) == 60
    table = next(one for one in measured.evidence if isinstance(one, Table))
    row = dict(zip(table.columns, table.rows[0], strict=True))
    totals = [abs(in_total("shap", text, label)) for text, label in answered()]
    assert row["mean size of the sum"] == pytest.approx(np.mean(totals))
    assert row["mean error"] == pytest.approx(0.1 * np.mean(totals))
    assert row["largest error"] == pytest.approx(0.1 * max(totals))


def answered():
    predictor = explaining(true_weights).predictor
    return zip(DATA.inputs, predictor.predict(DATA.inputs).labels.tolist(), strict=True)


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -0.1])
def test_an_impossible_tolerance_is_refused(tolerance):
    with pytest.raises(ValueError, match="tolerance"):
        params(tolerance=tolerance)
