"""What becomes of a score as words go: by hand on a model that counts."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.attribution import words_of
from auditkit.metrics.removal import Grid, Ordered, order_of, removal_scores
from auditkit.predictor import SharedPredictor
from auditkit.testing import FakeModel

WORTH = {"a": 0.4, "b": 0.3, "c": 0.1, "d": 0.0}
GRID = Grid((0.25, 0.5), 4)


def predictor() -> SharedPredictor:
    def answer(text: str) -> list[float]:
        score = 0.1 + sum(WORTH[word] for word in text.split())
        return [1 - score, score]

    return SharedPredictor(FakeModel(answer))


def scored(*orders, label: int = 1, text: str = "a b c d"):
    texts = [Ordered(text, label, words_of(text), np.array(order)) for order in orders]
    return removal_scores(predictor(), texts, GRID)


def test_the_scores_are_those_of_the_papers():
    best = scored([0, 1, 2, 3])
    comprehensiveness, sufficiency, deletion, insertion = best.scores[0]
    assert best.deletion[0] == pytest.approx([0.9, 0.5, 0.2, 0.1, 0.1])
    assert best.insertion[0] == pytest.approx([0.1, 0.5, 0.8, 0.9, 0.9])
    assert comprehensiveness == pytest.approx((0.4 + 0.7) / 2)
    assert sufficiency == pytest.approx((0.4 + 0.1) / 2)
    assert deletion == pytest.approx((0.7 + 0.35 + 0.15 + 0.1) / 4)
    assert insertion == pytest.approx((0.3 + 0.65 + 0.85 + 0.9) / 4)


def test_the_class_that_is_explained_is_followed():
    one, other = scored([3, 1, 0, 2]), scored([3, 1, 0, 2], label=0)
    assert other.deletion[0] == pytest.approx(1 - one.deletion[0])
    assert other.scores[0, :2] == pytest.approx(-one.scores[0, :2])


def test_texts_asked_together_are_followed_each_by_itself():
    orders = [np.random.default_rng(seed).permutation(4) for seed in range(7)]
    together = scored(*orders)
    assert together.scores == pytest.approx(np.concatenate([scored(one).scores for one in orders]))
    assert scored().scores.shape == (0, 4)
    assert scored().deletion.shape == (0, 5)


@pytest.mark.parametrize(
    ("words", "counts"), [(1, [0, 1]), (2, [0, 1, 2]), (3, [0, 1, 2, 3]), (8, [0, 2, 4, 6, 8])]
)
def test_few_words_are_taken_out_one_by_one(words, counts):
    assert GRID.counts(words) == counts


def test_fractions_are_rounded_up_but_not_by_a_rounding_error():
    grid = Grid((0.05, 0.1, 0.2, 0.5), 10)
    assert grid.of_fractions(30) == [2, 3, 6, 15]
    assert grid.of_fractions(1) == grid.of_fractions(2) == [1, 1, 1, 1]
    for words in (1, 2, 7, 30, 500, 5000):
        counts = grid.counts(words)
        assert 2 * len(counts) <= grid.most_texts
        assert (counts[0], counts[-1]) == (0, words)


def test_equal_weights_stand_in_random_order_and_others_in_theirs():
    weights = np.array([0.0, 2.0, 0.0, -1.0, 0.0])
    orders = [order_of(weights, np.random.default_rng(seed)).tolist() for seed in range(50)]
    assert {order[0] for order in orders} == {1}
    assert {order[-1] for order in orders} == {3}
    assert len({tuple(order) for order in orders}) == 6
