"""Attacks are tried on a few rows, to see what they cost and nothing else."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import pytest

import auditkit
from auditkit.check import Confidence, Context, Limit, check
from auditkit.config import parse_config
from auditkit.data import AuditData
from auditkit.finding import Measurement, Severity
from auditkit.forecast import forecast
from auditkit.forecast import pilot as module
from auditkit.forecast.check_cost import Trial
from auditkit.forecast.model_cost import ModelTimer
from auditkit.measuring import run_check
from auditkit.model import Capability
from auditkit.plan import PlannedCheck
from auditkit.predictor import SharedPredictor
from auditkit.preflight import Prepared
from auditkit.registry import load_registry
from auditkit.result import SuiteLimit
from auditkit.schedule import rng_of
from auditkit.testing import FakeModel, tiny_data

ROWS = 400
attacking = pytest.mark.skipif(
    any(find_spec(package) is None for package in ("textattack", "greenlet")),
    reason="needs the attacks extra",
)


@dataclass(frozen=True)
class Params:
    """Parameters."""

    examples: int = 100


def searching(per_example=5, fail=False):
    """A check that asks `per_example` new inputs about each example, which the answers choose."""

    @check(
        "own.search", title="t", severity=Severity.LOW, needs={Capability.NEW_INPUTS},
        params=Params, limits=(Limit("x", "max", 1.0),), grows_with="examples",
    )  # fmt: skip
    def search(context, params):
        "One line."
        if fail:
            raise RuntimeError("no")
        rows = context.data.inputs[: params.examples]
        labels = context.predictor.predict(rows).labels.tolist()
        asked = [(row, label, i) for row, label in zip(rows, labels, strict=True)
                 for i in range(per_example)]  # fmt: skip
        context.predictor.predict(asked)
        yield Measurement("x", 0.5, 1, None)

    return PlannedCheck(
        search, Severity.LOW, {"x": search.limits[0]}, Params(), required=False, obstacle=""
    )


def trial(data, answer=lambda _: [0.3, 0.7], clock=time.perf_counter):
    model = FakeModel(answer, class_names=data.class_names)
    prepared = Prepared(model, data, data, {}, (), "data")
    timer = ModelTimer(prepared, 1000, clock)
    timer.cost(data.inputs)
    return Trial(prepared, timer, Confidence(), 0, clock), model


def test_new_inputs_grow_with_the_examples():
    bench, model = trial(tiny_data([0, 1] * (ROWS // 2)))
    before = len(model.asked)
    cost = bench.cost_of(searching())
    assert cost.asked.distinct == 500
    assert len(model.asked) - before < 200


def test_costs_stop_growing_with_the_rows_where_there_are_enough_examples():
    cost = trial(tiny_data([0, 1] * (ROWS // 2)))[0].cost_of(searching())
    assert cost.until == 0.25
    assert cost.at(0.25) == cost.at(1.0)
    assert cost.at(0.125)[0] == pytest.approx(cost.at(1.0)[0] / 2)


def test_the_same_questions_of_two_checks_are_counted_once_where_both_have_the_same_rows():
    """Each has a quarter of the rows: of a quarter of the second's the first has asked."""
    bench, _ = trial(tiny_data([0, 1] * (ROWS // 2)))
    first, second = bench.cost_of(searching()), bench.cost_of(searching())
    assert first.asked.distinct == 500
    assert second.asked.distinct < 500
    whole, _ = trial(tiny_data([0, 1] * 8))
    assert whole.cost_of(searching()).asked.distinct == 80
    assert whole.cost_of(searching()).asked.distinct == 0


def test_a_pilot_that_fails_or_takes_too_long_is_not_estimated(monkeypatch):
    data = tiny_data([0, 1] * (ROWS // 2))
    assert trial(data)[0].cost_of(searching(fail=True)).total is None
    monkeypatch.setattr(module, "PILOT_SECONDS", 0.0)
    assert trial(data)[0].cost_of(searching()).total is None


def test_a_check_that_grows_with_no_parameter_of_its_own_is_refused():
    def measure(context, params):
        "One line."

    with pytest.raises(ValueError, match="names no parameter"):
        check("own.x", title="t", severity=Severity.LOW, limits=(), grows_with="size")(measure)


def sentences(rows):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, rows)
    words = ["film", "story", "actor", "scene", "music", "ending", "plot"]
    texts = [
        " ".join([*rng.choice(words, int(rng.integers(3, 9))), ("dull", "great")[label], f"n{row}"])
        for row, label in enumerate(labels)
    ]
    return AuditData(tuple(texts), labels, ("bad", "good"))


def praise(text):
    return [0.2, 0.8] if "great" in text.split() else [0.8, 0.2]


@attacking
@pytest.mark.parametrize("id", ["adversarial-attack", "attack-sanity", "validity"])
def test_the_questions_of_an_attack_are_told_to_half_as_many_again(id):
    own = load_registry().checks[f"robustness.{id}"]
    limits = {one.name: SuiteLimit(one.direction, one.value) for one in own.limits}
    entry = PlannedCheck(own, Severity.LOW, limits, own.params(), required=False, obstacle="")
    data = sentences(300)
    cost = trial(data, praise)[0].cost_of(entry)
    predictor = SharedPredictor(FakeModel(praise, class_names=data.class_names))
    predictor.predict(data.inputs)
    rng = rng_of(own.id, 0)
    run_check(entry, Context(predictor, data, {}, Confidence(), rng, lambda _: None))
    actual = predictor.statistics.distinct - len(data)
    assert actual > 500
    assert 1 / 1.5 < cost.asked.distinct / actual < 1.5


@attacking
def test_a_pilot_writes_nothing_and_leaves_no_state(tmp_path, tiny_model):
    """Neither into the cache nor the run directory, nor in the random numbers of whoever asks."""
    data = sentences(60)
    rows = [f"{text},{('negative', 'positive')[label]}"
            for text, label in zip(data.inputs, data.labels, strict=True)]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows]))
    config = parse_config({
        "model": {"path": str(tiny_model)}, "cache": {"directory": str(tmp_path / "cache")},
        "data": {"path": str(tmp_path / "t.csv"), "text": "text", "label": "label",
                 "allow_below_chance": True},
        "report": {"directory": str(tmp_path / "run")},
        "only": ["quality.metric", "robustness.adversarial-attack"],
    })  # fmt: skip
    quick = config.model_copy(update={"only": ["quality.metric"]})
    auditkit.run(quick, out=tmp_path / "run")

    def left():
        return {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    before = left()
    drawn = random.getstate(), np.random.get_state()[1].tolist()
    first, second = (
        next(c for c in forecast(config)[0].checks if c.id == "robustness.adversarial-attack")
        for _ in range(2)
    )
    assert first.asked.asked > 0
    assert first.asked.distinct == second.asked.distinct
    assert left() == before
    assert (random.getstate(), np.random.get_state()[1].tolist()) == drawn
