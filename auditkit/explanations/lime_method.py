"""LIME: a linear model of the answers to versions of a text that lack words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Attribution, Effort, Span
from auditkit.explanations.asking import Ask

MOST_SAMPLES = 5000
"""Samples at which "auto" ends; what `lime` takes by default."""
FIRST_SAMPLES, GROWTH = 400, 1.25
"""Samples of the first look of "auto", and how many times as many the next one has."""
STABLE = 0.95
"""Confidence that no further sample would change the most important words."""
_DRAWS = 2000
_LIME_WORD = re.compile(r"\w")
_Z95 = 1.959963984540054


def lime(text: str, label: int, ask: Ask, effort: Effort) -> Attribution:
    """Weights of `lime.LimeTextExplainer` (Ribeiro et al. 2016) with its own defaults, all words.

    With a number of samples they are those of `explain_instance(text, f, labels=(label,),
    num_features=<all words>, num_samples=effort.samples)` of an explainer with
    `random_state=effort.seed`.

    With "auto", LIME draws its 5,000 samples, and the model is asked about them part by part.
    After each part the weights' covariance is estimated (HC3 of MacKinnon and White 1985, for the
    ridge regression that LIME fits), and with it the predictive probability (Spiegelhalter et al.
    1986, flat prior) that the rest would change which `effort.top` words have the largest weights.
    LIME ends when that is at most 5 %. A predictive probability holds whenever one looks, so that
    looking often costs no confidence.
    """
    if not _LIME_WORD.search(text):
        return Attribution("lime", text, label, (), np.zeros(0), note="LIME finds no word in it.")
    auto = effort.samples == "auto"
    sampled = _Sampled.of(text, effort.seed, MOST_SAMPLES if auto else int(effort.samples))
    answers = np.zeros(0)
    for look, size in enumerate(_looks(len(sampled.data), auto=auto)):
        answers = np.concatenate([answers, ask(sampled.texts(len(answers), size))[:, label]])
        weights = sampled.weights(answers)
        spread, shrinkage = sampled.errors(answers, weights)
        if size == len(sampled.data):
            break
        rest = spread * (1 - size / len(sampled.data))
        if _changes(weights, rest, effort.top, effort.seed + look) <= 1 - STABLE:
            break
    return Attribution(
        "lime",
        text,
        label,
        sampled.features(),
        weights,
        margins=_Z95 * np.sqrt(np.diag(spread)) + np.abs(shrinkage),
        asked=len(answers),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Sampled:
    """What LIME draws for one text, before anything is asked.

    Attributes:
        explainer: The explainer of `lime`.
        indexed: Its words.
        data: Which words each sample keeps, shape (samples, words); all of them in the first.
        distances: Of each sample to the text, shape (samples,).
    """

    explainer: Any
    indexed: Any
    data: NDArray[np.bool_]
    distances: NDArray[np.float64]

    @classmethod
    def of(cls, text: str, seed: int, samples: int) -> _Sampled:
        """Draw as `explain_instance` does; texts are made only when they are asked about."""
        from lime.lime_text import IndexedString, LimeTextExplainer

        explainer = LimeTextExplainer(random_state=seed, feature_selection="none")
        indexed = IndexedString(text)
        draw = explainer._LimeTextExplainer__data_labels_distances
        data, _, distances = draw(_Textless(indexed), lambda texts: texts, samples)
        return cls(explainer, indexed, data.astype(bool), distances)

    def texts(self, start: int, end: int) -> list[str]:
        """The texts of these samples."""
        return [
            self.indexed.inverse_removing(np.flatnonzero(~row)) if not row.all() else self._whole
            for row in self.data[start:end]
        ]

    @property
    def _whole(self) -> str:
        text: str = self.indexed.raw_string()
        return text

    def weights(self, answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weight of each word, shape (words,), by LIME's own regression on the first samples."""
        n = len(answers)
        _, pairs, _, _ = self.explainer.base.explain_instance_with_data(
            self.data[:n].astype(float), answers[:, None], self.distances[:n], 0,
            self.data.shape[1], feature_selection="none",
        )  # fmt: skip
        weights = np.zeros(self.data.shape[1])
        for word, weight in pairs:
            weights[word] = weight
        return weights

    def errors(
        self, answers: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How far the weights may be from those of very many samples.

        Returns:
            Their covariance over samplings, shape (words, words), robust to unequal variances
            (HC3), and by how much the ridge penalty shrinks each, shape (words,).
        """
        n = len(answers)
        kernel = self.explainer.base.kernel_fn(self.distances[:n])
        rows = self.data[:n].astype(float)
        centred = rows - np.average(rows, axis=0, weights=kernel)
        residuals = answers - np.average(answers, weights=kernel) - centred @ weights
        inverse = np.linalg.inv((centred * kernel[:, None]).T @ centred + np.eye(rows.shape[1]))
        leverage = kernel * (np.einsum("ij,jk,ik->i", centred, inverse, centred) + 1 / kernel.sum())
        scored = centred * (kernel * residuals / (1 - leverage))[:, None]
        return inverse @ (scored.T @ scored) @ inverse, inverse @ weights

    def features(self) -> tuple[tuple[Span, ...], ...]:
        """Where each word stands, every time it occurs."""
        return tuple(
            tuple(
                (int(start), int(start) + len(self.indexed.word(word)))
                for start in self.indexed.string_position(word)
            )
            for word in range(self.indexed.num_words())
        )


@dataclass(frozen=True, slots=True)
class _Textless:
    """Words of a text whose samples are not written out."""

    indexed: Any

    def num_words(self) -> int:
        return int(self.indexed.num_words())

    def raw_string(self) -> str:
        return ""

    def inverse_removing(self, _: Any) -> str:
        return ""


def _looks(samples: int, *, auto: bool) -> Iterator[int]:
    """Numbers of samples after which "auto" looks; the last is all of them."""
    size = float(FIRST_SAMPLES)
    while auto and size < samples / GROWTH:
        yield int(size)
        size *= GROWTH
    yield samples


def _changes(
    weights: NDArray[np.float64], covariance: NDArray[np.float64], top: int, seed: int
) -> float:
    """The chance that weights with this error have other words among the `top` largest."""
    if len(weights) <= top:
        return 0.0
    rng = np.random.default_rng(seed)
    values, vectors = np.linalg.eigh(covariance)
    noise = rng.standard_normal((_DRAWS, len(weights))) * np.sqrt(np.maximum(values, 0.0))
    drawn = np.abs(weights + noise @ vectors.T)
    now = np.argsort(-np.abs(weights), kind="stable")[:top]
    others = np.delete(drawn, now, axis=1)
    return float((drawn[:, now].min(axis=1) <= others.max(axis=1)).mean())
