"""How much a model adds to the differences that its labels have between groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import Attribute, AuditData
from auditkit.finding import Cell, Interval, Table
from auditkit.metrics.group_choice import GroupChoice, chosen_attributes
from auditkit.metrics.rates import Rate
from auditkit.stats.intervals import Floats, mean_interval

MOST_PAIRS = 50
"""Pairs of groups shown, those with the largest amplification."""


def label_rates(data: AuditData) -> list[Rate]:
    """Share of rows labelled with each class looked at."""
    assert data.labels is not None
    return [
        Rate(
            f"share labelled {data.class_names[index]}",
            "selection_rate",
            data.labels == index,
            data.labels == index,
        )
        for index in data.viewed_classes()
    ]


def amplification_table(
    context: Context, rates: Sequence[Rate], params: GroupChoice, attribute: str
) -> Table:
    """Labels' difference, model's difference and amplification of every two groups.

    The first group of a pair is the one that is labelled with the class more often. The interval,
    at the claim level, combines those of the two groups' means of answer less label (Zou & Donner
    2008), so that what answers and labels share cancels.
    """
    data = context.data
    groups = next(a for a in chosen_attributes(data, params) if a.name == attribute)
    predicted = context.predictor.predict(data.inputs).labels
    rows: list[tuple[float, tuple[Cell, ...]]] = []
    for index, rate in zip(data.viewed_classes(), rates, strict=True):
        added = (predicted == index).astype(np.float64) - rate.chosen
        rows += _pairs(context, groups, rate, added)
    rows.sort(key=lambda row: -abs(row[0]))
    shown = f", the {MOST_PAIRS} largest" if len(rows) > MOST_PAIRS else ""
    return Table(
        title=f"What the model adds to the labels' differences by {attribute}{shown}",
        columns=(
            "rate", "group", "against", "labels' gap", "model's gap", "amplification", "lower",
            "upper",
        ),
        rows=tuple(cells for _, cells in rows[:MOST_PAIRS]),
    )  # fmt: skip


def _pairs(
    context: Context, groups: Attribute, rate: Rate, added: Floats
) -> list[tuple[float, tuple[Cell, ...]]]:
    members = [np.flatnonzero(groups.codes == code) for code in range(len(groups.levels))]
    known = [code for code, rows in enumerate(members) if len(rows)]
    labelled = {code: float(rate.chosen[members[code]].mean()) for code in known}
    means = {code: float(added[members[code]].mean()) for code in known}
    ends = {code: _ends(context, added, members[code]) for code in known}
    found: list[tuple[float, tuple[Cell, ...]]] = []
    for pair in combinations(known, 2):
        high, low = sorted(pair, key=lambda code: -labelled[code])
        gap = labelled[high] - labelled[low]
        more = means[high] - means[low]
        lower = more - _apart(means, ends, high, low)
        upper = more + _apart(means, ends, low, high)
        names = groups.levels[high], groups.levels[low]
        found.append((more, (rate.name, *names, gap, gap + more, more, lower, upper)))
    return found


def _ends(context: Context, added: Floats, rows: NDArray[np.int64]) -> Interval:
    clusters = None if context.data.clusters is None else context.data.clusters[rows]
    return mean_interval(added[rows], context.confidence.claim_alpha, clusters, (-1.0, 1.0))


def _apart(means: dict[int, float], ends: dict[int, Interval], down: int, up: int) -> float:
    """How far a difference may lie from what was seen, one mean lower and the other higher."""
    lower, upper = ends[down].lower, ends[up].upper
    assert lower is not None
    assert upper is not None
    return math.hypot(means[down] - lower, upper - means[up])
