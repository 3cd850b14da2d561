"""How far what is lost out of distribution has changed between two models on the same rows."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from auditkit.data import AuditData
from auditkit.metrics.calibration import brier_scores, ece_change, reliability
from auditkit.metrics.score_changes import Changed
from auditkit.metrics.shifted import Rows, halves
from auditkit.model import Predictions
from auditkit.stats.gaps import independent_difference
from auditkit.stats.intervals import Floats, mean_interval
from auditkit.stats.paired import paired_gap


class Answered(Protocol):
    """Rows and what both models answer to them."""

    @property
    def data(self) -> AuditData:
        """The rows."""

    @property
    def before(self) -> Predictions:
        """Answers of the first model."""

    @property
    def after(self) -> Predictions:
        """Answers of the second model."""


def drop_change(
    inside: Answered, outside: Answered, _: int, alpha: float, __: np.random.Generator
) -> Changed:
    """The accuracy in distribution less that on a set."""
    here, there = _right(inside), _right(outside)
    gains = [float(after.mean() - before.mean()) for before, after in (here, there)]
    intervals = []
    for (before, after), rows in ((here, inside), (there, outside)):
        mended, broken = int((after & ~before).sum()), int((before & ~after).sum())
        if rows.data.clusters is None:
            intervals.append(paired_gap(mended, broken, len(before), alpha))
        else:
            gain = after.astype(np.float64) - before
            support = (-1.0, 1.0)
            intervals.append(mean_interval(gain, alpha, rows.data.clusters, support=support))
    found = independent_difference(gains[0], intervals[0], gains[1], intervals[1])
    first, second = (float(here[i].mean() - there[i].mean()) for i in (0, 1))
    return Changed(first, second, found, "paired on both sides")


def _right(rows: Answered) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    labels = _labels(rows)
    return np.asarray(rows.before.labels == labels), np.asarray(rows.after.labels == labels)


def _labels(rows: Answered) -> Rows:
    assert rows.data.labels is not None
    return rows.data.labels


def _scores(answers: Predictions) -> Floats:
    assert answers.probabilities is not None
    return answers.probabilities


def error_rise_change(
    inside: Answered, outside: Answered, bins: int, alpha: float, rng: np.random.Generator
) -> Changed:
    """The calibration error on a set less that in distribution, on the half judged by."""
    judged = halves(inside.data)[1]
    values, changes, intervals = [], [], []
    for rows, index in ((inside, judged), (outside, np.arange(len(outside.data)))):
        labels = _labels(rows)[index]
        tables = [
            reliability(_scores(one)[index], labels, bins) for one in (rows.before, rows.after)
        ]
        clusters = None if rows.data.clusters is None else rows.data.clusters[index]
        intervals.append(ece_change(tables[0], tables[1], clusters, alpha, rng))
        values.append([table.ece for table in tables])
        changes.append(tables[1].ece - tables[0].ece)
    found = independent_difference(changes[1], intervals[1], changes[0], intervals[0])
    before, after = (values[1][i] - values[0][i] for i in (0, 1))
    return Changed(before, after, found, "paired Bayesian bootstrap on both sides")


def brier_rise_change(
    inside: Answered, outside: Answered, _: int, alpha: float, __: np.random.Generator
) -> Changed:
    """The Brier score on a set less that in distribution, on the half judged by."""
    judged = halves(inside.data)[1]
    values, changes, intervals = [], [], []
    for rows, index in ((inside, judged), (outside, np.arange(len(outside.data)))):
        labels = _labels(rows)[index]
        scores = [brier_scores(_scores(one)[index], labels) for one in (rows.before, rows.after)]
        clusters = None if rows.data.clusters is None else rows.data.clusters[index]
        change = scores[1] - scores[0]
        intervals.append(mean_interval(change, alpha, clusters, support=(-2.0, 2.0)))
        values.append([float(one.mean()) for one in scores])
        changes.append(float(change.mean()))
    found = independent_difference(changes[1], intervals[1], changes[0], intervals[0])
    first, second = (values[1][i] - values[0][i] for i in (0, 1))
    return Changed(first, second, found, "paired t on both sides")
