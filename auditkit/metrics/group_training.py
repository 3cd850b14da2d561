"""Numbers that fairness remedies train with and choose by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditkit.data import MISSING, Attribute
from auditkit.metrics.rates import MetricName, by_group, class_rate

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ThresholdConstraint = Literal[
    "demographic-parity", "equalized-odds", "true-positive-rate", "false-positive-rate"
]
"""Constraints on rates that only rise when more rows are chosen."""
Constraint = Literal[ThresholdConstraint, "error-rate"]

FEWEST = 10
"""Rows below which the rate or mean of a group is too uncertain to choose a model by."""
RATES: Mapping[str, tuple[MetricName, ...]] = {
    "demographic-parity": ("selection_rate",),
    "true-positive-rate": ("true_positive_rate",),
    "false-positive-rate": ("false_positive_rate",),
    "equalized-odds": ("true_positive_rate", "false_positive_rate"),
    "error-rate": ("accuracy",),
}
"""The rates that a constraint compares between groups."""


def cells(codes: Ints, labels: Ints, classes: int) -> Ints:
    """Number of each row's cell, group times `classes` plus label; `MISSING` without a group."""
    return np.where(codes == MISSING, MISSING, codes * classes + labels)


def cell_counts(attribute: Attribute, labels: Ints, classes: int) -> Ints:
    """Rows of each group with each label, shape (groups, classes)."""
    found = cells(attribute.codes, labels, classes)
    groups = len(attribute.levels)
    return np.bincount(found[found != MISSING], minlength=groups * classes).reshape(groups, classes)


def reweighing(counts: Ints) -> Floats:
    """Weights under which group and label are independent (Kamiran & Calders 2012, section 5.3).

    Args:
        counts: Rows of each group with each label, shape (groups, classes).

    Returns:
        P(group) P(label) / P(group, label), shape (groups, classes); 1 where there is no row.
    """
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / max(int(counts.sum()), 1)
    weights: Floats = np.divide(expected, counts, out=np.ones(counts.shape), where=counts > 0)
    return weights


def evenly(counts: Ints, *, within_labels: bool) -> Floats:
    """Weights under which every group counts the same, within each label or over all labels.

    Args:
        counts: Rows of each group with each label, shape (groups, classes).
        within_labels: Whether the groups are to count the same within each label.

    Returns:
        Weights with mean 1 over the rows, shape (groups, classes); 1 where there is no row.
    """
    sizes = counts if within_labels else np.repeat(counts.sum(axis=1)[:, None], counts.shape[1], 1)
    share = sizes.sum(axis=0) / np.maximum((sizes > 0).sum(axis=0), 1)
    weights: Floats = np.divide(share, sizes, out=np.ones(counts.shape), where=sizes > 0)
    return weights


def of_cells(table: Floats, codes: Ints, labels: Ints, otherwise: float) -> Floats:
    """The value of each row's cell, shape (n,); `otherwise` for rows without a group."""
    found: Floats = np.where(codes == MISSING, otherwise, table[codes, labels])
    return found


def goodness(logits: Floats, labels: Ints, by: Literal["loss", "accuracy"]) -> Floats:
    """How good each answer is, shape (n,): minus its cross-entropy, or 1 if right and else 0.

    Args:
        logits: Shape (n, classes).
        labels: True classes, shape (n,).
        by: Which of the two.
    """
    if by == "accuracy":
        right: Floats = (logits.argmax(axis=1) == labels).astype(np.float64)
        return right
    from scipy.special import log_softmax

    found: Floats = log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return found


def worst_mean(values: Floats, cells: Ints) -> float:
    """The lowest mean of a cell with at least `FEWEST` rows; of all rows when there is none."""
    found = [
        float(values[cells == cell].mean())
        for cell in np.unique(cells[cells != MISSING])
        if (cells == cell).sum() >= FEWEST
    ]
    return min(found, default=float(values.mean()))


def widest_gap(
    predicted: Ints,
    labels: Ints,
    attribute: Attribute,
    classes: tuple[int, ...],
    constraint: str,
) -> float:
    """The largest difference of a rate between two groups with at least `FEWEST` rows that count.

    Args:
        predicted: Predicted classes, shape (n,).
        labels: True classes, shape (n,).
        attribute: The groups.
        classes: Classes that are compared with the rest, each in turn.
        constraint: Which rates, a name in `RATES`.

    Returns:
        From 0 to 1; 0 when no two groups can be compared.
    """
    widest = 0.0
    for metric in RATES[constraint]:
        for index in classes:
            table = by_group(class_rate(metric, index, labels, predicted), attribute)
            enough = table.sizes >= FEWEST
            if enough.sum() > 1:
                rates = table.hits[enough] / table.sizes[enough]
                widest = max(widest, float(rates.max() - rates.min()))
    return widest
