"""What a remedy is: a function that repairs a model by retraining, and what it is given."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from auditkit.check import (
    Kept,
    KeptInMemory,
    Needed,
    NoParams,
    Predictor,
    docstring_sections,
    no_resources,
)
from auditkit.data import AuditData
from auditkit.errors import AuditkitError

HEADINGS = (
    "What it does",
    "When to use it",
    "What it costs",
    "Limits of this remedy",
    "References",
)
"""Headings every remedy's docstring has, in this order."""


class RemedyError(AuditkitError):
    """A remedy cannot be applied to this model and data, or its training failed."""

    slug = "remedy"


class Need(enum.StrEnum):
    """What a remedy may need besides a transformers model with its weights."""

    TRAINING_ROWS = "training_rows"
    """Labelled rows to train on, and some of them to choose by."""
    GROUPS = "groups"
    """A sensitive attribute with at least two groups among the training rows."""


@dataclass(frozen=True, slots=True)
class TrainingParams:
    """How a remedy trains. Remedies add parameters of their own."""

    epochs: int = 3
    """Passes over the training rows."""
    learning_rate: float = 2e-5
    """Highest learning rate; it rises during the warm-up and then falls to 0."""
    warmup: float = 0.1
    """Share of the steps over which the learning rate rises."""
    batch: int = 32
    """Rows per step."""
    rows_at_once: int = 0
    """Rows of a step that are in memory at once, the gradients being added up; 0 takes as many as
    have about 8,192 tokens."""
    weight_decay: float = 0.01
    """Weight decay of AdamW."""
    evaluations: int = 1
    """Times per epoch at which the validation rows are looked at."""
    stop_on: Literal["loss", "accuracy"] = "loss"
    """What the best model is chosen by, on the validation rows."""
    patience: int = 2
    """Evaluations without a better model after which training stops; 0 never stops early."""
    mixed_precision: bool = True
    """Half precision where a GPU has it. Never on a CPU, where it is slower."""
    lora_rank: int = 0
    """Train low-rank adapters of this rank, merged into the weights at the end; 0 trains all."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "evaluations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("rows_at_once", "patience", "lora_rank", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, but is {getattr(self, name)}")
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"learning_rate must lie between 0 and 1, not {self.learning_rate}")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a share from 0 to below 1, not {self.warmup}")


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRows:
    """Rows to train on.

    Attributes:
        texts: The inputs.
        labels: Class of each row, shape (n,).
        weights: How much each row counts, shape (n,), best with mean 1; None counts all alike.
        columns: Further numbers per row, each of shape (n,), which a loss gets by their names.
    """

    texts: tuple[str, ...]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64] | None = None
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(self.texts), len(self.labels), *map(len, self.columns.values())}
        if self.weights is not None:
            lengths.add(len(self.weights))
        if len(lengths) > 1:
            raise ValueError(f"texts, labels, weights and columns differ in length: {lengths}")

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def of(cls, data: AuditData) -> TrainingRows:
        """The texts and labels of some rows."""
        if data.labels is None:
            raise ValueError("rows without labels cannot be trained on")
        return cls(tuple(map(str, data.inputs)), data.labels)

    def and_also(self, texts: Iterable[str], labels: Iterable[int]) -> TrainingRows:
        """These rows and more of them. Only for rows without weights and columns."""
        if self.weights is not None or self.columns:
            raise ValueError("rows with weights or columns cannot be added to")
        more = np.fromiter(labels, dtype=np.int64)
        return TrainingRows((*self.texts, *texts), np.concatenate([self.labels, more]))


class Perturbation(Protocol):
    """Moves the embeddings of a batch to where the loss is higher, in several steps.

    Tensors: embeddings, moves and gradients have shape (rows, tokens, width), the mask
    (rows, tokens) is 1 for what is not padding.
    """

    @property
    def steps(self) -> int:
        """Gradients taken per batch; each also trains the model."""

    def start(self, embeddings: Any, mask: Any) -> Any:
        """The first move."""

    def ascend(self, move: Any, gradient: Any, embeddings: Any, mask: Any) -> Any:
        """The next move, given the gradient of the loss at this one."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Where a remedy takes part in training.

    Attributes:
        loss: From logits (rows, classes) and the batch to the loss, a scalar. The batch holds the
            tensors `labels`, `weights`, `rows` (positions in the training rows) and each column by
            its name. A `torch.nn.Module` is trained along with the model, and its parameters and
            buffers are in the checkpoints. By default the weighted cross-entropy.
        learning_rate: Highest learning rate of the loss's own parameters; by default the model's.
        representation: Whether the batch also holds `representation`, what the model's last linear
            layer reads, shape (rows, width).
        score: From the logits on the validation rows, shape (rows, classes), in the order of
            `RemedyContext.validation`, to how good the model is; higher is better. The best model
            is chosen, and training stopped, by it. By default by `TrainingParams.stop_on`.
        perturbation: Train on embeddings moved where the loss is high.
    """

    loss: Callable[[Any, Mapping[str, Any]], Any] | None = None
    learning_rate: float | None = None
    representation: bool = False
    score: Callable[[NDArray[np.float64]], float] | None = None
    perturbation: Perturbation | None = None


class FineTune(Protocol):
    """Trains a copy of a model; see `auditkit.training.fine_tune`."""

    def __call__(
        self,
        rows: TrainingRows,
        params: TrainingParams,
        *,
        hooks: Hooks = ...,
        start: Path | None = None,
        stage: str = "model",
    ) -> Path:
        """Train on `rows` from the weights in `start` and return the folder of the result.

        Called again after it was cut off it goes on from the last checkpoint; finished, it returns
        at once.

        Args:
            rows: What to train on. Rows that are also audited are left out.
            params: How to train.
            hooks: Where the remedy takes part.
            start: Folder of the model to begin with; by default the model to repair.
            stage: Name of this training within the remedy, different for each.

        Raises:
            RemedyError: There is nothing to train on, memory ran out, or training diverged.
        """


class LinearHead(Protocol):
    """The last layer of a classifier, which is linear: what it is given, and what it makes of it.

    Attributes:
        weight: Shape (classes, width).
        bias: Shape (classes,).
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def features(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """What the layer is given for each text, shape (n, width)."""

    def replaced(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> Path:
        """A new folder with the model, its last layer set to these."""


def no_head() -> LinearHead:
    """Where nothing opens the model."""
    raise RemedyError("the model's last layer cannot be reached here.")


class Blocks(Protocol):
    """The equal layers that a model is a stack of, such as those of an encoder.

    Attributes:
        count: How many there are.
    """

    @property
    def count(self) -> int:
        """How many there are."""

    def kept(self, places: Sequence[int]) -> Path:
        """A new folder with the model, of whose layers only these are left, in this order.

        Raises:
            RemedyError: The model is not the sum of its layers, so that it cannot be saved so.
        """


def no_blocks() -> Blocks:
    """Where nothing opens the model."""
    raise RemedyError("the model's layers cannot be reached here.")


def not_run_otherwise(backend: str) -> Path:
    """Where no model folder can be made."""
    raise RemedyError(f"no folder can be made here that is run as {backend}.")


@dataclass(frozen=True, slots=True, eq=False)
class RemedyContext:
    """Everything a remedy may use. It never sees the rows under audit.

    Attributes:
        model: Folder of the model to repair.
        train: Rows to train on.
        validation: Rows to choose by; never trained on.
        predictor: Asks the model to repair.
        ask: A predictor for the model in another folder, such as one that `fine_tune` returned.
        fine_tune: Trains.
        seed: Seed of this remedy.
        rng: Random numbers of this remedy alone; the same seed gives the same stream.
        work: Where to put a model folder that `fine_tune` does not make.
        kept: Finished parts of the remedy's work, for when it is cut off.
        digest: Digest of the model to repair.
        head: Opens the last layer of the model to repair, if that is linear.
        blocks: Opens the stack of layers of the model to repair.
        run_by: A new folder with the model to repair as it is, that says by which backend it is
            run ("onnx", "int8" or "onnx-int8"); `auditkit run` and `ask` obey.
        advance: Report that a share (0..1) of what is not training is done.
        note: Tell the user something, in a sentence.
    """

    model: Path
    train: AuditData
    validation: AuditData
    predictor: Predictor
    ask: Callable[[Path], Predictor]
    fine_tune: FineTune
    seed: int
    rng: np.random.Generator
    work: Path
    kept: Kept = field(default_factory=KeptInMemory)
    digest: str = ""
    head: Callable[[], LinearHead] = no_head
    blocks: Callable[[], Blocks] = no_blocks
    run_by: Callable[[str], Path] = not_run_otherwise
    advance: Callable[[float], None] = lambda _: None
    note: Callable[[str], None] = lambda _: None


Apply = Callable[[RemedyContext, Any], Path]
Score = Callable[[Predictor, AuditData, Any], float]
"""From a repaired model, the validation rows and the remedy's parameters to how good it is; higher
is better."""
Suite = Mapping[str, Mapping[str, Any]]
"""Parameters of the checks that will judge the repaired model, by check id."""


def accuracy(predictor: Predictor, data: AuditData, _: Any = None) -> float:
    """Share of rows answered rightly."""
    return float((predictor.predict(data.inputs).labels == data.labels).mean())


def _no_conflict(_: Any, __: Suite) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Remedy:
    """A remedy as the registry holds it. Made by the `remedy` decorator."""

    id: str
    """`family.kebab-name`, equal to the path of its file below the checks folder."""
    title: str
    """What it does, in a sentence."""
    improves: tuple[str, ...]
    """Ids, or families, of the checks it is meant to improve."""
    needs: frozenset[Need]
    params: type[Any]
    """Frozen dataclass of the parameters, with defaults."""
    apply: Apply
    """Trains, and returns the folder of the repaired model."""
    doc: str
    """The docstring: What it does, When to use it, ..."""
    module: str
    extras: tuple[str, ...] = ()
    """Importable packages the remedy needs beyond the core's."""
    resources: Needed = no_resources
    """From the parameters to the files the remedy cannot do without."""
    score: Score = accuracy
    """What parameters are chosen by, where the configuration names several."""
    conflict: Callable[[Any, Suite], str] = _no_conflict
    """Why an audit with this suite could not judge what this remedy did; empty when it can."""

    @property
    def family(self) -> str:
        """First part of the id."""
        return self.id.partition(".")[0]

    @property
    def sections(self) -> dict[str, str]:
        """The docstring's parts by heading; the text before the first heading under ""."""
        return docstring_sections(self.doc, HEADINGS)

    def is_meant_for(self, check_id: str) -> bool:
        """Whether this remedy is meant to improve a check."""
        return any(check_id == name or check_id.startswith(f"{name}.") for name in self.improves)


def remedy(  # noqa: PLR0913 - these are the fields of a remedy, each given by name
    id: str,
    *,
    title: str,
    improves: Iterable[str],
    needs: Iterable[Need] = (Need.TRAINING_ROWS,),
    params: type[Any] = NoParams,
    extras: tuple[str, ...] = (),
    resources: Needed = no_resources,
    score: Score = accuracy,
    conflict: Callable[[Any, Suite], str] = _no_conflict,
) -> Callable[[Apply], Remedy]:
    """Turn a function that trains into a `Remedy`. Registers nothing, and needs no base class.

    Raises:
        ValueError: The function has no docstring.
    """

    def wrap(apply: Apply) -> Remedy:
        if not apply.__doc__:
            raise ValueError(
                f"{id}: a remedy's function needs a docstring; it is the reference page"
            )
        return Remedy(
            id=id,
            title=title,
            improves=tuple(improves),
            needs=frozenset(needs),
            params=params,
            apply=apply,
            doc=apply.__doc__,
            module=apply.__module__,
            extras=extras,
            resources=resources,
            score=score,
            conflict=conflict,
        )

    return wrap
