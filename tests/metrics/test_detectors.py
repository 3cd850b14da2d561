"""Every detector against an implementation of its own, written from the paper's formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp, softmax
from scipy.stats import entropy
from sklearn.covariance import EmpiricalCovariance
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from auditkit.metrics.detectors import DETECTORS, OF_TRAINING, Reference, logit_scores
from auditkit.model import Head


@pytest.fixture(scope="module")
def space():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    mixing = rng.normal(size=(16, 16))
    train = (rng.normal(size=(400, 16)) + 2 * np.eye(3, 16)[labels]) @ mixing
    asked = rng.normal(size=(90, 16)) @ mixing * rng.uniform(0.2, 3, (90, 1))
    head = Head(rng.normal(size=(3, 16)) / 10, rng.normal(size=3))
    return Reference(train, labels, head, neighbours=7), asked


def independent(reference: Reference, asked: np.ndarray) -> dict[str, np.ndarray]:
    train, labels, head = reference.embeddings, reference.labels, reference.head
    logits = asked @ head.weights.T + head.bias
    probabilities = softmax(logits, axis=1)
    # Lee et al. 2018: scikit-learn's estimator of the centred rows, as in the authors' code.
    means = np.stack([train[labels == c].mean(axis=0) for c in range(3)])
    fit = EmpiricalCovariance(assume_centered=True).fit(train - means[labels])
    away = [np.einsum("ij,jk,ik->i", asked - m, fit.precision_, asked - m) for m in means]
    # Sun et al. 2022.
    near = NearestNeighbors(n_neighbors=7, algorithm="brute").fit(normalize(train))
    # Wang et al. 2022: null space by a singular value decomposition instead of eigenvectors.
    origin = -np.linalg.lstsq(head.weights, head.bias, rcond=None)[0]
    basis = np.linalg.svd(train - origin, full_matrices=True)[2][8:].T
    scale = (train @ head.weights.T + head.bias).max(axis=1).mean()
    scale /= np.linalg.norm((train - origin) @ basis, axis=1).mean()
    virtual = scale * np.linalg.norm((asked - origin) @ basis, axis=1)
    return {
        "msp": 1 - probabilities.max(axis=1),
        "max-logit": -logits.max(axis=1),
        "energy": -logsumexp(logits, axis=1),
        "entropy": entropy(probabilities, axis=1),
        "mahalanobis": np.min(away, axis=0),
        "knn": near.kneighbors(normalize(asked))[0][:, -1],
        "vim": virtual - logsumexp(logits, axis=1),
    }


@pytest.mark.parametrize("name", DETECTORS)
def test_a_score_is_that_of_an_independent_implementation(name, space):
    reference, asked = space
    scores = logit_scores(reference.head.logits(asked)) | reference.scores(asked)
    assert list(scores) == list(DETECTORS)
    expected = independent(reference, asked)[name]
    np.testing.assert_allclose(scores[name], expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", OF_TRAINING)
def test_rows_far_from_the_training_rows_score_higher(name, space):
    reference, _ = space
    far = reference.embeddings[:50][:, ::-1] * 5
    near = reference.scores(reference.embeddings[50:100])[name]
    assert np.median(reference.scores(far)[name]) > np.median(near)


def test_large_logits_do_not_overflow():
    found = logit_scores(np.array([[2_000.0, -2_000.0], [0.0, 0.0]]))
    assert all(np.isfinite(scores).all() for scores in found.values())
    assert found["msp"].tolist() == [0.0, 0.5]
    assert found["entropy"][1] == pytest.approx(np.log(2))


def test_fewer_training_rows_than_neighbours_and_constant_embeddings_are_no_crash():
    head = Head(np.eye(2, 4), np.zeros(2))
    reference = Reference(np.ones((3, 4)), np.array([0, 0, 0]), head, neighbours=50)
    assert all(np.isfinite(s).all() for s in reference.scores(np.zeros((2, 4))).values())
