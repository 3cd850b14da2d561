"""Rows that two models have answered, and what a measurement's slice means on them."""

from __future__ import annotations

import dataclasses

import numpy as np

from auditkit.metrics.answered_twice import Twice, Which, attribute_of, params_of
from auditkit.metrics.group_choice import GroupParams
from auditkit.model import Predictions
from auditkit.testing import tiny_data


def twice() -> Twice:
    data = tiny_data([0, 1, 1, 0], {"sex": ["f", "m", "f", None]}, clusters=[5, 5, 6, 7])
    before = Predictions(
        np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0, 1]])
    )
    after = Predictions(np.array([0, 1, 1, 0]), None)
    return Twice(data, before, after)


def test_some_rows_are_the_same_rows_of_data_and_of_both_answers():
    some = twice().rows(np.array([3, 1]))
    assert some.data.labels.tolist() == [0, 1]
    assert some.data.clusters.tolist() == [7, 5]
    assert some.data.groups["sex"].values() == [None, "m"]
    assert some.before.labels.tolist() == [1, 0]
    assert some.before.probabilities.tolist() == [[0, 1], [0.6, 0.4]]
    assert some.after.labels.tolist() == [0, 1]
    assert some.after.probabilities is None
    assert (dict(some.shifts), some.inside, some.chosen_apart) == ({}, None, False)


def test_no_row_is_taken_of_none():
    none = twice().rows(np.zeros(0, dtype=np.int64))
    assert (len(none.data), len(none.before), len(none.after)) == (0, 0, 0)


def which(slice: str, **params: object) -> Which:
    known = dataclasses.asdict(GroupParams(minimum_group_size=1))
    return Which("fairness.demographic-parity", "gap", slice, known | params)


def test_the_groups_compared_are_those_of_the_recorded_parameters():
    found = params_of(which("sex", attributes=["sex"], intersections=False, minimum_group_size=7))
    assert found == GroupParams(("sex",), intersections=False, minimum_group_size=7)
    assert params_of(which("sex", given="age")).given == "age"


def test_a_slice_is_the_attribute_of_its_name_or_none():
    data = twice().data
    assert attribute_of(which("sex"), data).levels == ("f", "m")
    assert attribute_of(which("age"), data) is None
    assert attribute_of(which(""), data) is None
