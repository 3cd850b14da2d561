"""A whole plan: what it says, what it leaves alone, and that the audit then does as it said."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import auditkit
from auditkit import forecast as module
from auditkit.cli import main
from auditkit.config import parse_config
from auditkit.errors import AuditkitError, ConfigError
from auditkit.forecast import forecast
from auditkit.forecast.budget import SampleCosts, parse_budget
from auditkit.forecast.comparison import compare
from auditkit.forecast.model_cost import ModelCost
from auditkit.model import Capability
from auditkit.models import transformers_text
from auditkit.registry import load_registry
from auditkit.sampling import draw

ROOT = Path(__file__).resolve().parents[2]


class Still:
    """A clock that stands still."""

    def __call__(self) -> float:
        return 0.0


FEW = (
    "quality.metric",
    "fairness.equalized-odds",
    "fairness.individual-consistency",
    "robustness.natural-noise",
)
"""Checks that ask nothing, look at embeddings, and ask about new texts."""


def predictions_config(folder, rows=3000, only=(), **data):
    file = folder / "p.csv"
    lines = [
        f"{i % 2},{i // 2 % 2 if i % 9 == 0 else i % 2},{'ab'[i % 3 == 0]}" for i in range(rows)
    ]
    file.write_text("label,predicted,sex\n" + "\n".join(lines), encoding="utf-8")
    table = {"path": str(file), "label": "label", "sensitive": ["sex"], **data}
    return parse_config({
        "model": {"label_column": "predicted"}, "data": table, "only": list(only) or None,
        "report": {"directory": str(folder / "run")},
    })  # fmt: skip


ATTACKS = (
    "robustness.adversarial-attack",
    "robustness.attack-sanity",
    "robustness.fairness-of-robustness",
    "robustness.validity",
)


def texts_config(folder, model, rows=200, only=FEW, **tables):
    """A model that is asked, on short texts that all differ; what an attack asks no plan knows."""
    words = ["film", "movie", "good", "bad", "fine", "dull", "warm", "cold", "story", "plot"]
    lines = ["text,label,sex"]
    for i in range(rows):
        text = " ".join(words[(i // 10**k) % 10] for k in range(3)) + " very" * (i % 7)
        lines.append(f"{text},{('negative', 'positive')[i % 2]},{'ab'[i % 3 == 0]}")
    (folder / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    data = {"path": str(folder / "t.csv"), "text": "text", "label": "label", "sensitive": ["sex"]}
    return parse_config({
        "model": model, "data": data | {"allow_below_chance": True} | tables.pop("data", {}),
        "cache": {"directory": str(folder / "cache")},
        "report": {"directory": str(folder / "run")},
        "checks": {} if only else {check: {"enabled": False} for check in ATTACKS},
        "only": list(only) or None, **tables,
    })  # fmt: skip


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def states(expected):
    return {c.id: c.obstacle or ("recalled" if c.recalled else "runs") for c in expected.checks}


# --- recorded predictions -----------------------------------------------------------------------


def test_recorded_predictions_need_no_model_and_obstacles_are_told(tmp_path):
    expected, fitted = forecast(predictions_config(tmp_path), clock=Still())
    assert fitted is None
    assert expected.recorded
    assert (expected.probe, expected.cache) == (0.0, "")
    told = states(expected)
    assert "no probabilities" in told["quality.calibration"]
    assert told["fairness.equalized-odds"] == "runs"
    assert all(c.asked == ModelCost() for c in expected.checks)


def test_without_labels_or_attributes_only_what_can_run_is_planned(tmp_path):
    expected, _ = forecast(predictions_config(tmp_path, label=None), clock=Still())
    running = {check for check, state in states(expected).items() if state == "runs"}
    assert running == {"fairness.demographic-parity", "fairness.impact-ratio"}
    assert {one.check for one in expected.resolutions} == running
    expected, _ = forecast(predictions_config(tmp_path, sensitive=[]), clock=Still())
    running = {check for check, state in states(expected).items() if state == "runs"}
    assert running == {"quality.metric"}
    assert expected.attributes == ()
    assert {one.measure for one in expected.resolutions} == {"value", "gain"}


# --- a model that is asked, and the cache -------------------------------------------------------


@pytest.fixture
def config(tmp_path, tiny_model):
    return texts_config(tmp_path, {"path": str(tiny_model)})


@pytest.fixture
def every_check(tmp_path, tiny_model):
    """The same with all checks but attacks."""
    return texts_config(tmp_path, {"path": str(tiny_model)}, only=())


def test_a_plan_before_the_first_audit_writes_nothing(tmp_path, config):
    before = files(tmp_path)
    expected, _ = forecast(config)
    assert files(tmp_path) == before
    assert not (tmp_path / "cache").exists()
    assert (expected.model.distinct, expected.model.cached) == (200, 0)
    assert expected.model.seconds > 0
    assert expected.probe > 0
    assert expected.timed > 0


def test_calls_tokens_and_batches_are_those_of_the_run(every_check):
    expected, _ = forecast(every_check)
    rows = {one.name: one for one in compare(expected, auditkit.run(every_check).result)}
    for name in ("distinct inputs", "tokens", "batches"):
        assert rows[name].ratio == 1.0
    assert rows["from the cache"].actual == 0


def test_with_a_warm_cache_the_weights_are_not_loaded_and_the_cache_stays_as_it_is(
    tmp_path, config, monkeypatch
):
    auditkit.run(config)
    before = files(tmp_path)
    monkeypatch.setattr(
        transformers_text,
        "load_parts",
        lambda *_: pytest.fail("the weights were loaded"),
    )
    expected, _ = forecast(config)
    assert (expected.model.cached, expected.model.asked, expected.model.seconds) == (200, 0, 0.0)
    assert (expected.probe, expected.timed) == (0.0, 0)
    result = auditkit.run(config).result
    rows = {one.name: one for one in compare(expected, result)}
    assert rows["from the cache"].ratio == rows["distinct inputs"].ratio == 1.0
    assert rows["from the cache"].actual > 2000  # with the noisy texts
    assert files(tmp_path).keys() == before.keys()
    monkeypatch.undo()
    forecast(config)


def test_a_plan_never_changes_the_cache(tmp_path, config):
    auditkit.run(config.model_copy(update={"data": config.data.model_copy(update={"sample": 80})}))
    before = files(tmp_path / "cache")
    expected, _ = forecast(config)
    assert (expected.model.distinct, expected.model.cached) == (200, 80)
    assert expected.probe > 0  # of these rows none was asked twice yet
    assert files(tmp_path / "cache") == before
    rows = {one.name: one for one in compare(expected, auditkit.run(config).result)}
    for name in ("distinct inputs", "from the cache", "tokens", "batches"):
        assert rows[name].ratio == 1.0


def test_a_function_says_that_its_answers_are_not_kept(tmp_path, monkeypatch):
    (tmp_path / "oracle_a.py").write_text(
        "def predict(texts):\n"
        "    return [[0.2, 0.8] if 'good' in text else [0.7, 0.3] for text in texts]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ["negative", "positive"]
    config = texts_config(tmp_path, {"callable": "oracle_a:predict", "class_names": names})
    assert "are not kept in the cache: model.depends_on" in forecast(config)[0].cache
    auditkit.run(config, out=tmp_path / "run")
    expected, _ = forecast(config)
    assert (expected.model.cached, expected.model.asked) == (0, 200)
    assert "only once oracle_a:predict has answered" in expected.found.note
    assert not expected.found.recalled
    files = [str(tmp_path / "oracle_a.py")]
    config = texts_config(
        tmp_path,
        {"callable": "oracle_a:predict", "class_names": names, "depends_on": files},
    )
    auditkit.run(config, out=tmp_path / "run", fresh=True)
    expected, _ = forecast(config)
    assert (expected.cache, expected.model.distinct) == ("", 0)
    assert expected.found.stored


def test_a_cache_that_is_off_is_said(config):
    off = config.model_copy(update={"cache": config.cache.model_copy(update={"enabled": False})})
    assert "switched off" in forecast(off)[0].cache
    assert forecast(config)[0].cache == ""


# --- the run directory --------------------------------------------------------------------------


def test_a_stored_verdict_costs_no_more_than_reading(tmp_path, config):
    auditkit.run(config, out=tmp_path / "run")
    before = files(tmp_path)
    expected, _ = forecast(config)
    assert files(tmp_path) == before
    assert expected.found.stored
    assert expected.seconds == expected.load
    assert expected.model == ModelCost()
    assert set(states(expected).values()) == {"recalled"}
    assert not forecast(config, fresh=True)[0].found.stored
    assert not forecast(config, budget=1e6)[0].found.stored


def test_checks_that_are_replayed_are_those_the_run_replays(tmp_path, config):
    auditkit.run(config, out=tmp_path / "run")
    changed = config.model_copy(
        update={"checks": config.checks | parse_config({
            "model": {"path": "m"}, "data": {"path": "d", "text": "t"},
            "checks": {"quality.metric": {"params": {"metric": "f1"}}},
        }).checks}
    )  # fmt: skip
    expected, _ = forecast(changed)
    assert not expected.found.stored
    result = auditkit.run(changed, out=tmp_path / "run").result
    assert result.replayed
    assert expected.found.recalled == set(result.replayed)
    assert states(expected)["quality.metric"] == "runs"
    rows = {one.name: one for one in compare(expected, result)}
    assert rows["fairness.equalized-odds"].actual is None
    assert rows["quality.metric"].actual is not None


# --- what fits a budget -------------------------------------------------------------------------


def costed(tmp_path, **model):
    config = predictions_config(tmp_path, only=FEW[:2])
    expected, _ = forecast(config, clock=Still())
    audited = module._Ahead(config, None, Still()).prepared.audited
    return replace(expected, load=2.0, model=replace(expected.model, **model)), audited


def test_a_budget_buys_rows_in_proportion_and_never_fewer_for_more(tmp_path):
    expected, audited = costed(tmp_path, seconds=30.0)
    costs = SampleCosts(audited, np.full(3000, 0.01), expected, 2.0, 0)
    assert costs.most_rows(17.0) == 1500
    assert costs.of(1500) == pytest.approx(17.0)
    bought = [costs.most_rows(budget) for budget in (4, 8, 16, 31, 32, 100)]
    assert bought == sorted(bought)
    assert bought[-1] == 3000
    for budget in (2.0, 1.0):
        with pytest.raises(ConfigError, match=r"too small: loading and starting take 2\.0 s"):
            costs.most_rows(budget)


def test_a_budget_pays_nothing_for_rows_that_are_in_the_cache(tmp_path):
    expected, audited = costed(tmp_path, cached=1500, seconds=1500.0)
    seconds = np.ones(3000)
    seconds[draw(audited, 1500, 0).rows] = 0.0
    costs = SampleCosts(audited, seconds, expected, 2.0, 0)
    assert costs.of(1500) == 2.0
    assert costs.of(3000) == expected.seconds == 1502.0
    assert costs.most_rows(2.5) >= 1500
    assert costs.most_rows(752.0) == pytest.approx(2250, abs=30)
    bought = [costs.most_rows(budget) for budget in (2, 3, 10, 100, 1000, 2000)]
    assert bought == sorted(bought)


def test_copies_are_paid_for_once(tmp_path):
    expected, audited = costed(tmp_path, distinct=2, seconds=2.0)
    copies = replace(audited, inputs=("one", "two") * 1500)
    costs = SampleCosts(copies, np.ones(2), expected, 0.0, 0)
    assert costs.of(1000) == pytest.approx(2.0)


def test_a_budget_below_what_starting_takes_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="too small"):
        forecast(predictions_config(tmp_path), budget=1e-6)


def test_a_sample_of_cached_rows_is_still_asked_twice_and_pays_for_loading(config, monkeypatch):
    auditkit.run(config)
    whole, _ = forecast(config)
    assert whole.probe == 0.0
    loaded = []
    load = transformers_text.load_parts
    monkeypatch.setattr(
        transformers_text, "load_parts", lambda *a: loaded.append("weights") or load(*a)
    )
    forecast(config, budget=1e6)
    assert loaded == []  # all rows fit: they were asked twice before
    with pytest.raises(ConfigError, match="too small"):
        forecast(config, budget=1e-6)
    assert loaded == ["weights"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("10m", 600), ("1.5h", 5400), (" 2M ", 120)]
)
def test_lengths_of_time_are_read(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-3s", "0s", "nans", "infh", "ten minutes"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(ConfigError, match="length of time"):
        parse_budget(text)


# --- beside a run -------------------------------------------------------------------------------


def test_plan_and_run_are_compared_number_by_number(tmp_path):
    config = predictions_config(tmp_path, only=FEW[:2])
    result = auditkit.run(config).result
    expected, _ = forecast(config, clock=Still())
    rows = {one.name: one for one in compare(expected, result)}
    assert rows["distinct inputs"].ratio == 1.0
    assert rows["total time"].actual == result.timing.seconds
    with pytest.raises(AuditkitError, match="that run audited"):
        compare(replace(expected, rows=5), result)


# --- on the command line ------------------------------------------------------------------------

COMMAND = ["plan", "p.csv", "--predicted", "predicted", "--label", "label", "--sensitive", "sex"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def test_the_command_fits_80_columns_and_writes_nothing(here, capsys):
    predictions_config(here)
    assert main([*COMMAND, "--budget", "1h"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for said in ("not applicable", "fairness.equalized-odds", "PASS chance", "no sample", "margin"):
        assert said in out
    assert [file.name for file in here.iterdir()] == ["p.csv"]


def test_the_command_says_what_the_cache_and_the_run_directory_hold(here, tiny_model, capsys):
    config = texts_config(here, {"path": str(tiny_model)})
    text = f"""
        cache.directory = "cache"
        checks."quality.metric".params.metric = "f1"
        only = {json.dumps(FEW)}
        [model]
        path = "{tiny_model}"
        [data]
        path = "t.csv"
        text = "text"
        label = "label"
        sensitive = ["sex"]
        allow_below_chance = true
    """
    (here / "a.toml").write_text(text, encoding="utf-8")
    measured = auditkit.run(config, out="elsewhere").result.timing.checks
    assert main(["plan", "a.toml", "--out", "elsewhere"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    asking = next(line for line in out.splitlines() if line.startswith("asking about"))
    assert asking.split()[-5:-2] == ["200", "200", "0"]
    assert "The cache answers everything: the model is not loaded" in out
    # All but the one that was changed, and the note.
    assert out.count("replayed from the store") == len(measured) - 1 + 1
    assert "not estimated: quality.metric, the interval of f1" in out
    assert main(["plan", "a.toml", "--out", "elsewhere", "--fresh", "--no-cache"]) == 0
    out = capsys.readouterr().out
    assert "replayed" not in out
    assert "switched off" in out
    assert main(["run", "a.toml", "--out", "elsewhere"]) in {1, 3}
    capsys.readouterr()
    assert main(["plan", "a.toml", "--out", "elsewhere"]) == 0
    assert "holds the verdict of just this audit" in " ".join(capsys.readouterr().out.split())


def test_against_a_run_plans_it_as_if_it_had_not_happened(here, capsys):
    config = predictions_config(here)
    auditkit.run(config, out="audit")
    assert main([*COMMAND, "--against", "audit"]) == 0
    out = capsys.readouterr().out
    assert "plan against run" in out
    assert "replayed" not in out
    assert "holds the verdict" not in out


def test_against_a_run_that_the_cache_answered_counts_on_the_cache(here, tiny_model, capsys):
    config = texts_config(here, {"path": str(tiny_model)})
    cold, warm = auditkit.run(config).result, auditkit.run(config).result
    (here / "a.toml").write_text(f"""
        cache.directory = "cache"
        only = {json.dumps(FEW)}
        [model]
        path = "{tiny_model}"
        [data]
        path = "t.csv"
        text = "text"
        label = "label"
        sensitive = ["sex"]
        allow_below_chance = true
    """)
    for result, cached in ((cold, 0), (warm, 200)):
        (here / "result.json").write_text(result.to_json(), encoding="utf-8")
        assert main(["plan", "a.toml", "--against", "result.json", "--format", "json"]) == 0
        plan = json.loads(capsys.readouterr().out)
        assert plan["audited"]["cached"] == cached
        compared = {one["name"]: one for one in plan["against"]}
        assert compared["from the cache"]["ratio"] == (1.0 if cached else None)


def test_a_budget_prints_the_line_for_the_configuration(here, monkeypatch, capsys):
    predictions_config(here)
    slow = lambda self, inputs: (  # noqa: E731
        ModelCost(distinct=len(inputs), seconds=7200.0),
        np.full(len(inputs), 7200.0 / len(inputs)),
    )
    monkeypatch.setattr(module.ModelTimer, "cost_by_input", slow)
    assert main([*COMMAND, "--budget", "1h"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^sample = 14\d\d$", out, re.MULTILINE)
    assert "instead of" in out


def test_an_unknown_format_is_refused(here, capsys):
    predictions_config(here)
    assert main([*COMMAND, "--format", "xml"]) == 2
    assert "text or json" in capsys.readouterr().err


# --- as JSON ------------------------------------------------------------------------------------


def keys_of(value, path=""):
    """Every key of a document, lists as their elements: `checks[].id`."""
    if isinstance(value, dict):
        for name, inner in value.items():
            here = f"{path}.{name}" if path else name
            yield here
            if name != "positives":  # its keys are classes
                yield from keys_of(inner, here)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner, f"{path}[]")


def test_the_document_has_just_the_keys_that_are_documented(here, capsys):
    config = predictions_config(here)
    auditkit.run(config, out="audit")
    (here / "own").mkdir()
    arguments = [*COMMAND, "--against", "audit", "--budget", "1h", "--format", "json"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert main([*COMMAND, "--fresh", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["budget"] is None
    text = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z_.\[\]]+)` \|", text, re.MULTILINE))
    same = {"budget.resolution[]": "resolution[]", "checks[].asked.": "audited."}
    found = set()
    for key in keys_of(json.loads(said)):
        for part, other in same.items():
            key = key.replace(part, other)  # noqa: PLW2901
        found.add(key)
    assert found - documented == set()
    assert documented - found <= {"not_estimated[].check", "not_estimated[].reason"}


def test_the_document_says_what_the_table_says(every_check):
    from auditkit.render.outlook_json import outlook_json

    auditkit.run(every_check, out=Path(every_check.report.directory))
    fresh, _ = forecast(every_check, fresh=True)
    document = json.loads(outlook_json(fresh, None, None))
    assert document["schema_version"] == 1
    assert document["audited"] == {
        "distinct": 200, "cached": 200, "asked": 0, "tokens": 0, "batches": 0,
    }  # fmt: skip
    assert document["seconds"]["total"] == fresh.seconds
    assert document["seconds"]["complete"]
    states = {one["id"]: one["state"] for one in document["checks"]}
    # No suite is named, no reference, no set, no pairs, no training rows; no text names a group.
    nothing = {"robustness.behavioural", "fairness.representation", "fairness.counterfactual-terms"}
    needs = {Capability.SHIFTS, Capability.PAIRS, Capability.TRAINING_ROWS}
    nothing |= {one.id for one in load_registry().checks.values() if one.needs & needs}
    assert {states.pop(check) for check in nothing} == {"not applicable"}
    assert {states.pop(check) for check in ATTACKS} == {"left out"}
    # Nobody asked for the model to be timed, nor for explanations.
    unasked = {Capability.TIMED, Capability.EXPLANATIONS}
    left = {one.id for one in load_registry().checks.values() if one.needs & unasked}
    assert {states.pop(check) for check in left} == {"left out"}
    assert set(states.values()) == {"runs"}
    stored, _ = forecast(every_check)
    document = json.loads(outlook_json(stored, None, None))
    assert document["run"]["stored_verdict"]
    assert {one["state"] for one in document["checks"]} == {
        "replayed", "left out", "not applicable",
    }  # fmt: skip
    assert all(not one["seconds"] for one in document["checks"])
