"""What auditkit needs from a model under audit, and what a model answers."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import ModelError


class Capability(enum.StrEnum):
    """What a check may need. The first group comes from the model, the second from the data."""

    PROBABILITIES = "probabilities"
    """Answers carry a probability per class, not only the chosen one."""
    NEW_INPUTS = "new_inputs"
    """The model can be asked about inputs that are not in the data file."""
    TOKENS = "tokens"
    """The model exposes its tokenizer (`TokenModel`)."""
    EMBEDDINGS = "embeddings"
    """The model gives the representation its classification head reads (`EmbeddingModel`)."""
    WHITE_BOX = "white_box"
    """The model shows its gradients and attention, and copies of itself whose weights are random
    (`WhiteBoxModel`)."""

    LABELS = "labels"
    """The data has true labels."""
    GROUPS = "groups"
    """The data has at least one sensitive attribute."""
    SHIFTS = "shifts"
    """The configuration names at least one set of rows that are out of distribution."""
    PAIRS = "pairs"
    """Rows of the data, or of these sets, are tied to contrasts of theirs."""
    TRAINING_ROWS = "training_rows"
    """The configuration says which rows the model was trained on."""
    VALIDATION_ROWS = "validation_rows"
    """There may be rows to choose by that are neither audited nor trained on."""
    EXPLANATIONS = "explanations"
    """Single answers can be explained. A check that needs this runs only if the configuration names
    it or has a table [explanations]: it asks the model about hundreds of texts for each example."""
    RATIONALES = "rationales"
    """The data says which characters of a text people took for the reason of its label."""
    BASELINE = "baseline"
    """The configuration names another model that answers the same rows."""
    TIMED = "timed"
    """The model can be timed. A check that needs this runs alone, and only if the configuration
    names it or has a table [timing]."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Answers for n inputs over k classes.

    Attributes:
        labels: Chosen class, shape (n,), integers 0..k-1.
        probabilities: Shape (n, k), rows summing to 1; None when the model gives only labels.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: NDArray[np.int64]) -> Predictions:
        """The answers of some rows, copied."""
        scores = None if self.probabilities is None else self.probabilities[rows]
        return Predictions(self.labels[rows], scores)

    @classmethod
    def from_probabilities(cls, probabilities: NDArray[Any]) -> Predictions:
        """Predictions whose label is the most probable class.

        Raises:
            ModelError: A row has NaN or infinity, is negative, or does not sum to 1 (within 1e-3).
        """
        scores = np.asarray(probabilities, dtype=np.float64)
        if scores.ndim != 2:
            raise ModelError(
                f"the model answered an array of shape {scores.shape}, not (rows, classes)."
            )
        broken = ~np.isfinite(scores).all(axis=1)
        if broken.any():
            raise ModelError(
                f"the model's score for input {int(np.argmax(broken))} is NaN or infinite "
                f"({int(broken.sum())} of {len(scores)} inputs)."
            )
        off = (np.abs(scores.sum(axis=1) - 1.0) > 1e-3) | (scores < 0).any(axis=1)
        if off.any():
            row = int(np.argmax(off))
            raise ModelError(
                f"the scores for input {row} are not probabilities: {scores[row][:5].tolist()} "
                f"({int(off.sum())} of {len(scores)} inputs).",
                "Return a softmax over the classes, or integer labels only.",
            )
        return cls(scores.argmax(axis=1).astype(np.int64), scores)

    @classmethod
    def from_logits(cls, logits: NDArray[Any]) -> Predictions:
        """Predictions from raw scores of shape (n, k) by a softmax.

        Raises:
            ModelError: A score is NaN or infinite.
        """
        raw = np.asarray(logits, dtype=np.float64)
        if not np.isfinite(raw).all():
            row = int(np.argmax(~np.isfinite(raw).all(axis=1)))
            raise ModelError(f"the model's score for input {row} is NaN or infinite.")
        raised = np.exp(raw - raw.max(axis=1, keepdims=True))
        return cls.from_probabilities(raised / raised.sum(axis=1, keepdims=True))

    def take(self, rows: NDArray[np.int64]) -> Predictions:
        """The predictions of `rows`, in that order, repeats allowed."""
        scores = None if self.probabilities is None else self.probabilities[rows]
        return Predictions(self.labels[rows], scores)


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A classification head: a linear map from embeddings to logits.

    Attributes:
        weights: Shape (classes, width).
        bias: Shape (classes,).
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, embeddings: NDArray[Any]) -> NDArray[np.float64]:
        """Logits (n, classes) of embeddings (n, width)."""
        return np.asarray(embeddings, dtype=np.float64) @ self.weights.T + self.bias


