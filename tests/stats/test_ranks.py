"""Rank correlation and overlap of the top, against scipy and by hand."""

import itertools

import numpy as np
import pytest

from auditkit.stats.ranks import (
    average_ranks,
    spearman,
    top_overlap,
)

BOTH = pytest.mark.parametrize("correlation", [spearman])


def vectors(seed: int, levels: int | None):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 40))
    if levels is None:
        return rng.normal(size=size), rng.normal(size=size)
    return rng.integers(0, levels, size), rng.integers(0, levels, size)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("levels", [None, 2, 3, 8])
def test_correlations_are_scipys_with_and_without_ties(seed, levels):
    from scipy import stats

    one, other = vectors(seed, levels)
    np.testing.assert_allclose(average_ranks(one), stats.rankdata(one))
    if min(len(set(one.tolist())), len(set(other.tolist()))) < 2:
        assert spearman(one, other) is None
        return
    assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic, abs=1e-12)


@BOTH
def test_a_vector_agrees_with_itself_and_is_against_its_negative(correlation):
    one = np.random.default_rng(0).normal(size=50)
    assert correlation(one, one) == pytest.approx(1.0)
    assert correlation(one, -one) == pytest.approx(-1.0)
    assert correlation(one, np.exp(one)) == pytest.approx(1.0)


@BOTH
@pytest.mark.parametrize(
    ("one", "other"), [([], []), ([1.0], [2.0]), ([1, 1, 1], [1, 2, 3]), ([0, 0], [0, 0])]
)
def test_a_correlation_with_what_does_not_vary_is_undefined(correlation, one, other):
    assert correlation(one, other) is None
    assert correlation(other, one) is None


@BOTH
def test_tiny_and_huge_weights_are_as_good_as_others(correlation):
    one = [1e-300, 2e-300, 3e-300]
    assert correlation(one, [1e300, 2e300, 3e300]) == pytest.approx(1.0)


@pytest.mark.parametrize("call", [spearman, lambda one, other: top_overlap(one, other, 3)])
@pytest.mark.parametrize(
    ("one", "other"), [([1, 2], [1, 2, 3]), ([1, np.nan], [1, 2]), ([[1, 2]], [[1, 2]])]
)
def test_what_cannot_be_compared_is_refused(call, one, other):
    with pytest.raises(ValueError, match=r"one length|finite"):
        call(one, other)


def test_the_overlap_counts_what_both_have_on_top():
    one, other = [9, 8, 7, 1, 0, 0.5], [9, 0, 7, 8, 1, 0.5]
    assert top_overlap(one, other, 3) == pytest.approx(2 / 3)
    assert top_overlap(one, one, 3) == 1.0
    assert top_overlap([2, 1], [1, 2], 1) == 0.0


def test_more_than_there_is_overlaps_wholly_and_nothing_not_at_all():
    assert top_overlap([1, 2], [2, 1], 5) == 1.0
    assert top_overlap([], [], 5) is None
    with pytest.raises(ValueError, match="at least 1"):
        top_overlap([1, 2], [2, 1], 0)


def test_ties_at_the_edge_are_broken_in_every_way_and_averaged():
    one, other = [5, 3, 3, 3, 1], [1, 3, 3, 5, 0]
    every = []
    for left, right in itertools.product([1, 2, 3], [1, 2]):
        every.append(len({0, left} & {3, right}) / 2)
    assert top_overlap(one, other, 2) == pytest.approx(np.mean(every))


def test_weights_that_prefer_nothing_overlap_as_much_as_chance():
    assert top_overlap(np.zeros(20), np.arange(20), 5) == pytest.approx(5 / 20)
