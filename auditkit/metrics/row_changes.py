"""How far measurements have changed that are read from every row's own scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.data import MISSING, Attribute, AuditData
from auditkit.finding import Interval
from auditkit.metrics import score_changes
from auditkit.metrics.answered_twice import Recomputed, Twice, Which, attribute_of
from auditkit.metrics.calibration import brier_scores, ece_change, reliability
from auditkit.metrics.group_pairs import Groups
from auditkit.metrics.identity_auc import FEWEST, identity_aucs
from auditkit.metrics.slices import SliceParams, find_slices
from auditkit.model import Predictions
from auditkit.stats.auc import auc_components
from auditkit.stats.changes import change_of_largest
from auditkit.stats.intervals import cluster_sums, mean_interval

Floats = NDArray[np.float64]


def auc_drop(
    which: Which,
    twice: Twice,
    alpha: float,
    rng: np.random.Generator,  # noqa: ARG001 - exact
) -> Recomputed | None:
    """Largest drop of a group's AUC below that of all rows."""
    attribute = attribute_of(which, twice.data)
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


def slice_gap(
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


def calibration_error(
    which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    """Expected calibration error of all rows."""
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


def brier_score(
    _: Which,
    twice: Twice,
    alpha: float,
    rng: np.random.Generator,  # noqa: ARG001 - exact
) -> Recomputed | None:
    """Mean Brier score of all rows."""
    assert twice.before.probabilities is not None
    assert twice.after.probabilities is not None
    assert twice.data.labels is not None
    before = brier_scores(twice.before.probabilities, twice.data.labels)
    after = brier_scores(twice.after.probabilities, twice.data.labels)
    interval = mean_interval(after - before, alpha, twice.data.clusters, support=(-2.0, 2.0))
    return Recomputed(float(before.mean()), float(after.mean()), interval, "paired t")


def of_scores(
    function: Callable[..., Recomputed | None],
    which: Which,
    twice: Twice,
    alpha: float,
    rng: np.random.Generator,
) -> Recomputed | None:
    """What one of the functions of `score_changes` makes of the scores by group."""
    attribute = attribute_of(which, twice.data)
    if attribute is None:
        return None
    groups = Groups.of(attribute, twice.data, which.params["minimum_group_size"])
    answers, bins = (twice.before, twice.after), which.params.get("bins", 2)
    compared = score_changes.Compared.of(twice.data, groups, answers, bins)
    return function(compared, alpha, rng)
