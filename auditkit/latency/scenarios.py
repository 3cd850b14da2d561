"""How requests come: one after the other, at random times, all at once.

The scenarios are those of MLPerf Inference (Reddi et al. 2020, and its LoadGen): single stream,
server, offline. Every request has a moment at which it is due, and its latency counts from there,
so that a request that waits for a slow one before it is slow, too (no coordinated omission).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import AuditkitError
from auditkit.latency.asking import Asker, Timings

SECOND = 1_000_000_000
Advance = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Length:
    """How long a scenario lasts: so many seconds, and on until there are so many requests.

    Attributes:
        seconds: At least so long.
        requests: At least so many requests.
        most_seconds: But no longer than this.
    """

    seconds: float
    requests: int = 1
    most_seconds: float = 600.0

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= self.most_seconds <= 86_400:
            raise ValueError(
                f"seconds must be above 0 and at most most_seconds, which is at most a day; not "
                f"{self.seconds:g} and {self.most_seconds:g}"
            )

    def over(self, elapsed: int, served: int) -> bool:
        """Whether it is over after so many nanoseconds and requests."""
        if elapsed >= self.most_seconds * SECOND:
            return True
        return elapsed >= self.seconds * SECOND and served >= self.requests

    def done(self, elapsed: int, served: int) -> float:
        """The share (0..1) of it that is over."""
        shares = elapsed / (self.seconds * SECOND), served / max(self.requests, 1)
        return min(1.0, max(min(shares), elapsed / (self.most_seconds * SECOND)))


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What happened before anything was counted.

    Attributes:
        first: Nanoseconds of the very first request.
        windows: Nanoseconds of each window, the same requests in each.
        agreed: Whether the last three agree.
    """

    first: int
    windows: tuple[int, ...]
    agreed: bool

    def sentence(self) -> str:
        """For the report."""
        said = f"{len(self.windows)} windows of the same requests"
        if self.agreed:
            return f"Warmed up for {said}; the last 3 agree within {WITHIN:.0%}."
        return f"After {said} no 3 in a row agreed within {WITHIN:.0%}: the machine is not quiet."


WITHIN = 0.05
"""How far the windows of a warm-up may lie apart."""
_WINDOW = 20
"""Inputs of a window."""
_SHORTEST = SECOND // 5
"""A window repeats its inputs until it is at least so long."""


def warm_up(asker: Asker, seconds: float) -> WarmUp:
    """Ask the same inputs in windows, until three in a row take equally long or time is up."""
    n = len(asker.inputs)
    rows = np.unique(np.linspace(0, n - 1, min(n, _WINDOW)).astype(np.int64))
    clock = asker.clock
    began = clock.now()
    first = asker.ask([int(rows[0])], [began]) - began
    windows: list[int] = []
    rounds = 0
    agreed = False
    while not agreed and clock.now() - began < seconds * SECOND:
        start, turn = clock.now(), 0
        while turn < rounds or (not rounds and clock.now() - start < _SHORTEST):
            for row in rows.tolist():
                asker.ask([row], [clock.now()])
            turn += 1
        rounds = turn
        windows.append(clock.now() - start)
        last = windows[-3:]
        agreed = len(last) == 3 and max(last) - min(last) <= WITHIN * min(last)
    asker.timings()
    return WarmUp(first, tuple(windows), agreed)


def single_stream(
    asker: Asker,
    length: Length,
    rng: np.random.Generator,
    advance: Advance = lambda _: None,
) -> Timings:
    """One request after the other: the next is due when the one before it is answered.

    Inputs are drawn at random, with replacement, so the lengths are distributed as in the data.
    """
    clock = asker.clock
    rows = _drawn(len(asker.inputs), rng)
    began, served = clock.now(), 0
    while not length.over(clock.now() - began, served):
        row = next(rows)
        asker.ask([row], [clock.now()])
        served += 1
        if served % _TOLD == 0:
            advance(length.done(clock.now() - began, served))
    return asker.timings()


@dataclass(frozen=True, slots=True)
class Turn:
    """How one model is asked beside others.

    Attributes:
        asker: Asks it.
        batch: Inputs of a request.
        within: What holds while it is asked, such as a number of threads; entered and left with the
            clock stopped.
    """

    asker: Asker
    batch: int = 1
    within: Callable[[], AbstractContextManager[None]] = nullcontext

    def ask(self, rows: Sequence[int]) -> float:
        """Ask about the first `batch` of these rows at once; nanoseconds for each."""
        with self.within():
            due = self.asker.clock.now()
            asked = rows[: self.batch]
            return (self.asker.ask(asked, [due] * len(asked)) - due) / len(asked)


@dataclass(frozen=True, slots=True)
class Patience:
    """When a model that is asked beside others is asked no more.

    It is looked at once, so that when it is does not depend on how the next requests turn out.

    Attributes:
        times: How many times the first model's time it may have taken.
        rounds: Looked at after so many rounds,
        seconds: or when it has taken so long, if that comes first.
    """

    times: float
    rounds: int
    seconds: float


