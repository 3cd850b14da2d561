"""A model with thresholds by group: what is audited is what the thresholds decide."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from auditkit.config import ModelConfig
from auditkit.data import AuditData
from auditkit.errors import ConfigError, DataError, ModelError
from auditkit.group_thresholds import FILE_NAME, GroupThresholds, digest_with
from auditkit.model import Capability, Predictions
from auditkit.prediction_store import PredictionStore
from auditkit.predictor import SharedPredictor

if TYPE_CHECKING:
    from pathlib import Path

    from auditkit.model import Model
    from auditkit.models.transformers_text import TransformersText


_SHOWN = 8


def with_thresholds(
    model: TransformersText,
    config: ModelConfig,
    attributes: Collection[str],
    store: PredictionStore | None = None,
) -> Model:
    """The model, with the thresholds that lie in its folder if any do.

    Args:
        model: The model in `config.path`.
        config: Where it is.
        attributes: Sensitive attributes of the data.
        store: Answers of earlier audits.

    Raises:
        ConfigError: The data has no such attribute, or it is not named as sensitive.
        ModelError: The thresholds are damaged, or were chosen for another model.
    """
    file = model.folder / FILE_NAME
    if not file.exists():
        return model
    thresholds = GroupThresholds.read(file)
    _check_model(thresholds, model, file)
    if thresholds.attribute not in attributes:
        raise ConfigError(
            f"{file} decides by the group of a row, and data.sensitive does not name "
            f"the attribute {thresholds.attribute!r}.",
            "Name its column there. To audit the model without its thresholds, copy the folder "
            "without that file.",
        )
    digest = digest_with(model.digest, file)
    return ThresholdedModel(model, thresholds, digest, config.batch_tokens, store)


def _check_model(thresholds: GroupThresholds, model: TransformersText, file: Path) -> None:
    if thresholds.model != model.digest:
        raise ModelError(
            f"{file}: the thresholds were chosen for another model ({thresholds.model[:12]}) than "
            f"the one in this folder ({model.digest[:12]}).",
            "Choose them anew with fairness.threshold-optimizer, or remove the file.",
        )
    if thresholds.positive not in model.class_names:
        raise ModelError(f"{file}: {thresholds.positive!r} is no class of the model.")


class ThresholdedModel:
    """Answers for inputs that are pairs of a text and its row's group (None if not known).

    It cannot be asked about new texts: whoever makes up a text knows no group.

    Args:
        model: Gives the probabilities.
        thresholds: Decide.
        digest: Of both.
        batch_tokens: Most tokens of a batch.
        store: Answers of earlier audits, to the model without thresholds too.
    """

    capabilities = frozenset({Capability.PROBABILITIES})

    def __init__(
        self,
        model: TransformersText,
        thresholds: GroupThresholds,
        digest: str,
        batch_tokens: int,
        store: PredictionStore | None = None,
    ) -> None:
        self.name = model.name
        self.digest = digest
        self.class_names = model.class_names
        self.max_length = model.max_length
        self.thresholds = thresholds
        self.assumptions = model.assumptions | {"thresholds": self.warning}
        self._model = model
        self._positive = model.class_names.index(thresholds.positive)
        self._predictor = SharedPredictor(model, batch_tokens=batch_tokens, store=store)

    @property
    def warning(self) -> str:
        """What a reader must know before using the model."""
        rule = self.thresholds
        first = [*rule.thresholds.items()][:_SHOWN]
        shown = ", ".join(f"{group} {value:.4g}" for group, value in first)
        shown += ", …" if len(rule.thresholds) > _SHOWN else ""
        return (
            f"{rule.positive!r} is decided by a threshold for each group of {rule.attribute!r} "
            f"({shown}): the group has to be known when a decision is made, and for some uses the "
            "law does not allow that."
        )

    def with_groups(self, data: AuditData) -> AuditData:
        """Rows whose inputs are texts, as rows this model can be asked about.

        Raises:
            DataError: They do not have the attribute that it decides by.
        """
        if self.thresholds.attribute not in data.groups:
            raise DataError(
                f"{self.name} decides by the group of a row, and {len(data)} rows, out of "
                f"distribution or to train on, have no attribute {self.thresholds.attribute!r}.",
                "Name its column in the set's sensitive, or leave the set out.",
            )
        groups = data.groups[self.thresholds.attribute].values()
        return replace(data, inputs=tuple(zip(data.inputs, groups, strict=True)))

    def truncated(self, inputs: Sequence[Any]) -> int:
        """How many of these texts have more than `max_length` tokens."""
        return self._model.truncated(inputs)

    def predict(self, batch: Sequence[Any]) -> Predictions:
        """Answers for pairs of text and group.

        Raises:
            ModelError: An input is no such pair.
        """
        if not all(isinstance(one, tuple) and len(one) == 2 for one in batch):
            raise ModelError(f"{self.name}: a text needs its row's group to be decided about.")
        answers = self._predictor.predict([text for text, _ in batch])
        assert answers.probabilities is not None
        groups = [group for _, group in batch]
        return self.thresholds.decide(answers.probabilities, self._positive, groups)
