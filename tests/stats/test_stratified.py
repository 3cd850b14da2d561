"""Standardised gaps: values by hand, intervals that cover, extremes that hold every assignment."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.stats.differences import difference
from auditkit.stats.stratified import (
    Cells,
    StratifiedExtremes,
    mantel_haenszel_weights,
    standardised_rates,
    standardised_upper,
    stratified_difference_bounds,
    stratified_ratio_bounds,
)


def bounds(k, n, alpha: float = 0.05):
    hits, sizes = np.array(k, dtype=float), np.array(n)
    return stratified_difference_bounds(
        Cells(hits, sizes.astype(float)), mantel_haenszel_weights(sizes), (alpha, alpha), 1
    )


def test_the_weights_are_those_of_mantel_and_haenszel_and_none_where_a_group_is_absent():
    weights = mantel_haenszel_weights(np.array([[10, 30, 5], [20, 10, 0]]))
    raw = np.array([200 / 30, 300 / 40, 0.0])
    assert weights[0, 1] == pytest.approx(raw / raw.sum())
    assert (weights[1, 0] == weights[0, 1]).all()
    assert (weights[0, 0] == 0).all()


def test_with_one_stratum_the_interval_is_that_of_the_plain_difference():
    for k, n in (([30, 45], [100, 90]), ([2, 9], [30, 40]), ([0, 4], [25, 200])):
        found = bounds([[x] for x in k], [[x] for x in n])
        plain = difference(k[1], n[1], k[0], n[0], 0.05)
        assert found.claim_upper == pytest.approx(max(plain.upper, -plain.lower), abs=1e-9)
        assert found.claim_lower == pytest.approx(max(plain.lower, 0.0), abs=1e-9)


def errors(n, rates, alpha: float, draws: int = 3000) -> tuple[float, float]:
    """How often the upper end is below the true gap, and the lower end above it."""
    sizes, rates = np.array(n), np.array(rates)
    weights = mantel_haenszel_weights(sizes)[0, 1]
    gap = float(weights @ (rates[0] - rates[1]))
    drawn = np.random.default_rng(0).binomial(sizes, rates, size=(draws, *sizes.shape))
    first, second = (
        standardised_rates(drawn[:, i].astype(float), sizes[i].astype(float), weights, alpha)
        for i in (0, 1)
    )
    upper = standardised_upper(first, second, alpha)
    lower = -standardised_upper(second, first, alpha)
    return float((upper < gap).mean()), float((lower > gap).mean())


@pytest.mark.parametrize(
    ("n", "rates"),
    [
        ([[40] * 5, [40] * 5], [[0.2, 0.4, 0.6, 0.8, 0.9], [0.1, 0.2, 0.5, 0.6, 0.8]]),
        ([[10, 40, 80, 20], [200, 40, 20, 90]], [[0.3, 0.4, 0.7, 0.9], [0.1, 0.3, 0.5, 0.6]]),
        ([[2] * 40, [3] * 40], [[0.5] * 40, [0.3] * 40]),
        ([[100, 100], [100, 100]], [[0.97, 0.1], [0.9, 0.02]]),
        ([[60] * 3, [60] * 3], [[0.9, 0.6, 0.3], [0.1, 0.5, 0.7]]),
    ],
    ids=["even strata", "uneven strata", "tiny strata", "strata near 0 and 1", "opposite gaps"],
)
def test_each_end_errs_no_more_often_than_it_claims(n, rates):
    # 3,000 draws: 5 % plus two and a half standard errors.
    assert max(errors(n, rates, 0.05)) <= 0.06
    assert max(errors(n, rates, 0.001)) <= 0.003


def test_strata_that_explain_the_outcome_narrow_the_interval():
    explained = bounds([[5, 95], [5, 95]], [[100, 100], [100, 100]])
    not_explained = bounds([[50, 50], [50, 50]], [[100, 100], [100, 100]])
    assert explained.claim_upper < 0.7 * not_explained.claim_upper


def test_the_extremes_hold_the_gap_of_every_assignment_of_the_unknown_rows():
    k, n = np.array([[4, 9], [3, 5]]), np.array([[10, 14], [9, 8]])
    hits, misses = np.array([2, 1]), np.array([1, 3])
    weights = mantel_haenszel_weights(n)
    side = StratifiedExtremes(
        Cells((k + hits).astype(float), (n + hits).astype(float)),
        Cells(k.astype(float), (n + misses).astype(float)),
    )
    cells = Cells(k.astype(float), n.astype(float))
    found = stratified_difference_bounds(cells, weights, (0.05, 0.01), 1, side)
    ratio = stratified_ratio_bounds(cells, weights, (0.05, 0.01), 1, side)
    rng = np.random.default_rng(0)
    for _ in range(300):
        own_hits, own_misses = rng.integers(0, hits + 1), rng.integers(0, misses + 1)
        added = np.stack([own_hits, hits - own_hits])
        more = np.stack([own_misses, misses - own_misses])
        rates = (k + added) / (n + added + more)
        first, second = weights[0, 1] @ rates[0], weights[0, 1] @ rates[1]
        assert found.region.lower - 1e-12 <= abs(first - second) <= found.region.upper + 1e-12
        least = min(first, second) / max(first, second)
        assert ratio.region.lower - 1e-12 <= least <= ratio.region.upper + 1e-12
    assert found.claim_upper > found.region.upper
    assert ratio.claim_lower < ratio.region.lower


def test_a_pair_without_a_shared_stratum_says_nothing():
    found = bounds([[5, 0], [0, 5]], [[10, 0], [0, 10]])
    assert (found.value, found.claim_upper, found.corrected_lower) == (None, 1.0, 0.0)
