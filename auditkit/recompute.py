"""Does a result agree with itself, and with the journal of its run? Without model or data."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields

from auditkit.finding import Finding, Outcome
from auditkit.gate import Decision, decide
from auditkit.measured import CheckRecord, Ending
from auditkit.result import AuditResult, SuiteCheck


def contradictions(result: AuditResult) -> list[str]:
    """Every verdict and the decision recomputed from the measurements; what differs, in words."""
    try:
        again = result.rejudged()
        decision = decide(
            result.findings, result.policy, datetime.date.fromisoformat(result.decided_on)
        )
    except (KeyError, ValueError, ArithmeticError, TypeError) as error:
        return [f"the verdicts cannot be recomputed ({type(error).__name__}: {error})"]
    found = []
    for finding, fresh in zip(result.findings, again, strict=True):
        found += [f"{_name(finding)}: {what}" for what in _differing(finding, fresh)]
    found += _against_suite(result)
    if decision != result.decision:
        names = [f.name for f in fields(Decision) if _differ(decision, result.decision, f.name)]
        found.append(f"the decision differs from the recomputed one in {', '.join(names)}")
    return found


def journal_contradictions(result: AuditResult, records: Mapping[str, CheckRecord]) -> list[str]:
    """What the findings say otherwise than the journal of the run, in words."""
    by_check: dict[str, list[Finding]] = {}
    for finding in result.findings:
        by_check.setdefault(finding.check, []).append(finding)
    found = [
        f"{check}: is in the result but not in events.jsonl"
        for check in by_check
        if check not in records and not check.startswith("plugin:")
    ]
    for check, record in records.items():
        findings = by_check.get(check, [])
        measured = tuple(finding.measurement for finding in findings)
        if record.measured.ending is Ending.MEASURED:
            if measured != record.measured.measurements:
                found.append(f"{check}: its measurements differ from those in events.jsonl")
        elif [(f.outcome, f.message) for f in findings] != [
            (Outcome(record.measured.ending.value), record.measured.reason)
        ]:
            found.append(f"{check}: its outcome differs from that in events.jsonl")
    return found


def _against_suite(result: AuditResult) -> Iterator[str]:
    suite = {check.id: check for check in result.suite.checks}
    for finding in result.findings:
        check = suite.get(finding.check)
        if check is not None:
            wrong = [*_not_as_set(finding, check)]
            if wrong:
                yield f"{_name(finding)}: {', '.join(wrong)} differs from the suite"
        elif not finding.check.startswith("plugin:"):
            yield f"{_name(finding)}: is not in the suite"
    missing = set(suite) - {finding.check for finding in result.findings}
    yield from (f"{check}: is in the suite but has no finding" for check in sorted(missing))


def _not_as_set(finding: Finding, check: SuiteCheck) -> Iterable[str]:
    for name in ("title", "severity", "required"):
        if getattr(finding, name) != getattr(check, name):
            yield name
    if finding.measurement is not None:
        limit = check.limits[finding.measurement.name]
        if (finding.limit, finding.direction) != (limit.value, limit.direction):
            yield "limit"


def _differing(recorded: Finding, recomputed: Finding) -> list[str]:
    return [
        f"its recorded {name} is {getattr(recorded, name)!s}, "
        f"recomputed it is {getattr(recomputed, name)!s}"
        for name in ("outcome", "message", "interval", "needed_n")
        if _differ(recorded, recomputed, name)
    ]


def _differ(one: object, other: object, name: str) -> bool:
    return bool(getattr(one, name) != getattr(other, name))


def _name(finding: Finding) -> str:
    part = finding.measurement.slice if finding.measurement else ""
    return f"{finding.check} on {part}" if part else finding.check
