"""Runs many attacks at once: all their queries go to the model together.

Where TextAttack asks its model wrapper, the attack stops until its queries are answered with those
of the others (see `auditkit.interleaving`). Nothing of TextAttack is changed, and nothing is shared
between two examples: each has its own attack object with its caches and counters, and its own
random numbers.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from auditkit.attacks.cloning import own_copy
from auditkit.attacks.library import load_textattack
from auditkit.attacks.outcome import AttackOutcome, Status, example_id
from auditkit.attacks.recipes import Recipe, find_recipe, require
from auditkit.attacks.splitting import refuse_unsplittable, splitting_once
from auditkit.attacks.supplied import in_use
from auditkit.errors import AuditkitError, ConfigError, MissingExtraError, ModelError
from auditkit.interleaving import FULL, Interleaving, OutOfTime, Task, ask_from_task
from auditkit.model import Predictions
from auditkit.random_streams import RandomStreams, seed_of, untouched_randomness

Ask = Callable[[list[str]], Predictions]

LONGEST_REASON = 300

_FINER_THAN_LOGITS = 2.0**44

_STATUS = {
    "SuccessfulAttackResult": Status.SUCCEEDED,
    "FailedAttackResult": Status.FAILED,
    "SkippedAttackResult": Status.SKIPPED,
    "MaximizedAttackResult": Status.MAXIMIZED,
}


@dataclass(frozen=True, slots=True)
class AttackSettings:
    """How examples are attacked.

    Attributes:
        seed: Seed of all random numbers; see `AttackOutcome.seed` for that of one example.
        budget: Most queries for one example, the original included; None for no bound.
        timeout: Most seconds for one example; None for no bound. What is counted is the time its
            own steps take and its share of the model's time, so that it does not depend on how
            many run at once. An attack is stopped between two requests, never inside one.
        in_flight: Examples attacked at once. Outcomes depend on it only where the search compares
            texts whose scores differ by no more than rounding, which follows the batch.
    """

    seed: int = 0
    budget: int | None = None
    timeout: float | None = None
    in_flight: int = 64

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget < 1:
            raise ValueError(f"budget must be at least 1, not {self.budget}")
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"timeout must be more than 0 seconds, not {self.timeout}")
        if self.in_flight < 1:
            raise ValueError(f"in_flight must be at least 1, not {self.in_flight}")


def attack(
    texts: Sequence[str],
    labels: Sequence[int],
    ask: Ask,
    recipe: str | Recipe,
    settings: AttackSettings | None = None,
) -> Iterator[AttackOutcome]:
    """Attack each text; yield outcomes as they are finished, not in the order of the texts.

    Outcomes equal those of TextAttack's own `Attack.attack` after `set_seed(outcome.seed)`.

    Args:
        texts: The examples.
        labels: Their true classes, as many.
        ask: Answers a list of texts with probabilities, e.g. `predictor.predict`. Called in this
            thread, with the texts of many examples at once.
        recipe: Name of a recipe, or a recipe.
        settings: Seed, bounds; by default seed 0 and no bounds.

    Raises:
        ConfigError: No recipe has this name, or a resource it needs is missing. Raised at once.
        MissingExtraError: TextAttack or greenlet is not installed. Raised at once.
        ModelError: The model cannot be asked, or answers without probabilities.
    """
    if len(texts) != len(labels):
        raise ValueError(f"{len(texts)} texts but {len(labels)} labels")
    chosen = find_recipe(recipe) if isinstance(recipe, str) else recipe
    require(chosen)
    try:
        import greenlet  # noqa: F401 - so that a missing one is said now
    except ImportError:
        raise MissingExtraError("An attack", "attacks") from None
    return _Hub(texts, labels, ask, chosen, settings or AttackSettings()).run()


@dataclass(frozen=True, slots=True)
class _Example:
    """One example under attack."""

    text: str
    label: int
    attack: Any
    seed: int
    task: Task


class _Wrapper:
    """What TextAttack takes for the model: hands the queries to the hub, waits for the answers."""

    model = None
    """TextAttack looks at its class to warn about tasks it does not know."""

    def __call__(self, texts: Sequence[str]) -> Any:
        return ask_from_task(texts)


class _Hub:
    def __init__(
        self,
        texts: Sequence[str],
        labels: Sequence[int],
        ask: Ask,
        recipe: Recipe,
        settings: AttackSettings,
    ) -> None:
        self._texts = texts
        self._labels = labels
        self._ask = ask
        self._recipe = recipe
        self._settings = settings
        self._running: dict[int, _Example] = {}

    def run(self) -> Iterator[AttackOutcome]:
        """Yield the outcomes; see `attack`."""
        textattack = load_textattack()
        pristine = self._recipe.built(_Wrapper())
        # One request for all candidates of a step. TextAttack's own 32 at a time answer the same.
        pristine.goal_function.batch_size = FULL
        pristine.goal_function.num_queries = 0  # else unset until the first query
        self._bound(pristine)

        @contextlib.contextmanager
        def at_work() -> Iterator[None]:
            """With their files, offline, and with random numbers of their own."""
            with in_use(textattack), splitting_once(textattack), untouched_randomness():
                yield

        settings = self._settings
        hub = Interleaving(
            lambda queries: _scores(self._ask(queries)),
            settings.in_flight,
            settings.timeout,
            at_work,
        )
        tasks = (self._new(row, pristine) for row in range(len(self._texts)))
        for task, said in hub.run(tasks):
            yield self._outcome(self._running.pop(task.row), said)

    def _bound(self, pristine: Any) -> None:
        if self._settings.budget is None:
            return
        if type(pristine.search_method).__name__ == "DifferentialEvolution":
            # It would trip over the spent budget and forget a success it has found.
            raise ConfigError(
                f"attack recipe {self._recipe.name!r} takes no budget: its search asks a number of "
                "queries that its options popsize and maxiter set."
            )
        pristine.goal_function.query_budget = self._settings.budget

    def _new(self, row: int, pristine: Any) -> Task:
        text, label = self._texts[row], int(self._labels[row])
        own = own_copy(pristine)
        seed = seed_of(self._settings.seed, self._recipe.name, text)

        def body() -> Any:
            try:
                refuse_unsplittable(text)
                return own.attack(text, label)
            except AuditkitError:
                raise
            except Exception as error:  # noqa: BLE001 - one example must not stop the others
                return error
            except OutOfTime as error:
                return error

        task = Task(row, body, RandomStreams.seeded(seed))
        self._running[row] = _Example(text, label, own, seed, task)
        return task

    def _outcome(self, running: _Example, result: Any) -> AttackOutcome:
        goal = running.attack.goal_function
        budget = self._settings.budget
        spent = budget is not None and goal.num_queries >= budget
        if isinstance(result, BaseException):
            status, reason = _ending(result, spent, self._settings.timeout)
            return _unfinished(running, self._recipe.name, goal.num_queries, status, reason)
        status = _STATUS[type(result).__name__]
        if status is Status.FAILED and spent:
            status = Status.BUDGET
        return _finished(running, self._recipe.name, result, status)


def _scores(predictions: Predictions) -> Any:
    """What TextAttack's own wrapper would return: logits in float32, shape (n, k).

    They are recovered from the probabilities, up to a constant that a softmax drops. TextAttack
    breaks ties in the float32 softmax of the logits, and to end where it ends, this must too. With
    very many classes that softmax does not sum to 1 closely enough for TextAttack, which then
    refuses it; probabilities in float64 do.
    """
    import torch

    if predictions.probabilities is None:
        raise ModelError(
            "the model answers without probabilities, which an attack follows.",
            "Let it return a probability per class.",
        )
    logs = np.log(np.maximum(predictions.probabilities, np.finfo(np.float64).tiny))
    logs -= logs.max(axis=1, keepdims=True)
    # Differences of float32 logits have few digits; what the logarithm adds beyond them would
    # decide which way a tie is rounded.
    logs = np.round(logs * _FINER_THAN_LOGITS) / _FINER_THAN_LOGITS
    logits = torch.from_numpy(logs.astype(np.float32))
    if ((torch.softmax(logits, dim=1).sum(dim=1) - 1).abs() < 1e-6).all():
        return logits
    return torch.softmax(torch.from_numpy(logs), dim=1)


def _ending(error: BaseException, spent: bool, timeout: float | None) -> tuple[Status, str]:
    if isinstance(error, OutOfTime):
        return Status.TIMEOUT, f"not finished after {timeout:g} seconds"
    if spent:
        # Some searches trip over the empty answer they get when the budget is spent.
        return Status.BUDGET, ""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return Status.ERROR, f"{type(error).__name__}: {error}"[:LONGEST_REASON] + where


def _finished(running: _Example, recipe: str, result: Any, status: Status) -> AttackOutcome:
    before, after = result.original_result, result.perturbed_result
    original, perturbed = before.attacked_text, after.attacked_text
    return AttackOutcome(
        example=example_id(running.text),
        row=running.task.row,
        recipe=recipe,
        status=status,
        original=running.text,
        perturbed=perturbed.text,
        label=running.label,
        original_label=_label(before.output),
        perturbed_label=_label(after.output),
        original_score=float(before.score),
        perturbed_score=float(after.score),
        queries=int(result.num_queries),
        words=original.num_words,
        changed_words=tuple(sorted(original.all_words_diff(perturbed))),
        seed=running.seed,
        seconds=running.task.seconds,
    )


def _unfinished(
    running: _Example, recipe: str, queries: int, status: Status, reason: str
) -> AttackOutcome:
    return AttackOutcome(
        example=example_id(running.text),
        row=running.task.row,
        recipe=recipe,
        status=status,
        original=running.text,
        perturbed=None,
        label=running.label,
        original_label=None,
        perturbed_label=None,
        original_score=None,
        perturbed_score=None,
        queries=queries,
        words=0,
        changed_words=(),
        seed=running.seed,
        seconds=running.task.seconds,
        reason=reason,
    )


def _label(output: Any) -> int | None:
    return output if isinstance(output, int) else None
