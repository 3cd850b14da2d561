"""A machine made of numbers, on which timings are exact and take no time: for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from auditkit.errors import NotApplicable
from auditkit.latency.bench import Bench, FreshStart
from auditkit.latency.clock import Clock
from auditkit.latency.hardware import Busy, Hardware
from auditkit.latency.variants import MakeVariant, Variant
from auditkit.model import Capability, Predictions

QUIET = Busy(0.0, 0.0, None, None, None)
"""A reading of a machine that tells nothing."""


@dataclass(slots=True)
class FakeClock:
    """A clock that moves only when it is told to."""

    time: int = 0
    """Nanoseconds."""

    def now(self) -> int:
        """The time."""
        return self.time

    def wait_until(self, moment: int) -> None:
        """Be there."""
        self.time = max(self.time, moment)

    def advance(self, nanoseconds: float) -> None:
        """Let time pass."""
        self.time += round(nanoseconds)


@dataclass(slots=True)
class FakeDevice:
    """A device that computes what it is given in turn, while the clock of the host goes on."""

    clock: FakeClock
    free: int = 0
    """When everything in its queue is computed."""
    peak: int = 0

    def compute(self, nanoseconds: float) -> None:
        """Put work into the queue."""
        self.free = max(self.free, self.clock.time) + round(nanoseconds)

    def mark(self) -> int:
        """When the device gets there."""
        return max(self.free, self.clock.time)

    def synchronize(self) -> None:
        """Wait until the queue is empty."""
        self.clock.wait_until(self.free)

    def between(self, first: int, second: int) -> int:
        """Nanoseconds between two marks."""
        return second - first

    def peak_bytes(self) -> int:
        """Most memory in use."""
        return self.peak


def _even(_: Any) -> Sequence[float]:
    return 0.6, 0.4


@dataclass(slots=True)
class Sleeper:
    """A model that takes as long as it is told to.

    Attributes:
        clock: The clock that it lets go on.
        takes: Nanoseconds of a batch, by its inputs.
        answer: Probabilities of an input.
        device: Where it sleeps, when that is not on the host.
        launch: Nanoseconds on the host for each batch that goes to the device.
    """

    clock: FakeClock
    takes: Callable[[Sequence[Any]], float]
    answer: Callable[[Any], Sequence[float]] = _even
    device: FakeDevice | None = None
    launch: float = 0.0
    class_names: tuple[str, ...] = ("negative", "positive")
    name: str = "sleeper"
    digest: str = "sleeper"
    capabilities: frozenset[Capability] = frozenset(
        {Capability.PROBABILITIES, Capability.NEW_INPUTS}
    )
    assumptions: dict[str, str] = field(default_factory=dict)

    def predict(self, batch: Sequence[Any]) -> Predictions:
        """Sleep, then answer."""
        if self.device is None:
            self.clock.advance(self.takes(batch))
        else:
            self.clock.advance(self.launch)
            self.device.compute(self.takes(batch))
        scores = np.array([self.answer(one) for one in batch], dtype=np.float64)
        return Predictions(scores.argmax(axis=1), scores)


@dataclass(slots=True)
class TokenSleeper(Sleeper):
    """The same with a tokenizer: a token for each word, and time for each token."""

    per_token: float = 0.0

    def tokenize(self, inputs: Sequence[Any]) -> list[list[int]]:
        """A token for each word."""
        made = [[len(word) for word in str(one).split()] for one in inputs]
        self.clock.advance(self.per_token * sum(map(len, made)))
        return made

    def predict_tokens(self, batch: Sequence[Sequence[int]]) -> Predictions:
        """Sleep, then answer."""
        return self.predict(batch)


def simulated_bench(
    takes: Callable[[Sequence[Any]], float],
    answer: Callable[[Any], Sequence[float]] = _even,
    starts: Callable[[int], FreshStart] | None = None,
    baseline: Callable[[Sequence[Any]], float] | None = None,
) -> Bench:
    """A bench with a sleeper on it.

    Args:
        takes: Nanoseconds of a batch, by its inputs.
        answer: Probabilities of an input.
        starts: What the i-th new process needed; None where none can be started.
        baseline: Nanoseconds of a batch of a baseline; None without one.
    """
    clock = FakeClock()
    count = iter(range(10_000))

    def start(_: Sequence[Any], __: int) -> FreshStart:
        assert starts is not None
        return starts(next(count))

    return Bench(
        Sleeper(clock, takes, answer),
        Hardware({"processor": "simulated"}),
        clock,
        start=None if starts is None else start,
        baseline=None if baseline is None else Sleeper(clock, baseline, answer),
        busy=lambda: QUIET,
    )


Planted = tuple[Callable[[Sequence[Any]], float], Callable[[Any], Sequence[float]]]
"""Nanoseconds of a batch by its inputs, and probabilities of an input."""


def simulated_variants(
    clock: Clock, planted: Mapping[str, Planted], seconds: float = 2.0, batch: int | None = None
) -> MakeVariant:
    """Makes sleepers for the planted names; any other cannot be made.

    Args:
        clock: The clock of the bench.
        planted: What each variant takes and answers, by its name.
        seconds: What making one takes.
        batch: Inputs of a request of each of them; None for as many as the model is asked.
    """
    assert isinstance(clock, FakeClock)

    @contextmanager
    def make(name: str) -> Iterator[Variant]:
        if name not in planted:
            raise NotApplicable("it was not planted.")
        clock.advance(seconds * 1e9)
        takes, answer = planted[name]
        yield Variant(Sleeper(clock, takes, answer, name=name), batch)

    return make
