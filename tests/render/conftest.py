"""A realistic result, and one in which every string is an attack."""

from __future__ import annotations

import datetime
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditkit.config import Policy, Waiver
from auditkit.finding import (
    Bounds,
    Curve,
    Estimate,
    Estimates,
    Evidence,
    Example,
    Examples,
    Finding,
    Interval,
    Measurement,
    Outcome,
    ScoredText,
    ScoredTexts,
    Scores,
    Severity,
    Table,
)
from auditkit.gate import WaivedFinding, decide
from auditkit.judge import Direction, number
from auditkit.result import (
    AuditResult,
    NotRun,
    PredictorStatistics,
    Subject,
    Suite,
    SuiteCheck,
    SuiteLimit,
    Timing,
)

PAYLOADS = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    '" onmouseover=alert(1) x="',
    "javascript:alert(1)",
    "{{7*7}}",
    "{% for x in y %}",
    "</style><style>@import url(http://track.example/x.css);",
    "<svg onload=alert(1)>",
    "nul\x00bs\x08esc\x1b[31mred\ufffe",
    "rtl\u202eoverride\u2066isolate",
    "lone\ud800surrogate",
    "x" * 10_000,
    "\n::add-mask::PASS",
    "##[set-env name=X]y",
    "pipe | pipe",
    "`tick` ``ticks``",
    "![](http://track.example/p.png) [a](http://track.example)",
    "=cmd|' /C calc'!A0",
    "]]> <!-- & &amp; --> <![CDATA[",
    "[bold red]markup[/] \\",
)
EVERYTHING = " ".join(p for p in PAYLOADS if len(p) < 1_000)

DAY = datetime.date(2025, 3, 14)
GROUPS = ("AAE", "Chicano English", "Indian English", "SAE", "Singlish", "(missing)")


def finding(
    check: str,
    title: str,
    measured: Measurement | None = None,
    *,
    limit: float | None = None,
    direction: Direction | None = None,
    interval: tuple[float | None, float | None] | None = None,
    outcome: Outcome | None = None,
    severity: Severity = Severity.HIGH,
    message: str = "",
    needed_n: int | None = None,
    required: bool = False,
) -> Finding:
    """A finding judged here the way `judge` does, so that these tests need no statistics."""
    held = None if interval is None else Interval(*interval)
    outcome = outcome or _outcome(held, limit, direction)
    if not message and measured is not None and measured.value is not None:
        relation = {
            Outcome.PASS: "is within",
            Outcome.FAIL: "is beyond",
            Outcome.INCONCLUSIVE: "cannot be told from",
        }.get(outcome, "is reported without")
        where = f" on {measured.slice}" if measured.slice else ""
        shown = f"{measured.name.replace('_', ' ')}{where} {number(measured.value)}"
        message = f"{shown} (n={measured.n:,}) {relation} the limit"
        if needed_n:
            message += f"; about {needed_n:,} rows like these would decide"
    return Finding(
        check=check,
        title=title,
        outcome=outcome,
        severity=severity,
        message=message,
        measurement=measured,
        limit=limit,
        direction=direction,
        interval=held,
        needed_n=needed_n,
        required=required,
    )


def _outcome(held: Interval | None, limit: float | None, direction: Direction | None) -> Outcome:
    if limit is None:
        return Outcome.NOT_APPLICABLE
    if held is None:
        return Outcome.INCONCLUSIVE
    low, high = held.lower, held.upper
    if direction == "min":
        inside, outside = low is not None and low >= limit, high is not None and high < limit
    else:
        inside, outside = high is not None and high <= limit, low is not None and low > limit
    return Outcome.PASS if inside else Outcome.FAIL if outside else Outcome.INCONCLUSIVE


def measured(
    name: str,
    value: float | None,
    n: int,
    part: str = "",
    *,
    ends: tuple[float | None, float | None] | None = None,
    method: str = "Wilson",
    comparisons: int = 1,
    note: str = "",
    detectable: float | None = None,
    evidence: tuple[Evidence, ...] = (),
) -> Measurement:
    bounds = None
    if ends is not None:
        bounds = Bounds(Interval(*ends), Interval(*ends), method, comparisons)
    return Measurement(
        name=name,
        value=value,
        n=n,
        bounds=bounds,
        slice=part,
        note=note,
        detectable=detectable,
        evidence=evidence,
    )


