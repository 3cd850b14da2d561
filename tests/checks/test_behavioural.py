"""robustness.behavioural judges the worst test of each capability."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import auditkit
from auditkit.data import AuditData
from auditkit.errors import ConfigError
from auditkit.finding import Estimates, Finding, Outcome, Table
from auditkit.gate import ExitCode
from auditkit.metrics.behaviour import SuiteParams
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel, findings_on

CHECK = load_registry().get("robustness.behavioural")
DATA = AuditData(("good", "bad"), np.array([1, 0]), ("negative", "positive"), 1)


def by_word(text: str) -> list[float]:
    """Positive when "good" occurs, whatever else does; surer of capitals."""
    share = 0.2 + 0.6 * ("good" in text.lower()) + 0.1 * text.isupper()
    return [1 - share, share]


def suite(folder: Path, cases: int = 60) -> Path:
    rows = []
    for i in range(cases):
        plain = {"capability": "Words", "test": "plain", "type": "MFT"}
        rows.append(plain | {"case": i, "texts": [f"good {i}"], "label": "positive"})
        negated = {"capability": "Syntax", "test": "negation", "type": "MFT"}
        rows.append(negated | {"texts": [f"not good {i}"], "label": "negative"})
        names = {"capability": "Syntax", "test": "names", "type": "INV"}
        rows += [names | {"texts": [f"good {i} {k}", f"Good {i} {k}"]} for k in range(9)]
        louder = {"capability": "Words", "test": "louder", "type": "DIR", "direction": "up"}
        rows.append(louder | {"texts": [f"good {i}", f"GOOD {i}"]})
    path = folder / "suite.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def findings(path: Path | str, answer=by_word, data=DATA, **params) -> list[Finding]:
    predictor = SharedPredictor(FakeModel(answer))
    return findings_on(CHECK, data, predictor, SuiteParams(str(path), **params))


def outcome(found: list[Finding], name: str) -> dict[str, Outcome]:
    return {f.measurement.slice: f.outcome for f in found if f.measurement.name == name}


def test_a_test_that_fails_altogether_is_not_hidden_by_the_easy_cases(tmp_path):
    found = findings(suite(tmp_path))
    assert outcome(found, "worst_test") == {"Words": Outcome.PASS, "Syntax": Outcome.FAIL}
    syntax = next(f.measurement for f in found if f.measurement.slice == "Syntax")
    assert syntax.value == 1.0
    assert "negation (MFT), 60 of 60 cases fail, the first in line 2, 14" in syntax.note
    chart = next(e for e in syntax.evidence if isinstance(e, Estimates))
    assert [(r.label, r.count, r.n) for r in chart.rows] == [
        ("negation (MFT)", 60, 60),
        ("names (INV)", 0, 540),
    ]


def test_the_test_with_the_fewest_cases_is_named_when_it_is_not_the_worst(tmp_path):
    path = suite(tmp_path)
    short = {"capability": "Words", "test": "short", "type": "MFT", "label": "positive"}
    lines = [json.dumps(short | {"texts": [f"good {i} x"]}) for i in range(12)]
    path.write_text("\n".join([path.read_text(encoding="utf-8"), *lines]), encoding="utf-8")
    found = findings(path, lambda text: by_word(text if text != "good 1" else "1"))
    words = next(f for f in found if f.measurement.slice == "Words")
    assert words.outcome is Outcome.INCONCLUSIVE
    assert "Worst: plain" in words.measurement.note
    assert "Least certain: short, 0 of 12 fail." in words.measurement.note


def test_the_failure_rate_is_over_all_cases_of_the_capability_with_its_units(tmp_path):
    found = findings(suite(tmp_path))
    rates = {f.measurement.slice: f.measurement for f in found if f.limit is None}
    assert rates["Syntax"].value == pytest.approx(60 / 600)
    assert (rates["Words"].value, rates["Words"].n) == (0.0, 120)
    units = rates["Syntax"].units
    assert len(units) == 600
    assert np.mean(list(units.values())) == pytest.approx(0.1)


def test_twenty_cases_decide_nothing(tmp_path):
    assert outcome(findings(suite(tmp_path, 20)), "worst_test")["Words"] is Outcome.INCONCLUSIVE


def test_without_a_suite_it_is_not_applicable_and_says_how_to_name_one():
    found = findings("")
    assert [f.outcome for f in found] == [Outcome.NOT_APPLICABLE]
    assert "params.suite_file" in found[0].message


def test_a_model_of_something_else_than_texts_is_not_applicable(tmp_path):
    found = findings(suite(tmp_path), data=replace(DATA, inputs=(1, 2)))
    assert [f.outcome for f in found] == [Outcome.NOT_APPLICABLE]


def test_a_broken_suite_is_an_error_with_the_line(tmp_path):
    path = suite(tmp_path)
    path.write_text(path.read_text(encoding="utf-8") + "\n{}", encoding="utf-8")
    found = findings(path)
    assert [f.outcome for f in found] == [Outcome.ERROR]
    assert "suite.jsonl:721: the case has no test" in found[0].message


def test_cases_that_cannot_fail_are_counted_apart_and_decide_nothing(tmp_path):
    sure = suite(tmp_path)
    found = findings(sure, lambda text: [0.97, 0.03] if "not" in text else [0.02, 0.98])
    words = next(f.measurement for f in found if f.measurement.slice == "Words")
    table = next(e for e in words.evidence if isinstance(e, Table))
    assert table.rows[1][:5] == ("louder", "DIR", 60, 0, 0)
    down = sure.read_text(encoding="utf-8").replace('"up"', '"down"')
    sure.write_text(down, encoding="utf-8")
    found = findings(sure, lambda text: [0.97, 0.03] if "not" in text else [0.02, 0.98])
    words = next(f for f in found if f.measurement.slice == "Words")
    table = next(e for e in words.measurement.evidence if isinstance(e, Table))
    assert table.rows[1][:5] == ("louder", "DIR", 0, 0, 60)
    assert words.outcome is Outcome.INCONCLUSIVE
    assert "No case of louder can fail" in words.measurement.note


def test_impossible_parameters_are_refused():
    for name in ("tolerance", "invariance_tolerance"):
        with pytest.raises(ValueError, match=name):
            SuiteParams(**{name: 1.0})


def configured(folder: Path, suite_file: str) -> Path:
    (folder / "data.csv").write_text("text,label\n" + "good,1\nbad,0\n" * 40, encoding="utf-8")
    (folder / "own_model.py").write_text(
        "def answer(texts):\n    return [[.1, .9] if 'good' in t else [.9, .1] for t in texts]\n",
        encoding="utf-8",
    )
    (folder / "auditkit.toml").write_text(
        'only = ["robustness.behavioural"]\n'
        '[model]\ncallable = "own_model:answer"\nclass_names = ["negative", "positive"]\n'
        '[data]\npath = "data.csv"\ntext = "text"\nlabel = "label"\n'
        '[data.label_map]\n0 = "negative"\n1 = "positive"\n'
        f'[checks."robustness.behavioural"]\nparams.suite_file = "{suite_file}"\n',
        encoding="utf-8",
    )
    return folder / "auditkit.toml"


def test_the_suite_lies_beside_the_configuration_and_its_content_is_in_the_digest(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(str(tmp_path))
    path, config = suite(tmp_path), configured(tmp_path, "suite.jsonl")
    first = auditkit.run(config)
    assert first.exit_code == ExitCode.FAIL
    recorded = first.result.suite.checks[0].params
    assert recorded["suite_file"] == "suite.jsonl"
    assert len(recorded["suite_file_sha256"]) == 64
    path.write_text(path.read_text(encoding="utf-8").replace("not ", "no "), encoding="utf-8")
    second = auditkit.run(config)
    assert second.result.suite_digest != first.result.suite_digest


def test_a_suite_that_is_not_there_stops_the_audit_before_the_model_is_asked(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=r"params.suite_file: .*absent.jsonl cannot be read"):
        auditkit.run(configured(tmp_path, "absent.jsonl"))


def test_a_run_goes_on_with_the_old_measurement_only_while_the_suite_is_the_same(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(str(tmp_path))
    path, config = suite(tmp_path), configured(tmp_path, "suite.jsonl")
    out = tmp_path / "out"
    auditkit.run(config, out=str(out))
    path.write_text(path.read_text(encoding="utf-8").replace("not ", "no "), encoding="utf-8")
    again = auditkit.run(config, out=str(out))
    assert again.result.replayed == ()
