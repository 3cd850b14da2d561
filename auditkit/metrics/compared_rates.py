"""A rate of every group, compared pair by pair, and what a report says of the comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditkit.check import Context
from auditkit.data import Attribute
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Estimate,
    Estimates,
    Evidence,
    Interval,
    Table,
)
from auditkit.metrics.group_choice import GroupParams, chosen_factor, least_rows
from auditkit.metrics.rates import GroupRates, MetricName, Rate, by_group, class_rate
from auditkit.metrics.strata import StratifiedRates, by_stratum, strata_table
from auditkit.stats.gaps import GroupBounds, pairwise_difference_bounds, pairwise_ratio_bounds
from auditkit.stats.intervals import wilson
from auditkit.stats.stratified import stratified_difference_bounds, stratified_ratio_bounds

MOST_CHECKED = 50
"""Groups up to which fairlearn is asked for the same number; it takes milliseconds for each."""
Extreme = Callable[[list[float]], float]
"""`max` of gaps, `min` of ratios."""


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


def bounds_of(
    compared: Sequence[ComparedRate], shown: ComparedRate, extreme: Extreme, comparisons: int
) -> Bounds:
    """Bounds of the largest gap, or smallest ratio, of all rates.

    Args:
        compared: The rates.
        shown: The one that the value comes from.
        extreme: `max` of gaps, `min` of ratios.
        comparisons: How many the corrected ends are corrected for.
    """
    bounds = [one.bounds for one in compared]
    return Bounds(
        claim=Interval(
            extreme([b.claim_lower for b in bounds]), extreme([b.claim_upper for b in bounds])
        ),
        corrected=Interval(
            extreme([b.corrected_lower for b in bounds]),
            extreme([b.corrected_upper for b in bounds]),
        ),
        method=shown.bounds.method,
        comparisons=comparisons,
    )


def region_of(compared: Sequence[ComparedRate], extreme: Extreme) -> Interval | None:
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
    return Interval(extreme([low for low, _ in ends]), extreme([high for _, high in ends]))


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
    return Estimate(table.levels[i], n, value, wilson(hits, size, WHISKER_ALPHA), k)
