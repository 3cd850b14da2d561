"""Runs an audit: model and data in, one `AuditResult` out. Writes nothing, prints nothing."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import platform
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from auditkit.check import Check, Confidence, Context
from auditkit.config import AuditConfig
from auditkit.data import AuditData
from auditkit.errors import AuditkitError, NotApplicable
from auditkit.finding import Finding, Measurement, Outcome, Severity
from auditkit.gate import decide
from auditkit.judge import judge
from auditkit.measured import CheckRecord, Ending, Measured
from auditkit.model import Capability, Predictions
from auditkit.network import settle_network
from auditkit.plan import Plan, PlannedCheck, make_plan
from auditkit.prediction_store import PredictionStore, open_store
from auditkit.predictor import SharedPredictor
from auditkit.preflight import Prepared, check_answers, prepare
from auditkit.registry import BrokenPlugin, load_registry
from auditkit.result import (
    AuditResult,
    Guide,
    PredictorStatistics,
    SeedRun,
    Subject,
    Timing,
)
from auditkit.run_identity import RunInputs, check_keys, is_opaque, run_inputs
from auditkit.run_store import RunStore

REPORTED_PACKAGES = (
    "auditkit", "numpy", "scipy", "statsmodels", "scikit-learn", "fairlearn", "pandas",
    "torch", "transformers", "tokenizers", "safetensors", "evaluate", "datasets",
)  # fmt: skip


class Observer(Protocol):
    """Told about the progress of an audit; every method may do nothing."""

    def stage(self, name: str) -> None:
        """A part of the audit begins: loading, asking the model."""

    def asked(self, done: int, total: int) -> None:
        """The model has answered `done` of `total` distinct inputs of this request."""

    def check_started(self, check_id: str, position: int, total: int) -> None:
        """Check `position` (from 1) of `total` begins."""

    def advanced(self, share: float) -> None:
        """A share (0..1) of the running check is done."""

    def check_finished(self, check_id: str, findings: Sequence[Finding]) -> None:
        """A check has ended with these findings."""

    def check_recalled(self, check_id: str, findings: Sequence[Finding], *, replayed: bool) -> None:
        """A check need not run: it was finished before, in an earlier run when `replayed`."""

    def note(self, text: str) -> None:
        """Something the user should know about this run, in a sentence."""


class Silent:
    """An observer that does nothing."""

    def stage(self, name: str) -> None:
        """Ignore."""

    def asked(self, done: int, total: int) -> None:
        """Ignore."""

    def check_started(self, check_id: str, position: int, total: int) -> None:
        """Ignore."""

    def advanced(self, share: float) -> None:
        """Ignore."""

    def check_finished(self, check_id: str, findings: Sequence[Finding]) -> None:
        """Ignore."""

    def check_recalled(self, check_id: str, findings: Sequence[Finding], *, replayed: bool) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""


@dataclass(frozen=True, slots=True)
class Workbench:
    """What the checks of one audit share."""

    predictor: SharedPredictor
    data: AuditData
    splits: dict[str, AuditData]
    confidence: Confidence
    seed: int

    def context(self, check_id: str, advance: Callable[[float], None]) -> Context:
        """The context of one check, with random numbers of its own."""
        entropy = int.from_bytes(hashlib.sha256(check_id.encode()).digest()[:8], "little")
        return Context(
            predictor=self.predictor,
            data=self.data,
            splits=self.splits,
            confidence=self.confidence,
            rng=np.random.default_rng([self.seed, entropy]),
            advance=advance,
        )


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
    cache = None if config.model.recorded else open_store(config.cache)
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
    prepared = prepare(config, cache)
    plan = make_plan(config, registry, capabilities_of(prepared))

    predictor = SharedPredictor(
        prepared.model,
        batch_tokens=config.model.batch_tokens,
        advance=observer.asked,
        store=cache,
    )
    asking = _Asking(prepared, predictor, observer)
    ledger = _Ledger.of(store, config, asking, plan)
    stored = ledger.begin(observer)
    if stored is not None:
        return _decided_today(stored, config, prepared, started.date())
    checked = check_answers(prepared, asking.answers)

    _run_checks(plan, _workbench(config, prepared, plan, predictor), observer, ledger)
    findings = [*_plugin_findings(registry.broken), *ledger.findings]
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
        predictor=ledger.total(predictor.statistics),
        timing=_timing(started, began, predictor, ledger),
        guides={entry.check.id: _guide(entry.check) for entry in plan.checks},
        replayed=ledger.replayed,
        seeds_seen=ledger.seeds_seen,
    )


def _timing(
    started: datetime.datetime, began: float, predictor: SharedPredictor, ledger: _Ledger
) -> Timing:
    passed = time.perf_counter() - began
    return Timing(started.isoformat(timespec="seconds"), passed, predictor.seconds, ledger.seconds)


class _Asking:
    """The model's answers for the audited rows, asked for when first needed."""

    def __init__(self, prepared: Prepared, predictor: SharedPredictor, observer: Observer) -> None:
        self.prepared = prepared
        self._predictor = predictor
        self._observer = observer
        self._answers: Predictions | None = None

    @property
    def answers(self) -> Predictions:
        """Answers for `prepared.audited.inputs`."""
        if self._answers is None:
            self._observer.stage("Asking the model")
            self._answers = self._predictor.predict(self.prepared.audited.inputs)
        return self._answers


