"""The one way to the model: every distinct input is asked once, in full batches."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from auditkit.batching import Batch, row_batches, token_batches, tokenized
from auditkit.content import content_digest, content_key
from auditkit.errors import ModelError
from auditkit.freed_memory import give_back_freed_memory
from auditkit.model import (
    Capability,
    EmbeddingModel,
    Head,
    Model,
    ParallelModel,
    Predictions,
    TokenEmbeddingModel,
    TokenModel,
    answer_key,
)
from auditkit.prediction_store import PredictionStore
from auditkit.result import PredictorStatistics
from auditkit.token_answers import TokenAnswers, Tokens

KEPT_SECONDS = 1.0
"""Of the model's work; then the memory it freed is given back, which takes milliseconds."""
Advance = Callable[[int, int], None]
"""Told (inputs answered, inputs to answer) after each batch of one request."""


def _ignore(done: int, total: int) -> None:
    """Report progress to nobody."""


Vectors = NDArray[np.float32]
A = TypeVar("A", Predictions, Vectors)
"""What is answered to a batch: predictions, or an array of embeddings."""
Ask = Callable[[Sequence[Any]], A]


class SharedPredictor:
    """Asks a model on behalf of every check, and remembers what it answered.

    A request is answered from memory and from the store where possible. The rest is tokenised
    once, sorted by length, and asked in batches of at most `batch_tokens` padded tokens, so that
    hardly anything but text is computed; inputs with the same tokens have one answer. The batches
    follow from the set of inputs not in memory, neither from their order nor from the number of
    workers. A batch of which the store has nothing is asked as it would be without a store: an
    audit that was cut off and is run again gets the same bits as one that was not.

    Args:
        model: The model under audit.
        batch_tokens: Most tokens of a batch, padding included. One longer input is a batch.
        advance: Told after each batch; see `Advance`.
        store: Answers of earlier audits, to which each batch is added as it is answered. Not
            used for a model without an `answer_key`.
    """

    def __init__(
        self,
        model: Model,
        *,
        batch_tokens: int = 1024,
        advance: Advance = _ignore,
        store: PredictionStore | None = None,
    ) -> None:
        self._model = model
        self._budget = batch_tokens
        self._advance = advance
        self._kept = store.of(answer_key(model)) if store is not None else None
        self._rows: dict[Hashable, int] = {}
        self._by_tokens = TokenAnswers()
        self._answers = _Answers(
            len(model.class_names), Capability.PROBABILITIES in model.capabilities
        )
        self._vectors: dict[Hashable, NDArray[np.float32]] = {}
        self._asked = self._tokens = self._padding = self._batches = self._cached = 0
        self._forgotten = 0
        self.seconds = 0.0
        """Spent waiting for the model's forward pass."""
        self._given_back_at = 0.0
        self.tokenize_seconds = 0.0
        """Spent in the tokenizer."""

    @property
    def statistics(self) -> PredictorStatistics:
        """What asking has cost so far."""
        return PredictorStatistics(
            asked=self._asked,
            distinct=len(self._rows) + self._forgotten + len(self._vectors),
            tokens=self._tokens,
            padding=self._padding,
            batches=self._batches,
            cached=self._cached,
            embedded=len(self._vectors),
        )

    def predict(self, inputs: Iterable[Any]) -> Predictions:
        """Answers for the inputs, in their order.

        A request that fails leaves nothing in memory: asked again, the model is asked again for
        what it has not answered.

        Raises:
            ModelError: The model cannot answer, or answers with the wrong shape.
        """
        items = inputs if isinstance(inputs, Sequence) else list(inputs)
        keys = [item if type(item) is str else content_key(item) for item in items]
        fresh: dict[Hashable, Any] = {}
        for key, item in zip(keys, items, strict=True):
            if key not in self._rows:
                fresh.setdefault(key, item)
        if fresh:
            answers, tokens = self._answer(fresh)
            start = self._answers.append(answers)
            self._rows.update(zip(fresh, range(start, start + len(fresh)), strict=True))
            if tokens is not None:
                self._by_tokens.add(tokens, start)
            elif isinstance(self._model, TokenModel):
                self._by_tokens.add_unread([*fresh.values()], start)
        self._asked += len(items)
        rows = np.fromiter((self._rows[key] for key in keys), dtype=np.int64, count=len(keys))
        return self._answers.take(rows)

    @contextmanager
    def forgetting(self) -> Iterator[None]:
        """What is predicted inside for the first time is forgotten at its end. The store keeps it.

        For so many inputs that nobody asks about again that they would fill the memory.
        """
        known = len(self._rows)
        try:
            yield
        finally:
            self._forgotten += len(self._rows) - known
            while len(self._rows) > known:  # in the order of their rows
                self._rows.popitem()
            self._by_tokens.forget(known)
            self._answers.forget(known)

    def embed(self, inputs: Iterable[Any]) -> Vectors:
        """Embeddings of the inputs, in their order, shape (n, width).

        Batched, remembered and kept as answers are. Predicting and embedding an input are two
        requests to the model.

        Raises:
            ModelError: The model gives no embeddings, or others than it promised.
        """
        model, items = self._model, list(inputs)
        if not isinstance(model, EmbeddingModel) or (
            Capability.EMBEDDINGS not in model.capabilities
        ):
            raise ModelError(f"{model.name} gives no embeddings of its inputs.")
        keys = [content_key(item) for item in items]
        fresh: dict[Hashable, Any] = {}
        for key, item in zip(keys, items, strict=True):
            if key not in self._vectors:
                fresh.setdefault(key, item)
        if fresh:
            self._vectors.update(zip(fresh, self._embedded(model, fresh), strict=True))
        self._asked += len(items)
        if not items:
            return np.zeros((0, model.embedding_width), dtype=np.float32)
        return np.stack([self._vectors[key] for key in keys])

    def head(self) -> Head:
        """The head that makes the logits of an embedding.

        Raises:
            ModelError: The model gives no embeddings, or a head that does not fit them.
        """
        model = self._model
        if not isinstance(model, EmbeddingModel) or (
            Capability.EMBEDDINGS not in model.capabilities
        ):
            raise ModelError(f"{model.name} shows no classification head.")
        head, shape = model.head(), (len(model.class_names), model.embedding_width)
        if head.weights.shape != shape or head.bias.shape != shape[:1]:
            raise ModelError(
                f"{model.name} shows a head of shape {head.weights.shape} and {head.bias.shape} "
                f"instead of {shape} and {shape[:1]}."
            )
        return head

    def _embedded(self, model: EmbeddingModel, fresh: dict[Hashable, Any]) -> Vectors:
        """Embeddings of distinct inputs by key, from the store or the model."""
        width = model.embedding_width
        vectors = np.zeros((len(fresh), width), dtype=np.float32)
        missing = np.ones(len(fresh), dtype=np.bool_)
        kept = None if self._kept is None else self._kept.embeddings
        digests = [] if kept is None else [content_digest(key) for key in fresh]
        if kept is not None:
            found, known = kept.find(digests, width)
            vectors[found], missing[found] = known, False
        inputs, done = list(fresh.values()), len(fresh) - int(missing.sum())
        self._cached += done
        tokens, ask_tokens = None, None
        if done < len(fresh) and isinstance(model, TokenEmbeddingModel):
            tokens, ask_tokens = self._tokenized(model, inputs), model.embed_tokens
        for positions, answer in self._ask(inputs, tokens, missing, (model.embed, ask_tokens)):
            vectors[positions] = _checked_vectors(model, answer)
            if kept is not None:
                kept.keep([digests[position] for position in positions], answer)
            self._batch_answered()
            done += len(positions)
            self._advance(done, len(fresh))
        return vectors

    def recall(self, inputs: Iterable[Any]) -> Predictions:
        """Answers from memory alone, also while another thread asks.

        Raises:
            ModelError: One of the inputs has not been asked about.
        """
        keys = [content_key(item) for item in inputs]
        try:
            rows = np.fromiter((self._rows[key] for key in keys), dtype=np.int64, count=len(keys))
        except KeyError:
            raise ModelError(
                "asked about an input that is not one of the audited rows.",
                "A check that makes up inputs says so: needs={Capability.NEW_INPUTS}.",
            ) from None
        return self._answers.take(rows)

    def _answer(self, fresh: dict[Hashable, Any]) -> tuple[Predictions, Tokens | None]:
        """Answers for distinct inputs by key, and the tokens of all if they were looked at."""
        inputs, missing = list(fresh.values()), np.ones(len(fresh), dtype=np.bool_)
        answers = _Answers(self._answers.classes, self._answers.scored, len(fresh))
        digests = [] if self._kept is None else [content_digest(key) for key in fresh]
        if self._kept is not None:
            found, kept = self._kept.find(digests, answers.classes if answers.scored else 0)
            answers.put(np.array(found, dtype=np.int64), kept)
            missing[found] = False
            self._cached += len(found)

        def take(positions: NDArray[np.int64], answer: Predictions) -> None:
            answers.put(positions, answer)  # refuses what must not be kept
            if self._kept is not None:
                self._kept.keep([digests[position] for position in positions], answer)
            missing[positions] = False

        tokens, model, new = None, self._model, np.arange(len(fresh))
        if missing.any() and isinstance(model, TokenModel):
            tokens = self._tokenized(model, inputs)
            rows = self._by_tokens.find(tokens, lambda unread: self._tokenized(model, unread))
            if alike := np.flatnonzero(missing & (rows >= 0)).tolist():
                take(np.array(alike), self._answers.take(rows[alike]))
            new = np.flatnonzero(rows < 0)
        for positions, answer in self._ask(
            [inputs[one] for one in new],
            None if tokens is None else [tokens[one] for one in new],
            missing[new],
            (model.predict, model.predict_tokens if isinstance(model, TokenModel) else None),
        ):
            take(new[positions], answer)
            self._batch_answered()
            self._advance(len(fresh) - int(missing.sum()), len(fresh))
        return answers.take(np.arange(len(fresh))), tokens

    def _ask(
        self,
        inputs: list[Any],
        tokens: Tokens | None,
        missing: NDArray[np.bool_],
        ways: tuple[Ask[A], Ask[A] | None],
    ) -> Iterator[tuple[NDArray[np.int64], A]]:
        """Ask what is missing; yield the positions in `inputs` and the answers of each batch.

        Args:
            inputs: All inputs.
            tokens: Those of all inputs, where the model can be asked about tokens.
            missing: Which of them to ask about.
            ways: Asks a model about a batch of inputs, and of tokenised ones.
        """
        if not missing.any():
            return
        ask, ask_tokens = ways
        if tokens is None or ask_tokens is None:
            for batch, answer in self._asked_in_turn(row_batches(missing), inputs, ask):
                yield batch.answered, answer
            return
        batches = token_batches(tokens, missing, self._budget)
        workers = 1
        together: AbstractContextManager[None] = nullcontext()
        if isinstance(self._model, ParallelModel):
            workers, together = min(self._model.workers, len(batches)), self._model.asking()
        with together:
            way = self._asked_in_turn if workers == 1 else self._asked_at_once
            for batch, answer in way(batches, tokens, ask_tokens):
                lengths = [len(tokens[position]) for position in batch.asked]
                self._tokens += sum(lengths)
                self._padding += max(lengths) * len(lengths) - sum(lengths)
                yield batch.answered, answer[batch.rows]

    def _batch_answered(self) -> None:
        self._batches += 1
        if self.seconds - self._given_back_at >= KEPT_SECONDS:
            give_back_freed_memory()
            self._given_back_at = self.seconds

    def _tokenized(self, model: TokenModel, inputs: list[Any]) -> Tokens:
        began = time.perf_counter()
        tokens = tokenized(model, inputs)
        self.tokenize_seconds += time.perf_counter() - began
        return tokens

    def _asked_in_turn(
        self, batches: list[Batch], items: Sequence[Any], ask: Ask[A]
    ) -> Iterator[tuple[Batch, A]]:
        for batch in batches:
            began = time.perf_counter()
            answer = ask([items[position] for position in batch.asked])
            self.seconds += time.perf_counter() - began
            yield batch, self._checked(answer, len(batch.asked))

    def _asked_at_once(
        self, batches: list[Batch], items: Sequence[Any], ask: Ask[A]
    ) -> Iterator[tuple[Batch, A]]:
        """As `_asked_in_turn`, in several threads; batches come as they are answered."""
        assert isinstance(self._model, ParallelModel)
        workers = self._model.workers
        pool = ThreadPoolExecutor(workers, "auditkit-model")
        queue = iter(batches)
        running: dict[Future[A], Batch] = {}
        try:
            while True:
                for batch in itertools.islice(queue, 2 * workers - len(running)):
                    asked = [items[position] for position in batch.asked]
                    running[pool.submit(ask, asked)] = batch
                if not running:
                    return
                began = time.perf_counter()
                done = wait(running, return_when=FIRST_COMPLETED).done
                self.seconds += time.perf_counter() - began
                for future in done:
                    batch = running.pop(future)
                    yield batch, self._checked(future.result(), len(batch.asked))
        finally:
            pool.shutdown(cancel_futures=True)

    def _checked(self, answer: A, asked: int) -> A:
        if len(answer) != asked:
            raise ModelError(
                f"{self._model.name} was asked about {asked} inputs and answered {len(answer)}."
            )
        return answer


