"""Risk against coverage by hand and by brute force, and what the chosen threshold promises."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import binom

from auditkit.metrics.selective import (
    SelectiveParams,
    aurc,
    certified_threshold,
    fewest_accepted,
    risk_coverage,
)


def test_the_curve_of_four_rows_by_hand():
    found = risk_coverage(np.array([0.6, 0.9, 0.7, 0.8]), np.array([True, False, False, True]))
    assert found.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert found.risk == pytest.approx([0.0, 1 / 2, 1 / 3, 1 / 2])
    assert aurc(np.array([0.6, 0.9, 0.7, 0.8]), np.array([1, 0, 0, 1], dtype=bool)) == (
        pytest.approx(1 / 3)
    )


def test_equal_confidences_count_as_their_mean_over_all_orders():
    confidence = np.array([0.9, 0.7, 0.7, 0.7, 0.5])
    wrong = np.array([False, True, False, True, False])
    each = []
    for order in permutations([1, 2, 3]):
        rows = [0, *order, 4]
        each.append(np.cumsum(wrong[rows]) / np.arange(1, 6))
    assert risk_coverage(confidence, wrong).risk == pytest.approx(np.mean(each, axis=0))


def test_the_best_order_has_the_area_that_is_known_for_it():
    n, errors = 5000, 1000
    confidence = np.linspace(1.0, 0.5, n)
    wrong = np.arange(n) >= n - errors
    share = errors / n
    optimum = share + (1 - share) * math.log(1 - share)
    assert aurc(confidence, wrong) == pytest.approx(optimum, abs=1e-3)
    assert aurc(np.full(n, 0.7), wrong) == pytest.approx(share)


def test_the_fewest_rows_are_those_that_show_the_risk_when_all_are_right():
    for target, delta in ((0.1, 0.05), (0.05, 0.01), (0.2, 0.1)):
        least = fewest_accepted(target, delta)
        assert binom.cdf(0, least, target) <= delta < binom.cdf(0, least - 1, target)


def sample(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are right as often as they are sure."""
    confidence = rng.uniform(0.5, 1.0, n)
    return confidence, rng.random(n) > confidence


def test_the_promise_is_broken_in_no_more_than_its_share_of_calibrations():
    # Of rows with a confidence above t, (1 - t) / 2 are wrong: 0.1 for t = 0.8.
    rng, params = np.random.default_rng(0), SelectiveParams(target_risk=0.1, delta=0.1)
    found = [certified_threshold(*sample(rng, 1000), None, params) for _ in range(500)]
    broken = sum(one is not None and (1 - max(one, 0.5)) / 2 > 0.1 for one in found)
    assert broken <= binom.ppf(1 - 1e-4, 500, params.delta)
    chosen = [one for one in found if one is not None]
    assert len(chosen) > 450
    assert np.median(chosen) < 0.9


def test_no_threshold_is_chosen_where_none_can_be_shown():
    rng = np.random.default_rng(0)
    wrong = rng.random(500) < 0.4
    assert certified_threshold(rng.uniform(0.5, 1, 500), wrong, None, SelectiveParams()) is None
    confidence, wrong = sample(rng, 25)
    assert certified_threshold(confidence, wrong, None, SelectiveParams()) is None


def test_copies_of_a_row_show_no_more_than_the_row():
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.5, 1.0, 400)
    wrong = rng.random(400) > 0.7 + 0.3 * (confidence > 0.7)
    params = SelectiveParams()
    alone = certified_threshold(confidence, wrong, None, params)
    copied = np.repeat(confidence, 10), np.repeat(wrong, 10)
    naive = certified_threshold(*copied, None, params)
    tied = certified_threshold(*copied, np.repeat(np.arange(400), 10), params)
    assert naive is not None
    assert tied is not None
    assert naive < tied
    assert tied == pytest.approx(alone, abs=0.03)