@dataclass(slots=True)
class _Ledger:
    """The checks of this run as they are finished, here and in the run directory."""

    store: RunStore | None
    keys: dict[str, str]
    inputs: RunInputs | None
    findings: list[Finding] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    recalled_cost: Counter[str] = field(default_factory=Counter)
    replayed: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, store: RunStore | None, config: AuditConfig, asking: _Asking, plan: Plan
    ) -> _Ledger:
        """A ledger for these checks."""
        if store is None:
            return cls(None, {}, None)
        prepared = asking.prepared
        answers = asking.answers if is_opaque(prepared.model) else None
        keys = check_keys(config, prepared, plan, answers)
        return cls(store, keys, run_inputs(config, prepared, plan, keys))

    def begin(self, observer: Observer) -> AuditResult | None:
        """The stored result of the same run, if it is finished."""
        if self.store is None or self.inputs is None:
            return None
        return self.store.begin(self.inputs, observer.note)

    @property
    def seeds_seen(self) -> tuple[SeedRun, ...]:
        """Other seeds this directory has seen."""
        if self.store is None or self.inputs is None:
            return ()
        return self.store.seeds_seen(self.inputs)

    def recall(self, check_id: str) -> CheckRecord | None:
        """The check as it was finished before, and its cost added to the total."""
        record = self.store.recall(check_id, self.keys[check_id]) if self.store else None
        if record is not None:
            self.recalled_cost.update(record.cost)
        return record

    def keep(self, record: CheckRecord) -> None:
        """Write down a check that has just finished."""
        if self.store is not None:
            self.store.keep(replace(record, key=self.keys[record.check]))

    def add(self, record: CheckRecord, findings: Sequence[Finding]) -> None:
        """Count a finished check into the result."""
        self.findings.extend(findings)
        self.seconds[record.check] = record.seconds
        if record.replayed:
            self.replayed += (record.check,)

    def total(self, asked: PredictorStatistics) -> PredictorStatistics:
        """What asking has cost, with what was asked before this process began."""
        if not self.recalled_cost:
            return asked
        return PredictorStatistics(**(Counter(asdict(asked)) + self.recalled_cost))


def _decided_today(
    stored: AuditResult, config: AuditConfig, prepared: Prepared, today: datetime.date
) -> AuditResult:
    """The stored result; decided again when the policy has changed or a waiver has expired."""
    stored = replace(stored, title=config.report.title or prepared.model.name)
    again = stored.under(config.policy, today)
    same = again.decision == stored.decision and again.policy == stored.policy
    return stored if same else again


def _workbench(
    config: AuditConfig, prepared: Prepared, plan: Plan, predictor: SharedPredictor
) -> Workbench:
    confidence = Confidence(config.confidence, plan.suite.family)
    splits = {name: prepared.data.rows(index) for name, index in prepared.data.splits.items()}
    return Workbench(predictor, prepared.audited, splits, confidence, config.seed)


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
    return Guide(parts.get("How to read it", ""), parts.get("What to do", ""))