def _checked_vectors(model: EmbeddingModel, vectors: Vectors) -> Vectors:
    if vectors.ndim != 2 or vectors.shape[1] != model.embedding_width:
        raise ModelError(
            f"{model.name} gave embeddings of shape {vectors.shape} instead of "
            f"(inputs, {model.embedding_width})."
        )
    if not np.isfinite(vectors).all():
        raise ModelError(f"{model.name} gave an embedding that is NaN or infinite.")
    return vectors


class AnsweredRows:
    """A predictor for checks that ask about the audited rows alone, which are answered already.

    It can be asked while another thread asks the shared predictor.
    """

    def __init__(self, predictor: SharedPredictor) -> None:
        self._predictor = predictor
        self._asked = 0

    @property
    def statistics(self) -> PredictorStatistics:
        """What was asked here."""
        return PredictorStatistics(asked=self._asked)

    def predict(self, inputs: Iterable[Any]) -> Predictions:
        """Answers for the inputs, in their order.

        Raises:
            ModelError: One of them is none of the audited rows.
        """
        items = inputs if isinstance(inputs, Sequence) else list(inputs)
        answers = self._predictor.recall(items)
        self._asked += len(items)
        return answers

    def embed(self, inputs: Iterable[Any]) -> Vectors:  # noqa: ARG002 - asks nobody
        """Refuses: the model has not been asked for any embedding.

        Raises:
            ModelError: Always.
        """
        raise ModelError(
            "asked for embeddings, which the check does not say it needs.",
            "A check that uses them says so: needs={Capability.EMBEDDINGS}.",
        )

    def head(self) -> Head:
        """The head of the model.

        Raises:
            ModelError: It shows none.
        """
        return self._predictor.head()


