"""The remedies of latency: what they make loads without auditkit, and what they cost is shown."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import auditkit
from auditkit.config import ModelConfig
from auditkit.data import AuditData
from auditkit.errors import MissingExtraError
from auditkit.mitigation import Mitigation
from auditkit.models import onnx_backend
from auditkit.models.graph_file import installed_versions
from auditkit.models.transformers_text import load_transformers
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.remedy import RemedyContext, RemedyError, TrainingRows
from auditkit.result import AuditResult
from auditkit.run_as import FILE_NAME, RunAs
from auditkit.testing import assert_remedy_contract
from auditkit.training.blocks import OpenedBlocks
from auditkit.training.repair import decisions_of
from auditkit.training.run_by import is_outdated, run_by

from .conftest import NAMES, QUICK, data_of, opened
from .test_rows import write

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

REMEDIES = load_registry().remedies
QUANTIZE, ONNX, PRUNE = (
    REMEDIES[f"latency.{name}"] for name in ("quantize-dynamic", "onnx", "prune-layers")
)


def loaded(folder: Path) -> Any:
    return load_transformers(ModelConfig(path=str(folder)), online=False)


def context(folder: Path, model: Path, **changed: Any) -> RemedyContext:
    config, shop = ModelConfig(path=str(model), device="cpu"), opened(folder, model)
    settings: dict[str, Any] = {
        "model": model,
        "train": data_of(256, 1),
        "validation": shop.validation,
        "predictor": SharedPredictor(loaded(model)),
        "ask": lambda path: SharedPredictor(loaded(path)),
        "fine_tune": shop.fine_tune,
        "seed": 0,
        "rng": np.random.default_rng(0),
        "work": folder / "made",
        "blocks": lambda: OpenedBlocks(config, folder / "blocks"),
        "run_by": lambda backend: run_by(config, backend, folder / "run"),
    }
    return RemedyContext(**(settings | changed))


@pytest.mark.parametrize("remedy", [QUANTIZE, ONNX, PRUNE], ids=lambda one: one.id)
def test_the_remedy_keeps_the_contract(remedy) -> None:
    assert_remedy_contract(remedy)
    assert remedy.is_meant_for("latency.single-stream")


# --- without auditkit ---------------------------------------------------------------------------

BY_README = """
import json, os, re, sys
said = {}
for folder in json.loads(sys.argv[1]):
    os.chdir(folder)
    code = re.search("```python\\n(.*?)```", open("README.md").read(), re.S)[1]
    names = {}
    exec(code, names)
    said[folder] = [names["logits"](text).tolist() for text in json.loads(sys.argv[2])]
