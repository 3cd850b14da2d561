"""Verdicts are read from intervals, never from point estimates."""

from __future__ import annotations

import pytest

from auditkit.finding import Bounds, Interval, Measurement, Outcome
from auditkit.judge import judge


def measured(
    value: float | None, claim: tuple[float, float], corrected: tuple[float, float]
) -> Measurement:
    bounds = Bounds(Interval(*claim), Interval(*corrected), "test")
    return Measurement("gap", value, 100, bounds, note="no positives" if value is None else "")


@pytest.mark.parametrize(
    ("claim", "corrected", "limit", "direction", "outcome"),
    [
        ((0.01, 0.09), (0.0, 0.12), 0.10, "max", Outcome.PASS),
        ((0.01, 0.10), (0.0, 0.12), 0.10, "max", Outcome.PASS),
        ((0.01, 0.1001), (0.0, 0.12), 0.10, "max", Outcome.INCONCLUSIVE),
        ((0.12, 0.20), (0.11, 0.22), 0.10, "max", Outcome.FAIL),
        # Outside at the claim level, but not after correction: nothing may be claimed.
        ((0.12, 0.20), (0.09, 0.22), 0.10, "max", Outcome.INCONCLUSIVE),
        ((0.12, 0.20), (0.10, 0.22), 0.10, "max", Outcome.INCONCLUSIVE),
        ((0.81, 0.95), (0.78, 0.97), 0.80, "min", Outcome.PASS),
        ((0.80, 0.95), (0.78, 0.97), 0.80, "min", Outcome.PASS),
        ((0.60, 0.75), (0.58, 0.79), 0.80, "min", Outcome.FAIL),
        ((0.60, 0.75), (0.58, 0.81), 0.80, "min", Outcome.INCONCLUSIVE),
    ],
)
def test_the_outcome_is_where_the_interval_lies(claim, corrected, limit, direction, outcome):
    verdict = judge(measured(sum(claim) / 2, claim, corrected), limit, direction)
    assert verdict.outcome is outcome


def test_a_point_estimate_inside_the_limit_does_not_pass_alone():
    verdict = judge(measured(0.05, (0.0, 0.3), (0.0, 0.4)), 0.1, "max")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.needed_n == 2500  # the bound is 0.25 away, the limit 0.05: 5 squared times n


def test_the_rows_needed_to_fail_come_from_the_corrected_bound():
    verdict = judge(measured(0.2, (0.05, 0.35), (0.0, 0.4)), 0.1, "max")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.needed_n == 400
    assert "400 rows" in verdict.message


def test_the_rows_needed_bring_every_group_to_its_minimum():
    bounds = Bounds(Interval(0.05, 0.35), Interval(0.0, 0.4), "test")
    verdict = judge(Measurement("gap", 0.2, 100, bounds, least_n=900), 0.1, "max")
    assert verdict.needed_n == 900


def test_an_undefined_measurement_is_inconclusive_and_says_why():
    verdict = judge(measured(None, (0.0, 1.0), (0.0, 1.0)), 0.1, "max")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "no positives" in verdict.message


def test_a_number_without_an_interval_decides_nothing():
    verdict = judge(Measurement("gap", 0.0, 10, None), 0.1, "max")
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_without_a_limit_the_number_is_only_reported():
    verdict = judge(measured(0.9, (0.8, 1.0), (0.7, 1.0)), None, "max")
    assert verdict.outcome is Outcome.NOT_APPLICABLE
    assert "no limit" in verdict.message


@pytest.mark.parametrize("direction", ["max", "min"])
def test_an_open_end_never_decides(direction):
    bounds = Bounds(Interval(None, None), Interval(None, None), "test")
    verdict = judge(Measurement("gap", 0.5, 10, bounds), 0.1, direction)
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_not_a_number_cannot_be_a_measurement_or_a_bound():
    with pytest.raises(ValueError, match="finite"):
        Measurement("gap", float("nan"), 10, None)
    with pytest.raises(ValueError, match="finite"):
        Interval(0.0, float("inf"))
    with pytest.raises(ValueError, match="upside down"):
        Interval(1.0, 0.0)


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ((0.02, 0.08), "about 128,000 rows like these would decide"),
        ((0.02, 0.3), "more rows would not decide"),
        ((0.2, 0.3), "about 2,000 rows like these would decide"),
    ],
)
def test_no_number_of_rows_decides_a_limit_inside_the_region(region, said):
    bounds = Bounds(Interval(0.0, 0.4), Interval(0.0, 0.5), "method")
    verdict = judge(Measurement("gap", 0.05, 500, bounds, region=Interval(*region)), 0.1, "max")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert said in verdict.message