def rounds(
    turns: Sequence[Turn],
    length: Length,
    rng: np.random.Generator,
    advance: Advance = lambda _: None,
    patience: Patience | None = None,
) -> list[Timings]:
    """Several models about the same inputs: in each round all are asked, in random order.

    Whatever happens to the machine happens to all of them. Each round draws as many inputs as the
    largest batch has, with replacement, and a model with a smaller one is asked about the first of
    them.

    Args:
        turns: The models; the first is what the others are held against, and stays to the end.
        length: Counted in rounds.
        rng: Draws the inputs, and who is first.
        advance: Told how much is done.
        patience: When a slow model leaves; its rounds are then the first of all rounds.
    """
    clock = turns[0].asker.clock
    drawn = _drawn(len(turns[0].asker.inputs), rng)
    most = max(turn.batch for turn in turns)
    took = [0.0] * len(turns)
    staying = list(range(len(turns)))
    began, served = clock.now(), 0
    while not length.over(clock.now() - began, served):
        rows = [next(drawn) for _ in range(most)]
        for place in rng.permutation(staying).tolist():
            took[place] += turns[place].ask(rows)
        served += 1
        if patience is not None:
            staying = [
                p for p in staying if not p or not _leaves(patience, served, took[0], took[p])
            ]
        if served % _TOLD == 0:
            advance(length.done(clock.now() - began, served))
    return [turn.asker.timings() for turn in turns]


def _leaves(patience: Patience, served: int, first: float, took: float) -> bool:
    due = served == patience.rounds or (
        served < patience.rounds and took > patience.seconds * SECOND
    )
    return due and took > patience.times * first


def in_turn(
    askers: tuple[Asker, Asker],
    length: Length,
    rng: np.random.Generator,
    advance: Advance = lambda _: None,
) -> tuple[Timings, Timings]:
    """Two models about the same inputs, each input drawn at random and put to both.

    Which of the two is first is drawn, too, so that whatever happens to the machine happens to
    both.
    """
    first, second = rounds([Turn(asker) for asker in askers], length, rng, advance)
    return first, second


def asked_once(turn: Turn, rows: Sequence[int], seconds: float) -> Timings:
    """One model about these rows, in requests as it is timed with, until they are over or time is.

    Args:
        turn: The model.
        rows: The inputs, in random order, so that what was asked in time is a sample of them.
        seconds: No request begins later than this.
    """
    clock = turn.asker.clock
    began = clock.now()
    for start in range(0, len(rows), turn.batch):
        if start and clock.now() - began > seconds * SECOND:
            break
        turn.ask(rows[start : start + turn.batch])
    return turn.asker.timings()


def arrivals(
    rate: float, length: Length, rng: np.random.Generator, chunk: int = 1024
) -> Iterator[int]:
    """Moments of a Poisson process, in nanoseconds from its start, without an end.

    Args:
        rate: Requests a second on average.
        length: Its rate must bring enough requests in time.
        rng: Random numbers.
        chunk: Gaps drawn at once.

    Raises:
        AuditkitError: So few requests a second do not come to the requests needed.
    """
    if rate * length.most_seconds < length.requests:
        raise AuditkitError(
            f"{rate:g} requests a second come to {rate * length.most_seconds:,.0f} in "
            f"{length.most_seconds:g} s; {length.requests:,} are needed.",
            "Raise params.most_seconds.",
        )
    now = 0.0
    while True:
        for gap in rng.exponential(SECOND / rate, chunk).tolist():
            now += gap
            yield round(now)


def server(
    asker: Asker,
    coming: Iterator[int],
    length: Length,
    rng: np.random.Generator,
    most_batch: int = 1,
    advance: Advance = lambda _: None,
) -> Timings:
    """Requests that come when they come, served in turn by one worker.

    A request is due when it arrives, whether or not the worker is free; those that wait are
    answered together, up to `most_batch` at once. When no more arrive, what waits is served for as
    long again as the scenario lasted; the rest is given up, and counted as `unserved`.

    Args:
        asker: Asks the model.
        coming: Moments at which requests arrive, ascending, in nanoseconds from the start.
        length: When arrivals end.
        rng: Draws which input each request is about.
        most_batch: Most requests answered together.
        advance: Told how much is done.
    """
    clock, rows = asker.clock, _drawn(len(asker.inputs), rng)
    began = clock.now()
    waiting: deque[int] = deque()
    served = arrived = 0
    closed: int | None = None
    following = next(coming)
    while True:
        now = clock.now() - began
        while closed is None and following <= now:
            if length.over(following, arrived):
                closed = following
                break
            waiting.append(following)
            arrived += 1
            following = next(coming)
        if closed is not None and (not waiting or now > 2 * closed):
            return asker.timings([began + due for due in waiting])
        if not waiting:
            clock.wait_until(began + following)
            continue
        due = [began + waiting.popleft() for _ in range(min(most_batch, len(waiting)))]
        chosen = [next(rows) for _ in due]
        asker.ask(chosen, due)
        served += len(due)
        if served % _TOLD < len(due):
            advance(length.done(clock.now() - began, served))


def offline(
    asker: Asker,
    batches: Sequence[NDArray[np.int64]],
    length: Length,
    advance: Advance = lambda _: None,
) -> tuple[Timings, list[int]]:
    """All inputs at once, in these batches, again and again.

    Returns:
        The requests, and the nanoseconds of each pass over all inputs.
    """
    clock = asker.clock
    given = [batch.tolist() for batch in batches]
    began = clock.now()
    passes: list[int] = []
    while not length.over(clock.now() - began, len(passes)):
        start = clock.now()
        for rows in given:
            asker.ask(rows, [start] * len(rows))
        passes.append(clock.now() - start)
        advance(length.done(clock.now() - began, len(passes)))
    return asker.timings(), passes


_TOLD = 64
"""Requests after which progress is told."""


def _drawn(n: int, rng: np.random.Generator, chunk: int = 4096) -> Iterator[int]:
    while True:
        yield from rng.integers(0, n, chunk).tolist()
