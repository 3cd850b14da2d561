"""Charts put values where they belong."""

from __future__ import annotations

import math

import pytest

from auditkit.finding import Curve, Estimate, Estimates, Finding, Interval, Outcome
from auditkit.judge import Direction
from auditkit.render import charts
from auditkit.render.svg import Scale, scale_around
from tests.render.conftest import finding, measured

EDGES = [
    0.0,
    -0.0,
    1.0,
    1e-300,
    -1e-300,
    5e-324,
    1e300,
    -1e300,
    1.7e308,
    -1.7e308,
    0.1 + 0.2,
    1e15 + 1,
]


def drawn(
    value: float | None,
    ends: tuple[float | None, float | None],
    limit: float | None,
    direction: Direction,
) -> Finding:
    note = "" if value is not None else "undefined"
    return finding(
        "a.b",
        "t",
        measured("gap", value, 9, note=note),
        limit=limit,
        direction=direction,
        interval=ends,
    )


@pytest.mark.parametrize("low", EDGES)
@pytest.mark.parametrize("high", EDGES)
def test_a_scale_holds_its_values_for_any_floats(low: float, high: float) -> None:
    scale = scale_around((low, high, None))
    assert math.isfinite(scale.lowest)
    assert math.isfinite(scale.highest)
    assert 0 <= scale.at(low) <= 100
    assert (scale.at(low) <= scale.at(high)) == (low <= high) or scale.at(low) == scale.at(high)
    ticks = scale.ticks()
    assert len(ticks) <= 51
    assert all(0 <= tick.at <= 100 for tick in ticks)


def test_ticks_are_round_and_have_labels_of_their_own() -> None:
    assert [t.label for t in Scale(0, 0.25).ticks()] == ["0", "0.05", "0.1", "0.15", "0.2", "0.25"]
    labels = [t.label for t in Scale(0.99991, 0.99995).ticks()]
    assert len(set(labels)) == len(labels) > 2


def test_scales_of_shares_stay_between_0_and_1() -> None:
    assert scale_around((0.01, 0.2)).lowest == 0
    assert scale_around((0.7, 0.99)).highest == 1
    assert scale_around(()) == scale_around((0.0, 1.0))


@pytest.mark.parametrize(
    ("ends", "limit", "direction", "outcome"),
    [
        ((0.02, 0.08), 0.1, "max", Outcome.PASS),
        ((0.02, 0.1), 0.1, "max", Outcome.PASS),
        ((0.12, 0.2), 0.1, "max", Outcome.FAIL),
        ((0.05, 0.2), 0.1, "max", Outcome.INCONCLUSIVE),
        ((None, 0.08), 0.1, "max", Outcome.PASS),
        ((0.12, None), 0.1, "max", Outcome.FAIL),
        ((None, None), 0.1, "max", Outcome.INCONCLUSIVE),
        ((0.85, 0.9), 0.8, "min", Outcome.PASS),
        ((0.6, 0.7), 0.8, "min", Outcome.FAIL),
        ((0.75, 0.85), 0.8, "min", Outcome.INCONCLUSIVE),
        ((0.85, None), 0.8, "min", Outcome.PASS),
        ((None, 0.7), 0.8, "min", Outcome.FAIL),
        ((-5.0, -2.0), -1.0, "max", Outcome.PASS),
        ((2e6, 3e6), 1e6, "max", Outcome.FAIL),
    ],
)
def test_one_sees_inside_outside_and_across(
    ends: tuple[float | None, float | None], limit: float, direction: Direction, outcome: Outcome
) -> None:
    value = next((end for end in ends if end is not None), limit)
    subject = drawn(value, ends, limit, direction)
    assert subject.outcome is outcome
    chart, strip = charts.interval_chart(subject), charts.strip(subject)
    assert chart is not None
    assert strip is not None
    assert chart.limit is not None
    assert chart.whisker is not None
    assert chart.shape == strip.shape == outcome.value
    for whisker, left, width in (
        (chart.whisker, chart.limit.allowed_left, chart.limit.allowed_width),
        (strip.whisker, strip.allowed_left, 50.0),
    ):
        right = left + width
        inside = left <= whisker.left and whisker.right <= right + 0.01
        outside = whisker.left >= right or whisker.right <= left
        assert (inside, outside) == {
            Outcome.PASS: (True, False),
            Outcome.FAIL: (False, True),
            Outcome.INCONCLUSIVE: (False, False),
        }[outcome]
        assert (whisker.open_left, whisker.open_right) == (ends[0] is None, ends[1] is None)
        assert 0 <= whisker.left <= whisker.right <= 100
    assert outcome.value in chart.words


def test_a_number_without_an_interval_is_a_dot_and_nothing_is_nothing() -> None:
    alone = finding("a.b", "t", measured("gap", 0.3, 9), limit=0.5, direction="max")
    chart = charts.interval_chart(alone)
    assert chart is not None
    assert chart.whisker is not None
    assert chart.whisker.width == 0
    assert charts.strip(alone) is None
    none = finding("a.b", "t", measured("gap", None, 9, note="no rows"), limit=0.5, direction="max")
    assert charts.interval_chart(none) is None


def test_estimates_share_one_scale_with_their_reference() -> None:
    rows = (
        Estimate("a", 10, 0.2, Interval(0.1, 0.3)),
        Estimate("b", 0, None, None),
        Estimate("c", 10, 0.8, Interval(0.7, None)),
    )
    chart = charts.estimates_chart(Estimates("t", rows, 0.95, "Wilson", 0.5, "all"), rows)
    first, none, last = chart.whiskers
    assert first is not None
    assert last is not None
    assert none is None
    assert chart.reference is not None
    assert first.right < chart.reference < last.left
    assert last.open_right
    assert chart.reference_label == "all 0.5"


def test_a_curve_runs_upwards_and_sizes_its_points_by_area() -> None:
    chart = charts.curve_chart(
        Curve("t", "x", "y", (0.0, 1.0), (0.0, 1.0), (1, 100), diagonal=True), 2
    )
    low, high = chart.points
    assert low.y > high.y
    assert low.r < high.r
    assert chart.diagonal is not None
    assert len(chart.segments) == 1


def test_an_empty_curve_has_no_points() -> None:
    assert charts.curve_chart(Curve("t", "x", "y", (), (), ()), 0).points == ()
