"""The baseline: another model that is asked about the same rows, such as the one in production."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.config import AuditConfig, ModelConfig
from auditkit.errors import ConfigError, DataError, ModelError, NotApplicable
from auditkit.model import Capability, Head, Model, Predictions, TokenModel, answer_key
from auditkit.models import load_model
from auditkit.models.thresholded import ThresholdedModel
from auditkit.prediction_store import KeptAnswers, PredictionStore
from auditkit.predictor import Advance, SharedPredictor
from auditkit.preflight import BATCH_TOLERANCE, Prepared
from auditkit.result import PredictorStatistics
from auditkit.sources import read_table
from auditkit.sources.rows import read_texts
from auditkit.sources.table import SourceTable, shown_rows

Translate = Callable[[Any], Any]
"""From an input of the model under audit to the baseline's."""


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """A model to compare with.

    Attributes:
        model: It.
        translate: Makes an input of the model under audit one of its own.
        order: Which of its classes is each class of the model under audit, shape (k,).
        kept: What earlier audits left about it; None when nothing is kept.
        said: What the report says of it, by topic.
    """

    model: Model
    translate: Translate
    order: NDArray[np.int64]
    kept: KeptAnswers | None
    said: Mapping[str, str]

    def in_order(self, answers: Predictions) -> Predictions:
        """Its answers with the classes numbered as those of the model under audit."""
        scores = answers.probabilities
        labels = np.argsort(self.order)[answers.labels].astype(np.int64)
        return Predictions(labels, None if scores is None else scores[:, self.order])


class BaselinePredictor:
    """Asks a baseline about inputs of the model under audit, as `SharedPredictor` asks that.

    Args:
        baseline: The baseline.
        predictor: Asks its model.
    """

    def __init__(self, baseline: Baseline, predictor: SharedPredictor) -> None:
        self._baseline = baseline
        self._predictor = predictor

    @property
    def statistics(self) -> PredictorStatistics:
        """What asking it has cost so far."""
        return self._predictor.statistics

    @property
    def seconds(self) -> float:
        """Spent waiting for its forward pass."""
        return self._predictor.seconds

    def predict(self, inputs: Iterable[Any]) -> Predictions:
        """Its answers for the inputs, in their order, with the classes of the model under audit.

        Raises:
            NotApplicable: It has no answer for one of them: its predictions are on file.
            ModelError: It cannot answer, or answers with the wrong shape.
        """
        answers = self._predictor.predict(self._translated(inputs))
        return self._baseline.in_order(answers)

    def embed(self, inputs: Iterable[Any]) -> NDArray[np.float32]:
        """Its embeddings of the inputs, in their order; see `predict`."""
        return self._predictor.embed(self._translated(inputs))

    def head(self) -> Head:
        """The head that makes logits of its embeddings, with the classes of the model under audit.

        Raises:
            ModelError: It shows none.
        """
        head, order = self._predictor.head(), self._baseline.order
        return Head(head.weights[order], head.bias[order])

    def _translated(self, inputs: Iterable[Any]) -> list[Any]:
        return [self._baseline.translate(one) for one in inputs]


def asks_baseline(
    baseline: Baseline | None,
    config: AuditConfig,
    advance: Advance,
    store: PredictionStore | None,
) -> BaselinePredictor | None:
    """The way to a baseline, with its own batches and the store of the audit; None without one."""
    if baseline is None or config.baseline is None:
        return None
    predictor = SharedPredictor(
        baseline.model, batch_tokens=config.baseline.batch_tokens, advance=advance, store=store
    )
    return BaselinePredictor(baseline, predictor)


def load_baseline(
    config: AuditConfig, prepared: Prepared, store: PredictionStore | None = None
) -> Baseline | None:
    """The configured baseline, fitted to the model under audit; None when there is none.

    Raises:
        AuditkitError: It cannot be loaded, or has other classes.
    """
    if config.baseline is None:
        return None
    try:
        return _loaded(config, config.baseline, prepared, store)
    except (ConfigError, DataError, ModelError) as error:
        raise type(error)(f"[baseline]: {error.message}", error.hint) from None


