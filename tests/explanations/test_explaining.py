"""Many texts are explained at once, each as if it were alone."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from auditkit.attribution import Attribution, Effort, ranked, without, words_of
from auditkit.errors import AuditkitError, ModelError
from auditkit.explanations import explaining
from auditkit.explanations.explaining import TextExplainer
from auditkit.explanations.methods import METHODS
from auditkit.model import Predictions
from auditkit.predictor import SharedPredictor
from auditkit.testing import FakeModel

pytest.importorskip("greenlet")
pytest.importorskip("lime")
pytest.importorskip("shap")

TEXTS = [
    "the film was not very good and the ending was awful",
    "a warm and funny story but the music is loud loud loud",
    "the actor is sad",
    "good",
    "a long quiet scene is fine but the plot was dull and cold and the movie was short",
]
LABELS = [1, 0, 1, 0, 1]
SMALL = Effort(samples=60, evaluations=60, steps=4)
ASKING = ["lime", "shap", "kernel-shap", "occlusion", "random"]


def reads_zq(text: str) -> list[float]:
    """A model that looks for one planted word."""
    return [0.1, 0.9] if "zq" in re.findall(r"\w+", text) else [0.9, 0.1]


def planted(answer=reads_zq) -> tuple[FakeModel, TextExplainer]:
    model = FakeModel(answer)
    return model, TextExplainer(SharedPredictor(model), model)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_text_is_explained_the_same_alone_and_among_others(explainer, model, method):
    together = dict(explainer.explain(method, TEXTS, LABELS, SMALL))
    assert sorted(together) == list(range(len(TEXTS)))
    other = TextExplainer(SharedPredictor(model), model)
    for row in (4, 1):
        ((_, alone),) = other.explain(method, [TEXTS[row]], [LABELS[row]], SMALL)
        assert alone.features == together[row].features
        np.testing.assert_allclose(alone.weights, together[row].weights, atol=1e-5)


@pytest.mark.parametrize("method", ["lime", "shap", "kernel-shap", "occlusion"])
def test_the_planted_word_has_the_mass(method):
    _, explainer = planted()
    text = "this film with a zq in it was long and quiet"
    ((_, found),) = explainer.explain(method, [text], [1], Effort(samples=500))
    spans = words_of(text)
    mass = np.abs(found.of_words(spans))
    assert text[slice(*spans[int(mass.argmax())])] == "zq"
    assert mass.max() / mass.sum() > 0.9


@pytest.mark.parametrize("method", ["lime", "shap", "kernel-shap", "occlusion"])
def test_the_model_is_asked_about_each_text_once(method):
    model, explainer = planted()
    dict(explainer.explain(method, TEXTS, LABELS, SMALL))
    assert len(model.asked) == len(set(model.asked))


def test_what_was_explained_is_not_explained_again():
    model, explainer = planted()
    first = dict(explainer.explain("lime", TEXTS, LABELS, SMALL))
    asked = len(model.asked)
    again = dict(explainer.explain("lime", TEXTS, LABELS, SMALL))
    assert all(again[row] is first[row] for row in first)
    assert len(model.asked) == asked


def test_masked_texts_are_forgotten_and_the_audited_ones_are_not(monkeypatch):
    monkeypatch.setitem(METHODS, "lime", replace(METHODS["lime"], together=2))
    model = FakeModel(reads_zq)
    predictor = SharedPredictor(model)
    predictor.predict(TEXTS)
    explainer = TextExplainer(predictor, model)
    dict(explainer.explain("lime", TEXTS, LABELS, SMALL))
    assert len(predictor._rows) == len(TEXTS)
    counted = predictor.statistics.distinct
    assert counted >= len(set(model.asked))
    asked = len(model.asked)
    predictor.predict(TEXTS)
    assert len(model.asked) == asked
    assert predictor.predict(["zq"]).labels.tolist() == [1]
    assert predictor.predict(TEXTS).labels.tolist() == [0] * len(TEXTS)


def test_of_long_texts_few_are_explained_at_once(monkeypatch):
    class Counting(SharedPredictor):
        forgot = 0

        def forgetting(self):
            self.forgot += 1
            return super().forgetting()

    model = FakeModel(reads_zq)
    for characters, groups in ((10_000, 1), (len(TEXTS[0]) + len(TEXTS[1]), 2), (1, len(TEXTS))):
        monkeypatch.setattr(explaining, "MOST_CHARACTERS", characters)
        predictor = Counting(model)
        explainer = TextExplainer(predictor, model)
        found = dict(explainer.explain("occlusion", TEXTS, LABELS, SMALL))
        assert sorted(found) == list(range(len(TEXTS)))
        assert predictor.forgot == groups


def test_forgetting_keeps_answers_right_for_texts_with_the_same_tokens(model):
    predictor = SharedPredictor(model)
    first = predictor.predict(["good film"]).probabilities
    with predictor.forgetting():
        predictor.predict(["the dull plot", "a sad ending"])
    fresh = SharedPredictor(model)
    for text in ("the dull  plot", "a sad ending", "good  film", "very loud music"):
        np.testing.assert_allclose(
            predictor.predict([text]).probabilities,
            fresh.predict([text]).probabilities,
            atol=1e-6,
        )
    np.testing.assert_array_equal(predictor.predict(["good film"]).probabilities, first)


ODD = {
    "nothing": "",
    "blanks": " \t\n ",
    "one word": "good",
    "one word again and again": "loud " * 40,
    "one letter": "a",
    "emoji": "🎬 👍🏽 🎉🎉",
    "right to left": "הסרט היה טוב מאוד והסוף נורא",
    "bidi marks": "good \u202emlif\u202c the \u2066plot\u2069",
    "markup": "<script>alert(1)</script> good & <b>bad</b>",
    "half a surrogate pair": "good \ud83d film",
    "control characters": "good\x00film\x07 the plot",
    "signs only": "... !!! ???",
    "five thousand words": "the film was good but the plot was dull and cold " * 500,
}


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("kind", ODD)
def test_any_text_is_explained_or_it_is_said_why_not(explainer, method, kind):
    text = ODD[kind]
    effort = Effort(samples=20, evaluations=20, steps=2)
    ((_, found),) = explainer.explain(method, [text], [1], effort)
    assert found.text == text
    assert len(found.features) == len(found.weights)
    assert np.isfinite(found.weights).all()
    assert found.features or found.note
    for spans in found.features:
        assert all(0 <= start < end <= len(text) for start, end in spans)
    if kind == "five thousand words":
        assert "characters are explained" in found.note
        assert max(end for spans in found.features for _, end in spans) < 400


def test_one_text_that_crashes_a_method_stops_no_other(monkeypatch):
    def fragile(text, label, ask, effort):
        if "sad" in text:
            raise ZeroDivisionError("nothing to divide by")
        return Attribution("occlusion", text, label, (((0, 1),),), ask([text])[:, label])

    monkeypatch.setitem(
        explaining.method_named.__globals__["METHODS"],
        "occlusion",
        explaining.Method(lambda _: fragile),
    )
    _, explainer = planted()
    found = dict(explainer.explain("occlusion", TEXTS, LABELS, SMALL))
    assert found[2].features == ()
    assert "ZeroDivisionError" in found[2].note
    assert all(found[row].features for row in (0, 1, 3, 4))
    with pytest.raises(AuditkitError, match="crashed on most texts"):
        dict(explainer.explain("occlusion", ["sad", "sad film", "good"], [1, 1, 1], SMALL))


def test_an_error_of_the_model_ends_it():
    def broken(text: str) -> list[float]:
        if len(text.split()) == 1:
            raise ModelError("the model is gone.")
        return [0.5, 0.5]

    _, explainer = planted(broken)
    with pytest.raises(ModelError, match="is gone"):
        dict(explainer.explain("occlusion", ["good film"], [1], SMALL))


def test_answers_without_probabilities_cannot_be_explained():
    class OnlyLabels(FakeModel):
        def predict(self, batch):
            return Predictions(np.zeros(len(batch), dtype=np.int64), None)

    model = OnlyLabels(reads_zq, capabilities=frozenset())
    explainer = TextExplainer(SharedPredictor(model), model)
    with pytest.raises(ModelError, match="without probabilities"):
        dict(explainer.explain("occlusion", ["good film"], [1], SMALL))


def test_a_method_that_is_not_installed_or_not_known_is_named(monkeypatch):
    _, explainer = planted()
    monkeypatch.setattr("auditkit.explanations.methods.find_spec", lambda name: None)
    assert "pip install 'auditkit[explanations]'" in explainer.obstacle("shap")
    with pytest.raises(ValueError, match=r"no method 'shep'.*shap"):
        explainer.obstacle("shep")


def test_weights_are_shared_by_occurrences_and_by_characters():
    text = "loud and loud"
    found = Attribution("lime", text, 1, (((0, 4), (9, 13)), ((4, 8),)), np.array([0.6, -0.2]))
    assert found.of_words(words_of(text)).tolist() == pytest.approx([0.3, -0.2, 0.3])
    half = Attribution("shap", "loudly", 1, (((0, 4),), ((4, 6),)), np.array([0.4, 0.2]))
    assert half.of_words([(0, 6)]).tolist() == pytest.approx([0.6])
    assert half.of_words([(0, 2), (2, 6)]).tolist() == pytest.approx([0.2, 0.4])


def test_words_and_signs_are_units_and_can_be_left_out():
    text = "don't, ever 👍!"
    assert [text[start:end] for start, end in words_of(text)] == ["don't", ",", "ever", "👍", "!"]
    assert without(text, [(7, 11), (0, 5)]) == ",  👍!"
    assert without("a b c", [(2, 3)]) == "a  c"
    assert ranked(np.array([0.1, 0.5, 0.1])).tolist() == [1, 0, 2]
