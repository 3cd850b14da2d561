"""Edit distance against the textbook's table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditkit.metrics.edits import edit_distance, similarity


def by_table(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        above, row = row, [i]
        for j, b in enumerate(second, start=1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (a != b)))
    return row[-1]


@given(st.text("abcd", max_size=80), st.text("abcd", max_size=80))
def test_the_distance_is_that_of_the_table(first, second):
    assert edit_distance(first, second) == by_table(first, second)


def test_words_are_items_too():
    assert edit_distance(["a", "good", "film"], ["a", "very", "good", "film"]) == 1


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [("", "", 1.0), ("abc", "abc", 1.0), ("abc", "xyz", 0.0), ("ab", "abcd", 0.5), ("", "a", 0.0)],
)
def test_similarity_is_a_share_of_the_longer_one(first, second, alike):
    assert similarity(first, second) == pytest.approx(alike)
