"""A quantized model is another model, and everything that is said of it says so."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit import fresh_start
from auditkit.config import AuditConfig, ModelConfig, parse_config
from auditkit.errors import ConfigError, MissingExtraError, ModelError
from auditkit.model import Capability
from auditkit.models import int8_backend, onnx_backend
from auditkit.models.graph_file import installed_versions
from auditkit.models.int8_backend import Moved
from auditkit.models.model_folder import inspect_folder
from auditkit.models.transformers_loading import as_run
from auditkit.models.transformers_text import TransformersText, load_transformers
from auditkit.prediction_store import PredictionStore
from auditkit.run_as import FILE_NAME, RunAs
from auditkit.timing import hardware
from auditkit.training.run_by import run_by

from .test_onnx_backend import architecture, texts

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

QUANTIZED = ("int8", "onnx-int8")
HUNDRED = list(dict.fromkeys(texts(150, seed=9)))[:100]


def load(
    folder: Path,
    backend: str | None = None,
    kept: PredictionStore | None = None,
    asked: list[str] = HUNDRED,
    **settings: Any,
) -> TransformersText:
    named = {} if backend is None else {"backend": backend}
    config = ModelConfig(path=str(folder), **named, **settings)
    return load_transformers(config, online=False, store=kept, texts=asked)


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> dict[str, TransformersText]:
    """The tiny model by each backend. Do not change it."""
    return {name: load(tiny_model, name) for name in ("torch", "onnx", *QUANTIZED)}


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


@pytest.fixture
def store(tmp_path: Path):
    with PredictionStore(tmp_path / "cache") as opened:
        yield opened


# --- another model ------------------------------------------------------------------------------


def test_a_quantized_model_is_another_model_and_its_answers_are_kept_apart(loaded) -> None:
    assert loaded["onnx"].digest == loaded["torch"].digest
    assert len({model.digest for model in loaded.values()}) == 3
    assert len({model.answer_key for model in loaded.values()}) == 4


@pytest.mark.parametrize("backend", QUANTIZED)
def test_the_answers_are_near_those_of_the_weights_and_not_the_same(loaded, backend) -> None:
    before, after = (loaded[name].predict(HUNDRED).probabilities for name in ("torch", backend))
    moved = np.abs(before - after).max(axis=1)
    assert 1e-4 < moved.max() < 0.5
    assert moved.mean() < 0.1


def test_int8_on_torch_is_what_one_line_of_torch_makes(tiny_model, loaded) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    plain = AutoModelForSequenceClassification.from_pretrained(tiny_model).eval()
    quantization = torch.ao.quantization
    with pytest.warns(DeprecationWarning, match="torchao"):
        plain = quantization.quantize_dynamic(
            plain, {torch.nn.Linear: quantization.per_channel_dynamic_qconfig}
        )
    with torch.inference_mode():
        logits = [plain(**tokenizer(text, return_tensors="pt")).logits for text in HUNDRED[:20]]
    np.testing.assert_allclose(
        loaded["int8"].predict(HUNDRED[:20]).probabilities,
        torch.cat(logits).double().softmax(dim=1).numpy(),
        atol=1e-6,
    )


@pytest.mark.parametrize("backend", QUANTIZED)
def test_an_answer_depends_on_its_text_alone(loaded, backend) -> None:
    asked = ["film", *texts(20), "good " * 40]
    alone = np.concatenate([loaded[backend].predict([text]).probabilities for text in asked])
    np.testing.assert_array_equal(loaded[backend].predict(asked).probabilities, alone)


@pytest.mark.parametrize("backend", QUANTIZED)
def test_the_report_says_what_it_is_and_how_far_the_answers_move(loaded, backend) -> None:
    said = loaded[backend].assumptions
    before, after = (loaded[name].predict(HUNDRED) for name in ("torch", backend))
    labels = int((before.labels != after.labels).sum())
    assert "This is another model than the saved one." in said["backend"]
    assert f"Of 100 of the data's texts, {labels} get another label" in said["backend"]
    largest = np.abs(before.probabilities - after.probabilities).max()
    assert f"by up to {largest:.2g}" in said["backend"]
    assert "one at a time" in said["backend"]
    assert said["precision"] == "int8 linear layers, the rest float32."
    assert loaded["torch"].assumptions["precision"].startswith("float32")


def test_without_texts_it_is_compared_on_random_words(tiny_model) -> None:
    assert "texts of random words" in load(tiny_model, "int8", asked=[]).assumptions["backend"]


def test_how_far_answers_move_is_counted() -> None:
    before = np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    after = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    moved = Moved.between(before, after)
    assert (moved.texts, moved.labels) == (3, 1)
    expected = 1 / (1 + np.exp(-1)) - 1 / (1 + np.exp(1))
    assert moved.largest == pytest.approx(expected)
    assert moved.mean == pytest.approx(expected / 3)


@pytest.mark.parametrize("backend", QUANTIZED)
def test_what_does_not_hold_of_it_is_not_offered(loaded, backend) -> None:
    model = loaded[backend]
    assert not model.capabilities & {Capability.EMBEDDINGS, Capability.WHITE_BOX}
    assert Capability.EMBEDDINGS in loaded["torch"].capabilities
    assert model.embedding_width == 0
    for ask in (lambda: model.embed(["film"]), model.head, model.white_box):
        with pytest.raises(ModelError, match="neither embeddings nor gradients"):
            ask()


@pytest.mark.parametrize("backend", QUANTIZED)
def test_odd_texts_are_answered(loaded, backend) -> None:
    odd = ["", "   ", "🎬🎬", "فيلم جيد", "good " * 500, "film \ud800"]
    answers = loaded[backend].predict(odd).probabilities
    assert np.isfinite(answers).all()
    np.testing.assert_allclose(answers.sum(axis=1), 1.0)


def test_a_known_model_and_its_note_are_recalled_without_loading(
    tiny_model,
    store,
    monkeypatch,
) -> None:
    first = load(tiny_model, "int8", store)
    monkeypatch.setattr("auditkit.models.transformers_text.load_parts", None)
    again = load(tiny_model, "int8", store)
    assert again.assumptions == first.assumptions
    assert again.capabilities == first.capabilities


# --- what cannot be quantized -------------------------------------------------------------------


def test_a_model_without_linear_layers_is_refused_by_torch_and_not_by_onnx(
    tiny_model, tmp_path
) -> None:
    from transformers import AutoTokenizer

    words, folder = AutoTokenizer.from_pretrained(tiny_model), tmp_path / "m"
    words.model_input_names = ["input_ids", "attention_mask"]
    words.save_pretrained(folder)
    architecture("GPT2").save_pretrained(folder)
    with pytest.raises(ModelError, match="torch quantizes linear layers") as error:
        load(folder, "int8")
    assert "onnx-int8" in error.value.hint
    assert np.isfinite(load(folder, "onnx-int8").predict(["good film"]).probabilities).all()


def test_only_float32_is_quantized(save_model, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is bfloat16: in another precision it would be another"):
        load(save_model(tmp_path / "m", dtype="bfloat16"), "int8")


@pytest.mark.parametrize("backend", QUANTIZED)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "m", "device": "cuda"}, "is for the CPU, not for device"),
        ({"path": "m", "device": "mps"}, "is for the CPU, not for device"),
        ({"callable": "m:f"}, "is for a transformers model"),
    ],
)
def test_a_backend_that_does_not_fit_is_refused(backend, settings, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config({"model": {"backend": backend, **settings}, "data": {"path": "d.csv"}})


def test_a_missing_package_is_named_with_its_extra(tiny_model, monkeypatch) -> None:
    monkeypatch.setattr(onnx_backend, "installed_version", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"auditkit\[onnx\]"):
        load(tiny_model, "onnx-int8")
    assert load(tiny_model, "int8").class_names == ("negative", "positive")


def test_an_exporter_that_leaves_training_mode_behind_is_noticed(tiny_model, monkeypatch) -> None:
    export = torch.onnx.export

    def careless(model: Any, *rest: Any, **settings: Any) -> None:
        export(model, *rest, **settings)
        model.train()

    monkeypatch.setattr(torch.onnx, "export", careless)
    with pytest.raises(ModelError, match="training mode"):
        load(tiny_model, "onnx-int8")


def test_quantizing_leaves_the_log_as_it_was(tiny_model, caplog) -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, root.manager.disable)
    load(tiny_model, "onnx-int8")
    assert (list(root.handlers), root.level, root.manager.disable) == before
    assert not [record for record in caplog.records if record.name == "root"]


# --- a folder that says how it is run -----------------------------------------------------------


def test_a_folder_is_audited_as_it_says_it_is_run(folder, loaded) -> None:
    (folder / FILE_NAME).write_text(RunAs("int8", installed_versions()).to_json())
    model = load(folder)
    assert model.digest == loaded["int8"].digest
    np.testing.assert_array_equal(
        model.predict(HUNDRED).probabilities, loaded["int8"].predict(HUNDRED).probabilities
    )


def test_it_is_timed_as_it_is_run_and_so_is_a_new_process(folder, monkeypatch) -> None:
    (folder / FILE_NAME).write_text(RunAs("int8", {}).to_json())
    config = AuditConfig.model_validate(
        {"model": {"path": str(folder)}, "data": {"path": "d.csv", "text": "text"}}
    )
    said = hardware(config, load(folder)).said
    assert (said["backend"], said["device"]) == ("int8", "cpu")
    assert said["precision"].startswith("int8")
    seen: list[dict[str, Any]] = []

    def run(command: list[str], **_: Any) -> None:
        seen.append(json.loads(Path(command[3]).read_text(encoding="utf-8"))["model"])
        raise ValueError("seen")

    monkeypatch.setattr(fresh_start.subprocess, "run", run)
    with pytest.raises(ValueError, match="seen"):
        fresh_start.start_fresh(config.model, ["film"], 1, online=False)
    assert as_run(ModelConfig(**seen[0]), online=False).backend == "int8"


def test_a_backend_that_is_configured_is_obeyed_and_the_report_says_so(folder, loaded) -> None:
    (folder / FILE_NAME).write_text(RunAs("int8", {}).to_json())
    model = load(folder, "torch")
    assert model.digest == loaded["torch"].digest
    assert "is run as int8, which is not what was audited" in model.assumptions["backend"]
    assert "backend" not in loaded["torch"].assumptions


def test_the_file_changes_the_whole_digest_and_not_that_of_the_weights(folder) -> None:
    before = inspect_folder(folder)
    (folder / FILE_NAME).write_text(RunAs("onnx", {}).to_json())
    after = inspect_folder(folder)
    assert after.digest == before.digest
    assert after.whole_digest != before.whole_digest
    (folder / "model.onnx").write_bytes(b"x")
    assert inspect_folder(folder).whole_digest != after.whole_digest


def test_a_folder_for_the_cpu_is_refused_on_a_gpu(folder) -> None:
    (folder / FILE_NAME).write_text(RunAs("int8", {}).to_json())
    with pytest.raises(ConfigError, match="which is for the CPU") as error:
        load(folder, device="cuda")
    assert 'model.backend = "torch"' in error.value.hint


SAID = {"version": 1, "rule": "r", "backend": "int8", "made_with": {}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SAID | {"backend": "torch"}, "backend is 'torch', not one of onnx, int8"),
        (SAID | {"backend": "os.system"}, "not one of"),
        (SAID | {"backend": ["int8"]}, "not one of"),
        (SAID | {"backend": None}, "not one of"),
        (SAID | {"module": "evil"}, "'module' is no key of it"),
        (SAID | {"file": "../../x.onnx"}, "'file' is no key of it"),
        (SAID | {"version": 2}, "no version 1"),
        (SAID | {"version": True}, "no version 1"),
        (SAID | {"version": 1.0}, "no version 1"),
        (SAID | {"rule": 3}, "rule is no text"),
        (SAID | {"made_with": []}, "names no versions"),
        (SAID | {"made_with": {"torch": "2.1\n::error::x"}}, "made_with says"),
        (SAID | {"made_with": {"torch": 2}}, "made_with says"),
        (SAID | {"made_with": {"evil": "1.0"}}, "of 'evil'"),
        ({"version": 1, "rule": "r", "made_with": {}}, "backend is missing"),
        ([], "no JSON object"),
        (None, "no JSON object"),
        ("int8", "no JSON object"),
    ],
)  # fmt: skip
def test_a_file_that_says_what_is_not_known_is_refused(folder, content, message) -> None:
    (folder / FILE_NAME).write_text(json.dumps(content))
    with pytest.raises(ModelError, match="does not say how the model is run") as error:
        load(folder)
    assert message in error.value.message
    assert "\n" not in error.value.message
    assert "Remove the file" in error.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "\ufffe", "[" * 5000, " " * 20_000 + "{}",
        '{"version": 1, "rule": "r", "backend": "int8", "backend": "onnx", "made_with": {}}',
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused(folder, text) -> None:
    (folder / FILE_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError):
        load(folder)


def test_a_folder_in_the_place_of_the_file_is_refused(folder) -> None:
    (folder / FILE_NAME).mkdir()
    with pytest.raises(ModelError, match="does not say how the model is run"):
        load(folder)


def test_code_named_in_the_file_is_refused_as_in_any_config(folder) -> None:
    (folder / FILE_NAME).write_text(json.dumps(SAID | {"auto_map": {"AutoModel": "x--y.Z"}}))
    with pytest.raises(ModelError):
        load(folder)


def test_settings_that_name_no_folder_stay_as_they_are() -> None:
    config = ModelConfig(callable="m:f")
    assert as_run(config, online=False) is config


# --- the graph in the folder --------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_graph(tiny_model: Path, tmp_path_factory) -> dict[str, Path]:
    """Folders with a graph by backend. Do not change them."""
    place, config = tmp_path_factory.mktemp("graphs"), ModelConfig(path=str(tiny_model))
    return {name: run_by(config, name, place / name) for name in ("onnx", "onnx-int8")}


@pytest.mark.parametrize(
    ("backend", "file"), [("onnx", "model.onnx"), ("onnx-int8", "model_quantized.onnx")]
)
def test_the_graph_in_the_folder_is_the_audited_one_or_nothing_is_audited(
    with_graph, tmp_path, backend, file
) -> None:
    folder = Path(shutil.copytree(with_graph[backend], tmp_path / "m"))
    said = load(folder).assumptions["backend"]
    assert said.endswith(f"{file} in the folder is the same, byte for byte.")
    graph = bytearray((folder / file).read_bytes())
    graph[len(graph) // 2] ^= 1
    (folder / file).write_bytes(bytes(graph))
    with pytest.raises(ModelError, match="is not what the folder's weights come to") as error:
        load(folder)
    assert "the file was changed" in error.value.hint
    (folder / file).unlink()
    assert "byte for byte" not in load(folder).assumptions["backend"]


def test_a_graph_changed_between_two_audits_is_noticed_though_the_first_is_kept(
    with_graph,
    tmp_path,
    store,
) -> None:
    folder = Path(shutil.copytree(with_graph["onnx"], tmp_path / "m"))
    load(folder, kept=store)
    (folder / "model.onnx").write_bytes(b"another")
    with pytest.raises(ModelError, match="is not what the folder's weights come to"):
        load(folder, kept=store)


def test_a_graph_is_never_opened(with_graph, tmp_path, monkeypatch) -> None:
    folder = Path(shutil.copytree(with_graph["onnx-int8"], tmp_path / "m"))
    opened: list[bytes] = []
    forward = int8_backend.OnnxForward

    def spy(graph: Any, *rest: Any) -> Any:
        opened.append(graph.proto)
        return forward(graph, *rest)

    monkeypatch.setattr(int8_backend, "OnnxForward", spy)
    (folder / "model_quantized.onnx").write_bytes(b"hostile")
    with pytest.raises(ModelError, match="is not what"):
        load(folder)
    assert opened == []


def test_a_graph_of_a_folder_that_does_not_say_it_is_run_by_it_is_ignored(folder) -> None:
    (folder / "model_quantized.onnx").write_bytes(b"from elsewhere")
    assert "byte for byte" not in load(folder, "onnx-int8").assumptions["backend"]
