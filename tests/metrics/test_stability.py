"""Words of a text and of the same text with noise find each other."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.attribution import words_of
from auditkit.metrics.attribution_pairs import alike
from auditkit.metrics.stability import aligned_words


def matched(before: str, after: str) -> list[tuple[str, str]]:
    ours, theirs = aligned_words(before, after)
    assert (np.diff(ours) > 0).all()
    assert (np.diff(theirs) > 0).all()
    first = [before[a:b] for a, b in words_of(before)]
    second = [after[a:b] for a, b in words_of(after)]
    return [(first[i], second[j]) for i, j in zip(ours, theirs, strict=True)]


@pytest.mark.parametrize(
    ("before", "after", "pairs"),
    [
        ("a fine film", "a fime film", "a=a fine=fime film=film"),
        ("A Fine film", "a fine FILM", "A=a Fine=fine film=FILM"),
        ("a fine film", "@user a fine film", "a=a fine=fine film=film"),
        ("do not go there", "don't go there", "go=go there=there"),
        ("we don't go , ever", "we do not go , evr", "we=we go=go ,=, ever=evr"),
        ("a fine film", "a fine film .", "a=a fine=fine film=film"),
        ("no no no", "no no no no", "no=no no=no no=no"),
        ("", "", ""),
        ("", "a", ""),
        ("😀 x", "x 😀 😀", ""),
    ],
)
def test_words_are_matched_by_position_or_by_their_neighbours(before, after, pairs):
    expected = [tuple(pair.split("=")) for pair in pairs.split()]
    found = matched(before, after)
    assert found == expected if expected or not before else len(found) <= 2


def test_a_long_text_is_matched_at_its_ends_at_least():
    middle = "no " * 3000
    found = matched(f"one two {middle}three", f"zero one two {middle}yes {middle}three")
    assert found[-1] == ("three", "three")


def test_too_few_words_have_no_order_and_no_top():
    assert alike(np.array([1.0, 2.0]), np.array([1.0, 2.0])).rank is None
    five, six = np.arange(1.0, 6.0), np.arange(1.0, 7.0)
    assert alike(five, five).top is None
    assert alike(five, five).rank == pytest.approx(1.0)
    assert alike(six, six).top == pytest.approx(1.0)
    assert alike(six, six).chance == pytest.approx(5 / 6)
    assert alike(six, np.zeros(6)).rank is None
    assert alike(np.zeros(6), np.zeros(6)).top is None
    assert alike(np.zeros(0), np.zeros(0)).rank is None


def test_the_top_is_that_of_the_largest_weights_whatever_their_sign():
    first = np.array([-6.0, 5, -4, 3, -2, 1, 0.5])
    assert alike(first, -first).top == pytest.approx(1.0)
    assert alike(first, -first).rank == pytest.approx(-1.0)


def test_the_order_of_words_that_weigh_next_to_nothing_counts_nowhere():
    rng = np.random.default_rng(0)
    first, second = (np.concatenate([[1.0, -0.8], rng.uniform(-0.03, 0.03, 11)]) for _ in range(2))
    assert alike(first, second).rank == pytest.approx(1.0)
    assert alike(first, second).top == pytest.approx(1.0)
    assert alike(first, second).chance == pytest.approx(2 / 13)
    second[5:9] = 0.2
    assert alike(first, second).rank < 0.9
    assert alike(first, second).top < 0.8
