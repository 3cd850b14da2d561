"""How far out a row is, by the model's own logits and embeddings. Larger is further out.

Each score is written from its paper's formula. Those that need to know what the model was trained
on are fitted to embeddings of training rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from auditkit.model import Head

Floats = NDArray[np.float64]

OF_PROBABILITIES = ("msp", "entropy")
"""Detectors that need nothing but the probabilities."""
OF_LOGITS = ("msp", "max-logit", "energy", "entropy")
"""Detectors that need nothing but the answer: these two, and two that read its logits."""
OF_TRAINING = ("mahalanobis", "knn", "vim")
"""Detectors that are fitted to training rows."""
DETECTORS = OF_LOGITS + OF_TRAINING

_BLOCK = 1 << 24
"""Distances held at once: 128 MiB."""


def log_sum_exp(logits: Floats) -> Floats:
    """log Σ exp of each row, without overflow."""
    top = logits.max(axis=1)
    return np.asarray(top + np.log(np.exp(logits - top[:, None]).sum(axis=1)))


def probability_scores(probabilities: Floats) -> dict[str, Floats]:
    """Scores (n,) of probabilities (n, classes), by detector of `OF_PROBABILITIES`.

    Those of `logit_scores`. The others cannot be known: probabilities say nothing of the level of
    the logits they were made from.
    """
    from scipy.special import entr

    return {
        "msp": 1.0 - probabilities.max(axis=1),
        "entropy": np.asarray(entr(probabilities).sum(axis=1)),
    }


def logit_scores(logits: Floats) -> dict[str, Floats]:
    """Scores (n,) of logits (n, classes), by detector.

    msp: one less the largest probability (Hendrycks & Gimpel 2017). max-logit: the negative largest
    logit (Hendrycks et al. 2022). energy: -log Σ exp, temperature 1 (Liu et al. 2020). entropy: of
    the probabilities, in nats.
    """
    log_probabilities = logits - log_sum_exp(logits)[:, None]
    probabilities = np.exp(log_probabilities)
    return {
        "msp": 1.0 - probabilities.max(axis=1),
        "max-logit": -logits.max(axis=1),
        "energy": -log_sum_exp(logits),
        "entropy": -(probabilities * log_probabilities).sum(axis=1),
    }


@dataclass(frozen=True, eq=False)
class Reference:
    """What the model was trained on, as it represents it.

    Attributes:
        embeddings: Of training rows, shape (n, width), n >= 2.
        labels: Class of each, shape (n,).
        head: Makes the logits.
        neighbours: Which nearest neighbour the distance to counts.
    """

    embeddings: Floats
    labels: NDArray[np.int64]
    head: Head
    neighbours: int = 50

    def scores(self, embeddings: Floats) -> dict[str, Floats]:
        """Scores (m,) of embeddings (m, width), by detector of `OF_TRAINING`."""
        return {
            "mahalanobis": self.mahalanobis(embeddings),
            "knn": self.knn(embeddings),
            "vim": self.vim(embeddings),
        }

    def mahalanobis(self, embeddings: Floats) -> Floats:
        """Squared distance to the nearest class mean, under one covariance (Lee et al. 2018)."""
        means, precision = self._gaussians
        distances = []
        for mean in means:
            away = embeddings - mean
            distances.append(((away @ precision) * away).sum(axis=1))
        return np.asarray(np.min(distances, axis=0))

    def knn(self, embeddings: Floats) -> Floats:
        """Distance to the k-th nearest training row, all of length 1 (Sun et al. 2022).

        k is `neighbours`, or the number of training rows if that is smaller.
        """
        k = min(self.neighbours, len(self.embeddings))
        known, asked = _unit(self.embeddings), _unit(embeddings)
        found = np.zeros(len(asked))
        step = max(1, _BLOCK // len(known))
        for start in range(0, len(asked), step):
            near = asked[start : start + step] @ known.T
            nearest = np.partition(near, -k, axis=1)[:, -k]
            found[start : start + step] = np.sqrt(np.maximum(2.0 - 2.0 * nearest, 0.0))
        return found

    def vim(self, embeddings: Floats) -> Floats:
        """Virtual logit: what lies outside the principal space, less the energy (Wang et al. 2022).

        The origin is where the logits vanish, -W⁺b. The principal space has 1,000 dimensions from a
        width of 2,048 on, 512 from 768 on, and half the width below, as in the authors' code. The
        virtual logit is scaled so that on the training rows it is the mean largest logit.
        """
        origin, outside, scale = self._principal
        virtual = np.linalg.norm((embeddings - origin) @ outside, axis=1) * scale
        return np.asarray(virtual - log_sum_exp(self.head.logits(embeddings)))

    @cached_property
    def _gaussians(self) -> tuple[Floats, Floats]:
        """Means of the classes that occur, and the inverse of the covariance they share."""
        from scipy.linalg import pinvh

        classes, place = np.unique(self.labels, return_inverse=True)
        means = np.stack([self.embeddings[place == c].mean(axis=0) for c in range(len(classes))])
        away = self.embeddings - means[place]
        return means, np.asarray(pinvh(away.T @ away / len(away)))

    @cached_property
    def _principal(self) -> tuple[Floats, Floats, float]:
        """Origin, basis of what lies outside the principal space, and the scale."""
        origin = -np.linalg.pinv(self.head.weights) @ self.head.bias
        away = self.embeddings - origin
        vectors = np.linalg.eigh(away.T @ away / len(away))[1]  # ascending
        outside = vectors[:, : away.shape[1] - _principal_dimensions(away.shape[1])]
        size = float(np.linalg.norm(away @ outside, axis=1).sum())
        largest = float(self.head.logits(self.embeddings).max(axis=1).sum())
        return origin, outside, largest / size if size > 0 else 0.0


def _principal_dimensions(width: int) -> int:
    if width >= 2048:
        return 1000
    return 512 if width >= 768 else width // 2


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-10))
