"""The baseline: how it is configured, refused, asked, counted, and what it makes a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import auditkit
from auditkit.baseline import load_baseline
from auditkit.config import load_config, parse_config
from auditkit.engine import with_plan
from auditkit.errors import AuditkitError
from auditkit.finding import Finding
from auditkit.forecast import forecast
from auditkit.group_thresholds import FILE_NAME, GroupThresholds
from auditkit.models.transformers_text import load_transformers
from auditkit.preflight import prepare
from auditkit.registry import load_registry

MODEL = """
from pathlib import Path
import numpy as np

def log(name, texts):
    with (Path({folder!r}) / name).open("a") as file:
        file.writelines(text + "\\n" for text in texts)

def ask(texts):
    log("model.txt", texts)
    return np.array([[0.2, 0.8] if "good" in text else [0.8, 0.2] for text in texts])

def older(texts):
    log("older.txt", texts)
    return np.array([[0.9, 0.1] if "good" in t and "far" not in t else [0.1, 0.9] for t in texts])

def three(texts):
    return np.array([[0.1, 0.2, 0.7]] * len(texts))
"""
CHECK = """
from pathlib import Path
from auditkit.check import Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.model import Capability

@check("own.beside", title="beside", severity=Severity.LOW, {says}={{Capability.BASELINE}},
       limits=(Limit("right", "max", None),))
def measure(context, params):
    "One line."
    with Path({log!r}).open("a") as log:
        log.write("measured\\n")
    if context.baseline is None:
        yield Measurement("right", 0.0, 1, None, "no baseline")
        return
    answers = context.baseline.predict(context.data.inputs)
    right = float((answers.labels == context.data.labels).mean())
    yield Measurement("right", right, len(answers), None, note=str(answers.probabilities[0]))
"""
ROBUSTNESS = ("relative_robustness", "effective_robustness")


class Bench:
    """A data file with a set that is far, a model and an older one, and a check that compares."""

    def __init__(self, folder: Path, says: str = "uses") -> None:
        self.folder, self.ran = folder, folder / "ran.txt"
        self.module = f"models_of_{folder.name}"
        (folder / f"{self.module}.py").write_text(MODEL.format(folder=str(folder)))
        (folder / "own").mkdir()
        (folder / "own" / "c.py").write_text(CHECK.format(says=says, log=str(self.ran)))
        self.write("d.csv", [*self.rows(240), *self.rows(160, "far")])
        self.config: dict[str, Any] = {
            "model": self.named("ask"),
            "baseline": self.named("older", class_names=["good", "bad"]),
            "data": {
                "path": str(folder / "d.csv"),
                "text": "text",
                "label": "label",
                "ood": {"far": {"column": "place", "values": ["far"]}},
            },
            "only": ["ood.accuracy-drop"],
            "plugins": [str(folder / "own")],
            "cache": {"directory": str(folder / "cache")},
        }

    def rows(self, n: int, place: str = "near") -> list[str]:
        """Every tenth says "bad" and is labelled "good"; the older model's answers are recorded."""
        lines = []
        for i in range(n):
            said = ("bad", "good")[i % 2]
            label = "good" if i % 10 == 0 else said
            recorded = said if place == "near" else "bad"
            lines.append(f"{said} {place} no {i},{label},{place},{recorded},{'ab'[i % 2]}")
        return lines

    def write(self, name: str, lines: list[str]) -> str:
        (self.folder / name).write_text("\n".join(["text,label,place,old,sex", *lines]))
        return str(self.folder / name)

    def named(self, function: str, **more: Any) -> dict[str, Any]:
        names = {"class_names": ["bad", "good"]} | more
        return {"callable": f"{self.module}:{function}", "depends_on": []} | names

    def asked(self, name: str) -> list[str]:
        file = self.folder / f"{name}.txt"
        return file.read_text().splitlines() if file.exists() else []

    def findings(self, **where: Any) -> dict[str, Finding]:
        audit = auditkit.run(self.config, **where)
        broken = [f.message for f in audit.findings if f.measurement is None]
        assert not broken, broken[0]
        return {f.measurement.name: f for f in audit.findings}

    def refusal(self, **baseline: Any) -> str:
        self.config["baseline"] = baseline
        with pytest.raises(AuditkitError) as caught:
            auditkit.run(self.config)
        return f"{caught.value} {caught.value.hint}"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.syspath_prepend(str(tmp_path))
    return Bench(tmp_path)