def _loaded(
    config: AuditConfig,
    settings: ModelConfig,
    prepared: Prepared,
    store: PredictionStore | None,
) -> Baseline:
    if config.data.label is not None and settings.label_column == config.data.label:
        raise ConfigError(
            f"column {config.data.label!r} is named as the label and as the prediction.",
            "A prediction compared with itself is always right.",
        )
    audited = prepared.model.class_names
    if settings.class_names is None and settings.path is None and settings.score_columns is None:
        settings = settings.model_copy(update={"class_names": list(audited)})
    table = read_table(config.data, config.online)
    model = load_model(config.model_copy(update={"model": settings}), table, store)
    translate = _translation(config, prepared, model, table)
    if Capability.NEW_INPUTS in model.capabilities and not isinstance(model, TokenModel):
        # What a callable answers, labels or probabilities, shows only with its first answer.
        model.predict([translate(one) for one in prepared.audited.inputs[:1]])
    order = _order(model.class_names, audited)
    said = {"baseline": f"{model.name}, SHA-256 {model.digest[:12]}…"}
    said |= {f"baseline, {topic}": text for topic, text in model.assumptions.items()}
    kept = store.of(answer_key(model)) if store is not None else None
    return Baseline(model, translate, order, kept, said)


def _order(own: Sequence[str], audited: Sequence[str]) -> NDArray[np.int64]:
    """Which of the baseline's classes each class of the model under audit is."""
    if len(own) != len(audited):
        raise ModelError(
            f"the baseline has {len(own)} classes, the model under audit {len(audited)}.",
            f"The baseline's: {_listed(own)}. The model's: {_listed(audited)}. Both have to answer "
            "the same question.",
        )
    if set(own) != set(audited):
        raise ModelError(
            f"the baseline's classes are named {_listed(own)}, the model's {_listed(audited)}.",
            "Set baseline.class_names to the model's names in the order of the baseline's classes, "
            "or for a model folder its id2label, if they mean the same.",
        )
    return np.array([list(own).index(name) for name in audited], dtype=np.int64)


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(map(repr, names[:most])) + (", …" if len(names) > most else "")


def _translation(
    config: AuditConfig, prepared: Prepared, model: Model, table: SourceTable
) -> Translate:
    if isinstance(model, ThresholdedModel):
        return _with_groups(prepared, model)
    if config.model.recorded and Capability.NEW_INPUTS in model.capabilities:
        if config.data.text is None:
            raise ConfigError(
                "data.text is not set: the baseline needs a column to be asked about.",
                f"Columns of {table.name}: {', '.join(list(table.columns)[:20])}.",
            )
        return read_texts(table, config.data.text).__getitem__
    if not config.model.recorded and Capability.NEW_INPUTS not in model.capabilities:
        return _rows_of_texts(read_texts(table, config.data.text or ""), model)
    return _text


def _with_groups(prepared: Prepared, model: ThresholdedModel) -> Translate:
    """Inputs stay pairs of text and group, if the model under audit is asked about the same."""
    audited = prepared.model
    if isinstance(audited, ThresholdedModel) and (
        audited.thresholds.attribute == model.thresholds.attribute
    ):
        return lambda one: one
    raise ConfigError(
        f"the baseline decides by thresholds for groups of {model.thresholds.attribute!r}, and the "
        "model under audit does not: it would have to be told the group of every text.",
        "Copy its folder without the thresholds, or name columns with its predictions.",
    )


def _rows_of_texts(texts: Sequence[str], model: Model) -> Translate:
    """The row whose prediction on file is the answer to a text.

    Raises:
        DataError: Copies of a text have different predictions.
    """
    first: dict[str, int] = {}
    places = [first.setdefault(text, row) for row, text in enumerate(texts)]
    answers, copied = model.predict(range(len(texts))), model.predict(places)
    differ = answers.labels != copied.labels
    if answers.probabilities is not None and copied.probabilities is not None:
        moved = np.abs(answers.probabilities - copied.probabilities).max(axis=1, initial=0.0)
        differ |= moved > BATCH_TOLERANCE
    if differ.any():
        row = int(np.flatnonzero(differ)[0])
        raise DataError(
            f"{shown_rows([places[row], row])} have the same text and different predictions.",
            "A model answers a text in one way; leave such rows out.",
        )

    def row_of(one: Any) -> int:
        text = _text(one)
        if text not in first:
            raise NotApplicable(
                "the baseline's predictions are on file, and there is none for some of these texts"
            )
        return first[text]

    return row_of


def _text(one: Any) -> Any:
    """The text of an input that is one, or a pair of text and group; a row number as it is."""
    return one[0] if isinstance(one, tuple) and one else one
