"""The report of a mitigation as one offline HTML file: every measurement before and after."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from auditkit.comparison import Change, Comparison
from auditkit.judge import number
from auditkit.mitigation import Mitigation, Repair, Verdict
from auditkit.render import figures
from auditkit.render.charts import Strip, Whisker
from auditkit.render.html import fill
from auditkit.render.mitigation_overview import MARKS, Overview, overview, signed
from auditkit.render.overview import Mark, meaning, split_id

ROWS = 400
"""Measurements in the table of one repair; all are in mitigation.json."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A term and what there is to say of it."""

    term: str
    value: str


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One measurement in a line."""

    mark: Mark
    family: str
    name: str
    subject: str
    before: str
    after: str
    difference: str
    interval: str
    n: str
    outcomes: str
    """What the gate says of it: `fail → pass`."""
    strip: Strip | None
    note: str
    meant: bool


@dataclass(frozen=True, slots=True)
class ChangeFamily:
    """The rows of the checks that share the first part of their id."""

    name: str
    rows: tuple[ChangeRow, ...]


@dataclass(frozen=True, slots=True)
class GateView:
    """What the gate said of a model."""

    passed: bool
    word: str
    exit_code: int
    meaning: str
    reason: str


@dataclass(frozen=True, slots=True)
class RepairView:
    """One remedy."""

    anchor: str
    remedy: str
    title: str
    gate: GateView
    model: str
    counts: tuple[tuple[Mark, int], ...]
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]
    families: tuple[ChangeFamily, ...]
    more: int
    scale: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class MitigationView:
    """The whole page."""

    title: str
    before: GateView
    facts: tuple[Fact, ...]
    overview: Overview
    repairs: tuple[RepairView, ...]
    reading: tuple[str, ...]
    version: str


def render(record: Mitigation) -> str:
    """The page: no script, no external asset, readable from a file."""
    return fill("mitigation.html.j2", page=view(record))


def view(record: Mitigation) -> MitigationView:
    """Everything the page shows, in words and positions."""
    repairs = tuple(_repair(repair, place) for place, repair in enumerate(record.repairs, start=1))
    return MitigationView(
        title=record.title,
        before=_gate(record.before),
        facts=(
            Fact("Data", f"{record.data}, {record.split}, {record.rows:,} rows"),
            Fact("Trained on", " ".join(record.training_rows)),
            Fact("Suite", record.suite_digest[:12]),
            Fact("Seed", str(record.seed)),
            Fact(
                "Repaired models judged by these rows",
                f"{record.judged}"
                + ("; the best of several owes something to chance" if record.judged > 1 else ""),
            ),
        ),
        overview=overview(record),
        repairs=repairs,
        reading=_READING,
        version=record.environment.get("auditkit", ""),
    )


_READING = (
    "Every difference is after less before, on the same rows, and its interval is that of the "
    "paired difference.",
    "“Improved” and “worsened” are said only where the whole interval lies on one side of 0; all "
    "the intervals of a table hold together.",
    "“No difference shown” does not mean that there is none: these rows cannot tell.",
    "In the overview every interval of a single model ends at one-sided bounds of the audit's "
    "confidence. A model is on the frontier if no other is at least as good in both and better in "
    "one, going by the values alone. Remedies train, stop or choose by the validation rows as "
    "well, so what these rows show flatters all repaired models.",
    "Where a check gives no values per example, before and after stand side by side with the "
    "intervals of their own, and nothing is said about the difference.",
)


def summary_counts(comparison: Comparison) -> tuple[tuple[Mark, int], ...]:
    """How often each word is said, worst first; words that are not said are left out."""
    tally = Counter(change.word for change in comparison.changes)
    return tuple((mark, tally[word]) for word, mark in MARKS.items() if tally[word])


def sentences(repair: Repair) -> tuple[str, ...]:
    """What happened to the answers, in sentences."""
    seen = repair.comparison
    said = [f"{seen.answers_changed:,} answers changed."]
    if seen.mended or seen.broken:
        said.append(f"{seen.mended:,} errors were mended and {seen.broken:,} new ones made.")
    if seen.mcnemar is not None:
        said.append(f"McNemar's test of equal accuracy: p = {seen.mcnemar:.2g}.")
    return tuple(said)


def _repair(repair: Repair, place: int) -> RepairView:
    changes = repair.comparison.changes
    reach = max((_reach(change) for change in changes), default=0.0) or 1.0
    grouped: dict[str, list[ChangeRow]] = {}
    for change in changes[:ROWS]:
        row = _row(change, reach)
        grouped.setdefault(row.family, []).append(row)
    return RepairView(
        anchor=f"repair-{place}",
        remedy=repair.remedy,
        title=repair.title,
        gate=_gate(repair.verdict),
        model=repair.model,
        counts=summary_counts(repair.comparison),
        sentences=sentences(repair),
        warnings=repair.warnings,
        families=tuple(ChangeFamily(name, tuple(rows)) for name, rows in grouped.items()),
        more=max(len(changes) - ROWS, 0),
        scale=number(reach),
        facts=_facts(repair),
    )


def _facts(repair: Repair) -> tuple[Fact, ...]:
    trainings = tuple(
        Fact(
            f"Training: {one.stage}",
            f"{one.rows:,} rows, {one.steps:,} steps on {one.device}, "
            f"{figures.duration(one.seconds)}; weights of step {one.best_step:,}, "
            f"{one.trained_weights:,} numbers trained"
            + (f"; {one.left_out} rows left out because they are audited" if one.left_out else ""),
        )
        for one in repair.trainings
    )
    params = ", ".join(f"{name} = {value}" for name, value in repair.params.items())
    tried = tuple(
        Fact(
            "Chosen by the validation rows" if one.chosen else "Not chosen",
            f"{', '.join(f'{name} = {value}' for name, value in one.params.items())}: "
            f"{number(one.score)}",
        )
        for one in repair.tried
    )
    took = (Fact("Made in", figures.duration(repair.seconds)),) if repair.seconds else ()
    return (
        Fact("Model folder", repair.model),
        Fact("Model digest", repair.verdict.model_digest[:12]),
        Fact("Its audit", repair.audit),
        Fact("Parameters", params),
        *took,
        *tried,
        *(Fact("Note", note) for note in repair.notes),
        *trainings,
        Fact(
            "Intervals",
            f"{figures.level(1 - repair.comparison.level)} each, so that all "
            f"{repair.comparison.compared} hold together.",
        ),
    )


def _row(change: Change, reach: float) -> ChangeRow:
    family, name = split_id(change.check) if change.check else ("all rows", "accuracy")
    measure = change.name.replace("_", " ") if change.check else ""
    sides = (change.before, change.after)
    values = [figures.figure(side.value if side else None) for side in sides]
    outcomes = [side.outcome.replace("_", " ") for side in sides if side]
    own = ""
    if change.word in {"not compared pairwise", "before only", "after only"}:
        spans = [figures.span(side.interval) for side in sides if side and side.interval]
        own = f"Intervals of their own: {' and '.join(spans)}." if spans else ""
    limit = figures.bound(change.limit, change.direction)
    return ChangeRow(
        mark=MARKS[change.word],
        family=family,
        name=name,
        subject=" · ".join(
            part
            for part in (
                measure,
                change.slice,
                f"limit {limit}" if change.limit is not None else "",
            )
            if part
        ),
        before=values[0],
        after=values[1],
        difference=signed(change.difference),
        interval=figures.span(change.interval),
        n=figures.count(change.n or None),
        outcomes=" → ".join(dict.fromkeys(outcomes)) if change.check else "",
        strip=_strip(change, reach),
        note=" ".join(part for part in (change.note, own) if part),
        meant=change.meant,
    )


def _reach(change: Change) -> float:
    if change.interval is None:
        return 0.0
    return max((abs(e) for e in (change.interval.lower, change.interval.upper) if e is not None),
               default=0.0)  # fmt: skip


def _strip(change: Change, reach: float) -> Strip | None:
    """The difference with 0 in the middle and better to the right, whatever the direction."""
    if change.interval is None or change.difference is None:
        return None
    sign = -1.0 if change.direction == "max" else 1.0
    ends = [change.interval.lower, change.interval.upper]
    low, high = ends if sign > 0 else reversed(ends)

    def at(value: float | None, otherwise: float) -> float:
        if value is None:
            return otherwise
        return round(min(max(50 + 46 * sign * value / reach, 0.0), 100.0), 2)

    return Strip(
        shape=MARKS[change.word].name,
        words=f"{change.word}: {signed(change.difference)} ({figures.span(change.interval)})",
        whisker=Whisker(
            at(low, 0.0), at(high, 100.0), at(change.difference, 50.0), low is None, high is None
        ),
        allowed_left=50,
    )


def _gate(verdict: Verdict) -> GateView:
    reason = verdict.reason.removeprefix("Blocked.").strip()
    return GateView(
        passed=verdict.passed,
        word="PASS" if verdict.passed else "BLOCKED",
        exit_code=verdict.exit_code,
        meaning=meaning(verdict.exit_code),
        reason=reason[:1].upper() + reason[1:],
    )
