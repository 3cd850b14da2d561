"""Largest gap of a rate between the groups of every sensitive attribute, as measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from auditkit.check import Context
from auditkit.data import Attribute
from auditkit.errors import AuditkitError
from auditkit.finding import Measurement
from auditkit.metrics.compared_rates import (
    MOST_CHECKED,
    ComparedRate,
    bounds_of,
    class_rates,
    compare_rate,
    compared_evidence,
    counted,
    region_of,
    strata_said,
    too_small,
    unknown_rows,
)
from auditkit.metrics.group_choice import GroupParams, chosen_attributes, nothing_to_compare
from auditkit.metrics.rates import MetricName, Rate, fairlearn_difference
from auditkit.stats.gaps import ordered_pairs
from auditkit.stats.power import expected_null_gap, smallest_detectable_gap


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
    compared = [compare_rate(context, rate, attribute, params, comparisons) for rate in rates]
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
        bounds=bounds_of(compared, widest, max, comparisons),
        slice=attribute.name,
        note=_note(context, widest, compared, attribute, params),
        detectable=_detectable(widest, context.confidence.corrected_alpha(comparisons)),
        least_n=widest.least_rows(params.minimum_group_size),
        evidence=evidence,
        region=region_of(compared, max),
    )


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
