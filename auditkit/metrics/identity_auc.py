"""Subgroup, BPSN and BNSP AUC (Borkan et al. 2019), and how far they fall below the overall AUC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import MISSING, Attribute, AuditData
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Cell,
    Estimate,
    Estimates,
    Interval,
    Measurement,
    Table,
)
from auditkit.metrics.group_choice import (
    GroupChoice,
    chosen_attributes,
    missing_rows,
    nothing_to_compare,
)
from auditkit.model import Predictions
from auditkit.stats.auc import AucEstimate, auc_components, auc_difference, auc_interval
from auditkit.stats.gaps import Comparison, combine_max

FEWEST = 10
"""Positives and negatives an AUC needs before a verdict is read from it."""


@dataclass(frozen=True, slots=True, eq=False)
class IdentityAucs:
    """The three AUCs of one group."""

    subgroup: AucEstimate
    """Positives and negatives of the group."""
    bpsn: AucEstimate
    """Background positives against the group's negatives."""
    bnsp: AucEstimate
    """Background negatives against the group's positives."""

    def named(self) -> dict[str, AucEstimate]:
        """The three by the names of the paper."""
        return {"subgroup": self.subgroup, "BPSN": self.bpsn, "BNSP": self.bnsp}


def identity_aucs(
    scores: NDArray[Any],
    truth: NDArray[np.bool_],
    member: NDArray[np.bool_],
    background: NDArray[np.bool_],
) -> IdentityAucs:
    """The three AUCs of a group.

    Args:
        scores: Score of the positive class, shape (n,).
        truth: Whether each row is positive, shape (n,).
        member: Whether each row is of the group.
        background: Whether each row is known not to be of the group.
    """
    return IdentityAucs(
        subgroup=auc_components(scores, truth & member, ~truth & member),
        bpsn=auc_components(scores, truth & background, ~truth & member),
        bnsp=auc_components(scores, truth & member, ~truth & background),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """One AUC of one group and class, beside the overall AUC of the class."""

    group: str
    kind: str
    class_name: str
    estimate: AucEstimate
    overall: AucEstimate

    rows: int
    """Rows of the group."""

    def usable(self, minimum: int) -> bool:
        """Whether there is enough of everything to read a verdict from the AUC."""
        return min(self.estimate.n_pos, self.estimate.n_neg) >= FEWEST and self.rows >= minimum


def auc_measurements(
    context: Context, answers: Predictions, params: GroupChoice
) -> Iterator[Measurement]:
    """The largest drop of a group's AUC below the overall one, one measurement per attribute.

    Args:
        context: Data and levels.
        answers: Of the rows of the data.
        params: Which groups.
    """
    attributes = chosen_attributes(context.data, params)
    classes = context.data.viewed_classes()
    comparisons = 3 * len(classes) * sum(len(a.levels) for a in attributes)
    for done, attribute in enumerate(attributes):
        rows = [row for index in classes for row in _rows(context.data, answers, attribute, index)]
        yield _drop(context, attribute, rows, comparisons, params.minimum_group_size)
        context.advance((done + 1) / len(attributes))


def _rows(
    data: AuditData, answers: Predictions, attribute: Attribute, class_index: int
) -> Iterator[_Row]:
    probabilities = answers.probabilities
    assert probabilities is not None
    assert data.labels is not None
    scores, truth = probabilities[:, class_index], data.labels == class_index
    known = attribute.codes != MISSING
    overall = auc_components(scores, truth & known, ~truth & known)
    for code, level in enumerate(attribute.levels):
        member = attribute.codes == code
        aucs = identity_aucs(scores, truth, member, known & ~member)
        for kind, estimate in aucs.named().items():
            name = data.class_names[class_index]
            yield _Row(level, kind, name, estimate, overall, int(member.sum()))


def _drop(
    context: Context, attribute: Attribute, rows: list[_Row], comparisons: int, minimum: int
) -> Measurement:
    corrected = context.confidence.corrected_alpha(comparisons)
    compared = [_comparison(row, context, corrected, minimum) for row in rows]
    largest = combine_max(compared, both_ways=False)
    few = sorted({row.group for row in rows if not row.usable(minimum)})
    said = [f"Too few rows, positives or negatives: {', '.join(few[:5])}."] if few else []
    said += missing_rows(attribute)
    if largest.widest is None or len(attribute.levels) < 2:
        otherwise = " ".join(said) or "no group has positives and negatives"
        note = nothing_to_compare(attribute, otherwise)
        return Measurement("drop", None, len(context.data), None, attribute.name, note,
                           evidence=_evidence(rows, attribute, context))  # fmt: skip
    worst = rows[largest.widest]
    value, overall = worst.estimate.value, worst.overall.value
    assert value is not None
    assert overall is not None
    said.insert(
        0,
        f"Largest for {worst.group}: {worst.kind} AUC {value:.3f} of class {worst.class_name}, "
        f"overall {overall:.3f}.",
    )
    return Measurement(
        name="drop",
        value=largest.value,
        n=worst.overall.n_pos + worst.overall.n_neg,
        bounds=Bounds(largest.claim, largest.corrected, "DeLong, paired", comparisons),
        slice=attribute.name,
        note=" ".join(said),
        evidence=_evidence(rows, attribute, context),
    )


def _comparison(row: _Row, context: Context, corrected_alpha: float, minimum: int) -> Comparison:
    if not row.usable(minimum):
        # No claim either way: a pass is impossible, a failure must come from elsewhere.
        return Comparison(None, Interval(-1.0, 1.0), Interval(-1.0, 1.0))
    clusters = context.data.clusters
    alpha = context.confidence.claim_alpha
    claim = auc_difference(row.overall, row.estimate, alpha, clusters)
    corrected = auc_difference(row.overall, row.estimate, corrected_alpha, clusters)
    return Comparison(claim.difference, claim.interval, corrected.interval)


def _evidence(
    rows: list[_Row], attribute: Attribute, context: Context
) -> tuple[Table | Estimates, ...]:
    cells: list[tuple[Cell, ...]] = [
        (r.class_name, r.group, r.kind, r.estimate.value, r.estimate.n_pos, r.estimate.n_neg)
        for r in rows
    ]
    table = Table(
        title=f"AUCs by {attribute.name}",
        columns=("class", "group", "AUC of", "value", "positives", "negatives"),
        rows=tuple(cells),
    )
    return (*(_chart(rows, name, attribute, context) for name in _class_names(rows)), table)


def _class_names(rows: list[_Row]) -> list[str]:
    return list(dict.fromkeys(row.class_name for row in rows))


def _chart(rows: list[_Row], class_name: str, attribute: Attribute, context: Context) -> Estimates:
    shown = [row for row in rows if row.class_name == class_name]
    return Estimates(
        title=f"AUCs of class {class_name} by {attribute.name}",
        rows=tuple(_estimate(row, context) for row in shown),
        level=WHISKER_LEVEL,
        method="DeLong, logit scale",
        reference=shown[0].overall.value,
        reference_label="all rows",
    )


def _estimate(row: _Row, context: Context) -> Estimate:
    n = row.estimate.n_pos + row.estimate.n_neg
    label = f"{row.group}: {row.kind}"
    if row.estimate.value is None:
        return Estimate(label, n, None, None, note="no positives or no negatives")
    interval = auc_interval(row.estimate, WHISKER_ALPHA, context.data.clusters)
    return Estimate(label, n, row.estimate.value, interval)
