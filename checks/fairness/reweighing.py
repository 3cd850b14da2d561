"""Training on rows weighted so that group and label are independent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auditkit.data import Attribute
from auditkit.metrics.group_training import Ints, cell_counts, goodness, of_cells, reweighing
from auditkit.remedy import Hooks, Need, RemedyContext, TrainingRows, remedy

from ._grouped import accuracy_less_gap
from ._retraining import GapTraining, groups_of, labels_of


@dataclass(frozen=True, slots=True)
class Params(GapTraining):
    """Parameters of `fairness.reweighing`."""

    cap: float = 10.0
    """Highest weight of a row: the few rows of a tiny cell would else decide what is learnt."""

    def __post_init__(self) -> None:
        GapTraining.__post_init__(self)
        if not self.cap >= 1:
            raise ValueError(f"cap must be at least 1, not {self.cap}")


@remedy(
    "fairness.reweighing",
    title="Retrain on rows weighted so that no label goes with a group",
    improves=("fairness.demographic-parity", "fairness.impact-ratio", "fairness.equalized-odds"),
    needs=(Need.TRAINING_ROWS, Need.GROUPS),
    params=Params,
    score=accuracy_less_gap,
)
def reweigh(context: RemedyContext, params: Params) -> Path:
    """Reweighing: rows of groups that rarely have a label count more when they have it.

    What it does:
        A row weighs P(group) P(label) / P(group, label). Under these weights every group has the
        same share of each label, so a mark of the group says nothing about the label any more. The
        validation rows that the best model is chosen by are weighted the same way.

    When to use it:
        When the groups have different shares of a label in the training rows and the model has
        learnt the group in its place. It is the simplest of the fairness remedies: try it first.

    What it costs:
        A plain training.

    Limits of this remedy:
        It changes how much rows count, not their labels: labels that are wrong for a group stay
        wrong. A group without any row of a label gets none. Errors that do not come from different
        shares of labels stay.

    References:
        Kamiran & Calders 2012, Data preprocessing techniques for classification without
        discrimination.
    """
    groups, classes = groups_of(context, params), len(context.train.class_names)
    labels, held_out = labels_of(context.train), labels_of(context.validation)
    counts = cell_counts(groups.train, labels, classes)
    exact = reweighing(counts)
    table = np.minimum(exact, params.cap)
    for sentence in _remarks(context, groups.train, counts, exact, params.cap):
        context.note(sentence)
    weights = of_cells(table, groups.train.codes, labels, 1.0)
    judging = of_cells(table, groups.validation.codes, held_out, 1.0)

    def score(logits: NDArray[np.float64]) -> float:
        return float(np.average(goodness(logits, held_out, params.stop_on), weights=judging))

    rows = TrainingRows.of(context.train)
    weighted = TrainingRows(rows.texts, rows.labels, weights)
    return context.fine_tune(weighted, params, hooks=Hooks(score=score))


def _remarks(
    context: RemedyContext,
    attribute: Attribute,
    counts: Ints,
    exact: NDArray[np.float64],
    cap: float,
) -> list[str]:
    """What the weights cannot do, in sentences."""

    def named(cells: NDArray[np.bool_]) -> str:
        return ", ".join(
            f"{attribute.levels[group]} labelled {context.train.class_names[label]} "
            f"({counts[group, label]} rows, weight {exact[group, label]:.3g})"
            for group, label in np.argwhere(cells)
        )

    empty = (counts == 0) & (counts.sum(axis=0) > 0)
    said = []
    if (exact > cap).any():
        said.append(f"Weights were cut to the cap of {cap:g}: {named(exact > cap)}.")
    if empty.any():
        said.append(f"No weight can make up for rows that are not there: {named(empty)}.")
    return said
