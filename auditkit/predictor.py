"""The one way to the model: every distinct input is asked once, in full batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import ModelError
from auditkit.model import Capability, Model, Predictions, TokenModel
from auditkit.result import PredictorStatistics

BATCH_ROWS = 256
"""Inputs of one batch for a model that has no tokens to count."""

PADDING_SHARE = 1 / 32
"""Padding of a batch as a share of its budget, from which on one more batch is cheaper. A batch
costs about as much as 30 tokens on a CPU core; where it costs more, larger budgets are used too."""

Advance = Callable[[int, int], None]
"""Told (inputs answered, inputs to answer) after each batch of one request."""


def _ignore(done: int, total: int) -> None:
    """Report progress to nobody."""


class SharedPredictor:
    """Asks a model on behalf of every check, and remembers what it answered.

    A request is answered from memory where possible. The rest is tokenised once, sorted by
    length, and asked in batches of at most `batch_tokens` padded tokens, so that hardly anything
    but text is computed. The batches follow from the set of new inputs, not from their order.

    Args:
        model: The model under audit.
        batch_tokens: Most tokens of a batch, padding included. One longer input is a batch.
        advance: Told after each batch; see `Advance`.
    """

    def __init__(
        self, model: Model, *, batch_tokens: int = 1024, advance: Advance = _ignore
    ) -> None:
        self._model = model
        self._budget = batch_tokens
        self._advance = advance
        self._rows: dict[Hashable, int] = {}
        self._answers = _Answers(
            len(model.class_names), Capability.PROBABILITIES in model.capabilities
        )
        self._asked = self._tokens = self._padding = self._batches = 0
        self.seconds = 0.0
        """Spent in the model's forward pass."""
        self.tokenize_seconds = 0.0
        """Spent in the tokenizer."""

    @property
    def statistics(self) -> PredictorStatistics:
        """What asking has cost so far."""
        return PredictorStatistics(
            asked=self._asked,
            distinct=len(self._rows),
            tokens=self._tokens,
            padding=self._padding,
            batches=self._batches,
        )

    def predict(self, inputs: Iterable[Any]) -> Predictions:
        """Answers for the inputs, in their order.

        A request that fails leaves nothing behind: asked again, the model is asked again.

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
            answers = self._ask(list(fresh.values()))
            start = self._answers.append(answers)
            self._rows.update(zip(fresh, range(start, start + len(fresh)), strict=True))
        self._asked += len(items)
        rows = np.fromiter((self._rows[key] for key in keys), dtype=np.int64, count=len(keys))
        return self._answers.take(rows)

    def _ask(self, inputs: list[Any]) -> Predictions:
        answers = _Answers(self._answers.classes, self._answers.scored, len(inputs))
        done = 0
        for positions, answer in self._batches_of(inputs):
            answers.put(positions, answer)
            self._batches += 1
            done += len(positions)
            self._advance(done, len(inputs))
        return answers.take(np.arange(len(inputs)))

    def _batches_of(self, inputs: list[Any]) -> Iterator[tuple[NDArray[np.int64], Predictions]]:
        """Ask everything; yield the positions in `inputs` and answers of each batch."""
        if not isinstance(self._model, TokenModel):
            for start in range(0, len(inputs), BATCH_ROWS):
                batch = inputs[start : start + BATCH_ROWS]
                yield np.arange(start, start + len(batch)), self._timed(self._model.predict, batch)
            return
        began = time.perf_counter()
        tokens = self._model.tokenize(inputs)
        self.tokenize_seconds += time.perf_counter() - began
        if len(tokens) != len(inputs):
            raise ModelError(
                f"{self._model.name} tokenised {len(inputs)} inputs into {len(tokens)}."
            )
        for positions in batches_by_length(tokens, self._budget):
            batch = [tokens[position] for position in positions]
            answer = self._timed(self._model.predict_tokens, batch)
            used = sum(map(len, batch))
            self._tokens += used
            self._padding += len(batch[0]) * len(batch) - used
            yield positions, answer

    def _timed(self, ask: Callable[[list[Any]], Predictions], batch: list[Any]) -> Predictions:
        began = time.perf_counter()
        answer = ask(batch)
        self.seconds += time.perf_counter() - began
        if len(answer) != len(batch):
            raise ModelError(
                f"{self._model.name} was asked about {len(batch)} inputs and answered "
                f"{len(answer)}."
            )
        return answer


def content_key(value: Any) -> Hashable:
    """What makes two inputs the same one: type and content, so that 1, 1.0, True and "1" differ.

    Raises:
        ModelError: The type has no content that can be compared.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) is str:
        return value
    if isinstance(value, str | bytes | int | float | type(None)):
        return (type(value), value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return (np.ndarray, value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, list | tuple):
        return (type(value), tuple(map(content_key, value)))
    if isinstance(value, dict):
        return (dict, tuple((content_key(k), content_key(v)) for k, v in value.items()))
    raise ModelError(
        f"an input of type {type(value).__name__} cannot be asked: it has no content key."
    )


def batches_by_length(tokens: Sequence[list[int]], budget: int) -> Iterator[NDArray[np.int64]]:
    """Positions of each batch, longest inputs first, at most `budget` padded tokens in each.

    A batch also ends where padding the next input to it would cost more than a batch of its own.
    Equal lengths are ordered by content, so that the batches do not depend on the order of
    `tokens`. The longest come first because they need the most memory: what fails, fails early.
    """
    order = sorted(range(len(tokens)), key=lambda i: (-len(tokens[i]), tokens[i]))
    slack = budget * PADDING_SHARE
    start, longest, padding = 0, 0, 0
    for end, position in enumerate(order):
        length = len(tokens[position])
        padding += longest - length
        if end == start or longest * (end - start + 1) > budget or padding > slack:
            if end > start:
                yield np.array(order[start:end], dtype=np.int64)
            start, longest, padding = end, length, 0
    if order:
        yield np.array(order[start:], dtype=np.int64)


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

    def take(self, rows: NDArray[np.int64]) -> Predictions:
        """The answers of `rows`, copied."""
        return Predictions(self._labels[rows], self._scores[rows] if self.scored else None)
