"""A threshold for each group, chosen on the validation rows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auditkit.data import Attribute, AuditData
from auditkit.group_thresholds import FILE_NAME, GroupThresholds, other_class
from auditkit.metrics.group_thresholds import Curve, choose, curve
from auditkit.metrics.group_training import ThresholdConstraint, widest_gap
from auditkit.model import Predictions
from auditkit.remedy import Need, RemedyContext, RemedyError, remedy

from ._grouped import accuracy_less_gap, attribute_of, levels_of, positive_of


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters of `fairness.threshold-optimizer`."""

    constraint: ThresholdConstraint = "equalized-odds"
    """Which rates the groups are to share: selection rates (demographic-parity), true and false
    positive rates (equalized-odds), or one of these two."""
    slack: float = 0.02
    """Largest difference of such a rate between two groups, on the validation rows."""
    attribute: str = ""
    """Sensitive attribute; may be left out when there is one only."""
    minimum_group_size: int = 20
    """Validation rows below which a group gets no threshold of its own."""

    def __post_init__(self) -> None:
        if not 0 <= self.slack < 1:
            raise ValueError(f"slack must lie between 0 and 1, not {self.slack}")
        if self.minimum_group_size < 1:
            raise ValueError(f"minimum_group_size is at least 1, not {self.minimum_group_size}")

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attribute, as `attribute_of` takes it."""
        return (self.attribute,) if self.attribute else ()


@remedy(
    "fairness.threshold-optimizer",
    title="Decide by a threshold for each group, which must be known at every decision",
    improves=("fairness.equalized-odds", "fairness.demographic-parity", "fairness.impact-ratio"),
    needs=(Need.TRAINING_ROWS, Need.GROUPS),
    params=Params,
    score=accuracy_less_gap,
)
def threshold_optimizer(context: RemedyContext, params: Params) -> Path:
    """Leaves the model as it is, and decides by a threshold of its score for each group.

    What it does:
        For each group the threshold of the positive class's probability is chosen on the validation
        rows: of all combinations with which the constrained rates differ by at most `slack`, one
        with the most right answers. The search is exact and nothing is random. The model folder is
        unchanged but for a file, auditkit-thresholds.json, that holds the thresholds. With more
        than two classes, a row below its threshold gets the most probable of the other classes.
        `auditkit run` audits what the thresholds decide.

    When to use it:
        When the model cannot be retrained, or to see what any repair that uses the group could
        reach on these scores.

    What it costs:
        Nothing but asking the model about the validation rows. At prediction time the group of
        every row has to be known, and whoever uses the model has to apply the file's rule.

    Limits of this remedy:
        Deciding differently by a protected attribute is unlawful for some uses, in employment and
        credit among others; have that checked first. A program that loads the folder and ignores
        the file gets the old answers. Rows of a group that is unknown or has few validation rows
        get the model's own answer. Few validation rows fit the thresholds to chance. Checks that
        make up texts, such as attacks, cannot ask the thresholds: a new text has no group.

    References:
        Hardt, Price & Srebro 2016, Equality of opportunity in supervised learning.
    """
    data = context.validation
    attribute = attribute_of(data, params.attributes, "params.attribute")
    levels_of(attribute, "choose by")
    positive = positive_of(data)
    answers = context.predictor.predict(data.inputs)
    curves = _curves(data, attribute, positive, answers, params)
    chosen = choose([*curves.values()], params.slack)
    thresholds = dict(zip(curves, chosen.thresholds, strict=True))
    rule = GroupThresholds(attribute.name, data.class_names[positive], thresholds, context.digest)
    _tell(context, rule, attribute, answers, params)
    return _written(context, rule)


def _curves(
    data: AuditData, attribute: Attribute, positive: int, answers: Predictions, params: Params
) -> dict[str, Curve]:
    """What each threshold comes to in each group that has enough rows."""
    if answers.probabilities is None or data.labels is None:
        raise RemedyError("thresholds need the model's probabilities and the rows' labels.")
    scores, truth = answers.probabilities[:, positive], data.labels == positive
    otherwise = other_class(answers.probabilities, positive) == data.labels
    curves: dict[str, Curve] = {}
    for code, level in enumerate(attribute.levels):
        rows = attribute.codes == code
        if rows.sum() < params.minimum_group_size:
            continue
        found = curve(scores[rows], truth[rows], otherwise[rows], params.constraint)
        if found is not None:
            curves[level] = found
    if len(curves) < 2:
        raise RemedyError(
            f"fewer than two groups of {attribute.name!r} have, among the rows to choose by, "
            f"{params.minimum_group_size} rows and every rate that {params.constraint} compares.",
            "Give it more validation rows, or lower params.minimum_group_size.",
        )
    return curves


def _tell(
    context: RemedyContext,
    rule: GroupThresholds,
    attribute: Attribute,
    answers: Predictions,
    params: Params,
) -> None:
    """Say what was chosen, on what, and what it asks of whoever uses it."""
    data = context.validation
    positive = data.class_names.index(rule.positive)
    assert answers.probabilities is not None
    assert data.labels is not None
    decided = rule.decide(answers.probabilities, positive, attribute.values()).labels
    gaps, shares = [], []
    for labels in (answers.labels, decided):
        gaps.append(widest_gap(labels, data.labels, attribute, (positive,), params.constraint))
        shares.append(float(np.mean(labels == data.labels)))
    said = ", ".join(f"{group} {value:.4g}" for group, value in rule.thresholds.items())
    context.note(
        f"Thresholds of {rule.positive!r} by {rule.attribute}: {said}. On the {len(data)} "
        f"validation rows, which chose them and so flatter them, the gap of {params.constraint} "
        f"goes from {gaps[0]:.3g} to {gaps[1]:.3g} and the accuracy from {shares[0]:.4g} to "
        f"{shares[1]:.4g}."
    )
    own = [level for level in attribute.levels if level not in rule.thresholds]
    if own:
        context.note(f"The model's own answer stays for rows of {', '.join(own)}: too few rows.")
    context.note(
        f"The group ({rule.attribute!r}) has to be known when a decision is made, and for some "
        "uses the law does not allow that."
    )


def _written(context: RemedyContext, rule: GroupThresholds) -> Path:
    shutil.rmtree(context.work, ignore_errors=True)
    context.work.mkdir(parents=True)
    for file in context.model.iterdir():
        if file.is_file():
            shutil.copyfile(file, context.work / file.name)
    (context.work / FILE_NAME).write_text(rule.to_json(), encoding="utf-8")
    return context.work
