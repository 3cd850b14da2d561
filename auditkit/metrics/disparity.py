"""Largest gap of a rate between the groups of every sensitive attribute, as measurements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import Attribute, AuditData
from auditkit.errors import AuditkitError, nearest
from auditkit.finding import (
    Bounds,
    Estimate,
    Estimates,
    Evidence,
    Interval,
    Measurement,
    Table,
)
from auditkit.metrics.rates import (
    GroupRates,
    MetricName,
    Rate,
    by_group,
    class_rate,
    fairlearn_difference,
)
from auditkit.metrics.strata import StratifiedRates, by_stratum, strata_table
from auditkit.stats.gaps import (
    GroupBounds,
    ordered_pairs,
    pairwise_difference_bounds,
    pairwise_ratio_bounds,
)
from auditkit.stats.intervals import wilson
from auditkit.stats.power import expected_null_gap, smallest_detectable_gap
from auditkit.stats.stratified import stratified_difference_bounds, stratified_ratio_bounds

WHISKER_LEVEL = 0.95
MOST_GROUPS = 200
"""Groups of crossed attributes: all their pairs are compared, 40,000 of them."""
MOST_CHECKED = 50
"""Groups up to which fairlearn is asked for the same number; it takes milliseconds for each."""


@dataclass(frozen=True, slots=True)
class GroupChoice:
    """Which groups a check looks at."""

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


@dataclass(frozen=True, slots=True)
class GroupParams(GroupChoice):
    """Which groups a check of rates compares, and how."""

    unknown: Literal["bounded", "left-out"] = "bounded"
    """Rows whose group is missing: "bounded" takes the worst of all groups they may be of,
    "left-out" takes them as missing at random."""
    given: str = ""
    """A factor (data.factors) or another sensitive attribute: groups are compared within each of
    its values, and the differences averaged by Mantel-Haenszel weights. Empty for all rows."""


def chosen_attributes(data: AuditData, params: GroupChoice) -> list[Attribute]:
    """The attributes to compare groups of, intersections included when wanted.

    An attribute with one group is kept, so that the report says it could not be compared. The one
    that groups are compared within is left out.

    Raises:
        AuditkitError: `params` names an attribute the data does not have, or two attributes cross
            into too many groups.
    """
    for name in params.attributes:
        if name not in data.groups:
            raise AuditkitError(
                f"no sensitive attribute is called {name!r}.", nearest(name, data.groups)
            )
    within = params.given if isinstance(params, GroupParams) else ""
    names = [name for name in params.attributes or data.groups if name != within]
    if not names and data.groups:
        raise AuditkitError(
            f"groups of {within!r} cannot be compared given {within!r}.",
            "Name another factor in params.given, or another attribute in params.attributes.",
        )
    singles = [data.groups[name] for name in names]
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


def chosen_factor(data: AuditData, params: GroupParams) -> Attribute | None:
    """What groups are compared within; None for all rows together.

    Raises:
        AuditkitError: `params.given` names neither a factor nor a sensitive attribute.
    """
    if not params.given:
        return None
    known = {**data.groups, **data.factors}
    if params.given not in known:
        raise AuditkitError(
            f"params.given: no factor and no sensitive attribute is called {params.given!r}.",
            nearest(params.given, known) or "Name its column in data.factors.",
        )
    return known[params.given]


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


@dataclass(frozen=True, slots=True, eq=False)
class ComparedRate:
    """A rate of the groups of an attribute, and what it says of any two of them.

    Attributes:
        rate: The rate.
        table: Its counts by group.
        bounds: Bounds of the largest gap or smallest ratio.
        strata: Its counts by group and stratum, where groups are compared within strata.
    """

    rate: Rate
    table: GroupRates
    bounds: GroupBounds
    strata: StratifiedRates | None = None

    @property
    def rows(self) -> list[int]:
        """Rows of each group that count for a pass."""
        if self.strata is not None:
            return [int(size) for size in self.strata.fewest]
        return [int(size) for size in self.table.effective_sizes]

    def least_rows(self, minimum: int) -> int | None:
        """Rows like these that would bring the smallest group that has any to the minimum."""
        sizes = self.table.sizes if self.strata is None else self.strata.fewest
        return least_rows(sizes, minimum, int(self.table.sizes.sum()))


def compare_rate(
    context: Context, rate: Rate, attribute: Attribute, params: GroupParams, comparisons: int
) -> ComparedRate:
    """Differences of a rate between every two groups."""
    return _compared(
        context, rate, attribute, params, comparisons,
        (pairwise_difference_bounds, stratified_difference_bounds),
    )  # fmt: skip


def compare_rate_by_ratio(
    context: Context, rate: Rate, attribute: Attribute, params: GroupParams, comparisons: int
) -> ComparedRate:
    """Ratios of a rate between every two groups."""
    return _compared(
        context, rate, attribute, params, comparisons,
        (pairwise_ratio_bounds, stratified_ratio_bounds),
    )  # fmt: skip


def _compared(
    context: Context,
    rate: Rate,
    attribute: Attribute,
    params: GroupParams,
    comparisons: int,
    bounding: tuple[Callable[..., GroupBounds], Callable[..., GroupBounds]],
) -> ComparedRate:
    claim = context.confidence.claim_alpha
    corrected = context.confidence.corrected_alpha(comparisons)
    clusters, bounded = context.data.clusters, params.unknown == "bounded"
    factor, minimum = chosen_factor(context.data, params), params.minimum_group_size
    plain, stratified = bounding
    if factor is None:
        table = by_group(rate, attribute, clusters, corrected, bounded=bounded)
        counts = table.effective_hits, table.effective_sizes
        return ComparedRate(rate, table, plain(*counts, claim, corrected, minimum, table.extremes))
    table = by_group(rate, attribute, clusters, corrected)
    strata = by_stratum(rate, attribute, factor, clusters, corrected, bounded=bounded)
    bounds = stratified(strata.cells, strata.weights, (claim, corrected), minimum, strata.extremes)
    return ComparedRate(rate, table, bounds, strata)


def _gap(
    context: Context,
    rates: Sequence[Rate],
    attribute: Attribute,
    params: GroupParams,
    comparisons: int,
) -> Measurement:
    compared = [compare_rate(context, rate, attribute, params, comparisons) for rate in rates]
    bounds = [one.bounds for one in compared]
    defined = [one for one in compared if one.bounds.value is not None]
    evidence = compared_evidence(compared, attribute, params)
    if not defined:
        return Measurement(
            name="gap",
            value=None,
            n=0,
            bounds=None,
            slice=attribute.name,
            note=nothing_to_compare(attribute, "no two groups have a row that counts"),
            evidence=evidence,
        )
    widest = max(defined, key=lambda one: one.bounds.value or 0.0)
    return Measurement(
        name="gap",
        value=_value(widest, attribute),
        n=int(widest.table.sizes.sum()),
        bounds=Bounds(
            claim=Interval(max(b.claim_lower for b in bounds), max(b.claim_upper for b in bounds)),
            corrected=Interval(
                max(b.corrected_lower for b in bounds), max(b.corrected_upper for b in bounds)
            ),
            method=widest.bounds.method,
            comparisons=comparisons,
        ),
        slice=attribute.name,
        note=_note(context, widest, compared, attribute, params),
        detectable=_detectable(widest, context.confidence.corrected_alpha(comparisons)),
        least_n=widest.least_rows(params.minimum_group_size),
        evidence=evidence,
        region=region_of(compared, max),
    )


def region_of(
    compared: Sequence[ComparedRate], combine: Callable[[list[float]], float]
) -> Interval | None:
    """What the measurement may be for whatever groups the unknown rows are of."""
    if all(one.bounds.region is None for one in compared):
        return None
    ends = []
    for one in compared:
        region, value = one.bounds.region, one.bounds.value
        if region is not None and region.lower is not None and region.upper is not None:
            ends.append((region.lower, region.upper))
        elif value is not None:
            ends.append((value, value))
    return Interval(combine([low for low, _ in ends]), combine([high for _, high in ends]))


def nothing_to_compare(attribute: Attribute, otherwise: str) -> str:
    """Why there is no gap: one group only, or another reason."""
    if len(attribute.levels) < 2:
        return f"all rows are in one group, {''.join(attribute.levels) or 'an unknown one'}"
    return otherwise


def _value(widest: ComparedRate, attribute: Attribute) -> float:
    """fairlearn's difference where it is defined, held against our own counts."""
    value, table, rate = widest.bounds.value, widest.table, widest.rate
    assert value is not None
    if widest.strata is not None:
        return value  # fairlearn has no differences within strata
    counted = [float(v) for v in table.values if v is not None]
    own = max(counted) - min(counted)
    if (table.sizes[attribute.sizes() > 0] == 0).any() or len(table.levels) > MOST_CHECKED:
        return own  # fairlearn counts a rate without rows as 0
    theirs = fairlearn_difference(rate, attribute)
    if abs(own - theirs) > 1e-9:
        raise AuditkitError(
            f"fairlearn says the {rate.name} differs by {theirs}, the counts say {own}."
        )
    return theirs


