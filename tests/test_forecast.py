"""Costs are extrapolated from what was timed; here the time is made up, never measured."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import auditkit
from auditkit import forecast as module
from auditkit.cli import main
from auditkit.config import parse_config
from auditkit.errors import AuditkitError, ConfigError
from auditkit.forecast import compare, forecast, model_cost, parse_budget, rows_within
from auditkit.model import Predictions
from auditkit.preflight import Prepared
from auditkit.testing import FakeModel, tiny_data


class Ticking:
    """A clock that the model moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SlowModel(FakeModel):
    """Takes 2 s a batch and 0.01 s a row, on the clock it is given."""

    def predict(self, batch):
        CLOCK.now += 2.0 + 0.01 * len(batch)
        return super().predict(batch)


class TokenModelOnClock(FakeModel):
    """Takes a millisecond for every padded token."""

    def tokenize(self, inputs):
        return [[1] * (1 + one % 40) for one in inputs]

    def predict_tokens(self, batch):
        CLOCK.now += 0.001 * len(batch) * max(map(len, batch))
        return Predictions.from_probabilities([[0.5, 0.5]] * len(batch))


CLOCK = Ticking()


def prepared(model, rows=3000):
    data = tiny_data([0, 1] * (rows // 2))
    return Prepared(model, data, data, {}, (), "data")


def even(_):
    return [0.5, 0.5]


def predictions_config(folder, rows=3000, **data):
    file = folder / "p.csv"
    lines = [
        f"{i % 2},{i // 2 % 2 if i % 9 == 0 else i % 2},{'ab'[i % 3 == 0]}" for i in range(rows)
    ]
    file.write_text("label,predicted,sex\n" + "\n".join(lines), encoding="utf-8")
    table = {"path": str(file), "label": "label", "sensitive": ["sex"], **data}
    return parse_config({"model": {"label_column": "predicted"}, "data": table})


def test_a_model_without_tokens_is_extrapolated_by_batches_and_rows():
    cost = model_cost(prepared(SlowModel(even)), 1024, CLOCK)
    assert (cost.distinct, cost.batches, cost.tokens) == (3000, 12, 0)
    assert cost.seconds == pytest.approx(12 * 2.0 + 30.0)
    assert cost.probe == pytest.approx(2 * (2.0 + 0.32))


def test_a_model_with_tokens_is_extrapolated_by_padded_tokens():
    model = TokenModelOnClock(even)
    cost = model_cost(prepared(model), 1024, CLOCK)
    padded = sum(len(tokens) for tokens in model.tokenize(range(3000)))
    assert cost.tokens == padded
    assert cost.seconds == pytest.approx(0.001 * padded, rel=0.05)
    assert cost.timed == module.TIMED_BATCHES


def test_slow_models_are_not_asked_for_long():
    model = SlowModel(even)
    model_cost(prepared(model), 1024, CLOCK)
    assert len(model.asked) < 100


def test_copies_cost_nothing():
    data = replace(tiny_data([0, 1] * 50), inputs=("one", "two") * 50)
    cost = model_cost(Prepared(SlowModel(even), data, data, {}, (), "d"), 1024, CLOCK)
    assert cost.distinct == 2


def test_recorded_predictions_need_no_model_and_obstacles_are_told(tmp_path):
    expected, fitted = forecast(predictions_config(tmp_path), clock=Ticking())
    assert fitted is None
    assert expected.recorded
    assert expected.model.probe == 0.0
    told = {c.id: c.obstacle for c in expected.checks}
    assert "no probabilities" in told["quality.calibration"]
    assert told["fairness.equalized-odds"] == ""
    assert all(c.calls == 0 for c in expected.checks)


def test_a_check_that_asks_about_something_new_is_not_estimated(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine.py").write_text(
        "from auditkit.check import Limit, check\n"
        "from auditkit.finding import Measurement, Severity\n"
        "@check('own.mine', title='t', severity=Severity.LOW, limits=(Limit('x', 'max', 1.0),))\n"
        "def mine(context, params):\n"
        "    'One line.'\n"
        "    context.predictor.predict(['never seen'])\n"
        "    yield Measurement('x', 0.5, 1, None)\n",
        encoding="utf-8",
    )
    config = predictions_config(tmp_path).model_copy(update={"plugins": [str(own)]})
    expected, _ = forecast(config, clock=Ticking())
    mine = next(c for c in expected.checks if c.id == "own.mine")
    assert (mine.calls, mine.total) == (None, None)


def costed(tmp_path):
    expected, _ = forecast(predictions_config(tmp_path), clock=Ticking())
    return replace(expected, load=2.0, model=replace(expected.model, seconds=30.0))


def test_a_budget_buys_rows_in_proportion_and_never_fewer_for_more(tmp_path):
    expected = costed(tmp_path)
    assert rows_within(expected, 17.0) == 1500
    bought = [rows_within(expected, budget) for budget in (4, 8, 16, 31, 32, 100)]
    assert bought == sorted(bought)
    assert bought[-1] == 3000
    with pytest.raises(ConfigError, match="too small"):
        rows_within(expected, 2.0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("10m", 600), ("1.5h", 5400), (" 2M ", 120)]
)
def test_lengths_of_time_are_read(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-3s", "0s", "nans", "infh", "ten minutes"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(ConfigError, match="length of time"):
        parse_budget(text)


def test_plan_and_run_are_compared_number_by_number(tmp_path):
    config = predictions_config(tmp_path)
    result = auditkit.run(config).result
    expected, _ = forecast(config, clock=Ticking())
    rows = {one.name: one for one in compare(expected, result)}
    assert rows["distinct inputs"].ratio == 1.0
    assert rows["total time"].actual == result.timing.seconds
    with pytest.raises(AuditkitError, match="that run audited"):
        compare(replace(expected, rows=5), result)


def test_the_command_fits_80_columns_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    predictions_config(tmp_path)
    arguments = ["plan", "p.csv", "--predicted", "predicted", "--label", "label"]
    assert main([*arguments, "--sensitive", "sex", "--budget", "1h"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for said in ("not applicable", "fairness.equalized-odds", "PASS if fair", "no sample"):
        assert said in out
    assert [file.name for file in tmp_path.iterdir()] == ["p.csv"]


def test_against_a_run_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    config = predictions_config(tmp_path)
    (tmp_path / "result.json").write_text(auditkit.run(config).result.to_json(), encoding="utf-8")
    arguments = ["plan", "p.csv", "--predicted", "predicted", "--label", "label"]
    assert main([*arguments, "--against", "result.json", "--sensitive", "sex"]) == 0
    out = capsys.readouterr().out
    assert "plan against run" in out
    assert json.loads((tmp_path / "result.json").read_text())["timing"]


def test_a_budget_prints_the_line_for_the_configuration(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = predictions_config(tmp_path)
    expected, _ = forecast(config, clock=Ticking())
    slow = replace(expected.model, seconds=7200.0)
    monkeypatch.setattr(module, "model_cost", lambda *_: slow)
    arguments = ["plan", "p.csv", "--predicted", "predicted", "--label", "label"]
    assert main([*arguments, "--sensitive", "sex", "--budget", "1h"]) == 0
    out = capsys.readouterr().out
    assert "sample = 1" in out
    assert "instead of" in out
