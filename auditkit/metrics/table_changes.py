"""How far measurements have changed that are read from counts of truth and answer by group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from auditkit.data import MISSING, Attribute, AuditData
from auditkit.metrics.answered_twice import Recomputed, Twice, Which, attribute_of, params_of
from auditkit.metrics.group_choice import chosen_factor
from auditkit.metrics.quality import METRICS, majority_matrix, metric_function
from auditkit.metrics.strata import stratum_cells
from auditkit.metrics.text_length import length_bands
from auditkit.metrics.thresholds import score_bins
from auditkit.stats.changes import (
    change_of_largest,
    cluster_draws,
    covariance_of,
    mirrored,
    table_draws,
)

Floats = NDArray[np.float64]
Quantities = Callable[[Floats], Floats]
"""From confusion matrices by group (b, groups, classes, classes) to m quantities (b, m) whose
largest is the measurement; NaN where one is undefined."""

MOST_CELLS = 1_000_000
"""Cells of groups, truth and both answers from which on nothing is compared."""
MOST_QUANTITIES = 2_000
"""Pairs of groups times rates from which on nothing is compared: all pairs of them would be."""


@dataclass(frozen=True, slots=True, eq=False)
class _Answered:
    """What both models answer, as numbers below `kinds`."""

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    kinds: int


def rate_gap(
    rates: tuple[str, ...], which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    """Gap of the largest of several rates, named as in `_parts`."""
    kinds = [(rate, index) for rate in rates for index in twice.data.viewed_classes()]

    def gaps(matrices: Floats) -> Floats:
        parts = [_parts(rate, index, matrices) for rate, index in kinds]
        return np.concatenate([_signed_gaps(hits, sizes) for hits, sizes in parts], axis=1)

    return _by_stratum(which, twice, gaps, alpha, rng)


def threshold_gap(
    which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    """Gaps of error rates at several thresholds: an answer is where the scores lie among them."""
    data, thresholds = twice.data, sorted(which.params["thresholds"])
    assert twice.before.probabilities is not None
    assert twice.after.probabilities is not None
    classes = data.viewed_classes()
    scores = np.concatenate([twice.before.probabilities, twice.after.probabilities])
    patterns, number = np.unique(
        score_bins(scores, classes, thresholds), axis=0, return_inverse=True
    )
    number = number.reshape(2, -1).astype(np.int64)
    reached = [
        (index, patterns[:, place] > cut)
        for place, index in enumerate(classes)
        for cut in range(len(thresholds))
    ]

    def gaps(tables: Floats) -> Floats:
        found = []
        for index, flagged in reached:
            positives = tables[..., index, :]
            negatives = tables.sum(axis=-2) - positives
            for rows, errors in ((negatives, flagged), (positives, ~flagged)):
                found.append(_signed_gaps(rows[..., errors].sum(axis=-1), rows.sum(axis=-1)))
        return np.concatenate(found, axis=1)

    answered = _Answered(number[0], number[1], len(patterns))
    return _by_stratum(which, twice, gaps, alpha, rng, answered)


def impact_ratio(
    which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    """Smallest ratio of selection rates."""
    classes = twice.data.viewed_classes()

    def ratios(matrices: Floats) -> Floats:
        found = []
        for index in classes:
            top = _standardised(*_parts("selection", index, matrices))
            bottom = np.swapaxes(top, -1, -2)
            quotient = np.full(top.shape, np.nan)
            np.divide(top, bottom, out=quotient, where=bottom > 0)
            found.append(_off_diagonal(quotient))
        return -np.concatenate(found, axis=1)

    return _smallest(_by_stratum(which, twice, ratios, alpha, rng))


def group_gap(
    which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    """Gap of a metric between groups."""
    if which.params["metric"] == "accuracy":
        return _by_stratum(which, twice, lambda m: _signed_gaps(*_right(m)), alpha, rng)
    value = partial(_metric_values, which, twice)
    return _by_group(which, twice, lambda m: _ordered_gaps(value(m)[:, None, :]), alpha, rng)


def worst_group(
    which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    """The metric of the worst group."""
    value = partial(_metric_values, which, twice)
    return _smallest(_by_group(which, twice, lambda m: -value(m), alpha, rng))


def metric(which: Which, twice: Twice, alpha: float, rng: np.random.Generator) -> Recomputed | None:
    """The metric of all rows, or its gain over always answering the most frequent class."""
    if which.params["metric"] not in METRICS or twice.data.labels is None:
        return None
    everyone = Attribute("", ("all",), np.zeros(len(twice.data), dtype=np.int64))
    majority = int(np.bincount(twice.data.labels).argmax())
    function = metric_function(which.params["metric"], _f1_class(twice.data))

    def values(matrices: Floats) -> Floats:
        over = function(majority_matrix(matrices, majority)) if which.name == "gain" else 0.0
        return np.asarray(function(matrices) - over, dtype=np.float64)

    return _of_tables(everyone, twice, values, alpha, rng)


def _metric_values(which: Which, twice: Twice, matrices: Floats) -> Floats:
    """The metric of each group, NaN for a group without rows."""
    function = metric_function(which.params["metric"], _f1_class(twice.data))
    values = np.asarray(function(matrices), dtype=np.float64)
    return np.where(matrices.sum(axis=(-2, -1)) > 0, values, np.nan)


def _f1_class(data: AuditData) -> int | None:
    return data.positive if len(data.class_names) == 2 else None


def _by_group(
    which: Which, twice: Twice, quantities: Quantities, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    attribute = attribute_of(which, twice.data)
    return None if attribute is None else _of_tables(attribute, twice, quantities, alpha, rng)


def _by_stratum(
    which: Which,
    twice: Twice,
    quantities: Quantities,
    alpha: float,
    rng: np.random.Generator,
    answered: _Answered | None = None,
) -> Recomputed | None:
    """As `_by_group`, of matrices (b, groups, strata, classes, classes); one stratum if none."""
    attribute = attribute_of(which, twice.data)
    if attribute is None:
        return None
    factor = chosen_factor(twice.data, params_of(which))
    if factor is None:
        whole = lambda m: quantities(m[:, :, None])  # noqa: E731
        return _of_tables(attribute, twice, whole, alpha, rng, answered)
    shape = (len(attribute.levels), len(factor.levels))

    def within(matrices: Floats) -> Floats:
        return quantities(matrices.reshape(len(matrices), *shape, *matrices.shape[-2:]))

    return _of_tables(stratum_cells(attribute, factor), twice, within, alpha, rng, answered)


def _of_tables(
    attribute: Attribute,
    twice: Twice,
    quantities: Quantities,
    alpha: float,
    rng: np.random.Generator,
    answered: _Answered | None = None,
) -> Recomputed | None:
    """The largest of quantities of the tables of truth and answer by group, for both models."""
    data, k, groups = twice.data, len(twice.data.class_names), len(attribute.levels)
    answered = answered or _Answered(twice.before.labels, twice.after.labels, k)
    shape = (groups, k, answered.kinds, answered.kinds)
    if np.prod(shape) > MOST_CELLS:
        return None
    known = np.flatnonzero(attribute.codes != MISSING)
    labels = np.zeros(len(data), dtype=np.int64) if data.labels is None else data.labels
    cells = np.ravel_multi_index(
        (attribute.codes[known], labels[known], answered.before[known], answered.after[known]),
        shape,
    )
    table = np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape).astype(np.int64)

    def both(tables: Floats) -> Floats:
        return np.concatenate(
            [quantities(tables.sum(axis=-1)), quantities(tables.sum(axis=-2))], axis=1
        )

    own = both(table[None].astype(np.float64))[0]
    m = len(own) // 2
    usable = np.flatnonzero(np.isfinite(own[:m]) & np.isfinite(own[m:]))
    if not len(usable) or len(usable) > MOST_QUANTITIES:
        return None
    chosen = np.concatenate([usable, m + usable])
    clusters, freedom = data.clusters, None
    if clusters is None:
        draws = table_draws(table, rng, 2)
    else:
        members, number = np.unique(clusters[known], return_inverse=True)
        freedom = len(members) - 1
        flat = np.bincount(number * table.size + cells, minlength=len(members) * table.size)
        draws = cluster_draws(flat.reshape(len(members), *shape).astype(np.int64), rng)
    covariance = covariance_of(draws, lambda tables: both(tables)[:, chosen])
    first, second = own[:m][usable], own[m:][usable]
    interval = change_of_largest(first, second, covariance, alpha, freedom)
    return Recomputed(
        float(np.nanmax(own[:m])), float(np.nanmax(own[m:])), interval,
        "paired Bayesian bootstrap" + ("" if clusters is None else " of clusters"),
    )  # fmt: skip


def _smallest(found: Recomputed | None) -> Recomputed | None:
    """From the largest of negatives to the smallest."""
    if found is None:
        return None
    return Recomputed(-found.before, -found.after, mirrored(found.interval), found.method)


def _parts(rate: str, index: int, matrices: Floats) -> tuple[Floats, Floats]:
    """Hits and rows of a rate of one class against the rest, from matrices (..., truth, answer)."""
    total = matrices.sum(axis=(-2, -1))
    hit, truth = matrices[..., index, index], matrices[..., index, :].sum(axis=-1)
    chosen = matrices[..., :, index].sum(axis=-1)
    return {
        "selection": (chosen, total),
        "recall": (hit, truth),
        "miss": (truth - hit, truth),
        "false-alarm": (chosen - hit, total - truth),
        "precision": (hit, chosen),
    }[rate]


def _right(matrices: Floats) -> tuple[Floats, Floats]:
    return np.trace(matrices, axis1=-2, axis2=-1), matrices.sum(axis=(-2, -1))


def _standardised(hits: Floats, sizes: Floats) -> Floats:
    """Rate of group i over the strata it shares with group j: (b, g, s) to (b, g, g).

    With one stratum that is its rate. NaN without a shared stratum.
    """
    rates = np.full(hits.shape, np.nan)
    np.divide(hits, sizes, out=rates, where=sizes > 0)
    if hits.shape[-1] == 1:
        return np.where(sizes[..., None, :, 0] > 0, rates, np.nan)
    product = sizes[..., :, None, :] * sizes[..., None, :, :]
    weights = np.zeros(product.shape)
    both = sizes[..., :, None, :] + sizes[..., None, :, :]
    np.divide(product, both, out=weights, where=product > 0)
    total = weights.sum(axis=-1)
    sums = (weights * np.nan_to_num(rates)[..., :, None, :]).sum(axis=-1)
    found = np.full(total.shape, np.nan)
    np.divide(sums, total, out=found, where=total > 0)
    return found


def _signed_gaps(hits: Floats, sizes: Floats) -> Floats:
    """Differences within strata of every two groups, both ways: (b, g, s) to (b, g·(g-1))."""
    rates = _standardised(hits, sizes)
    return _off_diagonal(rates - np.swapaxes(rates, -1, -2))


def _ordered_gaps(rates: Floats) -> Floats:
    """Differences of each rate between every two groups, both ways: (b, r, g) to (b, r·g·(g-1))."""
    return _off_diagonal(rates[..., :, None] - rates[..., None, :])


def _off_diagonal(pairs: Floats) -> Floats:
    groups = pairs.shape[-1]
    return pairs[..., ~np.eye(groups, dtype=bool)].reshape(len(pairs), -1)


def length_gap(
    which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    """Largest difference of accuracy between two bands of length."""
    bands = length_bands(twice.data, which.params["bands"])
    return _of_tables(bands, twice, lambda m: _signed_gaps(*_right(m[:, :, None])), alpha, rng)
