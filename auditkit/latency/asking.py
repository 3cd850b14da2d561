"""Asks a model with a clock beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import AuditkitError
from auditkit.latency.clock import Clock, Device
from auditkit.model import LogitModel, Model, Predictions, TokenModel

Moments = NDArray[np.int64]
AGREEMENT = 1e-3
"""Most a probability may differ from the audited one: it moves with what else is in a batch."""


@dataclass(frozen=True, slots=True, eq=False)
class Timings:
    """Requests in the order they were served, n of them; all times in nanoseconds.

    Attributes:
        scheduled: When each request was due, shape (n,).
        started: When the model was given it.
        tokenized: When its tokens were there; equal to `started` where the model tokenises by
            itself.
        finished: When its answer was there.
        executed: From when the device reached the request, whatever it had been given before, to
            when it had computed it, by its own events; None on a CPU.
        rows: Which input was asked about.
        batch: Requests answered together with it, itself included.
        tokens: Tokens of the input; 0 where they are not known.
        answers: What the model answered.
        unserved: When requests that were never served were due, shape (m,).
        ended: When the scenario ended.
    """

    scheduled: Moments
    started: Moments
    tokenized: Moments
    finished: Moments
    executed: Moments | None
    rows: Moments
    batch: Moments
    tokens: Moments
    answers: Predictions
    unserved: Moments
    ended: int

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def latency(self) -> Moments:
        """From when a request was due to its answer."""
        return self.finished - self.scheduled

    @property
    def model_only(self) -> Moments:
        """From the tokens to the answer."""
        return self.finished - self.tokenized

    def compared(self, audited: Predictions) -> str:
        """How the answers compare with those that are audited, in a sentence.

        Args:
            audited: The answers for all rows.

        Raises:
            AuditkitError: They are not the same answers: what was timed is not what is audited.
        """
        expected, got = audited.take(self.rows), self.answers
        moved = np.full(len(self), np.inf)
        if expected.probabilities is not None and got.probabilities is not None:
            moved = np.abs(expected.probabilities - got.probabilities).max(axis=1)
        other = np.flatnonzero((expected.labels != got.labels) & (moved > AGREEMENT))
        if expected.probabilities is not None:
            other = np.flatnonzero(moved > AGREEMENT)
        if len(other):
            raise AuditkitError(
                f"while it was timed the model answered {len(other):,} of {len(self):,} requests "
                "otherwise than in the audit, so what was timed is not what is audited.",
                "A model that computes less precisely when it is hurried is another model: audit "
                "that one.",
            )
        apart = f", probabilities within {moved.max():.1g}" if np.isfinite(moved).all() else ""
        return f"All {len(self):,} answers given while timing are those of the audit{apart}."


@dataclass(slots=True)
class Asker:
    """Asks about inputs and writes down when.

    Args:
        model: The model under audit.
        inputs: What it is asked about.
        clock: Tells the time.
        device: Where it computes, when that has a queue of its own.
    """

    model: Model
    inputs: Sequence[Any]
    clock: Clock
    device: Device | None = None
    _times: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    """Started, tokenised, finished, executed and how many requests, of each batch."""
    _due: list[int] = field(default_factory=list)
    _rows: list[int] = field(default_factory=list)
    _tokens: list[int] = field(default_factory=list)
    _answers: list[Predictions] = field(default_factory=list)
    _by_tokens: TokenModel | None = None
    _by_logits: LogitModel | None = None

    def __post_init__(self) -> None:
        # To look for this at every request would take longer than everything else here.
        model = self.model
        self._by_tokens = model if isinstance(model, TokenModel) else None
        self._by_logits = model if isinstance(model, LogitModel) else None

    def ask(self, rows: Sequence[int], due: Sequence[int]) -> int:
        """Ask about some inputs at once; the moment the answer was there.

        Args:
            rows: The numbers of the inputs.
            due: When each was due.
        """
        clock, device = self.clock, self.device
        by_tokens, by_logits = self._by_tokens, self._by_logits
        inputs = [self.inputs[row] for row in rows]
        tokens: Sequence[Sequence[int]] | None = None
        started = ready = clock.now()
        if by_tokens is not None:
            tokens = by_tokens.tokenize(inputs)
            ready = clock.now()
        first = None if device is None else device.mark()
        said: Predictions | NDArray[Any]
        if by_tokens is None or tokens is None:
            said = self.model.predict(inputs)
        elif by_logits is None:
            said = by_tokens.predict_tokens(tokens)
        else:
            said = by_logits.logits_of_tokens(tokens)
        executed = -1
        if device is not None:
            last = device.mark()
            device.synchronize()
        finished = clock.now()
        if device is not None:
            executed = device.between(first, last)
        self._times.append((started, ready, finished, executed, len(rows)))
        self._due.extend(due)
        self._rows.extend(rows)
        self._tokens.extend([0] * len(rows) if tokens is None else map(len, tokens))
        # Making predictions of logits is auditkit's, and no part of the request.
        self._answers.append(
            said if isinstance(said, Predictions) else Predictions.from_logits(said)
        )
        return finished

    def timings(self, unserved: Sequence[int] = ()) -> Timings:
        """Everything asked so far, which is forgotten.

        Raises:
            AuditkitError: The model answered another number of inputs than it was asked about.
        """
        columns = np.array(self._times, dtype=np.int64).reshape(-1, 5)
        sizes = columns[:, 4]
        given = [len(answer) for answer in self._answers]
        if given != sizes.tolist():
            raise AuditkitError(
                f"{self.model.name} was asked about {int(sizes.sum())} inputs and answered "
                f"{sum(given)}."
            )
        each = np.repeat(columns, sizes, axis=0)
        found = Timings(
            scheduled=np.array(self._due, dtype=np.int64),
            started=each[:, 0],
            tokenized=each[:, 1],
            finished=each[:, 2],
            executed=None if self.device is None else each[:, 3],
            rows=np.array(self._rows, dtype=np.int64),
            batch=each[:, 4],
            tokens=np.array(self._tokens, dtype=np.int64),
            answers=_joined(self._answers),
            unserved=np.array(unserved, dtype=np.int64),
            ended=self.clock.now(),
        )
        self._times, self._due, self._rows, self._tokens, self._answers = [], [], [], [], []
        return found


def _joined(answers: Sequence[Predictions]) -> Predictions:
    labels = np.concatenate([np.zeros(0, np.int64), *(a.labels for a in answers)])
    scores = [a.probabilities for a in answers if a.probabilities is not None]
    return Predictions(labels, np.concatenate(scores) if scores else None)
