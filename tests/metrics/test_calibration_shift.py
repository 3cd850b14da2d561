"""Calibration in and out of distribution: hand-computed values, and bounds that hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from auditkit.check import Context
from auditkit.errors import NotApplicable
from auditkit.finding import Measurement
from auditkit.metrics.calibration_shift import (
    CalibrationShiftParams,
    calibration_shift_measurements,
)
from auditkit.metrics.temperature import fit_temperature, log_probabilities
from auditkit.model import Predictions
from auditkit.testing import shifted, tiny_context, tiny_data


def context(right: np.ndarray, sure: float, inside: int, fitted: int = 0, **data) -> Context:
    """Rows in distribution, those of a set, and last those of a validation split."""
    score = np.where(right, sure, 1 - sure)
    rows = tiny_data(np.zeros(len(right)), **data)
    answers = Predictions.from_probabilities(np.stack([score, 1 - score], axis=1))
    judged = rows.rows(np.arange(len(rows) - fitted))
    return replace(
        tiny_context(judged, answers),
        shifts=shifted(judged, far=np.arange(inside, len(judged))),
        validation=rows.rows(np.arange(len(judged), len(rows))) if fitted else None,
    )


def measured(context: Context, bins: int = 10) -> dict[str, Measurement]:
    params = CalibrationShiftParams(bins)
    return {one.name: one for one in calibration_shift_measurements(context, params)}


def test_the_rises_and_the_gain_by_hand():
    # Sure by 0.9; right in 80 of 100 here, 50 of 100 there, and 150 of 200 validation rows.
    right = np.concatenate([np.arange(100) < 80, np.arange(100) < 50, np.arange(200) < 150])
    found = measured(context(right, 0.9, 100, fitted=200))
    assert found["ece_rise"].value == pytest.approx(abs(0.9 - 0.5) - abs(0.9 - 0.8))
    assert found["brier_rise"].value == pytest.approx(0.3 * 2 * (0.81 - 0.01))
    # The likeliest temperature makes the model as sure as it is right: 0.75.
    temperature = np.log(9) / np.log(3)
    assert f"Temperature {temperature:.3g}:" in found["scaling_gain"].note
    assert found["scaling_gain"].value == pytest.approx(0.1 - 0.05, abs=1e-5)
    table = found["scaling_gain"].evidence[2]
    assert table.rows[0][:4] == ("in distribution", 100, 0.8, pytest.approx(0.9))


def test_the_temperature_is_that_of_the_rows_fitted_by():
    right = np.arange(400) % 4 > 0
    given = context(right, 0.95, 150, fitted=120)
    rows = given.predictor.predict(given.validation.inputs)
    expected = fit_temperature(log_probabilities(rows.probabilities), given.validation.labels)
    assert f"Temperature {expected:.3g}:" in measured(given)["scaling_gain"].note


def test_one_row_makes_no_halves_and_odd_bins_are_refused():
    with pytest.raises(NotApplicable, match="two halves"):
        list(
            calibration_shift_measurements(
                context(np.ones(2, dtype=bool), 0.9, 1), CalibrationShiftParams()
            )
        )
    with pytest.raises(ValueError, match="bins"):
        CalibrationShiftParams(1)


def test_bounds_hold_where_every_cluster_is_right_here_and_wrong_there():
    rng, runs, errors = np.random.default_rng(0), 120, np.zeros(4)
    clusters = np.concatenate([np.tile(np.repeat(np.arange(60), 8), 2), 60 + np.arange(120)])
    for _ in range(runs):
        moved = np.repeat(rng.choice([-0.19, 0.19], 60), 8)
        share = np.concatenate([0.75 + moved, 0.75 - moved, np.full(120, 0.75)])
        given = context(rng.random(1080) < share, 0.85, 480, fitted=120, clusters=clusters)
        found = measured(given)
        for place, name in enumerate(("ece_rise", "brier_rise")):
            claim = found[name].bounds.claim
            errors[2 * place : 2 * place + 2] += [claim.lower > 0, claim.upper < 0]
    assert errors.max() <= binom.ppf(1 - 1e-3, runs, 0.05)
