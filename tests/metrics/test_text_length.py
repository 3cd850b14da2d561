"""Bands of length, and the accuracy in them: hand-computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from auditkit.errors import NotApplicable
from auditkit.metrics.text_length import LengthParams, length_bands, length_measurements
from auditkit.testing import FakeModel, tiny_context, tiny_data


def of_lengths(*lengths: int):
    return replace(
        tiny_data(np.zeros(len(lengths))), inputs=tuple(" ".join(["word"] * n) for n in lengths)
    )


def test_bands_hold_about_equally_many_texts_and_are_named_by_their_ends():
    found = length_bands(of_lengths(1, 2, 3, 4, 5, 9), 3)
    assert found.levels == ("1 to 2 words", "3 to 4 words", "5 to 9 words")
    assert found.codes.tolist() == [0, 0, 1, 1, 2, 2]


def test_tied_lengths_make_fewer_bands_and_one_length_none():
    found = length_bands(of_lengths(2, 2, 2, 2, 2, 7), 5)
    assert found.levels == ("2 words", "3 to 7 words")
    assert found.sizes().tolist() == [5, 1]
    with pytest.raises(NotApplicable, match="same number of words"):
        length_bands(of_lengths(3, 3, 3), 5)
    with pytest.raises(NotApplicable, match="no texts"):
        length_bands(tiny_data([0, 1]), 5)


@pytest.mark.parametrize("params", [{"bands": 1}, {"bands": 21}, {"minimum_rows": 0}])
def test_impossible_parameters_are_refused(params):
    with pytest.raises(ValueError, match="must"):
        LengthParams(**params)


def test_the_gap_is_that_of_the_best_and_the_worst_band():
    # Of 4 short texts all are right, of 4 long ones a single one.
    data = replace(of_lengths(*[2] * 4, *[8] * 4), labels=np.array([0, 0, 0, 0, 1, 1, 1, 0]))
    model = FakeModel(lambda _: [0.9, 0.1])
    context = replace(tiny_context(data, model.predict(data.inputs)), predictor=model)
    (found,) = length_measurements(context, LengthParams(bands=2))
    assert found.value == 1.0 - 0.25
    assert found.note == "2 words against 3 to 8 words."
    assert [row.value for row in found.evidence[0].rows] == [1.0, 0.25]
