"""What asking the baseline will cost, estimated as for the model under audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from auditkit.baseline import Baseline
from auditkit.config import AuditConfig
from auditkit.errors import NotApplicable
from auditkit.forecast.model_cost import Clock, ModelCost, ModelTimer
from auditkit.model import Model, Predictions
from auditkit.preflight import Prepared


class BaselineTimer:
    """A `ModelTimer` of the baseline, for inputs of the model under audit."""

    def __init__(self, baseline: Baseline, timer: ModelTimer) -> None:
        self._baseline = baseline
        self._timer = timer

    @classmethod
    def of(cls, prepared: Prepared, config: AuditConfig, clock: Clock) -> BaselineTimer | None:
        """That of the configured baseline, if a check looks at it."""
        if prepared.baseline is None or config.baseline is None:
            return None
        own = replace(prepared, model=prepared.baseline.model, kept=prepared.baseline.kept)
        return cls(prepared.baseline, ModelTimer(own, config.baseline.batch_tokens, clock))

    @property
    def model(self) -> Model:
        """The baseline."""
        return self._baseline.model

    @property
    def load(self) -> float:
        """Seconds it took to get ready for its first question, if it was asked any."""
        return self._timer.load

    def cost(self, inputs: Sequence[Any], *, embedding: bool = False) -> ModelCost:
        """What one request for these inputs will cost; nothing where it has no answers for them."""
        try:
            return self._timer.cost(self._translated(inputs), embedding=embedding)
        except NotApplicable:
            return ModelCost()

    def kept_answers(self, inputs: Sequence[Any]) -> Predictions | None:
        """The answers for these inputs if the cache has all of them."""
        found = self._timer.kept_answers(self._translated(inputs))
        return None if found is None else self._baseline.in_order(found)

    def _translated(self, inputs: Sequence[Any]) -> list[Any]:
        return [self._baseline.translate(one) for one in inputs]
