"""Training under a limit on the gap between groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditkit.remedy import Hooks, Need, RemedyContext, TrainingRows, remedy

from ._grouped import accuracy_less_gap
from ._retraining import GapTraining, groups_of, quality_less_gap, steps_of

MEMORY = 0.1
"""Share of the training over which the rates of groups are averaged."""
FEWEST = 5.0
"""Rows within the memory below which a group's rate is not compared."""


@dataclass(frozen=True, slots=True)
class Params(GapTraining):
    """Parameters of `fairness.constrained-loss`."""

    slack: float = 0.02
    """Gap that is allowed between two groups."""
    multiplier_rate: float = 10.0
    """How fast the pressure on a gap grows: a group that lies 1 beyond its limit in every step
    would take its multiplier there by the end."""

    def __post_init__(self) -> None:
        GapTraining.__post_init__(self)
        if not 0 <= self.slack < 1:
            raise ValueError(f"slack must lie between 0 and 1, not {self.slack}")
        if not 0 < self.multiplier_rate <= 10_000:
            raise ValueError(
                f"multiplier_rate must lie between 0 and 10,000, not {self.multiplier_rate}"
            )


@remedy(
    "fairness.constrained-loss",
    title="Retrain under a limit on the gap between groups",
    improves=("fairness.equalized-odds", "fairness.demographic-parity", "fairness.impact-ratio"),
    needs=(Need.TRAINING_ROWS, Need.GROUPS),
    params=Params,
    score=accuracy_less_gap,
)
def constrained_loss(context: RemedyContext, params: Params) -> Path:
    """A proxy Lagrangian: the gap costs as much as it takes to bring it below the slack.

    What it does:
        To the cross-entropy is added multiplier x distance for each group and each rate that is to
        be alike (true and false positive rates, or selection rates; of the positive class, or of
        each): the distance from the mean of the groups, measured in mean predicted probabilities,
        which have a gradient. The multiplier rises while the distance measured in answers exceeds
        half of the slack, and falls to 0 when it does not. Rates are running means, so that batches
        may be small.

    When to use it:
        When a gap has a limit that must be met, and you can say which: `constraint` and `slack` are
        all that needs to be chosen.

    What it costs:
        A plain training; accuracy, as much as the limit takes.

    Limits of this remedy:
        The limit is met on the training rows at best. Where base rates differ, demographic parity
        can only be had with errors. Groups with very few rows are rarely compared.

    References:
        Cotter et al. 2019, Two-player games for efficient non-convex constrained optimization
        (proxy Lagrangian). Agarwal et al. 2018 for the criteria as constraints.
    """
    groups = groups_of(context, params)
    rows = TrainingRows.of(context.train)
    with_groups = TrainingRows(rows.texts, rows.labels, columns={"group": groups.train.codes})
    loss = lagrangian(
        len(groups.train.levels),
        context.train.viewed_classes(),
        params,
        steps_of(context, params),
    )
    hooks = Hooks(loss=loss, score=quality_less_gap(context, params, groups))
    return context.fine_tune(with_groups, params, hooks=hooks)


def lagrangian(groups: int, classes: tuple[int, ...], params: Params, steps: int) -> Any:
    """The loss, a `torch.nn.Module` whose buffers are multipliers and running sums by group.

    Args:
        groups: How many there are.
        classes: Classes that are compared with the rest.
        params: Criterion, slack, rate and batch.
        steps: Steps of the training.
    """
    import torch

    kind: Any = type("Lagrangian", (_Lagrangian, torch.nn.Module), {})
    return kind(groups, classes, params, steps)


class _Lagrangian:
    """Cross-entropy plus multipliers times distances of groups from their mean.

    A rate is a class and, for equalized odds, whether its positives or negatives count. Each rate
    of each group has two limits: it may lie above the mean of the groups, and below it, by half of
    the slack. Signed limits, because noise then moves multipliers up as often as down.
    """

    def __init__(
        self: Any, groups: int, classes: tuple[int, ...], params: Params, steps: int
    ) -> None:
        import torch

        super().__init__()
        self.groups, self.classes, self.params = groups, list(classes), params
        self.by_label = params.constraint == "equalized-odds"
        self.forget = 1 / max(steps * MEMORY, 1.0)
        self.move = params.multiplier_rate / steps
        rates = len(classes) * (2 if self.by_label else 1)
        for name in ("above", "below", "rows", "probable", "chosen"):
            self.register_buffer(name, torch.zeros(groups, rates))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self: Any, logits: Any, batch: Mapping[str, Any]) -> Any:
        """The loss of a batch, after which running rates and multipliers have moved."""
        from torch.nn.functional import cross_entropy, one_hot, softmax

        labels, group = batch["labels"], batch["group"]
        share = len(labels) / self.params.batch
        member = (one_hot(group.clamp_min(0), self.groups) * (group >= 0)[:, None]).float()
        counts = self._counts(labels)
        probable = self._sums(member, counts, softmax(logits, dim=1))
        answers = one_hot(logits.argmax(dim=1), logits.shape[1])
        kept = (1 - self.forget) ** share
        self.steps = kept * self.steps + share
        self.rows = kept * self.rows + member.T @ counts
        self.probable = kept * self.probable + probable.detach()
        self.chosen = kept * self.chosen + self._sums(member, counts, answers)
        # The gradient is of this batch, as if it had as many rows of each group as batches have on
        # average; the value is the running mean.
        now = probable / (self.rows / self.steps * share).clamp_min(1)
        soft = self._apart(self.probable / self.rows.clamp_min(1) + now - now.detach())
        penalty = ((self.above - self.below) * soft).sum()
        self._ascend(self._apart(self.chosen / self.rows.clamp_min(1)), share)
        return cross_entropy(logits, labels) + penalty

    def _ascend(self: Any, apart: Any, share: float) -> None:
        """Move the multipliers; `share` is the batch's part of a step."""
        limit, move = self.params.slack / 2, self.move * share
        self.above = (self.above + move * (apart - limit)).clamp_min(0)
        self.below = (self.below - move * (apart + limit)).clamp_min(0)

    def _counts(self: Any, labels: Any) -> Any:
        """Which rows count for each rate, shape (rows, rates)."""
        import torch

        truth = (labels[:, None] == labels.new_tensor(self.classes)).float()
        return torch.cat([truth, 1 - truth], dim=1) if self.by_label else torch.ones_like(truth)

    def _sums(self: Any, member: Any, counts: Any, answers: Any) -> Any:
        """Sums of answers by group and rate."""
        own = answers[:, self.classes].float()
        return member.T @ (counts * own.repeat(1, 2 if self.by_label else 1))

    def _apart(self: Any, means: Any) -> Any:
        """How far each group lies from the mean of the groups; 0 for those with few rows."""
        enough = (self.rows >= FEWEST).float()
        middle = (means * enough).sum(dim=0) / enough.sum(dim=0).clamp_min(1)
        return (means - middle) * enough