def rates(title: str, values: tuple[tuple[str, int, int], ...], reference: float) -> Estimates:
    rows = []
    for label, k, n in values:
        rate = k / n if n else None
        spread = 1.96 * ((rate * (1 - rate) / n) ** 0.5) if n and rate is not None else 0.0
        held = None if rate is None else Interval(max(rate - spread, 0.0), min(rate + spread, 1.0))
        rows.append(
            Estimate(label, n, rate, held, k if n else None, "" if n else "no rows with this label")
        )
    return Estimates(
        title=title,
        rows=tuple(rows),
        level=0.95,
        method="Wilson",
        reference=reference,
        reference_label="all rows",
    )


def _quality() -> list[Finding]:
    confusion = Table(
        "Confusion matrix",
        ("true class", "predicted toxic", "predicted ok", "rows", "recall"),
        (("toxic", 3_412, 588, 4_000, 0.853), ("ok", 402, 7_598, 8_000, 0.94975)),
    )
    per_class = rates("Recall per class", (("toxic", 3412, 4000), ("ok", 7598, 8000)), 0.9175)
    reliability = Curve(
        "Reliability",
        "mean predicted probability",
        "observed share",
        (0.04, 0.15, 0.26, 0.35, 0.45, 0.55, 0.66, 0.75, 0.86, 0.97),
        (0.02, 0.11, 0.2, 0.31, 0.38, 0.47, 0.55, 0.63, 0.74, 0.94),
        (5120, 830, 410, 300, 260, 280, 340, 520, 900, 3040),
        diagonal=True,
    )
    coverage = Curve(
        "Risk and coverage",
        "share of rows answered",
        "error rate",
        (0.1, 0.25, 0.5, 0.75, 0.9, 1.0),
        (0.004, 0.009, 0.018, 0.036, 0.061, 0.0825),
        (1200, 3000, 6000, 9000, 10800, 12000),
    )
    return [
        finding(
            "quality.accuracy",
            "The model is right about at least as many rows as the limit asks.",
            measured(
                "accuracy", 0.9175, 12_000, ends=(0.9133, 0.9232), evidence=(confusion, per_class)
            ),
            limit=0.9,
            direction="min",
            interval=(0.9133, 0.9232),
            severity=Severity.CRITICAL,
        ),
        finding(
            "quality.per-class-recall",
            "Every class is found often enough.",
            measured("recall", 0.853, 4_000, "toxic", ends=(0.8435, 0.868), comparisons=2),
            limit=0.8,
            direction="min",
            interval=(0.8435, 0.868),
        ),
        finding(
            "quality.calibration",
            "The model's probabilities mean what they say.",
            measured(
                "expected_calibration_error",
                0.0871,
                12_000,
                ends=(0.0794, 0.0936),
                method="bootstrap (BCa), 2,000 resamples",
                detectable=0.058,
                evidence=(reliability,),
            ),
            limit=0.05,
            direction="max",
            interval=(0.0794, 0.0936),
            severity=Severity.MEDIUM,
        ),
        finding(
            "quality.calibration",
            "The model's probabilities mean what they say.",
            measured("brier_score", 0.0641, 12_000, ends=(0.0609, 0.0672), method="bootstrap"),
            interval=(0.0609, 0.0672),
            direction="max",
            severity=Severity.MEDIUM,
            message="brier score 0.0641 (0.0609 to 0.0672, n=12,000): reported, no limit is set",
        ),
        finding(
            "quality.selective-risk",
            "Abstaining on the least sure rows lowers the error rate.",
            measured("risk_at_90", 0.061, 10_800, ends=(None, 0.0649), evidence=(coverage,)),
            limit=0.08,
            direction="max",
            interval=(None, 0.0649),
            severity=Severity.LOW,
        ),
        finding(
            "quality.auc",
            "The model ranks positives above negatives.",
            measured("auc", 0.9612, 12_000, ends=(0.9571, 0.9651), method="DeLong"),
            limit=0.9,
            direction="min",
            interval=(0.9571, 0.9651),
        ),
    ]


