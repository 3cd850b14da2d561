"""Groups compared pair by pair: hand-computed."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.check import Confidence
from auditkit.finding import Interval
from auditkit.metrics.group_pairs import (
    VACUOUS,
    Groups,
    GroupValue,
    Levels,
    Said,
    count_comparisons,
    gaps,
    largest,
    members,
    units_of,
)
from auditkit.testing import tiny_data

DATA = tiny_data(np.zeros(6), {"g": ["a", "a", "b", "b", "c", None]}, clusters=[1, 1, 2, 3, 4, 5])
ATTRIBUTE = DATA.groups["g"]


def value(centre: float) -> GroupValue:
    near = Interval(centre - 0.03, centre + 0.04)
    return GroupValue(centre, 2, near, Interval(centre - 0.06, centre + 0.08), near)


def test_levels_share_the_error_among_comparisons_and_limits():
    assert Levels.of(Confidence(0.95, 4), 5) == pytest.approx((0.05, 0.05 / 20))
    bounds = Levels(0.05, 0.01).bounds(lambda alpha: Interval(0.0, alpha), "how", 3)
    assert (bounds.claim.upper, bounds.corrected.upper) == (0.05, 0.01)
    assert (bounds.method, bounds.comparisons) == ("how", 3)


def test_rows_and_independent_units_of_each_group():
    groups = Groups.of(ATTRIBUTE, DATA, 2)
    assert [rows.tolist() for rows in groups.rows] == [[0, 1], [2, 3], [4]]
    assert groups.units.tolist() == [1, 2, 1]
    assert groups.small == {0, 2}
    assert groups.pairs() == [(0, 1), (0, 2), (1, 2)]
    assert groups.said()[0] == "Too few rows for a pass: a (1), c (1)."
    assert units_of(tiny_data([0, 0]), np.arange(2)) == 2
    assert members(DATA, np.array([3, 5])).tolist() == [3, 5]
    assert members(tiny_data([0, 0]), np.arange(2)) is None
    assert count_comparisons([ATTRIBUTE], 2) == 12


def test_independent_groups_differ_by_root_of_squares_and_dependent_ones_by_the_sum():
    groups = Groups.of(ATTRIBUTE, DATA, 1)
    values = [value(0.6), value(0.5), value(0.2)]
    apart = gaps(groups, values, "", dependent=False)[0].comparison
    assert apart.value == pytest.approx(0.1)
    assert apart.claim.upper == pytest.approx(0.1 + np.hypot(0.04, 0.03))
    tied = gaps(groups, values, "", dependent=True)[0].comparison
    assert tied.claim.upper == pytest.approx(0.1 + 0.04 + 0.03)
    assert tied.corrected.lower == pytest.approx(0.1 - 0.06 - 0.08)


def test_nothing_is_claimed_of_a_small_group_and_the_widest_pair_is_named():
    groups = Groups.of(ATTRIBUTE, DATA, 2)
    pairs = gaps(groups, [value(0.6), value(0.5), value(0.2)], "", dependent=False)
    assert pairs[0].comparison.claim == VACUOUS
    found = largest(groups, pairs, Said("gap", "how", 6))
    assert found.value == pytest.approx(0.4)
    assert found.note == "Widest between a and c."
    assert (found.n, found.slice) == (5, "g")
    undefined = GroupValue(None, 0, VACUOUS, VACUOUS, VACUOUS)
    (nothing, *_) = gaps(groups, [undefined, value(0.5), value(0.2)], "", dependent=False)
    assert nothing.comparison == (None, VACUOUS, VACUOUS)
