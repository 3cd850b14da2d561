"""Findings that belong together are linked, from either side."""

from __future__ import annotations

import re
from dataclasses import replace

from auditkit.finding import Finding, Outcome
from auditkit.registry import load_registry
from auditkit.render import render
from auditkit.render.page import page
from auditkit.result import AuditResult, Guide

from .conftest import finding, measured, result_of


def judged(check: str, value: float, part: str) -> Finding:
    ends = (value - 0.01, value + 0.01)
    return finding(
        check, "t", measured("gap", value, 90, part, ends=ends),
        limit=0.1, direction="max", interval=ends,
    )  # fmt: skip


def result(**guides: Guide) -> AuditResult:
    findings = (
        judged("fairness.terms", 0.02, "a"),
        judged("explanations.mass", 0.02, "lime"),
        judged("explanations.mass", 0.5, "shap"),
        judged("quality.other", 0.02, "a"),
    )
    named = {name.replace("_", "."): guide for name, guide in guides.items()}
    return replace(result_of(findings), guides=named)


def links(audited: AuditResult) -> dict[str, list[tuple[str, Outcome]]]:
    return {
        view.row.finding.check: [(row.finding.check, row.finding.outcome) for row in view.related]
        for family in page(audited).families
        for view in family.findings
    }


def test_both_checks_link_to_the_worst_finding_of_the_other():
    audited = result(explanations_mass=Guide("", "", ("fairness.terms",)))
    assert links(audited) == {
        "fairness.terms": [("explanations.mass", Outcome.FAIL)],
        "explanations.mass": [("fairness.terms", Outcome.PASS)],
        "quality.other": [],
    }
    text = render(audited, "html")
    anchors = re.findall(r'See also\.</strong> <a href="#([^"]+)"', text)
    assert len(anchors) == 3
    assert all(f'id="{anchor}"' in text for anchor in anchors)


def test_a_check_that_was_not_run_is_not_linked():
    audited = result(quality_other=Guide("", "", ("fairness.missing", "quality.other")))
    assert links(audited)["quality.other"] == []
    assert "See also" not in render(audited, "html")


def test_every_related_check_exists():
    checks = load_registry().checks
    named = {other for check in checks.values() for other in check.related}
    assert named
    assert named <= set(checks)
