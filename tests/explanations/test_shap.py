"""SHAP's values are those of `shap`, and exact where the exact ones are known."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from auditkit.attribution import Effort, without, words_of
from auditkit.explanations import shap_methods
from auditkit.explanations.explaining import TextExplainer
from auditkit.explanations.shap_methods import load_shap
from auditkit.models.transformers_text import TransformersText
from auditkit.predictor import SharedPredictor
from auditkit.testing import FakeModel

pytest.importorskip("shap")
pytest.importorskip("greenlet")

shap = load_shap()

TEXTS = [
    "the film was not very good and the ending was awful",
    "a warm and funny story but the music is loud loud loud",
    "the actor is sad",
    "good",
]
WEIGHTS = {"good": 0.2, "awful": -0.15, "funny": 0.1, "dull": -0.08}


def linear(text: str) -> list[float]:
    score = 0.5 + sum(WEIGHTS.get(word, 0.0) for word in re.findall(r"\w+", text))
    return [1 - score, score]


@pytest.fixture
def of_words() -> TextExplainer:
    model = FakeModel(linear)
    return TextExplainer(SharedPredictor(model), model)


@pytest.mark.parametrize("evaluations", [500, 40])
@pytest.mark.parametrize("most_dense", [512, 5])
def test_values_are_those_of_partition_shap_itself(
    model: TransformersText,
    explainer: TextExplainer,
    monkeypatch: pytest.MonkeyPatch,
    evaluations: int,
    most_dense: int,
):
    monkeypatch.setattr(shap_methods, "_MOST_DENSE", most_dense)
    effort = Effort(evaluations=evaluations, seed=5)
    found = dict(explainer.explain("shap", TEXTS, [1, 0, 1, 0], effort))
    for row, (text, label) in enumerate(zip(TEXTS, [1, 0, 1, 0], strict=True)):
        direct = shap.PartitionExplainer(
            lambda texts: explainer.predict([str(t) for t in texts]).probabilities,
            shap.maskers.Text(model.text_tokenizer()),
        )
        np.random.seed(5)
        said = direct([text], max_evals=evaluations, silent=True)
        inner = said.values[0][1:-1, label]  # without [CLS] and [SEP]
        np.testing.assert_allclose(found[row].weights, inner, atol=1e-6)
        assert np.argsort(-found[row].weights)[:3].tolist() == np.argsort(-inner)[:3].tolist()
        words = [text[start:end] for ((start, end),) in found[row].features]
        assert words == text.split()


def word_level(model: TransformersText) -> Any:
    return model.text_tokenizer()


def of_regular_expression(_: TransformersText) -> None:
    return None


def byte_level(_: TransformersText) -> Any:
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import RobertaTokenizer

    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokens = [*specials, *sorted(ByteLevel.alphabet()), "Ġt", "Ġth", "in", "ing"]
    vocabulary = {token: place for place, token in enumerate(tokens)}
    merges = [("Ġ", "t"), ("Ġt", "h"), ("i", "n"), ("in", "g")]
    return RobertaTokenizer(vocab=vocabulary, merges=merges)


PIECES = [("▁", -3.0), *((letter, -5.0) for letter in "abcdefghilmnorstuvwy.,'"), ("▁the", -1.0)]


def sentence_pieces(_: TransformersText) -> Any:
    from transformers import AlbertTokenizer

    specials = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    return AlbertTokenizer(vocab=[*((special, 0.0) for special in specials), *PIECES])


def sentence_pieces_without_a_mask(_: TransformersText) -> Any:
    from transformers import T5Tokenizer

    specials = ["<pad>", "</s>", "<unk>"]
    return T5Tokenizer(vocab=[*((special, 0.0) for special in specials), *PIECES], extra_ids=0)


@pytest.mark.parametrize(
    "tokenizer",
    [
        word_level,
        of_regular_expression,
        byte_level,
        sentence_pieces,
        sentence_pieces_without_a_mask,
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        *TEXTS[:2],
        "  The film's  ending:\n\tnot\u00a0good 😀 ▁ ...",
        "good [SEP] and awful[SEP]and the</s>the [MASK] the <s>",
        "\u202eold\u202c שלום \x1c\x00 a\ud800",
    ],
)
def test_what_is_asked_is_what_shap_itself_would_ask(
    model: TransformersText, tokenizer: Callable[[TransformersText], Any], text: str
):
    text = text.encode("utf-8", "replace").decode()
    asked: list[list[str]] = []
    linearize = True  # as by default

    def ask(texts: list[str]) -> np.ndarray:
        asked.append([str(one) for one in texts])
        return np.array([[len(one), sum(map(ord, one))] for one in texts], dtype=np.float64)

    masker = shap.maskers.Text(tokenizer(model))
    theirs = shap.utils.MaskedModel(ask, masker, shap.links.identity, linearize, text)
    ours = shap_methods.MaskedText(theirs)
    assert len(ours) == len(theirs)
    draw = np.random.default_rng(0)
    for shown in (0.1, 0.5, 0.9, 0.97):
        masks = draw.random((40, len(ours))) < shown
        masks[20:30, 1:-1] = masks[20, 1:-1]  # hide the same, but for what is never hidden
        np.testing.assert_array_equal(ours(masks), theirs(masks))
        assert asked[-2] == asked[-1]


def test_values_are_those_of_kernel_shap_itself(explainer: TextExplainer):
    text = TEXTS[0]
    spans = words_of(text)

    def masked(rows: np.ndarray) -> np.ndarray:
        texts = [
            without(text, [s for s, kept in zip(spans, row, strict=True) if not kept])
            for row in rows
        ]
        return explainer.predict(texts).probabilities

    np.random.seed(7)
    direct = shap.KernelExplainer(masked, np.zeros((1, len(spans))))
    expected = direct.shap_values(
        np.ones((1, len(spans))), nsamples=200, l1_reg=False, silent=True
    )[0][:, 1]
    ((_, found),) = explainer.explain("kernel-shap", [text], [1], Effort(samples=200, seed=7))
    np.testing.assert_allclose(found.weights, expected, atol=1e-6)


@pytest.mark.parametrize("method", ["shap", "kernel-shap"])
def test_a_linear_model_gets_its_own_weights_and_they_add_up(of_words: TextExplainer, method: str):
    text = "good and funny but the ending is awful and the plot is not dull"
    ((_, found),) = of_words.explain(method, [text], [1], Effort(samples=3000, evaluations=3000))
    weights = found.of_words(words_of(text))
    expected = [WEIGHTS.get(word, 0.0) for word in text.split()]
    np.testing.assert_allclose(weights, expected, atol=1e-6)
    assert found.total == pytest.approx(sum(expected), abs=1e-6)
    assert found.weights.sum() == pytest.approx(found.total, abs=1e-6)


def test_values_add_up_to_what_the_score_has_over_its_base(explainer: TextExplainer):
    for _, found in explainer.explain("shap", TEXTS, [1, 1, 1, 1], Effort()):
        assert found.total is not None
        assert found.weights.sum() == pytest.approx(found.total, abs=1e-6)


def test_a_seed_changes_nothing_in_the_global_random_numbers(explainer: TextExplainer):
    np.random.seed(1)
    expected = np.random.rand()
    np.random.seed(1)
    dict(explainer.explain("shap", TEXTS, [1, 1, 1, 1], Effort(seed=3)))
    assert np.random.rand() == expected