def _note(
    context: Context,
    widest: ComparedRate,
    compared: Sequence[ComparedRate],
    attribute: Attribute,
    params: GroupParams,
) -> str:
    table, pair = widest.table, widest.bounds.pair
    assert pair is not None
    high, low = pair
    between = f"between {counted(table, high)} and {counted(table, low)}"
    if widest.strata is None:
        said = [f"Widest in the {widest.rate.name}, {between}."]
        share = float(table.hits.sum() / table.sizes.sum())
        chance = expected_null_gap(table.sizes.tolist(), share, context.rng)
        said.append(f"Equal groups of these sizes would show {chance:.2g} by chance.")
    else:
        said = [f"Widest in the {widest.rate.name} given {params.given}, {between}."]
        said += strata_said(widest, params)
    said += too_small(attribute, compared)
    said += unknown_rows(widest, attribute, region_of(compared, max), params)
    return " ".join(said)


def strata_said(shown: ComparedRate, params: GroupParams) -> list[str]:
    """Sentences on what comparing within strata leaves out."""
    strata, pair = shown.strata, shown.bounds.pair
    assert strata is not None
    assert pair is not None
    first, second = (strata.groups[i] for i in pair)
    alone, rows = strata.unshared(*pair)
    said = []
    if alone:
        values = "value has" if alone == 1 else "values have"
        said.append(
            f"{alone} {values} rows of only one of {first} and {second}: {rows:,} rows left out."
        )
    if strata.left_out:
        said.append(
            f"{strata.left_out:,} rows of unknown {params.given} are left out, as if they were "
            "missing at random."
        )
    return said