assert not any(name.startswith("auditkit") for name in sys.modules)
print(json.dumps(said))
"""
TEXTS = [*data_of(24, 5).inputs, "good " * 80, "never seen words"]


@pytest.fixture(scope="module")
def made(learnt: Path, tmp_path_factory) -> dict[str, Path]:
    """The folders that the remedies make. Do not change them."""
    place = tmp_path_factory.mktemp("made")

    def apply(remedy: Any, name: str, **params: Any) -> Path:
        folder = remedy.apply(context(place / name, learnt), remedy.params(**params))
        return Path(shutil.copytree(folder, place / f"{name}-model"))

    return {
        "int8": apply(QUANTIZE, "int8"),
        "onnx-int8": apply(QUANTIZE, "onnx-int8", engine="onnx"),
        "onnx": apply(ONNX, "onnx"),
    }


@pytest.fixture(scope="module")
def by_readme(made: dict[str, Path]) -> dict[str, np.ndarray]:
    """What the lines in each folder's README.md answer, in a process that never saw auditkit."""
    folders = json.dumps([str(folder) for folder in made.values()])
    done = subprocess.run(
        [sys.executable, "-c", BY_README, folders, json.dumps(TEXTS)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    return {name: np.array(said[str(folder)]) for name, folder in made.items()}


@pytest.mark.parametrize("backend", ["int8", "onnx-int8", "onnx"])
def test_the_readme_gives_the_audited_answers_without_auditkit(made, by_readme, backend) -> None:
    audited = loaded(made[backend])
    answers = audited.predict(TEXTS)
    np.testing.assert_array_equal(answers.labels, by_readme[backend].argmax(axis=1))
    shares = np.exp(by_readme[backend])
    shares /= shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answers.probabilities, shares, atol=1e-5)
    assert audited.assumptions["backend"]


def test_plain_transformers_finds_the_weights_as_they_were(made, learnt, plain) -> None:
    expected = plain(learnt, TEXTS)
    for folder in made.values():
        np.testing.assert_array_equal(plain(folder, TEXTS), expected)


def test_the_folder_says_by_what_it_is_run(made) -> None:
    for backend, folder in made.items():
        assert RunAs.of(folder) == RunAs(backend, installed_versions())
        assert (folder / "model.onnx").exists() == (backend == "onnx")
        assert (folder / "model_quantized.onnx").exists() == (backend == "onnx-int8")


def test_a_model_card_is_kept_before_what_is_added(learnt, tmp_path) -> None:
    source = Path(shutil.copytree(learnt, tmp_path / "model"))
    (source / "README.md").write_text("---\nlicense: mit\n---\n# Films\n")
    folder = run_by(ModelConfig(path=str(source)), "int8", tmp_path / "made")
    text = (folder / "README.md").read_text()
    assert text.startswith("---\nlicense: mit\n---\n# Films\n")
    assert "one text at a time" in text


def test_a_folder_of_other_versions_is_made_again(made, tmp_path) -> None:
    folder = Path(shutil.copytree(made["int8"], tmp_path / "m"))
    assert not is_outdated(folder)
    (folder / FILE_NAME).write_text(RunAs("int8", {"torch": "1.0"}).to_json())
    assert is_outdated(folder)


def test_onnx_without_its_package_names_the_extra(learnt, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(onnx_backend, "installed_version", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"auditkit\[onnx\]"):
        QUANTIZE.apply(context(tmp_path, learnt), QUANTIZE.params(engine="onnx"))


def test_a_model_in_half_precision_is_refused(save_model, tmp_path) -> None:
    folder = save_model(tmp_path / "m", dtype="float16")
    with pytest.raises(RemedyError, match="another precision"):
        run_by(ModelConfig(path=str(folder)), "int8", tmp_path / "made")


def test_the_validation_rows_are_asked_of_the_quantized_model(learnt, tmp_path) -> None:
    notes: list[str] = []
    shop = context(tmp_path, learnt, note=notes.append)
    folder = QUANTIZE.apply(shop, QUANTIZE.params())
    before, after = (loaded(one).predict(shop.validation.inputs) for one in (learnt, folder))
    moved = int((before.labels != after.labels).sum())
    assert f"{moved} of {len(before.labels)} validation rows get another label" in notes[-1]
    predictor, rows = decisions_of(ModelConfig(path=str(learnt)), folder, shop.validation)
    np.testing.assert_array_equal(predictor.predict(rows.inputs).probabilities, after.probabilities)


# --- what it costs each group -------------------------------------------------------------------


def lopsided(folder: Path, save_model: Callable[..., Path]) -> Path:
    """A classifier that is always right, and reads "great" and "awful" by a tiny weight.

    Beside a weight of 10 in the same row, 0.03 is rounded to 0 in int8.
    """
    from safetensors.torch import load_file, save_file

    file = save_model(folder, spread=0.05) / "model.safetensors"
    weights = {name: torch.zeros_like(one) for name, one in load_file(file).items()}
    for name, one in weights.items():
        if name.endswith("LayerNorm.weight"):
            one.fill_(1.0)
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    # Each word in two opposite numbers, so that a layer norm leaves the others 0.
    for word, place, sign in (("good", 0, 1), ("bad", 0, -1), ("great", 1, 1), ("awful", 1, -1)):
        row = weights["bert.embeddings.word_embeddings.weight"][vocabulary[word]]
        row[place], row[place + 16] = sign, -sign
    layer = "bert.encoder.layer.0.attention"
    for part in ("self.value", "output.dense"):
        weights[f"{layer}.{part}.weight"].copy_(torch.eye(32))
    weights["bert.pooler.dense.weight"].copy_(0.1 * torch.eye(32))
    weights["classifier.weight"][1, 0], weights["classifier.weight"][1, 1] = 10.0, 0.03
    weights["classifier.bias"][1] = -0.002
    save_file(weights, file, metadata={"format": "pt"})
    return folder


def films(rows: int, split: str, seed: int) -> list[tuple[str, ...]]:
    """Rows of two groups, each with a word of its own for good and bad."""
    rng, words = np.random.default_rng(seed), (("bad", "good"), ("awful", "great"))
    made = []
    for row in range(rows):
        group, label = row % 2, int(rng.integers(2))
        text = [str(word) for word in rng.choice(("film", "movie", "story", "plot"), size=6)]
        text.insert(int(rng.integers(7)), words[group][label])
        made.append((f"{' '.join(text)} {split}{row}", NAMES[label], split, "ab"[group]))
    return made


def configured(folder: Path, rows: list[tuple[str, ...]]) -> dict[str, Any]:
    write(folder / "d.csv", rows, ("text", "label", "split", "group"))
    return {
        "only": ["quality.metric", "fairness.equalized-odds", "robustness.natural-noise"],
        "model": {"path": str(folder / "model")},
        "data": {
            "path": str(folder / "d.csv"), "text": "text", "label": "label", "split": "split",
            "sensitive": ["group"],
        },
        "checks": {
            "robustness.natural-noise": {
                "params": {"rows": 60, "noises": ["letter-swap", "homoglyph"]}
            }
        },
    }  # fmt: skip


def test_what_int8_costs_one_group_is_a_paired_finding(save_model, tmp_path) -> None:
    lopsided(tmp_path / "model", save_model)
    config = configured(tmp_path, films(400, "test", 1))  # no row to train on is needed
    auditkit.mitigate(config, ["latency.quantize-dynamic"], out=tmp_path / "out")
    record = Mitigation.from_json((tmp_path / "out" / "mitigation.json").read_bytes())
    (repair,) = record.repairs
    changes = [change for change in repair.comparison.changes if change.interval is not None]
    gaps = [change for change in changes if change.check == "fairness.equalized-odds"]
    assert "worsened" in {change.word for change in gaps}
    worst = max(gaps, key=lambda change: change.difference or 0.0)
    assert worst.before is not None
    assert worst.after is not None
    assert (worst.before.value, worst.after.value) == (pytest.approx(0.0), pytest.approx(1.0))
    assert [change for change in changes if change.check == "robustness.natural-noise"]
    accuracy = next(change for change in changes if change.name == "accuracy")
    assert accuracy.word == "worsened"
    assert repair.comparison.broken > 80
    page = (tmp_path / "out" / "mitigation.html").read_text(encoding="utf-8")
    assert "fairness.equalized-odds" in page
    assert "robustness.natural-noise" in page
    assert "worsened" in page
    assert record.before.model_digest != repair.verdict.model_digest
    audit = tmp_path / "out" / repair.audit / "result.json"
    assert "This is another model than the saved one" in audit.read_text(encoding="utf-8")


def test_exact_onnx_changes_no_finding(save_model, tmp_path) -> None:
    lopsided(tmp_path / "model", save_model)
    config = configured(tmp_path, films(200, "test", 1))
    config["only"] = ["quality.metric", "fairness.equalized-odds"]
    record = auditkit.mitigate(config, ["latency.onnx"], out=tmp_path / "out")
    comparison = record.repairs[0].comparison
    assert {change.word for change in comparison.changes} == {"no difference shown"}
    assert comparison.answers_changed == 0
    assert record.before.model_digest == record.repairs[0].verdict.model_digest
    again = auditkit.mitigate(config, ["latency.onnx"], out=tmp_path / "out")
    assert again.repairs[0].seconds == record.repairs[0].seconds  # made before, not again


def test_a_backend_that_is_configured_does_not_hide_the_quantized_model(
    save_model, tmp_path
) -> None:
    lopsided(tmp_path / "model", save_model)
    config = configured(tmp_path, films(200, "test", 1))
    config["only"] = ["quality.metric"]
    config["model"]["backend"] = "torch"
    record = auditkit.mitigate(config, ["latency.quantize-dynamic"], out=tmp_path / "out")
    assert record.repairs[0].comparison.answers_changed > 20


def test_speed_is_compared_with_the_model_before_where_it_is_asked_for(
    save_model, tmp_path
) -> None:
    lopsided(tmp_path / "model", save_model)
    config = configured(tmp_path, films(60, "test", 1))
    config["only"] = ["quality.metric", "latency.regression"]
    config["checks"] = {
        "latency.regression": {
            "params": {"seconds": 0.5, "most_seconds": 0.5, "warm_up_seconds": 0.2}
        }
    }
    record = auditkit.mitigate(config, ["latency.quantize-dynamic"], out=tmp_path / "out")
    (repair,) = record.repairs
    (ratio,) = [change for change in repair.comparison.changes if change.name == "ratio"]
    assert ratio.meant
    assert ratio.before is not None
    assert ratio.after is not None
    assert ratio.before.value is not None
    assert ratio.after.value is not None
    said = AuditResult.from_json((tmp_path / "out" / repair.audit / "result.json").read_bytes())
    before = record.before.model_digest
    assert said.subject.assumptions["baseline"] == f"model, SHA-256 {before[:12]}…"
    assert "int8" in said.subject.assumptions["precision"]
    config["only"], place = ["quality.metric"], tmp_path / "untimed"
    repair = auditkit.mitigate(config, ["latency.quantize-dynamic"], out=place).repairs[0]
    said = AuditResult.from_json((place / repair.audit / "result.json").read_bytes())
    assert "baseline" not in said.subject.assumptions


def test_training_needs_rows_though_quantizing_does_not(save_model, tmp_path) -> None:
    lopsided(tmp_path / "model", save_model)
    config = configured(tmp_path, films(40, "test", 1))
    with pytest.raises(auditkit.errors.ConfigError, match="split 'train'"):
        auditkit.mitigate(config, ["latency.prune-layers"], out=tmp_path / "out")


def test_an_engine_is_chosen_by_the_validation_rows_or_not_at_all(save_model, tmp_path) -> None:
    lopsided(tmp_path / "model", save_model)
    rows = films(60, "test", 1)
    config = configured(tmp_path, rows)
    config["only"] = ["quality.metric"]
    config["remedies"] = {"latency.quantize-dynamic": {"choices": {"engine": ["onnx", "torch"]}}}
    with pytest.raises(RemedyError, match="no row to choose its parameters by"):
        auditkit.mitigate(config, ["latency.quantize-dynamic"], out=tmp_path / "out")
    write(
        tmp_path / "d.csv",
        rows + films(40, "train", 2) + films(40, "validation", 3),
        ("text", "label", "split", "group"),
    )
    record = auditkit.mitigate(config, ["latency.quantize-dynamic"], out=tmp_path / "out")
    tried = record.repairs[0].tried
    assert [one.params["engine"] for one in tried] == ["onnx", "torch"]
    assert all(one.score < 0.9 for one in tried)  # the quantized models are asked
    assert sum(one.chosen for one in tried) == 1


@pytest.mark.parametrize("way", ["file", "backend"])
def test_a_model_that_is_run_otherwise_is_not_repaired(save_model, tmp_path, way) -> None:
    lopsided(tmp_path / "model", save_model)
    config = configured(tmp_path, films(40, "test", 1))
    if way == "file":
        (tmp_path / "model" / FILE_NAME).write_text(RunAs("int8", {}).to_json())
    else:
        config["model"]["backend"] = "int8"
    with pytest.raises(RemedyError, match=r"very model is run|another model than the saved"):
        auditkit.mitigate(config, ["latency.quantize-dynamic"], out=tmp_path / "out")


# --- fewer layers -------------------------------------------------------------------------------


def test_half_of_the_layers_are_kept_evenly_or_from_the_input() -> None:
    from auditkit.checks.latency.prune_layers import Params, chosen_layers

    assert chosen_layers(12, Params()) == [0, 2, 4, 7, 9, 11]
    assert chosen_layers(12, Params(layers=3, which="first")) == [0, 1, 2]
    assert chosen_layers(5, Params()) == [0, 2, 4]
    assert chosen_layers(2, Params()) == [0]
    for count, keep in ((n, k) for n in range(2, 30) for k in range(1, n)):
        assert len(set(chosen_layers(count, Params(layers=keep)))) == keep
    for count, keep in ((1, 0), (4, 4), (4, 9)):
        with pytest.raises(RemedyError, match="none would be left out"):
            chosen_layers(count, Params(layers=keep))


@pytest.mark.parametrize("wrong", [{"layers": -1}, {"teacher": 1.5}, {"epochs": 0}])
def test_impossible_parameters_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PRUNE.params(**wrong)


SMALL = {
    "vocab_size": 35, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2,
    "intermediate_size": 24, "max_position_embeddings": 66, "initializer_range": 0.4,
    "pad_token_id": 0,
}  # fmt: skip
OWN = {
    "DistilBert": {
        "vocab_size": 35, "dim": 16, "n_layers": 4, "n_heads": 2, "hidden_dim": 24,
        "max_position_embeddings": 66, "initializer_range": 0.4,
    },
    "GPT2": {
        "vocab_size": 35, "n_embd": 16, "n_layer": 4, "n_head": 2, "n_positions": 66,
        "initializer_range": 0.4, "bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0,
    },
    "Albert": SMALL | {"embedding_size": 16},
}  # fmt: skip


def save_architecture(name: str, tokenizer: Path, folder: Path) -> Path:
    import transformers

    library: Any = transformers
    words = library.AutoTokenizer.from_pretrained(tokenizer)
    words.model_input_names = ["input_ids", "attention_mask"]
    words.save_pretrained(folder)
    torch.manual_seed(0)
    config = getattr(library, f"{name}Config")(**OWN.get(name, SMALL))
    getattr(library, f"{name}ForSequenceClassification")(config).save_pretrained(folder)
    return folder


LISTS = {
    "Bert": "bert.encoder.layer", "Roberta": "roberta.encoder.layer",
    "DistilBert": "distilbert.transformer.layer", "GPT2": "transformer.h",
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_the_layers_that_are_left_are_the_right_ones(name, tiny_model, tmp_path) -> None:
    from safetensors.torch import load_file

    source = save_architecture(name, tiny_model, tmp_path / "m")
    blocks = OpenedBlocks(ModelConfig(path=str(source), device="cpu"), tmp_path / "b")
    assert blocks.count == 4
    folder = blocks.kept([0, 3])
    before, after = (load_file(one / "model.safetensors") for one in (source, folder))
    for new, old in ((0, 0), (1, 3)):
        own = {k: v for k, v in after.items() if k.startswith(f"{LISTS[name]}.{new}.")}
        assert own
        for key, value in own.items():
            was = before[key.replace(f"{LISTS[name]}.{new}.", f"{LISTS[name]}.{old}.", 1)]
            assert torch.equal(value, was)
    assert not [key for key in after if key.startswith(f"{LISTS[name]}.2.")]
    answers = loaded(folder).predict(TEXTS).probabilities
    assert np.abs(answers - loaded(source).predict(TEXTS).probabilities).max() > 1e-3


def test_a_model_that_shares_its_layers_is_refused(tiny_model, tmp_path) -> None:
    source = save_architecture("Albert", tiny_model, tmp_path / "m")
    with pytest.raises(RemedyError, match="no list of 4 equal layers"):
        OpenedBlocks(ModelConfig(path=str(source), device="cpu"), tmp_path / "b")


@pytest.mark.parametrize("places", [[], [1, 0], [0, 0], [0, 4], [-1]])
def test_places_that_are_not_there_are_refused(learnt, tmp_path, places) -> None:
    blocks = OpenedBlocks(ModelConfig(path=str(learnt), device="cpu"), tmp_path)
    with pytest.raises(RemedyError, match="not some of 2"):
        blocks.kept(places)


def test_a_model_that_answers_otherwise_once_saved_is_refused(
    learnt, tmp_path, monkeypatch
) -> None:
    from auditkit.training import blocks as module

    cut = module._cut

    def by_place(model: Any, name: str, places: Any) -> None:
        cut(model, name, places)
        model.get_submodule(name)[0].register_forward_hook(lambda _, __, out: out * 2)

    monkeypatch.setattr(module, "_cut", by_place)
    blocks = OpenedBlocks(ModelConfig(path=str(learnt), device="cpu"), tmp_path)
    with pytest.raises(RemedyError, match="depends on its place"):
        blocks.kept([0])


def test_a_short_training_recovers_what_leaving_out_a_layer_cost(learnt, tmp_path, plain) -> None:
    notes: list[str] = []
    shop = context(tmp_path, learnt, note=notes.append)
    folder = PRUNE.apply(shop, PRUNE.params(layers=1, **QUICK))
    held_out = data_of(200, 50)
    right = (loaded(folder).predict(held_out.inputs).labels == held_out.labels).mean()
    assert right > 0.95
    assert json.loads((folder / "config.json").read_text())["num_hidden_layers"] == 1
    assert notes[0].startswith("1 of 2 layers are left, those at 0")
    labels = plain(folder, held_out.inputs).argmax(axis=1)
    np.testing.assert_array_equal(labels, loaded(folder).predict(held_out.inputs).labels)


def test_the_loss_is_that_of_labels_and_teacher_in_the_share_that_is_named(
    learnt, tmp_path
) -> None:
    from auditkit.checks.latency.prune_layers import _teacher

    shop = context(tmp_path, learnt)
    rows = TrainingRows.of(data_of(8, 3))
    columns, hooks = _teacher(shop, rows, 0.25)
    said = shop.predictor.predict(rows.texts).probabilities
    np.testing.assert_array_equal(np.stack([*columns.values()], axis=1), said)
    logits = torch.randn(8, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    batch = {name: torch.tensor(values) for name, values in columns.items()}
    batch |= {"labels": torch.tensor(rows.labels)}
    logged = logits.log_softmax(dim=-1).numpy()
    own = -logged[np.arange(8), rows.labels].mean()
    taught = -(said * logged).sum(axis=1).mean()
    assert hooks.loss is not None
    assert float(hooks.loss(logits, batch)) == pytest.approx(0.75 * own + 0.25 * taught)
    assert _teacher(shop, rows, 0.0)[0] == {}


def test_rows_without_validation_are_said_to_be_none(learnt, tmp_path) -> None:
    notes: list[str] = []
    none: AuditData = replace(data_of(4, 1), inputs=(), labels=np.zeros(0, dtype=np.int64))
    QUANTIZE.apply(context(tmp_path, learnt, note=notes.append, validation=none), QUANTIZE.params())
    assert "No rows to choose by" in notes[-1]
