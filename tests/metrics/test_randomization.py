"""How alike two explanations are, how spread out one is, and how much of a response is random."""

from __future__ import annotations

import math

import numpy as np
import pytest

from auditkit.metrics.randomization import alike, complexity, random_share, response


def test_explanations_that_prefer_nothing_are_alike_and_unlike_all_others():
    flat, steep = np.zeros(4), np.array([1.0, 2, 3, 4])
    assert alike(flat, flat) == alike(flat, flat + 0.3) == 1.0
    assert alike(flat, steep) == alike(steep, flat) == 0.0
    assert alike(steep, steep * 9) == pytest.approx(1.0)
    assert alike(steep, -steep) == pytest.approx(-1.0)


def test_complexity_goes_from_one_word_to_all_alike():
    assert complexity(np.array([0.0, 5, 0])) == 0.0
    assert complexity(np.array([-2.0, 2, 2, -2])) == pytest.approx(1.0)
    assert complexity(np.zeros(5)) == 1.0
    shares = np.array([0.5, 0.25, 0.25])
    assert complexity(shares) == pytest.approx(1.5 * math.log(2) / math.log(3))
    assert complexity(shares * 1e308) == pytest.approx(complexity(shares))
    assert complexity(shares * 1e-308) == pytest.approx(complexity(shares))


def test_a_response_is_a_change_of_log_odds_and_sure_scores_stay_finite():
    assert response(np.array([0.9]), np.array([0.5]))[0] == pytest.approx(math.log(9))
    assert response(np.array([0.5]), np.array([0.9]))[0] == pytest.approx(math.log(9))
    assert np.isfinite(response(np.array([1.0, 0.0]), np.array([0.0, 1.0]))).all()


def test_the_random_share_is_what_the_copies_give_of_both():
    half = np.array([0.5, 0.5])
    strong, weak = np.array([0.99, 0.5]), np.array([0.55, 0.5])
    share = random_share((strong, half), [(weak, half)])
    assert share[0] == pytest.approx(math.log(0.55 / 0.45) / (math.log(99) + math.log(0.55 / 0.45)))
    assert share[1] == 0.5
    assert random_share((weak, half), [(weak, half)] * 3)[0] == pytest.approx(0.5)
    assert random_share((half, half), [(weak, half)])[0] == 1.0
    assert random_share((strong, half), [(half, half)])[0] == 0.0