def _fairness() -> list[Finding]:
    selection = rates(
        "Share called toxic, by dialect",
        (
            ("AAE", 611, 1_204),
            ("Chicano English", 207, 540),
            ("Indian English", 284, 890),
            ("SAE", 2_611, 8_700),
            ("Singlish", 17, 46),
            ("(missing)", 0, 0),
        ),
        0.318,
    )
    pairs = Table(
        "Largest gaps between pairs",
        ("group", "against", "gap", "95 % bounds", "rows"),
        (
            ("AAE", "SAE", 0.2074, "0.177 to 0.237", 9_904),
            ("AAE", "Indian English", 0.1884, "0.146 to 0.23", 2_094),
            ("Singlish", "SAE", 0.0695, "-0.06 to 0.21", 8_746),
        ),
    )
    gap_title = "The model calls rows positive at about the same rate in every group."
    return [
        finding(
            "fairness.selection-rate-gap",
            gap_title,
            measured(
                "gap",
                0.2074,
                11_380,
                "dialect",
                ends=(0.1631, 0.2368),
                method="Newcombe",
                comparisons=10,
                detectable=0.142,
                evidence=(selection, pairs),
            ),
            limit=0.1,
            direction="max",
            interval=(0.1631, 0.2368),
            severity=Severity.CRITICAL,
        ),
        finding(
            "fairness.selection-rate-gap",
            gap_title,
            measured("gap", 0.012, 12_000, "gender", ends=(-0.004, 0.0286), method="Newcombe"),
            limit=0.1,
            direction="max",
            interval=(-0.004, 0.0286),
            severity=Severity.CRITICAL,
        ),
        finding(
            "fairness.impact-ratio",
            "No group's selection rate is far below another's.",
            measured(
                "ratio",
                0.591,
                11_380,
                "dialect",
                ends=(0.53, 0.667),
                method="Koopman",
                comparisons=10,
            ),
            limit=0.8,
            direction="min",
            interval=(0.53, 0.667),
        ),
        finding(
            "fairness.equal-opportunity",
            "Positive rows are found equally often in every group.",
            measured(
                "gap",
                0.0724,
                3_821,
                "dialect",
                ends=(-0.0112, 0.1633),
                method="Newcombe",
                comparisons=10,
                detectable=0.188,
            ),
            limit=0.1,
            direction="max",
            interval=(-0.0112, 0.1633),
            needed_n=21_400,
        ),
        finding(
            "fairness.equal-opportunity",
            "Positive rows are found equally often in every group.",
            measured("gap", 0.094, 212, "dialect × gender", ends=(0.031, None), method="Newcombe"),
            limit=0.15,
            direction="max",
            interval=(0.031, None),
            severity=Severity.LOW,
        ),
        finding(
            "fairness.worst-group-accuracy",
            "The model is accurate enough in its worst group.",
            measured("accuracy", 0.7609, 46, "Singlish", ends=(0.6412, None)),
            limit=0.75,
            direction="min",
            interval=(0.6412, None),
            severity=Severity.MEDIUM,
            needed_n=5_100,
        ),
        finding(
            "fairness.calibration-gap",
            "Probabilities mean the same in every group.",
            measured("gap", None, 46, "Singlish", note="no bin has 20 rows of both groups"),
            limit=0.05,
            direction="max",
            severity=Severity.LOW,
            message="undefined: no bin has 20 rows of both groups",
        ),
        finding(
            "fairness.counterfactual-flip",
            "Exchanging a group term does not change the answer.",
            outcome=Outcome.ERROR,
            message="ModelError: the score for input 311 is NaN or infinite (2 of 4,096 inputs)",
        ),
        finding(
            "fairness.base-rate",
            "The groups have comparable shares of positive labels.",
            outcome=Outcome.NOT_APPLICABLE,
            severity=Severity.LOW,
            message="the data has no column named region",
        ),
    ]


def suite_of(findings: tuple[Finding, ...]) -> Suite:
    checks: dict[str, SuiteCheck] = {}
    for item in findings:
        limits = dict(checks[item.check].limits) if item.check in checks else {}
        if item.measurement is not None:
            limits[item.measurement.name] = SuiteLimit(item.direction or "max", item.limit)
        checks[item.check] = SuiteCheck(
            item.check, item.title, item.severity, limits, {"min_rows": 20}, item.required
        )
    return Suite(tuple(checks.values()), 0.95, 12)


