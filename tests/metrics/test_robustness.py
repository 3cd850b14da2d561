"""Rates under attack: what is known, what is not, and what the bounds make of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditkit.finding import Measurement
from auditkit.metrics.robustness import Attacked, Sampled, attack_measurements, together
from auditkit.model import Predictions
from auditkit.stats.intervals import rate
from auditkit.stats.paired import mcnemar
from auditkit.testing import tiny_context, tiny_data

WRONG, HELD, BROKEN, UNKNOWN = range(4)


def measured(*attacks: list[int], least: int = 1, clusters: Any = None) -> dict[Any, Measurement]:
    codes = [np.array(one) for one in attacks]
    right = codes[0] != WRONG
    n = len(right)
    data = tiny_data(np.zeros(n, dtype=np.int64))
    context = tiny_context(data, Predictions(np.zeros(n, dtype=np.int64), None))
    sample = Sampled(tuple(map(str, range(n))), right, clusters, least)
    done = [
        Attacked(f"a{i}", one == BROKEN, one == UNKNOWN, {"x": n}, (3.0,) * n)
        for i, one in enumerate(codes)
    ]
    return {(m.name, m.slice): m for m in attack_measurements(context, sample, done)}


def test_rates_are_counted_over_the_right_rows():
    found = measured([WRONG] * 20 + [HELD] * 30 + [BROKEN] * 50)
    accuracy, success = found["accuracy_under_attack", "a0"], found["success_rate", "a0"]
    assert (accuracy.value, accuracy.n) == (0.3, 100)
    assert (success.value, success.n) == (0.625, 80)
    assert accuracy.bounds.claim == rate(30, 100, 0.05)
    assert success.bounds.claim == rate(50, 80, 0.05)
    drop = found["accuracy_drop", "a0"]
    assert drop.value == 0.5
    assert f"{mcnemar(50, 0):.2g}" in drop.note


def test_what_is_not_known_widens_the_bounds_on_both_sides():
    found = measured([HELD] * 60 + [BROKEN] * 30 + [UNKNOWN] * 10)
    bounds = found["accuracy_under_attack", "a0"].bounds.claim
    assert bounds.lower == rate(60, 100, 0.05).lower
    assert bounds.upper == rate(70, 100, 0.05).upper
    assert found["accuracy_under_attack", "a0"].value == pytest.approx(60 / 90)


def test_together_an_example_is_lost_when_any_attack_turns_it():
    first, second = [HELD, BROKEN, UNKNOWN, UNKNOWN], [BROKEN, HELD, BROKEN, HELD]
    arrays = [np.array(one) for one in (first, second)]
    both = together([Attacked("x", one == BROKEN, one == UNKNOWN, {}) for one in arrays])
    assert both.broken.tolist() == [True, True, True, False]
    assert both.unknown.tolist() == [False, False, False, True]


def test_one_attack_has_no_second_line_for_all_of_them():
    slices = {part for _, part in measured([HELD] * 5)}
    assert slices == {"a0"}
    assert {part for _, part in measured([HELD] * 5, [HELD] * 5)} == {
        "a0", "a1", "all attacks together",
    }  # fmt: skip


def test_nothing_known_is_undefined_not_zero():
    found = measured([UNKNOWN] * 60)
    assert found["accuracy_under_attack", "a0"].value is None
    assert found["accuracy_drop", "a0"].value is None


def test_few_examples_get_no_interval():
    found = measured([HELD] * 20, least=50)
    assert found["accuracy_under_attack", "a0"].bounds is None
    assert found["accuracy_under_attack", "a0"].least_n == 50


@given(
    st.lists(st.sampled_from([WRONG, HELD, BROKEN, UNKNOWN]), min_size=2, max_size=40),
    st.booleans(),
)
def test_every_value_lies_within_its_bounds(codes, clustered):
    clusters = np.arange(len(codes)) // 2 if clustered else None
    for (name, _), one in measured(codes, codes, clusters=clusters).items():
        if name in {"accuracy_under_attack", "success_rate"} and one.value is not None:
            claim, corrected = one.bounds.claim, one.bounds.corrected
            assert corrected.lower <= claim.lower <= one.value <= claim.upper <= corrected.upper
