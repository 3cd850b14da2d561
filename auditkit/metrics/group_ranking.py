"""How well the scores of a class rank the rows of each group, and how far the curves lie apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import AuditData
from auditkit.finding import WHISKER_ALPHA, Estimates, Interval, Measurement
from auditkit.metrics.group_calibration import UNKNOWN, ClassScores, class_scores
from auditkit.metrics.group_choice import GroupChoice, chosen_attributes
from auditkit.metrics.group_pairs import (
    VACUOUS,
    Groups,
    GroupValue,
    Levels,
    Pair,
    Said,
    chart,
    count_comparisons,
    largest,
)
from auditkit.metrics.identity_auc import FEWEST
from auditkit.stats.auc import AucEstimate, auc_components, auc_difference, auc_interval
from auditkit.stats.gaps import Comparison
from auditkit.stats.roc import RocCurve, Sample, area_between, area_between_interval, roc_curve


def ranking_measurements(context: Context, params: GroupChoice) -> Iterator[Measurement]:
    """Per attribute, the largest gap of AUCs and the largest area between ROC curves."""
    data = context.data
    classes = class_scores(data, context.predictor.predict(data.inputs).probabilities)
    attributes = chosen_attributes(data, params)
    signed = count_comparisons(attributes, len(classes))
    for done, attribute in enumerate(attributes):
        groups = Groups.of(attribute, data, params.minimum_group_size)
        yield _auc_gap(context, groups, classes, signed)
        # A distance has no sign, so each pair is compared once.
        yield _area(context, groups, classes, max(signed // 2, 1))
        context.advance((done + 1) / len(attributes))


def group_aucs(scored: ClassScores, groups: Groups) -> list[AucEstimate]:
    """The AUC of the class's scores within each group."""
    found = []
    for rows in groups.rows:
        member = np.zeros(len(scored.scores), dtype=np.bool_)
        member[rows] = True
        found.append(auc_components(scored.scores, scored.truth & member, ~scored.truth & member))
    return found


def is_judged(estimate: AucEstimate, groups: Groups, group: int) -> bool:
    """Whether a verdict is read from the AUC of a group."""
    enough = min(estimate.n_pos, estimate.n_neg) >= FEWEST
    return enough and int(groups.units[group]) >= groups.minimum


def _auc_gap(
    context: Context, groups: Groups, classes: list[ClassScores], comparisons: int
) -> Measurement:
    data, levels = context.data, Levels.of(context.confidence, comparisons)
    pairs: list[Pair] = []
    charts: list[Estimates] = []
    few: set[int] = set()
    for scored in classes:
        aucs = group_aucs(scored, groups)
        judged = [is_judged(one, groups, g) for g, one in enumerate(aucs)]
        few |= {g for g, usable in enumerate(judged) if not usable}
        for a, b in groups.pairs():
            comparison = Comparison(None, VACUOUS, VACUOUS)
            if judged[a] and judged[b]:
                claim, corrected = (
                    auc_difference(aucs[a], aucs[b], level, data.clusters) for level in levels
                )
                comparison = Comparison(claim.difference, claim.interval, corrected.interval)
            pairs.append(Pair(a, b, scored.name, comparison))
        title = f"AUC of class {scored.name} by {groups.attribute.name}"
        everyone = np.concatenate(groups.rows) if groups.rows else np.zeros(0, dtype=np.intp)
        overall = auc_components(
            scored.scores[everyone], scored.truth[everyone], ~scored.truth[everyone]
        )
        drawn = [_drawn(one, len(rows), data) for one, rows in zip(aucs, groups.rows, strict=True)]
        charts.append(chart(title, groups, drawn, "DeLong, logit scale", overall.value))
    said = Said("gap", "DeLong, unpaired", comparisons, _notes(groups, few), tuple(charts))
    return largest(groups, pairs, said)


def _notes(groups: Groups, few: set[int]) -> tuple[str, ...]:
    named = ", ".join(groups.attribute.levels[g] for g in sorted(few)[:5])
    more = f" and {len(few) - 5} more" if len(few) > 5 else ""
    lacking = [f"Too few rows, positives or negatives: {named}{more}."] if few else []
    return (*lacking, *groups.missing())


def _drawn(estimate: AucEstimate, n: int, data: AuditData) -> GroupValue:
    interval = auc_interval(estimate, WHISKER_ALPHA, data.clusters)
    return GroupValue(estimate.value, n, interval, interval, interval)


def _area(
    context: Context, groups: Groups, classes: list[ClassScores], comparisons: int
) -> Measurement:
    levels, small = Levels.of(context.confidence, comparisons), groups.small
    pairs = []
    for scored in classes:
        parts = [_Part.of(scored, rows, context.data.clusters) for rows in groups.rows]
        for a, b in groups.pairs():
            comparison = _area_of(parts[a], parts[b], levels)
            if {a, b} & small:
                comparison = comparison._replace(claim=UNKNOWN)
            pairs.append(Pair(a, b, scored.name, comparison))
    said = Said("abroca", "McDiarmid", comparisons, tuple(groups.said()), both_ways=False)
    return largest(groups, pairs, said)


class _Part:
    """The ROC curve of one group, and the rows it is made of."""

    def __init__(self, curve: RocCurve, positives: Sample, negatives: Sample) -> None:
        self.curve, self.positives, self.negatives = curve, positives, negatives

    @classmethod
    def of(
        cls, scored: ClassScores, rows: NDArray[np.intp], clusters: NDArray[np.int64] | None
    ) -> _Part | None:
        """Of some rows; None when they lack positives or negatives."""
        truth = scored.truth[rows]
        if not truth.any() or truth.all():
            return None
        return cls(
            roc_curve(scored.scores[rows], truth),
            Sample.of(rows[truth], clusters),
            Sample.of(rows[~truth], clusters),
        )


def _area_of(a: _Part | None, b: _Part | None, levels: Levels) -> Comparison:
    if a is None or b is None:
        return Comparison(None, UNKNOWN, UNKNOWN)
    value = area_between(a.curve, b.curve)
    positives, negatives = [a.positives, b.positives], [a.negatives, b.negatives]

    def interval(alpha: float) -> Interval:
        return area_between_interval(value, positives, negatives, alpha)

    return Comparison(value, interval(levels.claim), interval(levels.corrected))
