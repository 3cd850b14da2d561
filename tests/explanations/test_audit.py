"""Explanations in a whole audit of a tiny transformer: asked for, cut off, gone on with."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import auditkit
from auditkit.config import parse_config
from auditkit.errors import ConfigError
from auditkit.explanations.explaining import TextExplainer
from auditkit.finding import Outcome, ScoredTexts
from auditkit.forecast import forecast
from auditkit.forecast.comparison import compare
from auditkit.model import Capability
from auditkit.plan import make_plan
from auditkit.registry import load_registry

pytest.importorskip("greenlet")
pytest.importorskip("captum")

WORDS = (
    "film", "movie", "was", "good", "bad", "fine", "dull", "warm", "cold", "and", "not", "very",
    "story", "plot", "great", "awful", "funny", "sad", "quiet", "loud",
)  # fmt: skip
ROWS = 40


@pytest.fixture
def table(tiny: Path, tmp_path: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    with (tmp_path / "d.csv").open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(["text", "label", "sex"])
        for row in range(ROWS):
            text = " ".join(rng.choice(WORDS, rng.integers(4, 12)))
            out.writerow([text, int(rng.integers(2)), "ab"[row % 2]])
    return {
        "model": {"path": str(tiny)},
        "data": {"path": str(tmp_path / "d.csv"), "text": "text", "label": "label"},
        "explanations": {
            "methods": ["occlusion", "integrated-gradients"],
            "examples": 25,
            "steps": 5,
        },
    }


def explaining(found: auditkit.Audit) -> list[Any]:
    return [f for f in found.result.findings if f.check.startswith("explanations.")]


def test_every_check_of_explanations_runs_on_a_real_transformer(table, tmp_path):
    found = explaining(auditkit.run(table, out=tmp_path / "run"))
    checks = {f.check.partition(".")[2] for f in found}
    assert checks == {
        "agreement", "completeness", "faithfulness", "plausibility", "randomization",
        "sensitive-term-mass", "shortcuts", "stability",
    }  # fmt: skip
    crashed = [f.message for f in found if f.outcome is Outcome.ERROR]
    assert not crashed
    slices = {f.measurement.slice for f in found if f.check == "explanations.faithfulness"}
    assert slices == {"occlusion", "integrated-gradients"}
    maps = [e for f in found if f.measurement for e in f.measurement.evidence]
    assert any(isinstance(one, ScoredTexts) for one in maps)
    untrained = [f for f in found if f.measurement and f.measurement.name == "random_response"]
    assert [f.outcome for f in untrained] == [Outcome.FAIL]  # its weights are random
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "integrated-gradients" in page


def test_without_the_table_they_are_left_out_and_it_is_said_why(table):
    del table["explanations"]
    plan = make_plan(parse_config(table), load_registry([]), frozenset(Capability))
    assert not [one for one in plan.checks if one.check.family == "explanations"]
    said = {one.check: one.reason for one in plan.not_run}
    assert "add [explanations]" in said["explanations.faithfulness"]


def test_the_table_is_for_all_checks_and_a_check_says_it_otherwise(table):
    table["checks"] = {"explanations.stability": {"params": {"examples": 7}}}
    plan = make_plan(parse_config(table), load_registry([]), frozenset(Capability))
    params = {one.check.id: one.params for one in plan.checks}
    assert params["explanations.faithfulness"].examples == 25
    assert params["explanations.stability"].examples == 7
    assert params["explanations.stability"].methods == ("occlusion", "integrated-gradients")


def test_an_unknown_method_is_refused_before_anything_runs(table):
    table["explanations"]["methods"] = ["shep"]
    with pytest.raises(ConfigError, match=r"no method 'shep'.*Did you mean 'shap'"):
        make_plan(parse_config(table), load_registry([]), frozenset(Capability))


def test_a_run_that_is_cut_off_explains_only_what_is_left(table, tmp_path, monkeypatch):
    table["only"] = ["explanations.faithfulness"]
    whole = auditkit.run(table, out=tmp_path / "whole")
    explain, seen = TextExplainer.explain, []

    def cut_off(self, method, texts, labels, effort):
        for done, one in enumerate(explain(self, method, texts, labels, effort)):
            if method == "integrated-gradients" and done == 10:
                raise KeyboardInterrupt
            yield one

    def counted(self, method, texts, labels, effort):
        seen.append((method, len(texts)))
        yield from explain(self, method, texts, labels, effort)

    monkeypatch.setattr(TextExplainer, "explain", cut_off)
    with pytest.raises(KeyboardInterrupt):
        auditkit.run(table, out=tmp_path / "cut")
    monkeypatch.setattr(TextExplainer, "explain", counted)
    again = auditkit.run(table, out=tmp_path / "cut")
    assert seen == [("occlusion", 0), ("integrated-gradients", 15)]
    assert explaining(again) == explaining(whole)


def test_a_plan_says_what_explaining_will_cost(table):
    table["only"] = ["explanations.faithfulness"]
    expected, _ = forecast(parse_config(table))
    (cost,) = expected.checks
    assert not cost.obstacle
    assert cost.seconds is not None
    found = {one.name: one for one in compare(expected, auditkit.run(table).result)}
    assert 0.7 < found["distinct inputs"].ratio < 1.4
