"""Impact ratios between groups: the smallest selection rate over the largest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from auditkit.check import Context
from auditkit.data import Attribute
from auditkit.errors import AuditkitError
from auditkit.finding import Bounds, Cell, Interval, Measurement, Table
from auditkit.metrics.disparity import (
    GroupParams,
    chosen_attributes,
    class_rates,
    counted,
    least_rows,
    missing_rows,
    nothing_to_compare,
    too_small,
)
from auditkit.metrics.rates import GroupRates, Rate, by_group, fairlearn_ratio
from auditkit.stats.gaps import GroupBounds, ordered_pairs, pairwise_ratio_bounds
from auditkit.stats.ratios import at_least_four_fifths, fisher_exact, one_person_flip, ratio

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
    claim = context.confidence.claim_alpha
    corrected = context.confidence.corrected_alpha(comparisons)
    tables = [by_group(rate, attribute, context.data.clusters, corrected) for rate in rates]
    bounds = [
        pairwise_ratio_bounds(
            t.effective_hits, t.effective_sizes, claim, corrected, params.minimum_group_size
        )
        for t in tables
    ]
    evidence = tuple(impact_table(r, t, context) for r, t in zip(rates, tables, strict=True))
    defined = [i for i, b in enumerate(bounds) if b.value is not None]
    if not defined:
        return Measurement(
            "ratio", None, int(attribute.sizes().sum()), None, attribute.name,
            nothing_to_compare(attribute, "nobody is selected in any group"), evidence=evidence,
        )  # fmt: skip
    smallest = min(defined, key=lambda i: bounds[i].value or 0.0)
    return Measurement(
        name="ratio",
        value=_value(rates[smallest], tables[smallest], attribute),
        n=int(tables[smallest].sizes.sum()),
        bounds=Bounds(
            claim=Interval(min(b.claim_lower for b in bounds), min(b.claim_upper for b in bounds)),
            corrected=Interval(
                min(b.corrected_lower for b in bounds), min(b.corrected_upper for b in bounds)
            ),
            method=bounds[smallest].method,
            comparisons=comparisons,
        ),
        slice=attribute.name,
        note=_note(rates[smallest], tables, attribute, bounds, smallest),
        least_n=least_rows(tables[smallest].sizes, params.minimum_group_size),
        evidence=evidence,
    )


def _value(rate: Rate, table: GroupRates, attribute: Attribute) -> float:
    """fairlearn's ratio, held against our own counts."""
    counted = [float(v) for v in table.values if v is not None]
    own = min(counted) / max(counted)
    theirs = fairlearn_ratio(rate, attribute)
    if abs(own - theirs) > 1e-9:
        raise AuditkitError(
            f"fairlearn says the ratio of the {rate.name} is {theirs}, the counts say {own}."
        )
    return theirs


def _note(
    rate: Rate,
    tables: Sequence[GroupRates],
    attribute: Attribute,
    bounds: Sequence[GroupBounds],
    smallest: int,
) -> str:
    table, pair = tables[smallest], bounds[smallest].pair
    assert pair is not None
    low, high = pair
    said = [f"Smallest in the {rate.name}: {counted(table, low)} against {counted(table, high)}."]
    said += too_small(attribute, {i for b in bounds for i in b.small}, tables)
    said += missing_rows(attribute)
    return " ".join(said)


def impact_table(rate: Rate, table: GroupRates, context: Context) -> Table:
    """Every group against the most selected one: ratio, rule, interval, test.

    The rule is compared in whole numbers. The interval is Koopman's at the claim level, of the
    group against the most selected one.
    """
    shares = [-1.0 if v is None else v for v in table.values]
    top = int(np.argmax(shares)) if shares else 0
    rows = [_impact_row(table, i, top, context.confidence.claim_alpha) for i in range(len(shares))]
    return Table(
        title=f"Impact ratios: {rate.name}",
        columns=(
            "group", "selected", "rows", "rate", "ratio to highest", "lower", "upper",
            "four fifths", "one person decides", "Fisher p",
        ),
        rows=tuple(rows),
    )  # fmt: skip


def _impact_row(table: GroupRates, i: int, top: int, alpha: float) -> tuple[Cell, ...]:
    k, n = int(table.hits[i]), int(table.sizes[i])
    top_k, top_n = int(table.hits[top]), int(table.sizes[top])
    start: tuple[Cell, ...] = (table.levels[i], k, n, k / n if n else None)
    if n == 0 or top_k == 0:
        return (*start, None, None, None, None, None, None)
    own = (float(table.effective_hits[i]), float(table.effective_sizes[i]))
    highest = (float(table.effective_hits[top]), float(table.effective_sizes[top]))
    interval = ratio(*own, *highest, alpha)
    if i == top:
        return (*start, 1.0, None, None, "highest", None, None)
    return (
        *start,
        k * top_n / (n * top_k),
        interval.lower,
        interval.upper,
        "met" if at_least_four_fifths(k, n, top_k, top_n, FOUR_FIFTHS) else "not met",
        "yes" if one_person_flip(k, n, top_k, top_n, FOUR_FIFTHS) else "no",
        fisher_exact(k, n, top_k, top_n),
    )
