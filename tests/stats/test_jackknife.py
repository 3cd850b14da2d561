"""The delete-a-group jackknife."""

import numpy as np
import pytest

from auditkit.finding import Interval
from auditkit.stats.intervals import mean_interval
from auditkit.stats.jackknife import delete_group_jackknife, jackknife


def test_of_a_mean_with_a_group_per_row_it_is_the_t_interval():
    values = np.random.default_rng(0).random(40)
    interval = delete_group_jackknife(
        lambda rows: values[rows].mean(), 40, 40, np.random.default_rng(1), 0.025
    )
    expected = mean_interval(values, 0.025)
    assert interval.lower == pytest.approx(expected.lower, abs=1e-12)
    assert interval.upper == pytest.approx(expected.upper, abs=1e-12)


def test_it_calls_the_statistic_once_per_group_and_once_for_all():
    sizes = []
    jackknife(
        lambda rows: sizes.append(rows.size) or rows.mean(), 103, 20, np.random.default_rng(0)
    )
    assert sizes[0] == 103
    assert len(sizes) == 21
    assert set(sizes[1:]) == {97, 98}


def test_fewer_rows_than_groups_leave_one_out():
    assert jackknife(lambda rows: rows.mean(), 5, 20, np.random.default_rng(0)).groups == 5


def test_a_statistic_that_never_changes_has_no_bounds():
    interval = delete_group_jackknife(lambda rows: 1.0, 50, 10, np.random.default_rng(0), 0.05)
    assert interval == Interval(None, None)


def test_an_undefined_statistic_has_no_value():
    result = jackknife(lambda rows: float("nan"), 50, 10, np.random.default_rng(0))
    assert result.value is None
    assert result.interval(0.05) == Interval(None, None)


@pytest.mark.parametrize(("n", "groups"), [(1, 10), (10, 1)])
def test_too_little_to_split_is_refused(n, groups):
    with pytest.raises(ValueError, match="two"):
        jackknife(lambda rows: 0.0, n, groups, np.random.default_rng(0))
