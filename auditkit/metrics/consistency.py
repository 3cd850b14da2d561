"""Whether rows with similar embeddings are given the same class, overall and by group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import Attribute, AuditData, unit_id
from auditkit.finding import WHISKER_ALPHA, Bounds, Interval, Measurement
from auditkit.metrics.calibration import bounded_mean
from auditkit.metrics.embedding_space import Halves, neighbour_agreement
from auditkit.metrics.group_calibration import UNKNOWN
from auditkit.metrics.group_choice import GroupChoice, chosen_attributes
from auditkit.metrics.group_pairs import (
    Groups,
    GroupValue,
    Levels,
    Said,
    chart,
    count_comparisons,
    gaps,
    largest,
)


def consistency_measurements(
    context: Context, params: GroupChoice, neighbours: int, most_rows: int
) -> Iterator[Measurement]:
    """The consistency of all evaluated rows, and its largest gap between groups per attribute.

    Args:
        context: Data, predictions, embeddings and levels.
        params: Which groups.
        neighbours: Neighbours each row is compared with.
        most_rows: Most rows neighbours are looked for in.
    """
    data = context.data
    embeddings = context.predictor.embed(data.inputs)
    predicted = context.predictor.predict(data.inputs).labels
    halves = Halves.of(data, embeddings, context.rng).at_most(most_rows, context.rng)
    attributes = chosen_attributes(data, params) if data.groups else []
    if len(halves.learnt) < neighbours or not len(halves.held):
        note = f"{len(data):,} rows are too few for {neighbours} neighbours in another half"
        yield Measurement("consistency", None, len(data), None, note=note)
        for attribute in attributes:
            yield Measurement("gap", None, len(data), None, attribute.name, note)
        return
    agreement = neighbour_agreement(embeddings, predicted, halves, neighbours)
    evaluated = data.rows(halves.held.astype(np.int64))
    comparing = _Comparing(context, evaluated, agreement, count_comparisons(attributes, 1))
    yield comparing.overall()
    for done, attribute in enumerate(attributes):
        codes = attribute.codes[halves.held]
        yield comparing.gap(replace(attribute, codes=codes), params.minimum_group_size)
        context.advance((done + 1) / len(attributes))


class _Comparing:
    """Bounds means of agreement over the evaluated rows."""

    def __init__(
        self, context: Context, data: AuditData, agreement: NDArray[np.float64], comparisons: int
    ) -> None:
        self._confidence = context.confidence
        self._data = data
        self._agreement = agreement
        self._comparisons = comparisons
        clustered = data.clusters is not None
        self._method = "cluster-robust t" if clustered else "empirical Bernstein"

    def overall(self) -> Measurement:
        """The mean over all evaluated rows."""
        every = np.arange(len(self._data))
        claim, corrected = (self._bounds(every, a) for a in Levels.of(self._confidence, 1))
        texts = self._data.inputs
        named = all(isinstance(text, str) for text in texts)
        return Measurement(
            name="consistency",
            value=float(self._agreement.mean()),
            n=len(every),
            bounds=Bounds(claim, corrected, self._method),
            note=f"Over {len(every):,} rows; neighbours are among the others.",
            units={
                unit_id(text): float(value)
                for text, value in zip(texts, self._agreement, strict=True)
            }
            if named
            else {},
        )

    def gap(self, attribute: Attribute, minimum: int) -> Measurement:
        """The largest difference between two groups of the evaluated rows."""
        groups = Groups.of(attribute, self._data, minimum)
        clustered = self._data.clusters is not None
        levels = Levels.of(self._confidence, self._comparisons)
        share = 0.5 if clustered else 1.0
        values = [self._value(rows, levels, share) for rows in groups.rows]
        overall = float(self._agreement.mean())
        drawn = chart(f"Consistency by {attribute.name}", groups, values, self._method, overall)
        method = f"{self._method} of both groups" + ("" if clustered else ", Zou-Donner")
        said = Said("gap", method, self._comparisons, tuple(groups.said()), (drawn,))
        return largest(groups, gaps(groups, values, "", dependent=clustered), said)

    def _value(self, rows: NDArray[np.intp], levels: Levels, share: float) -> GroupValue:
        if not len(rows):
            return GroupValue(None, 0, UNKNOWN, UNKNOWN, UNKNOWN)
        claim, corrected = (self._bounds(rows, level * share) for level in levels)
        whisker = self._bounds(rows, WHISKER_ALPHA)
        return GroupValue(float(self._agreement[rows].mean()), len(rows), claim, corrected, whisker)

    def _bounds(self, rows: NDArray[np.intp], alpha: float) -> Interval:
        clusters = None if self._data.clusters is None else self._data.clusters[rows]
        return bounded_mean(self._agreement[rows], (0.0, 1.0), alpha, clusters)
