"""Tasks that stop to ask are answered together, and go on as soon as they can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from auditkit.interleaving import Interleaving, Part, Task, ask_from_task
from auditkit.random_streams import RandomStreams

pytest.importorskip("greenlet")


def lengths(questions: list[str]) -> np.ndarray:
    return np.array([len(question) for question in questions], dtype=np.float64).reshape(-1, 1)


def at_once(questions: list[str]) -> list[Part]:
    return [(np.arange(len(questions)), lengths(questions))]


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
    said = {task.row: found for task, found in Interleaving(at_once, in_flight).run(tasks(BODIES))}
    assert [said[row] for row in range(len(BODIES))] == SAID


def in_parts(order: np.random.Generator) -> Callable[[list[str]], Iterator[Part]]:
    """Answers one question at a time, in an order of its own."""

    def ask(questions: list[str]) -> Iterator[Part]:
        yield np.zeros(0, dtype=np.int64), lengths([])
        for place in order.permutation(len(questions)):
            yield np.array([place]), lengths([questions[place]])

    return ask


def test_what_is_asked_together_does_not_depend_on_what_is_answered_first():
    seen: list[list[list[str]]] = []
    for seed in range(10):
        requests: list[list[str]] = []
        ask = in_parts(np.random.default_rng(seed))

        def noted(questions: list[str], ask=ask, requests=requests) -> Iterator[Part]:
            requests.append(questions)
            return ask(questions)

        said = [(task.row, found) for task, found in Interleaving(noted, 3).run(tasks(BODIES))]
        assert sorted(said) == list(enumerate(SAID))
        seen.append([*requests, [str(row) for row, _ in said]])
    assert all(one == seen[0] for one in seen)


def test_a_task_goes_on_while_others_are_not_answered_yet():
    went_on: list[str] = []

    def body(name: str) -> Callable[[], None]:
        def run() -> None:
            ask_from_task([name])
            went_on.append(name)

        return run

    def ask(questions: list[str]) -> Iterator[Part]:
        yield np.array([0]), lengths(questions[:1])
        assert went_on == ["first"]
        yield np.array([1]), lengths(questions[1:])

    assert len(list(Interleaving(ask, 2).run(tasks([body("first"), body("second")])))) == 2
    assert went_on == ["first", "second"]


def test_an_error_of_the_model_ends_all_tasks():
    ended = []

    def body() -> None:
        try:
            ask_from_task(["x"])
        finally:
            ended.append(True)

    def ask(questions: list[str]) -> Iterator[Part]:
        yield np.array([0]), lengths(questions[:1])
        raise RuntimeError("the model broke")

    with pytest.raises(RuntimeError, match="the model broke"):
        list(Interleaving(ask, 3).run(tasks([body] * 3)))
    assert len(ended) == 3
