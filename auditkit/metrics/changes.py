"""What a built-in check measures of two models on the same rows, and how far it has changed.

A measurement is compared only if it is recomputed here to the number the check gave, for both
models; otherwise nothing is said about its change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.data import MISSING, Attribute, AuditData
from auditkit.finding import Interval
from auditkit.metrics import score_changes, shift_changes
from auditkit.metrics.calibration import brier_scores, ece_change, reliability
from auditkit.metrics.disparity import GroupParams, chosen_attributes, chosen_factor
from auditkit.metrics.group_pairs import Groups
from auditkit.metrics.identity_auc import FEWEST, identity_aucs
from auditkit.metrics.quality import METRICS, majority_matrix, metric_function
from auditkit.metrics.slices import SliceParams, find_slices
from auditkit.metrics.strata import stratum_cells
from auditkit.metrics.text_length import length_bands
from auditkit.metrics.thresholds import score_bins
from auditkit.model import Predictions
from auditkit.stats.auc import auc_components
from auditkit.stats.changes import (
    change_of_largest,
    cluster_draws,
    covariance_of,
    mirrored,
    table_draws,
)
from auditkit.stats.intervals import cluster_sums, mean_interval

Floats = NDArray[np.float64]
Quantities = Callable[[Floats], Floats]
"""From confusion matrices by group (b, groups, classes, classes) to m quantities (b, m) whose
largest is the measurement; NaN where one is undefined."""

ROUNDING = 1e-9
MOST_CELLS = 1_000_000
"""Cells of groups, truth and both answers from which on nothing is compared."""
MOST_QUANTITIES = 2_000
"""Pairs of groups times rates from which on nothing is compared: all pairs of them would be."""


@dataclass(frozen=True, slots=True, eq=False)
class Twice:
    """Rows and what both models answer to them.

    Attributes:
        data: The rows under audit.
        before: Answers of the first model.
        after: Answers of the second.
        shifts: The same of each set out of distribution, by name.
        inside: The same of the rows in distribution; None where there is no such set.
    """

    data: AuditData
    before: Predictions
    after: Predictions
    shifts: Mapping[str, Twice] = field(default_factory=dict)
    inside: Twice | None = None

    def rows(self, index: NDArray[np.int64]) -> Twice:
        """Some of the rows."""
        return Twice(self.data.rows(index), self.before.take(index), self.after.take(index))


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A measurement of both models, and the interval of after less before."""

    before: float
    after: float
    interval: Interval
    method: str


@dataclass(frozen=True, slots=True)
class Which:
    """Which measurement: of which check, under which name, on which slice, with which params."""

    check: str
    name: str
    slice: str
    params: Mapping[str, Any]


