"""explanations.randomization finds methods that ignore the model, and models without learning."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from auditkit.attribution import words_of
from auditkit.finding import Curve, Outcome, Table
from auditkit.model import Capability
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel, PlantedExplainer

from .bag_of_words import (
    STRENGTH,
    VOCABULARY,
    data_of,
    findings,
    judged,
    log_odds,
    named,
    noise,
    split,
    texts,
)

CHECK = load_registry().get("explanations.randomization")
DATA = data_of(texts(60))
LAYERS = ("head", "layer 1", "layer 0", "embeddings")


def untrained(seed: int, size: float = 0.05) -> dict[str, float]:
    """What each word adds to the log odds in a model of random weights."""
    strengths = np.random.default_rng([seed, 99]).normal(0, size, len(VOCABULARY))
    return dict(zip(VOCABULARY, strengths.tolist(), strict=True))


def answering(strength):
    def answer(text):
        score = 1 / (1 + math.exp(-log_odds(text, strength)))
        return [1 - score, score]

    return SharedPredictor(FakeModel(answer))


def faithful(strength):
    """Weights that are the model's own."""

    def weigh(_method, text, label, _seed):
        return [(1 if label else -1) * strength.get(word, 0.0) for word in split(text)]

    return weigh


def word_length(_strength):
    """Occlusion of a model that is not asked: every text has one map."""
    return lambda _method, text, *_: [float(end - start) for start, end in words_of(text)]


def half_of_the_text(strength):
    """The model's weights drowned in what the text alone says."""

    def weigh(method, text, label, seed):
        own = faithful(strength)(method, text, label, seed)
        return [3 * noise(word).random() + weight for word, weight in zip(split(text), own)]  # noqa: B905

    return weigh


def explainer(strength=STRENGTH, method=faithful, size=0.05, first=1, **more):
    """Explains the model; each copy has random weights of its own from the head down."""
    seeds = itertools.count(first)

    def copy(layers):
        weights = untrained(next(seeds), size)
        kept = 1 - layers / len(LAYERS)
        mixed = {word: kept * strength[word] + (1 - kept) * weights[word] for word in weights}
        return PlantedExplainer(method(mixed), answering(mixed), layers=LAYERS)

    settings = {"layers": LAYERS, "untrained": copy} | more
    return PlantedExplainer(method(strength), answering(strength), **settings)


def params(*methods, **more):
    return CHECK.params(methods=methods or ("occlusion",), **more)


def test_a_trained_model_and_a_method_that_depends_on_its_weights_pass():
    found = findings(CHECK, DATA, explainer(), params())
    assert judged(found) == {Outcome.PASS}
    assert abs(named(found, "similarity")["occlusion"].measurement.value) < 0.35
    assert abs(named(found, "signed_similarity")["occlusion"].measurement.value) < 0.35
    assert named(found, "random_response")[""].measurement.value < 0.15


@pytest.mark.parametrize("method", [word_length, half_of_the_text])
def test_a_method_that_draws_the_text_and_not_the_model_fails(method):
    found = findings(CHECK, DATA, explainer(method=method), params())
    assert named(found, "similarity")["occlusion"].outcome is Outcome.FAIL
    assert named(found, "random_response")[""].outcome is Outcome.PASS


def test_a_method_that_says_the_same_of_every_word_of_every_model_fails():
    found = findings(
        CHECK, DATA, explainer(method=lambda _: lambda _m, text, *_: [0.5] * 12), params()
    )
    assert named(found, "similarity")["occlusion"].outcome is Outcome.FAIL


@pytest.mark.parametrize("seed", range(5))
def test_a_model_of_random_weights_fails_whatever_the_method(seed):
    random = explainer(untrained(1000 + seed), first=10 * seed)
    found = findings(CHECK, DATA, random, params())
    response = named(found, "random_response")[""]
    assert response.outcome is Outcome.FAIL
    assert response.measurement.value == pytest.approx(0.5, abs=0.25)


def test_a_model_that_reads_nothing_fails():
    deaf = explainer(dict.fromkeys(VOCABULARY, 0.0))
    found = findings(CHECK, DATA, deaf, params())
    assert named(found, "random_response")[""].measurement.value == 1.0
    assert named(found, "random_response")[""].outcome is Outcome.FAIL


def test_a_trained_model_with_a_rare_class_passes():
    """Nearly every answer is the common class, for an empty text as well."""

    def rare(strength):
        def answer(text):
            score = 1 / (1 + math.exp(4 - log_odds(text, strength)))
            return [1 - score, score]

        return SharedPredictor(FakeModel(answer))

    real = explainer()
    found = findings(
        CHECK, DATA, dataclasses.replace(real, predictor=rare(STRENGTH)), params(examples=60)
    )
    assert named(found, "random_response")[""].outcome is Outcome.PASS


