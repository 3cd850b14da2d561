"""Texts and their contrasts: hand-computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from auditkit.check import Context
from auditkit.errors import NotApplicable
from auditkit.metrics.contrast import contrast_measurements, contrasts
from auditkit.model import Predictions
from auditkit.testing import shifted, tiny_context, tiny_data

PAIRS = ("a", "a", "b", "b", "b", None, "c")


def context(right: list[int], labels: list[int] | None = None, **data) -> Context:
    rows = tiny_data(labels or [0] * 7, **data)
    answers = np.where(np.array(right) == 1, rows.labels, 1 - rows.labels)
    return tiny_context(replace(rows, pairs=PAIRS), Predictions(answers, None))


def test_a_pair_and_a_triple_by_hand():
    # a: right, wrong. b: right, then one of two. The row without an id and the single c are out.
    found = contrasts(context([1, 0, 1, 1, 0, 1, 1]))
    assert found.first.tolist() == [True, True]
    assert found.others.tolist() == [0.0, 0.5]
    assert found.sizes.tolist() == [1, 2]
    assert found.consistent.tolist() == [False, False]
    drop, consistency = contrast_measurements(context([1, 0, 1, 1, 0, 1, 1]))
    assert (drop.value, drop.n) == (1.0 - 0.25, 2)
    assert (consistency.value, consistency.n) == (0.0, 2)
    _, whole = contrast_measurements(context([0, 1, 1, 1, 1, 0, 0]))
    assert whole.value == 0.5


def test_contrasts_of_another_class_are_counted_and_clusters_are_those_of_the_first():
    found = contrasts(context([1] * 7, [0, 1, 0, 0, 0, 0, 0], clusters=[3, 4, 5, 6, 7, 8, 9]))
    assert found.relabelled == 1
    assert found.clusters.tolist() == [3, 5]


def test_a_row_of_a_set_that_is_an_audited_row_is_no_contrast_of_itself():
    given = context([1] * 7)
    again = replace(given, shifts=shifted(given.data, far=np.array([0, 6])))
    assert contrasts(again).sizes.tolist() == [1, 2]
    with pytest.raises(NotApplicable, match="same pair id"):
        contrasts(replace(given, data=given.data.rows(np.array([0, 2, 6]))))
