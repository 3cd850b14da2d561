"""How far the scores of a class can be believed in each group, and how much that differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import Attribute, AuditData
from auditkit.finding import WHISKER_ALPHA, Estimates, Interval, Measurement
from auditkit.metrics.calibration import Reliability, bounded_mean, class_reliability, ece_bounds
from auditkit.metrics.group_choice import GroupChoice, chosen_attributes
from auditkit.metrics.group_pairs import (
    VACUOUS,
    Groups,
    GroupValue,
    Levels,
    Pair,
    Said,
    chart,
    count_comparisons,
    gaps,
    largest,
    members,
)

UNKNOWN = Interval(0.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class ClassScores:
    """The scores of one class against the rest.

    Attributes:
        name: Of the class.
        scores: Probability of the class, shape (n,), 0..1.
        truth: Whether a row is of the class, shape (n,).
    """

    name: str
    scores: NDArray[np.float64]
    truth: NDArray[np.bool_]

    def table(self, rows: NDArray[np.intp], bins: int) -> Reliability:
        """Some of the rows in bins."""
        return class_reliability(self.scores[rows], self.truth[rows], bins)


def class_scores(data: AuditData, probabilities: NDArray[np.float64] | None) -> list[ClassScores]:
    """The scores of every class the audit looks at. Without labels no row is of any class."""
    assert probabilities is not None
    labels = np.full(len(data), -1) if data.labels is None else data.labels
    return [
        ClassScores(data.class_names[c], probabilities[:, c].clip(0.0, 1.0), labels == c)
        for c in data.viewed_classes()
    ]


def calibration_measurements(
    context: Context, params: GroupChoice, bins: int
) -> Iterator[Measurement]:
    """Per attribute, the largest gap of calibration errors and the largest gap of mean errors.

    Args:
        context: Data, predictions and levels.
        params: Which groups.
        bins: Bins of equal width over 0..1.
    """
    data = context.data
    classes = class_scores(data, context.predictor.predict(data.inputs).probabilities)
    attributes = chosen_attributes(data, params)
    comparing = _Comparing(context, bins, count_comparisons(attributes, len(classes)))
    for done, attribute in enumerate(attributes):
        groups = Groups.of(attribute, data, params.minimum_group_size)
        yield comparing.errors(groups, classes)
        yield comparing.biases(groups, classes)
        context.advance((done + 1) / len(attributes))


class _Comparing:
    """Bounds calibration errors group by group."""

    def __init__(self, context: Context, bins: int, comparisons: int) -> None:
        self._data = context.data
        self._bins = bins
        self._comparisons = comparisons
        self._levels = Levels.of(context.confidence, comparisons)
        # One seed, so that the corrected bound can never be the narrower one.
        self._seed = int(context.rng.integers(2**32))
        clustered = context.data.clusters is not None
        self._method = "cluster-robust t" if clustered else "empirical Bernstein"

    def errors(self, groups: Groups, classes: list[ClassScores]) -> Measurement:
        """The largest difference of two groups' expected calibration errors."""
        pairs: list[Pair] = []
        charts: list[Estimates] = []
        for scored in classes:
            values = [self._error(scored, rows) for rows in groups.rows]
            pairs += gaps(groups, values, scored.name, dependent=True)
            title = f"Calibration error (ECE) of class {scored.name} by {groups.attribute.name}"
            overall = self._error(scored, _known(groups.attribute)).value
            charts.append(chart(title, groups, values, f"{self._method}, cross-fitted", overall))
        method = f"{self._method}, cross-fitted, of both groups"
        said = Said("gap", method, self._comparisons, tuple(groups.said()), tuple(charts))
        return largest(groups, pairs, said)

    def biases(self, groups: Groups, classes: list[ClassScores]) -> Measurement:
        """The largest difference of two groups' mean of score less outcome."""
        pairs: list[Pair] = []
        charts: list[Estimates] = []
        clustered = self._data.clusters is not None
        for scored in classes:
            values = [self._bias(scored, rows) for rows in groups.rows]
            pairs += gaps(groups, values, scored.name, dependent=clustered, most=2.0)
            title = f"Mean score less share of class {scored.name} by {groups.attribute.name}"
            charts.append(chart(title, groups, values, self._method, 0.0))
        method = f"{self._method} of both groups" + ("" if clustered else ", Zou-Donner")
        said = Said("bias_gap", method, self._comparisons, tuple(groups.said()), tuple(charts))
        return largest(groups, pairs, said)

    def _error(self, scored: ClassScores, rows: NDArray[np.intp]) -> GroupValue:
        if not len(rows):
            return GroupValue(None, 0, UNKNOWN, UNKNOWN, UNKNOWN)
        table, clusters = scored.table(rows, self._bins), members(self._data, rows)

        def bounds(alpha: float) -> Interval:
            return ece_bounds(table, alpha, np.random.default_rng(self._seed), clusters)

        # Half of the error to each of the two groups that are compared.
        claim, corrected = (bounds(level / 2) for level in self._levels)
        return GroupValue(table.ece, len(rows), claim, corrected, bounds(WHISKER_ALPHA))

    def _bias(self, scored: ClassScores, rows: NDArray[np.intp]) -> GroupValue:
        if not len(rows):
            return GroupValue(None, 0, VACUOUS, VACUOUS, VACUOUS)
        excess, clusters = scored.scores[rows] - scored.truth[rows], members(self._data, rows)

        def bounds(alpha: float) -> Interval:
            return bounded_mean(excess, (-1.0, 1.0), alpha, clusters)

        share = 1.0 if clusters is None else 0.5
        claim, corrected = (bounds(level * share) for level in self._levels)
        return GroupValue(float(excess.mean()), len(rows), claim, corrected, bounds(WHISKER_ALPHA))


def _known(attribute: Attribute) -> NDArray[np.intp]:
    return np.flatnonzero(attribute.codes >= 0)
