"""Training for the group that does worst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Predictor
from auditkit.data import AuditData
from auditkit.metrics.group_training import cell_counts, cells, goodness, worst_mean
from auditkit.remedy import Hooks, Need, RemedyContext, TrainingRows, remedy

from ._grouped import attribute_of
from ._retraining import GroupTraining, groups_of, labels_of

MEMORY = 0.9
"""What is kept of a cell's running loss when a batch has rows of it."""


@dataclass(frozen=True, slots=True)
class Params(GroupTraining):
    """Parameters of `fairness.group-dro`."""

    weight_decay: float = 0.1
    """Weight decay of AdamW; without strong decay or early stopping the model learns the rows of
    small groups by heart, and their weight falls."""
    step_size: float = 0.01
    """How fast weight moves to the cells with the highest loss."""
    size_adjustment: float = 1.0
    """C in C/sqrt(rows of the cell), which is added to a cell's loss when weights move: small cells
    generalize worse than their training loss says."""

    def __post_init__(self) -> None:
        GroupTraining.__post_init__(self)
        if not 0 <= self.step_size <= 10:
            raise ValueError(f"step_size must lie between 0 and 10, not {self.step_size}")
        if self.size_adjustment < 0:
            raise ValueError(f"size_adjustment must not be negative, not {self.size_adjustment}")


def worst_cell(predictor: Predictor, data: AuditData, params: Params) -> float:
    """What parameters are chosen by: the lowest accuracy of a group with a label."""
    labels, codes = labels_of(data), attribute_of(data, params.attributes).codes
    right = (predictor.predict(data.inputs).labels == labels).astype(np.float64)
    return worst_mean(right, cells(codes, labels, len(data.class_names)))


@remedy(
    "fairness.group-dro",
    title="Retrain for the group and label with the highest loss",
    improves=("fairness.equalized-odds", "quality.group-quality"),
    needs=(Need.TRAINING_ROWS, Need.GROUPS),
    params=Params,
    score=worst_cell,
)
def group_dro(context: RemedyContext, params: Params) -> Path:
    """Group distributionally robust optimization: the worst cell counts, not the mean.

    What it does:
        Rows are put into cells, one for each group with each label. The loss is a weighted mean of
        the cells' losses, and after every batch weight moves to the cells whose loss is high. The
        best model is the one whose worst cell does best on the validation rows.

    When to use it:
        When a model is right on average and wrong for a small group, as where a mark of the group
        has come to stand for a label.

    What it costs:
        A plain training, and often some accuracy on the large groups.

    Limits of this remedy:
        It lifts the worst cell and promises nothing about the gap to the best. A cell whose labels
        are wrong has a high loss and draws all weight. Cells need validation rows: those with
        fewer than 10 do not count when the best model is chosen.

    References:
        Sagawa, Koh, Hashimoto & Liang 2020, Distributionally robust neural networks for group
        shifts. Here a cell's loss is a running mean, since small cells are not in every batch.
    """
    groups, classes = groups_of(context, params), len(context.train.class_names)
    labels, held_out = labels_of(context.train), labels_of(context.validation)
    counts = cell_counts(groups.train, labels, classes)
    judged = cells(groups.validation.codes, held_out, classes)
    column = cells(groups.train.codes, labels, classes)

    def score(logits: NDArray[np.float64]) -> float:
        return worst_mean(goodness(logits, held_out, params.stop_on), judged)

    rows = TrainingRows.of(context.train)
    with_cells = TrainingRows(rows.texts, rows.labels, columns={"cell": column})
    loss = robust_loss(counts, params)
    return context.fine_tune(with_cells, params, hooks=Hooks(loss=loss, score=score))


def robust_loss(counts: NDArray[np.int64], params: Params) -> Any:
    """The loss, a `torch.nn.Module` whose buffers are the weights and running losses of cells.

    Args:
        counts: Training rows of each group with each label, shape (groups, classes). Cells without
            rows never get weight.
        params: Step size, adjustment and batch.
    """
    import torch

    kind: Any = type("RobustLoss", (_RobustLoss, torch.nn.Module), {})
    return kind(counts, params)


class _RobustLoss:
    """The mean of the cells' losses under weights that follow the highest loss."""

    def __init__(self: Any, counts: NDArray[np.int64], params: Params) -> None:
        import torch

        super().__init__()
        self.params = params
        sizes = torch.tensor(counts.ravel(), dtype=torch.float32)
        there = (sizes > 0).float()
        self.register_buffer("weights", there / there.sum())
        self.register_buffer("running", there * float(np.log(counts.shape[1])))
        self.register_buffer("margins", params.size_adjustment / sizes.clamp_min(1).sqrt())

    def forward(self: Any, logits: Any, batch: Mapping[str, Any]) -> Any:
        """The loss of a batch, before which the weights have moved."""
        from torch.nn.functional import cross_entropy, one_hot

        losses = cross_entropy(logits, batch["labels"], reduction="none")
        known = batch["cell"] >= 0
        member = one_hot(batch["cell"].clamp_min(0), len(self.weights)) * known[:, None]
        rows = member.sum(dim=0)
        means = (member * losses[:, None]).sum(dim=0) / rows.clamp_min(1)
        self._move(means.detach(), rows > 0, len(losses) / self.params.batch)
        robust = (self.weights * means).sum() * known.sum()
        return (robust + losses[~known].sum()) / len(losses)

    def _move(self: Any, means: Any, seen: Any, share: float) -> None:
        """Move weight to where the loss is high; `share` is the batch's part of a step."""
        mixed = MEMORY * self.running + (1 - MEMORY) * means
        self.running = mixed.where(seen, self.running)
        drive = self.params.step_size * share * (self.running + self.margins)
        moved = self.weights * drive.exp()
        self.weights = moved / moved.sum()
