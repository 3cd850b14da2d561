"""How far what is lost out of distribution has changed between two models on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from auditkit.finding import Interval
from auditkit.metrics.answered_twice import Recomputed, Twice, Which
from auditkit.metrics.calibration import brier_scores, ece_change, reliability
from auditkit.metrics.shifted import Rows, gain_interval, halves
from auditkit.model import Predictions
from auditkit.stats.changes import mirrored
from auditkit.stats.gaps import independent_difference
from auditkit.stats.intervals import Floats, mean_interval


class _Moved(NamedTuple):
    """A quantity of both models on the same rows, and the interval of after less before."""

    before: float
    after: float
    interval: Interval


def drop(
    which: Which,
    twice: Twice,
    alpha: float,
    rng: np.random.Generator,  # noqa: ARG001 - exact
) -> Recomputed | None:
    """The accuracy in distribution less that on the set of the slice's name."""
    found = _rise(which, twice, lambda rows: _accuracy(rows, alpha))
    if found is None:
        return None
    method = "Tango, paired" if twice.data.clusters is None else "paired, cluster-robust t"
    return Recomputed(
        -found.before, -found.after, mirrored(found.interval), f"{method}, on both sides"
    )


def error_rise(
    which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    """The calibration error on a set less that in distribution, on the half judged by."""

    def error(rows: Twice) -> _Moved:
        tables = [
            reliability(_scores(one), _labels(rows), which.params["bins"])
            for one in (rows.before, rows.after)
        ]
        interval = ece_change(tables[0], tables[1], rows.data.clusters, alpha, rng)
        return _Moved(tables[0].ece, tables[1].ece, interval)

    found = _rise(which, _judged(twice), error)
    if found is None:
        return None
    return Recomputed(*found, "paired Bayesian bootstrap on both sides")


def brier_rise(
    which: Which,
    twice: Twice,
    alpha: float,
    rng: np.random.Generator,  # noqa: ARG001 - exact
) -> Recomputed | None:
    """The Brier score on a set less that in distribution, on the half judged by."""

    def brier(rows: Twice) -> _Moved:
        before, after = (
            brier_scores(_scores(one), _labels(rows)) for one in (rows.before, rows.after)
        )
        interval = mean_interval(after - before, alpha, rows.data.clusters, support=(-2.0, 2.0))
        return _Moved(float(before.mean()), float(after.mean()), interval)

    found = _rise(which, _judged(twice), brier)
    return None if found is None else Recomputed(*found, "paired t on both sides")


def _rise(which: Which, twice: Twice, moved: Callable[[Twice], _Moved]) -> _Moved | None:
    """What lies between the set of the slice's name and the rows in distribution."""
    outside = twice.shifts.get(which.slice)
    if outside is None or twice.inside is None:
        return None
    here, there = moved(twice.inside), moved(outside)
    interval = independent_difference(
        there.after - there.before, there.interval, here.after - here.before, here.interval
    )
    return _Moved(there.before - here.before, there.after - here.after, interval)


def _judged(twice: Twice) -> Twice:
    """Only the half in distribution that calibration is judged by."""
    if twice.inside is None:
        return twice
    return replace(twice, inside=twice.inside.rows(halves(twice.inside.data)[1]))


def _accuracy(rows: Twice, alpha: float) -> _Moved:
    labels = _labels(rows)
    before, after = (np.asarray(one.labels == labels) for one in (rows.before, rows.after))
    interval = gain_interval(before, after, rows.data.clusters, alpha)
    return _Moved(float(before.mean()), float(after.mean()), interval)


def _labels(rows: Twice) -> Rows:
    assert rows.data.labels is not None
    return rows.data.labels


def _scores(answers: Predictions) -> Floats:
    assert answers.probabilities is not None
    return answers.probabilities
