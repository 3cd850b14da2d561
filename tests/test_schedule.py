"""Checks that ask the model more run in front; the others beside them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import auditkit
from auditkit.config import parse_config
from auditkit.errors import ModelError
from auditkit.finding import Outcome
from auditkit.predictor import AnsweredRows, SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel

HEAD = """
import time
from pathlib import Path
from auditkit.check import Limit, check
from auditkit.finding import Bounds, Interval, Measurement, Severity
from auditkit.model import Capability

LIMITS = (Limit("x", "max", 1.0),)

@check("own.{name}", title="t", severity=Severity.LOW, needs={needs}, limits=LIMITS)
def measure(context, params):
    "One line."
    {body}
    value = 0.5 * float(context.rng.random())
    yield Measurement("x", value, 10, Bounds(Interval(0, 0.9), Interval(0, 0.9), "made up"))
"""

MODEL = """
import numpy as np

class_names = ("even", "odd")

def predict(texts):
    odd = np.array([len(text) % 2 for text in texts])
    return np.stack([0.9 - 0.8 * odd, 0.1 + 0.8 * odd], axis=1)
"""

NUMBERS = itertools.count()
"""So that no test gets the module of another."""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch) -> dict[str, Any]:
    module = f"scheduled_{next(NUMBERS)}"
    (tmp_path / f"{module}.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{'x' * (n % 9 + 1)} {n},{n % 2}\n" for n in range(40))
    (tmp_path / "data.csv").write_text("text,label\n" + rows)
    (tmp_path / "own").mkdir()
    return {
        "model": {"callable": f"{module}:predict", "depends_on": []},
        "data": {
            "path": str(tmp_path / "data.csv"),
            "text": "text",
            "label": "label",
            "allow_below_chance": True,
        },
        "cache": {"enabled": False},
        "plugins": [str(tmp_path / "own")],
        "only": ["own.a-asks", "own.b-counts", "own.c-asks"],
    }


def write(settings: dict[str, Any], name: str, body: str, needs: str = "()") -> None:
    file = Path(settings["plugins"][0]) / f"{name.replace('-', '_')}.py"
    file.write_text(HEAD.format(name=name, body=body, needs=needs))


ASKING = "{Capability.NEW_INPUTS}"


def test_a_check_that_only_counts_does_not_wait_for_one_that_asks(settings, tmp_path):
    flag = tmp_path / "counted"
    waits = f"""
    deadline = time.monotonic() + 30
    while not Path({str(flag)!r}).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert Path({str(flag)!r}).exists()"""
    write(settings, "a-asks", waits, ASKING)
    write(settings, "b-counts", f"Path({str(flag)!r}).touch()")
    write(settings, "c-asks", "context.predictor.predict(['new', 'inputs'])", ASKING)
    audit = auditkit.run(settings)
    assert [f.outcome for f in audit.findings] == [Outcome.PASS] * 3
    assert [f.check for f in audit.findings] == settings["only"]


def test_what_runs_beside_does_not_change_what_is_measured(settings, tmp_path):
    write(settings, "a-asks", "context.predictor.predict(['new'])", ASKING)
    write(settings, "b-counts", "context.predictor.predict(context.data.inputs)")
    write(settings, "c-asks", "context.predictor.predict(['newer'])", ASKING)

    def values(only: list[str]) -> dict[str, Any]:
        audit = auditkit.run({**settings, "only": only})
        return {f.check: f.measurement for f in audit.findings}

    together = values(settings["only"])
    assert together == {**values(["own.b-counts"]), **values(["own.a-asks", "own.c-asks"])}


def test_a_check_that_does_not_say_it_makes_up_inputs_may_not(settings):
    write(settings, "a-asks", "context.predictor.predict(['never seen'])")
    audit = auditkit.run({**settings, "only": ["own.a-asks"]})
    assert [f.outcome for f in audit.findings] == [Outcome.ERROR]
    assert "Capability.NEW_INPUTS" in audit.findings[0].message


def test_an_interruption_in_front_ends_what_runs_beside_it_and_loses_nothing(settings, tmp_path):
    log = tmp_path / "log"
    counted = f"with Path({str(log)!r}).open('a') as log: log.write('counted ')"
    stop = tmp_path / "stop"
    stop.touch()
    interrupted = f"""
    deadline = time.monotonic() + 30
    while not Path({str(log)!r}).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    if Path({str(stop)!r}).exists():
        raise KeyboardInterrupt"""
    write(settings, "a-asks", interrupted, ASKING)
    write(settings, "b-counts", counted)
    write(settings, "c-asks", "pass", ASKING)
    with pytest.raises(KeyboardInterrupt):
        auditkit.run(settings, out=tmp_path / "run")
    stop.unlink()
    audit = auditkit.run(settings, out=tmp_path / "run")
    assert log.read_text() == "counted "
    assert len(audit.findings) == 3


def test_answered_rows_are_given_again_and_nothing_else():
    shared = SharedPredictor(FakeModel(lambda text: [0.2, 0.8] if text == "c" else [0.9, 0.1]))
    first = shared.predict(["a", "b", "c"])
    rows = AnsweredRows(shared)
    assert np.array_equal(rows.predict(["c", "a"]).labels, first.labels[[2, 0]])
    assert (rows.statistics.asked, shared.statistics.asked) == (2, 3)
    with pytest.raises(ModelError, match="not one of the audited rows"):
        rows.predict(["a", "d"])


TIMED = "{Capability.TIMED}"


def test_a_check_that_times_the_model_runs_when_all_others_have_ended(settings, tmp_path):
    log = tmp_path / "log"

    def writes(name: str, wait: float = 0.0) -> str:
        return f"""
    time.sleep({wait})
    with Path({str(log)!r}).open('a') as log: log.write('{name} ')"""

    settings["only"] = ["own.a-times", "own.b-counts", "own.c-asks", "own.d-times"]
    write(settings, "a-times", writes("first"), TIMED)
    write(settings, "b-counts", writes("counted", 0.2))
    write(settings, "c-asks", writes("asked"), ASKING)
    write(settings, "d-times", writes("last"), TIMED)
    audit = auditkit.run(settings)
    assert [f.check for f in audit.findings] == settings["only"]
    assert {f.outcome for f in audit.findings} == {Outcome.PASS}
    said = log.read_text().split()
    assert set(said[:2]) == {"counted", "asked"}
    assert said[2:] == ["first", "last"]


def test_only_a_check_that_times_is_given_something_to_time_with(settings):
    settings["only"] = ["own.a-times", "own.b-counts"]
    write(settings, "a-times", "assert context.timing.model.predict(['x']) is not None", TIMED)
    write(settings, "b-counts", "assert context.timing is None")
    assert {f.outcome for f in auditkit.run(settings).findings} == {Outcome.PASS}


def test_nothing_is_timed_unless_it_is_named_or_there_is_a_table_for_it(settings):
    write(settings, "a-times", "pass", TIMED)
    write(settings, "b-counts", "pass")
    unnamed = {key: value for key, value in settings.items() if key != "only"}
    own = {"own.a-times", "own.b-counts"}

    def ran(**more: Any) -> set[str]:
        from auditkit.engine import with_plan
        from auditkit.preflight import prepare

        config = parse_config({**unnamed, **more})
        registry = load_registry([Path(folder) for folder in config.plugins])
        plan = with_plan(config, registry, prepare(config))[1]
        return {entry.check.id for entry in plan.checks} & own

    assert ran() == {"own.b-counts"}
    assert ran(timing={}) == own
    assert ran(checks={"own.a-times": {}}) == own


def test_a_timed_check_is_replayed_on_the_same_machine_and_run_again_on_another(
    settings, tmp_path, monkeypatch
):
    log = tmp_path / "log"
    settings["only"] = ["own.a-times"]
    write(
        settings, "a-times", f"with Path({str(log)!r}).open('a') as log: log.write('timed ')", TIMED
    )
    first = auditkit.run(settings, out=tmp_path / "run")
    again = auditkit.run(settings, out=tmp_path / "run")
    assert log.read_text() == "timed "
    assert again.findings == first.findings
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    auditkit.run(settings, out=tmp_path / "run")
    assert log.read_text() == "timed timed "


def test_what_the_table_says_reaches_a_check_that_times(settings):
    settings["only"] = ["own.a-times"]
    settings["timing"] = {"hardware": "0123456789ab", "hourly_price": 2.5, "currency": "EUR"}
    body = """bench = context.timing
    assert (bench.limits_from, bench.hourly_price, bench.currency) == ("0123456789ab", 2.5, "EUR")
    assert "0123456789ab" in bench.elsewhere
    assert bench.hardware.said["backend"] == "torch"
    """
    write(settings, "a-times", body, TIMED)
    found = auditkit.run(settings).findings
    assert [f.outcome for f in found] == [Outcome.PASS], found[0].message


def test_predictions_on_file_cannot_be_timed(settings):
    settings["only"] = ["own.a-times"]
    settings["model"] = {"label_column": "label", "class_names": ["0", "1"]}
    settings["data"] = {key: settings["data"][key] for key in ("path", "allow_below_chance")}
    write(settings, "a-times", "pass", TIMED)
    found = auditkit.run(settings).findings
    assert [f.outcome for f in found] == [Outcome.NOT_APPLICABLE]
    assert "no model to ask again" in found[0].message
