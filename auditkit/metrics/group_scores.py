"""How differently the scores of a class are distributed in two groups."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from auditkit.check import Context
from auditkit.finding import Cell, Measurement, Table
from auditkit.metrics.group_calibration import UNKNOWN, ClassScores, class_scores
from auditkit.metrics.group_choice import GroupChoice, chosen_attributes
from auditkit.metrics.group_pairs import Groups, Levels, Pair, Said, count_comparisons, largest
from auditkit.stats.distances import (
    Distributions,
    kolmogorov_smirnov_interval,
    permutation_p,
    wasserstein_interval,
)
from auditkit.stats.gaps import Comparison
from auditkit.stats.roc import Sample

METHODS = {
    "ks": (Distributions.kolmogorov_smirnov, kolmogorov_smirnov_interval),
    "wasserstein": (Distributions.wasserstein, wasserstein_interval),
}
"""The distances by the names of their measurements: what computes them, and what bounds them."""
SOURCES = {"ks": "Dvoretzky-Kiefer-Wolfowitz-Massart", "wasserstein": "McDiarmid"}
QUANTILES = {"10 %": 0.1, "median": 0.5, "90 %": 0.9}


def distribution_measurements(context: Context, params: GroupChoice) -> Iterator[Measurement]:
    """Per attribute, the largest Kolmogorov-Smirnov and Wasserstein distance of two groups."""
    data = context.data
    classes = class_scores(data, context.predictor.predict(data.inputs).probabilities)
    attributes = chosen_attributes(data, params)
    # A distance has no sign, so each pair is compared once.
    comparisons = max(count_comparisons(attributes, len(classes)) // 2, 1)
    for done, attribute in enumerate(attributes):
        groups = Groups.of(attribute, data, params.minimum_group_size)
        tables = tuple(_table(groups, scored) for scored in classes)
        for name in METHODS:
            pairs = distances(context, groups, classes, name, comparisons)
            said = Said(
                name=name,
                method=SOURCES[name],
                comparisons=comparisons,
                notes=(*_chance(context, groups, classes, pairs, name), *groups.said()),
                evidence=tables if name == "ks" else (),
                both_ways=False,
            )
            yield largest(groups, pairs, said)
        context.advance((done + 1) / len(attributes))


def distances(
    context: Context, groups: Groups, classes: list[ClassScores], name: str, comparisons: int
) -> list[Pair]:
    """One distance between every two groups, for every class."""
    data, levels = context.data, Levels.of(context.confidence, comparisons)
    samples = [Sample.of(rows, data.clusters) for rows in groups.rows]
    filled = [g for g, rows in enumerate(groups.rows) if len(rows)]
    place, small = {g: i for i, g in enumerate(filled)}, groups.small
    value, interval = METHODS[name]
    pairs = []
    for scored in classes if filled else []:
        curves = Distributions.of([scored.scores[groups.rows[g]] for g in filled])
        for a, b in groups.pairs():
            comparison = Comparison(None, UNKNOWN, UNKNOWN)
            if a in place and b in place:
                apart = value(curves, place[a], place[b])
                claim, corrected = (interval(apart, samples[a], samples[b], x) for x in levels)
                claim = UNKNOWN if {a, b} & small else claim
                comparison = Comparison(apart, claim, corrected)
            pairs.append(Pair(a, b, scored.name, comparison))
    return pairs


def _chance(
    context: Context, groups: Groups, classes: list[ClassScores], pairs: list[Pair], name: str
) -> list[str]:
    """How often the widest pair would lie as far apart if its rows were dealt at random."""
    known = [pair for pair in pairs if pair.comparison.value is not None]
    if not known or context.data.clusters is not None:
        return []  # rows of one cluster cannot be dealt one by one
    widest = max(known, key=lambda pair: pair.comparison.value or 0.0)
    scored = next(one for one in classes if one.name == widest.of)
    first, second = (scored.scores[groups.rows[g]] for g in (widest.first, widest.second))
    p = permutation_p(first, second, context.rng)[list(METHODS).index(name)]
    return [f"Equal groups would lie as far apart with p = {p:.2g} (199 permutations, this pair)."]


def _table(groups: Groups, scored: ClassScores) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for level, members in zip(groups.attribute.levels, groups.rows, strict=True):
        told: list[float | None] = [None] * (1 + len(QUANTILES))
        if len(members):
            scores = scored.scores[members]
            told = [float(scores.mean()), *np.quantile(scores, [*QUANTILES.values()]).tolist()]
        rows.append((level, len(members), *told))
    title = f"Scores of class {scored.name} by {groups.attribute.name}"
    return Table(title, ("group", "rows", "mean", *QUANTILES), tuple(rows))
