"""From findings and a policy to a decision. Pure."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Sequence
from dataclasses import dataclass

from auditkit.config import Policy, Waiver
from auditkit.finding import Finding, Outcome


class ExitCode(enum.IntEnum):
    """What the process returns."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    INCONCLUSIVE = 3
    INCOMPLETE = 4
    NOTHING_RAN = 5


@dataclass(frozen=True, slots=True)
class WaivedFinding:
    """A finding that would block but for a waiver."""

    fingerprint: str
    reason: str
    approved_by: str
    expires: str
    """ISO date."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the model may be released under a policy, and what stands in the way.

    Findings are named by fingerprint.
    """

    exit_code: int
    reason: str
    """One line that says why."""
    blocking: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """Failures and undecided findings the policy lets through."""
    waived: tuple[WaivedFinding, ...] = ()
    unused_waivers: tuple[str, ...] = ()
    """Waivers that have expired or match no finding that would block, in words."""

    @property
    def passed(self) -> bool:
        """True when the exit code is 0."""
        return self.exit_code == ExitCode.PASS


def decide(findings: Sequence[Finding], policy: Policy, today: datetime.date) -> Decision:
    """Apply a policy.

    A failure blocks from `policy.fail_on` on unless waived. A check that crashed always blocks, as
    does one the configuration names that could not run. Undecided findings block when the policy
    says so. When nothing was decided at all, that is not a pass either.
    """
    active = [w for w in policy.waivers if today <= w.expires]
    used: set[int] = set()
    blocking: dict[ExitCode, list[Finding]] = {}
    warnings: list[Finding] = []
    waived: list[WaivedFinding] = []
    for finding in findings:
        code = _blocks_as(finding)
        if code is None:
            continue
        waiver = _waiver_for(finding, active) if code is not ExitCode.INCOMPLETE else None
        if waiver is not None:
            used.add(id(waiver))
            waived.append(
                WaivedFinding(
                    finding.fingerprint,
                    waiver.reason,
                    waiver.approved_by,
                    waiver.expires.isoformat(),
                )
            )
        elif _tolerated(finding, code, policy):
            warnings.append(finding)
        else:
            blocking.setdefault(code, []).append(finding)
    code = _exit_code(findings, blocking)
    return Decision(
        exit_code=int(code),
        reason=_reason(code, blocking, findings),
        blocking=tuple(f.fingerprint for group in blocking.values() for f in group),
        warnings=tuple(f.fingerprint for f in warnings),
        waived=tuple(waived),
        unused_waivers=tuple(_in_words(w, today) for w in policy.waivers if id(w) not in used),
    )


def _blocks_as(finding: Finding) -> ExitCode | None:
    """The exit code a finding would cause with no policy to soften it."""
    match finding.outcome:
        case Outcome.FAIL:
            return ExitCode.FAIL
        case Outcome.INCONCLUSIVE:
            return ExitCode.INCONCLUSIVE
        case Outcome.ERROR:
            return ExitCode.INCOMPLETE
        case Outcome.NOT_APPLICABLE if finding.required and finding.measurement is None:
            return ExitCode.INCOMPLETE
        case _:
            return None


def _tolerated(finding: Finding, code: ExitCode, policy: Policy) -> bool:
    if code is ExitCode.INCOMPLETE:
        return False
    if finding.severity.rank < policy.fail_on.rank:
        return True
    return code is ExitCode.INCONCLUSIVE and policy.inconclusive == "warn"


def _waiver_for(finding: Finding, waivers: Sequence[Waiver]) -> Waiver | None:
    part = finding.measurement.slice if finding.measurement else ""
    for waiver in waivers:
        if waiver.check == finding.check and waiver.slice in (None, part):
            return waiver
    return None


def _exit_code(findings: Sequence[Finding], blocking: dict[ExitCode, list[Finding]]) -> ExitCode:
    for code in (ExitCode.FAIL, ExitCode.INCOMPLETE, ExitCode.INCONCLUSIVE):
        if code in blocking:
            return code
    decided = {Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE}
    return ExitCode.PASS if any(f.outcome in decided for f in findings) else ExitCode.NOTHING_RAN


def _reason(
    code: ExitCode, blocking: dict[ExitCode, list[Finding]], findings: Sequence[Finding]
) -> str:
    if code is ExitCode.NOTHING_RAN:
        return "Nothing was decided: no check could run on this model and data."
    if code is ExitCode.PASS:
        passed = sum(f.outcome is Outcome.PASS for f in findings)
        return f"Nothing blocks: {passed} of {len(findings)} findings pass."
    said = {
        ExitCode.FAIL: "failed",
        ExitCode.INCOMPLETE: "could not be completed",
        ExitCode.INCONCLUSIVE: "could not be decided",
    }
    parts = []
    for kind, word in said.items():
        if kind in blocking:
            ids = dict.fromkeys(f.check for f in blocking[kind])
            parts.append(f"{word}: {', '.join(ids)}")
    return "Blocked. " + "; ".join(parts) + "."


def _in_words(waiver: Waiver, today: datetime.date) -> str:
    what = f"{waiver.check} on {waiver.slice}" if waiver.slice else waiver.check
    if waiver.expires < today:
        return f"{what}: expired on {waiver.expires.isoformat()}"
    return f"{what}: nothing to waive"
