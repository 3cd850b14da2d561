"""The released CheckList suite for sentiment is read as it is, and counted as it says."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit.behaviour import Reading, read_suite
from auditkit.data import AuditData
from auditkit.finding import Estimates
from auditkit.metrics.behaviour import SuiteParams
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel, findings_on

LABELS = {"0": "negative", "1": "neutral", "2": "positive"}
DIRECTIONS = {
    "intensifiers": "up",
    "reducers": "down",
    "add positive phrases": "up positive",
    "add negative phrases": "down positive",
}


@pytest.fixture(scope="module")
def suite(public_data) -> Path:
    return public_data / "checklist_sentiment" / "suite_known.jsonl.gz"


@pytest.fixture(scope="module")
def rows(suite) -> list[dict[str, Any]]:
    with gzip.open(suite, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def failures(suite: Path, answer, classes: tuple[str, ...], **params) -> dict[str, tuple[int, int]]:
    """Failures and cases of every test."""
    data = AuditData(("text",), np.array([0]), classes)
    found = findings_on(
        load_registry().get("robustness.behavioural"),
        data,
        SharedPredictor(FakeModel(answer, class_names=classes)),
        SuiteParams(str(suite), directions=DIRECTIONS, **params),
    )
    charts = [e for f in found for e in f.measurement.evidence if isinstance(e, Estimates)]
    return {row.label[: -len(" (MFT)")]: (row.count, row.n) for c in charts for row in c.rows}


def test_every_case_is_read(suite, rows):
    reading = Reading(tuple(LABELS.values()), LABELS, DIRECTIONS)
    cases = read_suite(suite, reading)
    assert len(cases) == len(rows) == 7413
    assert [case.texts for case in cases] == [tuple(row["texts"]) for row in rows]
    assert [case.kind for case in cases] == [row["type"] for row in rows]
    known = [row["label"] for row in rows if row["type"] == "MFT"]
    assert [case.label for case in cases if case.kind == "MFT"] == known


@pytest.mark.parametrize("constant", range(3))
def test_a_constant_model_fails_the_cases_that_demand_another_class(suite, rows, constant):
    scores = [0.2, 0.2, 0.2]
    scores[constant] = 0.6
    found = failures(suite, lambda _: scores, tuple(LABELS.values()), labels=LABELS)
    cases = Counter(row["test"] for row in rows)
    wrong = Counter(
        row["test"] for row in rows if row["type"] == "MFT" and row["label"] != constant
    )
    assert found == {test: (wrong[test], n) for test, n in cases.items()}


def test_a_model_of_text_lengths_fails_where_counting_by_hand_says(suite, rows):
    def answer(text: str) -> list[float]:
        share = 1 / (1 + 2.0 ** -(len(text) % 7 - 3))
        return [1 - share, share]

    neutral = ("single neutral words", "neutral words in context")
    found = failures(
        suite,
        answer,
        ("negative", "positive"),
        labels={"0": "negative", "2": "positive"},
        leave_out=neutral,
    )
    expected: dict[str, list[int]] = {}
    for row in rows:
        if row["test"] not in neutral:
            fails = _fails(row, [answer(text)[1] for text in row["texts"]])
            if fails is not None:
                k, n = expected.setdefault(row["test"], [0, 0])
                expected[row["test"]] = [k + fails, n + 1]
    assert found == {test: tuple(counts) for test, counts in expected.items()}
    assert len({k for k, _ in found.values()}) > 10


def _fails(row: dict[str, Any], positive: list[float]) -> bool | None:
    """By the rules of CheckList's `expect.py`, for two classes."""
    classes = [int(p > 0.5) for p in positive]
    if row["type"] == "MFT":
        return any(c != row["label"] / 2 for c in classes)
    if row["type"] == "INV":
        return any(c != classes[0] for c in classes[1:])
    watched = positive if "phrases" in row["test"] or classes[0] else [1 - p for p in positive]
    increasing = DIRECTIONS[row["test"]].startswith("up")
    if watched[0] <= 0.1 if increasing else watched[0] >= 0.9:
        return None
    moves = [p - watched[0] for p in watched[1:]]
    return any(m + 0.1 < 0 for m in moves) if increasing else any(m - 0.1 > 0 for m in moves)