@runtime_checkable
class Model(Protocol):
    """A classifier under audit.

    `predict` must be deterministic and must not depend on what else is in the batch.
    """

    @property
    def name(self) -> str:
        """What the report calls the model."""

    @property
    def digest(self) -> str:
        """SHA-256 of everything the answers depend on: weights, config, tokenizer, code."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; position is the class index."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the model offers."""

    @property
    def assumptions(self) -> dict[str, str]:
        """What loading had to assume, by topic ("tokenizer", "max length", "device")."""

    def predict(self, batch: Sequence[Any]) -> Predictions:
        """Answers for the inputs of one batch, in their order."""


TOKENIZED_INPUTS = 2048
"""Inputs given to a tokenizer at once."""


@runtime_checkable
class TokenModel(Model, Protocol):
    """A model whose inputs are tokenised once and then batched by length."""

    def tokenize(self, inputs: Sequence[Any]) -> list[list[int]]:
        """Token ids of each input, special tokens included, truncated, not padded."""

    def predict_tokens(self, batch: Sequence[Sequence[int]]) -> Predictions:
        """Answers for tokenised inputs, padded to the longest of this batch."""


@runtime_checkable
class LogitModel(TokenModel, Protocol):
    """A model that can be timed without what makes predictions of its logits."""

    def logits_of_tokens(self, batch: Sequence[Sequence[int]]) -> NDArray[Any]:
        """Logits of tokenised inputs, shape (n, classes), padded to the longest of this batch."""


@runtime_checkable
class EmbeddingModel(Model, Protocol):
    """A model that shows how it represents an input, if it has `Capability.EMBEDDINGS`.

    The embedding is what the classification head reads: the logits are a linear function of it.
    """

    @property
    def embedding_width(self) -> int:
        """Numbers of one embedding."""

    def embed(self, batch: Sequence[Any]) -> NDArray[np.float32]:
        """Embeddings of the inputs of one batch, in their order, shape (n, embedding_width)."""

    def head(self) -> Head:
        """The classification head, by which the logits are made of an embedding."""


@runtime_checkable
class TokenEmbeddingModel(EmbeddingModel, TokenModel, Protocol):
    """An `EmbeddingModel` whose inputs are tokenised once and then batched by length."""

    def embed_tokens(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Embeddings of tokenised inputs, padded to the longest of this batch."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenScores:
    """What each token of one text contributes to a score, special tokens left out.

    Attributes:
        spans: Characters [start, end) of each token, t of them.
        weights: Shape (t,).
        total: What the weights sum to if they are complete; None when that is not promised.
        passes: Passes through the model that it took.
    """

    spans: tuple[tuple[int, int], ...]
    weights: NDArray[np.float64]
    total: float | None
    passes: int


class WhiteBox(Protocol):
    """The inside of a text model. Scores are probabilities."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers with weights, from the head down to the embeddings."""

    def integrated_gradients(self, text: str, label: int, steps: int) -> TokenScores:
        """Gradients summed on the way from a text of padding; see `auditkit.models.white_box`."""

    def gradient_x_input(self, text: str, label: int) -> TokenScores:
        """Gradient of the score times the embedding, per token."""

    def attention_rollout(self, text: str) -> TokenScores:
        """How much of each token's attention reaches the one that the head reads."""

    def randomized(self, layers: int, seed: int) -> Model:
        """A copy whose first `layers` layers have weights as before training."""


@runtime_checkable
class WhiteBoxModel(Model, Protocol):
    """A model that shows its inside, if it has `Capability.WHITE_BOX`."""

    def white_box(self) -> WhiteBox:
        """Its inside."""


@runtime_checkable
class ReadingModel(Model, Protocol):
    """A model of texts that says how it reads them."""

    def text_tokenizer(self) -> Any | None:
        """The tokenizer of transformers that splits its texts; None where there is none."""

    def characters_read(self, text: str) -> int:
        """How many characters from the start it reads; the rest is cut off."""


@runtime_checkable
class CacheableModel(Model, Protocol):
    """A model whose answers may be kept from one audit to the next."""

    @property
    def answer_key(self) -> str | None:
        """SHA-256 of everything the answers depend on besides the input: digest, settings,
        versions of libraries. None when that cannot be known; then nothing is kept."""


@runtime_checkable
class ParallelModel(TokenModel, Protocol):
    """A model that can be asked several batches at once, from several threads."""

    @property
    def workers(self) -> int:
        """How many batches to ask at once."""

    def asking(self) -> AbstractContextManager[None]:
        """What is asked inside is computed on one core per batch, so that bits do not depend on
        how many are asked at once."""


def answer_key(model: Model) -> str | None:
    """The key under which the model's answers may be kept; None when they may not."""
    return model.answer_key if isinstance(model, CacheableModel) else None
