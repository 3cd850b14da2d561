"""What asking the model will cost, from a few of the very batches the audit will ask.

What earlier audits left in the cache costs nothing. A model that need not be asked is not loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import astuple, dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from auditkit.batching import BATCH_ROWS, Batch, row_batches, token_batches, tokenized
from auditkit.content import content_digest, content_key
from auditkit.model import (
    Capability,
    EmbeddingModel,
    Model,
    ParallelModel,
    Predictions,
    TokenModel,
)
from auditkit.predictor import Advance, SharedPredictor
from auditkit.preflight import Prepared, known_repeatability, probed_rows
from auditkit.token_answers import TokenAnswers

Clock = Callable[[], float]
Seconds = NDArray[np.float64]
_Batch = list[Sequence[int]]
_Ask = Callable[[Sequence[_Batch]], None]

TIMED_BATCHES = 12
"""Batches the model is timed on, one at a time."""
TIMED_ROUNDS = 5
"""Rounds it is timed on where several batches are asked at once."""
ROUND = 4
"""Batches of a round for each worker: the last of them is waited for, which costs little then."""
TIMED_SECONDS = 10.0
"""No further batch is timed once they have taken as long as this."""


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What asking about some inputs is expected to cost.

    Attributes:
        distinct: Distinct inputs.
        cached: Those of them that the cache answers.
        tokens: Tokens the model is asked about; 0 when it has no tokenizer.
        batches: Batches it is asked in.
        seconds: Seconds in the model.
        tokenize: Seconds in the tokenizer.
        lookup: Seconds in the cache.
    """

    distinct: int = 0
    cached: int = 0
    tokens: int = 0
    batches: int = 0
    seconds: float = 0.0
    tokenize: float = 0.0
    lookup: float = 0.0

    @property
    def asked(self) -> int:
        """Inputs that reach the model."""
        return self.distinct - self.cached

    @property
    def total(self) -> float:
        """All of its seconds."""
        return self.seconds + self.tokenize + self.lookup

    def __add__(self, other: ModelCost) -> ModelCost:
        """Both together."""
        return ModelCost(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def times(self, factor: float) -> ModelCost:
        """So many times as much; inputs, tokens and batches in whole numbers."""
        counts = self.distinct, self.cached, self.tokens, self.batches
        seconds = self.seconds, self.tokenize, self.lookup
        return ModelCost(*(round(factor * n) for n in counts), *(factor * n for n in seconds))


class _Pace(Protocol):
    """How long the model takes, as timed."""

    timed: int
    """Batches it was timed on."""
    spread: float
    """How many times longer the same work took in slow batches than in fast ones."""

    def seconds(self, longest: NDArray[Any], rows: NDArray[Any]) -> Seconds:
        """Seconds of batches by the tokens of their longest input, and their inputs."""


class ModelTimer:
    """Estimates what inputs cost, and times the model when that has to be known.

    Args:
        prepared: Model and data.
        batch_tokens: Most tokens of a batch.
        clock: Tells seconds.
    """

    def __init__(self, prepared: Prepared, batch_tokens: int, clock: Clock) -> None:
        self._prepared = prepared
        self._model = prepared.model
        self._budget = batch_tokens
        self._clock = clock
        self._pace: _Pace | None = None
        self._answered = TokenAnswers()
        self.load = 0.0
        """Seconds the model took to get ready for its first question, if it was asked any."""

    @property
    def workers(self) -> int:
        """How many batches the model is asked at once."""
        return self._model.workers if isinstance(self._model, ParallelModel) else 1

    @property
    def timed(self) -> int:
        """Batches the estimates rest on."""
        return 0 if self._pace is None else self._pace.timed

    @property
    def spread(self) -> float:
        """How many times longer the same work took in slow batches than in fast ones."""
        return 1.0 if self._pace is None else self._pace.spread

    def cost(self, inputs: Sequence[Any], *, embedding: bool = False) -> ModelCost:
        """What one request for these inputs will cost, the first for any of them.

        An embedding costs as much as an answer, but is not found where only the answer is kept.
        """
        return self.cost_by_input(inputs, embedding=embedding)[0]

    def cost_by_input(
        self, inputs: Sequence[Any], *, embedding: bool = False
    ) -> tuple[ModelCost, Seconds]:
        """As `cost`; also the share of each distinct input, in the order they first occur in."""
        distinct = {content_key(one): one for one in inputs}
        items = list(distinct.values())
        if not items:
            return ModelCost(), np.zeros(0)
        began = self._clock()
        missing = np.ones(len(items), dtype=np.bool_)
        find = self._find_embeddings if embedding else self._find
        missing[find(list(distinct))[0]] = False
        lookup = self._clock() - began
        cached = len(items) - int(missing.sum())
        known = ModelCost(distinct=len(items), cached=cached, lookup=lookup)
        if not missing.any():
            if not embedding and isinstance(self._model, TokenModel):
                self._answered.add_unread(items, 0)
            return known, np.zeros(len(items))
        if isinstance(self._model, TokenModel):
            return self._by_tokens(items, missing, known, embedding)
        return self._by_rows(items, missing, known)

    def probe(self, prepared: Prepared) -> float:
        """Seconds of asking some audited rows twice, to see whether the model is deterministic.

        0 when nothing can be asked, or an earlier audit of these rows has done so.
        """
        data, model = prepared.audited, self._model
        if Capability.NEW_INPUTS not in model.capabilities or not len(data):
            return 0.0
        if known_repeatability(prepared) is not None:
            return 0.0
        inputs = [data.inputs[row] for row in probed_rows(len(data))]
        longest = 0
        if isinstance(model, TokenModel):
            self._get_ready(model, inputs)
            tokens = tokenized(model, inputs)
            longest = max(map(len, tokens))
            batches = token_batches(tokens, np.ones(len(inputs), dtype=np.bool_), self._budget)
            pace = self._token_pace(model, tokens, batches)
        else:
            pace = self._row_pace(inputs)
        return 2 * float(pace.seconds(np.array([longest]), np.array([len(inputs)])).sum())

    def predictor(self, advance: Advance) -> SharedPredictor:
        """The model itself, asked in batches as the audit's are; nothing is kept in the cache."""
        return SharedPredictor(self._model, batch_tokens=self._budget, advance=advance)

    def kept_answers(self, inputs: Sequence[Any]) -> Predictions | None:
        """The answers for these inputs if the cache has all of them."""
        found, answers = self._find([content_key(one) for one in inputs])
        return answers if len(found) == len(inputs) else None

    def _find(self, keys: Sequence[Hashable]) -> tuple[list[int], Predictions | None]:
        """Positions of the inputs that the cache answers, and the answers."""
        kept = self._prepared.kept
        if kept is None:
            return [], None
        scored = Capability.PROBABILITIES in self._model.capabilities
        classes = len(self._model.class_names) if scored else 0
        return kept.find([content_digest(key) for key in keys], classes)

    def _find_embeddings(self, keys: Sequence[Hashable]) -> tuple[list[int], Any]:
        kept, model = self._prepared.kept, self._model
        if kept is None or not isinstance(model, EmbeddingModel):
            return [], None
        return kept.embeddings.find([content_digest(k) for k in keys], model.embedding_width)

    def _get_ready(self, model: TokenModel, items: Sequence[Any]) -> None:
        """Let a model that loads itself when it is first asked do so, and time that."""
        if self._pace is None:
            began = self._clock()
            model.tokenize(items[:1])
            self.load += self._clock() - began

    def _by_tokens(
        self, items: list[Any], missing: NDArray[np.bool_], known: ModelCost, embedding: bool
    ) -> tuple[ModelCost, Seconds]:
        model = self._model
        assert isinstance(model, TokenModel)
        self._get_ready(model, items)
        began = self._clock()
        tokens = tokenized(model, items)
        tokenize = self._clock() - began
        new = np.arange(len(items))
        if not embedding:
            rows = self._answered.find(tokens, lambda unread: tokenized(model, unread))
            self._answered.add(tokens, 0)
            new = np.flatnonzero(rows < 0)
        asked = [tokens[one] for one in new]
        batches = token_batches(asked, missing[new], self._budget)
        share = np.full(len(items), tokenize / len(items))
        if not batches:
            return replace(known, tokenize=tokenize), share
        pace = self._token_pace(model, asked, batches)
        lengths = np.array([len(one) for one in asked])
        longest = np.array([lengths[batch.asked].max() for batch in batches])
        each = pace.seconds(longest, np.array([len(batch.asked) for batch in batches]))
        for batch, seconds in zip(batches, each, strict=True):
            share[new[batch.answered]] += seconds / len(batch.answered)
        cost = replace(
            known,
            tokens=sum(int(lengths[batch.asked].sum()) for batch in batches),
            batches=len(batches),
            seconds=float(each.sum()),
            tokenize=tokenize,
        )
        return cost, share

    def _by_rows(
        self, items: list[Any], missing: NDArray[np.bool_], known: ModelCost
    ) -> tuple[ModelCost, Seconds]:
        pace = self._row_pace([items[i] for i in np.flatnonzero(missing)])
        batches = row_batches(missing)
        sizes = np.array([len(batch.asked) for batch in batches])
        seconds = float(pace.seconds(np.zeros_like(sizes), sizes).sum())
        cost = ModelCost(known.distinct, known.cached, 0, len(batches), seconds, 0.0, known.lookup)
        return cost, np.where(missing, seconds / int(missing.sum()), 0.0)

    def _token_pace(
        self, model: TokenModel, tokens: Sequence[Sequence[int]], batches: Sequence[Batch]
    ) -> _Pace:
        if self._pace is None:
            self._pace = _TokenPace(model, tokens, batches, self._clock)
        return self._pace

    def _row_pace(self, items: Sequence[Any]) -> _Pace:
        if self._pace is None:
            self._pace = _RowPace(self._model, items, self._clock)
        return self._pace


class _TokenPace:
    """Seconds per padded token, by the length of a batch's longest input.

    As the audit asks: as many batches at once as the model has workers, on one core each.
    """

    def __init__(
        self,
        model: TokenModel,
        tokens: Sequence[Sequence[int]],
        batches: Sequence[Batch],
        clock: Clock,
    ) -> None:
        with _asking(model, len(batches)) as (ask, workers):
            together = 1 if workers == 1 else ROUND * workers
            rounds = [
                [[tokens[i] for i in batch.asked] for batch in batches[start : start + together]]
                for start in range(0, len(batches), together)
            ]
            ask(rounds[-1])  # warm-up
            lengths, paces = [], []
            self.timed, spent = 0, 0.0
            for position in _spread(len(rounds), TIMED_BATCHES if workers == 1 else TIMED_ROUNDS):
                began = clock()
                ask(rounds[position])
                passed = clock() - began
                padded = sum(len(batch) * max(map(len, batch)) for batch in rounds[position])
                lengths.append(padded / sum(map(len, rounds[position])))
                paces.append(passed / padded)
                spent += passed
                self.timed += len(rounds[position])
                if spent > TIMED_SECONDS and len(paces) > 1:
                    break
        order = np.argsort(lengths, kind="stable")
        smooth = _without_jolts(np.array(paces)[order])
        self._lengths, place = np.unique(np.array(lengths)[order], return_inverse=True)
        self._paces = np.bincount(place, weights=smooth) / np.bincount(place)
        fast, slow = np.quantile(paces, [0.1, 0.9])
        self.spread = float(slow / max(fast, 1e-12))

    def seconds(self, longest: NDArray[Any], rows: NDArray[Any]) -> Seconds:
        """Seconds of batches by the tokens of their longest input, and their inputs."""
        pace: Seconds = np.interp(longest, self._lengths, self._paces) * longest * rows
        return pace


class _RowPace:
    """A straight line through the rows and the seconds of growing batches."""

    spread = 1.0

    def __init__(self, model: Model, items: Sequence[Any], clock: Clock) -> None:
        n = len(items)
        model.predict(items[:1])  # warm-up
        sizes: list[int] = []
        seconds: list[float] = []
        size = 1
        while True:
            chosen = np.unique(np.linspace(0, n - 1, min(size, n, BATCH_ROWS)).astype(int))
            began = clock()
            model.predict([items[i] for i in chosen])
            seconds.append(clock() - began)
            sizes.append(len(chosen))
            # Four times the rows may take four times as long; two sizes tell batches from rows.
            costly = len(sizes) > 1 and sum(seconds) + 4 * seconds[-1] > TIMED_SECONDS
            if size >= min(n, BATCH_ROWS) or costly:
                break
            size *= 2 if size == 1 else 4
        self.timed = len(sizes)
        self._per_batch, self._per_row = line((sizes[0], sizes[-1]), (seconds[0], seconds[-1]))

    def seconds(self, longest: NDArray[Any], rows: NDArray[Any]) -> Seconds:
        """Seconds of batches by their inputs, whatever their length."""
        del longest
        each: Seconds = self._per_batch + self._per_row * rows
        return each


def line(sizes: tuple[int, int], seconds: tuple[float, float]) -> tuple[float, float]:
    """What is paid once and what each row costs, neither below 0, through two points.

    Where the second took no longer than the first, the second alone counts.
    """
    if sizes[1] == sizes[0]:
        return 0.0, seconds[1] / sizes[1]
    per_row = (seconds[1] - seconds[0]) / (sizes[1] - sizes[0])
    per_row = min(max(per_row, 0.0), seconds[1] / sizes[1])
    return seconds[1] - per_row * sizes[1], per_row


@contextmanager
def _asking(model: TokenModel, batches: int) -> Iterator[tuple[_Ask, int]]:
    """A function that asks several batches as the audit will, and how many it asks at once."""
    workers = min(model.workers, batches) if isinstance(model, ParallelModel) else 1
    together = model.asking() if isinstance(model, ParallelModel) else nullcontext()

    def in_turn(asked: Sequence[_Batch]) -> None:
        for batch in asked:
            model.predict_tokens(batch)

    with together:
        if workers == 1:
            yield in_turn, 1
            return
        with ThreadPoolExecutor(workers, "auditkit-plan") as pool:

            def at_once(asked: Sequence[_Batch]) -> None:
                for _ in pool.map(model.predict_tokens, asked):
                    pass

            yield at_once, workers


def _without_jolts(values: Seconds) -> Seconds:
    """The median of each value and its neighbours: one batch that was held up says nothing."""
    if len(values) < 3:
        return values
    padded = np.concatenate([values[1:2], values, values[-2:-1]])
    smooth: Seconds = np.median([padded[:-2], padded[1:-1], padded[2:]], axis=0)
    return smooth


def _spread(rounds: int, most: int) -> list[int]:
    """Positions of the rounds to time, those that say most first: the middle, then the ends."""
    chosen = np.unique(np.linspace(0, rounds - 1, min(rounds, most)).round()).astype(int)
    middle = (rounds - 1) / 2
    near, far = sorted(chosen.tolist(), key=lambda p: abs(p - middle)), []
    while near:
        far.append(near.pop(0))
        if near:
            far.append(near.pop())
    return far
