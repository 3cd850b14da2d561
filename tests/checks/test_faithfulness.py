"""explanations.faithfulness tells the weights that an answer rests on from all others."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from auditkit.attribution import words_of
from auditkit.finding import Curve, Estimates, Outcome, ScoredTexts, Table
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel, PlantedExplainer

from .bag_of_words import (
    STRENGTH,
    answer,
    by_method,
    data_of,
    explaining,
    findings,
    judged,
    named,
    noise,
    random_weights,
    split,
    texts,
    true_weights,
)

CHECK = load_registry().get("explanations.faithfulness")
DATA = data_of(texts(200))


def params(*methods: str, **more):
    return CHECK.params(**{"methods": methods or ("lime",), "examples": 200} | more)


def shuffled_weights(method, text, label, seed):
    """The true weights, on the wrong words."""
    return noise(text).permutation(true_weights(method, text, label, seed))


def test_the_true_weights_pass_by_every_metric():
    found = findings(CHECK, DATA, explaining(true_weights), params(examples=50))
    assert judged(found) == {Outcome.PASS}
    for name in ("advantage", "sufficiency_advantage", "deletion_advantage", "insertion_advantage"):
        measured = named(found, name)["lime"].measurement
        assert measured.value > 0.1
        assert measured.bounds.corrected.lower > 0.05
        assert measured.n == len(measured.units) == 50
        assert measured.value == pytest.approx(np.mean(list(measured.units.values())))


@pytest.mark.parametrize("seed", range(3))
def test_random_weights_fail(seed):
    explainer = explaining(random_weights, seed=seed)
    found = findings(CHECK, DATA, explainer, params())
    assert judged(found) == {Outcome.FAIL}
    for name in ("advantage", "sufficiency_advantage", "deletion_advantage", "insertion_advantage"):
        assert abs(named(found, name)["lime"].measurement.value) < 0.05


@pytest.mark.parametrize("seed", range(20))
def test_random_weights_never_pass_however_few_examples(seed):
    explainer = explaining(random_weights, seed=seed)
    found = findings(CHECK, DATA, explainer, params(examples=20, random_orders=1))
    assert Outcome.PASS not in judged(found)


@pytest.mark.parametrize(
    "weigh",
    [
        shuffled_weights,
        lambda *args: [-weight for weight in true_weights(*args)],
        lambda _method, text, *_: np.ones(len(words_of(text))),
        lambda _method, text, *_: np.zeros(len(words_of(text))),
    ],
    ids=["shuffled", "upside down", "all the same", "all nought"],
)
def test_weights_of_no_meaning_fail(weigh):
    assert judged(findings(CHECK, DATA, explaining(weigh), params())) == {Outcome.FAIL}


def test_equal_weights_gain_nothing_where_the_first_words_matter_most():
    def first_word(text):
        return answer(next(iter(split(text)), ""))

    explainer = explaining(lambda _method, text, *_: np.zeros(len(words_of(text))), first_word)
    found = findings(CHECK, DATA, explainer, params())
    assert Outcome.PASS not in judged(found)


def test_methods_are_judged_each_by_itself_and_the_best_is_named_with_its_interval():
    explainer = explaining(
        by_method(lime=random_weights, shap=true_weights, occlusion=shuffled_weights)
    )
    found = findings(CHECK, DATA, explainer, params("lime", "shap", "occlusion"))
    gained = named(found, "advantage")
    assert {name: one.outcome for name, one in gained.items()} == {
        "lime": Outcome.FAIL,
        "shap": Outcome.PASS,
        "occlusion": Outcome.FAIL,
    }
    assert {one.measurement.bounds.comparisons for one in gained.values()} == {3}
    assert "The most faithful of the 3 methods here" in gained["shap"].measurement.note
    assert sum("most faithful" in one.measurement.note for one in gained.values()) == 1
    chart = evidence(found, Estimates)[0]
    assert chart.rows[0].label == "shap"
    assert chart.rows[0].value == pytest.approx(gained["shap"].measurement.value)
    assert chart.rows[0].interval.lower < chart.rows[0].value < chart.rows[0].interval.upper


def evidence(found, kind):
    return [
        one
        for finding in found
        if finding.measurement
        for one in finding.measurement.evidence
        if isinstance(one, kind)
    ]


def test_the_report_shows_curves_a_table_of_all_metrics_and_heat_maps():
    explainer = explaining(by_method(lime=random_weights, shap=true_weights))
    found = findings(CHECK, DATA, explainer, params("lime", "shap", show=3))
    metrics, deletion, insertion = evidence(found, Table)
    assert [row[0] for row in metrics.rows] == ["shap"] * 4 + ["lime"] * 4
    by_name = {row[0]: row[1:] for row in deletion.rows}
    assert set(by_name) == {"shap", "lime", "random orders"}
    assert by_name["shap"][0] == by_name["lime"][0] == by_name["random orders"][0]
    assert by_name["shap"][3] < by_name["random orders"][3] - 0.2
    assert {row[0]: row[4] for row in insertion.rows}["shap"] > by_name["random orders"][3]
    curves = {curve.title: curve for curve in evidence(found, Curve)}
    assert set(curves) == {
        f"{kind} by {method}" for kind in ("Deletion", "Insertion") for method in ("lime", "shap")
    }
    assert curves["Deletion by shap"].y == by_name["shap"]
    shown = evidence(found, ScoredTexts)[0]
    assert len(shown.rows) == 3
    assert all([score.by for score in row.scores] == ["lime", "shap"] for row in shown.rows)
    row = shown.rows[0]
    assert row.scores[1].scores == pytest.approx(
        true_weights("", row.text, ["bad", "good"].index(row.scores[1].of), 0)
    )


def test_without_examples_to_show_no_text_is_in_the_report():
    found = findings(CHECK, DATA, explaining(true_weights), params(show=0))
    assert not evidence(found, ScoredTexts)
    assert not any(text in repr(found) for text in DATA.inputs)


def test_too_few_examples_decide_nothing():
    found = findings(CHECK, data_of(texts(19)), explaining(true_weights), params())
    assert judged(found) == {Outcome.INCONCLUSIVE}
    assert named(found, "advantage")["lime"].measurement.least_n == 20


def test_copies_of_the_same_texts_and_clusters_decide_no_more_than_they_are():
    few = data_of(texts(5) * 40)
    assert judged(findings(CHECK, few, explaining(true_weights), params())) == {
        Outcome.INCONCLUSIVE
    }
    one_author = dataclasses.replace(DATA, clusters=np.zeros(200, dtype=np.int64))
    found = findings(CHECK, one_author, explaining(true_weights), params())
    assert judged(found) == {Outcome.INCONCLUSIVE}


def test_texts_of_one_word_are_left_out_and_counted():
    data = data_of([*texts(60), *STRENGTH])
    found = findings(CHECK, data, explaining(true_weights), params())
    measured = named(found, "advantage")["lime"].measurement
    assert measured.n == 60
    assert f"{len(STRENGTH)} texts of fewer than two words are left out" in measured.note


def test_texts_that_a_method_cannot_explain_count_as_a_random_order():
    @dataclasses.dataclass(frozen=True)
    class Partly(PlantedExplainer):
        def explain(self, method, given, labels, effort):
            for position, one in super().explain(method, given, labels, effort):
                hidden = method == "shap" and position % 2
                empty = dataclasses.replace(one, features=(), weights=np.zeros(0), note="too long")
                yield position, empty if hidden else one

    explainer = Partly(true_weights, SharedPredictor(FakeModel(answer)))
    found = named(
        findings(CHECK, data_of(texts(60)), explainer, params("lime", "shap")), "advantage"
    )
    partly, wholly = (found[name].measurement for name in ("shap", "lime"))
    assert partly.n == wholly.n == 60
    assert "30 explanations are empty and count as a random order" in partly.note
    lost = [name for name, value in partly.units.items() if value != wholly.units[name]]
    assert 25 <= len(lost) <= 30
    assert abs(np.mean([partly.units[name] for name in lost])) < 0.1


def test_a_method_that_cannot_be_used_is_a_note_or_undefined_where_it_was_asked_for():
    explainer = explaining(true_weights, blocked={"integrated-gradients": "no gradients here"})
    usual = findings(CHECK, DATA, explainer, CHECK.params(examples=30))
    gained = named(usual, "advantage")
    assert set(gained) == {"lime", "shap", "occlusion"}
    assert any(
        "integrated-gradients, no gradients here" in one.measurement.note for one in gained.values()
    )
    wanted = findings(CHECK, DATA, explainer, params("lime", "integrated-gradients"))
    gained = named(wanted, "advantage")
    assert gained["integrated-gradients"].outcome is Outcome.INCONCLUSIVE
    assert gained["integrated-gradients"].measurement.value is None
    assert "no gradients here" in gained["integrated-gradients"].message
    assert gained["lime"].outcome is Outcome.PASS
    none = findings(CHECK, DATA, explainer, params("integrated-gradients"))
    assert [one.outcome for one in none] == [Outcome.NOT_APPLICABLE]


@pytest.mark.parametrize("inputs", [(0, 1, 2), (None,), ("text", 0), ("", "  "), ("one", "two")])
def test_inputs_without_texts_of_two_words_are_not_applicable(inputs):
    found = findings(CHECK, data_of(inputs), explaining(true_weights), params())
    assert [one.outcome for one in found] == [Outcome.NOT_APPLICABLE]


def test_other_texts_and_their_order_change_nothing_for_an_example():
    explainer = explaining(random_weights)
    first = findings(CHECK, data_of(texts(60)), explainer, params())
    other = findings(CHECK, data_of([*texts(60)[::-1], *texts(9, seed=4)]), explainer, params())
    one = named(first, "advantage")["lime"].measurement.units
    two = named(other, "advantage")["lime"].measurement.units
    assert len(two) == 69
    assert {name: two[name] for name in one} == one


def test_long_texts_cost_tens_of_questions_and_methods_are_asked_about_in_one_go():
    class Counting:
        def __init__(self) -> None:
            self.sizes: list[int] = []
            self.inner = SharedPredictor(FakeModel(answer))

        def predict(self, inputs):
            self.sizes.append(len(inputs))
            return self.inner.predict(inputs)

    counting = Counting()
    long = data_of([" ".join([text] * 40) for text in texts(30)])
    explainer = PlantedExplainer(true_weights, counting)
    findings(CHECK, long, explainer, params("lime", "shap", random_orders=2))
    assert counting.sizes[0] == 30
    assert len(counting.sizes) == 4
    assert max(counting.sizes[2:]) <= 30 * 2 * 15


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fractions": ()}, "fractions"),
        ({"fractions": (0.1, 1.5)}, "fractions"),
        ({"points": 0}, "points"),
        ({"random_orders": 0}, "random_orders"),
        ({"examples": 0}, "examples"),
    ],
)
def test_impossible_parameters_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        CHECK.params(**settings)
