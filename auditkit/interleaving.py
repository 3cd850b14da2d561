"""Runs many tasks at once that stop to ask the model: all their questions go to it together.

Each task runs in a greenlet. Where it asks, it stops and hands over its questions; those of all
stopped tasks are asked in one request, and each goes on with its answers. A library that asks a few
texts at a time, one example after the other, thus fills batches, and nothing of it is changed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from auditkit.random_streams import RandomStreams, untouched_randomness

FULL = 4096
"""Questions from which on a request is full: more stopped tasks wait for the next one."""


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


@dataclass(slots=True)
class Interleaving:
    """Runs tasks.

    Attributes:
        ask: Answers a list of texts, with something that can be cut into parts by rows. Called with
            the questions of many tasks.
        in_flight: Tasks that run at once.
        limit: Most seconds for one task; None for no bound. What is counted does not depend on how
            many run at once. A task is stopped between two requests, never inside one.
        at_work: What holds while tasks run, but not while the model is asked.
    """

    ask: Callable[[list[str]], Any]
    in_flight: int
    limit: float | None = None
    at_work: Callable[[], AbstractContextManager[Any]] = untouched_randomness
    _stopped: deque[Task] = field(default_factory=deque, init=False)

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Any]]:
        """Yield each task with what its body returned, in the order they end.

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
        left = deque(asking)
        try:
            began = time.perf_counter()
            merged = [question for task in asking for question in task.questions]
            answers = self.ask(merged)
            each = (time.perf_counter() - began) / max(len(merged), 1)
            start = 0
            with self.at_work():
                while left:
                    task = left.popleft()
                    end = start + len(task.questions)
                    task.seconds += each * len(task.questions)
                    ended += self._step(task, answers[start:end])
                    start = end
        finally:
            self._stopped.extend(left)  # after an error: to be ended with the others
        return ended

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
        self._stopped.append(task)
        return []
