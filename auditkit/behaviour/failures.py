"""Which cases of a suite fail, from the model's answers to their texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auditkit.behaviour.cases import Case
from auditkit.model import Predictions


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far a probability may move where it should not, 0..1.

    Attributes:
        direction: Of a DIR case, against the direction.
        invariance: Of an INV case whose class changes: the most that the probability of the first
            text's class may have moved. 0 takes every change of class for a failure.
    """

    direction: float = 0.1
    invariance: float = 0.0


def failed(
    cases: Sequence[Case], answers: Predictions, tolerances: Tolerances
) -> list[bool | None]:
    """Whether each case fails; None where it cannot.

    As CheckList counts: a case fails when one of its texts does. A DIR case cannot fail when the
    probability of the first text is already within the tolerance of the end it must not go to; or
    when the model gives no probabilities.

    Args:
        cases: The cases.
        answers: Answers for all texts of all cases, one case after the other.
        tolerances: How much is still right.

    Raises:
        ValueError: There are not as many answers as texts.
    """
    if len(answers) != sum(len(case.texts) for case in cases):
        raise ValueError(f"{len(answers)} answers are not one for each text")
    found, end = [], 0
    for case in cases:
        start, end = end, end + len(case.texts)
        scores = None if answers.probabilities is None else answers.probabilities[start:end]
        found.append(_failed(case, Predictions(answers.labels[start:end], scores), tolerances))
    return found


def _failed(case: Case, answers: Predictions, tolerances: Tolerances) -> bool | None:
    match case.kind:
        case "MFT":
            return bool((answers.labels != case.label).any())
        case "INV":
            return _changed(answers, tolerances.invariance)
        case "DIR":
            return _went_wrong(case, answers, tolerances.direction)


def _changed(answers: Predictions, tolerance: float) -> bool:
    first = answers.labels[0]
    changed = answers.labels != first
    if tolerance and answers.probabilities is not None:
        moved = abs(answers.probabilities[:, first] - answers.probabilities[0, first])
        changed &= moved > tolerance
    return bool(changed.any())


def _went_wrong(case: Case, answers: Predictions, tolerance: float) -> bool | None:
    if answers.probabilities is None:
        return None
    watched = answers.labels[0] if case.label is None else case.label
    scores = answers.probabilities[:, watched]
    # Mirrored, "down" is "up" of all other classes together.
    scores = scores if case.direction == "up" else 1 - scores
    if scores[0] <= tolerance:
        return None
    return bool((scores[1:] < scores[0] - tolerance).any())
