"""Bounds of confusion-matrix metrics, and of their gain over always answering one class.

Accuracy is a rate, and balanced accuracy a mean of rates, so both are bounded exactly; F1 and MCC
are bootstrapped, with no claim made where a class has too few rows for a bootstrap to know it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.finding import Bounds, Interval
from auditkit.metrics.quality import (
    Matrix,
    Values,
    confusion_matrix,
    majority_matrix,
    metric_function,
)
from auditkit.stats.bootstrap import RowDesign, bootstrap_counts, bootstrap_tables
from auditkit.stats.intervals import critical_t, effective_counts, mean_interval, rate
from auditkit.stats.paired import paired_difference

FEWEST = 20
"""Clusters in all, or rows (or clusters) of a class for a bootstrapped metric, below which nothing
is claimed: t and bootstrap intervals of fewer skewed values are too narrow."""


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

    @property
    def units(self) -> int:
        """Independent units: clusters, or rows where there are none."""
        return len(self) if self.clusters is None else len(np.unique(self.clusters))

    def rows(self, index: NDArray[Any]) -> Answers:
        """The answers of some rows."""
        clusters = None if self.clusters is None else self.clusters[index]
        return Answers(self.labels[index], self.predicted[index], self.classes, clusters)


@dataclass(frozen=True, slots=True)
class Quality:
    """A metric of the confusion matrix, or its gain over always answering one class."""

    metric: str
    """One of `auditkit.metrics.quality.METRICS`."""
    positive: int | None = None
    """Class that F1 is of; None averages over classes."""
    over: int | None = None
    """Class whose constant answer is subtracted; None for the metric itself."""

    def of(self, matrix: Matrix) -> Values:
        """The value for matrices of shape (..., k, k)."""
        statistic = metric_function(self.metric, self.positive)
        value = statistic(matrix)
        return value if self.over is None else value - statistic(majority_matrix(matrix, self.over))


def answers(context: Context) -> Answers:
    """The model's answers on the audited rows. The data must have labels."""
    data = context.data
    assert data.labels is not None
    predicted = context.predictor.predict(data.inputs).labels
    return Answers(data.labels, predicted, len(data.class_names), data.clusters)


def quality_bounds(
    rows: Answers, quality: Quality, context: Context, comparisons: int = 1
) -> Bounds:
    """Bounds at both levels of a quality of at least one row."""
    claim = context.confidence.claim_alpha
    corrected = context.confidence.corrected_alpha(comparisons)
    if quality.metric == "accuracy":
        bound, method = _of_accuracy, "Tango" if quality.over is not None else "Clopper-Pearson"
    elif quality.metric == "balanced-accuracy":
        bound, method = _of_recalls, "Zou-Donner from Clopper-Pearson"
    else:
        return _bootstrapped(rows, quality, context, comparisons)
    if rows.clusters is not None:
        method = "cluster-robust t" if method == "Tango" else f"{method}, effective counts"
    at_claim = bound(rows, quality, claim)
    if rows.clusters is not None and rows.units < FEWEST:
        at_claim = Interval(None, None)
    return Bounds(at_claim, bound(rows, quality, corrected), method, comparisons)


def _of_accuracy(rows: Answers, quality: Quality, alpha: float) -> Interval:
    right = rows.labels == rows.predicted
    if quality.over is None:
        return _rate(right, rows.clusters, alpha)
    constant = rows.labels == quality.over
    if rows.clusters is not None:
        gain = right.astype(np.float64) - constant
        return mean_interval(gain, alpha, rows.clusters, support=(-1.0, 1.0))
    only_model, only_constant = int((right & ~constant).sum()), int((constant & ~right).sum())
    return paired_difference(only_model, only_constant, len(rows), alpha)


