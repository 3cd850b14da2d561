"""Signed comparisons combined into one statement."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditkit.finding import Interval
from auditkit.stats.differences import difference
from auditkit.stats.gaps import (
    Comparison,
    combine_max,
    ordered_pairs,
    pairwise_difference_bounds,
    pairwise_ratio_bounds,
)
from auditkit.stats.ratios import ratio


@st.composite
def groups(draw):
    sizes = draw(st.lists(st.integers(0, 120), min_size=2, max_size=6))
    return [draw(st.integers(0, n)) for n in sizes], sizes


def test_the_bounds_are_the_largest_over_all_ordered_pairs():
    k, n = [80, 60, 75, 30], [100, 90, 120, 60]
    result = pairwise_difference_bounds(k, n, 0.05, 0.05 / 12, 20)
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    claim = [difference(k[i], n[i], k[j], n[j], 0.05) for i, j in pairs]
    corrected = [difference(k[i], n[i], k[j], n[j], 0.05 / 12) for i, j in pairs]
    assert result.claim_upper == pytest.approx(max(one.upper for one in claim), abs=1e-12)
    assert result.claim_lower == pytest.approx(max(one.lower for one in claim), abs=1e-12)
    assert result.corrected_lower == pytest.approx(max(one.lower for one in corrected), abs=1e-12)
    assert result.corrected_upper == pytest.approx(max(one.upper for one in corrected), abs=1e-12)
    assert result.value == pytest.approx(0.3)
    assert (result.pair, result.comparisons, result.small) == ((0, 3), 12, ())


def test_the_ratio_bounds_are_the_smallest_over_all_ordered_pairs():
    k, n = [80, 60, 75, 30], [100, 90, 120, 60]
    result = pairwise_ratio_bounds(k, n, 0.05, 0.05 / 12, 20)
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    claim = [ratio(k[i], n[i], k[j], n[j], 0.05) for i, j in pairs]
    corrected = [ratio(k[i], n[i], k[j], n[j], 0.05 / 12) for i, j in pairs]
    assert result.claim_lower == pytest.approx(min(one.lower for one in claim), abs=1e-12)
    assert result.corrected_upper == pytest.approx(min(one.upper for one in corrected), abs=1e-12)
    assert result.value == pytest.approx(0.5 / 0.8)
    assert result.pair == (3, 0)


@given(groups())
@settings(max_examples=60, deadline=None)
def test_the_names_of_the_groups_do_not_matter(data):
    k, n = data
    order = np.random.default_rng(0).permutation(len(k))
    for combine in (pairwise_difference_bounds, pairwise_ratio_bounds):
        one = combine(k, n, 0.05, 0.01, 10)
        other = combine(np.array(k)[order], np.array(n)[order], 0.05, 0.01, 10)
        assert (one.value, one.claim, one.corrected) == (other.value, other.claim, other.corrected)
        assert sorted(order[list(other.small)]) == list(one.small)


@given(groups())
@settings(max_examples=60, deadline=None)
def test_the_bounds_hold_the_value_and_stay_in_range(data):
    k, n = data
    for combine in (pairwise_difference_bounds, pairwise_ratio_bounds):
        result = combine(k, n, 0.05, 0.01, 10)
        for interval in (result.claim, result.corrected):
            assert 0 <= interval.lower <= interval.upper <= 1
            if result.value is not None:
                assert interval.lower <= result.value + 1e-12
                assert result.value <= interval.upper + 1e-12


def test_a_small_group_makes_a_pass_impossible_but_not_a_failure():
    result = pairwise_difference_bounds([95, 96, 0], [100, 100, 10], 0.05, 0.05 / 6, 20)
    assert result.small == (2,)
    assert result.claim_upper == 1.0
    assert result.corrected_lower > 0.5
    shares = pairwise_ratio_bounds([95, 96, 0], [100, 100, 10], 0.05, 0.05 / 6, 20)
    assert shares.claim_lower == 0.0
    assert shares.corrected_upper < 0.6


def test_an_empty_group_supports_nothing():
    result = pairwise_difference_bounds([50, 50, 0], [100, 100, 0], 0.05, 0.01, 1)
    assert result.small == (2,)
    assert result.value == 0.0
    assert result.claim_upper == result.corrected_upper == 1.0
    assert result.corrected_lower == 0.0


@pytest.mark.parametrize(("k", "n"), [([], []), ([3], [5]), ([3, 0], [5, 0]), ([0, 0], [0, 0])])
def test_fewer_than_two_rates_have_no_gap(k, n):
    for combine in (pairwise_difference_bounds, pairwise_ratio_bounds):
        result = combine(k, n, 0.05, 0.01, 1)
        assert (result.value, result.pair) == (None, None)
        assert result.claim == result.corrected == Interval(0.0, 1.0)


def test_no_hit_anywhere_has_no_ratio():
    result = pairwise_ratio_bounds([0, 0], [80, 90], 0.05, 0.025, 1)
    assert result.value is None
    assert result.claim == Interval(0.0, 1.0)


def test_equal_groups_have_a_gap_of_nothing_and_a_lower_end_of_nothing():
    result = pairwise_difference_bounds([80, 80], [100, 100], 0.05, 0.025, 1)
    assert (result.value, result.claim_lower, result.corrected_lower) == (0.0, 0.0, 0.0)
    assert result.claim_upper < 0.1


def test_the_method_says_what_was_used():
    assert pairwise_difference_bounds([40, 50], [100, 100], 0.05, 0.025, 1).method == "Newcombe"
    assert "below 50" in pairwise_difference_bounds([20, 50], [40, 100], 0.05, 0.025, 1).method
    assert "sparse" in pairwise_difference_bounds([2, 50], [100, 100], 0.05, 0.025, 1).method
    assert pairwise_ratio_bounds([40, 50], [100, 100], 0.05, 0.025, 1).method == "Koopman"


def test_fourteen_groups_are_compared_in_a_moment():
    k, n = np.arange(60, 74), np.full(14, 120)
    sparse = np.full(14, 3)
    pairwise_difference_bounds(k, n, 0.05, 0.05 / 182, 20)
    start = time.perf_counter()
    pairwise_difference_bounds(k, n, 0.05, 0.05 / 182, 20)
    newcombe = time.perf_counter() - start
    pairwise_difference_bounds(sparse, n, 0.05, 0.05 / 182, 20)
    assert newcombe < 0.2
    assert time.perf_counter() - start < 3


def test_vectors_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="one count per group"):
        pairwise_difference_bounds([1, 2], [3], 0.05, 0.01, 1)


def test_ordered_pairs_count_both_directions():
    assert [ordered_pairs(count) for count in (0, 1, 2, 14)] == [0, 0, 2, 182]


class TestCombineMax:
    rise = Comparison(0.1, Interval(0.02, 0.18), Interval(-0.05, 0.25))
    drop = Comparison(-0.3, Interval(-0.4, -0.2), Interval(-0.5, -0.1))

    def test_both_ways_takes_the_largest_absolute_gap(self):
        result = combine_max([self.rise, self.drop])
        assert (result.value, result.widest) == (0.3, 1)
        assert result.claim == Interval(0.2, 0.4)
        assert result.corrected == Interval(0.1, 0.5)

    def test_one_way_keeps_the_sign(self):
        result = combine_max([self.rise, self.drop], both_ways=False)
        assert (result.value, result.widest) == (0.1, 0)
        assert result.claim == Interval(0.02, 0.18)
        assert combine_max([self.drop], both_ways=False).value == -0.3

    def test_lower_ends_are_floored_at_zero_both_ways(self):
        wide = Comparison(0.0, Interval(-0.1, 0.1), Interval(-0.2, 0.2))
        assert combine_max([wide]).claim == Interval(0.0, 0.1)

    def test_an_undefined_comparison_makes_a_pass_impossible(self):
        unknown = Comparison(None, Interval(-1.0, 1.0), Interval(-1.0, 1.0))
        result = combine_max([self.rise, unknown])
        assert (result.value, result.widest, result.claim.upper) == (0.1, 0, 1.0)

    def test_no_bound_anywhere_is_no_bound_at_all(self):
        unbounded = Comparison(0.0, Interval(None, None), Interval(None, None))
        assert combine_max([self.rise, unbounded]).claim == Interval(0.02, None)

    def test_nothing_to_compare_gives_nothing(self):
        result = combine_max([])
        assert (result.value, result.widest) == (None, None)
        assert result.claim == Interval(None, None)

    def test_it_says_what_the_pairwise_bounds_say(self):
        k, n = [80, 60, 75], [100, 90, 120]
        pairs = [(0, 1), (0, 2), (1, 2)]
        compared = [
            Comparison(
                k[i] / n[i] - k[j] / n[j],
                difference(k[i], n[i], k[j], n[j], 0.05),
                difference(k[i], n[i], k[j], n[j], 0.01),
            )
            for i, j in pairs
        ]
        combined = combine_max(compared)
        direct = pairwise_difference_bounds(k, n, 0.05, 0.01, 1)
        assert combined.value == pytest.approx(direct.value)
        assert combined.claim.upper == pytest.approx(direct.claim_upper)
        assert combined.corrected.lower == pytest.approx(direct.corrected_lower)
