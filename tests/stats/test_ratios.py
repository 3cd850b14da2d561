"""Intervals of the ratio of two rates, and the four-fifths rule."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from auditkit.finding import Interval
from auditkit.stats.ratios import (
    at_least_four_fifths,
    exact_hybrid_ratio_bounds,
    fisher_exact,
    katz,
    koopman,
    koopman_bounds,
    one_person_flip,
    ratio,
    ratio_bounds,
)

alphas = st.floats(1e-5, 0.4)

# Selected and total from the worked examples of 6 RCNY 5-301 (New York City, 2023).
FEMALE, MALE = (555, 1181), (667, 1390)
NATIVE_FEMALE, WHITE_MALE, BLACK_MALE = (7, 17), (215, 412), (95, 226)
LL144 = [
    (FEMALE, MALE, 0.979337, (0.9026, 1.0626), (0.9023, 1.0624), 0.634486),
    (NATIVE_FEMALE, WHITE_MALE, 0.789056, (0.4437, 1.4031), (0.4117, 1.2428), 0.460538),
    (BLACK_MALE, WHITE_MALE, 0.805516, (0.6736, 0.9633), (0.6703, 0.9586), 0.016287),
]
# Selection rate and impact ratio as printed in the same rule: (total, selected, rate, ratio).
PRINTED = {
    "sex": [(1390, 667, 0.48, 1.00), (1181, 555, 0.47, 0.979)],
    "race or ethnicity": [
        (408, 204, 0.50, 0.97), (797, 412, 0.52, 1.00), (390, 170, 0.44, 0.84),
        (119, 52, 0.44, 0.85), (616, 302, 0.49, 0.95), (41, 18, 0.44, 0.85), (213, 96, 0.45, 0.87),
    ],
    "intersectional": [
        (205, 90, 0.439, 0.841), (190, 82, 0.432, 0.827), (412, 215, 0.522, 1.000),
        (226, 95, 0.420, 0.806), (87, 37, 0.425, 0.815), (321, 167, 0.520, 0.997),
        (24, 11, 0.458, 0.878), (115, 52, 0.452, 0.866), (385, 197, 0.512, 0.981),
        (164, 75, 0.457, 0.876), (32, 15, 0.469, 0.898), (295, 135, 0.458, 0.877),
        (17, 7, 0.412, 0.789), (98, 44, 0.449, 0.860),
    ],
    "scores by sex": [(92, 50, 0.543, 1.00), (76, 34, 0.447, 0.82)],
    "scores by race": [
        (28, 18, 0.642, 1.00), (40, 15, 0.375, 0.58), (32, 16, 0.500, 0.78), (8, 5, 0.625, 0.97),
        (24, 10, 0.417, 0.65), (16, 10, 0.625, 0.97), (20, 10, 0.500, 0.78),
    ],
    "scores by both": [
        (16, 12, 0.75, 1.00), (12, 6, 0.50, 0.67), (20, 7, 0.35, 0.47), (20, 10, 0.50, 0.67),
        (4, 3, 0.75, 1.00), (12, 7, 0.583, 0.78), (8, 5, 0.625, 0.83), (12, 6, 0.50, 0.67),
        (20, 8, 0.40, 0.53), (12, 6, 0.50, 0.67), (4, 2, 0.50, 0.67), (12, 3, 0.25, 0.33),
        (8, 5, 0.625, 0.83), (8, 4, 0.50, 0.67),
    ],
}  # fmt: skip


@st.composite
def tables(draw):
    n1, n2 = draw(st.integers(1, 150)), draw(st.integers(1, 150))
    return draw(st.integers(0, n1)), n1, draw(st.integers(0, n2)), n2


def test_katz_and_koopman_give_the_published_digits():
    # R package PropCIs (riskscoreci); Fagerland, Lydersen & Laake (2015) print 0.91 to 54.
    log, score = katz(7, 34, 1, 34, 0.025), koopman(7, 34, 1, 34, 0.025)
    assert (log.lower, log.upper) == pytest.approx((0.909606, 53.869506), abs=1e-6)
    assert (score.lower, score.upper) == pytest.approx((1.220853, 42.575718), abs=1e-6)


@pytest.mark.parametrize(("group", "other", "value", "log", "score", "p"), LL144)
def test_the_new_york_examples_have_these_intervals(group, other, value, log, score, p):
    counts = (*group, *other)
    assert (group[0] / group[1]) / (other[0] / other[1]) == pytest.approx(value, abs=1e-6)
    by_katz, by_koopman = katz(*counts, 0.025), koopman(*counts, 0.025)
    assert (by_katz.lower, by_katz.upper) == pytest.approx(log, abs=5.1e-5)
    assert (by_koopman.lower, by_koopman.upper) == pytest.approx(score, abs=5.1e-5)
    assert fisher_exact(*counts) == pytest.approx(p, abs=1e-6)


@pytest.mark.parametrize("rows", PRINTED.values(), ids=PRINTED.keys())
def test_the_printed_impact_ratios_lie_in_their_intervals_and_on_their_side(rows):
    best = max(rows, key=lambda row: Fraction(row[1], row[0]))
    for total, selected, printed_rate, printed_ratio in rows:
        # The rule truncates some rates and rounds others.
        assert selected / total == pytest.approx(printed_rate, abs=0.0051)
        interval = ratio(selected, total, best[1], best[0], 0.025)
        assert interval.lower <= printed_ratio + 0.006
        assert interval.upper >= printed_ratio - 0.006
        side = at_least_four_fifths(selected, total, best[1], best[0])
        assert side is (printed_ratio >= 0.8)


def test_koopman_agrees_with_statsmodels_without_its_correction():
    from statsmodels.stats.proportion import _confint_riskratio_koopman

    rng = np.random.default_rng(0)
    for _ in range(60):
        n1, n2 = rng.integers(5, 300, 2)
        k1, k2 = rng.integers(1, n1), rng.integers(1, n2)
        expected = _confint_riskratio_koopman(k1, n1, k2, n2, alpha=0.05, correction=False)
        interval = koopman(k1, n1, k2, n2, 0.025)
        assert (interval.lower, interval.upper) == pytest.approx(expected.confint, rel=1e-7)


def test_katz_agrees_with_its_closed_form():
    interval = katz(20, 50, 30, 60, 0.025)
    error = (1 / 20 - 1 / 50 + 1 / 30 - 1 / 60) ** 0.5
    assert np.log(interval.upper / 0.8) == pytest.approx(1.959964 * error, abs=1e-6)
    given_ = confint_proportions_2indep(20, 50, 30, 60, method="log", compare="ratio")
    assert interval.lower == pytest.approx(given_[0])


@pytest.mark.parametrize("interval", [koopman, ratio])
@given(tables(), alphas, alphas)
@settings(max_examples=60, deadline=None)
def test_a_ratio_lies_inside_and_smaller_alphas_are_wider(interval, counts, one, other):
    k1, n1, k2, n2 = counts
    wide, narrow = interval(*counts, min(one, other)), interval(*counts, max(one, other))
    assert 0 <= wide.lower <= narrow.lower * (1 + 1e-9)
    if narrow.upper is not None and wide.upper is not None:
        assert narrow.upper <= wide.upper * (1 + 1e-9)
    if k2:
        value = (k1 / n1) / (k2 / n2)
        assert narrow.lower <= value * (1 + 1e-9)
        assert value <= narrow.upper * (1 + 1e-9)


@pytest.mark.parametrize("interval", [koopman, ratio])
@given(tables(), alphas)
@settings(max_examples=60, deadline=None)
def test_swapping_the_groups_inverts_the_interval(interval, counts, alpha):
    k1, n1, k2, n2 = counts
    there, back = interval(k1, n1, k2, n2, alpha), interval(k2, n2, k1, n1, alpha)
    assert there.upper == (1 / back.lower if back.lower else None)


@pytest.mark.parametrize("interval", [koopman, katz, ratio])
@pytest.mark.parametrize("counts", [(0, 0, 3, 5), (3, 5, 0, 0), (0, 8, 0, 9), (0, 0, 0, 0)])
def test_an_undefined_ratio_says_nothing(interval, counts):
    assert interval(*counts, 0.05) == Interval(0.0, None)


def test_no_hit_below_has_no_upper_end_and_no_hit_above_starts_at_zero():
    assert ratio(5, 20, 0, 20, 0.025).upper is None
    assert ratio(5, 20, 0, 20, 0.025).lower > 0
    assert ratio(0, 20, 5, 20, 0.025).lower == 0.0
    assert 0 < ratio(0, 20, 5, 20, 0.025).upper < 2


def test_everybody_hit_gives_an_interval_around_one():
    interval = ratio(34, 34, 34, 34, 0.025)
    assert interval.lower < 1 < interval.upper


def test_with_few_hits_the_wider_of_score_and_exact_is_used():
    counts = (5, 100, 40, 100)
    score, exact = koopman(*counts, 0.025), exact_hybrid_ratio_bounds(*counts, 0.025)
    interval = ratio(*counts, 0.025)
    assert interval.lower == min(score.lower, float(exact[0]))
    assert interval.upper == max(score.upper, float(exact[1]))


def test_many_pairs_at_once_equal_one_at_a_time():
    rng = np.random.default_rng(2)
    n = rng.integers(1, 200, (2, 40))
    k = rng.integers(0, n + 1)
    for many, one in [(koopman_bounds, koopman), (ratio_bounds, ratio)]:
        lower, upper = many(k[0], n[0], k[1], n[1], 0.01)
        for at in range(40):
            single = one(k[0, at], n[0, at], k[1, at], n[1, at], 0.01)
            assert lower[at] == pytest.approx(single.lower, rel=1e-9)
            assert upper[at] == pytest.approx(
                np.inf if single.upper is None else single.upper, rel=1e-9
            )


def test_fisher_tells_tea_from_chance():
    # Fisher (1935): three of four cups right.
    assert fisher_exact(3, 4, 1, 4) == pytest.approx(0.485714, abs=1e-6)


class TestFourFifths:
    @pytest.mark.parametrize(
        ("counts", "holds"),
        [
            ((4, 10, 5, 10), True),
            ((40, 100, 50, 100), True),
            ((39, 100, 50, 100), False),
            ((48, 100, 60, 100), True),
            ((12, 25, 3, 5), True),
            ((28, 50, 7, 10), True),
            ((0, 10, 0, 10), True),
            ((0, 10, 1, 10), False),
            ((10, 10, 0, 10), True),
        ],
    )
    def test_exactly_four_fifths_is_no_violation(self, counts, holds):
        assert at_least_four_fifths(*counts) is holds

    def test_whole_numbers_are_right_wherever_floats_are_wrong(self):
        wrong = 0
        exact = [(4 * i, 5 * i, n) for n in range(10, 200) for i in range(1, n // 5 + 1)]
        for k1, k2, n in exact:
            assert at_least_four_fifths(k1, n, k2, n)
            wrong += (k1 / n) / (k2 / n) < 0.8
        assert wrong > len(exact) / 10

    def test_another_limit_can_be_set(self):
        assert at_least_four_fifths(3, 4, 4, 4, Fraction(3, 4))
        assert not at_least_four_fifths(3, 4, 4, 4, Fraction(7, 8))

    def test_an_empty_group_is_refused(self):
        with pytest.raises(ValueError, match="empty"):
            at_least_four_fifths(0, 0, 1, 2)


class TestOnePersonFlip:
    @pytest.mark.parametrize(
        ("counts", "flips"),
        [
            ((3, 5, 4, 5), True),
            ((39, 100, 50, 100), True),
            ((30, 100, 50, 100), False),
            ((50, 100, 50, 100), False),
            ((1, 2, 2, 2), True),
            ((0, 3, 0, 3), True),
        ],
    )
    def test_it_sees_a_verdict_that_hangs_on_one_person(self, counts, flips):
        assert one_person_flip(*counts) is flips

    @given(tables())
    @settings(max_examples=60, deadline=None)
    def test_the_order_of_the_groups_does_not_matter(self, counts):
        k1, n1, k2, n2 = counts
        assert one_person_flip(k1, n1, k2, n2) is one_person_flip(k2, n2, k1, n1)
