"""The area between ROC curves is exact, and its bounds hold for fair groups too."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_curve

from auditkit.stats.auc import auc_components
from auditkit.stats.roc import (
    Sample,
    area_between,
    area_between_interval,
    deviation,
    roc_curve,
    sensitivity,
)


def scored(n: int, apart: float, rng: np.random.Generator, decimals: int = 9):
    truth = rng.random(n) < 0.4
    return np.round(rng.normal(size=n) + apart * truth, decimals), truth


@pytest.mark.parametrize("decimals", [9, 1, 0])
def test_the_curve_is_sklearns(decimals):
    scores, truth = scored(300, 1.0, np.random.default_rng(0), decimals)
    curve = roc_curve(scores, truth)
    theirs = sklearn_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_alarms, theirs[0], atol=1e-12)
    np.testing.assert_allclose(curve.hits, theirs[1], atol=1e-12)


@pytest.mark.parametrize("decimals", [9, 1, 0])
def test_a_curve_above_another_lies_apart_by_the_difference_of_the_aucs(decimals):
    rng = np.random.default_rng(1)
    scores, truth = scored(400, 2.0, rng, decimals)
    diagonal = roc_curve(np.zeros(10), np.arange(10) < 5)
    curve = roc_curve(scores, truth)
    above = bool((curve.hits >= curve.false_alarms).all())
    assert above
    found = area_between(curve, diagonal)
    assert found == pytest.approx(roc_auc_score(truth, scores) - 0.5, abs=1e-9)


def test_curves_that_cross_by_hand():
    # A rises to 1/2 at once, then along the diagonal of the rest: knots (0, 1/2), (1, 1/2), (1, 1).
    flat = roc_curve([3, 1, 2], [True, True, False])
    diagonal = roc_curve([1, 1], [True, False])
    # 1/2 above at 0, crossing in the middle, 1/2 below at 1: two triangles of 1/8.
    assert area_between(flat, diagonal) == pytest.approx(0.25, abs=1e-12)
    assert area_between(diagonal, flat) == pytest.approx(0.25, abs=1e-12)


@pytest.mark.parametrize("decimals", [9, 1])
def test_the_area_is_the_integral_of_the_absolute_difference(decimals):
    rng = np.random.default_rng(2)
    curves = [roc_curve(*scored(n, apart, rng, decimals)) for n, apart in [(90, 1.0), (70, 0.8)]]
    # The published code interpolates both curves on a fine grid and sums.
    middle = (np.arange(2_000_000) + 0.5) / 2_000_000
    heights = [np.interp(middle, c.false_alarms, c.hits) for c in curves]
    assert area_between(*curves) == pytest.approx(np.abs(heights[0] - heights[1]).mean(), abs=2e-6)


def test_the_area_is_at_least_the_difference_of_the_aucs_and_0_for_one_curve():
    rng = np.random.default_rng(3)
    for _ in range(20):
        (s, t), (u, v) = scored(60, 1.0, rng), scored(50, 0.5, rng)
        first, second = auc_components(s, t, ~t).value, auc_components(u, v, ~v).value
        assert area_between(roc_curve(s, t), roc_curve(u, v)) >= abs(first - second) - 1e-12
        assert area_between(roc_curve(s, t), roc_curve(s, t)) == 0.0


def test_a_curve_without_both_classes_is_refused():
    with pytest.raises(ValueError, match="both classes"):
        roc_curve([1.0, 2.0], [True, True])


def test_one_row_moves_the_area_no_further_than_promised():
    rng = np.random.default_rng(4)
    (s, t), (u, v) = scored(40, 1.0, rng), scored(30, 0.5, rng)
    before = area_between(roc_curve(s, t), roc_curve(u, v))
    for row in range(40):
        for value in (-9.0, 0.3, 9.0):
            moved = s.copy()
            moved[row] = value
            after = area_between(roc_curve(moved, t), roc_curve(u, v))
            assert abs(after - before) <= 1 / (t.sum() if t[row] else (~t).sum()) + 1e-12


def test_copies_of_rows_bound_no_better_than_the_rows():
    rows, copies = np.arange(50), np.repeat(np.arange(50), 4)
    told, plain = Sample(200, copies), Sample(50)
    assert told.error == pytest.approx(plain.error)
    assert sensitivity([told]) == pytest.approx(sensitivity([plain]))
    # One unit in both samples moves both.
    together = deviation([Sample(50, rows), Sample(50, rows)], 0.05)
    assert together == pytest.approx(2 * deviation([plain], 0.05))


def wrong_ends(apart: tuple[float, float], size: int, truth: float, runs: int) -> tuple[int, int]:
    """Runs in which the lower and the upper end of error 0.05 are beyond the true area."""
    rng = np.random.default_rng(5)
    below = above = 0
    for _ in range(runs):
        parts = [scored(size, a, rng) for a in apart]
        value = area_between(*(roc_curve(*part) for part in parts))
        positives = [Sample(int(t.sum())) for _, t in parts]
        negatives = [Sample(int((~t).sum())) for _, t in parts]
        found = area_between_interval(value, positives, negatives, 0.05)
        below += found.lower > truth
        above += found.upper < truth
    return below, above


@pytest.mark.parametrize(
    ("apart", "size"), [((1.0, 1.0), 100), ((8.0, 8.0), 60), ((4.0, 0.0), 100)]
)
def test_the_bounds_hold_for_equal_and_for_unlike_groups(apart, size):
    from scipy.stats import norm

    truth = abs(float(np.diff(norm.cdf(np.array(apart) / np.sqrt(2)))[0]))  # curves do not cross
    below, above = wrong_ends(apart, size, truth, 200)
    assert below <= 10
    assert above <= 10


def test_a_large_area_is_shown_with_enough_rows():
    rng = np.random.default_rng(6)
    size = 4000
    parts = [scored(size, apart, rng) for apart in (4.0, 0.0)]
    value = area_between(*(roc_curve(*part) for part in parts))
    positives, negatives = (
        [Sample(int((t == kind).sum())) for _, t in parts] for kind in (True, False)
    )
    found = area_between_interval(value, positives, negatives, 0.001)
    assert 0.3 < found.lower < value < found.upper < 0.65
