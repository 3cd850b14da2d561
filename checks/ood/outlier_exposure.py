"""Training that shows the model texts that are out of distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from auditkit.identity.records import read_records
from auditkit.metrics.detectors import log_sum_exp
from auditkit.remedy import Hooks, RemedyContext, RemedyError, TrainingParams, TrainingRows, remedy

SAMPLE = 1_000
"""Training rows whose mean energy is where the margin begins."""


@dataclass(frozen=True, slots=True)
class Params(TrainingParams):
    """Parameters of `ood.outlier-exposure`."""

    auxiliary_file: str = ""
    """Texts out of distribution: a csv or jsonl file with the one column text. They should not be
    of the sets by which the model will be judged; texts that are audited are left out."""
    loss: Literal["energy", "uniform"] = "energy"
    """energy pushes the energy of these texts above that of the training rows; uniform makes the
    probabilities of these texts even."""
    strength: float = 0.1
    """Weight of that beside the cross-entropy. Its authors use 0.1 for energy, 0.5 for uniform."""
    margin: float = 5.0
    """For energy: how far above the training rows' mean energy the texts are pushed."""
    most_outliers: int = 5_000
    """Most texts of the file that are used, drawn at random."""

    def __post_init__(self) -> None:
        TrainingParams.__post_init__(self)
        for name in ("strength", "margin"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.most_outliers < 1:
            raise ValueError(f"most_outliers must be at least 1, not {self.most_outliers}")


@remedy(
    "ood.outlier-exposure",
    title="Retrain with given texts on which the model should be unsure",
    improves=("ood.detection",),
    params=Params,
)
def outlier_exposure(context: RemedyContext, params: Params) -> Path:
    """Outlier exposure, by a margin of energies or by even probabilities.

    What it does:
        The model is trained on the training rows and, in the same batches, on auxiliary texts
        without labels. With the energy loss, -log Σ exp of the logits is pushed below the training
        rows' mean energy for training rows, and `margin` above it for the auxiliary texts (squared
        hinges). With the uniform loss, the cross-entropy of the auxiliary texts to even
        probabilities is added.

    When to use it:
        When rows out of distribution cannot be told by how sure the model is, and texts like those
        that will be met by accident can be collected. Judge by the detector that fits: energy after
        the energy loss (`ood.detection`, params.judged = "energy"), msp after the uniform one.

    What it costs:
        Each epoch has as many more rows as there are auxiliary texts.

    Limits of this remedy:
        It learns to tell the auxiliary texts; how far that carries to other texts is what the
        audit after it measures, so the two must differ. Texts that are audited word for word are
        left out, near-duplicates are not. The best model is chosen by the training rows' loss
        alone. Auxiliary texts that belong in distribution cost accuracy.

    References:
        Hendrycks, Mazeika & Dietterich 2019, Deep anomaly detection with outlier exposure; Liu et
        al. 2020, Energy-based out-of-distribution detection, section 3.3.
    """
    rows, outliers = TrainingRows.of(context.train), _outliers(context, params)
    mean = 0.0
    if params.loss == "energy":
        mean = _mean_energy(context, rows)
        context.note(f"Mean energy of the training rows: {mean:.4g}.")
    context.note(f"{len(outliers)} auxiliary texts beside {len(rows)} training rows.")
    columns = {"outlier": np.repeat([0.0, 1.0], [len(rows), len(outliers)])}
    # The label of an auxiliary text is not looked at.
    labels = np.concatenate([rows.labels, np.zeros(len(outliers), dtype=np.int64)])
    mixed = TrainingRows((*rows.texts, *outliers), labels, columns=columns)
    hooks = Hooks(loss=_Exposing(params, mean))
    return context.fine_tune(mixed, params, hooks=hooks)


def _outliers(context: RemedyContext, params: Params) -> list[str]:
    if not params.auxiliary_file:
        raise RemedyError(
            "there are no auxiliary texts to show the model.",
            "Name a csv or jsonl file with a column text in params.auxiliary_file.",
        )
    known = {*context.train.inputs, *context.validation.inputs}
    records = read_records(Path(params.auxiliary_file), ("text",), ("text",))
    texts = [row.fields["text"] for row in records.rows]
    fresh = [text for text in dict.fromkeys(texts) if text not in known]
    if not fresh:
        raise RemedyError("every auxiliary text is also one of the training or validation rows.")
    chosen = np.sort(context.rng.permutation(len(fresh))[: params.most_outliers])
    return [fresh[place] for place in chosen]


def _mean_energy(context: RemedyContext, rows: TrainingRows) -> float:
    """Of a sample of the training rows, by the model as it is."""
    head = context.head()
    sample = context.rng.permutation(len(rows))[:SAMPLE].tolist()
    features = head.features([rows.texts[row] for row in sample])
    return float(-log_sum_exp(features @ head.weight.T + head.bias).mean())


@dataclass(frozen=True, slots=True)
class _Exposing:
    """The cross-entropy of the training rows, and what the auxiliary texts add."""

    params: Params
    mean: float

    def __call__(self, logits: Any, batch: Mapping[str, Any]) -> Any:
        """The loss of a batch of both."""
        from torch.nn.functional import cross_entropy

        outside = batch["outlier"] > 0.5
        near, far = logits[~outside], logits[outside]
        total = logits.sum() * 0.0
        if len(near):
            total = total + cross_entropy(near, batch["labels"][~outside])
        if self.params.loss == "energy":
            hinge_near = (-near.logsumexp(dim=1) - self.mean).relu()
            hinge_far = (self.mean + self.params.margin + far.logsumexp(dim=1)).relu()
            added = [(hinge**2).mean() for hinge in (hinge_near, hinge_far) if len(hinge)]
        else:
            added = [-far.log_softmax(dim=1).mean()] if len(far) else []
        return total + self.params.strength * sum(added)
