"""Rates of a classifier, counted per group: of the eligible rows, the share that are hits."""

from __future__ import annotations

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
    eligible = rate.eligible
    hit, of_group = rate.hit & eligible, attribute.codes != MISSING
    groups = len(attribute.levels)
    codes = attribute.codes[eligible & of_group]
    sizes = np.bincount(codes, minlength=groups).astype(np.int64)
    hits = np.bincount(attribute.codes[hit & of_group], minlength=groups).astype(np.int64)
    unknown = np.flatnonzero(eligible & ~of_group)
    counting = _Counting(hit, clusters, alpha)
    members = _members(attribute.codes, eligible & of_group, groups)
    plain = counting.of(members, hits, sizes)
    extremes = None
    if bounded and len(unknown):
        possible = attribute.rows(unknown)
        hit_there = hit[unknown]
        added = [possible.could_be(group) for group in range(groups)]
        extremes = Extremes(
            counting.with_rows(members, hits, sizes, [unknown[a & hit_there] for a in added]),
            counting.with_rows(members, hits, sizes, [unknown[a & ~hit_there] for a in added]),
        )
    unknown_hits = int(hit[unknown].sum())
    return GroupRates(
        attribute.levels, hits, sizes, plain.k, plain.n, unknown_hits,
        len(unknown) - unknown_hits, extremes,
    )  # fmt: skip


def _members(codes: Classes, counts: Mask, groups: int) -> list[Classes]:
    """Row numbers of each group among the rows that count."""
    rows = np.flatnonzero(counts)
    rows = rows[np.argsort(codes[rows], kind="stable")]
    return np.split(rows, np.searchsorted(codes[rows], np.arange(1, groups)))


@dataclass(frozen=True, slots=True, eq=False)
class _Counting:
    """Effective counts of groups of rows."""

    hit: Mask
    clusters: NDArray[np.int64] | None
    alpha: float | None

    def of(self, members: list[Classes], hits: Classes, sizes: Classes) -> Counts:
        """Effective counts of the groups with these rows and plain counts."""
        k, n = hits.astype(float), sizes.astype(float)
        if self.clusters is not None:
            from auditkit.stats.intervals import effective_counts

            for group in np.flatnonzero(sizes):
                rows = members[group]
                k[group], n[group] = effective_counts(
                    self.hit[rows], self.clusters[rows], self.alpha
                )
        return Counts(k, n)

    def with_rows(
        self, members: list[Classes], hits: Classes, sizes: Classes, added: list[Classes]
    ) -> Counts:
        """As `of`, each group with some more rows."""
        more = np.array([len(rows) for rows in added], dtype=np.int64)
        more_hits = np.array([self.hit[rows].sum() for rows in added], dtype=np.int64)
        both = [np.concatenate(pair) for pair in zip(members, added, strict=True)]
        return self.of(both, hits + more_hits, sizes + more)


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