def capabilities_of(prepared: Prepared) -> frozenset[Capability]:
    """What model and data offer together."""
    offered = set(prepared.model.capabilities)
    if prepared.audited.labels is not None:
        offered.add(Capability.LABELS)
    if prepared.audited.groups:
        offered.add(Capability.GROUPS)
    return frozenset(offered)


def _run_checks(plan: Plan, bench: Workbench, observer: Observer, ledger: _Ledger) -> None:
    for position, entry in enumerate(plan.checks, start=1):
        check_id = entry.check.id
        record = ledger.recall(check_id)
        if record is not None:
            found = judge_measured(entry, record.measured)
            ledger.add(record, found)
            observer.check_recalled(check_id, found, replayed=record.replayed)
            continue
        observer.check_started(check_id, position, len(plan.checks))
        began, before = time.perf_counter(), Counter(asdict(bench.predictor.statistics))
        measured = measure(entry, bench.context(check_id, observer.advanced))
        cost = Counter(asdict(bench.predictor.statistics))
        cost.subtract(before)
        record = CheckRecord(check_id, "", measured, time.perf_counter() - began, dict(cost))
        ledger.keep(record)
        found = judge_measured(entry, measured)
        ledger.add(record, found)
        observer.check_finished(check_id, found)


def run_check(entry: PlannedCheck, context: Context) -> list[Finding]:
    """Measure and judge one check. Whatever it raises becomes a finding."""
    return judge_measured(entry, measure(entry, context))


def measure(entry: PlannedCheck, context: Context) -> Measured:
    """Run one check. Whatever it raises is recorded, never raised."""
    if entry.obstacle:
        return Measured(Ending.NOT_APPLICABLE, reason=f"{entry.obstacle}.")
    if not len(context.data):
        return Measured(Ending.NOT_APPLICABLE, reason="there are no rows.")
    try:
        measurements = list(entry.check.measure(context, entry.params))
        _check_names(entry, measurements)
        return Measured(Ending.MEASURED, tuple(measurements)).as_recorded()
    except NotApplicable as reason:
        ending, said = Ending.NOT_APPLICABLE, reason.reason
    except AuditkitError as error:
        ending, said = Ending.ERROR, str(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - nor may exit(0) in it be a pass
        ending, said = Ending.ERROR, _crash(error)
    return Measured(ending, reason=said).as_recorded()


def judge_measured(entry: PlannedCheck, measured: Measured) -> list[Finding]:
    """The findings of what a check came to, under the limits of this audit."""
    if measured.ending is not Ending.MEASURED:
        return [_without_number(entry, Outcome(measured.ending.value), measured.reason)]
    return [_judged(entry, measurement) for measurement in measured.measurements]


def _check_names(entry: PlannedCheck, measurements: Sequence[Measurement]) -> None:
    if not measurements:
        raise AuditkitError("the check measured nothing and did not say why.")
    names = [(m.name, m.slice) for m in measurements]
    unknown = [name for name, _ in names if name not in entry.limits]
    if unknown:
        raise AuditkitError(f"the check measured {unknown[0]!r}, for which it declares no limit.")
    if len(set(names)) < len(names):
        raise AuditkitError("the check measured the same thing twice on one slice.")


def _crash(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"the check crashed: {type(error).__name__}: {error}{where}"


def _judged(entry: PlannedCheck, measurement: Measurement) -> Finding:
    limit = entry.limits[measurement.name]
    verdict = judge(measurement, limit.value, limit.direction)
    return Finding(
        check=entry.check.id,
        title=entry.check.title,
        outcome=verdict.outcome,
        severity=entry.severity,
        message=verdict.message,
        measurement=measurement,
        limit=limit.value,
        direction=limit.direction,
        interval=verdict.interval,
        needed_n=verdict.needed_n,
        required=entry.required,
    )


def _without_number(entry: PlannedCheck, outcome: Outcome, message: str) -> Finding:
    return Finding(
        check=entry.check.id,
        title=entry.check.title,
        outcome=outcome,
        severity=entry.severity,
        message=message,
        required=entry.required,
    )


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
        data_digest=prepared.data.digest,
        split=config.data.evaluate if config.data.split else "all rows",
        rows=len(audited),
        groups=groups,
        assumptions=prepared.assumptions | checked,
        warnings=prepared.warnings,
    )
