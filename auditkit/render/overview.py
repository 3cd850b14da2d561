"""What every report says first: the verdict, what blocks, and one row per finding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from auditkit.finding import Finding, Outcome
from auditkit.gate import ExitCode, WaivedFinding
from auditkit.render import figures
from auditkit.result import AuditResult

Standing = Literal["blocks", "waived", "tolerated", ""]


@dataclass(frozen=True, slots=True)
class Mark:
    """How an outcome is shown: never by colour alone."""

    name: str
    symbol: str
    word: str


MARKS: Mapping[Outcome, Mark] = {
    Outcome.FAIL: Mark("fail", "✕", "fail"),
    Outcome.ERROR: Mark("error", "!", "error"),
    Outcome.INCONCLUSIVE: Mark("inconclusive", "?", "inconclusive"),
    Outcome.PASS: Mark("pass", "✓", "pass"),
    Outcome.NOT_APPLICABLE: Mark("not-applicable", "–", "not applicable"),
}

REPORTED = Mark("not-applicable", "–", "reported")
"""Measured without a limit: there is a number, so "not applicable" would mislead."""

_MEANINGS = {
    ExitCode.PASS: "nothing blocks the release",
    ExitCode.FAIL: "a check failed",
    ExitCode.USAGE: "the audit could not start",
    ExitCode.INCONCLUSIVE: "a check could not be decided",
    ExitCode.INCOMPLETE: "the audit is incomplete",
    ExitCode.NOTHING_RAN: "nothing was decided",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One finding in a line. Text is as it came; each format makes it harmless its own way."""

    finding: Finding
    anchor: str
    """Unique in the report, even where two findings share a fingerprint."""
    mark: Mark
    standing: Standing
    family: str
    name: str
    """The check's id without its family."""
    measure: str
    """Name of the measurement in words; empty when nothing was measured."""
    slice: str
    value: str
    interval: str
    limit: str
    n: str
    waiver: WaivedFinding | None

    @property
    def subject(self) -> str:
        """What of the check this row is about: `gap · dialect`."""
        return " · ".join(part for part in (self.measure, self.slice) if part)


@dataclass(frozen=True, slots=True)
class Family:
    """The rows of the checks that share the first part of their id."""

    name: str
    anchor: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Headline:
    """The verdict."""

    passed: bool
    word: str
    exit_code: int
    meaning: str
    reason: str
    counts: tuple[tuple[Mark, int], ...]
    """Findings per mark, worst first, every outcome named."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Headline, rows in the order of the result, and what blocks, worst first."""

    headline: Headline
    rows: tuple[Row, ...]
    blocking: tuple[Row, ...]

    @property
    def families(self) -> tuple[Family, ...]:
        """The rows by family, in order of first appearance."""
        return families(self.rows)


def overview(result: AuditResult) -> Overview:
    """The rows of a result with their standing under its policy."""
    rows = _rows(result)
    decision = result.decision
    tally = Counter(row.mark for row in rows)
    marks = (*MARKS.values(), *((REPORTED,) if tally[REPORTED] else ()))
    return Overview(
        headline=Headline(
            passed=decision.passed,
            word="PASS" if decision.passed else "BLOCKED",
            exit_code=decision.exit_code,
            meaning=meaning(decision.exit_code),
            reason=_reason(decision.reason),
            counts=tuple((mark, tally[mark]) for mark in marks),
        ),
        rows=rows,
        blocking=tuple(sorted((r for r in rows if r.standing == "blocks"), key=_weight)),
    )


def families(rows: Iterable[Row]) -> tuple[Family, ...]:
    """Rows grouped by family, in order of first appearance."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.family, []).append(row)
    return tuple(
        Family(name, f"family-{place}", tuple(members))
        for place, (name, members) in enumerate(grouped.items(), start=1)
    )


def family_of(check: str) -> str:
    """First part of a check's id."""
    return split_id(check)[0]


def split_id(check: str) -> tuple[str, str]:
    """Family and name of an id: `fairness.gap`, or `plugin:a.py` for a plug-in that failed."""
    family, _, name = check.partition(":" if check.startswith("plugin:") else ".")
    return family or "(unnamed)", name or family or "(unnamed)"


def meaning(exit_code: int) -> str:
    """An exit code in words."""
    known = exit_code in set(ExitCode)
    return _MEANINGS[ExitCode(exit_code)] if known else "an unknown exit code"


def _reason(reason: str) -> str:
    """Without the word that already stands above it."""
    rest = reason.removeprefix("Blocked.").strip()
    return rest[:1].upper() + rest[1:]


def _weight(row: Row) -> int:
    return list(MARKS).index(row.finding.outcome)


def _mark(finding: Finding) -> Mark:
    judged = finding.outcome is not Outcome.NOT_APPLICABLE or finding.measurement is None
    return MARKS[finding.outcome] if judged else REPORTED


def _rows(result: AuditResult) -> tuple[Row, ...]:
    standings: dict[str, Standing] = dict.fromkeys(result.decision.warnings, "tolerated")
    waivers = {waived.fingerprint: waived for waived in result.decision.waived}
    standings.update(dict.fromkeys(waivers, "waived"))
    standings.update(dict.fromkeys(result.decision.blocking, "blocks"))
    seen: Counter[str] = Counter()
    rows = []
    for finding in result.findings:
        fingerprint = finding.fingerprint
        seen[fingerprint] += 1
        repeat = f"-{seen[fingerprint]}" if seen[fingerprint] > 1 else ""
        standing = standings.get(fingerprint, "")
        rows.append(
            _row(finding, f"finding-{fingerprint}{repeat}", standing, waivers.get(fingerprint))
        )
    return tuple(rows)


def _row(finding: Finding, anchor: str, standing: Standing, waiver: WaivedFinding | None) -> Row:
    measured = finding.measurement
    family, name = split_id(finding.check)
    return Row(
        finding=finding,
        anchor=anchor,
        mark=_mark(finding),
        standing=standing,
        family=family,
        name=name,
        measure=measured.name.replace("_", " ") if measured else "",
        slice=measured.slice if measured else "",
        value=figures.figure(measured.value if measured else None),
        interval=figures.span(finding.interval),
        limit=figures.bound(finding.limit, finding.direction),
        n=figures.count(measured.n if measured else None),
        waiver=waiver,
    )
