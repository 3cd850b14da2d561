"""The mixture of linear classifiers against fairlearn's own."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from auditkit.metrics.reduction import Settings, reduce, scale

pytest.importorskip("fairlearn")


def planted(n: int = 400, seed: int = 0):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 2, n)
    truth = rng.random(n) < np.where(groups == 1, 0.6, 0.3)
    features = rng.normal(size=(n, 5)) * np.array([1, 2, 0.5, 1, 3]) + 1.0
    features[:, 0] += 1.5 * truth
    features[:, 1] += groups
    return features, truth, groups


def test_it_chooses_each_row_as_often_as_fairlearn_does():
    from fairlearn.reductions import DemographicParity, ExponentiatedGradient
    from sklearn.linear_model import LogisticRegression

    features, truth, groups = planted()
    mixture = reduce(features, truth, groups, Settings("demographic-parity", 0.04))
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    solver = ExponentiatedGradient(
        LogisticRegression(C=1.0, solver="newton-cholesky", max_iter=100),
        DemographicParity(difference_bound=0.02),
        eps=0.02,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solver.fit(scaled, truth.astype(int), sensitive_features=groups)
        expected = solver._pmf_predict(scaled)[:, 1]
    assert mixture.share_chosen(features) == pytest.approx(expected, abs=1e-9)


def test_the_gap_of_the_mixture_is_within_the_slack():
    features, truth, groups = planted()
    plain = reduce(features, truth, groups, Settings("demographic-parity", 0.9))
    bound = reduce(features, truth, groups, Settings("demographic-parity", 0.04))
    gaps = [abs(share[groups == 0].mean() - share[groups == 1].mean())
            for share in (one.share_chosen(features) for one in (plain, bound))]  # fmt: skip
    assert gaps[0] > 0.15
    assert gaps[1] < 0.08


def test_a_member_that_answers_always_the_same_is_a_constant():
    rng = np.random.default_rng(0)
    features, groups = rng.normal(size=(60, 2)), np.repeat([0, 1], 30)
    mixture = reduce(features, groups == 1, groups, Settings("demographic-parity", 0.0))
    assert np.isfinite(mixture.margins(features)).all()
    assert mixture.weights.sum() == pytest.approx(1.0)


def test_the_scale_makes_log_odds_of_margins():
    rng = np.random.default_rng(0)
    odds = rng.normal(size=20_000) * 2
    truth = rng.random(20_000) < 1 / (1 + np.exp(-odds))
    assert scale(odds / 5, truth) == pytest.approx(5.0, rel=0.05)