def _of_recalls(rows: Answers, quality: Quality, alpha: float) -> Interval:
    """Mean of the classes' recalls from their own intervals (Zou & Donner 2008).

    A constant answer has recall 1 in one class and 0 in the others, whatever the rows.
    """
    below = above = total = 0.0
    occurring = np.unique(rows.labels)
    for index in occurring:
        part = rows.rows(np.flatnonzero(rows.labels == index))
        recall = float((part.predicted == index).mean())
        interval = _rate(part.predicted == index, part.clusters, alpha)
        assert interval.lower is not None
        assert interval.upper is not None
        total += recall
        below += (recall - interval.lower) ** 2
        above += (interval.upper - recall) ** 2
    k = len(occurring)
    value = total / k - (1 / k if quality.over is not None else 0.0)
    interval = Interval(value - math.sqrt(below) / k, value + math.sqrt(above) / k)
    if rows.clusters is None:
        return interval
    # A cluster has rows of several classes, whose recalls then vary together.
    return _hull([interval, _cluster_jackknife(rows, quality, alpha)])


def _rate(hit: NDArray[np.bool_], clusters: NDArray[np.int64] | None, alpha: float) -> Interval:
    if clusters is None:
        return rate(int(hit.sum()), len(hit), alpha)
    effective = effective_counts(hit, clusters, alpha)
    return rate(effective.k, effective.n, alpha)


def _bootstrapped(rows: Answers, quality: Quality, context: Context, comparisons: int) -> Bounds:
    claim = context.confidence.claim_alpha
    corrected = context.confidence.corrected_alpha(comparisons)
    matrix, alpha = rows.matrix, min(claim, corrected)
    value = float(quality.of(matrix))

    def of_tables(tables: Matrix) -> Values:
        return quality.of(tables.reshape(-1, rows.classes, rows.classes))

    if rows.clusters is None:
        replicates = bootstrap_counts(matrix.ravel(), of_tables, alpha, context.rng)
        method = "BCa bootstrap"
    else:
        codes = rows.labels * rows.classes + rows.predicted
        design = RowDesign(len(rows), clusters=rows.clusters)
        replicates = bootstrap_tables(codes, rows.classes**2, of_tables, design, alpha, context.rng)
        method = "BCa cluster bootstrap, no narrower than a cluster jackknife"

    def interval(alpha: float) -> Interval:
        known = [replicates.interval(alpha), Interval(value, value)]
        if rows.clusters is not None:
            known.append(_cluster_jackknife(rows, quality, alpha))
        return _hull(known)

    at_claim = interval(claim)
    at_corrected = _hull([interval(corrected), at_claim])
    if _fewest_units(rows) < FEWEST:
        at_claim = Interval(None, None)
    return Bounds(at_claim, at_corrected, method, comparisons)


def _fewest_units(rows: Answers) -> int:
    """Rows, or clusters, of the rarest class that occurs."""
    of_class = (rows.rows(np.flatnonzero(rows.labels == c)) for c in np.unique(rows.labels))
    return min(part.units for part in of_class)


def _cluster_jackknife(rows: Answers, quality: Quality, alpha: float) -> Interval:
    """t interval from leaving out one cluster at a time, on clusters - 1 degrees of freedom.

    The bootstrap of a handful of clusters is too narrow (Cameron, Gelbach & Miller 2008).
    """
    assert rows.clusters is not None
    members, code = np.unique(rows.clusters, return_inverse=True)
    k, cells = len(members), rows.classes**2
    if k < 2:
        return Interval(None, None)
    codes = code * cells + rows.labels * rows.classes + rows.predicted
    by_cluster = np.bincount(codes, minlength=k * cells).reshape(k, rows.classes, rows.classes)
    left = quality.of(rows.matrix - by_cluster)
    error = math.sqrt((k - 1) / k * float(((left - left.mean()) ** 2).sum()))
    value = float(quality.of(rows.matrix))
    half = critical_t(alpha, k - 1) * error
    return Interval(value - half, value + half)


def _hull(intervals: list[Interval]) -> Interval:
    """The smallest interval that contains all; an open end stays open."""
    lowers = [one.lower for one in intervals if one.lower is not None]
    uppers = [one.upper for one in intervals if one.upper is not None]
    return Interval(
        min(lowers) if len(lowers) == len(intervals) else None,
        max(uppers) if len(uppers) == len(intervals) else None,
    )
