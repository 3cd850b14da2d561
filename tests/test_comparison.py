"""Words about two audits: each is said of an interval, and of nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from auditkit.comparison import compare
from auditkit.config import Policy
from auditkit.data import AuditData
from auditkit.finding import Bounds, Finding, Interval, Measurement, Outcome, Severity
from auditkit.gate import decide
from auditkit.metrics.answered_twice import Twice
from auditkit.model import Predictions
from auditkit.result import AuditResult, Subject, Suite, SuiteCheck, SuiteLimit, Timing
from auditkit.testing import tiny_data

N = 400


def labels_only(predicted: np.ndarray) -> Predictions:
    return Predictions(predicted.astype(np.int64), None)


def finding(measurement: Measurement, check: str = "own.check", direction: str = "min") -> Finding:
    return Finding(
        check, "It holds", Outcome.PASS, Severity.LOW, "said", measurement, 0.5, direction,
        measurement.bounds.claim if measurement.bounds else None,
    )  # fmt: skip


def measured(
    value: float | None, units: dict[str, float] | None = None, **more: Any
) -> Measurement:
    ends = None if value is None else Interval(value - 0.1, value + 0.1)
    bounds = None if ends is None else Bounds(ends, ends, "made up")
    return Measurement("x", value, N, bounds, units=units or {}, **more)


def result(*findings: Finding, data: str = "d", suite: str = "s") -> AuditResult:
    import datetime

    checks = tuple(
        SuiteCheck(f.check, f.title, f.severity, {"x": SuiteLimit("min", 0.5)}, {}, required=False)
        for f in findings
    )
    return AuditResult(
        title="t",
        subject=Subject("m", "md", ("a", "b"), "d.csv", data, "test", N, {}, {}),
        suite=Suite(checks, 0.95, 1),
        suite_digest=suite,
        seed=0,
        findings=findings,
        not_run=(),
        policy=Policy(),
        decision=decide(findings, Policy(), datetime.date(2030, 1, 1)),
        decided_on="2030-01-01",
        environment={},
        timing=Timing(),
    )


def rows(right_before: float = 0.8, right_after: float = 0.8, clusters: bool = False) -> Twice:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, N)
    shared = rng.random(N)
    before = np.where(shared < right_before, labels, 1 - labels)
    after = np.where(shared < right_after, labels, 1 - labels)
    data = tiny_data(labels, clusters=(np.arange(N) // 4).tolist() if clusters else None)
    return Twice(data, labels_only(before), labels_only(after))


def units(share: float, seed: int = 0, n: int = N) -> dict[str, float]:
    drawn = np.random.default_rng(seed).random(n) < share
    return {f"e{i}": float(hit) for i, hit in enumerate(drawn)}


def mean(values: dict[str, float]) -> float:
    return float(np.mean(list(values.values())))


def only(before: Measurement | None, after: Measurement | None, **more: Any) -> Any:
    """The change of the one measurement of two audits."""
    first = result(*([finding(before, **more)] if before else []))
    second = result(*([finding(after, **more)] if after else []))
    return compare(first, second, rows()).changes[1]


@pytest.mark.parametrize(
    ("right", "word"), [(0.9, "improved"), (0.7, "worsened"), (0.805, "no difference shown")]
)
@pytest.mark.parametrize("clusters", [False, True])
def test_accuracy_comes_first_and_is_compared_row_by_row(right, word, clusters):
    found = compare(result(), result(), rows(0.8, right, clusters))
    accuracy = found.changes[0]
    assert (accuracy.name, accuracy.word) == ("accuracy", word)
    assert accuracy.difference == pytest.approx(accuracy.after.value - accuracy.before.value)
    assert found.mended - found.broken == pytest.approx(accuracy.difference * N)
    assert (found.mcnemar is None) == clusters
    assert found.answers_changed == found.mended + found.broken


def test_values_per_example_are_compared_pairwise():
    before, after = units(0.5), {k: max(v, units(0.3, 1)[k]) for k, v in units(0.5).items()}
    change = only(measured(mean(before), before), measured(mean(after), after))
    assert change.word == "improved"
    assert change.n == N
    assert change.interval.lower > 0
    assert change.difference == pytest.approx(mean(after) - mean(before))


def test_a_rise_of_what_should_be_small_is_a_worsening():
    before, after = units(0.2), {k: max(v, units(0.4, 1)[k]) for k, v in units(0.2).items()}
    change = only(measured(mean(before), before), measured(mean(after), after), direction="max")
    assert change.word == "worsened"


@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_values_that_are_no_shares_are_compared_by_bootstrap(scale):
    rng = np.random.default_rng(0)
    before = {f"e{i}": float(v) for i, v in enumerate(scale * rng.random(N))}
    after = {k: v + 0.2 * scale * rng.random() for k, v in before.items()}
    change = only(measured(mean(before), before), measured(mean(after), after))
    assert (change.word, change.method) == ("improved", "paired BCa bootstrap")
    assert change.interval.holds(mean(after) - mean(before))


@pytest.mark.parametrize(("changed", "word"), [(4, "no difference shown"), (40, "improved")])
def test_small_gains_among_many_zeros_are_no_improvement(changed, word):
    before = {f"e{i}": 0.25 for i in range(N)}
    after = before | {f"e{i}": 0.3 for i in range(changed)}
    change = only(measured(mean(before), before), measured(mean(after), after))
    assert (change.word, change.method) == (word, "paired BCa bootstrap")


def test_only_common_examples_are_compared_and_that_is_said():
    before, after = units(0.5), units(0.5, 2, N - 100)
    change = only(measured(mean(before), before), measured(mean(after), after))
    assert change.n == N - 100
    assert "300 examples both have" in change.note
    shared = mean({k: before[k] for k in after})
    assert change.difference == pytest.approx(mean(after) - shared)


@pytest.mark.parametrize(
    ("before", "after", "note"),
    [
        (measured(0.5), measured(0.9), ""),
        (measured(None, note="none"), measured(0.9), "undefined"),
        (measured(0.2, units(0.8)), measured(0.8, units(0.8)), "do not have the measured mean"),
        (measured(1.0, {"a": 1.0}), measured(1.0, {"a": 1.0}), "only 1 examples in common"),
    ],
)
def test_what_cannot_be_paired_stands_side_by_side_without_a_word(before, after, note):
    change = only(before, after)
    assert change.word == "not compared pairwise"
    assert change.interval is None
    assert note in change.note
    assert change.after.value == after.value


def test_what_only_one_audit_measured_says_so():
    assert only(measured(0.5), None).word == "before only"
    assert only(None, measured(0.5)).word == "after only"


def test_the_error_is_shared_by_everything_that_is_compared():
    def audit(checks: int) -> AuditResult:
        values = units(0.5)
        return result(
            *(finding(measured(mean(values), values), f"own.c{i}") for i in range(checks))
        )

    few, many = (compare(audit(n), audit(n), rows(0.8, 0.86)) for n in (1, 30))
    assert (few.compared, many.compared) == (2, 31)
    assert few.level == pytest.approx(1 - 0.05 / 2)
    assert many.level == pytest.approx(1 - 0.05 / 31)
    assert many.changes[0].interval.lower < few.changes[0].interval.lower


def test_a_fairness_gap_is_recomputed_and_refused_when_it_comes_out_otherwise():
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(0, 2, N), rng.choice(["a", "b"], N).tolist()
    data = tiny_data(labels, {"g": groups})
    twice = Twice(data, labels_only(labels), labels_only(labels))
    params = {"attributes": [], "intersections": True, "minimum_group_size": 20}
    shares = [labels[np.array(groups) == group].mean() for group in "ab"]
    gap = abs(shares[0] - shares[1])

    def audit(value: float) -> AuditResult:
        one = finding(
            dataclasses.replace(measured(value), name="gap", slice="g"),
            "fairness.demographic-parity", "max",
        )  # fmt: skip
        found = result(one)
        check = dataclasses.replace(found.suite.checks[0], params=params)
        return dataclasses.replace(found, suite=dataclasses.replace(found.suite, checks=(check,)))

    assert compare(audit(gap), audit(gap), twice).changes[1].word == "no difference shown"
    wrong = compare(audit(gap), audit(gap + 0.01), twice).changes[1]
    assert wrong.word == "not compared pairwise"
    assert "recomputed otherwise" in wrong.note


def test_audits_of_other_rows_or_another_suite_are_not_compared():
    with pytest.raises(ValueError, match="different data"):
        compare(result(), result(data="other"), rows())
    with pytest.raises(ValueError, match="different suites"):
        compare(result(), result(suite="other"), rows())


def test_examples_of_clustered_rows_need_a_known_cluster():
    from auditkit.content import content_digest

    texts = tuple(f"text {i}" for i in range(N))
    data = AuditData(
        texts, np.zeros(N, dtype=np.int64) + np.arange(N) % 2, ("a", "b"),
        clusters=np.arange(N) // 4,
    )  # fmt: skip
    answers = labels_only(data.labels)
    named = {content_digest(text).hex()[:16]: float(i % 3 == 0) for i, text in enumerate(texts)}
    twice = Twice(data, answers, answers)
    known = result(finding(measured(mean(named), named)))
    assert compare(known, known, twice).changes[1].word == "no difference shown"
    unknown = result(finding(measured(mean(units(0.5)), units(0.5))))
    change = compare(unknown, unknown, twice).changes[1]
    assert (change.word, change.note) == (
        "not compared pairwise", "which examples belong together is not known",
    )  # fmt: skip


def test_what_the_remedy_is_for_is_marked():
    found = compare(
        result(finding(measured(0.5), "robustness.a")),
        result(finding(measured(0.5), "robustness.a")),
        rows(),
        lambda check: check.startswith("robustness."),
    )
    assert [change.meant for change in found.changes] == [False, True]
