"""Corrections for many comparisons."""

import numpy as np
import pytest

from auditkit.stats.multiplicity import benjamini_hochberg, bonferroni_alpha, holm

# Benjamini & Hochberg (1995), section 3.1: fifteen ordered p values of a myocardial study.
MYOCARDIAL = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
    0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
]  # fmt: skip


def test_four_p_values_are_adjusted_in_their_order():
    p = [0.01, 0.04, 0.03, 0.005]
    np.testing.assert_allclose(holm(p), [0.03, 0.06, 0.06, 0.02], atol=1e-12)
    np.testing.assert_allclose(benjamini_hochberg(p), [0.02, 0.04, 0.04, 0.02], atol=1e-12)


def test_the_fifteen_of_benjamini_and_hochberg_give_their_rejections():
    assert (benjamini_hochberg(MYOCARDIAL) <= 0.05).sum() == 4
    assert (holm(MYOCARDIAL) <= 0.05).sum() == 3
    assert (np.array(MYOCARDIAL) <= bonferroni_alpha(0.05, 15)).sum() == 3


def test_one_p_value_stays_and_none_is_none():
    assert holm([0.02])[0] == pytest.approx(0.02)
    assert holm([]).size == 0


def test_no_comparison_counts_as_one():
    assert bonferroni_alpha(0.05, 0) == 0.05
    assert bonferroni_alpha(0.05, 182) == 0.05 / 182


def test_a_p_value_outside_the_unit_interval_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, 1.5])


def test_a_negative_number_of_comparisons_is_refused():
    with pytest.raises(ValueError, match="comparisons"):
        bonferroni_alpha(0.05, -1)
