"""How far the group gaps of scores have changed between two models on the same rows.

Every function computes a measurement of both models as the check does, and the covariance of all
comparisons of both, from which `change_of_largest` makes the interval of the change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from auditkit.data import AuditData
from auditkit.metrics.answered_twice import Recomputed
from auditkit.metrics.group_calibration import ClassScores, class_scores
from auditkit.metrics.group_pairs import Groups
from auditkit.metrics.group_ranking import group_aucs, is_judged
from auditkit.metrics.group_scores import METHODS
from auditkit.model import Predictions
from auditkit.stats.changes import change_of_largest
from auditkit.stats.distances import Distributions
from auditkit.stats.intervals import Floats, cluster_sums
from auditkit.stats.roc import RocCurve, area_between, roc_curve

DRAWS = 300
"""Bayesian bootstrap draws of a distance: a standard deviation within about 4 %."""
CELLS = 200
"""Steps a score is rounded to in the draws, by its rank among all scores; not in the values."""
MOST_PAIRS = 1_000
"""Comparisons from which on nothing is said: all pairs of them would be compared."""


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """The groups of an attribute and the scores of two models.

    Attributes:
        data: The audited rows.
        groups: Their groups.
        before: Scores of every class by the first model.
        after: Scores of the same classes by the second.
        bins: Bins of a calibration error.
    """

    data: AuditData
    groups: Groups
    before: list[ClassScores]
    after: list[ClassScores]
    bins: int

    @classmethod
    def of(
        cls, data: AuditData, groups: Groups, answers: tuple[Predictions, Predictions], bins: int
    ) -> Compared:
        """From the answers of both models."""
        before, after = (class_scores(data, one.probabilities) for one in answers)
        return cls(data, groups, before, after, bins)


@dataclass(frozen=True, slots=True, eq=False)
class _GroupStatistic:
    """A quantity of every group: values (groups,), and what each row adds to them (groups, n)."""

    values: Floats
    influence: Floats


def bias_gap(compared: Compared, alpha: float, _: np.random.Generator) -> Recomputed | None:
    """The largest gap of mean score less outcome."""

    def statistic(scored: ClassScores) -> _GroupStatistic:
        excess = scored.scores - scored.truth
        values, influence = [], np.zeros((len(compared.groups.rows), len(excess)))
        for group, rows in enumerate(compared.groups.rows):
            values.append(float(excess[rows].mean()) if len(rows) else np.nan)
            influence[group, rows] = (excess[rows] - values[-1]) / max(len(rows), 1)
        return _GroupStatistic(np.array(values), influence)

    return _gap_of_groups(compared, statistic, alpha, "paired, influence values")


def auc_gap(compared: Compared, alpha: float, _: np.random.Generator) -> Recomputed | None:
    """The largest gap of AUCs."""

    def statistic(scored: ClassScores) -> _GroupStatistic:
        found = group_aucs(scored, compared.groups)
        judged = [is_judged(one, compared.groups, g) for g, one in enumerate(found)]
        values = [
            one.value if usable and one.value is not None else np.nan
            for one, usable in zip(found, judged, strict=True)
        ]
        return _GroupStatistic(np.array(values), np.array([one.influence for one in found]))

    return _gap_of_groups(compared, statistic, alpha, "DeLong, paired")


def _gap_of_groups(
    compared: Compared, statistic: Callable[[ClassScores], _GroupStatistic], alpha: float, name: str
) -> Recomputed | None:
    """The largest difference between two groups, in any class, both ways."""
    both = [[statistic(one) for one in side] for side in (compared.before, compared.after)]
    values = [np.concatenate([one.values for one in side]) for side in both]
    influence = np.concatenate([one.influence for side in both for one in side])
    freedom, factor = None, 1.0
    if compared.data.clusters is not None:
        influence = np.stack([cluster_sums(row, compared.data.clusters) for row in influence])
        freedom = influence.shape[1] - 1
        factor = influence.shape[1] / max(freedom, 1)
    covariance = factor * influence @ influence.T
    signs = _contrasts(values[0] + values[1], len(compared.groups.rows))
    if not 0 < len(signs) <= MOST_PAIRS:
        return None
    defined = [np.where(np.isnan(one), 0.0, one) for one in values]
    before, after = (signs @ one for one in defined)
    twice = np.kron(np.eye(2), signs)
    interval = change_of_largest(before, after, twice @ covariance @ twice.T, alpha, freedom)
    return Recomputed(float(before.max()), float(after.max()), interval, name)


def _contrasts(values: Floats, groups: int) -> Floats:
    """One row for each ordered pair of groups of a class that both have a value."""
    rows = []
    for start in range(0, len(values), groups):
        known = [start + g for g in range(groups) if not np.isnan(values[start + g])]
        for a, b in [*combinations(known, 2), *combinations(known[::-1], 2)]:
            row = np.zeros(len(values))
            row[a], row[b] = 1.0, -1.0
            rows.append(row)
    return np.array(rows).reshape(-1, len(values))


Weights = NDArray[np.float64]
Quantities = Callable[[Weights], Floats]
"""From a weight per row (n,) to the comparisons (m,), NaN where one is undefined."""


def error_gap(compared: Compared, alpha: float, rng: np.random.Generator) -> Recomputed | None:
    """The largest gap of expected calibration errors."""
    groups, bins = len(compared.groups.rows), compared.bins
    code = compared.groups.attribute.codes
    known = np.flatnonzero(code >= 0)

    def quantities(side: list[ClassScores]) -> Quantities:
        tables = [one.table(known, bins) for one in side]

        def of(weights: Weights) -> Floats:
            found = []
            totals = np.bincount(code[known], weights=weights[known], minlength=groups)
            for table in tables:
                cells = np.bincount(
                    code[known] * bins + table.bins,
                    weights=weights[known] * table.excess,
                    minlength=groups * bins,
                )
                sums = np.abs(cells).reshape(groups, bins).sum(axis=1)
                errors = np.full(groups, np.nan)
                np.divide(sums, totals, out=errors, where=totals > 0)
                found.append(_ordered(errors))
            return np.concatenate(found)

        return of

    ones = np.ones(len(compared.data))
    before, after = quantities(compared.before), quantities(compared.after)
    return _resampled(compared, (before, after), (before(ones), after(ones)), alpha, rng)


def _ordered(values: Floats) -> Floats:
    return np.asarray((values[:, None] - values[None, :])[~np.eye(len(values), dtype=bool)])


def distance_change(
    name: str, compared: Compared, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    """The largest distance of two groups' scores, by the name of the measurement."""
    rows = compared.groups.rows
    distance = METHODS[name][0]

    def values(side: list[ClassScores]) -> Floats:
        filled = [g for g in rows if len(g)]
        curves = [Distributions.of([one.scores[g] for g in filled]) for one in side if filled]
        return np.array(
            [
                distance(curve, a, b)
                for curve in curves
                for a, b in combinations(range(len(filled)), 2)
            ]
        )

    def drawn(side: list[ClassScores]) -> Quantities:
        filled = [g for g in rows if len(g)]
        cells = [_Cells.of(one.scores) for one in side]

        def of(weights: Weights) -> Floats:
            found = []
            for cell in cells:
                counts = np.array([cell.counts(weights, g) for g in filled])
                shares = np.cumsum(counts, axis=1) / counts.sum(axis=1, keepdims=True)
                curves = Distributions(cell.levels, shares)
                found += [distance(curves, a, b) for a, b in combinations(range(len(filled)), 2)]
            return np.array(found)

        return of

    own = values(compared.before), values(compared.after)
    return _resampled(compared, (drawn(compared.before), drawn(compared.after)), own, alpha, rng)


