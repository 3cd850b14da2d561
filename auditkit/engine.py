"""Runs an audit: model and data in, one `AuditResult` out. Writes nothing, prints nothing."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from auditkit.baseline import Baseline, BaselinePredictor, asks_baseline, load_baseline
from auditkit.check import Check, Confidence
from auditkit.config import AuditConfig
from auditkit.explanations.explaining import TextExplainer
from auditkit.finding import Finding, Outcome, Severity
from auditkit.gate import decide
from auditkit.ledger import Ledger
from auditkit.model import Capability, Model, Predictions
from auditkit.network import settle_network
from auditkit.observer import Observer, Silent
from auditkit.plan import Plan, make_plan
from auditkit.prediction_store import PredictionStore, open_store
from auditkit.predictor import SharedPredictor
from auditkit.preflight import Prepared, check_answers, prepare
from auditkit.registry import BrokenPlugin, Registry, load_registry
from auditkit.result import AuditResult, Guide, Subject, Timing
from auditkit.run_identity import Answered, check_keys, is_opaque, run_inputs
from auditkit.run_store import RunStore
from auditkit.schedule import Workbench, run_checks
from auditkit.timing import bench_for, has_timed
from auditkit.training.rows import (
    held_out_splits,
    names_training_rows,
    names_validation_rows,
    trained_on,
    validated_on,
)

REPORTED_PACKAGES = (
    "auditkit", "numpy", "scipy", "statsmodels", "scikit-learn", "fairlearn", "pandas",
    "torch", "transformers", "tokenizers", "safetensors", "evaluate", "datasets", "lime", "shap",
    "captum",
)  # fmt: skip


def run_audit(
    config: AuditConfig, observer: Observer | None = None, store: RunStore | None = None
) -> AuditResult:
    """Audit a model as configured.

    A check that raises becomes a finding with outcome ERROR; the others still run.

    Args:
        config: The configuration.
        observer: Told about progress.
        store: Keeps each check as soon as it is finished, and knows those that are; by default
            nothing is written.

    Raises:
        AuditkitError: Configuration, data or model are unusable; nothing was measured.
    """
    cache = open_store(config.cache) if asks_a_model(config) else None
    with cache or nullcontext():
        return _audited(config, observer or Silent(), store, cache)


def _audited(
    config: AuditConfig,
    observer: Observer,
    store: RunStore | None,
    cache: PredictionStore | None,
) -> AuditResult:
    settle_network(online=config.online)
    began, started = time.perf_counter(), datetime.datetime.now(datetime.UTC)
    observer.stage("Reading the data and loading the model")
    registry = load_registry([Path(folder) for folder in config.plugins])
    # Before the model is asked anything, so that no limit can follow a result.
    suite_digest = make_plan(config, registry, frozenset(Capability)).suite.digest
    prepared, plan = with_plan(config, registry, prepare(config, cache), cache)

    predictor = SharedPredictor(
        prepared.model,
        batch_tokens=config.model.batch_tokens,
        advance=observer.asked,
        store=cache,
    )
    baseline = asks_baseline(prepared.baseline, config, observer.asked, cache)
    asking = _Asking(prepared, predictor, observer, baseline)
    ledger = _ledger(store, config, asking, plan)
    stored = ledger.begin(observer)
    if stored is not None:
        return _decided_today(stored, config, prepared, started.date())
    checked = check_answers(prepared, asking.answers)

    run_checks(plan, _workbench(config, asking, plan), observer, ledger)
    findings = [*_plugin_findings(registry.broken), *ledger.findings(plan)]
    today = started.date()
    return AuditResult(
        title=config.report.title or prepared.model.name,
        subject=_subject(config, prepared, checked),
        suite=plan.suite,
        suite_digest=suite_digest,
        seed=config.seed,
        findings=tuple(findings),
        not_run=plan.not_run,
        policy=config.policy,
        decision=decide(findings, config.policy, today),
        decided_on=today.isoformat(),
        environment=environment(),
        timing=_timing(started, began, asking, ledger),
        guides={entry.check.id: _guide(entry.check) for entry in plan.checks},
        replayed=ledger.replayed(plan),
        seeds_seen=ledger.seeds_seen,
    )


def asks_a_model(config: AuditConfig) -> bool:
    """Whether there is more to ask than predictions on file."""
    models = (config.model, config.baseline)
    return any(one is not None and not one.recorded for one in models)


def _timing(started: datetime.datetime, began: float, asking: _Asking, ledger: Ledger) -> Timing:
    asked = [one for one in (asking.predictor, asking.baseline) if one is not None]
    return Timing(
        started=started.isoformat(timespec="seconds"),
        seconds=time.perf_counter() - began,
        model_seconds=sum(one.seconds for one in asked),
        checks=ledger.seconds,
        asking=ledger.total(*(one.statistics for one in asked)),
    )


class _Asking:
    """The model's answers for the audited rows, asked for when first needed."""

    def __init__(
        self,
        prepared: Prepared,
        predictor: SharedPredictor,
        observer: Observer,
        baseline: BaselinePredictor | None,
    ) -> None:
        self.prepared = prepared
        self.predictor = predictor
        self.baseline = baseline
        self._observer = observer
        self._answers: Predictions | None = None

    @property
    def answers(self) -> Predictions:
        """Answers for `prepared.audited.inputs`."""
        if self._answers is None:
            self._observer.stage("Asking the model")
            self._answers = self.predictor.predict(self.prepared.audited.inputs)
        return self._answers

    def opaque_answers(self) -> Answered:
        """The answers for the audited rows of the models whose digests say too little."""
        prepared, baseline = self.prepared, self.baseline
        hidden = prepared.baseline is not None and is_opaque(prepared.baseline.model)
        return Answered(
            self.answers if is_opaque(prepared.model) else None,
            baseline.predict(prepared.audited.inputs) if hidden and baseline is not None else None,
        )


