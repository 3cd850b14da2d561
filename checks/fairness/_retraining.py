"""What remedies that retrain for fairness share besides `_grouped`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditkit.data import MISSING, Attribute, AuditData
from auditkit.metrics.group_training import FEWEST, Ints, goodness, widest_gap
from auditkit.remedy import RemedyContext, TrainingParams

from ._grouped import attribute_of, levels_of

ModelScore = Callable[[NDArray[np.float64]], float]


@dataclass(frozen=True, slots=True)
class GroupTraining(TrainingParams):
    """How a fairness remedy trains."""

    attributes: tuple[str, ...] = ()
    """Sensitive attributes to repair for, crossed if there are several; empty for the only one."""
    stop_on: Literal["loss", "accuracy"] = "accuracy"
    """What the best model is chosen by on the validation rows, weighed as the remedy does."""

    def __post_init__(self) -> None:
        TrainingParams.__post_init__(self)
        if len(set(self.attributes)) < len(self.attributes):
            raise ValueError(f"attributes names one twice: {', '.join(self.attributes)}")


@dataclass(frozen=True, slots=True)
class GapTraining(GroupTraining):
    """How a fairness remedy trains that is about one gap between groups."""

    constraint: Literal["equalized-odds", "demographic-parity"] = "equalized-odds"
    """The gap that is to close: true and false positive rates, or selection rates."""


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The groups among the training rows.

    Attributes:
        train: Of the rows to train on; each level occurs.
        validation: Of the rows to choose by, with the same levels; other groups are missing.
    """

    train: Attribute
    validation: Attribute


def groups_of(context: RemedyContext, params: GroupTraining) -> Groups:
    """The groups to repair for. Says which rows belong to none.

    Raises:
        RemedyError: As `attribute_of` and `levels_of`.
    """
    train = attribute_of(context.train, params.attributes)
    levels = levels_of(train, "train on")
    if train.missing:
        context.note(
            f"{train.missing:,} of {len(context.train):,} rows to train on are of unknown "
            f"{train.name}: they are trained on as usual and belong to no group."
        )
    validation = _recoded(attribute_of(context.validation, params.attributes), levels)
    scarce = [
        f"{level} ({size})"
        for level, size in zip(levels, validation.sizes().tolist(), strict=True)
        if size < FEWEST
    ]
    if scarce:
        context.note(
            f"Groups with fewer than {FEWEST} rows to choose by do not count when models are "
            f"compared: {', '.join(scarce)}."
        )
    return Groups(_recoded(train, levels), validation)


def _recoded(attribute: Attribute, levels: tuple[str, ...]) -> Attribute:
    """The attribute with these levels; rows of others are missing."""
    place = {level: code for code, level in enumerate(levels)}
    codes = [place.get(level, MISSING) for level in attribute.levels]
    table = np.array([*codes, MISSING], dtype=np.int64)  # MISSING reads the last entry
    return Attribute(attribute.name, levels, table[attribute.codes])


def labels_of(data: AuditData) -> Ints:
    """The labels, which rows to train on and to choose by have."""
    assert data.labels is not None
    return data.labels


def steps_of(context: RemedyContext, params: TrainingParams) -> int:
    """Steps of the training, if it is not stopped early."""
    return params.epochs * -(-len(context.train) // params.batch)


def quality_less_gap(context: RemedyContext, params: GapTraining, groups: Groups) -> ModelScore:
    """From the logits on the validation rows to accuracy (or minus the loss) less the gap."""
    data, labels = context.validation, labels_of(context.validation)

    def score(logits: NDArray[np.float64]) -> float:
        quality = float(goodness(logits, labels, params.stop_on).mean())
        return quality - widest_gap(
            logits.argmax(axis=1),
            labels,
            groups.validation,
            data.viewed_classes(),
            params.constraint,
        )

    return score
