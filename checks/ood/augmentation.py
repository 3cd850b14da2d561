"""Training on mixtures of the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditkit.remedy import Hooks, RemedyContext, TrainingParams, TrainingRows, remedy


@dataclass(frozen=True, slots=True)
class Params(TrainingParams):
    """Parameters of `ood.augmentation`."""

    alpha: float = 0.4
    """Both parameters of the beta distribution that the share of a mixture is drawn from: near 0
    hardly anything is mixed, 1 draws every share alike."""

    def __post_init__(self) -> None:
        TrainingParams.__post_init__(self)
        if not 0 < self.alpha <= 10:
            raise ValueError(f"alpha must lie between 0 and 10, not {self.alpha}")


@remedy(
    "ood.augmentation",
    title="Retrain on mixtures of training rows, so that the model is less sure between classes",
    improves=("ood.detection", "ood.calibration-shift", "quality.calibration"),
    params=Params,
)
def augmentation(context: RemedyContext, params: Params) -> Path:
    """Mixup of what the last layer reads.

    What it does:
        Each training row is mixed with another of its batch: a share λ drawn from Beta(alpha,
        alpha) of the one and 1 - λ of the other, of the representation that the last layer reads
        and of the label alike. That layer is linear, so its logits are mixed, which is the same but
        for rounding. The model is trained on the mixtures alone.

    When to use it:
        When the model is too sure of rows it was not trained for, and there are no texts out of
        distribution to show it (with them, `ood.outlier-exposure`).

    What it costs:
        What a plain training costs.

    Limits of this remedy:
        It lowers confidence between the classes it knows; what lies beyond all of them it never
        sees. It may leave the model not sure enough in distribution: look at its calibration. Rows
        are mixed among those in memory at once; where that is one (params.rows_at_once = 1, or a
        model without a padding token) nothing is mixed, and it is a plain training.

    References:
        Zhang et al. 2018, mixup; Verma et al. 2019, Manifold mixup; Sun et al. 2020,
        Mixup-Transformer; Thulasidasan et al. 2019, On mixup training: improved calibration and
        predictive uncertainty.
    """
    hooks = Hooks(loss=_Mixing(params.alpha))
    return context.fine_tune(TrainingRows.of(context.train), params, hooks=hooks)


@dataclass(frozen=True, slots=True)
class _Mixing:
    """The cross-entropy of mixtures of the rows of a batch."""

    alpha: float

    def __call__(self, logits: Any, batch: Mapping[str, Any]) -> Any:
        """The loss; shares and partners are torch's random numbers, which checkpoints keep."""
        import torch
        from torch.nn.functional import cross_entropy

        labels, rows = batch["labels"], len(logits)
        partner = torch.randperm(rows).to(logits.device)
        beta = torch.distributions.Beta(self.alpha, self.alpha)
        share = beta.sample((rows,)).to(logits.device)
        mixed = share[:, None] * logits + (1 - share[:, None]) * logits[partner]
        own = cross_entropy(mixed, labels, reduction="none")
        other = cross_entropy(mixed, labels[partner], reduction="none")
        return (share * own + (1 - share) * other).mean()