def result_of(
    findings: tuple[Finding, ...], policy: Policy | None = None, **changes: Any
) -> AuditResult:
    policy = policy or Policy()
    suite = suite_of(findings)
    fields: dict[str, Any] = {
        "title": "toxicity-roberta, release 2025.3",
        "subject": Subject(
            model="toxicity-roberta",
            model_digest=hashlib.sha256(b"model").hexdigest(),
            class_names=("ok", "toxic"),
            data="comments-2025.csv",
            data_digest=hashlib.sha256(b"data").hexdigest(),
            split="test",
            rows=12_000,
            groups={
                "dialect": dict(zip(GROUPS, (1_204, 540, 890, 8_700, 46, 620), strict=True)),
                "gender": {"female": 5_811, "male": 6_120, "(missing)": 69},
            },
            assumptions={
                "positive class": "toxic, the last class of a binary task",
                "max length": "512 tokens, from the model's config",
                "unlabelled rows": "none",
            },
        ),
        "suite": suite,
        "suite_digest": hashlib.sha256(b"suite").hexdigest(),
        "seed": 20,
        "findings": findings,
        "not_run": (
            NotRun(
                "robustness.typos", "Typos do not change answers.", "left out by the configuration"
            ),
        ),
        "policy": policy,
        "decision": decide(findings, policy, DAY),
        "decided_on": DAY.isoformat(),
        "environment": {
            "auditkit": "0.1.0",
            "python": "3.11.9",
            "torch": "2.10.0",
            "device": "cpu",
        },
        "timing": Timing(
            "2025-03-14T09:26:53Z",
            231.4,
            198.2,
            {item.check: 1.25 * place for place, item in enumerate(findings, start=1)},
            PredictorStatistics(48_211, 15_822, 812_440, 40_118, 902),
        ),
    }
    return AuditResult(**(fields | changes))


def realistic_result() -> AuditResult:
    findings = (*_fairness(), *_quality())
    policy = Policy(
        waivers=[
            Waiver(
                check="quality.calibration",
                reason="Scores are only ranked in this product; recalibration is planned for May.",
                approved_by="M. Okafor, model risk",
                expires=datetime.date(2025, 6, 30),
            ),
            Waiver(
                check="quality.auc",
                reason="Accepted while the ranking was being rebuilt.",
                approved_by="M. Okafor, model risk",
                expires=datetime.date(2025, 1, 31),
            ),
        ]
    )
    return result_of(findings, policy)


def passing_result() -> AuditResult:
    kept = tuple(f for f in (*_quality(), *_fairness()) if f.outcome is Outcome.PASS)
    return result_of(kept)


def hostile_result() -> AuditResult:
    """Each payload in every place that holds text, one finding a payload and outcome in turn."""
    findings = tuple(_hostile_finding(place, text) for place, text in enumerate(PAYLOADS))
    policy = Policy(
        waivers=[
            Waiver(
                check=findings[1].check,
                reason=whole(text).ljust(10, "."),
                approved_by=whole(text)[:200],
                expires=datetime.date(2025, 6, 30),
            )
            for text in PAYLOADS
        ]
    )
    named = {text[:300]: place for place, text in enumerate(PAYLOADS)}
    decision = decide(findings, policy, DAY)
    waived = tuple(
        WaivedFinding(item.fingerprint, text, text, text)
        for item, text in zip(findings, PAYLOADS, strict=True)
        if item.fingerprint in {known.fingerprint for known in decision.waived}
    )
    return result_of(
        findings,
        policy,
        title=EVERYTHING,
        subject=Subject(
            model=EVERYTHING,
            model_digest=PAYLOADS[0],
            class_names=PAYLOADS,
            data=PAYLOADS[16],
            data_digest=PAYLOADS[2],
            split=PAYLOADS[1],
            rows=12,
            groups={text: dict(named) for text in PAYLOADS},
            assumptions={text: text for text in PAYLOADS},
        ),
        suite_digest=PAYLOADS[0],
        not_run=tuple(NotRun(text, text, text) for text in PAYLOADS),
        decision=replace(decision, reason=EVERYTHING, waived=waived, unused_waivers=PAYLOADS),
        decided_on=PAYLOADS[0],
        environment={text: text for text in PAYLOADS},
        timing=Timing(PAYLOADS[12], 1.0, 0.5, dict.fromkeys(PAYLOADS, 1.0)),
    )


