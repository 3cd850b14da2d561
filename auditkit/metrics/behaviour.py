"""Failure rates of a behavioural suite, by capability and test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from auditkit.behaviour import Case, Kind, Reading, Tolerances, failed, read_suite
from auditkit.check import Context
from auditkit.data import unit_id
from auditkit.errors import NotApplicable
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Cell,
    Estimate,
    Estimates,
    Interval,
    Measurement,
    Table,
)
from auditkit.model import Predictions
from auditkit.stats.gaps import Comparison, combine_max
from auditkit.stats.intervals import rate, wilson

CHUNK = 4096
"""Texts asked about at once: many full batches, and progress is shown in between."""
MOST_UNITS = 5000
_LINES = 5


@dataclass(frozen=True, slots=True)
class SuiteParams:
    """Which suite, and how to read it."""

    suite_file: str = ""
    """The suite: a jsonl file of cases, also gzipped."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Label in the suite -> class name of the model, where they differ."""
    directions: Mapping[str, str] = field(default_factory=dict)
    """DIR test -> "up" or "down", for cases that do not say it; with a class, "up positive"."""
    leave_out: tuple[str, ...] = ()
    """Tests not to run."""
    tolerance: float = 0.1
    """How far a probability may move against a DIR case's direction."""
    invariance_tolerance: float = 0.0
    """With more than 0, an INV case whose class changes fails only when the probability of the
    first class moved by more."""

    def __post_init__(self) -> None:
        for name in ("tolerance", "invariance_tolerance"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie between 0 and 1, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of one test.

    Attributes:
        test: Its name.
        kind: Its type.
        failures: Cases that fail.
        cases: Cases that could.
        idle: Cases that could not, see `auditkit.behaviour.failed`.
        lines: Lines of the first failures in the suite.
    """

    test: str
    kind: Kind
    failures: int
    cases: int
    idle: int
    lines: tuple[int, ...]


def failure_measurements(context: Context, params: SuiteParams) -> Iterator[Measurement]:
    """For each capability its worst test, and the failure rate of all its cases.

    Raises:
        NotApplicable: No suite is named, or the model is not one of texts.
        AuditkitError: The suite cannot be read.
    """
    if not params.suite_file:
        raise NotApplicable(
            "no suite of behavioural tests is named; write one case a line and name the file in "
            "params.suite_file"
        )
    data = context.data
    if not all(isinstance(one, str) for one in data.inputs):
        raise NotApplicable("the inputs of this model are no texts, and the suite's cases are")
    reading = Reading(data.class_names, params.labels, params.directions, params.leave_out)
    cases = read_suite(Path(params.suite_file), reading)
    tolerances = Tolerances(params.tolerance, params.invariance_tolerance)
    found = failed(cases, _answers(context, cases), tolerances)
    tests = _by_test(cases, found)
    comparisons = sum(map(len, tests.values()))
    for capability, outcomes in tests.items():
        yield _worst(capability, outcomes, context, comparisons)
        yield _pooled(capability, outcomes, context, len(tests), _units(capability, cases, found))


def _answers(context: Context, cases: Sequence[Case]) -> Predictions:
    texts = [text for case in cases for text in case.texts]
    parts = []
    for start in range(0, len(texts), CHUNK):
        parts.append(context.predictor.predict(texts[start : start + CHUNK]))
        context.advance(min(start + CHUNK, len(texts)) / len(texts))
    scores = [part.probabilities for part in parts if part.probabilities is not None]
    return Predictions(
        np.concatenate([part.labels for part in parts]),
        np.concatenate(scores) if len(scores) == len(parts) else None,
    )


def _by_test(cases: Sequence[Case], found: Sequence[bool | None]) -> dict[str, list[Outcomes]]:
    """Outcomes of every test by capability, both in the order of the suite."""
    grouped: dict[str, dict[str, list[tuple[Case, bool | None]]]] = {}
    for case, fails in zip(cases, found, strict=True):
        grouped.setdefault(case.capability, {}).setdefault(case.test, []).append((case, fails))
    return {
        capability: [
            Outcomes(
                test,
                judged[0][0].kind,
                sum(fails is True for _, fails in judged),
                sum(fails is not None for _, fails in judged),
                sum(fails is None for _, fails in judged),
                tuple(case.line for case, fails in judged if fails)[:_LINES],
            )
            for test, judged in tests.items()
        ]
        for capability, tests in grouped.items()
    }


def _units(
    capability: str, cases: Sequence[Case], found: Sequence[bool | None]
) -> dict[str, float]:
    """1 for a case that fails, else 0; none when there are too many to write down."""
    units = {
        unit_id("\0".join((case.test, *case.texts))): float(fails)
        for case, fails in zip(cases, found, strict=True)
        if case.capability == capability and fails is not None
    }
    return units if len(units) <= MOST_UNITS else {}


def _worst(
    capability: str, outcomes: Sequence[Outcomes], context: Context, comparisons: int
) -> Measurement:
    evidence = (_chart(outcomes), _table(outcomes))
    confidence = context.confidence
    compared = [
        Comparison(
            one.failures / one.cases if one.cases else None,
            rate(one.failures, one.cases, confidence.claim_alpha),
            rate(one.failures, one.cases, confidence.corrected_alpha(comparisons)),
        )
        for one in outcomes
    ]
    largest = combine_max(compared, both_ways=False)
    idle = [one.test for one in outcomes if not one.cases]
    said = [f"No case of {', '.join(idle[:5])} can fail with this model's answers."] if idle else []
    if largest.widest is None:
        return Measurement("worst_test", None, 0, None, capability, said[0], evidence=evidence)
    worst = outcomes[largest.widest]
    vague = max(range(len(outcomes)), key=lambda i: compared[i].claim.upper or 0.0)
    if vague != largest.widest and outcomes[vague].cases:
        least = outcomes[vague]
        said.insert(0, f"Least certain: {least.test}, {least.failures:,} of {least.cases:,} fail.")
    where = f", the first in line {', '.join(map(str, worst.lines))}" if worst.lines else ""
    said.insert(
        0,
        f"Worst: {worst.test} ({worst.kind}), {worst.failures:,} of {worst.cases:,} cases fail"
        f"{where}.",
    )
    return Measurement(
        name="worst_test",
        value=largest.value,
        n=worst.cases,
        bounds=Bounds(largest.claim, largest.corrected, "Clopper-Pearson", comparisons),
        slice=capability,
        note=" ".join(said),
        evidence=evidence,
    )


def _pooled(
    capability: str,
    outcomes: Sequence[Outcomes],
    context: Context,
    comparisons: int,
    units: dict[str, float],
) -> Measurement:
    k, n = sum(one.failures for one in outcomes), sum(one.cases for one in outcomes)
    if not n:
        note = "no case can fail with this model's answers"
        return Measurement("failure_rate", None, 0, None, capability, note)
    confidence = context.confidence
    return Measurement(
        name="failure_rate",
        value=k / n,
        n=n,
        bounds=Bounds(
            rate(k, n, confidence.claim_alpha),
            rate(k, n, confidence.corrected_alpha(comparisons)),
            "Clopper-Pearson",
            comparisons,
        ),
        slice=capability,
        note=f"{k:,} of {n:,} cases of {len(outcomes):,} tests fail.",
        units=units,
    )


def _chart(outcomes: Sequence[Outcomes]) -> Estimates:
    alpha = WHISKER_ALPHA

    def interval(one: Outcomes) -> Interval | None:
        return wilson(one.failures, one.cases, alpha) if one.cases else None

    return Estimates(
        title="Failure rate by test",
        rows=tuple(
            Estimate(
                f"{one.test} ({one.kind})",
                one.cases,
                one.failures / one.cases if one.cases else None,
                interval(one),
                one.failures,
                "" if one.cases else "no case can fail",
            )
            for one in outcomes
        ),
        level=WHISKER_LEVEL,
        method="Wilson",
    )


def _table(outcomes: Sequence[Outcomes]) -> Table:
    cells: list[tuple[Cell, ...]] = [
        (one.test, one.kind, one.cases, one.failures, one.idle, ", ".join(map(str, one.lines)))
        for one in outcomes
    ]
    return Table(
        "Tests",
        ("test", "type", "cases", "failures", "cannot fail", "first failures in line"),
        tuple(cells),
    )
