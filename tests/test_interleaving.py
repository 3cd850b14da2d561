"""Tasks that stop to ask are answered together, each with its own answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from auditkit.interleaving import Interleaving, Task, ask_from_task
from auditkit.random_streams import RandomStreams

pytest.importorskip("greenlet")


def lengths(questions: list[str]) -> np.ndarray:
    return np.array([len(question) for question in questions], dtype=np.float64).reshape(-1, 1)


def tasks(bodies: list[Callable[[], Any]]) -> Iterator[Task]:
    return (Task(row, body, RandomStreams()) for row, body in enumerate(bodies))


def asking(*steps: list[str]) -> Callable[[], list[float]]:
    """A body that asks step after step, and returns all answers."""
    return lambda: [x for step in steps for x in ask_from_task(step)[:, 0].tolist()]


BODIES = [
    asking(["a"], ["bb", "ccc"]),
    asking(["dddd"]),
    asking([], ["eeeee"]),
    asking(["a", "a"], ["f"], ["gg"]),
    list,
]
SAID = [[1, 2, 3], [4], [5], [1, 1, 1, 2], []]


@pytest.mark.parametrize("in_flight", [1, 2, 100])
def test_every_task_gets_its_own_answers(in_flight):
    said = {task.row: found for task, found in Interleaving(lengths, in_flight).run(tasks(BODIES))}
    assert [said[row] for row in range(len(BODIES))] == SAID


def test_an_error_of_the_model_ends_all_tasks():
    ended = []

    def body() -> None:
        try:
            ask_from_task(["x"])
        finally:
            ended.append(True)

    def ask(questions: list[str]) -> np.ndarray:
        raise RuntimeError("the model broke")

    with pytest.raises(RuntimeError, match="the model broke"):
        list(Interleaving(ask, 3).run(tasks([body] * 3)))
    assert len(ended) == 3
