"""Training on embeddings moved to where the loss is high."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditkit.metrics.choosing import clean_and_noisy
from auditkit.remedy import Hooks, RemedyContext, TrainingParams, TrainingRows, remedy

_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Params(TrainingParams):
    """Parameters of `robustness.embedding-pgd`."""

    radius: float = 0.25
    """How far the embedding of a token may be moved, as a share of the mean length of the
    embeddings of its text."""
    steps: int = 3
    """Moves per batch, each of which costs a forward and a backward pass."""

    def __post_init__(self) -> None:
        TrainingParams.__post_init__(self)
        if not 0 < self.radius <= 10:
            raise ValueError(f"radius must lie between 0 and 10, not {self.radius}")
        if not 1 <= self.steps <= 50:
            raise ValueError(f"steps must lie between 1 and 50, not {self.steps}")


@dataclass(frozen=True, slots=True)
class WithinBalls:
    """Projected gradient ascent of the loss, each token's move held within a ball of its own.

    Attributes:
        radius: Of the balls, as a share of the mean length of the embeddings of a text.
        steps: Gradients taken per batch.
    """

    radius: float
    steps: int

    def start(self, embeddings: Any, mask: Any) -> Any:
        """A random move, half as long as allowed."""
        import torch

        move = torch.rand_like(embeddings) * 2 - 1
        length = move.norm(dim=-1, keepdim=True).clamp_min(_TINY)
        return move / length * (self._reach(embeddings, mask) / 2) * mask.unsqueeze(-1)

    def ascend(self, move: Any, gradient: Any, embeddings: Any, mask: Any) -> Any:
        """A step along the gradient of the text, then back into the balls.

        The tokens that matter most move furthest: the gradient is scaled to length 1 per text, not
        per token. The steps together could cross a ball.
        """
        inside = mask.unsqueeze(-1)
        slope = gradient * inside
        size = slope.flatten(1).norm(dim=1).clamp_min(_TINY).view(-1, 1, 1)
        reach = self._reach(embeddings, mask)
        tokens = inside.sum(dim=1, keepdim=True).sqrt()
        moved = move + slope / size * (2 * reach / self.steps) * tokens
        length = moved.norm(dim=-1, keepdim=True).clamp_min(_TINY)
        return moved * (reach / length).clamp_max(1.0) * inside

    def _reach(self, embeddings: Any, mask: Any) -> Any:
        """Radius of the balls of each text, shape (rows, 1, 1)."""
        lengths = embeddings.norm(dim=-1) * mask
        return (self.radius * lengths.sum(dim=1) / mask.sum(dim=1).clamp_min(1)).view(-1, 1, 1)


@remedy(
    "robustness.embedding-pgd",
    title="Retrain on word embeddings moved to where the model is least sure",
    improves=("robustness",),
    params=Params,
    score=clean_and_noisy,
)
def embedding_pgd(context: RemedyContext, params: Params) -> Path:
    """Adversarial training in the space of embeddings, which needs no attack on texts.

    What it does:
        The model is trained further on its training rows. In every step the embeddings of the
        batch are moved several times along the gradient of the loss, within a ball around each
        token, and the gradients at all of these points train the model.

    When to use it:
        When small changes of wording flip answers. It is the cheapest of the adversarial trainings
        and needs no lexicon, so it suits any language.

    What it costs:
        Each step takes `steps` forward and backward passes instead of one.

    Limits of this remedy:
        A point between two words is no text, so robustness to these moves is not robustness to a
        given attack; the audit of the repaired model says what was gained. A large radius costs
        clean accuracy.

    References:
        Zhu et al. 2020, FreeLB; Miyato et al. 2017, adversarial training for text classification;
        Li & Qiu 2021 for balls around tokens.
    """
    hooks = Hooks(perturbation=WithinBalls(params.radius, params.steps))
    return context.fine_tune(TrainingRows.of(context.train), params, hooks=hooks)
