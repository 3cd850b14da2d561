"""Largest gap of a rate between the groups of every sensitive attribute, as measurements."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import Attribute, AuditData
from auditkit.errors import AuditkitError, nearest
from auditkit.finding import Bounds, Estimate, Estimates, Interval, Measurement
from auditkit.metrics.rates import (
    GroupRates,
    MetricName,
    Rate,
    by_group,
    class_rate,
    fairlearn_difference,
)
from auditkit.stats.gaps import GroupBounds, ordered_pairs, pairwise_difference_bounds
from auditkit.stats.intervals import wilson
from auditkit.stats.power import expected_null_gap, smallest_detectable_gap

WHISKER_LEVEL = 0.95
MOST_GROUPS = 200
"""Groups of crossed attributes: all their pairs are compared, 40,000 of them."""


@dataclass(frozen=True, slots=True)
class GroupParams:
    """Which groups a check compares."""

    attributes: tuple[str, ...] = ()
    """Sensitive attributes to look at; empty for all."""
    intersections: bool = True
    """Also look at every two attributes crossed."""
    minimum_group_size: int = 20
    """Eligible rows below which a group can never be part of a pass."""

    def __post_init__(self) -> None:
        if self.minimum_group_size < 1:
            raise ValueError(
                f"minimum_group_size must be at least 1, not {self.minimum_group_size}"
            )


def chosen_attributes(data: AuditData, params: GroupParams) -> list[Attribute]:
    """The attributes to compare groups of, intersections included when wanted.

    An attribute with one group is kept, so that the report says it could not be compared.

    Raises:
        AuditkitError: `params` names an attribute the data does not have, or two attributes cross
            into too many groups.
    """
    for name in params.attributes:
        if name not in data.groups:
            raise AuditkitError(
                f"no sensitive attribute is called {name!r}.", nearest(name, data.groups)
            )
    singles = [data.groups[name] for name in params.attributes or data.groups]
    if not params.intersections:
        return singles
    crossed = [a.cross(b) for a, b in combinations(singles, 2)]
    for attribute in crossed:
        if len(attribute.levels) > MOST_GROUPS:
            raise AuditkitError(
                f"{attribute.name} has {len(attribute.levels):,} groups, more than the "
                f"{MOST_GROUPS} that can be compared.",
                "Group values together, or set params.intersections = false.",
            )
    return singles + [attribute for attribute in crossed if len(attribute.levels) > 1]


def class_rates(context: Context, metrics: Mapping[MetricName, str]) -> list[Rate]:
    """The named rates of every class the audit looks at, one versus rest."""
    data = context.data
    predicted = context.predictor.predict(data.inputs).labels
    rates = []
    for metric, words in metrics.items():
        for index in data.viewed_classes():
            rate = class_rate(metric, index, data.labels, predicted)
            name = f"{words} of class {data.class_names[index]}"
            rates.append(Rate(name, metric, rate.truth, rate.chosen))
    return rates


def gap_measurements(
    context: Context, metrics: Mapping[MetricName, str], params: GroupParams
) -> Iterator[Measurement]:
    """The largest gap between two groups in any of the rates, one measurement per attribute.

    Args:
        context: Data, predictions and levels.
        metrics: Rates to compare, with their names for the reader.
        params: Which groups.
    """
    yield from rate_gaps(context, class_rates(context, metrics), params)


def rate_gaps(
    context: Context, rates: Sequence[Rate], params: GroupParams
) -> Iterator[Measurement]:
    """As `gap_measurements`, for rates already counted row by row."""
    attributes = chosen_attributes(context.data, params)
    comparisons = sum(ordered_pairs(len(a.levels)) for a in attributes) * len(rates)
    for done, attribute in enumerate(attributes):
        yield _gap(context, rates, attribute, params, comparisons)
        context.advance((done + 1) / len(attributes))


def _gap(
    context: Context,
    rates: Sequence[Rate],
    attribute: Attribute,
    params: GroupParams,
    comparisons: int,
) -> Measurement:
    claim = context.confidence.claim_alpha
    corrected = context.confidence.corrected_alpha(comparisons)
    tables = [by_group(rate, attribute, context.data.clusters, corrected) for rate in rates]
    bounds = [
        pairwise_difference_bounds(
            t.effective_hits, t.effective_sizes, claim, corrected, params.minimum_group_size
        )
        for t in tables
    ]
    defined = [i for i, b in enumerate(bounds) if b.value is not None]
    if not defined:
        return Measurement(
            name="gap",
            value=None,
            n=0,
            bounds=None,
            slice=attribute.name,
            note=nothing_to_compare(attribute, "no two groups have a row that counts"),
            evidence=tuple(group_estimates(rates, tables, attribute)),
        )
    widest = max(defined, key=lambda i: bounds[i].value or 0.0)
    return Measurement(
        name="gap",
        value=_value(rates[widest], tables[widest], attribute),
        n=int(tables[widest].sizes.sum()),
        bounds=Bounds(
            claim=Interval(max(b.claim_lower for b in bounds), max(b.claim_upper for b in bounds)),
            corrected=Interval(
                max(b.corrected_lower for b in bounds), max(b.corrected_upper for b in bounds)
            ),
            method=bounds[widest].method,
            comparisons=comparisons,
        ),
        slice=attribute.name,
        note=_note(context, rates[widest], tables, attribute, bounds, widest),
        detectable=_detectable(tables[widest], corrected),
        least_n=least_rows(tables[widest].sizes, params.minimum_group_size),
        evidence=tuple(group_estimates(rates, tables, attribute)),
    )


def nothing_to_compare(attribute: Attribute, otherwise: str) -> str:
    """Why there is no gap: one group only, or another reason."""
    if len(attribute.levels) < 2:
        return f"all rows are in one group, {''.join(attribute.levels) or 'an unknown one'}"
    return otherwise


def _value(rate: Rate, table: GroupRates, attribute: Attribute) -> float:
    """fairlearn's difference where it is defined, held against our own counts."""
    counted = [float(v) for v in table.values if v is not None]
    own = max(counted) - min(counted)
    if (table.sizes[attribute.sizes() > 0] == 0).any():
        return own  # fairlearn counts a rate without rows as 0
    theirs = fairlearn_difference(rate, attribute)
    if abs(own - theirs) > 1e-9:
        raise AuditkitError(
            f"fairlearn says the {rate.name} differs by {theirs}, the counts say {own}."
        )
    return theirs


