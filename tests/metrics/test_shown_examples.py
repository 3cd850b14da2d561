"""Which examples a report shows is a rule: the surest errors, the median, and every group."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditkit.attribution import Attribution
from auditkit.data import Attribute
from auditkit.metrics.shown_examples import examples_to_show, heat_map, scores_of

SCORES = np.array([0.9, 0.6, 0.99, 0.7, 0.8, 0.95, 0.55])
RIGHT = np.array([True, False, True, False, True, False, True])


def test_the_surest_errors_come_first_and_then_the_median():
    chosen = examples_to_show(SCORES, RIGHT, None, 4)
    assert chosen == [
        (5, "surest error"),
        (3, "surest error, number 2"),
        (4, "median of the answers by their probability"),
        (1, "surest error, number 3"),
    ]


def test_every_group_that_has_no_example_yet_gets_its_surest_error():
    group = Attribute.from_values("sex", ["m", "f", "m", "m", "m", "m", "m"])
    chosen = examples_to_show(SCORES, RIGHT, {"sex": group}, 4)
    assert chosen[-1] == (1, "surest error with sex = f")


def test_a_group_without_errors_is_shown_by_its_surest_answer():
    group = Attribute.from_values("sex", ["f", "m", "f", "m", "m", "m", None])
    chosen = examples_to_show(SCORES, RIGHT, {"sex": group}, 4)
    assert chosen[-1] == (2, "surest answer with sex = f")


def test_where_all_is_right_the_surest_answers_fill_the_places():
    chosen = examples_to_show(SCORES, np.ones(7, dtype=bool), None, 3)
    assert [one.position for one in chosen] == [4, 2, 5]
    assert {one.why.partition(",")[0] for one in chosen[1:]} == {"surest answer"}


def test_without_labels_the_least_sure_answers_stand_for_the_errors():
    chosen = examples_to_show(SCORES, None, None, 4)
    assert [one.position for one in chosen] == [6, 1, 4, 2]
    assert not any("error" in one.why for one in chosen)


@pytest.mark.parametrize("show", [0, -1])
def test_nothing_is_shown_when_nothing_is_wanted(show):
    assert examples_to_show(SCORES, RIGHT, None, show) == []
    assert examples_to_show(SCORES[:0], RIGHT[:0], None, 5) == []


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.sampled_from("abc")), max_size=12),
    st.integers(0, 15),
    st.booleans(),
)
def test_as_many_as_there_are_and_none_twice(rows, show, labelled):
    scores = np.array([score for score, _, _ in rows])
    right = np.array([one for _, one, _ in rows], dtype=bool) if labelled else None
    groups = {"g": Attribute.from_values("g", [group for _, _, group in rows])}
    chosen = [one.position for one in examples_to_show(scores, right, groups, show)]
    assert len(chosen) == len(set(chosen)) == min(len(rows), show)


def test_a_heat_map_scores_the_words_of_the_text():
    features = (((0, 1), (7, 8)), ((2, 6),))
    attribution = Attribution("lime", "a good a", 1, features, np.array([0.4, -0.3]), note="cut")
    scores = scores_of(attribution, "positive")
    assert scores.spans == ((0, 1), (2, 6), (7, 8))
    assert scores.scores == pytest.approx((0.2, -0.3, 0.2))
    assert (scores.by, scores.of, scores.note) == ("lime", "positive", "cut")
    assert heat_map("said", [attribution], "positive").scores == (scores,)


def test_nothing_explained_is_no_score():
    attribution = Attribution("lime", "  ", 0, (), np.zeros(0), note="nothing to explain")
    assert scores_of(attribution, "negative").spans == ()
