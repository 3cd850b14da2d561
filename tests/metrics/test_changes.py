"""Measurements recomputed for two models: as the checks measure them, with changes that hold."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from auditkit.data import AuditData
from auditkit.metrics.answered_twice import Twice, Which
from auditkit.metrics.changes import KNOWN, recompute
from auditkit.model import Predictions
from auditkit.registry import load_registry
from auditkit.testing import findings_of, tiny_data

CHECKS = load_registry().checks
OF_ROWS = {which for which in KNOWN if not which[0].startswith("ood.")}
"""The others need sets out of distribution, or texts; see `test_shifted.py`."""


def simulated(
    hit: dict[str, float], rows: int = 900, seed: int = 0, classes: int = 2, timid: float = 1.0
) -> tuple[AuditData, Predictions]:
    """Rows of two attributes; each group is answered rightly at its rate, and about as sure."""
    rng = np.random.default_rng(0)
    groups = rng.choice(list(hit), rows).tolist()
    regions = rng.choice(["north", "south"], rows).tolist()
    labels = rng.integers(0, classes, rows)
    own = np.random.default_rng([1, seed])
    right = rng.random(rows) < np.array([hit[group] for group in groups])
    predicted = np.where(right, labels, (labels + 1) % classes)
    sure = timid * own.uniform(0.7, 0.95, rows)
    scores = np.full((rows, classes), ((1 - sure) / (classes - 1))[:, None])
    scores[np.arange(rows), predicted] = sure
    clusters = rng.integers(0, rows // 3, rows)
    data = tiny_data(labels, {"group": groups, "region": regions}, classes, clusters)
    return data, Predictions.from_probabilities(scores)


UNFAIR, FAIR = {"a": 0.92, "b": 0.70}, {"a": 0.92, "b": 0.91}


def both(classes: int = 2, clustered: bool = False) -> Twice:
    data, before = simulated(UNFAIR, classes=classes)
    _, after = simulated(FAIR, seed=1, classes=classes)
    return Twice(data if clustered else dataclasses.replace(data, clusters=None), before, after)


def params_of(check: str, **chosen: Any) -> Any:
    return CHECKS[check].params(**chosen)


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    ("check", "chosen"),
    [
        *((check, {}) for check in sorted({check for check, _ in OF_ROWS})),
        ("quality.metric", {"metric": "mcc"}),
        ("quality.metric", {"metric": "f1"}),
        ("quality.group-quality", {"metric": "balanced-accuracy"}),
        ("fairness.equalized-odds", {"attributes": ("region",), "intersections": False}),
    ],
)
def test_every_measurement_is_recomputed_to_what_the_check_says(check, chosen, classes, clustered):
    twice, params = both(classes, clustered), params_of(check, **chosen)
    first = findings_of(CHECKS[check], twice.data, twice.before, params)
    second = findings_of(CHECKS[check], twice.data, twice.after, params)
    compared = 0
    for one, other in zip(first, second, strict=True):
        measured, again = one.measurement, other.measurement
        which = Which(check, measured.name, measured.slice, dataclasses.asdict(params))
        found = recompute(which, twice, 0.025, np.random.default_rng(0))
        assert found is not None
        assert found.before == pytest.approx(measured.value, abs=1e-9)
        assert found.after == pytest.approx(again.value, abs=1e-9)
        assert found.interval.holds(again.value - measured.value)
        compared += 1
    assert compared


def change(check: str, name: str, slice: str, twice: Twice, **chosen: Any) -> Any:
    which = Which(check, name, slice, dataclasses.asdict(params_of(check, **chosen)))
    return recompute(which, twice, 0.025, np.random.default_rng(0)).interval


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize(
    ("check", "name", "sign"),
    [
        ("fairness.equalized-odds", "gap", -1),
        ("fairness.predictive-parity", "gap", -1),
        ("fairness.subgroup-auc", "drop", -1),
        ("fairness.worst-slice", "gap", -1),
        ("quality.group-quality", "gap", -1),
        ("quality.group-quality", "worst", 1),
    ],
)
def test_a_repair_of_the_disadvantaged_group_is_shown(check, name, sign, clustered):
    found = change(check, name, "group", both(clustered=clustered))
    assert sign * (found.lower if sign > 0 else found.upper) > 0


@pytest.mark.parametrize(("check", "name"), sorted(OF_ROWS))
def test_the_same_answers_twice_show_no_difference(check, name):
    data, answers = simulated(UNFAIR)
    twice = Twice(dataclasses.replace(data, clusters=None), answers, answers)
    slice = "group" if check.startswith("fairness") or "group" in check else ""
    assert change(check, name, slice, twice).holds(0.0)


def test_a_change_elsewhere_is_not_taken_for_one_of_the_gap():
    data, before = simulated({"a": 0.9, "b": 0.7})
    _, after = simulated({"a": 0.8, "b": 0.6}, seed=1)
    twice = Twice(dataclasses.replace(data, clusters=None), before, after)
    assert change("fairness.equalized-odds", "gap", "group", twice).holds(0.0)
    assert change("quality.metric", "value", "", twice).upper < 0


def test_probabilities_tempered_after_training_show_in_the_calibration_only():
    data, before = simulated({"a": 0.85, "b": 0.85})
    _, after = simulated({"a": 0.85, "b": 0.85}, timid=0.75)
    twice = Twice(dataclasses.replace(data, clusters=None), before, after)
    assert change("quality.calibration", "calibration_error", "", twice).lower > 0
    assert change("quality.metric", "value", "", twice).holds(0.0)


def test_what_no_built_in_check_measures_is_not_recomputed():
    which = Which("own.check", "gap", "group", {})
    assert recompute(which, both(), 0.025, np.random.default_rng(0)) is None
    hub = Which("quality.metric", "value", "", {"metric": "evaluate:x"})
    assert recompute(hub, both(), 0.025, np.random.default_rng(0)) is None
