"""FPR at 95 % TPR and average precision: closed-form answers, scikit-learn, coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from auditkit.stats.auc import auc_components, auc_interval
from auditkit.stats.detection import average_precision, kept_outside, kept_outside_interval


def two(n: int, m: int, d: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=n), rng.normal(d, 1.0, m)


@pytest.mark.parametrize(("d", "area"), [(1, 0.7602), (2, 0.9214), (3, 0.9831)])
def test_two_normals_have_the_auroc_of_the_closed_form(d, area):
    inside, outside = two(4_000, 4_000, d)
    scores, far = np.concatenate([inside, outside]), np.arange(8_000) >= 4_000
    found = auc_components(scores, far, ~far)
    interval = auc_interval(found, 0.005)
    assert interval.lower < area < interval.upper
    assert found.value == pytest.approx(area, abs=0.01)
    assert interval.upper - interval.lower < 0.06


@pytest.mark.parametrize(("d", "rate"), [(2, 0.3612), (3, 0.0877)])
def test_two_normals_have_the_fpr95_of_the_closed_form(d, rate):
    assert norm.cdf(norm.ppf(0.95) - d) == pytest.approx(rate, abs=1e-4)
    inside, outside = two(4_000, 4_000, d)
    interval = kept_outside_interval(inside, outside, 0.005)
    assert interval.lower < rate < interval.upper
    assert kept_outside(inside, outside) == pytest.approx(rate, abs=0.04)
    assert interval.upper - interval.lower < 0.2


@pytest.mark.parametrize("digits", [0, 6])
def test_fpr95_is_that_of_scikit_learns_curve(digits):
    inside, outside = (np.round(x, digits) for x in two(237, 118, 1.3))
    scores = -np.concatenate([inside, outside])
    rates, hits, _ = roc_curve(np.arange(355) < 237, scores, drop_intermediate=False)
    expected = rates[np.argmax(hits >= 0.95)]
    assert kept_outside(inside, outside) == pytest.approx(expected, abs=1e-12)


def test_a_share_that_is_whole_asks_for_no_row_more():
    inside = np.arange(100.0)
    assert kept_outside(inside, [94.0, 94.5]) == 0.5  # the 95th row is the threshold


def test_too_few_rows_inside_bound_nothing_from_above():
    inside, outside = two(50, 5_000, 3)
    assert kept_outside_interval(inside, outside, 0.05).upper == 1.0
    assert kept_outside_interval([], outside, 0.05) == kept_outside_interval(inside, [], 0.05)
    assert kept_outside(inside, []) is None


@pytest.mark.parametrize(("n", "m"), [(100, 100), (400, 60)])
def test_the_interval_of_fpr95_errs_no_more_often_than_it_says(n, m):
    truth, alpha, low, high = norm.cdf(norm.ppf(0.95) - 2), 0.05, 0, 0
    for seed in range(1_000):
        interval = kept_outside_interval(*two(n, m, 2, seed), alpha)
        low, high = low + (interval.lower > truth), high + (interval.upper < truth)
    assert max(low, high) <= 77  # of 1,000 at 5 %, with a chance of 1e-4 to fail by luck


@pytest.mark.parametrize("digits", [0, 6])
def test_average_precision_is_scikit_learns(digits):
    inside, outside = (np.round(x, digits) for x in two(300, 80, 1.0))
    scores, far = np.concatenate([inside, outside]), np.arange(380) >= 300
    assert average_precision(scores, far, ~far).value == pytest.approx(
        average_precision_score(far, scores), abs=1e-12
    )
    assert average_precision(-scores, ~far, far).value == pytest.approx(
        average_precision_score(~far, -scores), abs=1e-12
    )
    assert roc_auc_score(far, scores) == pytest.approx(auc_components(scores, far, ~far).value)


def test_the_influence_of_rows_on_average_precision_is_its_spread_under_resampling():
    inside, outside = two(300, 150, 1.2)
    scores, far = np.concatenate([inside, outside]), np.arange(450) >= 300
    found = average_precision(scores, far, ~far)
    error = float(np.sqrt(found.influence @ found.influence))
    rng, drawn = np.random.default_rng(1), []
    for _ in range(1_500):
        rows = np.concatenate([rng.integers(0, 300, 300), rng.integers(300, 450, 150)])
        drawn.append(average_precision(scores[rows], far, ~far).value)
    assert error == pytest.approx(np.std(drawn), rel=0.1)
    assert abs(found.influence.sum()) < 1e-9


def test_the_interval_of_average_precision_covers():
    # Prevalence one third; the truth by a large sample.
    inside, outside = two(400_000, 200_000, 1.0, seed=99)
    far = np.arange(600_000) >= 400_000
    truth = average_precision(np.concatenate([inside, outside]), far, ~far).value
    missed = 0
    far = np.arange(300) >= 200
    for seed in range(1_000):
        found = average_precision(np.concatenate(two(200, 100, 1.0, seed)), far, ~far)
        interval = auc_interval(found, 0.05)
        missed += not interval.lower <= truth <= interval.upper
    assert missed <= 138  # both ends of 5 %


def test_separated_classes_have_a_lower_end_that_a_few_rows_support():
    scores, far = np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, False, True, True])
    found = average_precision(scores, far, ~far)
    assert found.value == 1.0
    assert auc_interval(found, 0.05).lower == pytest.approx(0.05**0.5)
    assert average_precision(scores, far, np.zeros(4, bool)).value is None
    with pytest.raises(ValueError, match="finite"):
        average_precision([np.nan, 1.0], [True, False], [False, True])


@pytest.mark.parametrize("sign", [1, -1])
def test_intervals_hold_where_every_cluster_has_rows_inside_and_outside(sign):
    rng, runs = np.random.default_rng(0), 300
    clusters, outside = np.tile(np.repeat(np.arange(60), 4), 2), np.arange(480) >= 240
    area = norm.cdf(1 / np.sqrt(2 * 2))
    rate = norm.cdf((norm.ppf(0.95) * np.sqrt(2) - 1) / np.sqrt(2))
    errors = np.zeros(4)
    for _ in range(runs):
        own = np.repeat(rng.normal(size=60), 4)
        scores = np.concatenate([own, 1 + sign * own]) + rng.normal(size=480)
        told = auc_interval(auc_components(scores, outside, ~outside), 0.05, clusters)
        kept = kept_outside_interval(
            scores[~outside], scores[outside], 0.05, effective=(60.0, 60.0)
        )
        errors += [told.lower > area, told.upper < area, kept.lower > rate, kept.upper < rate]
    assert errors.max() <= binom.ppf(1 - 1e-3, runs, 0.05)