def recompute(
    which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    """Both values of a measurement and the interval of its change; None when that is not known.

    Args:
        which: The measurement.
        twice: Rows and answers.
        alpha: One-sided error of each end of the interval.
        rng: Random numbers.
    """
    function = KNOWN.get((which.check, which.name))
    return None if function is None else function(which, twice, alpha, rng)


def _rate_gap(
    rates: tuple[str, ...], which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    kinds = [(rate, index) for rate in rates for index in twice.data.viewed_classes()]

    def gaps(matrices: Floats) -> Floats:
        parts = [_parts(rate, index, matrices) for rate, index in kinds]
        return np.concatenate([_signed_gaps(hits, sizes) for hits, sizes in parts], axis=1)

    return _by_stratum(which, twice, gaps, alpha, rng)


def _threshold_gap(
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


def _impact_ratio(
    which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
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


def _group_gap(
    which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    if which.params["metric"] == "accuracy":
        return _by_stratum(which, twice, lambda m: _signed_gaps(*_right(m)), alpha, rng)
    value = partial(_metric_values, which, twice)
    return _by_group(which, twice, lambda m: _ordered_gaps(value(m)[:, None, :]), alpha, rng)


def _worst_group(
    which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    value = partial(_metric_values, which, twice)
    return _smallest(_by_group(which, twice, lambda m: -value(m), alpha, rng))


def _metric(
    which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
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
    attribute = _attribute(which, twice.data)
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
    attribute = _attribute(which, twice.data)
    if attribute is None:
        return None
    factor = chosen_factor(twice.data, _params(which))
    if factor is None:
        whole = lambda m: quantities(m[:, :, None])  # noqa: E731
        return _of_tables(attribute, twice, whole, alpha, rng, answered)
    shape = (len(attribute.levels), len(factor.levels))

    def within(matrices: Floats) -> Floats:
        return quantities(matrices.reshape(len(matrices), *shape, *matrices.shape[-2:]))

    return _of_tables(stratum_cells(attribute, factor), twice, within, alpha, rng, answered)


def _params(which: Which) -> GroupParams:
    return GroupParams(
        attributes=tuple(which.params["attributes"]),
        intersections=which.params["intersections"],
        minimum_group_size=which.params["minimum_group_size"],
        given=which.params.get("given", ""),
    )


def _attribute(which: Which, data: AuditData) -> Attribute | None:
    params = _params(which)
    named = {attribute.name: attribute for attribute in chosen_attributes(data, params)}
    return named.get(which.slice)


@dataclass(frozen=True, slots=True, eq=False)
class _Answered:
    """What both models answer, as numbers below `kinds`."""

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    kinds: int


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


def _auc_drop(
    which: Which,
    twice: Twice,
    alpha: float,
    rng: np.random.Generator,  # noqa: ARG001 - exact
) -> Recomputed | None:
    attribute = _attribute(which, twice.data)
    if attribute is None:
        return None
    minimum = which.params["minimum_group_size"]
    before, rows_before = _drops(attribute, twice.data, twice.before, minimum)
    after, rows_after = _drops(attribute, twice.data, twice.after, minimum)
    if not len(before):
        return None
    influence = np.concatenate([rows_before, rows_after])
    interval = _of_influence(before, after, influence, twice.data.clusters, alpha)
    return Recomputed(float(before.max()), float(after.max()), interval, "DeLong, paired")


def _of_influence(
    before: Floats,
    after: Floats,
    influence: Floats,
    clusters: NDArray[np.int64] | None,
    alpha: float,
) -> Interval:
    """Interval of the change of the largest, from every row's influence on each quantity."""
    freedom, factor = None, 1.0
    if clusters is not None:
        influence = np.stack([cluster_sums(row, clusters) for row in influence])
        freedom = influence.shape[1] - 1
        factor = influence.shape[1] / max(freedom, 1)
    covariance = factor * influence @ influence.T
    return change_of_largest(before, after, covariance, alpha, freedom)


def _slice_gap(
    which: Which,
    twice: Twice,
    alpha: float,
    rng: np.random.Generator,  # noqa: ARG001 - exact
) -> Recomputed | None:
    """Each model's own worst slices, all on the half that was not searched."""
    params = SliceParams(**{**which.params, "attributes": tuple(which.params["attributes"])})
    before, after = (
        find_slices(twice.data, answers, params) for answers in (twice.before, twice.after)
    )
    rows = np.flatnonzero(~before.half)
    influence = []
    for found in (before, after):
        right = found.right[rows].astype(np.float64)
        for one in found.judged:
            inside = one.slice.rows[rows]
            sides = (inside, right[inside].mean()), (~inside, right[~inside].mean())
            of_slice, of_rest = (part * (right - share) / part.sum() for part, share in sides)
            influence.append(of_rest - of_slice)
    first, second = (np.array([one.gap for one in found.judged]) for found in (before, after))
    if not (len(first) and len(second)):
        return None
    units = before.units[rows]
    dependent = units if len(np.unique(units)) < len(units) else None
    interval = _of_influence(first, second, np.stack(influence), dependent, alpha)
    return Recomputed(float(first.max()), float(second.max()), interval, "paired, delta method")


def _drops(
    attribute: Attribute, data: AuditData, answers: Predictions, minimum: int
) -> tuple[Floats, Floats]:
    """Drops (m,) of the groups' AUCs below the overall one, and their influence values (m, n)."""
    assert data.labels is not None
    assert answers.probabilities is not None
    values, influence = [], []
    known = attribute.codes != MISSING
    for index in data.viewed_classes():
        scores, truth = answers.probabilities[:, index], data.labels == index
        overall = auc_components(scores, truth & known, ~truth & known)
        for code in range(len(attribute.levels)):
            member = attribute.codes == code
            found = identity_aucs(scores, truth, member, known & ~member)
            for one in (found.subgroup, found.bpsn, found.bnsp):
                if min(one.n_pos, one.n_neg) < FEWEST or member.sum() < minimum:
                    continue
                values.append((overall.value or 0.0) - (one.value or 0.0))
                influence.append(overall.influence - one.influence)
    return np.array(values), np.array(influence)


def _calibration_error(
    which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    before, after = (
        _reliability(which, twice, twice.before),
        _reliability(which, twice, twice.after),
    )
    interval = ece_change(before, after, twice.data.clusters, alpha, rng)
    return Recomputed(before.ece, after.ece, interval, "paired Bayesian bootstrap")


def _reliability(which: Which, twice: Twice, answers: Predictions) -> Any:
    assert answers.probabilities is not None
    assert twice.data.labels is not None
    return reliability(answers.probabilities, twice.data.labels, which.params["bins"])


def _brier_score(
    _: Which,
    twice: Twice,
    alpha: float,
    rng: np.random.Generator,  # noqa: ARG001 - exact
) -> Recomputed | None:
    assert twice.before.probabilities is not None
    assert twice.after.probabilities is not None
    assert twice.data.labels is not None
    before = brier_scores(twice.before.probabilities, twice.data.labels)
    after = brier_scores(twice.after.probabilities, twice.data.labels)
    interval = mean_interval(after - before, alpha, twice.data.clusters, support=(-2.0, 2.0))
    return Recomputed(float(before.mean()), float(after.mean()), interval, "paired t")


def _of_scores(
    function: Callable[..., score_changes.Changed | None],
    which: Which,
    twice: Twice,
    alpha: float,
    rng: np.random.Generator,
) -> Recomputed | None:
    attribute = _attribute(which, twice.data)
    if attribute is None:
        return None
    groups = Groups.of(attribute, twice.data, which.params["minimum_group_size"])
    answers, bins = (twice.before, twice.after), which.params.get("bins", 2)
    compared = score_changes.Compared.of(twice.data, groups, answers, bins)
    found = function(compared, alpha, rng)
    return None if found is None else Recomputed(*found)


def _of_set(
    function: Callable[..., score_changes.Changed],
    which: Which,
    twice: Twice,
    alpha: float,
    rng: np.random.Generator,
) -> Recomputed | None:
    """What is compared between the rows in distribution and the set of the slice's name."""
    outside = twice.shifts.get(which.slice)
    if outside is None or twice.inside is None:
        return None
    return Recomputed(*function(twice.inside, outside, which.params.get("bins", 2), alpha, rng))


def _length_gap(
    which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    bands = length_bands(twice.data, which.params["bands"])
    gaps = lambda m: _signed_gaps(*_right(m[:, :, None]))  # noqa: E731
    return _of_tables(bands, twice, gaps, alpha, rng)


KNOWN: Mapping[tuple[str, str], Callable[..., Recomputed | None]] = {
    ("fairness.demographic-parity", "gap"): partial(_rate_gap, ("selection",)),
    ("fairness.equalized-odds", "gap"): partial(_rate_gap, ("recall", "false-alarm")),
    ("fairness.predictive-parity", "gap"): partial(_rate_gap, ("precision",)),
    ("fairness.error-rate-balance", "gap"): _threshold_gap,
    ("fairness.impact-ratio", "ratio"): _impact_ratio,
    ("fairness.subgroup-auc", "drop"): _auc_drop,
    ("fairness.calibration-gap", "gap"): partial(_of_scores, score_changes.error_gap),
    ("fairness.calibration-gap", "bias_gap"): partial(_of_scores, score_changes.bias_gap),
    ("fairness.ranking-gap", "gap"): partial(_of_scores, score_changes.auc_gap),
    ("fairness.ranking-gap", "abroca"): partial(_of_scores, score_changes.area_change),
    ("fairness.score-distribution", "ks"): partial(
        _of_scores, partial(score_changes.distance_change, "ks")
    ),
    ("fairness.score-distribution", "wasserstein"): partial(
        _of_scores, partial(score_changes.distance_change, "wasserstein")
    ),
    ("fairness.worst-slice", "gap"): _slice_gap,
    ("quality.group-quality", "gap"): _group_gap,
    ("quality.group-quality", "worst"): _worst_group,
    ("quality.metric", "value"): _metric,
    ("quality.metric", "gain"): _metric,
    ("quality.calibration", "calibration_error"): _calibration_error,
    ("quality.calibration", "brier_score"): _brier_score,
    ("ood.accuracy-drop", "drop"): partial(_of_set, shift_changes.drop_change),
    ("ood.calibration-shift", "ece_rise"): partial(_of_set, shift_changes.error_rise_change),
    ("ood.calibration-shift", "brier_rise"): partial(_of_set, shift_changes.brier_rise_change),
    ("ood.invariance-to-length", "gap"): _length_gap,
}
"""Measurements that can be recomputed, by check and name."""
