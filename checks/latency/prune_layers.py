"""Fewer layers, and a short training to recover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from auditkit.remedy import (
    Hooks,
    RemedyContext,
    RemedyError,
    TrainingParams,
    TrainingRows,
    remedy,
)

from ._faster import tell_moved


@dataclass(frozen=True, slots=True)
class Params(TrainingParams):
    """Parameters of `latency.prune-layers`."""

    epochs: int = 1
    """Passes over the training rows after layers were left out."""
    layers: int = 0
    """Layers to keep; 0 keeps half of them, rounded up."""
    which: Literal["spread", "first"] = "spread"
    """spread: evenly spaced, the first and the last among them. first: those next to the input."""
    teacher: float = 0.5
    """Share of the loss that pulls towards the original's probabilities; the rest pulls towards the
    labels."""

    def __post_init__(self) -> None:
        TrainingParams.__post_init__(self)
        if self.layers < 0:
            raise ValueError(f"layers must not be negative, but is {self.layers}")
        if not 0 <= self.teacher <= 1:
            raise ValueError(f"teacher is a share from 0 to 1, not {self.teacher}")


@remedy(
    "latency.prune-layers",
    title="Leave out layers, and train shortly to recover",
    improves=("latency",),
    params=Params,
)
def prune_layers(context: RemedyContext, params: Params) -> Path:
    """Leaves out layers of the model and trains what is left with the original as teacher.

    What it does:
        Keeps `layers` of the model's equal layers, by default half: evenly spaced with the first
        and the last among them (of 12, numbers 0, 2, 4, 7, 9 and 11), or those next to the input.
        Then it trains for one epoch; the loss is in part the cross-entropy with the labels and in
        part that with the original's probabilities. The result is a plain model folder whose config
        names the new number of layers.

    When to use it:
        When the model has to become faster on any device, and training rows are there. Half the
        layers take about half the time.

    What it costs:
        The original answers the training rows once, and one epoch on a smaller model. Accuracy:
        how much, and for whom, the comparison shows. Combine it with `choices` for `layers`, and
        the validation rows decide.

    Limits of this remedy:
        It needs a model with one list of equal layers, as BERT, RoBERTa, DistilBERT or GPT-2 have;
        models that share weights between layers (ALBERT), or whose layers differ by their place,
        are refused. Attention heads are not left out: transformers 5 cannot. One epoch does not
        recover what long distillation would; set `epochs`.

    References:
        Sajjad et al. 2023, On the effect of dropping layers of pre-trained transformer models; Fan
        et al. 2020, Reducing transformer depth on demand; Hinton et al. 2015, Distilling the
        knowledge in a neural network.
    """
    blocks = context.blocks()
    places = chosen_layers(blocks.count, params)
    rows = TrainingRows.of(context.train)
    columns, hooks = _teacher(context, rows, params.teacher)
    taught = TrainingRows(rows.texts, rows.labels, None, columns)
    folder = context.fine_tune(taught, params, hooks=hooks, start=blocks.kept(places))
    context.note(
        f"{len(places)} of {blocks.count} layers are left, those at {', '.join(map(str, places))} "
        "counted from 0 at the input."
    )
    tell_moved(context, folder)
    return folder


def chosen_layers(count: int, params: Params) -> list[int]:
    """Places of the layers to keep, ascending.

    Raises:
        RemedyError: There are not that many to leave out.
    """
    keep = params.layers or (count + 1) // 2
    if keep >= count:
        raise RemedyError(
            f"the model has {count} layers, and {keep} are to be kept: none would be left out.",
            "Lower params.layers.",
        )
    if params.which == "first":
        return list(range(keep))
    return [int(place) for place in np.linspace(0, count - 1, keep).round()]


def _teacher(
    context: RemedyContext, rows: TrainingRows, share: float
) -> tuple[dict[str, np.ndarray], Hooks]:
    """The original's probabilities as columns, and a loss that reads them."""
    if not share:
        return {}, Hooks()
    said = context.predictor.predict(rows.texts).probabilities
    if said is None:
        raise RemedyError("the original gives no probabilities to teach with.", "Set teacher = 0.")
    names = [f"teacher_{place}" for place in range(said.shape[1])]

    def loss(logits: Any, batch: Mapping[str, Any]) -> Any:
        import torch

        logged = logits.log_softmax(dim=-1)
        taught = torch.stack([batch[name] for name in names], dim=-1).to(logged.dtype)
        own = torch.nn.functional.nll_loss(logged, batch["labels"])
        return (1 - share) * own - share * (taught * logged).sum(dim=-1).mean()

    return dict(zip(names, said.T, strict=True)), Hooks(loss=loss)
