"""The weight of a part goes to the words it lies on, wherever they stand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditkit.attribution import Attribution, words_of


def test_a_part_shares_its_weight_equally_by_its_places_and_within_one_by_characters():
    attribution = Attribution(
        "lime", "ab cd ab", 1, (((0, 2), (6, 8)), ((1, 5),)), np.array([1.0, 4.0])
    )
    assert attribution.of_words(words_of(attribution.text)) == pytest.approx([1.5, 2.0, 0.5])


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6), st.floats(-1, 1)), max_size=6),
    st.lists(st.integers(0, 26), max_size=12, unique=True).map(sorted),
)
def test_spans_get_what_lies_on_them(parts, ends):
    text = "x" * 30
    features = tuple(((start, start + size),) for start, size, _ in parts)
    weights = np.array([weight for *_, weight in parts], dtype=float)
    wanted = list(zip(ends[::2], ends[1::2], strict=False))
    expected = [
        sum(
            weight * max(min(start + size, right) - max(start, left), 0) / size
            for start, size, weight in parts
        )
        for left, right in wanted
    ]
    found = Attribution("lime", text, 0, features, weights).of_words(wanted)
    assert found == pytest.approx(expected)
