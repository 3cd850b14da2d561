"""explanations.sensitive-term-mass finds explanations that rest on who is named."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from auditkit.attribution import words_of
from auditkit.data import Attribute, AuditData
from auditkit.finding import Estimates, Finding, Outcome, ScoredTexts, Table
from auditkit.identity import Swapper, read_terms
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel, PlantedExplainer, findings_in, tiny_context

CHECK = load_registry().get("explanations.sensitive-term-mass")
NAMES = ("negative", "positive")
PLACES = ("shop", "park", "office", "school", "garden", "market", "harbour", "museum", "farm")
VERBS = ("left", "saw", "likes", "found", "knows", "visited", "missed", "painted", "owns", "sold")
TERMS = ("woman", "man")


def texts(people=TERMS) -> list[str]:
    each = product(VERBS, PLACES)
    return [f"the {people[i % 2]} {verb} the {place}" for i, (verb, place) in enumerate(each)]


def answer(text: str) -> list[float]:
    share = 0.3 + 0.5 * ("park" in text or "farm" in text or ("woman" in text and "shop" in text))
    return [1 - share, share]


def weigh(weight_of):
    """Weights by a function of the word in lower case."""

    def weights(method: str, text: str, label: int, seed: int) -> list[float]:
        return [weight_of(text[a:b].lower()) for a, b in words_of(text)]

    return weights


def on_terms(word: str) -> float:
    return 1.0 if word in TERMS else -0.1


def on_places(word: str) -> float:
    return 1.0 if word in PLACES else 0.01


def data(rows, **more) -> AuditData:
    labels = np.array([int("park" in row or "farm" in row) for row in rows], dtype=np.int64)
    return AuditData(tuple(rows), labels, NAMES, **({"positive": 1} | more))


def findings(audited: AuditData, weights, blocked=None, **params) -> list[Finding]:
    predictor = SharedPredictor(FakeModel(answer))
    explainer = PlantedExplainer(weigh(weights), predictor, blocked=blocked or {})
    context = tiny_context(audited, None)
    context = replace(context, predictor=predictor, explainer=explainer)
    return findings_in(CHECK, context, CHECK.params(**({"methods": ("lime",)} | params)))


def named(found: list[Finding], name: str, part: str = "lime") -> Finding:
    return next(f for f in found if (f.measurement.name, f.measurement.slice) == (name, part))


def evidence(found: Finding, kind):
    return [one for one in found.measurement.evidence if isinstance(one, kind)]


def test_explanations_that_rest_on_who_is_named_fail():
    found = named(findings(data(texts()), on_terms), "excess")
    assert found.outcome is Outcome.FAIL
    assert found.measurement.value == pytest.approx(1 / 1.4 - 1 / 5)
    assert "20.0% of the words" in found.measurement.note


def test_explanations_that_rest_on_places_pass():
    found = findings(data(texts()), on_places)
    assert named(found, "excess").outcome is Outcome.PASS
    assert named(found, "mass").measurement.value == pytest.approx(0.01 / 1.04)


def test_equal_weights_hold_what_chance_puts_on_terms():
    found = findings(data(texts()), lambda _: -2.0)
    assert named(found, "excess").measurement.value == pytest.approx(0.0)
    assert named(found, "mass").measurement.value == pytest.approx(0.2)
    (chart,) = evidence(named(found, "excess"), Estimates)
    assert chart.reference == pytest.approx(0.2)


@pytest.mark.parametrize("weights", [on_terms, on_places])
def test_few_examples_decide_nothing(weights):
    found = named(findings(data(texts()[:12]), weights), "excess")
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "fewer than 20 examples" in found.message
    assert found.measurement.least_n == 20


def test_copies_of_one_text_are_one_example():
    (found, *_) = findings(data([texts()[0]] * 500), on_places)
    assert found.measurement.n == 1
    assert found.outcome is Outcome.INCONCLUSIVE


def test_only_texts_with_a_term_are_drawn_and_counted():
    rows = [*texts(), *(f"nobody saw the {place}" for place in PLACES)]
    found = named(findings(data(rows), on_places, examples=30), "excess").measurement
    assert found.n == 30
    assert "90 of 99 rows have a term, 30 were drawn" in found.note
    with_term = {text for text in rows if "man" in text}
    assert len(found.units) == 30
    assert evidence_texts(findings(data(rows), on_places, examples=30)) <= with_term


def evidence_texts(found: list[Finding]) -> set[str]:
    (maps,) = evidence(named(found, "excess"), ScoredTexts)
    return {row.text for row in maps.rows}


def test_the_mass_on_errors_is_that_of_the_errors_alone():
    def weights(word: str) -> float:
        return 1.0 if word == "shop" else on_places(word)

    rows = texts()
    wrong = [text for text in rows if "woman" in text and "shop" in text]
    by_text = {text: (on_terms if text in wrong else on_places) for text in rows}
    predictor = SharedPredictor(FakeModel(answer))

    def planted(method, text, label, seed):
        return [by_text[text](text[a:b]) for a, b in words_of(text)]

    context = replace(
        tiny_context(data(rows), None),
        predictor=predictor,
        explainer=PlantedExplainer(planted, predictor),
    )
    found = findings_in(CHECK, context, CHECK.params(methods=("lime",), examples=90))
    errors = named(found, "mass_on_errors").measurement
    assert errors.n == len(wrong) == 5
    assert errors.value == pytest.approx(1 / 1.4)
    assert "Where the model is right it is 1.0%" in errors.note


def test_without_labels_or_errors_no_mass_on_errors():
    unlabelled = replace(data(texts()), labels=None)
    found = findings(unlabelled, on_places)
    assert not [f for f in found if f.measurement.name == "mass_on_errors"]
    right = [text for text in texts() if "shop" not in text]
    found = named(findings(data(right), on_places), "mass_on_errors")
    assert found.measurement.value is None
    assert "right on every example" in found.measurement.note


def test_the_gap_between_groups_names_them_and_leaves_small_ones_out():
    rows = texts()
    values = ["f" if "woman" in text else "m" for text in rows]
    values[0] = "rare"
    audited = data(rows, groups={"sex": Attribute.from_values("sex", values)})

    def weights(word: str) -> float:
        return 1.0 if word == "woman" else 0.1

    found = findings(audited, weights, examples=90)
    gap = named(found, "gap", "lime, sex").measurement
    assert gap.value == pytest.approx(1 / 1.4 - 1 / 5)
    assert gap.note.startswith("Highest for f (71.4%), lowest for m (20.0%).")
    assert "1 groups have fewer than 20" in gap.note
    (chart,) = evidence(named(found, "excess"), Estimates)
    assert [row.label for row in chart.rows][3:] == ["sex: f", "sex: m", "sex: rare"]


def test_one_group_has_no_gap():
    audited = data(texts(), groups={"sex": Attribute.from_values("sex", ["f"] * 90)})
    assert named(findings(audited, on_places), "gap", "lime, sex").measurement.value is None


def test_the_terms_with_the_most_weight_are_listed():
    (table,) = evidence(named(findings(data(texts()), on_terms), "excess"), Table)
    assert {row[:3] for row in table.rows} == {
        ("woman", "gender", "female"),
        ("man", "gender", "male"),
    }


def test_every_method_is_judged_and_a_blocked_one_is_named():
    found = findings(data(texts()), on_places, {"shap": "there is no shap"}, methods=())
    parts = {f.measurement.slice for f in found if f.measurement.name == "excess"}
    assert parts == {"lime", "integrated-gradients", "occlusion"}
    assert "shap, there is no shap" in named(found, "excess").measurement.note


def test_a_blocked_method_that_is_asked_for_is_a_measurement_of_nothing():
    blocked = {"shap": "there is no shap"}
    found = findings(data(texts()), on_places, blocked, methods=("lime", "shap"))
    shap = named(found, "excess", "shap")
    assert shap.outcome is Outcome.INCONCLUSIVE
    assert "there is no shap" in shap.message
    (found,) = findings(data(texts()), on_places, blocked, methods=("shap",))
    assert found.outcome is Outcome.NOT_APPLICABLE


def test_explanations_without_weight_say_nothing():
    (found,) = findings(data(texts()), lambda _: 0.0)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "no explanation has any weight" in found.message


def test_texts_without_a_term_and_inputs_that_are_no_texts_are_not_applicable():
    (found,) = findings(data(["a good film", "", "  "]), on_places)
    assert found.outcome is Outcome.NOT_APPLICABLE
    assert read_terms().name in found.message
    for inputs in ((1, 2), ()):
        audited = AuditData(inputs, None, NAMES, 1)
        (found,) = findings(audited, on_places)
        assert found.outcome is Outcome.NOT_APPLICABLE


def test_odd_texts_are_no_obstacle():
    odd = [
        "",
        "   ",
        "she",
        "she she she she",
        "🎉🎉 she 👩‍👩‍👧",
        "هي she رائعة",
        "x" * 5_000 + " she",
    ]
    found = findings(data(odd), lambda word: float(word == "she"), minimum_examples=3)
    measured = named(found, "mass").measurement
    assert measured.n == 5
    assert measured.value == 1.0


def test_rows_that_belong_together_widen_the_bounds():
    alone = named(findings(data(texts()), on_places), "excess").measurement
    clustered = data(texts(), clusters=np.arange(90) // 10)
    together = named(findings(clustered, on_places), "excess").measurement
    assert together.bounds.claim.upper > alone.bounds.claim.upper


def test_chosen_attributes_alone_count():
    rows = [*texts(), *(f"a Muslim family visited the {place} again" for place in PLACES)]
    found = findings(data(rows), on_places, attributes=("religion",), minimum_examples=3)
    assert named(found, "mass").measurement.n == len(PLACES)


def test_no_text_is_shown_when_none_is_wanted():
    found = findings(data(texts()), on_places, show=0)
    assert not any(evidence(one, ScoredTexts) for one in found if one.measurement)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("I saw her today", {"her"}),
        ("her book", {"her"}),
        ("a man-eating plant", set()),
        ("no one came", set()),
        ("The Muslim woman left", {"Muslim", "woman"}),
        ("a \u200bwoman said 'she'", {"woman", "she"}),
    ],
)
def test_the_places_that_name_a_group(text, terms):
    found = Swapper(read_terms()).named_groups(text)
    assert {text[one.start : one.end] for one in found} == terms
