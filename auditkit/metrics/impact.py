"""Impact ratios between groups: the smallest selection rate over the largest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from auditkit.check import Context
from auditkit.data import Attribute
from auditkit.errors import AuditkitError
from auditkit.finding import Cell, Measurement, Table
from auditkit.metrics.compared_rates import (
    MOST_CHECKED,
    ComparedRate,
    bounds_of,
    class_rates,
    compare_rate_by_ratio,
    compared_evidence,
    counted,
    region_of,
    strata_said,
    too_small,
    unknown_rows,
)
from auditkit.metrics.group_choice import GroupParams, chosen_attributes, nothing_to_compare
from auditkit.metrics.rates import GroupRates, Rate, fairlearn_ratio
from auditkit.stats.gaps import ordered_pairs
from auditkit.stats.intervals import Floats
from auditkit.stats.ratios import at_least_four_fifths, fisher_exact, one_person_flip, ratio_bounds

FOUR_FIFTHS = Fraction(4, 5)


def ratio_measurements(context: Context, params: GroupParams) -> Iterator[Measurement]:
    """The smallest ratio of two groups' selection rates, one measurement per attribute."""
    attributes = chosen_attributes(context.data, params)
    rates = class_rates(context, {"selection_rate": "selection rate"})
    comparisons = sum(ordered_pairs(len(a.levels)) for a in attributes) * len(rates)
    for done, attribute in enumerate(attributes):
        yield _ratio(context, rates, attribute, params, comparisons)
        context.advance((done + 1) / len(attributes))


def _ratio(
    context: Context,
    rates: Sequence[Rate],
    attribute: Attribute,
    params: GroupParams,
    comparisons: int,
) -> Measurement:
    compared = [
        compare_rate_by_ratio(context, rate, attribute, params, comparisons) for rate in rates
    ]
    evidence = (
        *(impact_table(one.rate, one.table, context) for one in compared),
        *(e for e in compared_evidence(compared, attribute, params) if e.kind == "table"),
    )
    defined = [one for one in compared if one.bounds.value is not None]
    if not defined:
        return Measurement(
            "ratio", None, int(attribute.sizes().sum()), None, attribute.name,
            nothing_to_compare(attribute, "nobody is selected in any group"), evidence=evidence,
        )  # fmt: skip
    smallest = min(defined, key=lambda one: one.bounds.value or 0.0)
    return Measurement(
        name="ratio",
        value=_value(smallest, attribute),
        n=int(smallest.table.sizes.sum()),
        bounds=bounds_of(compared, smallest, min, comparisons),
        slice=attribute.name,
        note=_note(smallest, compared, attribute, params),
        least_n=smallest.least_rows(params.minimum_group_size),
        evidence=evidence,
        region=region_of(compared, min),
    )


def _value(smallest: ComparedRate, attribute: Attribute) -> float:
    """fairlearn's ratio, held against our own counts."""
    value, rate = smallest.bounds.value, smallest.rate
    assert value is not None
    if smallest.strata is not None:
        return value  # fairlearn has no ratios within strata
    counted = [float(v) for v in smallest.table.values if v is not None]
    own = min(counted) / max(counted)
    if len(counted) > MOST_CHECKED:
        return own
    theirs = fairlearn_ratio(rate, attribute)
    if abs(own - theirs) > 1e-9:
        raise AuditkitError(
            f"fairlearn says the ratio of the {rate.name} is {theirs}, the counts say {own}."
        )
    return theirs


def _note(
    smallest: ComparedRate,
    compared: Sequence[ComparedRate],
    attribute: Attribute,
    params: GroupParams,
) -> str:
    table, pair = smallest.table, smallest.bounds.pair
    assert pair is not None
    low, high = pair
    within = f" given {params.given}" if params.given else ""
    said = [
        f"Smallest in the {smallest.rate.name}{within}: {counted(table, low)} against "
        f"{counted(table, high)}."
    ]
    if smallest.strata is not None:
        said += strata_said(smallest, params)
    said += too_small(attribute, compared)
    said += unknown_rows(smallest, attribute, region_of(compared, min), params)
    return " ".join(said)


def impact_table(rate: Rate, table: GroupRates, context: Context) -> Table:
    """Every group against the most selected one: ratio, rule, interval, test.

    The rule is compared in whole numbers. The interval is Koopman's at the claim level, of the
    group against the most selected one.
    """
    shares = [-1.0 if v is None else v for v in table.values]
    top = int(np.argmax(shares)) if shares else 0
    k, n = table.effective_hits, table.effective_sizes
    rows = []
    if shares:
        ends = ratio_bounds(k, n, k[top], n[top], context.confidence.claim_alpha)
        rows = [_impact_row(table, i, top, ends) for i in range(len(shares))]
    return Table(
        title=f"Impact ratios: {rate.name}",
        columns=(
            "group", "selected", "rows", "rate", "ratio to highest", "lower", "upper",
            "four fifths", "one person decides", "Fisher p",
        ),
        rows=tuple(rows),
    )  # fmt: skip


def _impact_row(
    table: GroupRates, i: int, top: int, ends: tuple[Floats, Floats]
) -> tuple[Cell, ...]:
    k, n = int(table.hits[i]), int(table.sizes[i])
    top_k, top_n = int(table.hits[top]), int(table.sizes[top])
    start: tuple[Cell, ...] = (table.levels[i], k, n, k / n if n else None)
    if n == 0 or top_k == 0:
        return (*start, None, None, None, None, None, None)
    if i == top:
        return (*start, 1.0, None, None, "highest", None, None)
    return (
        *start,
        k * top_n / (n * top_k),
        float(ends[0][i]),
        float(ends[1][i]) if np.isfinite(ends[1][i]) else None,
        "met" if at_least_four_fifths(k, n, top_k, top_n, FOUR_FIFTHS) else "not met",
        "yes" if one_person_flip(k, n, top_k, top_n, FOUR_FIFTHS) else "no",
        fisher_exact(k, n, top_k, top_n),
    )
