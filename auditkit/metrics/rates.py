"""Rates of a classifier, counted per group: of the eligible rows, the share that are hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from auditkit.data import MISSING, Attribute
from auditkit.stats.gaps import Counts, Extremes

Mask = NDArray[np.bool_]
Classes = NDArray[np.int64]
MetricName = Literal[
    "selection_rate",
    "true_positive_rate",
    "false_positive_rate",
    "false_negative_rate",
    "precision",
    "accuracy",
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
            case "true_positive_rate" | "false_negative_rate":
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
            case "false_negative_rate":
                return ~self.chosen
            case "accuracy":
                return ~(self.truth ^ self.chosen)
            case _:
                return self.chosen

    def rows(self, index: NDArray[Any]) -> Rate:
        """The rate of some rows."""
        return Rate(self.name, self.metric, self.truth[index], self.chosen[index])


@dataclass(frozen=True, slots=True, eq=False)
class GroupRates:
    """A rate split by the groups of an attribute.

    Attributes:
        levels: Names of the groups.
        hits: Rows of the numerator per group, shape (groups,).
        sizes: Rows of the denominator per group.
        effective_hits: As `hits`, scaled down where rows come in clusters.
        effective_sizes: As `sizes`, scaled down where rows come in clusters.
        unknown_hits: Rows of the numerator that are of unknown group.
        unknown_misses: Other eligible rows of unknown group.
        extremes: Effective counts with the rows of unknown group placed at their worst; None when
            there are none, or when they are left out.
    """

    levels: tuple[str, ...]
    hits: NDArray[np.int64]
    sizes: NDArray[np.int64]
    effective_hits: NDArray[np.float64]
    effective_sizes: NDArray[np.float64]
    unknown_hits: int = 0
    unknown_misses: int = 0
    extremes: Extremes | None = None

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
    *,
    bounded: bool = False,
) -> GroupRates:
    """Count a rate in every group. Rows whose group is missing are in none of them.

    Args:
        rate: What to count.
        attribute: The groups.
        clusters: Shape (n,), or None when rows are independent.
        alpha: Smallest one-sided error the effective counts will be used at; with it they also
            allow for few clusters.
        bounded: Whether to also count each group with the rows that may be of it.
    """
    placed = place_rows(rate, attribute, bounded=bounded)
    hit = rate.hit
    sizes = np.array([len(rows) for rows in placed.known], dtype=np.int64)
    hits = np.array([hit[rows].sum() for rows in placed.known], dtype=np.int64)
    extremes = None
    if placed.highest is not None and placed.lowest is not None:
        extremes = Extremes(
            counted_rows(hit, placed.highest, clusters, alpha),
            counted_rows(hit, placed.lowest, clusters, alpha),
        )
    unknown_hits = int(hit[placed.unknown].sum())
    return GroupRates(
        attribute.levels, hits, sizes, *counted_rows(hit, placed.known, clusters, alpha),
        unknown_hits, len(placed.unknown) - unknown_hits, extremes,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Numbers of the eligible rows of each group of an attribute.

    Attributes:
        known: Rows known to be of each group.
        unknown: Rows of unknown group.
        highest: As `known`, with every unknown hit that may be of the group; None when there is no
            unknown row, or they are left out.
        lowest: As `known`, with every unknown miss that may be of the group.
    """

    known: list[Classes]
    unknown: Classes
    highest: list[Classes] | None = None
    lowest: list[Classes] | None = None


def place_rows(rate: Rate, attribute: Attribute, *, bounded: bool) -> Placed:
    """Which eligible rows are of which group, and which may be."""
    eligible, groups = rate.eligible, len(attribute.levels)
    rows = np.flatnonzero(eligible & (attribute.codes != MISSING))
    rows = rows[np.argsort(attribute.codes[rows], kind="stable")]
    cuts = np.searchsorted(attribute.codes[rows], np.arange(1, groups))
    known = np.split(rows, cuts) if groups else []
    unknown = np.flatnonzero(eligible & (attribute.codes == MISSING))
    if not (bounded and len(unknown)):
        return Placed(known, unknown)
    possible, hit = attribute.rows(unknown), rate.hit[unknown]
    highest, lowest = [], []
    for group, own in enumerate(known):
        may_be = possible.could_be(group)
        highest.append(np.concatenate([own, unknown[may_be & hit]]))
        lowest.append(np.concatenate([own, unknown[may_be & ~hit]]))
    return Placed(known, unknown, highest, lowest)


def counted_rows(
    hit: Mask,
    members: Sequence[Classes],
    clusters: NDArray[np.int64] | None = None,
    alpha: float | None = None,
) -> Counts:
    """Effective hits and rows of some sets of rows; see `by_group`."""
    k = np.array([hit[rows].sum() for rows in members], dtype=np.float64)
    n = np.array([len(rows) for rows in members], dtype=np.float64)
    if clusters is not None:
        from auditkit.stats.intervals import effective_counts

        for group in np.flatnonzero(n).tolist():
            rows = members[group]
            k[group], n[group] = effective_counts(hit[rows], clusters[rows], alpha)
    return Counts(k, n)


def fairlearn_difference(rate: Rate, attribute: Attribute) -> float:
    """Largest difference of the rate between two groups, as fairlearn computes it."""
    return float(_metric_frame(rate, attribute).difference(method="between_groups"))


def fairlearn_ratio(rate: Rate, attribute: Attribute) -> float:
    """Smallest ratio of the rate between two groups, as fairlearn computes it."""
    return float(_metric_frame(rate, attribute).ratio(method="between_groups"))


def _metric_frame(rate: Rate, attribute: Attribute) -> Any:
    from fairlearn.metrics import (
        MetricFrame,
        false_negative_rate,
        false_positive_rate,
        selection_rate,
        true_positive_rate,
    )
    from sklearn.metrics import accuracy_score, precision_score

    functions = {
        "selection_rate": selection_rate,
        "true_positive_rate": true_positive_rate,
        "false_positive_rate": false_positive_rate,
        "false_negative_rate": false_negative_rate,
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
