"""Sample sizes and detectable gaps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditkit.stats.intervals import clopper_pearson_bounds
from auditkit.stats.power import (
    auc_variance,
    expected_null_gap,
    largest_detectable_ratio,
    needed_n,
    needed_n_equivalence,
    needed_n_from_interval,
    needed_n_paired,
    needed_n_ratio,
    smallest_detectable_drop,
    smallest_detectable_gap,
    smallest_detectable_paired,
)
from auditkit.stats.ratios import ratio_bounds

DETECT = {
    0.5: (1562, 385, 91),
    0.8: (1091, 291, 79),
    0.9: (683, 197, 59),
    0.95: (432, 138, 47),
}
PROVE = {
    0.5: (429, 483, 1231, 1713),
    0.8: (275, 321, 860, 1097),
    0.9: (155, 189, 538, 617),
    0.95: (82, 109, 341, 326),
}


@pytest.mark.parametrize("rate", DETECT)
def test_detecting_a_gap_needs_the_tabled_rows(rate):
    assert tuple(needed_n(rate, gap, 0.025) for gap in (0.05, 0.1, 0.2)) == DETECT[rate]


@pytest.mark.parametrize("rate", PROVE)
def test_proving_a_limit_needs_the_tabled_rows(rate):
    needed = [needed_n_equivalence(rate, 0.1, 0.05, truth) for truth in (0.0, 0.02, 0.05)]
    assert (*needed, needed_n_equivalence(rate, 0.05, 0.05)) == PROVE[rate]


@pytest.mark.parametrize(("ratio", "n"), [(1, 291), (2, 228), (4, 197), (9, 179), (19, 172)])
def test_a_bigger_majority_barely_helps(ratio, n):
    assert needed_n(0.8, 0.1, 0.025, ratio=ratio) == n


def test_pairs_need_far_fewer_rows():
    assert needed_n_paired(0.03, 0.01, 0.025) == 783
    assert needed_n(0.85, 0.02, 0.025) == 5271


@pytest.mark.parametrize("rate", DETECT)
def test_the_detectable_gap_is_the_one_the_rows_were_planned_for(rate):
    for gap, n in zip((0.05, 0.1, 0.2), DETECT[rate], strict=True):
        assert smallest_detectable_gap(n, n, rate, 0.025) == pytest.approx(gap, rel=0.015)


def test_the_detectable_gap_does_not_depend_on_the_order_of_the_groups():
    assert smallest_detectable_gap(50, 500, 0.8, 0.05) == smallest_detectable_gap(
        500, 50, 0.8, 0.05
    )


@pytest.mark.parametrize(("n1", "n2"), [(0, 100), (1, 1)])
def test_too_few_rows_detect_nothing(n1, n2):
    assert smallest_detectable_gap(n1, n2, 0.5, 0.025) is None


@given(st.floats(0.01, 0.99), st.floats(0, 0.04), st.floats(0.001, 0.3))
@settings(max_examples=60, deadline=None)
def test_a_true_gap_never_makes_a_proof_cheaper(rate, truth, alpha):
    assert needed_n_equivalence(rate, 0.05, alpha, truth) >= needed_n_equivalence(rate, 0.05, alpha)


def test_a_proof_at_the_limit_is_refused():
    with pytest.raises(ValueError, match="inside the limit"):
        needed_n_equivalence(0.8, 0.1, 0.05, 0.1)


def test_a_gap_no_rate_can_have_is_refused():
    with pytest.raises(ValueError, match="no gap"):
        needed_n(0.6, 0.7, 0.025)


def test_the_needed_rows_grow_with_the_square_of_the_distance():
    assert needed_n_from_interval(100, 0.05, 0.15, 0.1) == 400
    assert needed_n_from_interval(100, 0.05, 0.10, 0.1) == 100
    assert needed_n_from_interval(100, 0.05, 0.08, 0.1) == 100


def test_at_the_limit_no_number_of_rows_decides():
    assert needed_n_from_interval(100, 0.1, 0.15, 0.1) is None


@pytest.mark.parametrize(("groups", "gap"), [(2, 0.045), (4, 0.082), (8, 0.113), (14, 0.136)])
def test_equal_groups_show_the_tabled_gap_by_chance(groups, gap):
    rng = np.random.default_rng(0)
    assert expected_null_gap([100] * groups, 0.8, rng, draws=20_000) == pytest.approx(
        gap, abs=0.001
    )


@pytest.mark.parametrize(
    ("groups", "shares"),
    [
        (2, {50: 0.18, 100: 0.06, 200: 0.01}),
        (4, {50: 0.53, 100: 0.25, 200: 0.05}),
        (8, {50: 0.87, 100: 0.58, 200: 0.17}),
        (14, {50: 0.98, 100: 0.85, 200: 0.36}),
    ],
)
def test_equal_groups_show_more_than_a_tenth_this_often(groups, shares):
    rng = np.random.default_rng(0)
    for n, share in shares.items():
        counts = rng.binomial(n, 0.8, (20_000, groups))
        gaps = counts.max(axis=1) - counts.min(axis=1)
        assert (10 * gaps > n).mean() == pytest.approx(share, abs=0.02)


def test_fewer_than_two_groups_have_no_gap():
    assert expected_null_gap([100, 0], 0.8, np.random.default_rng(0)) == 0.0


@pytest.mark.parametrize(
    ("n1", "n2", "rate", "alpha"), [(800, 1200, 0.3, 0.01), (400, 400, 0.6, 0.001)]
)
def test_the_detectable_ratio_is_found_as_often_as_asked(n1, n2, rate, alpha):
    found = largest_detectable_ratio(n1, n2, rate, alpha)
    rng = np.random.default_rng(0)
    low, high = rng.binomial(n1, rate * found, 4000), rng.binomial(n2, rate, 4000)
    _, upper = ratio_bounds(low, np.array(n1), high, np.array(n2), alpha)
    assert (upper < 1).mean() == pytest.approx(0.8, abs=0.04)


def test_a_ratio_is_not_detectable_where_a_group_has_next_to_no_hits():
    assert largest_detectable_ratio(20, 1000, 0.1, 0.01) is None
    assert largest_detectable_ratio(0, 1000, 0.5, 0.01) is None
    assert largest_detectable_ratio(60, 10_000, 0.9, 0.0001) is not None


@pytest.mark.parametrize(("rate", "limit"), [(0.3, 0.8), (0.7, 0.8), (0.5, 0.9)])
def test_rows_that_prove_a_ratio_prove_it_as_often_as_asked(rate, limit):
    n = needed_n_ratio(rate, limit, 0.05)
    rng = np.random.default_rng(1)
    hits = rng.binomial(n, rate, (2, 4000))
    lower, upper = ratio_bounds(hits[0], np.array(n), hits[1], np.array(n), 0.05)
    assert ((lower >= limit) & (upper <= 1 / limit)).mean() == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize(("n", "rate", "alpha"), [(500, 0.8, 0.05), (2000, 0.9, 0.001)])
def test_the_detectable_drop_is_found_as_often_as_asked(n, rate, alpha):
    drop = smallest_detectable_drop(n, rate, alpha)
    hits = np.random.default_rng(2).binomial(n, rate - drop, 4000)
    _, upper = clopper_pearson_bounds(hits, n, alpha)
    assert (upper < rate).mean() == pytest.approx(0.8, abs=0.05)


def test_no_drop_is_detectable_in_a_few_rows():
    assert smallest_detectable_drop(0, 0.8, 0.05) is None
    assert smallest_detectable_drop(3, 0.2, 0.01) is None
    assert smallest_detectable_drop(100, 0.0, 0.05) is None


def test_the_detectable_paired_gap_needs_just_these_rows():
    gap = smallest_detectable_paired(1000, 0.3, 0.01)
    assert needed_n_paired((0.3 + gap) / 2, (0.3 - gap) / 2, 0.01) in {999, 1000}
    assert smallest_detectable_paired(5, 0.3, 0.01) is None


def test_the_variance_of_an_auc_is_near_that_of_hanley_and_mcneil():
    # Their worked example: an area of 0.893 from 51 abnormal and 58 normal images, 0.032 for
    # exponential scores.
    assert auc_variance(0.893, 51, 58) ** 0.5 == pytest.approx(0.032, abs=0.002)
    # Without information it is that of Mann and Whitney's test, for any scores.
    assert auc_variance(0.5, 30, 50) == pytest.approx(81 / (12 * 30 * 50))
    with pytest.raises(ValueError, match="no variance"):
        auc_variance(1.0, 5, 5)