def _note(
    context: Context,
    rate: Rate,
    tables: Sequence[GroupRates],
    attribute: Attribute,
    bounds: Sequence[GroupBounds],
    widest: int,
) -> str:
    table, pair = tables[widest], bounds[widest].pair
    assert pair is not None
    high, low = pair
    said = [f"Widest in the {rate.name}, between {counted(table, high)} and {counted(table, low)}."]
    share = float(table.hits.sum() / table.sizes.sum())
    chance = expected_null_gap(table.sizes.tolist(), share, context.rng)
    said.append(f"Equal groups of these sizes would show {chance:.2g} by chance.")
    said += too_small(attribute, {i for b in bounds for i in b.small}, tables)
    said += missing_rows(attribute)
    return " ".join(said)


def counted(table: GroupRates, group: int) -> str:
    """A group with its count: "women (12 of 40)"."""
    return f"{table.levels[group]} ({table.hits[group]:,} of {table.sizes[group]:,})"


def too_small(attribute: Attribute, small: set[int], tables: Sequence[GroupRates]) -> list[str]:
    """A sentence naming groups too small to be part of a pass, or nothing."""
    if not small:
        return []
    fewest = {i: min(int(t.effective_sizes[i]) for t in tables) for i in small}
    named = sorted(small, key=lambda i: fewest[i])
    shown = ", ".join(f"{attribute.levels[i]} ({fewest[i]})" for i in named[:5])
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return [f"Too few rows for a pass: {shown}{more}."]


def least_rows(group_sizes: NDArray[np.int64], minimum: int) -> int | None:
    """Rows like these that would bring the smallest group that has any to the minimum."""
    sizes = group_sizes[group_sizes > 0]
    if not len(sizes) or sizes.min() >= minimum:
        return None
    return math.ceil(int(sizes.sum()) * minimum / int(sizes.min()))


def missing_rows(attribute: Attribute) -> list[str]:
    """A sentence counting rows of no known group, or nothing."""
    if not attribute.missing:
        return []
    return [f"{attribute.missing:,} rows of unknown {attribute.name} are in no group."]


def _detectable(table: GroupRates, alpha: float) -> float | None:
    """What could be told from no gap, between the two smallest groups: the hardest pair."""
    sizes = sorted(int(size) for size in table.effective_sizes)[:2]
    share = float(table.hits.sum() / table.sizes.sum())
    return smallest_detectable_gap(sizes[0], sizes[1], share, alpha) if len(sizes) == 2 else None


def group_estimates(
    rates: Sequence[Rate], tables: Sequence[GroupRates], attribute: Attribute
) -> Iterator[Estimates]:
    """Every group's rate with a Wilson interval, one chart per rate."""
    for rate, table in zip(rates, tables, strict=True):
        total = int(table.sizes.sum())
        yield Estimates(
            title=f"{rate.name[0].upper()}{rate.name[1:]} by {attribute.name}",
            rows=tuple(_estimate(table, i) for i in range(len(table.levels))),
            level=WHISKER_LEVEL,
            method="Wilson",
            reference=float(table.hits.sum() / total) if total else None,
            reference_label="all rows",
        )


def _estimate(table: GroupRates, i: int) -> Estimate:
    n, k, value = int(table.sizes[i]), int(table.hits[i]), table.values[i]
    if value is None:
        return Estimate(table.levels[i], 0, None, None, 0, "no row counts")
    hits, size = float(table.effective_hits[i]), float(table.effective_sizes[i])
    return Estimate(table.levels[i], n, value, wilson(hits, size, (1 - WHISKER_LEVEL) / 2), k)