def test_classes_in_another_order_are_matched_by_name(bench):
    found = bench.findings()
    # Right on nine rows of ten in distribution, both; on the set the older one calls all "bad".
    assert found["relative_robustness"].measurement.value == pytest.approx(0.9 - 0.4)
    assert found["effective_robustness"].measurement.value == pytest.approx(0.5, abs=0.01)
    assert found["relative_robustness"].measurement.slice == "far"
    assert found["relative_robustness"].limit is None
    bench.config["only"] = ["own.beside"]
    (one,) = auditkit.run(bench.config).findings
    assert one.measurement.value == pytest.approx((0.9 * 240 + 0.4 * 160) / 400)
    assert one.measurement.note == "[0.9 0.1]"


def test_recorded_predictions_of_a_column_say_the_same(bench):
    called = bench.findings()
    bench.config["baseline"] = {"label_column": "old"}
    recorded = bench.findings()
    for name in ROBUSTNESS:
        assert recorded[name].measurement.value == called[name].measurement.value
        assert recorded[name].measurement.bounds == called[name].measurement.bounds


def test_a_model_on_file_is_compared_with_a_baseline_that_is_asked(bench):
    bench.config["model"] = {"label_column": "old", "class_names": ["bad", "good"]}
    found = bench.findings()
    assert found["relative_robustness"].measurement.value == 0.0
    assert len(bench.asked("older")) >= 400
    before = len(bench.asked("older"))
    bench.findings()
    assert len(bench.asked("older")) == before + 1  # the first row, which shows what it answers
    del bench.config["data"]["text"]
    bench.config["data"]["ood"] = {"far": {"column": "place", "values": ["far"]}}
    with pytest.raises(AuditkitError, match=r"\[baseline\]: data.text is not set"):
        auditkit.run(bench.config)


def test_predictions_on_file_do_not_answer_for_a_set_with_a_file_of_its_own(bench):
    path = bench.write("other.csv", [line.replace("no", "nr") for line in bench.rows(150, "far")])
    bench.config["data"]["ood"] = {"other": {"path": path}}
    bench.config["baseline"] = {"label_column": "old"}
    found = bench.findings()
    for name in ROBUSTNESS:
        assert found[name].measurement.value is None
        assert "none for some of these texts" in found[name].measurement.note
    assert found["drop"].measurement.value is not None


def test_copies_with_different_predictions_on_file_are_refused(bench):
    bench.write(
        "d.csv", [*bench.rows(240), *bench.rows(160, "far"), "bad near no 0,bad,near,good,a"]
    )
    assert "the same text and different predictions" in bench.refusal(label_column="old")


def test_other_classes_are_refused_with_what_to_do(bench):
    said = bench.refusal(**bench.named("older", class_names=["no", "yes"]))
    assert (
        "[baseline]: the baseline's classes are named 'no', 'yes', the model's 'bad', 'good'"
        in said
    )
    assert "baseline.class_names" in said
    said = bench.refusal(**bench.named("three", class_names=["bad", "good", "fine"]))
    assert "[baseline]: the baseline has 3 classes, the model under audit 2" in said
    assert "[baseline]: " in bench.refusal(callable=f"{bench.module}:nothing")
    assert "is named as the label and as the prediction" in bench.refusal(label_column="label")
    assert "name exactly one of" in bench.refusal(path="a", callable="b:c")


def test_without_class_names_a_function_has_those_of_the_model(bench):
    bench.config["baseline"] = {"callable": f"{bench.module}:ask", "depends_on": []}
    found = bench.findings()
    assert found["relative_robustness"].measurement.value == 0.0
    said = bench.refusal(callable=f"{bench.module}:three", depends_on=[])
    assert "3" in said