def whole(text: str) -> str:
    """Without lone surrogates, which pydantic and a finding's fingerprint refuse."""
    return text.encode("utf-8", "replace").decode()


def _hostile_finding(place: int, text: str) -> Finding:
    evidence: tuple[Evidence, ...] = (
        Table(text, (text, "n"), ((text, 1), (None, 2.5))),
        Estimates(
            text,
            (
                Estimate(text, 20, 0.5, Interval(0.3, 0.7), 10, text),
                Estimate(text, 0, None, None, None, text),
                Estimate(text, 5, 0.2, Interval(None, 0.4)),
            ),
            0.95,
            text,
            0.4,
            text,
        ),
        Curve(text, text, text, (0.1, 0.9), (0.2, 0.8), (3, 4), diagonal=place % 2 == 0),
        Examples(
            text, (Example(text, f"{text} {text}", text, text, text), Example("", "", "", ""))
        ),
        ScoredTexts(
            text,
            (
                ScoredText(
                    text,
                    text,
                    (
                        Scores(text, text, ((0, 3), (5, 9)), (0.5, -0.2), text),
                        Scores("", "", (), ()),
                    ),
                ),
            ),
        ),
    )
    outcome = list(Outcome)[place % 5]
    name = whole(text)
    return finding(
        name if place % 3 else f"fairness.{name}",
        text,
        measured(name, 0.5, 100, name, ends=(0.4, 0.6), method=text, note=text, evidence=evidence)
        if place % 5 < 3
        else None,
        limit=0.5,
        direction="max",
        interval=(0.4, 0.6),
        outcome=outcome,
        message=text,
    )


@pytest.fixture(scope="session")
def realistic() -> AuditResult:
    return realistic_result()


@pytest.fixture(scope="session")
def passing() -> AuditResult:
    return passing_result()


@pytest.fixture(scope="session")
def hostile() -> AuditResult:
    return hostile_result()


def _scored_words(words: int) -> ScoredText:
    spans = tuple((3 * k, 3 * k + 2) for k in range(words))
    scores = tuple((k % 11 - 5) / 5 for k in range(words))
    return ScoredText(
        "ab " * words, "said", tuple(Scores(by, "toxic", spans, scores) for by in ("lime", "shap"))
    )


@pytest.fixture(scope="session")
def many_groups() -> AuditResult:
    """100,000 groups: in the evidence as rows, points and cells, and in the subject."""
    size = 100_000
    rows = tuple(
        Estimate(f"group {k}", 40 + k % 7, 0.4 + k % 100 / 1000, Interval(0.3, 0.6), 20)
        for k in range(size)
    )
    evidence: tuple[Evidence, ...] = (
        Estimates("Share called toxic, by user", rows, 0.95, "Wilson", 0.45, "all rows"),
        Table("Pairs", ("a", "b", "gap"), tuple((f"g{k}", f"g{k + 1}", 0.1) for k in range(size))),
        Curve(
            "Curve",
            "x",
            "y",
            tuple(k / size for k in range(size)),
            tuple(k / size for k in range(size)),
            (3,) * size,
        ),
        Examples("Broken", tuple(Example("a " * 500, "b " * 500, "x", "y") for _ in range(1_000))),
        ScoredTexts("Explained", (_scored_words(2_000),) * 100),
    )
    findings = tuple(
        finding(
            f"fairness.check-{k % 40}",
            "Every user is treated alike.",
            measured("gap", 0.1, size, f"part {k}", ends=(0.05, 0.2), evidence=evidence),
            limit=0.15,
            direction="max",
            interval=(0.05, 0.2),
        )
        for k in range(2_000)
    )
    base = result_of(findings)
    groups = {"user": {f"user {k}": 10 for k in range(size)}}
    return replace(base, subject=replace(base.subject, groups=groups))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium, or a skip that says what is missing."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="the playwright package is not installed"
    )
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None or not Path(path).exists():
        pytest.skip("no Chromium: put one on the PATH or name it in CHROMIUM")
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=arguments, headless=True)
        yield chromium
        chromium.close()
