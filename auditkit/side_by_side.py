"""Where a model and its repairs stand, on the rows that judge and on those that choose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from auditkit.check import Confidence, Context
from auditkit.config import AuditConfig
from auditkit.data import AuditData
from auditkit.finding import Measurement
from auditkit.measuring import measure
from auditkit.mitigation import Mitigation
from auditkit.model import Capability, Predictions
from auditkit.observer import Observer
from auditkit.plan import PlannedCheck, make_plan
from auditkit.prediction_store import PredictionStore
from auditkit.registry import load_registry
from auditkit.remedy_choice import (
    Choice,
    Standing,
    Target,
    choose_remedy,
    obstacle,
    standing,
    target_of,
)
from auditkit.result import AuditResult, Suite
from auditkit.schedule import rng_of
from auditkit.training import decisions_of


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A model that was audited.

    Attributes:
        result: Its audit.
        answers: Its answers to the audited rows.
        model: Its folder.
    """

    result: AuditResult
    answers: Predictions
    model: Path


@dataclass(frozen=True, slots=True, eq=False)
class SideBySide:
    """Measures models on two kinds of rows.

    Attributes:
        settings: The configuration.
        audited: The rows that judge.
        validation: The rows that choose.
        observer: Told about progress.
        cache: Answers of earlier audits.
    """

    settings: AuditConfig
    audited: AuditData
    validation: AuditData
    observer: Observer
    cache: PredictionStore | None

    def compared(self, record: Mitigation, models: Sequence[Judged]) -> Mitigation:
        """The record with where every model stands, and which one the validation rows choose.

        Args:
            record: Of the mitigation.
            models: The model before, and that of each repair.
        """
        target = target_of((repair.improves, repair.comparison) for repair in record.repairs)
        stand = [
            standing(self.audited, one.answers, _measured(one.result, target), self._alpha)
            for one in models
        ]
        repairs = tuple(
            replace(repair, audited=own)
            for repair, own in zip(record.repairs, stand[1:], strict=True)
        )
        record = replace(record, target=target, audited=stand[0], repairs=repairs)
        return record if target is None else self._chosen(record, target, models)

    @property
    def _alpha(self) -> float:
        return 1.0 - self.settings.confidence

    def _chosen(self, record: Mitigation, target: Target, models: Sequence[Judged]) -> Mitigation:
        """The record with what the validation rows say."""
        registry = load_registry([Path(plugin) for plugin in self.settings.plugins])
        plan = make_plan(self.settings, registry, frozenset(Capability))
        entry = next((one for one in plan.checks if one.check.id == target.check), None)
        hurdle = obstacle(target, entry, self.validation)
        if hurdle or entry is None:
            reason = f"The validation rows choose none: {hurdle}"
            return replace(record, choice=Choice(None, "", reason))
        self.observer.stage("Choosing by the validation rows")
        stand = [self._validated(entry, target, plan.suite, one.model) for one in models]
        repairs = tuple(
            replace(repair, validated=own)
            for repair, own in zip(record.repairs, stand[1:], strict=True)
        )
        choice = None
        if stand[0] is not None:
            known = [(repair.remedy, repair.validated) for repair in repairs]
            choice = choose_remedy(target, stand[0], known)
        return replace(record, validated=stand[0], repairs=repairs, choice=choice)

    def _validated(
        self, entry: PlannedCheck, target: Target, suite: Suite, folder: Path
    ) -> Standing | None:
        """Where a model stands on the validation rows."""
        predictor, asked = decisions_of(self.settings.model, folder, self.validation, self.cache)
        context = Context(
            predictor=predictor,
            data=asked,
            splits={},
            confidence=Confidence(self.settings.confidence, suite.family),
            rng=rng_of(entry.check.id, self.settings.seed),
            advance=lambda _: None,
        )
        found = _of(target, measure(entry, context).measurements)
        return standing(self.validation, predictor.predict(asked.inputs), found, self._alpha)


def _measured(result: AuditResult, target: Target | None) -> Measurement | None:
    """The target as an audit measured it."""
    if target is None:
        return None
    own = [finding.measurement for finding in result.findings if finding.check == target.check]
    return _of(target, [one for one in own if one is not None])


def _of(target: Target, measurements: Iterable[Measurement]) -> Measurement | None:
    wanted = (target.name, target.slice)
    return next((one for one in measurements if (one.name, one.slice) == wanted), None)