def test_a_check_that_needs_a_baseline_says_that_there_is_none(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    bench = Bench(tmp_path, "needs")
    bench.config["only"] = ["own.beside"]
    assert auditkit.run(bench.config).findings[0].measurement is not None
    del bench.config["baseline"]
    assert "no model to compare with ([baseline])" in auditkit.run(bench.config).findings[0].message


def test_a_check_that_uses_one_runs_without_and_others_do_not_load_it(bench):
    bench.config["only"] = ["own.beside"]
    del bench.config["baseline"]
    assert auditkit.run(bench.config).findings[0].measurement.slice == "no baseline"
    bench.config["baseline"] = {"path": "no such folder"}
    bench.config["only"] = ["quality.metric"]
    assert auditkit.run(bench.config).findings[0].measurement is not None


def test_what_is_asked_of_it_is_counted_and_kept(bench):
    result = auditkit.run(bench.config).result
    assert result.timing.asking.distinct == 2 * 400
    assert set(bench.asked("older")) == set(bench.asked("model"))
    again = auditkit.run(bench.config).result
    assert again.timing.asking.cached == 2 * 400
    assert len(bench.asked("older")) == 400 + 2  # only the first row, at each start
    assert result.subject.assumptions["baseline"].startswith(f"{bench.module}:older, SHA-256 ")


def test_another_baseline_is_measured_again_and_the_same_is_not(bench):
    run = bench.folder / "run"
    bench.config["only"] = ["own.beside", "quality.metric"]
    for _ in range(2):
        bench.findings(out=run)
    assert bench.ran.read_text().count("measured") == 1
    bench.config["baseline"] = bench.named("ask")
    bench.findings(out=run)
    assert bench.ran.read_text().count("measured") == 2
    replayed = auditkit.run(bench.config, out=run).result.replayed
    assert replayed == ("quality.metric",)
    del bench.config["baseline"]
    bench.findings(out=run)
    assert bench.ran.read_text().count("measured") == 3


def test_a_plan_counts_what_the_run_asks(bench):
    config = parse_config(bench.config)
    expected, _ = forecast(config)
    (cost,) = expected.checks
    asked = sum(one.asked for one in expected.asked)
    assert cost.asked is not None
    assert cost.asked.distinct == 400
    assert bench.folder.joinpath("cache").exists() is False
    result = auditkit.run(bench.config).result
    assert result.timing.asking.distinct - result.timing.asking.cached == asked
    expected, _ = forecast(config)
    assert sum(one.asked for one in expected.asked) == 0


def test_paths_are_taken_from_the_configurations_folder(tmp_path):
    (tmp_path / "old").mkdir()
    file = tmp_path / "auditkit.toml"
    file.write_text(
        '[model]\nlabel_column = "p"\n[data]\npath = "d.csv"\n[baseline]\npath = "old"\n'
    )
    config = load_config(file)
    assert config.baseline is not None
    assert config.baseline.path == str(tmp_path / "old")


def test_a_folder_is_loaded_only_when_the_cache_does_not_know_it(
    bench, tiny_model, save_model, tmp_path, monkeypatch
):
    older = save_model(tmp_path / "older", seed=3)
    bench.config["model"] = {"path": str(tiny_model)}
    bench.config["baseline"] = {"path": str(older)}
    bench.config["data"] |= {
        "label_map": {"bad": "negative", "good": "positive"},
        "allow_below_chance": True,
    }
    first = bench.findings()

    def refuse(*_: Any) -> None:
        raise AssertionError("the weights were loaded")

    monkeypatch.setattr("auditkit.models.transformers_text.load_parts", refuse)
    again = bench.findings()
    for name in ROBUSTNESS:
        assert first[name].measurement == again[name].measurement


def test_a_baseline_with_thresholds_by_group_needs_a_model_that_is_told_the_group(
    bench, tiny_model, save_model, tmp_path
):
    older = save_model(tmp_path / "older", seed=3)
    folder = {"path": str(older)}
    digest = load_transformers(
        parse_config({**bench.config, "model": folder}).model, online=False
    ).digest
    rule = GroupThresholds("sex", "positive", {"a": 0.4, "b": 0.6}, digest)
    (older / FILE_NAME).write_text(rule.to_json())
    bench.config["model"] = {"path": str(tiny_model)}
    bench.config["data"] |= {
        "label_map": {"bad": "negative", "good": "positive"},
        "allow_below_chance": True,
        "sensitive": ["sex"],
    }
    assert "told the group of every text" in bench.refusal(**folder)
    bench.config["model"] = folder
    found = bench.findings()
    assert found["relative_robustness"].measurement.value == 0.0


def test_the_head_and_the_order_of_classes_agree(bench, save_model, tmp_path):
    older = save_model(tmp_path / "older", seed=3)
    bench.config["baseline"] = {"path": str(older)}
    bench.config["model"] = bench.named("ask", class_names=["positive", "negative"])
    bench.config["data"]["label_map"] = {"bad": "negative", "good": "positive"}
    config = parse_config(bench.config)
    from auditkit.baseline import asks_baseline

    prepared, _ = with_plan(config, load_registry([bench.folder / "own"]), prepare(config))
    baseline = load_baseline(config, prepared)
    asked = asks_baseline(baseline, config, lambda *_: None, None)
    texts = prepared.audited.inputs[:5]
    scores = np.exp(asked.head().logits(asked.embed(texts)))
    scores /= scores.sum(axis=1, keepdims=True)
    assert asked.predict(texts).probabilities == pytest.approx(scores, abs=1e-6)
    own = baseline.model.predict(texts).probabilities
    assert asked.predict(texts).probabilities == pytest.approx(own[:, ::-1], abs=1e-6)
