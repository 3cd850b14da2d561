"""DeLong's AUC intervals and differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from auditkit.finding import Interval
from auditkit.stats.auc import auc, auc_components, auc_difference, auc_interval


def _scores(rng, positives, negatives, shift=1.0, digits=1):
    scores = np.r_[rng.normal(shift, 1, positives), rng.normal(0, 1, negatives)].round(digits)
    return scores, np.arange(positives + negatives) < positives


def _delong_by_pairs(first, second, positive):
    """Covariance of two AUCs by DeLong et al. (1988), every pair compared."""
    wins = []
    for scores in (first, second):
        above, below = scores[positive][:, None], scores[~positive][None, :]
        wins.append((above > below) + 0.5 * (above == below))
    rows = np.cov([win.mean(axis=1) for win in wins]) / positive.sum()
    columns = np.cov([win.mean(axis=0) for win in wins]) / (~positive).sum()
    return [win.mean() for win in wins], rows + columns


def test_it_is_the_auc_of_scikit_learn():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores, positive = _scores(rng, *rng.integers(1, 80, 2))
        assert auc(scores[positive], scores[~positive]) == pytest.approx(
            roc_auc_score(positive, scores), abs=1e-12
        )


def test_the_variance_is_delongs_over_all_pairs():
    rng = np.random.default_rng(1)
    for positives, negatives in [(2, 2), (5, 90), (40, 30)]:
        scores, positive = _scores(rng, positives, negatives)
        other = (scores + rng.normal(0, 1, scores.size)).round(1)
        values, covariance = _delong_by_pairs(scores, other, positive)
        a = auc_components(scores, positive, ~positive)
        b = auc_components(other, positive, ~positive)
        assert (a.value, b.value) == pytest.approx(values, abs=1e-12)
        assert a.influence @ a.influence == pytest.approx(covariance[0, 0], abs=1e-12)
        assert a.influence @ b.influence == pytest.approx(covariance[0, 1], abs=1e-12)


def test_the_paired_test_is_delongs():
    rng = np.random.default_rng(2)
    scores, positive = _scores(rng, 41, 72)
    other = scores + rng.normal(0, 1.5, scores.size)
    values, covariance = _delong_by_pairs(scores, other, positive)
    error = (covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]) ** 0.5
    result = auc_difference(
        auc_components(scores, positive, ~positive),
        auc_components(other, positive, ~positive),
        0.025,
    )
    gap = values[0] - values[1]
    assert result.z == pytest.approx(gap / error)
    assert result.p == pytest.approx(2 * norm.sf(abs(gap / error)))
    assert result.interval.lower == pytest.approx(gap - norm.isf(0.025) * error)


def test_the_error_is_near_hanley_and_mcneils():
    rng = np.random.default_rng(3)
    scores, positive = _scores(rng, 300, 400, digits=8)
    estimate = auc_components(scores, positive, ~positive)
    area = estimate.value
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + 299 * (q1 - area**2) + 399 * (q2 - area**2)) / (300 * 400)
    assert (estimate.influence @ estimate.influence) ** 0.5 == pytest.approx(variance**0.5, rel=0.1)


@pytest.mark.parametrize(("shift", "area"), [(1, 0.7602), (2, 0.9214), (3, 0.9831)])
def test_normal_scores_have_the_area_of_theory(shift, area):
    scores, positive = _scores(np.random.default_rng(4), 20_000, 20_000, shift, digits=12)
    assert auc(scores[positive], scores[~positive]) == pytest.approx(area, abs=0.008)


def test_the_interval_is_symmetric_in_the_logit():
    scores, positive = _scores(np.random.default_rng(5), 60, 80)
    estimate = auc_components(scores, positive, ~positive)
    interval = auc_interval(estimate, 0.025)

    def logit(x):
        return np.log(x / (1 - x))

    centre = (logit(interval.lower) + logit(interval.upper)) / 2
    assert centre == pytest.approx(logit(estimate.value), abs=1e-9)


def test_perfect_separation_is_bounded_by_its_pairs():
    estimate = auc_components([3, 4, 5, 1, 2], [1, 1, 1, 0, 0], [0, 0, 0, 1, 1])
    assert auc_interval(estimate, 0.05) == Interval(0.05 ** (1 / 2), 1.0)
    mirrored = auc_components([1, 2, 3, 4, 5], [1, 1, 1, 0, 0], [0, 0, 0, 1, 1])
    assert auc_interval(mirrored, 0.05) == Interval(0.0, 1 - 0.05 ** (1 / 2))


def test_one_inversion_is_never_surer_than_none():
    positive = np.arange(100) >= 50
    perfect = auc_interval(auc_components(np.arange(100), positive, ~positive), 0.025)
    swapped = np.arange(100)
    swapped[[49, 50]] = swapped[[50, 49]]
    nearly = auc_interval(auc_components(swapped, positive, ~positive), 0.025)
    assert nearly.lower <= perfect.lower


def test_a_constant_score_is_not_certain_to_be_worth_a_half():
    positive = np.arange(40) < 20
    interval = auc_interval(auc_components(np.zeros(40), positive, ~positive), 0.025)
    assert interval.lower < 0.5 < interval.upper


@pytest.mark.parametrize(("positives", "negatives"), [(0, 5), (5, 0), (0, 0)])
def test_an_empty_class_says_nothing(positives, negatives):
    mask = np.arange(positives + negatives) < positives
    estimate = auc_components(np.arange(mask.size, dtype=float), mask, ~mask)
    assert estimate.value is None
    assert auc_interval(estimate, 0.05) == Interval(0.0, 1.0)
    assert auc_difference(estimate, estimate, 0.05).interval == Interval(-1.0, 1.0)


def test_one_positive_among_overlapping_scores_says_nothing():
    estimate = auc_components([2, 1, 3], [1, 0, 0], [0, 1, 1])
    assert auc_interval(estimate, 0.05) == Interval(0.0, 1.0)


def test_copied_rows_in_clusters_say_what_the_originals_say():
    scores, positive = _scores(np.random.default_rng(6), 60, 80)
    plain = auc_components(scores, positive, ~positive)
    copied = auc_components(np.repeat(scores, 4), np.repeat(positive, 4), np.repeat(~positive, 4))
    clusters = np.repeat(np.arange(140), 4)
    alone, naive = auc_interval(plain, 0.025), auc_interval(copied, 0.025)
    together = auc_interval(copied, 0.025, clusters)
    assert naive.upper - naive.lower < 0.6 * (alone.upper - alone.lower)
    assert together.lower == pytest.approx(alone.lower, abs=0.004)


def test_equal_rankings_differ_by_nothing_but_not_for_certain():
    scores, positive = _scores(np.random.default_rng(7), 30, 30)
    a = auc_components(scores, positive, ~positive)
    result = auc_difference(a, auc_components(2 * scores, positive, ~positive), 0.025)
    assert (result.difference, result.z, result.p) == (0.0, None, None)
    assert result.interval.lower < 0 < result.interval.upper


def test_a_perfect_model_against_an_imperfect_one_keeps_some_width():
    scores, positive = _scores(np.random.default_rng(8), 30, 30)
    perfect = auc_components(positive.astype(float), positive, ~positive)
    result = auc_difference(perfect, auc_components(scores, positive, ~positive), 0.025)
    assert result.interval.lower < result.difference < result.interval.upper


def test_slices_of_one_data_set_can_be_compared():
    scores, positive = _scores(np.random.default_rng(9), 80, 80)
    member = np.arange(160) % 2 == 0
    everyone = auc_components(scores, positive, ~positive)
    slice_ = auc_components(scores, positive & member, ~positive & member)
    result = auc_difference(everyone, slice_, 0.025)
    assert result.interval.lower <= result.difference <= result.interval.upper
    assert not slice_.influence[~member].any()


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 10**6), st.floats(1e-4, 0.4))
@settings(max_examples=60, deadline=None)
def test_an_auc_lies_inside_and_swapping_flips_the_sign(positives, negatives, seed, alpha):
    rng = np.random.default_rng(seed)
    scores, positive = _scores(rng, positives, negatives)
    order = rng.permutation(scores.size)
    a = auc_components(scores, positive, ~positive)
    b = auc_components(rng.normal(size=scores.size), positive, ~positive)
    interval = auc_interval(a, alpha)
    assert 0 <= interval.lower <= a.value <= interval.upper <= 1
    shuffled = auc_components(scores[order], positive[order], ~positive[order])
    assert shuffled.value == pytest.approx(a.value, abs=1e-12)
    there, back = auc_difference(a, b, alpha), auc_difference(b, a, alpha)
    assert there.difference == -back.difference
    assert there.interval == Interval(-back.interval.upper, -back.interval.lower)


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        auc([1.0, float("nan")], [0.0])


def test_rows_in_both_classes_are_refused():
    with pytest.raises(ValueError, match="positive and negative"):
        auc_components([1.0, 2.0], [1, 1], [0, 1])


def test_estimates_of_other_rows_are_refused():
    a = auc_components([1.0, 2.0], [1, 0], [0, 1])
    b = auc_components([1.0, 2.0, 3.0], [1, 0, 0], [0, 1, 1])
    with pytest.raises(ValueError, match="same rows"):
        auc_difference(a, b, 0.05)
