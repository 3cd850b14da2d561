"""Words that an explanation names against words that people marked."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest

from auditkit.metrics.plausibility import (
    chosen_words,
    expected_precision,
    iou_f1,
    marked_words,
    token_f1,
)


def flags(marks: str) -> np.ndarray:
    return np.array([mark == "x" for mark in marks])


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        ([(0, 3)], ["you"]),
        ([(0, 4)], ["you"]),
        ([(0, 5)], ["you"]),
        ([(1, 7)], ["you", "stupid"]),
        ([(2, 6)], []),
        ([(4, 7), (8, 9)], ["stupid"]),
        ([(10, 11)], ["!"]),
        ([(3, 4)], []),
        ([(0, 16)], ["you", "stupid", "!", "fool"]),
        ([(13, 14), (15, 16)], ["fool"]),
        ([], []),
    ],
)
def test_a_word_is_marked_when_half_of_it_is(spans, words):
    text = "you stupid! fool"
    from auditkit.attribution import words_of

    found = marked_words(text, spans)
    assert [text[a:b] for (a, b), mark in zip(words_of(text), found, strict=True) if mark] == words


def plain_precision(order: np.ndarray, marked: np.ndarray) -> float:
    hits = marked[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


TIED = [(0, 0, 0, 0, 0), (1, 1, 0, 0, 0), (2, 1, 1, 1, 0), (3, 1, 1, 2, 2)]


@pytest.mark.parametrize("weights", TIED)
@pytest.mark.parametrize("marks", ["x....", "..x.x", "xxxx.", "....x", "xxxxx"])
def test_average_precision_is_the_mean_over_all_ways_to_break_the_ties(weights, marks):
    values, marked = np.array(weights, dtype=float), flags(marks)
    by_order = [
        plain_precision(np.array(order), marked)
        for order in permutations(range(5))
        if all(values[a] >= values[b] for a, b in pairwise(order))
    ]
    assert expected_precision(values, marked) == pytest.approx(np.mean(by_order))


def test_average_precision_without_ties_is_that_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    for _ in range(20):
        weights, marked = rng.normal(size=30), rng.random(30) < 0.3
        expected = sklearn.average_precision_score(marked, weights)
        assert expected_precision(weights, marked) == pytest.approx(expected)


def test_as_many_words_are_chosen_as_the_share_says_and_ties_at_random():
    rng = np.random.default_rng(0)
    assert chosen_words(np.array([0.1, 5.0, -3.0, 2.0]), 0.5, rng).tolist() == [0, 1, 0, 1]
    assert chosen_words(np.array([0.1, 5.0]), 0.01, rng).sum() == 1
    drawn = sum(chosen_words(np.zeros(4), 0.25, rng) for _ in range(4000))
    assert np.abs(drawn - 1000).max() < 120


@pytest.mark.parametrize(
    ("chosen", "marked", "tokens", "runs"),
    [
        ("xx..", "xx..", 1.0, 1.0),
        ("..xx", "xx..", 0.0, 0.0),
        (".xx.", "xx..", 0.5, 0.0),
        ("xxx.", "xx..", 0.8, 1.0),
        ("x.x.", "x.x.", 1.0, 1.0),
        ("x...", "x.x.", 2 / 3, 2 / 3),
        ("xx.x", "xx..", 0.8, 2 / 3),
        ("xxxx", "x...", 0.4, 0.0),
        ("xx", "x.", 2 / 3, 1.0),
    ],
)
def test_words_and_runs_of_words_are_compared(chosen, marked, tokens, runs):
    assert token_f1(flags(chosen), flags(marked)) == pytest.approx(tokens)
    assert iou_f1(flags(chosen), flags(marked)) == pytest.approx(runs)
