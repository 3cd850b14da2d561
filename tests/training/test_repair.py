"""Applying a remedy: what is published, what is kept, what is left as it was."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from auditkit.config import parse_config
from auditkit.models.model_folder import inspect_folder
from auditkit.predictor import SharedPredictor
from auditkit.remedy import RemedyContext, RemedyError, TrainingParams, TrainingRows, remedy
from auditkit.run_lock import RunBusyError, RunLock
from auditkit.store import publish_folder, recover_folder
from auditkit.training import Order, RemedyRows, Told, repair

from .conftest import data_of

pytest.importorskip("accelerate")

PARAMS = TrainingParams(epochs=1, learning_rate=2e-3, batch=16)


@remedy("own.further", title="Train further", improves=("quality",), params=TrainingParams)
def further(context: RemedyContext, params: TrainingParams) -> Path:
    """Plain training."""
    context.note("As simple as that.")
    return context.fine_tune(TrainingRows.of(context.train), params)


def failing(error: BaseException) -> Any:
    def apply(context: RemedyContext, params: TrainingParams) -> Path:
        further.apply(context, params)
        raise error

    return dataclasses.replace(further, apply=apply)


@pytest.fixture
def order(untrained):
    def make(used: Any = further, params: Any = PARAMS, seed: int = 0) -> Order:
        config = parse_config(
            {
                "model": {"path": str(untrained), "device": "cpu"},
                "data": {"path": "unused.csv", "text": "text"},
                "seed": seed,
            }
        )
        rows = RemedyRows(data_of(48, 1), data_of(24, 2), frozenset(), ())
        predictor = SharedPredictor.__new__(SharedPredictor)  # never asked here
        return Order(used, params, rows, config, predictor)

    return make


def digest(folder: Path) -> str:
    return inspect_folder(folder / "model").digest


def test_the_model_is_published_with_its_record_and_the_work_folder_is_gone(order, tmp_path):
    made = repair(order(), tmp_path)
    assert made.again
    assert made.model == tmp_path / "model"
    assert {file.name for file in tmp_path.iterdir()} == {"model", "training.json"}
    assert made.record.notes == ("As simple as that.",)
    assert made.record.trainings[0].rows == 48
    assert made.record.model == digest(tmp_path)


def test_the_same_order_is_not_made_again_and_another_one_replaces_it(order, tmp_path):
    first = repair(order(), tmp_path)
    again = repair(order(failing(RuntimeError("must not run"))), tmp_path)
    assert not again.again
    assert again.record == first.record
    other = repair(order(seed=1), tmp_path)
    assert other.again
    assert other.record.model != first.record.model


def test_a_model_that_was_changed_since_is_made_again(order, tmp_path):
    first = repair(order(), tmp_path)
    (tmp_path / "model" / "tokenizer_config.json").write_text("{}")
    assert repair(order(), tmp_path).record.model == first.record.model


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RemedyError("there is nothing to train on."), "nothing to train on"),
        (ValueError("boom"), r"own\.further crashed: ValueError: boom at test_repair"),
        (SystemExit(0), "own.further crashed: SystemExit"),
        (MemoryError(), "own.further crashed: MemoryError"),
    ],
)
def test_a_remedy_that_fails_leaves_the_former_model_untouched(order, tmp_path, error, said):
    repair(order(), tmp_path)
    before = {file: file.read_bytes() for file in (tmp_path / "model").iterdir()}
    record = (tmp_path / "training.json").read_bytes()
    with pytest.raises(RemedyError, match=said):
        repair(order(failing(error), seed=1), tmp_path)
    assert before == {file: file.read_bytes() for file in (tmp_path / "model").iterdir()}
    assert (tmp_path / "training.json").read_bytes() == record


def test_after_an_interruption_what_was_trained_is_not_trained_again(order, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        repair(order(failing(KeyboardInterrupt())), tmp_path)
    assert not (tmp_path / "model").exists()
    said: list[str] = []
    repair(order(), tmp_path, Told(note=said.append))
    assert said == ["As simple as that."]


def test_a_remedy_that_returns_no_model_is_refused(order, tmp_path):
    nothing = dataclasses.replace(further, apply=lambda *_: None)
    with pytest.raises(RemedyError, match="returned no model folder"):
        repair(order(nothing), tmp_path)


def test_two_repairs_in_one_folder_exclude_each_other(order, tmp_path):
    lock = RunLock(tmp_path)
    lock.acquire()
    try:
        with pytest.raises(RunBusyError):
            repair(order(), tmp_path)
    finally:
        lock.release()


def test_a_publication_cut_off_between_its_steps_is_undone(tmp_path):
    target, writing = tmp_path / "model", tmp_path / ".model.writing"
    for folder, text in ((target, "old"), (writing, "new")):
        folder.mkdir()
        (folder / "file").write_text(text)
    target.replace(tmp_path / ".model.former")
    recover_folder(target)
    assert (target / "file").read_text() == "old"
    publish_folder(writing, target)
    assert (target / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    recover_folder(target)
    assert (target / "file").read_text() == "new"
