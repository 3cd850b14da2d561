"""The record of an audit: one versioned JSON document from which every report is made."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from auditkit.config import Policy
from auditkit.errors import ResultError
from auditkit.finding import Finding, Severity
from auditkit.gate import Decision, decide
from auditkit.judge import Direction, judge

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Subject:
    """What was audited."""

    model: str
    model_digest: str
    class_names: tuple[str, ...]
    data: str
    """Name of the data file or data set."""
    data_digest: str
    split: str
    rows: int
    """Rows of the audited split."""
    groups: dict[str, dict[str, int]]
    """Rows per group of each sensitive attribute, "(missing)" included where there are any."""
    assumptions: dict[str, str]
    """What was assumed rather than told, by topic."""
    warnings: tuple[str, ...] = ()
    """What a reader should know about the data before believing a number."""


@dataclass(frozen=True, slots=True)
class SuiteLimit:
    """A limit as it was set before the first prediction."""

    direction: Direction
    value: float | None


@dataclass(frozen=True, slots=True)
class SuiteCheck:
    """A check as it was configured before the first prediction."""

    id: str
    title: str
    severity: Severity
    limits: dict[str, SuiteLimit]
    params: dict[str, Any]
    required: bool


@dataclass(frozen=True, slots=True)
class Suite:
    """The checks, limits and error levels of an audit."""

    checks: tuple[SuiteCheck, ...]
    confidence: float
    family: int
    """Gated limits over which the chance of a false FAIL is shared."""

    @property
    def digest(self) -> str:
        """SHA-256 of the suite, taken before the model is asked anything.

        Without `family`, which follows from what model and data allow.
        """
        from pydantic import TypeAdapter

        canonical = TypeAdapter(Suite).dump_python(self, mode="json", exclude={"family"})
        return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Guide:
    """What a check's documentation tells the reader of a finding."""

    reading: str
    """How to read the number."""
    remedy: str
    """What to do about a failure."""
    related: tuple[str, ...] = ()
    """Ids of checks whose findings belong beside this one's."""


@dataclass(frozen=True, slots=True)
class NotRun:
    """A check that was left out on purpose."""

    check: str
    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class PredictorStatistics:
    """What asking the model cost."""

    asked: int = 0
    """Inputs the checks asked about."""
    distinct: int = 0
    """Distinct questions (an input, or its embedding), each of which reached the model at most
    once."""
    tokens: int = 0
    """Tokens the model was asked about."""
    padding: int = 0
    """Padding tokens the model computed besides."""
    batches: int = 0
    cached: int = 0
    """Distinct questions answered from disk, as an earlier audit left them."""
    embedded: int = 0
    """Distinct questions that were for an embedding."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Everything in a result that differs between two runs of the same audit."""

    started: str = ""
    """UTC, ISO 8601."""
    seconds: float = 0.0
    model_seconds: float = 0.0
    """Spent inside the model."""
    checks: dict[str, float] = field(default_factory=dict)
    """Seconds per check."""
    asking: PredictorStatistics = field(default_factory=PredictorStatistics)
    """What asking the model cost; what was finished before an interruption included."""


@dataclass(frozen=True, slots=True)
class SeedRun:
    """A run of the same model, data and suite with another seed."""

    seed: int
    exit_code: int | None
    """None when it was not finished."""


@dataclass(frozen=True, slots=True)
class AuditResult:
    """One finished audit."""

    title: str
    subject: Subject
    suite: Suite
    suite_digest: str
    seed: int
    findings: tuple[Finding, ...]
    not_run: tuple[NotRun, ...]
    policy: Policy
    decision: Decision
    decided_on: str
    """Day the policy was applied, ISO; waivers expire by it."""
    environment: dict[str, str]
    """Versions of Python and packages, platform, device."""
    timing: Timing
    guides: dict[str, Guide] = field(default_factory=dict)
    """By check id."""
    replayed: tuple[str, ...] = ()
    """Checks not measured in this run: nothing they depend on had changed since an earlier one."""
    seeds_seen: tuple[SeedRun, ...] = ()
    """Every other seed this run directory has seen for the same model, data and suite."""
    schema_version: int = SCHEMA_VERSION

    @property
    def by_fingerprint(self) -> Mapping[str, Finding]:
        """The findings by fingerprint."""
        return {finding.fingerprint: finding for finding in self.findings}

    def to_json(self) -> str:
        """The record as JSON text, keys sorted, without NaN or infinity.

        Lone surrogates, which JSON readers refuse, become question marks.
        """
        document = _adapter().dump_python(self, mode="json")
        text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
        return text.encode("utf-8", errors="replace").decode("utf-8")

    @classmethod
    def from_json(cls, text: str | bytes) -> AuditResult:
        """Read a record written by `to_json`.

        Raises:
            ResultError: It is not JSON, not a result, from a newer schema, or its suite, verdicts
                or decision are not those the audit recorded.
        """
        from pydantic import ValidationError

        try:
            document = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ResultError(f"not a saved result: {error}.") from None
        version = document.get("schema_version") if isinstance(document, dict) else None
        if version != SCHEMA_VERSION:
            raise ResultError(
                f"this result has schema version {version!r}; this program reads {SCHEMA_VERSION}.",
                "Read it with the auditkit version named in it under environment.",
            )
        try:
            result = _adapter().validate_json(json.dumps(document))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ResultError(f"not a saved result: {where}: {first['msg']}.") from None
        if result.suite.digest != result.suite_digest:
            raise ResultError("the suite in this result was changed after the audit.")
        result._refuse_other_verdicts()
        return result

    def _refuse_other_verdicts(self) -> None:
        """Refuse a record whose verdicts do not follow from its measurements and limits."""
        try:
            rejudged = self.rejudged()
            today = datetime.date.fromisoformat(self.decided_on)
        except (KeyError, ValueError) as error:
            raise ResultError(f"not a saved result: {error!r}.") from None
        for finding, again in zip(self.findings, rejudged, strict=True):
            if finding != again:
                raise ResultError(
                    f"the finding of {finding.check} was changed after the audit: its measurement "
                    f"means {again.outcome.value!r}, the record says {finding.outcome.value!r}."
                )
        accounted = {f.check for f in self.findings} | {entry.check for entry in self.not_run}
        for check in self.suite.checks:
            if check.id not in accounted:
                raise ResultError(f"the findings of {check.id} were removed after the audit.")
        if decide(self.findings, self.policy, today) != self.decision:
            raise ResultError("the decision in this result does not follow from its findings.")

    def under(self, policy: Policy, today: datetime.date) -> AuditResult:
        """The same measurements decided again under another policy."""
        return replace(
            self,
            policy=policy,
            decision=decide(self.findings, policy, today),
            decided_on=today.isoformat(),
        )

    def rejudged(self) -> tuple[Finding, ...]:
        """Every finding judged again from its measurement and the recorded limit."""
        limits = {
            (c.id, name): limit for c in self.suite.checks for name, limit in c.limits.items()
        }
        return tuple(
            finding
            if finding.measurement is None
            else _judged_again(finding, limits[finding.check, finding.measurement.name])
            for finding in self.findings
        )


def _judged_again(finding: Finding, limit: SuiteLimit) -> Finding:
    assert finding.measurement is not None
    verdict = judge(finding.measurement, limit.value, limit.direction)
    return replace(
        finding,
        limit=limit.value,
        direction=limit.direction,
        outcome=verdict.outcome,
        message=verdict.message,
        interval=verdict.interval,
        needed_n=verdict.needed_n,
    )


def _adapter() -> TypeAdapter[AuditResult]:
    from pydantic import TypeAdapter

    return TypeAdapter(AuditResult)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
