"""Which repaired model the validation rows choose, and which are on the frontier."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.comparison import Change, Comparison, Side
from auditkit.data import AuditData
from auditkit.finding import Bounds, Interval, Measurement
from auditkit.model import Predictions
from auditkit.remedy_choice import (
    Standing,
    Target,
    choose_remedy,
    standing,
    target_of,
    undominated,
)

GAP = Target("fairness.equalized-odds", "gap", "gender", "max", 0.1)


def at(accuracy: float, value: float | None) -> Standing:
    return Standing(accuracy, Interval(accuracy, accuracy), value, None, 100)


BEFORE = at(0.9, 0.3)


@pytest.mark.parametrize(
    ("models", "chosen"),
    [
        ({"a": at(0.88, 0.05), "b": at(0.89, 0.09), "c": at(0.95, 0.2)}, "b"),  # within, then best
        ({"a": at(0.80, 0.15), "c": at(0.95, 0.2)}, "a"),  # none within: the smallest gap
        ({"a": at(0.99, 0.3), "b": at(0.99, 0.4)}, None),  # none improves
        ({"a": at(0.88, 0.08), "b": at(0.88, 0.04)}, "b"),  # equally accurate: the smaller gap
        ({"a": at(0.88, 0.04), "b": at(0.88, 0.04)}, "a"),  # alike: the first
        ({"a": at(0.99, None), "b": None}, None),
        ({"a": at(0.99, None), "b": at(0.5, 0.1)}, "b"),  # the limit itself is allowed
    ],
)
def test_the_most_accurate_of_those_within_the_limit(models, chosen):
    assert choose_remedy(GAP, BEFORE, [*models.items()]).remedy == chosen


def test_a_ratio_is_better_when_it_is_larger():
    ratio = Target("fairness.impact-ratio", "ratio", "gender", "min", 0.8)
    models = [("low", at(0.95, 0.85)), ("worse", at(0.99, 0.5)), ("high", at(0.9, 0.9))]
    assert choose_remedy(ratio, at(0.9, 0.6), models).remedy == "low"


def test_without_a_limit_every_improvement_is_allowed():
    free = Target("a.b", "gap", "", "max", None)
    models = [("a", at(0.91, 0.29)), ("b", at(0.9, 0.01))]
    assert choose_remedy(free, BEFORE, models).remedy == "a"


def test_the_model_must_be_measurable_before():
    found = choose_remedy(GAP, at(0.9, None), [("a", at(0.9, 0.1))])
    assert found.remedy is None
    assert "undefined" in found.reason


def test_the_frontier_by_hand():
    accuracy, cost = [0.9, 0.8, 0.7, 0.85, 0.9, 0.6], [0.3, 0.1, 0.1, 0.2, 0.3, 0.05]
    assert undominated(accuracy, cost) == [True, True, False, True, True, True]


def test_no_point_of_the_frontier_is_dominated_and_every_other_is():
    rng = np.random.default_rng(0)
    for _ in range(50):
        accuracy, cost = np.round(rng.random(12), 1), np.round(rng.random(12), 1)
        found = undominated(accuracy.tolist(), cost.tolist())
        for i in range(12):
            better = [
                j
                for j in range(12)
                if accuracy[j] >= accuracy[i]
                and cost[j] <= cost[i]
                and (accuracy[j], cost[j]) != (accuracy[i], cost[i])
            ]
            assert found[i] == (not better)


def change(check: str, outcome: str, *, meant: bool = True, interval: bool = True) -> Change:
    side = Side(0.2, None, outcome, 100)
    return Change(check, "gap", "gender", "max", 0.1, side, side, "no difference shown",
                  interval=Interval(-0.1, 0.1) if interval else None, meant=meant)  # fmt: skip


def of(*changes: Change, improves: tuple[str, ...] = ("f",)) -> tuple[tuple[str, ...], Comparison]:
    return improves, Comparison(changes, 0.95, len(changes), 0, 0, 0, None)


def test_the_target_is_what_did_not_pass_and_stands_first():
    fails, open_ = change("f.a", "fail"), change("f.b", "inconclusive")
    assert target_of([of(fails, open_, improves=("f.b", "f.a"))]).check == "f.b"
    assert target_of([of(fails, open_, improves=("f.a", "f.b"))]).check == "f.a"
    passed = change("f.c", "pass")
    assert target_of([of(passed, fails, improves=("f.c", "f.a"))]).check == "f.a"


def test_the_target_is_what_failed_and_most_remedies_are_for():
    passed, failed = change("f.a", "pass"), change("f.b", "fail")
    other, unpaired = change("f.c", "fail"), change("f.d", "fail", interval=False)
    assert target_of([of(passed, failed)]).check == "f.b"
    assert target_of([of(passed, unpaired, failed, other)]).check == "f.b"
    assert target_of([of(failed, other), of(other)]).check == "f.c"
    assert target_of([of(change("f.e", "fail", meant=False))]) is None


def test_where_a_model_stands_has_bounds_that_respect_clusters():
    labels = np.array([0, 1] * 50)
    answers = Predictions(np.where(np.arange(100) < 80, labels, 1 - labels), None)
    data = AuditData(tuple(map(str, range(100))), labels, ("n", "p"))
    clustered = AuditData(data.inputs, labels, ("n", "p"), clusters=np.arange(100) // 20)
    bounds = Bounds(Interval(0.0, 0.2), Interval(0.0, 0.3), "by hand")
    one = standing(data, answers, Measurement("gap", 0.1, 100, bounds), 0.05)
    other = standing(clustered, answers, None, 0.05)
    assert (one.accuracy, one.value, one.interval, one.n) == (0.8, 0.1, Interval(0.0, 0.2), 100)
    assert (other.value, other.interval) == (None, None)
    width = [s.accuracy_interval.upper - s.accuracy_interval.lower for s in (one, other)]
    assert width[1] > 2 * width[0]
    assert standing(AuditData((), None, ("n", "p")), answers, None, 0.05) is None
