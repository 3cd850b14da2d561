"""False positive and false negative rates of scores cut at thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.data import AuditData
from auditkit.finding import Cell, Table
from auditkit.metrics.group_choice import GroupChoice, chosen_attributes
from auditkit.metrics.rates import MetricName, Rate, by_group

_KINDS: dict[MetricName, str] = {
    "false_positive_rate": "false positive rate",
    "false_negative_rate": "false negative rate",
}


def threshold_rates(
    data: AuditData, probabilities: NDArray[Any], thresholds: Sequence[float]
) -> list[Rate]:
    """Both error rates of every class looked at, one versus rest, at every threshold.

    Args:
        data: Rows with labels.
        probabilities: Shape (n, classes).
        thresholds: A row is flagged when its probability is at least this.
    """
    assert data.labels is not None
    return [
        Rate(
            f"{words} of class {data.class_names[index]} at {threshold:g}",
            kind,
            data.labels == index,
            probabilities[:, index] >= threshold,
        )
        for index in data.viewed_classes()
        for threshold in thresholds
        for kind, words in _KINDS.items()
    ]


def threshold_table(
    data: AuditData, rates: Sequence[Rate], params: GroupChoice, attribute: str
) -> Table:
    """Every rate of every group of an attribute."""
    groups = next(a for a in chosen_attributes(data, params) if a.name == attribute)
    rows: list[tuple[Cell, ...]] = []
    for rate in rates:
        table = by_group(rate, groups)
        rows += [
            (rate.name, level, int(k), int(n), value)
            for level, k, n, value in zip(
                table.levels, table.hits, table.sizes, table.values, strict=True
            )
        ]
    return Table(
        title=f"Error rates by {attribute}",
        columns=("rate", "group", "errors", "rows", "value"),
        rows=tuple(rows),
    )


def score_bins(
    probabilities: NDArray[Any], classes: Sequence[int], thresholds: Sequence[float]
) -> NDArray[np.int64]:
    """How many thresholds the score of each class reaches, shape (n, len(classes))."""
    cuts = np.sort(np.asarray(thresholds, dtype=np.float64))
    return np.searchsorted(cuts, probabilities[:, list(classes)], side="right").astype(np.int64)
