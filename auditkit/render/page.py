"""The HTML page as frozen values: everything it shows, nothing of how it looks.

`page(result)` decides what is shown, in which order and how much of it; the template writes it
down. Text is as it came: the template's environment makes every piece of it harmless.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditkit.finding import (
    Finding,
    Outcome,
)
from auditkit.gate import WaivedFinding
from auditkit.render import charts, figures
from auditkit.render.overview import MARKS, Headline, Mark, Row, families, overview
from auditkit.render.page_evidence import EvidenceView, Room, evidence_view
from auditkit.result import AuditResult, Guide, Suite, SuiteCheck

FINDINGS = 400
"""Findings the page shows; what blocks comes first when there are more."""
BLOCKING = 100
"""Findings listed as blocking."""
ENTRIES = 200
"""Entries of any other list: groups of an attribute, classes, waivers, packages."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A term and what it is here."""

    term: str
    value: str
    code: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """A headed list of facts, with how many more there are."""

    title: str
    rows: tuple[Fact, ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class FindingView:
    """A finding in full."""

    row: Row
    standing: str
    """What has become of the claim: "Holds", "Does not hold"."""
    title: str
    message: str
    chart: charts.IntervalChart | None
    facts: tuple[Fact, ...]
    note: str
    reading: str
    """How to read the number; empty where nothing was measured."""
    remedy: str
    """What to do; empty where nothing needs doing."""
    related: tuple[Row, ...]
    """Of each check that belongs beside this one, its worst finding."""
    evidence: tuple[EvidenceView, ...]
    open: bool
    """Whether its evidence is unfolded from the start."""


@dataclass(frozen=True, slots=True)
class RowView:
    """A row of the overview with its miniature chart."""

    row: Row
    strip: charts.Strip | None


@dataclass(frozen=True, slots=True)
class FamilyView:
    """One family: its rows, and its findings in full."""

    name: str
    anchor: str
    rows: tuple[RowView, ...]
    findings: tuple[FindingView, ...]


@dataclass(frozen=True, slots=True)
class NotRunView:
    """A check that measured nothing; `mark` is None when it was left out on purpose."""

    anchor: str
    check: str
    title: str
    reason: str
    mark: Mark | None
    blocks: bool


@dataclass(frozen=True, slots=True)
class WaivedView:
    """A waiver in use."""

    row: Row
    waiver: WaivedFinding


@dataclass(frozen=True, slots=True)
class SuiteRow:
    """A check as it was set before the first prediction."""

    check: str
    severity: str
    limits: str
    params: str
    required: bool
    seconds: str


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report."""

    title: str
    headline: Headline
    subtitle: tuple[Fact, ...]
    blocking: tuple[RowView, ...]
    more_blocking: int
    warnings: tuple[str, ...]
    """What to know about the data first."""
    legend: tuple[charts.IntervalChart, ...]
    reading: tuple[str, ...]
    families: tuple[FamilyView, ...]
    more_findings: int
    not_run: tuple[NotRunView, ...]
    more_not_run: int
    waived: tuple[WaivedView, ...]
    unused_waivers: tuple[str, ...]
    more_waivers: int
    run: tuple[Facts, ...]
    suite: tuple[SuiteRow, ...]
    more_suite: int
    version: str


_CLAIM = {
    Outcome.PASS: "Holds",
    Outcome.FAIL: "Does not hold",
    Outcome.INCONCLUSIVE: "Undecided",
    Outcome.ERROR: "Could not be measured",
    Outcome.NOT_APPLICABLE: "Not judged",
}


_TROUBLE = {Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR}


def page(result: AuditResult) -> Page:
    """Lay out a result."""
    seen = overview(result)
    shown = _shown(seen.rows)
    not_run = _not_run(result, shown)
    suite = result.suite.checks[:FINDINGS]
    waivers = len(result.decision.waived) + len(result.decision.unused_waivers)
    waived = tuple(
        WaivedView(row, row.waiver) for row in shown if row.waiver and row.standing == "waived"
    )[:ENTRIES]
    unused = result.decision.unused_waivers[:ENTRIES]
    anchors = {row.anchor for row in shown}
    blocking = [row for row in seen.blocking if row.anchor in anchors][:BLOCKING]
    return Page(
        title=result.title,
        headline=seen.headline,
        subtitle=_subtitle(result),
        blocking=tuple(RowView(row, charts.strip(row.finding)) for row in blocking),
        more_blocking=len(seen.blocking) - len(blocking),
        warnings=result.subject.warnings[:ENTRIES],
        legend=_legend(),
        reading=_reading(result.suite),
        families=_families(shown, result),
        more_findings=len(seen.rows) - len(shown),
        not_run=not_run[:FINDINGS],
        more_not_run=max(len(not_run) - FINDINGS, 0),
        waived=waived,
        unused_waivers=unused,
        more_waivers=waivers - len(waived) - len(unused),
        run=_run(result),
        suite=tuple(_suite_row(check, result) for check in suite),
        more_suite=len(result.suite.checks) - len(suite),
        version=result.environment.get("auditkit", ""),
    )


def shown_note(more: int) -> str:
    """What stands where a list was cut."""
    return f"{more:,} more in result.json" if more > 0 else ""


def _shown(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """All rows, or the ones that matter most, in the order of the result."""
    if len(rows) <= FINDINGS:
        return rows
    order = list(MARKS)

    def weight(place: int) -> tuple[bool, int, int]:
        return rows[place].standing != "blocks", order.index(rows[place].finding.outcome), place

    kept = sorted(range(len(rows)), key=weight)[:FINDINGS]
    return tuple(rows[place] for place in sorted(kept))


def _families(rows: tuple[Row, ...], result: AuditResult) -> tuple[FamilyView, ...]:
    # Room for evidence goes to what blocks first.
    room = Room()
    urgent = sorted(rows, key=lambda row: row.standing != "blocks")
    related = _related(rows, result.guides)
    full = {
        row.anchor: _finding(row, result, room, related.get(row.finding.check, ()))
        for row in urgent
        if not _idle(row.finding)
    }
    return tuple(
        FamilyView(
            family.name,
            family.anchor,
            tuple(RowView(row, charts.strip(row.finding)) for row in family.rows),
            tuple(full[row.anchor] for row in family.rows if row.anchor in full),
        )
        for family in families(rows)
    )


def _related(rows: tuple[Row, ...], guides: Mapping[str, Guide]) -> dict[str, tuple[Row, ...]]:
    """By check, the worst findings of the checks that it names as related, or that name it."""
    order = list(MARKS)
    worst: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: order.index(row.finding.outcome)):
        worst.setdefault(row.finding.check, row)
    named = [(one, other) for one, guide in guides.items() for other in guide.related]
    found: dict[str, dict[str, Row]] = {}
    for one, other in (*named, *((other, one) for one, other in named)):
        if other in worst and one != other:
            found.setdefault(one, {})[other] = worst[other]
    return {check: tuple(others.values()) for check, others in found.items()}


def _idle(finding: Finding) -> bool:
    return finding.outcome is Outcome.NOT_APPLICABLE and finding.measurement is None


def _finding(row: Row, result: AuditResult, room: Room, related: tuple[Row, ...]) -> FindingView:
    finding = row.finding
    guide = result.guides.get(finding.check, Guide("", ""))
    measured = finding.measurement
    # A note that says why a number is undefined is already the message.
    note = measured.note if measured and measured.note not in finding.message else ""
    return FindingView(
        row=row,
        standing=_CLAIM[finding.outcome],
        title=finding.title,
        message=finding.message,
        chart=charts.interval_chart(finding),
        facts=_finding_facts(finding, result.suite),
        note=note,
        reading=_unquoted(guide.reading) if measured else "",
        remedy=_unquoted(guide.remedy) if finding.outcome in _TROUBLE else "",
        related=related,
        evidence=tuple(
            evidence_view(piece, room) for piece in (measured.evidence if measured else ())
        ),
        # A number that is reported and not judged is there to be looked at.
        open=finding.outcome in _TROUBLE or (measured is not None and finding.limit is None),
    )


def _unquoted(text: str) -> str:
    """Without the backticks that set names apart in Markdown."""
    return text.replace("`", "")


def _finding_facts(finding: Finding, suite: Suite) -> tuple[Fact, ...]:
    measured = finding.measurement
    severity = Fact("Severity", finding.severity.value)
    if measured is None:
        return (severity, *_required(finding))
    facts = [
        Fact("Measured", figures.figure(measured.value)),
        Fact("Interval", figures.span(finding.interval)),
        Fact("Limit", figures.bound(finding.limit, finding.direction)),
        Fact(measured.counted.capitalize(), figures.count(measured.n)),
        severity,
    ]
    if measured.bounds is not None:
        facts.append(Fact("Method", measured.bounds.method))
        lower, upper = _confidence(finding, measured.bounds.comparisons, suite)
        facts += [Fact("Lower end holds at", lower), Fact("Upper end holds at", upper)]
    if measured.detectable is not None:
        facts.append(Fact("Smallest gap told from none", figures.figure(measured.detectable)))
    if finding.needed_n is not None:
        facts.append(
            Fact(
                f"{measured.counted.capitalize()} that would decide",
                f"about {figures.count(finding.needed_n)}",
            )
        )
    return (*facts, *_required(finding))


def _required(finding: Finding) -> tuple[Fact, ...]:
    return (Fact("Required", "named in the configuration"),) if finding.required else ()


def _confidence(finding: Finding, comparisons: int, suite: Suite) -> tuple[str, str]:
    """At which level the lower and the upper end hold."""
    alpha = 1 - suite.confidence
    claim = f"{figures.level(alpha)}, one-sided"
    corrected = figures.level(alpha / (max(suite.family, 1) * max(comparisons, 1)))
    pairs = f"{comparisons:,} comparisons × " if comparisons > 1 else ""
    corrected = f"{corrected}, corrected for {pairs}{suite.family:,} limits"
    return (claim, corrected) if finding.direction == "min" else (corrected, claim)


def _not_run(result: AuditResult, rows: tuple[Row, ...]) -> tuple[NotRunView, ...]:
    idle = [
        NotRunView(
            row.anchor,
            row.finding.check,
            row.finding.title,
            row.finding.message,
            row.mark,
            row.standing == "blocks",
        )
        for row in rows
        if _idle(row.finding)
    ]
    left_out = [
        NotRunView(f"not-run-{place}", item.check, item.title, item.reason, None, blocks=False)
        for place, item in enumerate(result.not_run, start=1)
    ]
    return (*idle, *left_out)


def _subtitle(result: AuditResult) -> tuple[Fact, ...]:
    subject = result.subject
    return (
        Fact("Model", subject.model),
        Fact("Data", subject.data),
        Fact("Rows", f"{figures.count(subject.rows)} ({subject.split})"),
        Fact("Decided", result.decided_on),
    )


def _legend() -> tuple[charts.IntervalChart, ...]:
    """The three ways an interval can lie to a limit, drawn like the real ones."""
    cases = (
        (Outcome.PASS, 18.0, 48.0),
        (Outcome.INCONCLUSIVE, 42.0, 72.0),
        (Outcome.FAIL, 66.0, 92.0),
    )
    limit = charts.LimitLine(58.0, "limit", "middle", 0.0, 58.0, 29.0)
    said = {
        Outcome.PASS: "wholly on the allowed side: pass",
        Outcome.INCONCLUSIVE: "across the limit: inconclusive",
        Outcome.FAIL: "wholly beyond the limit: fail",
    }
    return tuple(
        charts.IntervalChart(
            shape=outcome.value,
            words=said[outcome],
            whisker=charts.Whisker(
                left, right, (left + right) / 2, open_left=False, open_right=False
            ),
            limit=limit,
            lower="",
            upper="",
            ticks=(),
        )
        for outcome, left, right in cases
    )


def _reading(suite: Suite) -> tuple[str, ...]:
    claim, error = figures.level(1 - suite.confidence), figures.percent(1 - suite.confidence)
    return (
        "A verdict is read from the interval, never from the measured value alone: inside the "
        "limit passes, beyond it fails, across it is inconclusive.",
        f"The end that a pass rests on is a one-sided {claim} bound: a model that is truly at or "
        f"beyond its limit is passed in at most {error} of such audits.",
        "The other end is corrected for every comparison of the check and every gated limit of "
        f"the suite ({suite.family:,} here), so that the chance of even one false failure anywhere "
        f"in the audit is at most {error}.",
    )


def _run(result: AuditResult) -> tuple[Facts, ...]:
    subject, policy = result.subject, result.policy
    groups = tuple(
        _facts(attribute, {name: figures.count(n) for name, n in sizes.items()})
        for attribute, sizes in list(subject.groups.items())[:ENTRIES]
    )
    classes = dict(enumerate(subject.class_names))
    return (
        Facts(
            "Model and data",
            (
                Fact("Model", subject.model),
                Fact("Model digest", subject.model_digest, code=True),
                Fact("Data", subject.data),
                Fact("Data digest", subject.data_digest, code=True),
                Fact("Split", subject.split),
                Fact("Rows", figures.count(subject.rows)),
            ),
        ),
        _facts("Classes", {str(place): name for place, name in classes.items()}),
        *(Facts(f"Rows by {group.title}", group.rows, group.more) for group in _bounded(groups)),
        _facts("Assumed, not told", subject.assumptions),
        Facts(
            "Policy",
            (
                Fact("Blocks from severity", policy.fail_on.value),
                Fact("Inconclusive", "blocks" if policy.inconclusive == "block" else "warns"),
                Fact("Decided on", result.decided_on),
                Fact("Suite digest", result.suite_digest, code=True),
                Fact("Confidence of a claim", figures.level(1 - result.suite.confidence)),
                Fact("Gated limits", figures.count(result.suite.family)),
            ),
        ),
        Facts("Cost", _cost(result)),
        Facts("Earlier runs in this directory", _earlier_runs(result)),
        _facts("Environment", {**result.environment, "seed": str(result.seed)}),
    )


def _earlier_runs(result: AuditResult) -> tuple[Fact, ...]:
    """What this run took over, and with which other seeds the same question was asked."""
    facts = []
    if result.replayed:
        shown = ", ".join(result.replayed[:ENTRIES])
        more = shown_note(len(result.replayed) - ENTRIES)
        facts.append(
            Fact("Taken over, as nothing they depend on changed", f"{shown} {more}".strip())
        )
    if result.seeds_seen:
        seeds = []
        for run in result.seeds_seen[:ENTRIES]:
            ended = "not finished" if run.exit_code is None else f"exit code {run.exit_code}"
            seeds.append(f"{run.seed} ({ended})")
        facts.append(Fact("Other seeds tried on the same model, data and suite", ", ".join(seeds)))
    return tuple(facts)


def _bounded(groups: tuple[Facts, ...]) -> tuple[Facts, ...]:
    """The first attributes in full; the rows of all of them together stay below a page."""
    room, kept = ENTRIES * 5, []
    for group in groups:
        rows = group.rows[:room]
        room -= len(rows)
        kept.append(Facts(group.title, rows, group.more + len(group.rows) - len(rows)))
    return tuple(kept)


def _facts(title: str, entries: Mapping[str, str]) -> Facts:
    rows = tuple(Fact(term, value) for term, value in list(entries.items())[:ENTRIES])
    return Facts(title, rows, len(entries) - len(rows))


def _cost(result: AuditResult) -> tuple[Fact, ...]:
    timing = result.timing
    asked = timing.asking
    return (
        Fact("Started", timing.started or figures.NONE),
        Fact("Took", figures.duration(timing.seconds)),
        Fact("In the model", figures.duration(timing.model_seconds)),
        Fact("Inputs asked", figures.count(asked.asked)),
        Fact("Distinct inputs", figures.count(asked.distinct)),
        Fact("Answered from the cache", figures.count(asked.cached)),
        Fact("Tokens", figures.count(asked.tokens)),
        Fact("Padding tokens", figures.count(asked.padding)),
        Fact("Batches", figures.count(asked.batches)),
    )


def _suite_row(check: SuiteCheck, result: AuditResult) -> SuiteRow:

    limits = (
        f"{name.replace('_', ' ')} "
        + ("(no limit)" if limit.value is None else figures.bound(limit.value, limit.direction))
        for name, limit in check.limits.items()
    )
    seconds = result.timing.checks.get(check.id)
    return SuiteRow(
        check=check.id,
        severity=check.severity.value,
        limits=", ".join(limits) or figures.NONE,
        params=", ".join(f"{name} = {value}" for name, value in check.params.items())
        or figures.NONE,
        required=check.required,
        seconds=figures.NONE if seconds is None else figures.duration(seconds),
    )
