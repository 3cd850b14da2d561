"""Training: what comes out, what survives an interruption, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from auditkit.config import ModelConfig
from auditkit.content import content_digest
from auditkit.model import Predictions
from auditkit.models.model_folder import inspect_folder
from auditkit.models.transformers_text import load_transformers
from auditkit.remedy import Hooks, RemedyError, TrainingParams, TrainingRows
from auditkit.training.checkpoint import checkpoints

from .conftest import data_of, opened, sentences

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")


def ask(folder: Path, texts: tuple[str, ...]) -> Predictions:
    model = load_transformers(ModelConfig(path=str(folder), device="cpu"), online=False)
    return model.predict(texts)


def accuracy(folder: Path, rows: int = 200) -> float:
    texts, labels = sentences(rows, 99)
    return float((ask(folder, texts).labels == labels).mean())


def weights(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def same(first: Path, second: Path) -> bool:
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


class Stop(Exception):  # noqa: N818 - stands for a kill
    """Ends a training from within."""


class StoppingLoss:
    """The usual loss until it has been asked so often."""

    def __init__(self, calls: int, error: BaseException) -> None:
        self.left, self.error = calls, error

    def __call__(self, logits, batch):
        self.left -= 1
        if self.left < 0:
            raise self.error
        losses = torch.nn.functional.cross_entropy(logits, batch["labels"], reduction="none")
        return (losses * batch["weights"]).mean()


def test_training_learns_the_rule_and_leaves_the_model_it_began_with(workshop, untrained):
    before = inspect_folder(untrained).digest
    shop = workshop()
    many = TrainingRows.of(data_of(256, 1))
    folder = shop.fine_tune(many, TrainingParams(epochs=4, learning_rate=3e-3, batch=16))
    assert accuracy(untrained) < 0.7
    assert accuracy(folder) > 0.9
    assert inspect_folder(untrained).digest == before
    (report,) = shop.reports
    assert report.rows == 256
    assert report.best_step == min(report.evaluations, key=lambda seen: seen.loss).step


def test_the_folder_loads_in_a_process_without_auditkit_and_gives_the_audited_answers(
    workshop, rows, params, plain
):
    folder = workshop().fine_tune(rows, params)
    texts, _ = sentences(20, 5)
    assert np.allclose(plain(folder, texts), ask(folder, texts).probabilities, atol=1e-5)


def test_the_folder_holds_no_pickle_and_nothing_of_the_training(workshop, rows, params):
    folder = workshop().fine_tune(rows, params)
    assert {file.suffix for file in folder.iterdir()} <= {".json", ".safetensors", ".txt"}
    left = {file.name for file in folder.parent.iterdir()}
    assert left == {"identity", "model", "training.json"}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(workshop, rows, params):
    first = workshop("first").fine_tune(rows, params)
    assert same(first, workshop("second").fine_tune(rows, params))
    assert not same(first, workshop("third", seed=8).fine_tune(rows, params))


@pytest.mark.parametrize("calls", [3, 13, 17, 23])
def test_a_training_that_was_cut_off_goes_on_to_the_same_weights(workshop, rows, params, calls):
    whole = workshop("whole").fine_tune(rows, params, hooks=Hooks(loss=StoppingLoss(99, Stop())))
    shop = workshop("cut")
    with pytest.raises(KeyboardInterrupt):
        shop.fine_tune(rows, params, hooks=Hooks(loss=StoppingLoss(calls, KeyboardInterrupt())))
    assert not (shop.folder / "model" / "model").exists()
    rest = StoppingLoss(99, Stop())
    assert same(whole, shop.fine_tune(rows, params, hooks=Hooks(loss=rest)))
    steps_before = 12 if calls >= 12 else 0  # 6 steps of 2 × 8 rows to the checkpoint of epoch 1
    assert rest.left == 99 - (24 - steps_before)


def test_a_checkpoint_in_the_middle_of_an_epoch_is_gone_on_from_exactly(
    workshop, rows, params, monkeypatch
):
    monkeypatch.setattr("auditkit.training.trainer.SAVE_EVERY", 0.0)
    whole = workshop("whole").fine_tune(rows, params, hooks=Hooks(loss=StoppingLoss(99, Stop())))
    shop = workshop("cut")
    with pytest.raises(KeyboardInterrupt):
        shop.fine_tune(rows, params, hooks=Hooks(loss=StoppingLoss(19, KeyboardInterrupt())))
    rest = StoppingLoss(99, Stop())
    assert same(whole, shop.fine_tune(rows, params, hooks=Hooks(loss=rest)))
    assert rest.left == 99 - 6


def test_checkpoints_are_safetensors_and_json(workshop, rows, params):
    shop = workshop()
    with pytest.raises(KeyboardInterrupt):
        shop.fine_tune(rows, params, hooks=Hooks(loss=StoppingLoss(13, KeyboardInterrupt())))
    (checkpoint,) = checkpoints(shop.folder / "model")
    assert sorted(file.name for file in checkpoint.iterdir()) == [
        "state.json", "state.safetensors", "trainer_state.json",
    ]  # fmt: skip


def test_a_damaged_checkpoint_is_not_gone_on_from(workshop, rows, params):
    whole = workshop("whole").fine_tune(rows, params, hooks=Hooks(loss=StoppingLoss(99, Stop())))
    shop = workshop("cut")
    with pytest.raises(KeyboardInterrupt):
        shop.fine_tune(rows, params, hooks=Hooks(loss=StoppingLoss(13, KeyboardInterrupt())))
    (checkpoint,) = checkpoints(shop.folder / "model")
    (checkpoint / "state.safetensors").write_bytes(b"cut off")
    rest = StoppingLoss(99, Stop())
    assert same(whole, shop.fine_tune(rows, params, hooks=Hooks(loss=rest)))
    assert rest.left == 99 - 24


def test_a_finished_training_is_not_done_again_and_other_rows_are(workshop, rows, params):
    shop = workshop()
    first = weights(shop.fine_tune(rows, params))
    again = shop.fine_tune(rows, params, hooks=Hooks(loss=StoppingLoss(0, Stop())))
    assert np.array_equal(first["classifier.weight"], weights(again)["classifier.weight"])
    with pytest.raises(Stop):
        shop.fine_tune(
            TrainingRows.of(data_of(96, 3)), params, hooks=Hooks(loss=StoppingLoss(0, Stop()))
        )


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        MemoryError(),
    ],
)
def test_out_of_memory_says_what_to_lower_and_leaves_no_model(workshop, rows, params, error):
    shop = workshop()
    with pytest.raises(RemedyError, match="memory ran out") as raised:
        shop.fine_tune(rows, params, hooks=Hooks(loss=StoppingLoss(2, error)))
    assert "rows_at_once" in raised.value.hint
    assert not (shop.folder / "model" / "model").exists()


def test_a_loss_that_is_no_number_is_said_and_leaves_no_model(workshop, rows, params):
    shop = workshop()
    with pytest.raises(RemedyError, match="diverged"):
        shop.fine_tune(rows, params, hooks=Hooks(loss=lambda logits, _: logits.sum() * np.inf))
    assert not (shop.folder / "model" / "model").exists()


def test_one_class_only_is_refused(workshop, params):
    texts, _ = sentences(20, 1)
    with pytest.raises(RemedyError, match="one class"):
        workshop().fine_tune(TrainingRows(texts, np.ones(20, dtype=np.int64)), params)


def test_audited_rows_are_left_out_of_training_and_counted(workshop, rows, params):
    audited = frozenset(content_digest(text) for text in rows.texts[:10])
    shop = workshop(audited=audited)
    shop.fine_tune(rows, params)
    left = sum(content_digest(text) in audited for text in rows.texts)
    assert left >= 10
    assert (shop.reports[0].rows, shop.reports[0].left_out) == (96 - left, left)


def test_training_stops_when_patience_is_over_and_keeps_the_best(workshop, rows):
    shop = workshop()
    params = TrainingParams(epochs=30, learning_rate=0.02, batch=16, patience=1)
    shop.fine_tune(rows, params)
    (report,) = shop.reports
    assert report.steps < 30 * 6
    assert len(report.evaluations) < 30
    assert report.best_step == report.evaluations[-2].step


def test_weights_decide_what_is_learnt(workshop):
    rows = TrainingRows.of(data_of(256, 1))
    upside_down = TrainingRows(
        rows.texts * 2,
        np.concatenate([rows.labels, 1 - rows.labels]),
        np.repeat([0.0, 2.0], len(rows)),
    )
    params = TrainingParams(epochs=3, learning_rate=3e-3, batch=16, patience=0)
    validation = data_of(40, 2)
    flipped = type(validation)(validation.inputs, 1 - validation.labels, validation.class_names)
    folder = workshop(validation=flipped).fine_tune(upside_down, params)
    assert accuracy(folder) < 0.1


def test_columns_reach_the_loss_row_by_row(workshop, rows, params):
    seen = {}

    def loss(logits, batch):
        for row, code in zip(batch["rows"].tolist(), batch["group"].tolist(), strict=True):
            seen[row] = code
        return torch.nn.functional.cross_entropy(logits, batch["labels"])

    codes = np.arange(len(rows)) % 5
    with_groups = TrainingRows(rows.texts, rows.labels, columns={"group": codes})
    workshop().fine_tune(with_groups, params, hooks=Hooks(loss=loss))
    assert seen == dict(enumerate(codes.tolist()))


def test_columns_and_weights_of_audited_rows_are_left_out_with_them(workshop, rows, params):
    seen = []

    def loss(logits, batch):
        seen.append((batch["labels"], batch["copy"], batch["weights"]))
        return torch.nn.functional.cross_entropy(logits, batch["labels"])

    audited = frozenset(content_digest(text) for text in rows.texts[:10])
    given = TrainingRows(rows.texts, rows.labels, rows.labels + 1.0, {"copy": rows.labels})
    workshop(audited=audited).fine_tune(given, params, hooks=Hooks(loss=loss))
    for labels, copy, row_weights in seen:
        assert torch.equal(labels, copy)
        assert torch.equal(labels + 1.0, row_weights)


def test_a_remedy_may_choose_the_best_model_by_a_score_of_the_logits_in_their_order(
    workshop, rows, params
):
    validation, seen = data_of(40, 2), []

    def score(logits):
        seen.append(logits)
        return -float(len(seen))  # the first is the best

    shop = workshop(validation=validation)
    folder = shop.fine_tune(rows, params, hooks=Hooks(score=score))
    (report,) = shop.reports
    assert [one.score for one in report.evaluations] == [-1.0, -2.0]
    assert report.best_step == report.evaluations[0].step == 6
    expected = np.log(ask(folder, validation.inputs).probabilities)
    found = seen[0] - np.log(np.exp(seen[0]).sum(axis=1, keepdims=True))
    assert np.allclose(found, expected, atol=1e-5)


def test_a_score_that_is_no_number_is_said(workshop, rows, params):
    with pytest.raises(RemedyError, match="diverged"):
        workshop().fine_tune(rows, params, hooks=Hooks(score=lambda _: float("nan")))


def test_a_loss_that_is_no_number_is_said_before_a_score_is_asked(workshop, rows, params):
    hooks = Hooks(loss=lambda logits, _: logits.sum() * np.inf, score=lambda _: 1.0)
    with pytest.raises(RemedyError, match="diverged"):
        workshop().fine_tune(rows, params, hooks=hooks)


@pytest.mark.parametrize("rank", [0, 2])
def test_the_representation_is_what_the_last_layer_reads(workshop, rows, rank):
    if rank:
        pytest.importorskip("peft")
    seen = []

    def loss(logits, batch):
        seen.append((batch["representation"].detach().numpy(), logits.detach().numpy()))
        return torch.nn.functional.cross_entropy(logits, batch["labels"])

    params = TrainingParams(epochs=1, learning_rate=1e-9, batch=16, lora_rank=rank)
    folder = workshop().fine_tune(rows, params, hooks=Hooks(loss=loss, representation=True))
    layer = weights(folder)
    for read, logits in seen:
        expected = read @ layer["classifier.weight"].T + layer["classifier.bias"]
        assert np.allclose(expected, logits, atol=1e-5)


def test_the_losss_own_parameters_may_learn_at_a_rate_of_their_own(workshop, rows, params):
    slow, quick = Shifted(), Shifted()
    workshop("slow").fine_tune(rows, params, hooks=Hooks(loss=slow, learning_rate=1e-6))
    workshop("quick").fine_tune(rows, params, hooks=Hooks(loss=quick, learning_rate=1e-2))
    assert slow.shift.abs().max() < 1e-4
    assert quick.shift.abs().max() > 1e-3


class Shifted(torch.nn.Module):
    """A loss with a parameter and a buffer of its own."""

    def __init__(self, stop_after: int = 10**6) -> None:
        super().__init__()
        self.shift = torch.nn.Parameter(torch.zeros(2))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.stop_after = stop_after

    def forward(self, logits, batch):
        if int(self.calls) >= self.stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        return torch.nn.functional.cross_entropy(logits + self.shift, batch["labels"])


def test_a_loss_with_weights_is_trained_and_resumed_with_the_model(workshop, rows, params):
    whole = Shifted()
    folder = workshop("whole").fine_tune(rows, params, hooks=Hooks(loss=whole))
    assert whole.shift.abs().max() > 0
    assert int(whole.calls) == 24
    shop = workshop("cut")
    with pytest.raises(KeyboardInterrupt):
        shop.fine_tune(rows, params, hooks=Hooks(loss=Shifted(stop_after=15)))
    rest = Shifted()
    assert same(folder, shop.fine_tune(rows, params, hooks=Hooks(loss=rest)))
    assert torch.equal(rest.shift, whole.shift)
    assert int(rest.calls) == 24


def test_adapters_are_merged_into_weights_that_load_plainly(workshop, untrained):
    pytest.importorskip("peft")
    rows = TrainingRows.of(data_of(256, 1))
    shop = workshop()
    params = TrainingParams(epochs=8, learning_rate=1e-2, batch=16, lora_rank=4, patience=0)
    folder = shop.fine_tune(rows, params)
    assert weights(folder).keys() == weights(untrained).keys()
    assert accuracy(folder) > 0.8
    embeddings = "bert.embeddings.word_embeddings.weight"
    assert np.array_equal(weights(folder)[embeddings], weights(untrained)[embeddings])
    total = sum(tensor.size for tensor in weights(folder).values())
    assert shop.reports[0].trained_weights < total / 2


def test_a_model_in_half_precision_is_trained_in_single_and_saved_in_half(
    save_model, rows, params, tmp_path
):
    half = save_model(tmp_path / "half", spread=0.05, dtype="bfloat16")
    shop = opened(tmp_path / "work", half)
    assert inspect_folder(shop.fine_tune(rows, params)).dtype == "BF16"
