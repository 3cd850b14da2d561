"""The shared predictor asks each distinct input once, in full batches, and forgets no order."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditkit.batching import BATCH_COST, BATCH_ROWS, batches_by_length, token_batches, tokenized
from auditkit.check import Predictor
from auditkit.content import content_key
from auditkit.errors import ModelError
from auditkit.model import Capability, Predictions
from auditkit.prediction_store import PredictionStore
from auditkit.predictor import SharedPredictor

WORDS = ["a", "the", "film", "is", "good", "bad", "dull", "warm", "not", "very", "story", "plot"]


class Counting:
    """Answers by content; remembers what it was asked."""

    name = "counting"
    digest = "0"
    class_names = ("even", "odd")

    def __init__(self, *, scored: bool = True) -> None:
        self.assumptions: dict[str, str] = {}
        self.capabilities = frozenset({Capability.PROBABILITIES} if scored else ())
        self.batches: list[list[Any]] = []
        self.answer_key: str | None = None

    def predict(self, batch: Sequence[Any]) -> Predictions:
        self.batches.append(list(batch))
        odd = np.array([len(str(item)) % 2 for item in batch])
        scores = np.column_stack([1 - odd, odd]).astype(float)
        return Predictions(odd, scores if self.capabilities else None)

    @property
    def asked(self) -> list[Any]:
        return [item for batch in self.batches for item in batch]


class CountingTokens(Counting):
    """One token per character."""

    def tokenize(self, inputs: Sequence[str]) -> list[list[int]]:
        return [[ord(c) for c in text] for text in inputs]

    def predict_tokens(self, batch: Sequence[list[int]]) -> Predictions:
        return self.predict(["".join(map(chr, tokens)) for tokens in batch])


class IgnoringCase(CountingTokens):
    """Takes "A" and "a" for the same token; its answers tell in which batch a text was."""

    def tokenize(self, inputs: Sequence[str]) -> list[list[int]]:
        return super().tokenize([text.lower() for text in inputs])

    def predict_tokens(self, batch: Sequence[list[int]]) -> Predictions:
        answer = super().predict_tokens(batch)
        assert answer.probabilities is not None
        mark = 0.001 * len(self.batches)
        return Predictions(answer.labels, np.abs(answer.probabilities - mark))


def texts(n: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 30))) for _ in range(n)]


# --- once, and in order -------------------------------------------------------------------------


@pytest.mark.parametrize("model", [Counting(), CountingTokens()])
def test_each_distinct_input_reaches_the_model_once(model: Counting) -> None:
    predictor: Predictor = SharedPredictor(model)
    first = predictor.predict(["a", "bb", "a", "ccc"])
    again = predictor.predict(["ccc", "dddd", "a"])
    assert sorted(model.asked) == ["a", "bb", "ccc", "dddd"]
    assert first.labels.tolist() == [1, 0, 1, 1]
    assert again.labels.tolist() == [1, 0, 1]


def test_inputs_of_different_type_are_different_inputs() -> None:
    model = Counting()
    SharedPredictor(model).predict(["1", 1, 1.0, True, None, b"1", ("1",), ["1"], np.int64(1)])
    assert [repr(item) for item in model.asked] == [
        "'1'", "1", "1.0", "True", "None", "b'1'", "('1',)", "['1']",
    ]  # fmt: skip


@given(st.lists(st.one_of(st.text(), st.integers(), st.tuples(st.text(), st.text()))))
def test_equal_keys_mean_equal_content(values: list[Any]) -> None:
    for a in values:
        for b in values:
            assert (content_key(a) == content_key(b)) == (type(a) is type(b) and a == b)


def test_an_input_without_comparable_content_is_refused() -> None:
    with pytest.raises(ModelError, match="an input of type object cannot be asked"):
        SharedPredictor(Counting()).predict([object()])


@pytest.mark.parametrize("inputs", [(), [], iter([])])
@pytest.mark.parametrize("scored", [True, False])
def test_asking_nothing_answers_nothing(inputs, scored) -> None:
    answer = SharedPredictor(Counting(scored=scored)).predict(inputs)
    assert len(answer) == 0
    assert (answer.probabilities is None) != scored


def test_a_generator_is_read_once() -> None:
    answer = SharedPredictor(Counting()).predict("x" * n for n in range(1, 6))
    assert answer.labels.tolist() == [1, 0, 1, 0, 1]


def test_what_a_caller_does_to_an_answer_stays_with_the_caller() -> None:
    predictor = SharedPredictor(Counting())
    predictor.predict(["a"]).labels[:] = 7
    assert predictor.predict(["a"]).labels.tolist() == [1]


# --- batches ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=40)), st.integers(1, 100))
def test_batches_cover_everything_once_within_the_budget(tokens, budget) -> None:
    batches = list(batches_by_length(tokens, budget))
    assert sorted(int(i) for batch in batches for i in batch) == list(range(len(tokens)))
    for batch in batches:
        longest = max(len(tokens[i]) for i in batch)
        assert len(tokens[batch[0]]) == longest
        assert longest * len(batch) <= budget or len(batch) == 1


def test_a_batch_ends_where_padding_would_cost_more_than_another_batch() -> None:
    tokens = [[0] * length for length in (64, 63, 62, 40, 40, 39, 8)]
    batches = batches_by_length(tokens, 512)
    assert [batch.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=9))
def test_while_the_budget_is_not_full_no_other_batches_cost_less(lengths: list[int]) -> None:
    budget = 60 * len(lengths)
    lengths.sort(reverse=True)

    def cost(ends: Sequence[int]) -> float:
        batches = list(itertools.pairwise((0, *ends, len(lengths))))
        padded = sum(lengths[start] * (end - start) for start, end in batches)
        return padded + len(batches) * budget * BATCH_COST

    inside = range(1, len(lengths))
    others = [cost(e) for k in range(len(lengths)) for e in itertools.combinations(inside, k)]
    found = [len(batch) for batch in batches_by_length([[0] * n for n in lengths], budget)]
    assert cost([*itertools.accumulate(found)][:-1]) == min(others)


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=60), st.integers(60, 300))
def test_batches_cost_no_more_than_filling_one_after_the_other(
    lengths: list[int], budget: int
) -> None:
    lengths.sort(reverse=True)
    one_by_one, start = 0.0, 0
    while start < len(lengths):
        size = min(budget // lengths[start], len(lengths) - start)
        one_by_one += lengths[start] * size + budget * BATCH_COST
        start += size
    batches = list(batches_by_length([[0] * n for n in lengths], budget))
    cost = sum(lengths[batch[0]] * len(batch) + budget * BATCH_COST for batch in batches)
    assert cost <= one_by_one


def test_batches_do_not_depend_on_the_order_of_the_inputs() -> None:
    asked = texts(100)
    first, second = CountingTokens(), CountingTokens()
    SharedPredictor(first).predict(asked)
    SharedPredictor(second).predict(asked[::-1])
    assert first.batches == second.batches


def test_texts_with_the_same_tokens_are_asked_as_one_and_answered_alike() -> None:
    model = IgnoringCase()
    asked = [text for one in texts(60) for text in (one, one.upper(), one.title())]
    predictor = SharedPredictor(model, batch_tokens=64)
    scores = predictor.predict(asked).probabilities
    assert scores is not None
    assert len(model.batches) > 5
    assert sorted(model.asked) == sorted({text.lower() for text in asked})
    by_text = {text.lower(): row.tolist() for text, row in zip(asked, scores, strict=True)}
    assert scores.tolist() == [by_text[text.lower()] for text in asked]
    assert predictor.statistics.distinct == len(set(asked))
    assert predictor.statistics.tokens == sum(map(len, set(model.asked)))


def test_a_text_with_the_tokens_of_an_earlier_one_gets_its_answer() -> None:
    model = IgnoringCase()
    predictor = SharedPredictor(model)
    first = predictor.predict(["good", "bad"])
    again = predictor.predict(["film", "GOOD", "Bad"])
    assert sorted(model.asked) == ["bad", "film", "good"]
    assert first.probabilities is not None
    assert again.probabilities is not None
    assert again.probabilities[1:].tolist() == first.probabilities.tolist()


def test_a_text_with_the_tokens_of_one_that_was_kept_gets_its_answer(tmp_path: Path) -> None:
    def asked(*requests: list[str]) -> tuple[list[Any], list[str]]:
        model = IgnoringCase()
        model.answer_key = "ab" * 32
        with PredictionStore(tmp_path) as store:
            predictor = SharedPredictor(model, store=store)
            answers = [predictor.predict(texts).probabilities for texts in requests]
        return [one.tolist() for one in answers if one is not None], model.asked

    (first,), _ = asked(["good", "bad"])
    (again, alike), model_asked = asked(["bad", "good"], ["GOOD", "film"])
    assert again == first[::-1]
    assert alike[0] == first[0]
    assert model_asked == ["film"]
    assert asked(["GOOD"]) == ([[first[0]]], [])


def test_what_failed_lends_no_answer_to_texts_with_its_tokens() -> None:
    class Failing(IgnoringCase):
        def predict_tokens(self, batch: Sequence[list[int]]) -> Predictions:
            if "boom" in ["".join(map(chr, tokens)) for tokens in batch]:
                raise ModelError("boom")
            return super().predict_tokens(batch)

    model = Failing()
    predictor = SharedPredictor(model, batch_tokens=4)
    with pytest.raises(ModelError, match="boom"):
        predictor.predict(["good", "boom", "bad"])
    model.batches.clear()
    predictor.predict(["GOOD", "BAD"])
    assert sorted(model.asked) == ["bad", "good"]


def test_of_texts_with_the_same_tokens_only_what_is_not_kept_gets_a_new_answer() -> None:
    model = IgnoringCase()
    missing = np.array([False, True, True, False, True])
    batches = token_batches(
        tokenized(model, ["good", "Good", "bad", "film", "GOOD"]), missing, budget=64
    )
    assert sorted(i for batch in batches for i in batch.answered.tolist()) == [1, 2, 4]
    assert [len(batch.asked) for batch in batches] == [2]


def test_the_largest_batches_come_first_so_that_workers_end_together() -> None:
    texts = ["a" * 30, *(letter * 9 for letter in "abcdefg"), "bb", "c"]
    missing = np.ones(len(texts), dtype=np.bool_)
    tokens = tokenized(CountingTokens(), texts)
    batches = token_batches(tokens, missing, budget=64)
    sizes = [max(len(tokens[row]) for row in batch.asked) * len(batch.asked) for batch in batches]
    assert sizes == [63, 30, 4]


def test_rows_without_tokens_are_asked_in_fixed_batches_in_first_seen_order() -> None:
    model = Counting()
    SharedPredictor(model).predict(range(BATCH_ROWS + 44))
    assert model.batches == [list(range(BATCH_ROWS)), list(range(BATCH_ROWS, BATCH_ROWS + 44))]


def test_cost_is_counted() -> None:
    predictor = SharedPredictor(CountingTokens(), batch_tokens=64)
    predictor.predict(["aaaaaa", "bb", "c", "c"])
    statistics = predictor.statistics
    assert (statistics.asked, statistics.distinct, statistics.batches) == (4, 3, 2)
    assert (statistics.tokens, statistics.padding) == (9, 1)
    assert predictor.seconds > 0


@pytest.mark.parametrize(("seconds", "times"), [(1.0, 4), (2.0, 2), (5.0, 0)])
def test_freed_memory_is_given_back_each_time_the_model_has_worked_for_so_long(
    seconds: float, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditkit.predictor.KEPT_SECONDS", seconds)
    given: list[int] = []
    monkeypatch.setattr("auditkit.predictor.give_back_freed_memory", lambda: given.append(1))
    ticks = SimpleNamespace(perf_counter=itertools.count().__next__)  # a second for each batch
    monkeypatch.setattr("auditkit.predictor.time", ticks)
    SharedPredictor(Counting()).predict(range(4 * BATCH_ROWS))
    assert len(given) == times


def test_progress_counts_up_to_the_new_inputs() -> None:
    told: list[tuple[int, int]] = []
    model = CountingTokens()
    predictor = SharedPredictor(model, batch_tokens=2, advance=lambda *step: told.append(step))
    predictor.predict(["a", "b", "cc", "a"])
    assert told == [(1, 3), (3, 3)]
    predictor.predict(["a"])
    assert len(told) == 2


# --- models that misbehave ----------------------------------------------------------------------


def test_an_exception_is_not_remembered() -> None:
    model = Counting()
    predictor = SharedPredictor(model)
    answer, model.predict = model.predict, lambda batch: 1 / 0
    with pytest.raises(ZeroDivisionError):
        predictor.predict(["a"])
    model.predict = answer
    assert predictor.predict(["a"]).labels.tolist() == [1]
    assert predictor.statistics.asked == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda n: Predictions(np.zeros(n - 1, int), np.ones((n - 1, 2))), "answered 2"),
        (lambda n: Predictions(np.zeros(n + 1, int), np.ones((n + 1, 2))), "answered 4"),
        (lambda n: Predictions(np.full(n, 2), np.ones((n, 2))), "a class outside 0 to 1"),
        (lambda n: Predictions(np.full(n, -1), np.ones((n, 2))), "a class outside 0 to 1"),
        (lambda n: Predictions(np.zeros(n, int), np.ones((n, 3))), "3 probabilities per input"),
        (lambda n: Predictions(np.zeros(n, int), None), "answered without"),
    ],
)
def test_an_answer_of_the_wrong_shape_is_refused_and_not_kept(answer, message) -> None:
    model = Counting()
    predictor = SharedPredictor(model)
    model.predict = lambda batch: answer(len(batch))
    with pytest.raises(ModelError, match=message):
        predictor.predict(["a", "b", "c"])
    assert predictor.statistics.distinct == 0


def test_a_tokenizer_that_loses_inputs_is_noticed() -> None:
    model = CountingTokens()
    model.tokenize = lambda inputs: [[1]]
    with pytest.raises(ModelError, match="tokenised 2 inputs into 1"):
        SharedPredictor(model).predict(["a", "b"])


# --- with a real model --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tiny_model: Path):
    pytest.importorskip("transformers")
    from auditkit.config import ModelConfig
    from auditkit.models.transformers_text import load_transformers

    return load_transformers(ModelConfig(path=str(tiny_model)), online=False)


def test_answers_equal_asking_one_by_one(real) -> None:
    asked = texts(80)
    together = SharedPredictor(real, batch_tokens=200).predict(asked)
    alone = [real.predict([text]) for text in asked]
    assert together.labels.tolist() == [int(one.labels[0]) for one in alone]
    np.testing.assert_allclose(
        together.probabilities, np.concatenate([one.probabilities for one in alone]), atol=1e-6
    )


def test_answers_are_the_same_bits_whatever_the_order(real) -> None:
    asked = texts(80)
    shuffled = random.Random(1).sample(range(80), 80)
    first = SharedPredictor(real).predict(asked)
    second = SharedPredictor(real).predict([asked[i] for i in shuffled])
    np.testing.assert_array_equal(second.probabilities, first.probabilities[shuffled])


def test_padding_stays_small_and_within_the_budget(real, monkeypatch) -> None:
    shapes = []
    forward = real._loaded.forward.model.forward

    def spy(input_ids, **rest):
        shapes.append(tuple(input_ids.shape))
        return forward(input_ids=input_ids, **rest)

    monkeypatch.setattr(real._loaded.forward.model, "forward", spy)
    predictor = SharedPredictor(real, batch_tokens=128)
    predictor.predict(texts(200))
    assert all(rows * longest <= 128 for rows, longest in shapes)
    statistics = predictor.statistics
    assert statistics.padding < 0.05 * statistics.tokens
    assert sum(rows * longest for rows, longest in shapes) == statistics.tokens + statistics.padding
