"""How what is lost out of distribution changes between two models: hand-computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, ttest_rel

from auditkit.metrics.answered_twice import Twice, Which
from auditkit.metrics.shift_changes import brier_rise, drop, error_rise
from auditkit.model import Predictions
from auditkit.testing import tiny_data

RNG = np.random.default_rng(0)
WHICH = Which("ood.calibration-shift", "ece_rise", "far", {"bins": 2})


def answered(right: list[int], sure: float = 0.9) -> Predictions:
    """All rows are of class 0; a row answered rightly says so with this probability."""
    score = np.where(np.array(right) == 1, sure, 1 - sure)
    return Predictions.from_probabilities(np.stack([score, 1 - score], axis=1))


def rows(before: list[int], after: list[int], clusters: list[int] | None = None) -> Twice:
    data = tiny_data([0] * len(before), clusters=clusters)
    return Twice(data, answered(before), answered(after, 0.8))


def both(inside: Twice, outside: Twice) -> Twice:
    return replace(inside, shifts={"far": outside}, inside=inside, chosen_apart=True)


NEAR = rows([1, 1, 1, 0], [1, 1, 1, 1])
FAR = rows([1, 0, 0, 0], [1, 1, 0, 0])


def test_the_drop_of_both_models_by_hand():
    found = drop(WHICH, both(NEAR, FAR), 0.05, RNG)
    assert (found.before, found.after) == (0.75 - 0.25, 1.0 - 0.5)
    assert found.interval.holds(0.0)
    assert found.method == "Tango, paired, on both sides"


def test_the_rises_of_both_models_by_hand():
    # One bin, since all are sure above a half: |0.9 - accuracy|, and |0.8 - accuracy| after.
    found = error_rise(WHICH, both(NEAR, FAR), 0.05, np.random.default_rng(0))
    assert found.before == pytest.approx(abs(0.9 - 0.25) - abs(0.9 - 0.75))
    assert found.after == pytest.approx(abs(0.8 - 0.5) - abs(0.8 - 1.0))
    # A right row scores 2 · 0.1², a wrong one 2 · 0.9²; afterwards 2 · 0.2² and 2 · 0.8².
    found = brier_rise(WHICH, both(NEAR, FAR), 0.05, RNG)
    assert found.before == pytest.approx((0.5 - 0.0) * (2 * 0.81 - 2 * 0.01))
    assert found.after == pytest.approx(0.5 * (2 * 0.64 - 2 * 0.04))


@pytest.mark.parametrize("function", [drop, error_rise, brier_rise])
def test_nothing_is_said_of_a_set_that_is_not_there(function):
    assert function(replace(WHICH, slice="near"), both(NEAR, FAR), 0.05, RNG) is None
    assert function(WHICH, replace(both(NEAR, FAR), inside=None), 0.05, RNG) is None


def test_a_cluster_with_rows_on_both_sides_counts_once():
    rng = np.random.default_rng(1)
    near, far = (rng.integers(0, 2, (2, 40)) for _ in "12")
    own = np.arange(40)
    shared, apart = (
        drop(WHICH, both(rows(*near, own), rows(*far, other)), 0.025, RNG)
        for other in (own, own + 40)
    )
    gains = [(after - before).astype(float) for before, after in (near, far)]
    paired = ttest_rel(*gains).confidence_interval(0.95)
    assert shared.interval.lower == pytest.approx(min(paired.low, apart.interval.lower))
    assert shared.interval.upper == pytest.approx(max(paired.high, apart.interval.upper))


@pytest.mark.parametrize("function", [drop, brier_rise])
def test_an_end_errs_no_more_often_than_it_claims_where_clusters_gain_here_and_lose_there(function):
    rng, runs, errors = np.random.default_rng(2), 300, np.zeros(2)
    clusters = np.repeat(np.arange(50), 4)
    for _ in range(runs):
        moved = np.repeat(rng.choice([-0.4, 0.4], 50), 4)
        sides = []
        for sign in (1, -1):
            before = (rng.random(200) < 0.5).astype(int)
            after = (rng.random(200) < 0.5 + sign * moved).astype(int)
            data = tiny_data([0] * 200, clusters=clusters)
            sides.append(Twice(data, answered(before), answered(after)))
        found = function(WHICH, both(*sides), 0.05, rng).interval
        errors += [found.lower > 0, found.upper < 0]
    assert errors.max() <= binom.ppf(1 - 1e-3, runs, 0.05)