def test_methods_are_judged_each_by_itself():
    real, flat = faithful(STRENGTH), word_length(STRENGTH)

    def both(strength):
        own = faithful(strength)
        return lambda method, *rest: (own if method == "occlusion" else flat)(method, *rest)

    assert real("", DATA.inputs[0], 1, 0)
    found = findings(CHECK, DATA, explainer(method=both), params("occlusion", "lime"))
    assert {name: one.outcome for name, one in named(found, "similarity").items()} == {
        "occlusion": Outcome.PASS,
        "lime": Outcome.FAIL,
    }


def test_the_curve_falls_from_the_head_down_and_the_table_has_every_depth():
    found = findings(CHECK, DATA, explainer(), params(copies=2))
    evidence = [e for one in found for e in one.measurement.evidence]
    curve = next(one for one in evidence if isinstance(one, Curve))
    assert curve.x == (0.0, 0.25, 0.5, 1.0)
    assert list(curve.y) == sorted(curve.y, reverse=True)
    assert curve.y[0] == 1.0
    assert curve.y[1] > 0.9
    table = next(one for one in evidence if isinstance(one, Table) and "copies" in one.columns)
    assert [row[:4] for row in table.rows] == [
        ("occlusion", 1, "head", 1),
        ("occlusion", 2, "layer 1", 1),
        ("occlusion", 4, "embeddings", 2),
    ]


def test_explanations_that_single_words_out_rise_in_complexity_with_random_weights():
    one_word = {word: (6.0 if word.startswith("b") else 0.01) for word in VOCABULARY}
    found = findings(CHECK, DATA, explainer(one_word), params())
    assert named(found, "complexity_rise")["occlusion"].measurement.value > 0.1


@pytest.mark.parametrize("rows", [1, 5, 19])
def test_too_few_examples_decide_nothing(rows):
    for model in (explainer(), explainer(untrained(3)), explainer(method=word_length)):
        found = findings(CHECK, data_of(texts(rows)), model, params())
        assert judged(found) == {Outcome.INCONCLUSIVE}


def test_texts_of_one_author_decide_no_more_than_one():
    data = data_of(texts(60), clusters=np.zeros(60, dtype=np.int64))
    found = findings(CHECK, data, explainer(), params())
    assert judged(found) == {Outcome.INCONCLUSIVE}


def test_short_texts_are_left_out_and_counted():
    data = data_of([*texts(25), "bami", "doru dest"])
    found = findings(CHECK, data, explainer(), params())
    measured = named(found, "similarity")["occlusion"].measurement
    assert measured.n == len(measured.units) == 25
    assert "2 texts of fewer than three words" in measured.note


@pytest.mark.parametrize("inputs", [(0, 1, 2), ("a text of words", None), ("", " "), ("one two",)])
def test_inputs_without_texts_of_three_words_are_not_applicable(inputs):
    found = findings(CHECK, data_of(inputs), explainer(), params())
    assert [one.outcome for one in found] == [Outcome.NOT_APPLICABLE]


def test_a_model_that_shows_no_layers_is_not_applicable():
    assert Capability.WHITE_BOX in CHECK.needs
    found = findings(CHECK, DATA, explainer(layers=()), params())
    assert [one.outcome for one in found] == [Outcome.NOT_APPLICABLE]
    assert "layers are not shown" in found[0].message


def test_a_method_that_cannot_be_used_is_a_note_or_undefined_where_it_was_asked_for():
    model = explainer(blocked={"gradient-x-input": "no gradients"})
    usual = named(findings(CHECK, DATA, model, CHECK.params()), "similarity")
    assert set(usual) == {"integrated-gradients", "occlusion"}
    assert "gradient-x-input, no gradients" in usual["integrated-gradients"].measurement.note
    wanted = findings(CHECK, DATA, model, params("occlusion", "gradient-x-input"))
    assert named(wanted, "similarity")["gradient-x-input"].outcome is Outcome.INCONCLUSIVE


def test_a_model_of_one_layer_is_random_once_it_is_random():
    found = findings(CHECK, DATA, explainer(layers=("head",)), params())
    table = next(
        one
        for finding in found
        for one in finding.measurement.evidence
        if isinstance(one, Table) and "copies" in one.columns
    )
    assert [row[1:4] for row in table.rows] == [(1, "head", 3)]


def test_copies_are_drawn_by_seeds_that_no_training_starts_from():
    asked = []

    @dataclasses.dataclass(frozen=True)
    class Noting(PlantedExplainer):
        def randomized(self, layers, seed):
            asked.append((layers, seed))
            return super().randomized(layers, seed)

    real = explainer()
    noting = Noting(**{one.name: getattr(real, one.name) for one in dataclasses.fields(real)})
    for seed in (0, 1):
        findings(CHECK, DATA, dataclasses.replace(noting, seed=seed), params())
    assert [layers for layers, _ in asked] == [1, 2, 4, 4, 4] * 2
    seeds = [seed for layers, seed in asked if layers == 4]
    assert len(set(seeds)) == 6
    assert min(seeds) > 1_000_000


def test_no_copies_is_refused():
    with pytest.raises(ValueError, match="copies"):
        params(copies=0)