def area_change(compared: Compared, alpha: float, rng: np.random.Generator) -> Recomputed | None:
    """The largest area between two groups' ROC curves."""

    def usable(scored: ClassScores) -> list[NDArray[np.intp]]:
        truth = scored.truth
        return [g for g in compared.groups.rows if truth[g].any() and not truth[g].all()]

    def values(side: list[ClassScores]) -> Floats:
        found = []
        for one in side:
            curves = [roc_curve(one.scores[g], one.truth[g]) for g in usable(one)]
            found += [area_between(a, b) for a, b in combinations(curves, 2)]
        return np.array(found)

    def drawn(side: list[ClassScores]) -> Quantities:
        known = [(one, _Cells.of(-one.scores), usable(one)) for one in side]

        def of(weights: Weights) -> Floats:
            found = []
            for one, cell, groups in known:
                curves = [
                    RocCurve.of_counts(
                        cell.counts(weights, g[one.truth[g]]),
                        cell.counts(weights, g[~one.truth[g]]),
                    )
                    for g in groups
                ]
                found += [area_between(a, b) for a, b in combinations(curves, 2)]
            return np.array(found)

        return of

    own = values(compared.before), values(compared.after)
    return _resampled(compared, (drawn(compared.before), drawn(compared.after)), own, alpha, rng)


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """Scores rounded to a few levels."""

    levels: Floats
    place: NDArray[np.intp]

    @classmethod
    def of(cls, scores: Floats) -> _Cells:
        levels = np.unique(scores)
        if len(levels) > CELLS:
            levels = np.unique(np.quantile(scores, np.linspace(0, 1, CELLS), method="lower"))
        return cls(levels, np.searchsorted(levels, scores, side="right") - 1)

    def counts(self, weights: Weights, rows: NDArray[np.intp]) -> Floats:
        """Weight of some rows at each level."""
        place = self.place[rows]
        found = np.bincount(place, weights=weights[rows], minlength=len(self.levels))
        return found.astype(np.float64)


def _resampled(
    compared: Compared,
    quantities: tuple[Quantities, Quantities],
    own: tuple[Floats, Floats],
    alpha: float,
    rng: np.random.Generator,
) -> Recomputed | None:
    """From the covariance of the comparisons over a Bayesian bootstrap of rows, or clusters."""
    before, after = own
    usable = np.flatnonzero(np.isfinite(before) & np.isfinite(after))
    if not 0 < len(usable) <= MOST_PAIRS:
        return None
    clusters, freedom = compared.data.clusters, None
    number = np.arange(len(compared.data))
    if clusters is not None:
        number = np.unique(clusters, return_inverse=True)[1]
        freedom = int(number.max())
    first, second = quantities
    drawn = np.array(
        [np.concatenate([first(w)[usable], second(w)[usable]]) for w in _weights(number, rng)]
    )
    covariance = np.atleast_2d(np.cov(drawn, rowvar=False))
    interval = change_of_largest(before[usable], after[usable], covariance, alpha, freedom)
    method = "paired Bayesian bootstrap" + ("" if clusters is None else " of clusters")
    return Recomputed(float(np.nanmax(before)), float(np.nanmax(after)), interval, method)


def _weights(number: NDArray[np.intp], rng: np.random.Generator) -> Iterator[Weights]:
    for _ in range(DRAWS):
        yield rng.exponential(size=int(number.max()) + 1)[number]
