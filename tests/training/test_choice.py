"""Parameters chosen by the validation rows: the best is published, nothing is tried twice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from auditkit.config import parse_config
from auditkit.errors import ConfigError
from auditkit.plan import remedy_params
from auditkit.registry import load_registry
from auditkit.remedy import RemedyContext, TrainingParams, TrainingRows, remedy
from auditkit.training import Order, choose
from auditkit.training.rows import RemedyRows

from .conftest import data_of

pytest.importorskip("accelerate")

RATES = (1e-6, 3e-3, 2e-6)


@remedy("own.further", title="Train further", improves=("quality",), params=TrainingParams)
def further(context: RemedyContext, params: TrainingParams) -> Path:
    """Plain training."""
    return context.fine_tune(TrainingRows.of(context.train), params)


@pytest.fixture
def orders(untrained):
    config = parse_config(
        {
            "model": {"path": str(untrained), "device": "cpu"},
            "data": {"path": "unused.csv", "text": "text"},
        }
    )
    rows = RemedyRows(data_of(256, 1), data_of(60, 2), frozenset(), ())
    return [
        Order(further, TrainingParams(epochs=3, learning_rate=rate, batch=16), rows, config, None)
        for rate in RATES
    ]


VALUES = [{"learning_rate": rate} for rate in RATES]


def test_the_combination_that_does_best_on_the_validation_rows_is_published(orders, tmp_path):
    made, tried = choose(orders, VALUES, tmp_path)
    assert [one.chosen for one in tried] == [False, True, False]
    assert tried[1].score > max(tried[0].score, tried[2].score) + 0.2
    assert made.record.params["learning_rate"] == 3e-3
    assert {path.name for path in tmp_path.iterdir()} == {"model", "training.json", "choice.json"}
    again, same = choose(orders, VALUES, tmp_path)
    assert not again.again
    assert same == tried
    assert again.record == made.record


def test_a_choice_that_was_cut_off_tries_only_what_is_missing(orders, tmp_path):
    asked: list[int] = []

    def score(predictor, data, params):
        asked.append(len(data))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return 1.0

    scored = dataclasses.replace(further, score=score)
    interrupted = [dataclasses.replace(order, remedy=scored) for order in orders]
    with pytest.raises(KeyboardInterrupt):
        choose(interrupted, VALUES, tmp_path)
    times = [(tmp_path / "candidates" / n / "training.json").stat().st_mtime_ns for n in "01"]
    _, tried = choose(interrupted, VALUES, tmp_path)
    assert [one.score for one in tried] == [1.0, 1.0, 1.0]
    assert tried[0].chosen
    assert times
    assert not (tmp_path / "candidates").exists()


def test_one_combination_is_no_choice(orders, tmp_path):
    made, tried = choose(orders[1:2], VALUES[1:2], tmp_path)
    assert tried == ()
    assert made.again
    assert not (tmp_path / "choice.json").exists()


def settings(table: dict) -> list:
    config = parse_config(
        {
            "model": {"callable": "a:b"},
            "data": {"path": "x.csv", "text": "t"},
            "remedies": {"robustness.embedding-pgd": table},
        }
    )
    return remedy_params(config, load_registry().remedies["robustness.embedding-pgd"])


def test_choices_are_combined_with_each_other_and_with_the_fixed_parameters():
    found = settings(
        {"params": {"epochs": 5}, "choices": {"radius": [0.1, 0.5], "steps": [1, 2, 3]}}
    )
    assert len(found) == 6
    assert {params.epochs for _, params in found} == {5}
    assert found[1][0] == {"radius": 0.1, "steps": 2}
    assert found[1][1].steps == 2


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"choices": {"radius": []}}, "at least 1 item"),
        ({"choices": {"radus": [0.1]}}, "no such parameter"),
        ({"choices": {"radius": [0.1, -1.0]}}, "radius must lie"),
        ({"params": {"radius": 0.1}, "choices": {"radius": [0.2]}}, "both in params"),
        ({"choices": {"radius": [0.1] * 8, "steps": [1] * 8}}, "more than 50 combinations"),
    ],
)
def test_impossible_choices_are_refused(table, said):
    with pytest.raises(ConfigError, match=said):
        settings(table)
