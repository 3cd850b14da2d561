"""Rates of a classifier, counted per group: of the eligible rows, the share that are hits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from auditkit.data import MISSING, Attribute

Mask = NDArray[np.bool_]
Classes = NDArray[np.int64]
MetricName = Literal[
    "selection_rate", "true_positive_rate", "false_positive_rate", "precision", "accuracy"
]


@dataclass(frozen=True, slots=True, eq=False)
class Rate:
    """One rate of a classifier, before it is split by group.

    Attributes:
        name: For the reader: "selection rate of class hate".
        metric: Which rate it is.
        truth: Whether each row truly is of the class, shape (n,); all False when unknown.
        chosen: Whether each row was predicted to be of the class, shape (n,).
    """

    name: str
    metric: MetricName
    truth: Mask
    chosen: Mask

    @property
    def eligible(self) -> Mask:
        """Rows that count in the denominator."""
        match self.metric:
            case "true_positive_rate":
                return self.truth
            case "false_positive_rate":
                return ~self.truth
            case "precision":
                return self.chosen
            case _:
                return np.ones(len(self.chosen), dtype=bool)

    @property
    def hit(self) -> Mask:
        """Rows that count in the numerator; only meaningful where eligible."""
        match self.metric:
            case "precision":
                return self.truth
            case "accuracy":
                return ~(self.truth ^ self.chosen)
            case _:
                return self.chosen


@dataclass(frozen=True, slots=True, eq=False)
class GroupRates:
    """A rate split by the groups of an attribute.

    Attributes:
        levels: Names of the groups.
        hits: Rows of the numerator per group, shape (groups,).
        sizes: Rows of the denominator per group.
        effective_hits: As `hits`, scaled down where rows come in clusters.
        effective_sizes: As `sizes`, scaled down where rows come in clusters.
    """

    levels: tuple[str, ...]
    hits: NDArray[np.int64]
    sizes: NDArray[np.int64]
    effective_hits: NDArray[np.float64]
    effective_sizes: NDArray[np.float64]

    @property
    def values(self) -> list[float | None]:
        """The rate of each group; None where no row is eligible."""
        return [
            float(k / n) if n else None
            for k, n in zip(self.hits.tolist(), self.sizes.tolist(), strict=True)
        ]


def class_rate(
    metric: MetricName, class_index: int, labels: Classes | None, predicted: Classes
) -> Rate:
    """The rate of one class against all others; `name` is left to the caller."""
    chosen = predicted == class_index
    truth = np.zeros(len(chosen), dtype=bool) if labels is None else labels == class_index
    return Rate(metric, metric, truth, chosen)


def accuracy_rate(labels: Classes, predicted: Classes) -> Rate:
    """Share of rows whose predicted class is the true one, over any number of classes."""
    return Rate("accuracy", "accuracy", np.ones(len(labels), dtype=bool), labels == predicted)


def by_group(
    rate: Rate,
    attribute: Attribute,
    clusters: NDArray[np.int64] | None = None,
    alpha: float | None = None,
) -> GroupRates:
    """Count a rate in every group. Rows whose group is missing are in none of them.

    Args:
        rate: What to count.
        attribute: The groups.
        clusters: Shape (n,), or None when rows are independent.
        alpha: Smallest one-sided error the effective counts will be used at; with it they also
            allow for few clusters.
    """
    eligible = rate.eligible & (attribute.codes != MISSING)
    codes, hit = attribute.codes[eligible], rate.hit[eligible]
    groups = len(attribute.levels)
    sizes = np.bincount(codes, minlength=groups).astype(np.int64)
    hits = np.bincount(codes[hit], minlength=groups).astype(np.int64)
    effective_hits, effective_sizes = hits.astype(float), sizes.astype(float)
    if clusters is not None:
        from auditkit.stats.intervals import effective_counts

        members = clusters[eligible]
        for group in np.flatnonzero(sizes):
            rows = codes == group
            effective_hits[group], effective_sizes[group] = effective_counts(
                hit[rows], members[rows], alpha
            )
    return GroupRates(attribute.levels, hits, sizes, effective_hits, effective_sizes)


def fairlearn_difference(rate: Rate, attribute: Attribute) -> float:
    """Largest difference of the rate between two groups, as fairlearn computes it."""
    return float(_metric_frame(rate, attribute).difference(method="between_groups"))


def fairlearn_ratio(rate: Rate, attribute: Attribute) -> float:
    """Smallest ratio of the rate between two groups, as fairlearn computes it."""
    return float(_metric_frame(rate, attribute).ratio(method="between_groups"))


def _metric_frame(rate: Rate, attribute: Attribute) -> Any:
    from fairlearn.metrics import (
        MetricFrame,
        false_positive_rate,
        selection_rate,
        true_positive_rate,
    )
    from sklearn.metrics import accuracy_score, precision_score

    functions = {
        "selection_rate": selection_rate,
        "true_positive_rate": true_positive_rate,
        "false_positive_rate": false_positive_rate,
        "precision": precision_score,
        "accuracy": accuracy_score,
    }
    known = attribute.codes != MISSING
    return MetricFrame(
        metrics=functions[rate.metric],
        y_true=rate.truth[known].astype(int),
        y_pred=rate.chosen[known].astype(int),
        sensitive_features=attribute.codes[known],
    )
