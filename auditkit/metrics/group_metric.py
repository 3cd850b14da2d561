"""A metric of the confusion matrix per group: the worst group, and the largest gap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from auditkit.check import Context
from auditkit.data import Attribute
from auditkit.finding import Bounds, Estimate, Estimates, Interval, Measurement
from auditkit.metrics.disparity import (
    GroupParams,
    chosen_attributes,
    missing_rows,
    rate_gaps,
)
from auditkit.metrics.rates import accuracy_rate
from auditkit.metrics.resampled import Answers, Quality, answers, quality_bounds
from auditkit.stats.gaps import (
    Comparison,
    combine_max,
    independent_difference,
    ordered_pairs,
)

UNKNOWN = Interval(None, None)


@dataclass(frozen=True, slots=True)
class _GroupMetric:
    """A metric of every group of one attribute, with bounds."""

    attribute: Attribute
    sizes: tuple[int, ...]
    values: tuple[float | None, ...]
    bounds: tuple[Bounds, ...]
    small: tuple[int, ...]
    """Groups of which no claim is made, because they have too few rows."""


def group_metric_measurements(
    context: Context, params: GroupParams, metric: str
) -> Iterator[Measurement]:
    """Worst group and largest gap per attribute.

    The gap of accuracies is a gap of rates and is measured as one; the gap of other metrics is
    combined from the groups' own intervals (Zou & Donner 2008).
    """
    rows = answers(context)
    attributes = chosen_attributes(context.data, params)
    quality = Quality(metric, context.data.positive if rows.classes == 2 else None)
    comparisons = sum(ordered_pairs(len(attribute.levels)) for attribute in attributes)
    for done, attribute in enumerate(attributes):
        parts = [
            rows.rows(np.flatnonzero(attribute.codes == code))
            for code in range(len(attribute.levels))
        ]
        groups = _group_metric(context, attribute, parts, quality, comparisons, params)
        yield _worst(groups, metric, context.confidence.level)
        if metric != "accuracy":
            yield _gap(groups)
        context.advance((done + 1) / len(attributes))
    if metric == "accuracy":
        yield from rate_gaps(context, [accuracy_rate(rows.labels, rows.predicted)], params)


def _group_metric(
    context: Context,
    attribute: Attribute,
    parts: Sequence[Answers],
    quality: Quality,
    comparisons: int,
    params: GroupParams,
) -> _GroupMetric:
    small = tuple(i for i, part in enumerate(parts) if part.units < params.minimum_group_size)
    bounds = [
        quality_bounds(part, quality, context, comparisons)
        if len(part)
        else Bounds(UNKNOWN, UNKNOWN, "none", comparisons)
        for part in parts
    ]
    for i in small:
        bounds[i] = Bounds(UNKNOWN, bounds[i].corrected, bounds[i].method, comparisons)
    return _GroupMetric(
        attribute=attribute,
        sizes=tuple(len(part) for part in parts),
        values=tuple(float(quality.of(part.matrix)) if len(part) else None for part in parts),
        bounds=tuple(bounds),
        small=small,
    )


def _worst(groups: _GroupMetric, metric: str, level: float) -> Measurement:
    attribute = groups.attribute
    known = [i for i, value in enumerate(groups.values) if value is not None]
    said = missing_rows(attribute)
    if groups.small:
        named = ", ".join(f"{attribute.levels[i]} ({groups.sizes[i]})" for i in groups.small[:5])
        said.insert(0, f"Too few rows for a pass: {named}.")
    if not known:
        return Measurement("worst", None, 0, None, attribute.name, "no group has a row")
    worst = min(known, key=lambda i: groups.values[i] or 0.0)
    return Measurement(
        name="worst",
        value=groups.values[worst],
        n=groups.sizes[worst],
        bounds=Bounds(
            claim=_smallest([b.claim for b in groups.bounds]),
            corrected=_smallest([b.corrected for b in groups.bounds]),
            method=groups.bounds[worst].method,
            comparisons=groups.bounds[worst].comparisons,
        ),
        slice=attribute.name,
        note=" ".join([f"Worst group: {attribute.levels[worst]}.", *said]),
        evidence=(_chart(groups, metric, level),),
    )


def _smallest(intervals: Sequence[Interval]) -> Interval:
    """Bounds of the smallest of several quantities, end by end; None says nothing is known."""
    lowers = [one.lower for one in intervals if one.lower is not None]
    uppers = [one.upper for one in intervals if one.upper is not None]
    lower = min(lowers) if len(lowers) == len(intervals) else None
    return Interval(lower, min(uppers, default=None))


def _gap(groups: _GroupMetric) -> Measurement:
    pairs = list(combinations(range(len(groups.values)), 2))
    compared = [_comparison(groups, i, j) for i, j in pairs]
    largest = combine_max(compared)
    levels = groups.attribute.levels
    note = "no two groups have rows"
    if largest.widest is not None:
        i, j = pairs[largest.widest]
        note = f"Between {levels[i]} and {levels[j]}."
    return Measurement(
        name="gap",
        value=largest.value,
        n=sum(groups.sizes),
        bounds=Bounds(
            largest.claim,
            largest.corrected,
            "Zou-Donner from the groups' intervals",
            groups.bounds[0].comparisons,
        ),
        slice=groups.attribute.name,
        note=" ".join([note, *missing_rows(groups.attribute)]),
    )


def _comparison(groups: _GroupMetric, i: int, j: int) -> Comparison:
    first, second = groups.values[i], groups.values[j]
    of_first, of_second = groups.bounds[i], groups.bounds[j]
    if first is None or second is None:
        return Comparison(None, UNKNOWN, UNKNOWN)
    return Comparison(
        first - second,
        independent_difference(first, of_first.claim, second, of_second.claim),
        independent_difference(first, of_first.corrected, second, of_second.corrected),
    )


def _chart(groups: _GroupMetric, metric: str, level: float) -> Estimates:
    rows = [
        Estimate(name, n, value, None if value is None else bounds.claim)
        for name, n, value, bounds in zip(
            groups.attribute.levels, groups.sizes, groups.values, groups.bounds, strict=True
        )
    ]
    return Estimates(
        title=f"{metric[0].upper()}{metric[1:]} by {groups.attribute.name}",
        rows=tuple(rows),
        level=2 * level - 1,
        method=groups.bounds[0].method,
    )
