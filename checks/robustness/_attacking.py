"""What the checks that attack a model have in common: examples, and attacks that can go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.attacks import (
    AttackOutcome,
    AttackSettings,
    Recipe,
    Status,
    attack,
    blocked,
    example_id,
    find_recipe,
)
from auditkit.check import Context
from auditkit.errors import AuditkitError, NotApplicable

Record = dict[str, Any]
Span = tuple[float, float]
"""Shares of a check that are done before and after a part of it."""


def runnable(field: str, name: str) -> Recipe:
    """The recipe of this name, if it turns answers and can run here given its files.

    Raises:
        ValueError: It is not; the message starts with the name of the parameter.
    """
    try:
        recipe = find_recipe(name)
    except AuditkitError as error:
        raise ValueError(f"{field}: {error.message} {error.hint}") from None
    if not recipe.changes_label:
        raise ValueError(f"{field}: {name!r} does not try to change the answer")
    if blocked(recipe):
        raise ValueError(f"{field}: {name!r} cannot run here: {'; '.join(blocked(recipe))}")
    return recipe


def in_range(examples: int, minimum_examples: int, budget: int, timeout: float) -> None:
    """Refuse settings of an attack that mean nothing.

    Raises:
        ValueError: One is out of its range.
    """
    if min(examples, minimum_examples) < 1 or budget < 2:
        raise ValueError("examples must be at least 1, budget at least 2")
    if not timeout > 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout}")


def texts_only(inputs: Sequence[Any]) -> None:
    """Refuse inputs an attack cannot change.

    Raises:
        NotApplicable: They are not texts.
    """
    if not all(isinstance(text, str) for text in inputs):
        raise NotApplicable("the inputs are not texts.")


def drawn(
    inputs: Sequence[str], labels: NDArray[np.int64], wanted: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Rows with distinct texts, in their order; each class in proportion to its share."""
    distinct = np.array(
        sorted({text: row for row, text in reversed([*enumerate(inputs)])}.values()), dtype=np.int64
    )
    order = rng.permutation(distinct)
    if len(order) <= wanted:
        return distinct
    # Sorted by class, every k-th of a random order: a class is at most one row off its share.
    by_class = order[np.argsort(labels[order], kind="stable")]
    places = np.floor((np.arange(wanted) + rng.random()) * len(order) / wanted).astype(int)
    return np.sort(by_class[places])


def evenly_drawn(
    inputs: Sequence[str],
    strata: NDArray[np.int64],
    eligible: NDArray[np.bool_],
    wanted: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Eligible rows, in their order: one of every stratum in turn, until there are enough.

    No text is drawn twice within a stratum, nor a row of stratum -1.
    """
    first: dict[tuple[int, str], int] = {}
    for row in np.flatnonzero(eligible & (strata >= 0)).tolist():
        first.setdefault((int(strata[row]), inputs[row]), row)
    order = rng.permutation(np.array([*first.values()], dtype=np.int64))
    by_stratum = order[np.argsort(strata[order], kind="stable")]
    _, starts, sizes = np.unique(strata[by_stratum], return_index=True, return_counts=True)
    turns = np.arange(len(by_stratum)) - np.repeat(starts, sizes)
    # Those of the last turn, which may not be whole, are drawn by chance.
    ranked = by_stratum[np.lexsort((rng.random(len(turns)), turns))]
    return np.sort(ranked[:wanted])


def outcome_record(outcome: AttackOutcome) -> Record:
    """What every check keeps of an outcome; the original text is in the data."""
    return {
        "status": outcome.status.value,
        "queries": outcome.queries,
        "reason": outcome.reason,
    }


@dataclass(frozen=True, slots=True)
class Campaign:
    """Attacks on the same examples.

    Attributes:
        context: Predictor and kept parts.
        texts: The examples.
        labels: Their true classes, shape (n,).
        record: What to keep of an outcome, as JSON values.
    """

    context: Context
    texts: Sequence[str]
    labels: NDArray[np.int64]
    record: Callable[[AttackOutcome], Record] = outcome_record

    def run(
        self,
        recipe: Recipe,
        rows: Sequence[int],
        settings: AttackSettings,
        name: str,
        span: Span = (0.0, 1.0),
    ) -> dict[int, Record]:
        """Records of the attacked rows by row; finished ones are taken from an earlier try.

        Raises:
            AuditkitError: The attack crashed on more than half of the examples.
        """
        found: dict[int, Record] = {}
        for row in rows:
            part = self.context.kept.get(self._part(name, row))
            if part is not None:
                found[row] = part
        left = [row for row in rows if row not in found]
        texts, labels = [self.texts[row] for row in left], self.labels[left].tolist()
        for outcome in attack(texts, labels, self.context.predictor.predict, recipe, settings):
            row = left[outcome.row]
            found[row] = self.record(outcome)
            self.context.kept.put(self._part(name, row), found[row])
            done = len(found) / len(rows)
            self.context.advance(span[0] + done * (span[1] - span[0]))
        _refuse_crashes(name, found)
        return found

    def ended(self, found: Mapping[int, Record], *statuses: Status) -> NDArray[np.bool_]:
        """Which of the n examples ended in one of these ways, shape (n,)."""
        flags = np.zeros(len(self.texts), dtype=bool)
        flags[[row for row, part in found.items() if part["status"] in statuses]] = True
        return flags

    def _part(self, name: str, row: int) -> str:
        return f"{name}/{example_id(self.texts[row])}"


def _refuse_crashes(name: str, found: Mapping[int, Record]) -> None:
    reasons = [part["reason"] for part in found.values() if part["status"] == Status.ERROR]
    if 2 * len(reasons) > len(found):
        raise AuditkitError(
            f"the attack {name!r} crashed on {len(reasons)} of {len(found)} examples, first: "
            f"{reasons[0]}."
        )
