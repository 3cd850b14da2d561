"""Runs an audit: model and data in, one `AuditResult` out. Writes nothing, prints nothing."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import platform
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from auditkit.check import Confidence, Context
from auditkit.config import AuditConfig
from auditkit.data import AuditData
from auditkit.errors import AuditkitError, NotApplicable
from auditkit.finding import Finding, Measurement, Outcome, Severity
from auditkit.gate import decide
from auditkit.judge import judge
from auditkit.model import Capability
from auditkit.network import settle_network
from auditkit.plan import Plan, PlannedCheck, make_plan
from auditkit.predictor import SharedPredictor
from auditkit.preflight import Prepared, check_answers, prepare
from auditkit.registry import BrokenPlugin, load_registry
from auditkit.result import AuditResult, Guide, Subject, Timing

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


def run_audit(config: AuditConfig, observer: Observer | None = None) -> AuditResult:
    """Audit a model as configured.

    A check that raises becomes a finding with outcome ERROR; the others still run.

    Raises:
        AuditkitError: Configuration, data or model are unusable; nothing was measured.
    """
    observer = observer or Silent()
    settle_network(online=config.online)
    began, started = time.perf_counter(), datetime.datetime.now(datetime.UTC)
    observer.stage("Reading the data and loading the model")
    registry = load_registry([Path(folder) for folder in config.plugins])
    prepared = prepare(config)
    plan = make_plan(config, registry, capabilities_of(prepared))
    suite_digest = plan.suite.digest  # before the first prediction: limits cannot follow results

    observer.stage("Asking the model")
    predictor = SharedPredictor(
        prepared.model, batch_tokens=config.model.batch_tokens, advance=observer.asked
    )
    confidence = Confidence(config.confidence, plan.suite.family)
    splits = {name: prepared.data.rows(index) for name, index in prepared.data.splits.items()}
    bench = Workbench(predictor, prepared.audited, splits, confidence, config.seed)
    checked = check_answers(prepared, predictor.predict(prepared.audited.inputs))

    findings, seconds = _run_checks(plan, bench, observer)
    findings = [*_plugin_findings(registry.broken), *findings]
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
        predictor=predictor.statistics,
        timing=Timing(
            started.isoformat(timespec="seconds"),
            time.perf_counter() - began,
            predictor.seconds,
            seconds,
        ),
        guides={
            entry.check.id: Guide(
                entry.check.sections.get("How to read it", ""),
                entry.check.sections.get("What to do", ""),
            )
            for entry in plan.checks
        },
    )


def environment() -> dict[str, str]:
    """Versions of Python, the platform and the packages a result depends on."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in REPORTED_PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def capabilities_of(prepared: Prepared) -> frozenset[Capability]:
    """What model and data offer together."""
    offered = set(prepared.model.capabilities)
    if prepared.audited.labels is not None:
        offered.add(Capability.LABELS)
    if prepared.audited.groups:
        offered.add(Capability.GROUPS)
    return frozenset(offered)


def _run_checks(
    plan: Plan, bench: Workbench, observer: Observer
) -> tuple[list[Finding], dict[str, float]]:
    findings: list[Finding] = []
    seconds: dict[str, float] = {}
    for position, entry in enumerate(plan.checks, start=1):
        observer.check_started(entry.check.id, position, len(plan.checks))
        began = time.perf_counter()
        found = run_check(entry, bench.context(entry.check.id, observer.advanced))
        seconds[entry.check.id] = time.perf_counter() - began
        observer.check_finished(entry.check.id, found)
        findings.extend(found)
    return findings, seconds


def run_check(entry: PlannedCheck, context: Context) -> list[Finding]:
    """Measure and judge one check. Whatever it raises becomes a finding."""
    if entry.obstacle:
        return [_without_number(entry, Outcome.NOT_APPLICABLE, f"{entry.obstacle}.")]
    if not len(context.data):
        return [_without_number(entry, Outcome.NOT_APPLICABLE, "there are no rows.")]
    try:
        measurements = list(entry.check.measure(context, entry.params))
        _check_names(entry, measurements)
    except NotApplicable as reason:
        return [_without_number(entry, Outcome.NOT_APPLICABLE, reason.reason)]
    except AuditkitError as error:
        return [_without_number(entry, Outcome.ERROR, str(error))]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - nor may exit(0) in it be a pass
        return [_without_number(entry, Outcome.ERROR, _crash(error))]
    return [_judged(entry, measurement) for measurement in measurements]


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
