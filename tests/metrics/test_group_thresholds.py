"""Thresholds by group: nothing better exists within the slack."""

from __future__ import annotations

import itertools
from typing import get_args

import numpy as np
import pytest

from auditkit.metrics.group_thresholds import Curve, choose, curve
from auditkit.metrics.group_training import ThresholdConstraint


def best_of_all(curves: list[Curve], slack: float) -> int:
    best = -1
    for places in itertools.product(*(range(len(one.thresholds)) for one in curves)):
        rates = np.stack([one.rates[:, at] for one, at in zip(curves, places, strict=True)])
        if (rates.max(axis=0) - rates.min(axis=0)).max() <= slack + 1e-12:
            right = sum(int(one.right[at]) for one, at in zip(curves, places, strict=True))
            best = max(best, right)
    return best


@pytest.mark.parametrize("constraint", get_args(ThresholdConstraint))
def test_no_combination_of_thresholds_is_better(constraint):
    rng = np.random.default_rng(0)
    tried = 0
    for _ in range(150):
        curves = []
        for _ in range(int(rng.integers(1, 4))):
            n = int(rng.integers(2, 9))
            truth = rng.random(n) < 0.5
            otherwise = ~truth & (rng.random(n) < 0.8)
            one = curve(np.round(rng.random(n), 1), truth, otherwise, constraint)
            curves += [one] if one else []
        if curves:
            slack = float(rng.choice([0.0, 0.05, 0.2, 0.5]))
            found = choose(curves, slack)
            assert found.right == best_of_all(curves, slack)
            assert found.gap <= slack + 1e-9
            tried += 1
    assert tried > 100


def test_the_thresholds_give_what_the_search_counted():
    rng = np.random.default_rng(1)
    n = 300
    truth = rng.random(n) < 0.4
    group = rng.integers(0, 3, n)
    scores = 1 / (1 + np.exp(-(rng.normal(size=n) + truth - 0.6 * group)))
    curves = [curve(scores[group == g], truth[group == g], ~truth[group == g], "equalized-odds")
              for g in range(3)]  # fmt: skip
    found = choose(curves, 0.03)
    chosen = scores >= np.array(found.thresholds)[group]
    assert int((chosen == truth).sum()) == found.right
    gaps = [np.ptp([chosen[(group == g) & (truth == t)].mean() for g in range(3)])
            for t in (True, False)]  # fmt: skip
    assert max(gaps) == pytest.approx(found.gap, abs=1e-12)


def test_by_hand():
    # One group is scored 0.3 lower: the thresholds differ by as much, and nobody is misjudged.
    truth = np.array([True, True, False, False])
    high = curve(np.array([0.9, 0.8, 0.6, 0.5]), truth, ~truth, "equalized-odds")
    low = curve(np.array([0.6, 0.5, 0.3, 0.2]), truth, ~truth, "equalized-odds")
    found = choose([high, low], 0.0)
    assert found.thresholds == pytest.approx((0.7, 0.4))
    assert (found.right, found.gap) == (8, 0.0)


def test_a_rate_without_rows_has_no_curve():
    none = np.zeros(3, dtype=bool)
    assert curve(np.arange(3) / 3, none, ~none, "equalized-odds") is None
    assert curve(np.arange(3) / 3, none, ~none, "demographic-parity") is not None
