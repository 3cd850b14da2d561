"""Runs many tasks at once that stop to ask the model: all their questions go to it together.

Each task runs in a greenlet. Where it asks, it stops and hands over its questions; those of all
stopped tasks are asked in one request, and each goes on as soon as it has its answers, while the
model may still be at work on those of others. A library that asks a few texts at a time, one
example after the other, thus fills batches, and nothing of it is changed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from auditkit.random_streams import RandomStreams, untouched_randomness

FULL = 4096
"""Questions from which on a request is full: more stopped tasks wait for the next one."""

Part: TypeAlias = "tuple[NDArray[np.int64], NDArray[Any]]"
"""Positions of some of the questions, and their answers, one row each."""
Ask: TypeAlias = "Callable[[list[str]], Iterable[Part]]"
"""Answers questions, all at once or part by part."""


@dataclass(slots=True)
class Task:
    """What is done for one example.

    Attributes:
        row: Number of the example.
        body: Does it; asks by `ask_from_task`.
        streams: Its random numbers.
        seconds: What its own steps took so far, and its share of the model's time.
    """

    row: int
    body: Callable[[], Any]
    streams: RandomStreams
    seconds: float = 0.0
    questions: list[str] = field(default_factory=list)
    greenlet: Any = None


class OutOfTime(BaseException):
    """Thrown into a task; not an Exception, which a library might catch."""


def ask_from_task(texts: Sequence[str]) -> Any:
    """Stop the task that is running until its questions are answered; return the answers."""
    import greenlet

    hub: Any = greenlet.getcurrent().parent
    return hub.switch(list(texts))


class _Request:
    """The questions of several tasks, and what has been answered."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.questions = [question for task in tasks for question in task.questions]
        counts = [len(task.questions) for task in tasks]
        self._tasks = tasks
        self._ends = np.cumsum(counts).tolist()
        self._lacking = np.array(counts, dtype=np.int64)
        self._owners = np.repeat(np.arange(len(tasks)), self._lacking)
        self._waiting = np.ones(len(tasks), dtype=np.bool_)
        self._answers: NDArray[Any] = np.zeros(0)

    def take(self, part: Part, seconds: float) -> Iterator[tuple[Task, NDArray[Any]]]:
        """Take some answers and the time they took; the tasks that now have all, with theirs."""
        positions, answers = part
        if not self._answers.size:
            self._answers = np.zeros((len(self.questions), *answers.shape[1:]), answers.dtype)
        self._answers[positions] = answers
        counts = np.bincount(self._owners[positions], minlength=len(self._tasks))
        self._lacking -= counts
        for place in np.flatnonzero(counts).tolist():
            self._tasks[place].seconds += seconds * int(counts[place]) / len(positions)
        for place in np.flatnonzero(self._waiting & (self._lacking == 0)).tolist():
            self._waiting[place] = False
            task, end = self._tasks[place], self._ends[place]
            yield task, self._answers[end - len(task.questions) : end]


def _timed(ask: Ask, questions: list[str]) -> Iterator[tuple[Part, float]]:
    """Each part of the answers, and the seconds it was waited for."""
    began = time.perf_counter()
    for part in ask(questions):
        yield part, time.perf_counter() - began
        began = time.perf_counter()


@dataclass(slots=True)
class Interleaving:
    """Runs tasks.

    Attributes:
        ask: Answers a list of texts, all or part by part. Called with the questions of many tasks.
            Which these are does not depend on what is answered first.
        in_flight: Tasks that run at once.
        limit: Most seconds for one task; None for no bound. What is counted does not depend on how
            many run at once. A task is stopped between two requests, never inside one.
        at_work: What holds while tasks run, but not while the model's answers are waited for.
    """

    ask: Ask
    in_flight: int
    limit: float | None = None
    at_work: Callable[[], AbstractContextManager[Any]] = untouched_randomness
    _stopped: deque[Task] = field(default_factory=deque, init=False)

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Any]]:
        """Yield each task with what its body returned, request by request as they end.

        A body that raises ends them all; one that is out of time is thrown `OutOfTime`.
        """
        import greenlet

        try:
            while True:
                yield from self._begin(tasks)
                if not self._stopped:
                    return
                yield from self._answer(self._full_request())
        finally:
            for task in self._stopped:
                task.greenlet.parent = greenlet.getcurrent()
                task.greenlet.throw()  # GreenletExit
            self._stopped.clear()

    def _begin(self, tasks: Iterator[Task]) -> list[tuple[Task, Any]]:
        """Start tasks until enough are in flight; what those return that asked nothing."""
        import greenlet

        ended = []
        with self.at_work():
            while len(self._stopped) < self.in_flight:
                task = next(tasks, None)
                if task is None:
                    break
                body = task.body
                task.greenlet = greenlet.greenlet(lambda _, body=body: body())
                ended += self._step(task, None)
                if not task.greenlet.dead:
                    self._stopped.append(task)
        return ended

    def _full_request(self) -> list[Task]:
        """Stopped tasks, longest waiting first, until there are enough questions."""
        asking, questions = [], 0
        while self._stopped and questions < FULL:
            task = self._stopped.popleft()
            asking.append(task)
            questions += len(task.questions)
        return asking

    def _answer(self, asking: list[Task]) -> list[tuple[Task, Any]]:
        """Ask the model for these tasks and let each go on; those that end."""
        ended: list[tuple[Task, Any]] = []
        request = _Request(asking)
        try:
            for part, seconds in _timed(self.ask, request.questions):
                with self.at_work():
                    for task, answers in request.take(part, seconds):
                        ended += self._step(task, answers)
        finally:  # after an error they are to be ended with the others
            self._stopped.extend(task for task in asking if not task.greenlet.dead)
        return sorted(ended, key=lambda one: one[0].row)

    def _step(self, task: Task, answers: Any) -> list[tuple[Task, Any]]:
        """Let a task go on until it asks again, or ends."""
        import greenlet

        began = time.perf_counter()
        task.greenlet.parent = greenlet.getcurrent()
        task.streams.use()
        if self.limit is not None and task.seconds > self.limit:
            said = task.greenlet.throw(OutOfTime)
        else:
            said = task.greenlet.switch(answers)
        task.streams.keep()
        task.seconds += time.perf_counter() - began
        if task.greenlet.dead:
            return [(task, said)]
        task.questions = said
        return []
