"""Bounds of confusion-matrix metrics: exact for accuracy, by bootstrap for the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.finding import Bounds, Interval
from auditkit.metrics.quality import Matrix, Values, accuracy, confusion_matrix
from auditkit.stats.bootstrap import RowDesign, bootstrap_counts, bootstrap_rows
from auditkit.stats.intervals import effective_counts, rate

Statistic = Callable[[Matrix], Values]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """True and predicted classes of some rows.

    Attributes:
        labels: Shape (n,).
        predicted: Shape (n,).
        classes: Number of classes.
        clusters: Shape (n,), or None when rows are independent.
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    classes: int
    clusters: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def matrix(self) -> NDArray[np.int64]:
        """The confusion matrix."""
        return confusion_matrix(self.labels, self.predicted, self.classes)

    def rows(self, index: NDArray[Any]) -> Answers:
        """The answers of some rows."""
        clusters = None if self.clusters is None else self.clusters[index]
        return Answers(self.labels[index], self.predicted[index], self.classes, clusters)


def answers(context: Context) -> Answers:
    """The model's answers on the audited rows.

    The data must have labels.
    """
    data = context.data
    assert data.labels is not None
    predicted = context.predictor.predict(data.inputs).labels
    return Answers(data.labels, predicted, len(data.class_names), data.clusters)


def metric_bounds(
    rows: Answers, statistic: Statistic, context: Context, comparisons: int = 1
) -> Bounds:
    """Bounds of a metric of the confusion matrix at both levels.

    Accuracy is a rate and gets a rate's exact interval; anything else a BCa bootstrap of the
    matrix's cells, or of whole clusters where rows come in clusters.
    """
    claim = context.confidence.claim_alpha
    corrected = context.confidence.corrected_alpha(comparisons)
    if statistic is accuracy:
        right = (rows.labels == rows.predicted).astype(np.float64)
        k, n = float(right.sum()), float(len(right))
        if rows.clusters is not None:
            effective = effective_counts(right, rows.clusters, corrected)
            k, n = effective.k, effective.n
        return Bounds(rate(k, n, claim), rate(k, n, corrected), "Clopper-Pearson", comparisons)
    smallest = min(claim, corrected)
    if rows.clusters is None:
        replicates = bootstrap_counts(
            rows.matrix.ravel(), _of_cells(statistic, rows.classes), smallest, context.rng
        )
        method = "BCa bootstrap"
    else:
        replicates = bootstrap_rows(
            _of_rows(statistic, rows), RowDesign(len(rows), clusters=rows.clusters), smallest,
            context.rng,
        )  # fmt: skip
        method = "BCa cluster bootstrap"
    return Bounds(replicates.interval(claim), _no_narrower(replicates.interval(corrected),
                  replicates.interval(claim)), method, comparisons)  # fmt: skip


def _of_cells(statistic: Statistic, classes: int) -> Callable[[Values], Values]:
    return lambda cells: statistic(cells.reshape(-1, classes, classes))


def _of_rows(statistic: Statistic, rows: Answers) -> Callable[[NDArray[np.intp]], Values]:
    cells = rows.classes * rows.classes
    codes = rows.labels * rows.classes + rows.predicted

    def compute(index: NDArray[np.intp]) -> Values:
        offsets = np.arange(len(index))[:, None] * cells
        counts = np.bincount((codes[index] + offsets).ravel(), minlength=len(index) * cells)
        return statistic(counts.reshape(-1, rows.classes, rows.classes))

    return compute


def _no_narrower(corrected: Interval, claim: Interval) -> Interval:
    """The corrected interval, at least as wide as the claim's whatever the resampling noise."""

    def outer(pick: Callable[..., float], a: float | None, b: float | None) -> float | None:
        return None if a is None or b is None else pick(a, b)

    return Interval(
        outer(min, corrected.lower, claim.lower), outer(max, corrected.upper, claim.upper)
    )
