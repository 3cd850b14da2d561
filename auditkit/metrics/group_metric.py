"""A metric of the confusion matrix per group: the worst group, and the largest gap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from auditkit.check import Context
from auditkit.data import Attribute
from auditkit.finding import Bounds, Estimate, Estimates, Interval, Measurement
from auditkit.metrics.disparity import rate_gaps
from auditkit.metrics.group_choice import GroupParams, chosen_attributes, missing_rows
from auditkit.metrics.rates import accuracy_rate, place_rows
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
    region: Interval | None = None
    """What the worst group's metric may be, given what unknown rows leave open."""


def group_metric_measurements(
    context: Context, params: GroupParams, metric: str
) -> Iterator[Measurement]:
    """Worst group and largest gap per attribute.

    The gap of accuracies is a gap of rates and is measured as one; the gap of other metrics is
    combined from the groups' own intervals (Zou & Donner 2008).
    """
    rows = answers(context)
    right = accuracy_rate(rows.labels, rows.predicted)
    # A row answered rightly raises an accuracy, and one answered wrongly lowers it; what either
    # does to another metric depends on the rows beside it.
    bounded = metric == "accuracy" and params.unknown == "bounded"
    attributes = chosen_attributes(context.data, params)
    quality = Quality(metric, context.data.positive if rows.classes == 2 else None)
    comparisons = sum(ordered_pairs(len(attribute.levels)) for attribute in attributes)
    for done, attribute in enumerate(attributes):
        placed = place_rows(right, attribute, bounded=bounded)
        parts = _Parts(
            [rows.rows(own) for own in placed.known],
            None if placed.lowest is None else [rows.rows(own) for own in placed.lowest],
            None if placed.highest is None else [rows.rows(own) for own in placed.highest],
        )
        groups = _group_metric(context, attribute, parts, quality, comparisons, params)
        yield _worst(groups, metric, context.confidence.level)
        if metric != "accuracy":
            yield _gap(groups)
        context.advance((done + 1) / len(attributes))
    if metric == "accuracy":
        yield from rate_gaps(context, [right], params)


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """The rows of each group: known ones, and with the unknown ones that lower or raise it most."""

    known: Sequence[Answers]
    lowest: Sequence[Answers] | None = None
    highest: Sequence[Answers] | None = None

    def bounds(self, group: int, quality: Quality, context: Context, comparisons: int) -> Bounds:
        """Bounds of a group's metric, whatever the unknown rows are."""
        if not len(self.known[group]):
            return Bounds(UNKNOWN, UNKNOWN, "none", comparisons)
        if self.lowest is None or self.highest is None:
            return quality_bounds(self.known[group], quality, context, comparisons)
        low = quality_bounds(self.lowest[group], quality, context, comparisons)
        high = quality_bounds(self.highest[group], quality, context, comparisons)
        return Bounds(
            Interval(low.claim.lower, high.claim.upper),
            Interval(low.corrected.lower, high.corrected.upper),
            low.method,
            comparisons,
        )

    def region(self, quality: Quality) -> Interval | None:
        """What the metric of the worst group may be for whatever groups unknown rows are of."""
        if self.lowest is None or self.highest is None:
            return None
        ends = [
            min(float(quality.of(part.matrix)) for part, own in zip(side, self.known, strict=True)
                if len(own))
            for side in (self.lowest, self.highest)
        ]  # fmt: skip
        return Interval(*ends)


def _group_metric(
    context: Context,
    attribute: Attribute,
    parted: _Parts,
    quality: Quality,
    comparisons: int,
    params: GroupParams,
) -> _GroupMetric:
    parts = parted.known
    small = tuple(i for i, part in enumerate(parts) if part.units < params.minimum_group_size)
    bounds = [parted.bounds(i, quality, context, comparisons) for i in range(len(parts))]
    for i in small:
        bounds[i] = Bounds(UNKNOWN, bounds[i].corrected, bounds[i].method, comparisons)
    return _GroupMetric(
        attribute=attribute,
        sizes=tuple(len(part) for part in parts),
        values=tuple(float(quality.of(part.matrix)) if len(part) else None for part in parts),
        bounds=tuple(bounds),
        small=small,
        region=parted.region(quality) if any(len(part) for part in parts) else None,
    )


def _worst(groups: _GroupMetric, metric: str, level: float) -> Measurement:
    attribute = groups.attribute
    known = [i for i, value in enumerate(groups.values) if value is not None]
    said = missing_rows(attribute)
    if groups.region is not None:
        low, high = groups.region.lower, groups.region.upper
        said = [
            f"{attribute.missing:,} rows of unknown {attribute.name}: depending on their groups, "
            f"these rows' value is between {low:.4g} and {high:.4g}."
        ]
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
        region=groups.region,
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
