"""No check of explanations stumbles over an odd text, or passes from a handful of them."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from pydantic import TypeAdapter

from auditkit.attribution import words_of
from auditkit.check import Confidence, Context
from auditkit.data import Attribute, AuditData, unit_id
from auditkit.finding import Finding, Outcome, ScoredTexts
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel, PlantedExplainer, findings_in

CHECKS = {
    name: check for name, check in load_registry().checks.items() if check.family == "explanations"
}
ODD = (
    "",
    "   ",
    "\t\n",
    "x",
    "...",
    "😀",
    "😀😀 👩‍👩‍👧 🇩🇪",
    "فيلم جميل جدا ولكنه طويل",
    "\u202eabc def ghi\u202c",
    "zero\u200bwidth zero\u200dwidth",
    "no no no no no no no no",
    "cafe\u0301 nai\u0308ve",
    "half a pair \ud800 of surrogates",
    "nul \x00 and bell \x07",
    "<img src=x onerror=alert(1)> & friends",
    "=HYPERLINK(1) and a | b",
    "映画はとても良かった",
    "a" * 3000,
    "word " * 400,
    "don't can’t o'clock's",
)
"""Twenty texts, of which three are blank."""


def strength_of(text: str, salt: str) -> float:
    """What a word adds to the log odds, by its letters; a model of another salt is another one."""
    return (int(unit_id(salt + text), 16) % 2001 - 1000) / 1000


def parts(text: str, salt: str) -> list[float]:
    return [strength_of(text[start:end], salt) for start, end in words_of(text)]


def predictor(salt: str) -> SharedPredictor:
    def answer(text: str) -> list[float]:
        found = parts(text, salt)
        share = 1 / (1 + math.exp(-3 * sum(found) / math.sqrt(max(len(found), 1))))
        return [1 - share, share]

    return SharedPredictor(FakeModel(answer))


def explainer(salt: str = "real") -> PlantedExplainer:
    def weigh(_method: str, text: str, label: int, _seed: int) -> list[float]:
        return [(1 if label else -1) * one for one in parts(text, salt)]

    return PlantedExplainer(
        weigh,
        predictor(salt),
        totals=lambda method, text, label: sum(weigh(method, text, label, 0)),
        layers=("head", "layer", "embeddings"),
        untrained=lambda layers: explainer(f"{salt}{layers}"),
    )


def data(texts: tuple[str, ...]) -> AuditData:
    """Labelled rows of two groups, in each of which people marked the first word, if any."""
    marks = tuple(words_of(text)[:1] for text in texts)
    labels = np.arange(len(texts), dtype=np.int64) % 2
    groups = {"sign": Attribute.from_values("sign", ["abcde"[i % 5] for i in range(len(texts))])}
    return AuditData(texts, labels, ("bad", "good"), 1, groups, rationales=marks)


def run(name: str, rows: AuditData, methods: tuple[str, ...] = ("shap", "occlusion")):
    check, explains = CHECKS[name], explainer()
    context = Context(
        predictor=explains.predictor,
        data=rows,
        splits={},
        confidence=Confidence(),
        rng=np.random.default_rng(0),
        advance=lambda _: None,
        explainer=explains,
    )
    found = findings_in(check, context, check.params(methods=methods))
    crashed = [one.message for one in found if one.outcome is Outcome.ERROR]
    assert not crashed, f"{name}: {crashed[0]}"
    return found


@pytest.mark.parametrize("name", CHECKS)
def test_odd_texts_crash_nothing_and_the_findings_survive_json(name):
    found = run(name, data(ODD))
    adapter = TypeAdapter(list[Finding])
    document = json.dumps(adapter.dump_python(found, mode="json"), allow_nan=False)
    assert adapter.validate_json(document) == found


@pytest.mark.parametrize("name", CHECKS)
def test_a_handful_of_odd_texts_passes_nothing(name):
    for texts in (ODD[:1], ODD[3:4], ODD[5:6], ODD[3:], ODD[6:12]):
        passed = [one.message for one in run(name, data(texts)) if one.outcome is Outcome.PASS]
        assert not passed, f"{name} passes: {passed[0]}"


@pytest.mark.parametrize("name", CHECKS)
def test_the_same_texts_many_times_pass_no_more_than_once(name):
    copied = data(ODD[3:10] * 30)
    clusters = np.tile(np.arange(7), 30)
    for rows in (copied, dataclasses.replace(copied, clusters=clusters)):
        passed = [one.message for one in run(name, rows) if one.outcome is Outcome.PASS]
        assert not passed, f"{name} passes: {passed[0]}"


@pytest.mark.parametrize("name", CHECKS)
def test_blank_texts_alone_decide_nothing(name):
    found = run(name, data(ODD[:3]))
    assert {one.outcome for one in found} <= {Outcome.NOT_APPLICABLE, Outcome.INCONCLUSIVE}


@pytest.mark.parametrize("name", CHECKS)
def test_the_same_rows_give_the_same_findings(name):
    mixed = tuple(f"{text} number {i}" for i in range(2) for text in ODD)
    assert run(name, data(mixed)) == run(name, data(mixed))


@pytest.mark.parametrize("name", CHECKS)
def test_what_is_drawn_stays_within_its_text(name):
    mixed = tuple(f"{text} number {i}" for i in range(2) for text in ODD)
    for finding in run(name, data(mixed)):
        for piece in finding.measurement.evidence if finding.measurement else ():
            for row in piece.rows if isinstance(piece, ScoredTexts) else ():
                ends = [end for scores in row.scores for _, end in scores.spans]
                assert max(ends, default=0) <= len(row.text)
