"""LIME's weights are those of `lime`, and "auto" stops when its top words are sure."""

from __future__ import annotations

import re
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from auditkit.attribution import Effort
from auditkit.explanations.explaining import TextExplainer
from auditkit.explanations.lime_method import MOST_SAMPLES, lime
from auditkit.predictor import SharedPredictor
from auditkit.testing import FakeModel

pytest.importorskip("lime")
pytest.importorskip("greenlet")

TEXTS = [
    "the film was not very good and the ending was awful",
    "a warm and funny story but the music is loud loud loud",
    "the actor is sad",
    "good",
]
WEIGHTS = {"good": 0.2, "awful": -0.15, "funny": 0.1, "dull": -0.08, "warm": 0.06, "sad": -0.05}


def bag_of_words(texts: list[str]) -> NDArray[np.float64]:
    """Probabilities that are linear in which words are there."""
    scores = np.array([0.5 + sum(WEIGHTS.get(w, 0.0) for w in set(t.split())) for t in texts])
    return np.column_stack([1 - scores, scores])


def rough(texts: list[str]) -> NDArray[np.float64]:
    """As `bag_of_words`, with an error of its own for each text."""
    noise = np.array([crc32(text.encode()) % 1000 / 1000 - 0.5 for text in texts])
    return np.clip(bag_of_words(texts) + 0.2 * noise[:, None] * np.array([-1, 1]), 0, 1)


@pytest.mark.parametrize("text", TEXTS)
def test_weights_are_those_of_lime_itself(explainer: TextExplainer, text: str):
    from lime.lime_text import LimeTextExplainer

    words = len(set(re.findall(r"\w+", text)))
    direct = LimeTextExplainer(random_state=3).explain_instance(
        text,
        lambda texts: explainer.predict(texts).probabilities,
        labels=(1,),
        num_features=max(words, 7),
        num_samples=300,
    )
    expected = dict(direct.as_list(label=1))
    ((_, ours),) = explainer.explain("lime", [text], [1], Effort(samples=300, seed=3))
    found = {
        text[spans[0][0] : spans[0][1]]: weight
        for spans, weight in zip(ours.features, ours.weights.tolist(), strict=True)
    }
    assert found == pytest.approx(expected, abs=1e-6)
    top = [word for word, _ in direct.as_list(label=1)][:5]
    assert sorted(found, key=lambda word: -abs(found[word]))[:5] == top
    assert ours.asked == 300


def test_a_word_that_occurs_twice_is_one_feature_with_two_places(explainer: TextExplainer):
    ((_, ours),) = explainer.explain("lime", [TEXTS[1]], [1], Effort(samples=50))
    places = {TEXTS[1][spans[0][0] : spans[0][1]]: len(spans) for spans in ours.features}
    assert places["loud"] == 3
    assert places["warm"] == 1


def test_auto_stops_early_where_the_top_words_stand_out():
    text = "good awful funny dull warm but the film is quiet and the plot is long"
    found = lime(text, 1, bag_of_words, Effort())
    assert found.asked < MOST_SAMPLES / 4


def test_auto_asks_everything_where_the_fifth_word_is_not_told_from_the_sixth():
    text = " ".join(f"w{i}" for i in range(12))  # none of them counts

    found = lime(text, 1, rough, Effort())
    assert found.asked == MOST_SAMPLES


def test_auto_agrees_with_all_samples_on_the_top_words_in_9_of_10_texts():
    rng = np.random.default_rng(0)
    words = [*WEIGHTS, "the", "film", "plot", "music", "scene", "actor", "story"]
    agreed, early = 0, 0
    for seed in range(10):
        text = " ".join(rng.permutation(words))
        auto = lime(text, 1, rough, Effort(seed=seed))
        full = lime(text, 1, rough, Effort(samples=MOST_SAMPLES, seed=seed))
        tops = [set(np.argsort(-np.abs(one.weights))[:5]) for one in (auto, full)]
        agreed += tops[0] == tops[1]
        early += auto.asked < MOST_SAMPLES
    assert agreed >= 9
    assert early >= 5


def test_margins_hold_the_weights_of_very_many_samples_in_95_of_100():
    text = "good awful funny dull warm sad film plot music scene actor story"
    truth = lime(text, 1, rough, Effort(samples=20_000, seed=99)).weights
    held = []
    for seed in range(40):
        found = lime(text, 1, rough, Effort(samples=400, seed=seed))
        assert found.margins is not None
        held += (np.abs(found.weights - truth) <= found.margins).tolist()
    assert 0.92 <= np.mean(held) <= 0.985


def test_texts_with_the_same_words_left_are_asked_once():
    model = FakeModel(lambda text: bag_of_words([text])[0])
    explainer = TextExplainer(SharedPredictor(model), model)
    ((_, found),) = explainer.explain("lime", ["good film"], [1], Effort(samples=200))
    assert found.asked == 200
    assert len(model.asked) == 4  # both words, either, none
