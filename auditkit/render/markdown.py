"""A summary in GitHub's Markdown, for a step summary or a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterable

from auditkit.finding import Outcome
from auditkit.render.overview import MARKS, Overview, Row, overview
from auditkit.render.text import markdown, markdown_code
from auditkit.result import AuditResult

ROWS = 100
"""Findings in the table; GitHub refuses comments above 65,536 characters."""
BLOCKING = 25
"""Findings said to block."""
_NAME = 80
_SENTENCE = 200


def render(result: AuditResult) -> str:
    """Verdict, what blocks, and the findings in a table."""
    seen = overview(result)
    parts = [
        *_verdict(seen, result),
        *_blocking(seen),
        *_table(seen),
        *_waived(seen),
        *_subject(result),
    ]
    return "\n".join(parts) + "\n"


def _verdict(seen: Overview, result: AuditResult) -> list[str]:
    head = seen.headline
    counts = " · ".join(
        f"{number} {mark.symbol} {mark.word}" for mark, number in head.counts if number
    )
    return [
        f"## {'✓' if head.passed else '✕'} {head.word}: {markdown(result.title, _SENTENCE)}",
        "",
        f"{markdown(head.reason, 500)} Exit code {head.exit_code}.",
        "",
        counts or "No findings.",
    ]


def _blocking(seen: Overview) -> list[str]:
    if not seen.blocking:
        return []
    lines = [
        f"- {row.mark.symbol} **{row.mark.word}** {_name(row)}: "
        + markdown(row.finding.message, _SENTENCE)
        for row in seen.blocking[:BLOCKING]
    ]
    return ["", "### What blocks the release", "", *lines, *_more(len(seen.blocking) - BLOCKING)]


def _table(seen: Overview) -> list[str]:
    if not seen.rows:
        return []
    lines = [
        "",
        "### Findings",
        "",
        "| Outcome | Check | Value | Interval | Limit | Rows |",
        "| :-- | :-- | --: | --: | --: | --: |",
    ]
    for row in _kept(seen.rows):
        outcome = f"{row.mark.symbol} {row.mark.word}" + (
            f" ({row.standing})" if row.standing else ""
        )
        cells = (outcome, _name(row), row.value, row.interval, row.limit, row.n)
        lines.append("| " + " | ".join(cells) + " |")
    return lines + _more(len(seen.rows) - ROWS)


def _kept(rows: tuple[Row, ...]) -> Iterable[Row]:
    """The rows that matter most, in the order of the result."""
    order = list(MARKS)
    weight = {
        row.anchor: (row.standing != "blocks", order.index(row.finding.outcome), place)
        for place, row in enumerate(rows)
    }
    kept = {row.anchor for row in sorted(rows, key=lambda row: weight[row.anchor])[:ROWS]}
    return (row for row in rows if row.anchor in kept)


def _waived(seen: Overview) -> list[str]:
    waived = [(row, row.waiver) for row in seen.rows if row.waiver and row.standing == "waived"]
    if not waived:
        return []
    lines = [
        f"- {_name(row)}: {markdown(waiver.reason, _SENTENCE)} "
        f"({markdown(waiver.approved_by, _NAME)}, until {markdown(waiver.expires, _NAME)})"
        for row, waiver in waived[:BLOCKING]
    ]
    return ["", "### Waived", "", *lines, *_more(len(waived) - BLOCKING)]


def _subject(result: AuditResult) -> list[str]:
    subject, code = result.subject, markdown_code
    return [
        "",
        f"Model {code(subject.model, _NAME)} ({code(subject.model_digest[:12])}) on "
        f"{code(subject.data, _NAME)} ({code(subject.data_digest[:12])}), split "
        f"{code(subject.split, _NAME)}, {subject.rows:,} rows. "
        f"Suite {code(result.suite_digest[:12])}.",
    ]


def _name(row: Row) -> str:
    parts = (markdown_code(row.finding.check, _NAME), markdown(row.measure, _NAME))
    where = markdown_code(row.slice, _NAME)
    if row.finding.outcome is Outcome.ERROR and not row.measure:
        return parts[0]
    return " ".join(part for part in (*parts, where) if part)


def _more(more: int) -> list[str]:
    return ["", f"{more:,} more in result.json"] if more > 0 else []
