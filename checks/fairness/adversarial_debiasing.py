"""Training against an adversary that guesses the group."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from auditkit.metrics.group_training import cell_counts, evenly, of_cells
from auditkit.remedy import Hooks, Need, RemedyContext, RemedyError, TrainingRows, remedy

from ._grouped import accuracy_less_gap
from ._retraining import GapTraining, groups_of, labels_of, quality_less_gap, steps_of

MOST = 10.0
"""Highest weight of a row for the adversary."""
RAMP = 10.0
"""Steepness of the rise of the adversary's strength (Ganin & Lempitsky 2015, section 4)."""


@dataclass(frozen=True, slots=True)
class Params(GapTraining):
    """Parameters of `fairness.adversarial-debiasing`."""

    reads: Literal["representation", "logits"] = "representation"
    """What the adversary sees: what the model's last layer reads, or its answers only."""
    strength: float = 1.0
    """How much it counts to mislead the adversary, beside being right; reached gradually."""
    adversary_learning_rate: float = 1e-3
    """Highest learning rate of the adversary."""
    adversary_width: int = 64
    """Hidden units of the adversary."""

    def __post_init__(self) -> None:
        GapTraining.__post_init__(self)
        if not 0 < self.strength <= 1000:
            raise ValueError(f"strength must lie between 0 and 1,000, not {self.strength}")
        if not 0 < self.adversary_learning_rate < 1:
            raise ValueError(
                "adversary_learning_rate must lie between 0 and 1, "
                f"not {self.adversary_learning_rate}"
            )
        if self.adversary_width < 1:
            raise ValueError(f"adversary_width must be at least 1, not {self.adversary_width}")


@remedy(
    "fairness.adversarial-debiasing",
    title="Retrain so that an adversary cannot tell the group from what the model has learnt",
    improves=("fairness.equalized-odds", "fairness.demographic-parity", "fairness.impact-ratio"),
    needs=(Need.TRAINING_ROWS, Need.GROUPS),
    params=Params,
    score=accuracy_less_gap,
)
def adversarial_debiasing(context: RemedyContext, params: Params) -> Path:
    """Gradient reversal: the model learns to be right while an adversary cannot tell the group.

    What it does:
        A small network guesses the group from what the model's last layer reads (or from the
        logits); for equalized odds it is told the true label. It learns to guess; the model gets
        the same gradient with the sign reversed, and so learns to give nothing away. The adversary
        is not part of the repaired model.

    When to use it:
        When the group shows in the texts in many ways and weights are not enough.

    What it costs:
        A little more than a plain training; it is the least predictable of the fairness remedies,
        so name several values of `strength` to choose from.

    Limits of this remedy:
        That this adversary cannot tell the group does not mean that no other can. Too much
        strength destroys what the model knows. The gradients of model and adversary are simply
        added, without the projection of Zhang et al.

    References:
        Ganin & Lempitsky 2015, Unsupervised domain adaptation by backpropagation. Zhang, Lemoine &
        Mitchell 2018, Mitigating unwanted biases with adversarial learning.
    """
    groups, classes = groups_of(context, params), len(context.train.class_names)
    labels, told = labels_of(context.train), params.constraint == "equalized-odds"
    counts = cell_counts(groups.train, labels, classes)
    table = np.minimum(evenly(counts, within_labels=told), MOST)
    columns = {
        "group": groups.train.codes,
        "adversary_weight": of_cells(table, groups.train.codes, labels, 0.0),
    }
    on_layer = params.reads == "representation"
    width = _width(context.model) if on_layer else classes
    loss = adversarial_loss(
        (width, classes, len(groups.train.levels)), params, steps_of(context, params), context.seed
    )
    hooks = Hooks(
        loss=loss,
        learning_rate=params.adversary_learning_rate,
        representation=on_layer,
        score=quality_less_gap(context, params, groups),
    )
    rows = TrainingRows.of(context.train)
    return context.fine_tune(
        TrainingRows(rows.texts, rows.labels, columns=columns), params, hooks=hooks
    )


def _width(model: Path) -> int:
    """How wide the layers of a model are."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model, local_files_only=True, trust_remote_code=False)
    width = getattr(config, "hidden_size", None)
    if width is None:
        raise _unreadable()
    return int(width)


def _unreadable() -> RemedyError:
    return RemedyError(
        "the last layer of this model does not read one vector per text as wide as its other "
        "layers, which is what the adversary can read.",
        'Set params.reads = "logits".',
    )


def adversarial_loss(sizes: tuple[int, int, int], params: Params, steps: int, seed: int) -> Any:
    """The loss, a `torch.nn.Module` whose parameters are the adversary's.

    Args:
        sizes: Width of what the adversary reads, number of classes, number of groups.
        params: Strength, width, and whether the adversary is told the label.
        steps: Steps of the training, over which the strength rises.
        seed: Seed of the adversary's first weights.
    """
    import torch

    kind: Any = type("AdversarialLoss", (_AdversarialLoss, torch.nn.Module), {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(sizes, params, steps)


class _AdversarialLoss:
    """Cross-entropy, and that of an adversary whose gradient reaches the model reversed."""

    def __init__(self: Any, sizes: tuple[int, int, int], params: Params, steps: int) -> None:
        import torch

        super().__init__()
        self.width, self.classes, groups = sizes
        self.params, self.steps = params, steps
        self.told = params.constraint == "equalized-odds"
        self.adversary = torch.nn.Sequential(
            torch.nn.Linear(self.width + self.told * self.classes, params.adversary_width),
            torch.nn.ReLU(),
            torch.nn.Linear(params.adversary_width, groups),
        )
        self.register_buffer("done", torch.zeros(()))

    def forward(self: Any, logits: Any, batch: Mapping[str, Any]) -> Any:
        """The loss of a batch, which is one of the steps that are done."""
        import torch
        from torch.nn.functional import cross_entropy, one_hot

        labels = batch["labels"]
        read = batch.get("representation") if self.params.reads == "representation" else logits
        if read is None or read.shape != (len(labels), self.width):
            raise _unreadable()
        strength = self._strength()
        self.done += len(labels) / self.params.batch
        # Forward it is `read`; backward its gradient is reversed.
        given = (1 + strength) * read.detach() - strength * read
        if self.told:
            given = torch.cat([given, one_hot(labels, self.classes).float()], dim=1)
        guess = self.adversary(given)
        wrong = cross_entropy(guess, batch["group"].clamp_min(0), reduction="none")
        weighed = (wrong * batch["adversary_weight"]).sum() / len(labels)
        return cross_entropy(logits, labels) + weighed

    def _strength(self: Any) -> float:
        """From 0 at the first step to nearly the strength that was asked for at the last."""
        share = float(self.done) / self.steps
        return float(self.params.strength * (2 / (1 + math.exp(-RAMP * share)) - 1))