class _Answers:
    """Answers by row, in arrays that grow by doubling."""

    def __init__(self, classes: int, scored: bool, rows: int = 0) -> None:
        self.classes = classes
        self.scored = scored
        self._n = rows
        self._labels = np.zeros(rows, dtype=np.int64)
        self._scores = np.zeros((rows, classes) if scored else (0, 0), dtype=np.float64)

    def put(self, rows: NDArray[np.int64], answer: Predictions) -> None:
        """Set the answers of `rows`.

        Raises:
            ModelError: A label is no class, or the probabilities do not have one per class.
        """
        if len(answer) and not 0 <= answer.labels.min() <= answer.labels.max() < self.classes:
            raise ModelError(
                f"the model answered a class outside 0 to {self.classes - 1}, the numbers of its "
                f"{self.classes} class names."
            )
        self._labels[rows] = answer.labels
        if not self.scored:
            return
        if answer.probabilities is None:
            raise ModelError("the model offers probabilities but answered without.")
        if answer.probabilities.shape != (len(rows), self.classes):
            raise ModelError(
                f"the model answered {answer.probabilities.shape[-1]} probabilities per input for "
                f"its {self.classes} class names."
            )
        self._scores[rows] = answer.probabilities

    def append(self, answer: Predictions) -> int:
        """Add answers at the end; return the row of the first."""
        start, end = self._n, self._n + len(answer)
        if end > len(self._labels):
            spare = max(end, 2 * start) - len(self._labels)
            self._labels = np.pad(self._labels, (0, spare))
            if self.scored:
                self._scores = np.pad(self._scores, ((0, spare), (0, 0)))
        self._n = end
        self.put(np.arange(start, end), answer)
        return start

    def forget(self, start: int) -> None:
        """Drop the answers from this row on."""
        self._n = min(self._n, start)

    def take(self, rows: NDArray[np.int64]) -> Predictions:
        """The answers of `rows`, copied."""
        return Predictions(self._labels[rows], self._scores[rows] if self.scored else None)
