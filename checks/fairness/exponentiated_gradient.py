"""A new last layer, fitted under a fairness constraint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auditkit.data import MISSING
from auditkit.metrics.group_training import Constraint, widest_gap
from auditkit.metrics.reduction import Mixture, Settings, reduce, scale
from auditkit.remedy import LinearHead, Need, RemedyContext, RemedyError, remedy

from ._grouped import accuracy_less_gap, attribute_of, levels_of, positive_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters of `fairness.exponentiated-gradient`."""

    constraint: Constraint = "equalized-odds"
    """Which rates the groups are to share: selection rates (demographic-parity), true and false
    positive rates (equalized-odds), one of these two, or error rates (error-rate)."""
    slack: float = 0.02
    """Largest difference of such a rate between two groups."""
    attribute: str = ""
    """Sensitive attribute; may be left out when there is one only."""
    iterations: int = 50
    """Most rounds of the reduction, each of which fits a logistic regression."""
    strength: float = 1.0
    """Inverse strength of the L2 penalty of these regressions."""

    def __post_init__(self) -> None:
        if not 0 <= self.slack < 1:
            raise ValueError(f"slack must lie between 0 and 1, not {self.slack}")
        if self.iterations < 1 or not 0 < self.strength < float("inf"):
            raise ValueError("iterations must be at least 1, and strength positive")

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attribute, as `attribute_of` takes it."""
        return (self.attribute,) if self.attribute else ()


@remedy(
    "fairness.exponentiated-gradient",
    title="Refit the last layer under a fairness constraint, the encoder as it is",
    improves=("fairness.equalized-odds", "fairness.demographic-parity", "fairness.impact-ratio"),
    needs=(Need.TRAINING_ROWS, Need.GROUPS),
    params=Params,
    score=accuracy_less_gap,
    extras=("fairlearn", "sklearn"),
)
def exponentiated_gradient(context: RemedyContext, params: Params) -> Path:
    """Fits logistic regressions to the model's last representation until the groups' rates meet.

    What it does:
        What the last layer is given for each training row is computed once. On these features
        fairlearn's exponentiated gradient seeks a mixture of logistic regressions with the fewest
        errors under the constraint. A mixture draws one of its members for every decision; a model
        folder holds one layer, so the validation rows choose among the members and their weighted
        mean: the most accurate whose gap is within `slack`, else the one with the smallest gap. Its
        margins are then scaled to log-odds on the training rows, which changes no label. The result
        is a plain model folder, which does not need the group at prediction time.

    When to use it:
        When the gap lies in the decision rather than in what the encoder sees, or when there is no
        time to train the encoder.

    What it costs:
        One pass over training and validation rows, and up to `iterations` logistic regressions on
        as many features as the encoder is wide.

    Limits of this remedy:
        Two classes only. The encoder stays as it is: what it does not keep, no layer on top can
        use, and the guarantee of the reduction is for the mixture, which may meet a constraint that
        none of its members does. A gap within the slack on the training rows need not be within it
        on others.

    References:
        Agarwal et al. 2018, A reductions approach to fair classification.
    """
    train, validation = context.train, context.validation
    attribute = attribute_of(train, params.attributes, "params.attribute")
    levels_of(attribute, "train on")
    levels_of(validation.groups[attribute.name], "choose by")
    positive = positive_of(train)
    if len(train.class_names) != 2:
        raise RemedyError(
            f"the model has {len(train.class_names)} classes; this remedy is for two.",
            "fairness.threshold-optimizer works for one class against the rest.",
        )
    head = context.head()
    # All texts at once, so that progress is told of all of them.
    texts = [str(text) for text in (*train.inputs, *validation.inputs)]
    both = head.features(texts)
    features, held_out = both[: len(train)], both[len(train) :]
    truth = train.labels == positive
    known = attribute.codes != MISSING
    settings = Settings(params.constraint, params.slack, params.iterations, params.strength)
    mixture = reduce(features[known], truth[known], attribute.codes[known], settings)
    slope, offset = _chosen(context, mixture, held_out, positive, params, attribute.name)
    factor = scale(features @ slope + offset, truth)
    return _written(head, factor * slope, factor * offset, positive)


def _chosen(
    context: RemedyContext,
    mixture: Mixture,
    features: Floats,
    positive: int,
    params: Params,
    attribute: str,
) -> tuple[Floats, float]:
    """The member, or the mean of all, that the validation rows choose; tells how it differs."""
    data = context.validation
    assert data.labels is not None
    groups, truth = data.groups[attribute], data.labels == positive
    slopes = np.vstack([*mixture.slopes, mixture.mean()[0]])
    offsets = np.append(mixture.offsets, mixture.mean()[1])
    chosen = features @ slopes.T + offsets > 0
    right = (chosen == truth[:, None]).mean(axis=0)
    labels = np.where(chosen, positive, 1 - positive).T
    gaps = np.array(
        [widest_gap(one, data.labels, groups, (positive,), params.constraint) for one in labels]
    )
    within = np.flatnonzero(gaps <= params.slack)
    best = int(within[right[within].argmax()]) if len(within) else int(gaps.argmin())
    share = mixture.share_chosen(features)
    expected = float(np.where(truth, share, 1 - share).mean())
    called = "their weighted mean" if best == len(mixture.weights) else f"member {best + 1}"
    context.note(
        f"Of a mixture of {len(mixture.weights)} heads the {len(data)} validation rows chose "
        f"{called}: accuracy {right[best]:.4g}, gap of {params.constraint} {gaps[best]:.3g} "
        f"(slack {params.slack:g}). The mixture, drawing a head for every row, is right in "
        f"{expected:.4g} of them and agrees with the chosen head in "
        f"{float(np.where(chosen[:, best], share, 1 - share).mean()):.4g}."
    )
    if not len(within):
        context.note("No head had a gap within the slack on the validation rows.")
    return slopes[best], float(offsets[best])


def _written(head: LinearHead, slope: Floats, offset: float, positive: int) -> Path:
    """A model whose two logits differ by the margin."""
    sign = np.where(np.arange(2) == positive, 0.5, -0.5)
    return head.replaced(sign[:, None] * slope, sign * offset)
