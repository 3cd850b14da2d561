"""What a check costs whose questions depend on the model's answers, from a pilot on a few rows.

The check runs with the model's real answers on so few examples that it can decide nothing. Its
findings are thrown away unread, and no answer is kept: only what it asked about, and how long it
took, is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context, Predictor
from auditkit.content import content_key
from auditkit.errors import AuditkitError
from auditkit.finding import Finding, Outcome
from auditkit.forecast.model_cost import Clock, ModelTimer
from auditkit.measuring import run_check
from auditkit.model import Head, Predictions
from auditkit.plan import PlannedCheck
from auditkit.preflight import Prepared
from auditkit.sampling import draw

PILOT_ROWS = 64
"""Rows a pilot draws its examples from."""
WARM_UP, PILOT = 4, 16
"""Examples of the first run, which also pays for imports, and of the one that is counted."""
PILOT_SECONDS = 60.0
"""A pilot that takes longer is given up."""


_EMBEDDING = object()
"""Marks the key of an input that was embedded: predicting and embedding are two requests."""


class Noted:
    """A predictor that notes what it is asked besides the audited rows.

    Args:
        predictor: Answers.
        rows: Row of each audited input, by its key.
    """

    def __init__(self, predictor: Predictor, rows: Mapping[Hashable, int]) -> None:
        self._predictor = predictor
        self._rows = rows
        self.forget()

    def forget(self) -> None:
        """Begin anew to note what is asked."""
        self.requests: list[dict[Hashable, Any]] = []
        """What was asked that is not among the audited rows, by key; each input once."""
        self._seen: set[Hashable] = set()

    def predict(self, inputs: Iterable[Any]) -> Predictions:
        """The predictor's answers."""
        items = list(inputs)
        asked = {content_key(one): one for one in items}
        self._note({key: one for key, one in asked.items() if key not in self._rows})
        return self._predictor.predict(items)

    def embed(self, inputs: Iterable[Any]) -> NDArray[np.float32]:
        """The predictor's embeddings. Those of the audited rows are asked for, too."""
        items = list(inputs)
        self._note({(_EMBEDDING, content_key(one)): one for one in items})
        return self._predictor.embed(items)

    def head(self) -> Head:
        """The predictor's head. Nothing is asked."""
        return self._predictor.head()

    def _note(self, asked: Mapping[Hashable, Any]) -> None:
        new = {key: one for key, one in asked.items() if key not in self._seen}
        self._seen |= new.keys()
        if new:
            self.requests.append(new)


def is_embedding(key: Hashable) -> bool:
    """Whether what was noted under this key was asked for its embedding."""
    return isinstance(key, tuple) and key[0] is _EMBEDDING


@dataclass(frozen=True, slots=True)
class Piloted:
    """What a pilot cost.

    Attributes:
        new: Inputs it asked about that are not among the audited rows, by key.
        once: Seconds of its own that are paid once: imports, mostly.
        seconds: Seconds of its own that grow with the examples, those in the model not included.
        scale: How many times as many examples the audit will have.
        until: Share of the rows from which on there are no more examples.
        again: The chance that the audit asks about one of `new`, given that a check whose pilot has
            the same rows asks about it; at most 1.
    """

    new: dict[Hashable, Any]
    once: float
    seconds: float
    scale: float
    until: float
    again: float


class _Contexts(Protocol):
    def __call__(self, answers: Noted, advance: Callable[[float], None], /) -> Context: ...


class Pilot:
    """Runs checks on a few of the audited rows, all on the same ones.

    Args:
        prepared: Model and data.
        timer: Has the way to the model.
        rows: Row of each audited input, by its key.
        seed: By which the rows are drawn.
        clock: Tells seconds.
    """

    def __init__(
        self,
        prepared: Prepared,
        timer: ModelTimer,
        rows: Mapping[Hashable, int],
        seed: int,
        clock: Clock,
    ) -> None:
        data = prepared.audited
        self.rows = draw(data, min(PILOT_ROWS, len(data)), seed).rows
        self._eligible = len(rows)
        self._clock = clock
        self._model = timer.predictor(lambda _done, _all: self._in_time())
        self._answers = Noted(self._model, rows)
        self._end = 0.0

    def of(self, entry: PlannedCheck, context: _Contexts) -> Piloted | str | None:
        """Run a check on few examples, then on some more, which are counted.

        Returns:
            What it cost; why it is not applicable; None where it failed or took too long.
        """
        field = entry.check.grows_with
        wanted: int = min(getattr(entry.params, field), self._eligible)
        counted = min(PILOT, wanted, len(self.rows))
        warm_up = min(WARM_UP, counted)
        self._end = self._clock() + PILOT_SECONDS
        seconds: list[float] = []
        for examples in (warm_up, counted):
            few = replace(entry, params=replace(entry.params, **{field: examples}))
            own, findings = self._run(few, context)
            if reason := not_applicable(findings):
                return reason
            if any(one.outcome is Outcome.ERROR for one in findings):
                return None
            seconds.append(own)
        return Piloted(
            new={key: one for request in self._answers.requests for key, one in request.items()},
            once=max(seconds[0] - seconds[1] * warm_up / counted, 0.0),
            seconds=seconds[1],
            scale=wanted / counted,
            until=wanted / self._eligible,
            again=min(wanted / self._eligible * len(self.rows) / counted, 1.0),
        )

    def _run(self, entry: PlannedCheck, context: _Contexts) -> tuple[float, list[Finding]]:
        """The check's own seconds, and what it found."""
        self._answers.forget()
        before, began = self._in_model, self._clock()
        findings = run_check(entry, context(self._answers, lambda _share: self._in_time()))
        passed = self._clock() - began
        return max(passed - (self._in_model - before), 0.0), findings

    @property
    def _in_model(self) -> float:
        return self._model.seconds + self._model.tokenize_seconds

    def _in_time(self) -> None:
        """Give up what takes too long.

        Raises:
            AuditkitError: The time is over.
        """
        if self._clock() > self._end:
            raise AuditkitError("a pilot takes too long.")


def not_applicable(findings: list[Finding]) -> str:
    """Why a check measured nothing at all; empty when it did."""
    reasons = [f.message for f in findings if f.outcome is Outcome.NOT_APPLICABLE]
    nothing = all(f.measurement is None for f in findings)
    return reasons[0] if reasons and nothing else ""