def counted(table: GroupRates, group: int) -> str:
    """A group with its count: "women (12 of 40)"."""
    return f"{table.levels[group]} ({table.hits[group]:,} of {table.sizes[group]:,})"


def too_small(attribute: Attribute, compared: Sequence[ComparedRate]) -> list[str]:
    """A sentence naming groups too small to be part of a pass, or nothing."""
    small = {i for one in compared for i in one.bounds.small}
    if not small:
        return []
    fewest = {i: min(one.rows[i] for one in compared) for i in small}
    named = sorted(small, key=lambda i: fewest[i])
    shown = ", ".join(f"{attribute.levels[i]} ({fewest[i]})" for i in named[:5])
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return [f"Too few rows for a pass: {shown}{more}."]


def least_rows(sizes: NDArray[np.int64], minimum: int, rows: int | None = None) -> int | None:
    """Rows like these that would bring the smallest group that has any to the minimum.

    Args:
        sizes: Rows of each group that count, shape (groups,).
        minimum: Rows that a group must have.
        rows: All rows; by default those of the groups.
    """
    known = sizes[sizes > 0]
    if not len(known) or known.min() >= minimum:
        return None
    return math.ceil(int(known.sum() if rows is None else rows) * minimum / int(known.min()))


def unknown_rows(
    shown: ComparedRate, attribute: Attribute, region: Interval | None, params: GroupParams
) -> list[str]:
    """Sentences on rows of unknown group: what they leave open, or that they are left out."""
    if not attribute.missing:
        return []
    rows = f"{attribute.missing:,} rows of unknown {attribute.name}"
    if params.unknown == "left-out":
        return [f"{rows} are left out, as if they were missing at random."]
    if region is None or region.lower is None or region.upper is None:
        return [f"None of the {rows} counts here."]
    between = f"{region.lower:.4g} and {region.upper:.4g}"
    of_rate = shown.strata is None and shown.table.unknown_hits + shown.table.unknown_misses
    counting = f" ({of_rate:,} count in this rate)" if of_rate else ""
    return [f"{rows}{counting}: depending on their groups, these rows' value is between {between}."]


def missing_rows(attribute: Attribute) -> list[str]:
    """A sentence counting rows of no known group, or nothing."""
    if not attribute.missing:
        return []
    return [
        f"{attribute.missing:,} rows of unknown {attribute.name} are in no group: they are left "
        "out, as if they were missing at random."
    ]


def _detectable(compared: ComparedRate, alpha: float) -> float | None:
    """What could be told from no gap, between the two smallest groups: the hardest pair.

    What unknown rows may take from a gap adds to it.
    """
    sizes = sorted(compared.rows)[:2]
    if len(sizes) < 2:
        return None
    table, region = compared.table, compared.bounds.region
    share = float(table.hits.sum() / table.sizes.sum())
    found = smallest_detectable_gap(sizes[0], sizes[1], share, alpha)
    if found is None or region is None or region.lower is None or compared.bounds.value is None:
        return found
    found += compared.bounds.value - region.lower
    return found if found <= 1.0 else None


def compared_evidence(
    compared: Sequence[ComparedRate], attribute: Attribute, params: GroupParams
) -> tuple[Evidence, ...]:
    """Every group's rate, in every stratum where there are some, and what unknown rows may do."""
    shown: list[Evidence] = [
        *group_estimates([one.rate for one in compared], [one.table for one in compared], attribute)
    ]
    for one in compared:
        if one.strata is not None:
            shown.append(strata_table(one.rate, one.strata, attribute.name, params.given))
        elif one.table.extremes is not None:
            shown.append(_extremes_table(one, attribute))
    return tuple(shown)


def _extremes_table(compared: ComparedRate, attribute: Attribute) -> Table:
    table, extremes = compared.table, compared.table.extremes
    assert extremes is not None
    ends = [
        [float(k / n) if n else None for k, n in zip(*side, strict=True)]
        for side in (extremes.lowest, extremes.highest)
    ]
    return Table(
        title=f"What unknown {attribute.name} leaves open: {compared.rate.name}",
        columns=("group", "rows", "rate", "lowest", "highest"),
        rows=tuple(
            (level, int(n), value, low, high)
            for level, n, value, low, high in zip(
                table.levels, table.sizes, table.values, *ends, strict=True
            )
        ),
    )


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