def _ledger(store: RunStore | None, config: AuditConfig, asking: _Asking, plan: Plan) -> Ledger:
    if store is None:
        return Ledger()
    prepared = asking.prepared
    keys = check_keys(config, prepared, plan, asking.opaque_answers())
    return Ledger(store, keys, run_inputs(config, prepared, plan, keys))


def _decided_today(
    stored: AuditResult, config: AuditConfig, prepared: Prepared, today: datetime.date
) -> AuditResult:
    """The stored result; decided again when the policy has changed or a waiver has expired."""
    stored = replace(stored, title=config.report.title or prepared.model.name)
    again = stored.under(config.policy, today)
    same = again.decision == stored.decision and again.policy == stored.policy
    return stored if same else again


def _workbench(config: AuditConfig, asking: _Asking, plan: Plan) -> Workbench:
    prepared = asking.prepared
    confidence = Confidence(config.confidence, plan.suite.family)
    splits = {name: prepared.data.rows(index) for name, index in prepared.data.splits.items()}
    return Workbench(
        asking.predictor, prepared.audited, splits, confidence, config.seed, prepared.shifts,
        prepared.training, prepared.validation, prepared.held_out, asking.baseline,
        bench_for(config, prepared) if has_timed(plan) else None,
        TextExplainer(asking.predictor, prepared.model, config.seed),
    )  # fmt: skip


def environment() -> dict[str, str]:
    """Versions of Python, the platform and the packages a result depends on."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in REPORTED_PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _guide(check: Check) -> Guide:
    parts = check.sections
    return Guide(parts.get("How to read it", ""), parts.get("What to do", ""), check.related)


def with_plan(
    config: AuditConfig,
    registry: Registry,
    prepared: Prepared,
    store: PredictionStore | None = None,
) -> tuple[Prepared, Plan]:
    """The checks that will run, and the rows and the baseline that one of them asks for.

    Raises:
        AuditkitError: As `make_plan`, or these rows cannot be read, or the baseline not be loaded.
    """
    plan = make_plan(config, registry, capabilities_of(config, prepared))
    if any(entry.is_given(Capability.BASELINE) for entry in plan.checks):
        prepared = replace(prepared, baseline=load_baseline(config, prepared, store))
    if any(entry.is_given(Capability.TRAINING_ROWS) for entry in plan.checks):
        prepared = replace(
            prepared,
            training=trained_on(config, prepared),
            held_out=held_out_splits(config, prepared),
        )
    if any(entry.is_given(Capability.VALIDATION_ROWS) for entry in plan.checks):
        prepared = replace(prepared, validation=validated_on(config, prepared))
    return prepared, plan


def capabilities_of(config: AuditConfig, prepared: Prepared) -> frozenset[Capability]:
    """What model and data offer together."""
    offered = _of_model(prepared.model)
    if prepared.audited.labels is not None:
        offered.add(Capability.LABELS)
    if prepared.audited.groups:
        offered.add(Capability.GROUPS)
    if prepared.shifts:
        offered.add(Capability.SHIFTS)
    sets = (prepared.audited, *(shift.data for shift in prepared.shifts.values()))
    if any(data.pairs is not None for data in sets):
        offered.add(Capability.PAIRS)
    if any(prepared.audited.rationales or ()):
        offered.add(Capability.RATIONALES)
    if names_training_rows(config, prepared):
        offered.add(Capability.TRAINING_ROWS)
    if names_validation_rows(config, prepared):
        offered.add(Capability.VALIDATION_ROWS)
    if config.baseline is not None:
        offered.add(Capability.BASELINE)
    return frozenset(offered)


def _of_model(model: Model) -> set[Capability]:
    offered = set(model.capabilities)
    if Capability.NEW_INPUTS in offered:
        offered.add(Capability.TIMED)
        if Capability.PROBABILITIES in offered:
            offered.add(Capability.EXPLANATIONS)
    return offered


def _plugin_findings(broken: Sequence[BrokenPlugin]) -> list[Finding]:
    return [
        Finding(
            check=f"plugin:{plugin.source}",
            title="The plug-in can be loaded",
            outcome=Outcome.ERROR,
            severity=Severity.HIGH,
            message=f"could not be loaded: {plugin.error}",
        )
        for plugin in broken
    ]


def _said_of(baseline: Baseline | None) -> Mapping[str, str]:
    return {} if baseline is None else baseline.said


def _subject(config: AuditConfig, prepared: Prepared, checked: dict[str, str]) -> Subject:
    audited = prepared.audited
    groups = {}
    for name, attribute in audited.groups.items():
        counts = dict(zip(attribute.levels, attribute.sizes().tolist(), strict=True))
        groups[name] = counts | ({"(missing)": attribute.missing} if attribute.missing else {})
    return Subject(
        model=prepared.model.name,
        model_digest=prepared.model.digest,
        class_names=prepared.model.class_names,
        data=prepared.name,
        data_digest=prepared.data_digest,
        split=config.data.evaluate if config.data.split else "all rows",
        rows=len(audited),
        groups=groups,
        assumptions={**prepared.assumptions, **_said_of(prepared.baseline), **checked},
        warnings=prepared.warnings,
    )
