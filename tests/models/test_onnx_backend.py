"""ONNX Runtime answers as torch does, up to rounding, or nothing is audited."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit.config import ModelConfig, parse_config
from auditkit.errors import AuditkitError, ConfigError, MissingExtraError, ModelError
from auditkit.models import answer_key, onnx_backend, onnx_graph
from auditkit.models.forward import TorchForward
from auditkit.models.onnx_agreement import SAMPLE_TEXTS, SAMPLE_TOKENS, pick, thin
from auditkit.models.transformers_text import TransformersText, load_transformers
from auditkit.prediction_store import PredictionStore
from auditkit.predictor import SharedPredictor
from auditkit.preflight import prepare

pytest.importorskip("transformers")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

WORDS = ["a", "the", "film", "is", "good", "bad", "dull", "warm", "not", "very", "story", "plot"]


def texts(n: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 40))) for _ in range(n)]


def load(folder: Path, store: PredictionStore | None = None, **settings: Any) -> TransformersText:
    asked = settings.pop("texts", texts(50, seed=9))
    config = ModelConfig(path=str(folder), **{"backend": "onnx", **settings})
    return load_transformers(config, online=False, store=store, texts=asked)


def architecture(name: str) -> Any:
    """A random classifier of an architecture, with weights large enough to tell texts apart."""
    import transformers

    sizes = {
        "vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 24, "max_position_embeddings": 66, "initializer_range": 0.4,
        "pad_token_id": 0,
    }  # fmt: skip
    own = {
        "DistilBert": {
            "vocab_size": 60, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24,
            "max_position_embeddings": 64, "initializer_range": 0.4,
        },
        "GPT2": {
            "vocab_size": 60, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64,
            "initializer_range": 0.4, "bos_token_id": 2, "eos_token_id": 3,
        },
        "Funnel": {
            "vocab_size": 60, "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 24,
            "block_sizes": [1, 1],
        },
    }.get(name, sizes)  # fmt: skip
    library: Any = transformers
    config = getattr(library, f"{name}Config")(**own)
    return getattr(library, f"{name}ForSequenceClassification")(config)


@pytest.fixture
def saved(tiny_model: Path, tmp_path: Path) -> Callable[..., Path]:
    """A function that saves a random classifier with the tiny model's tokenizer."""

    def save(name: str, **tokenizer: Any) -> Path:
        import torch
        from transformers import AutoTokenizer

        words = AutoTokenizer.from_pretrained(tiny_model)
        if name != "Bert":
            words.model_input_names = ["input_ids", "attention_mask"]
        for key, value in tokenizer.items():
            setattr(words, key, value)
        folder = tmp_path / name
        words.save_pretrained(folder)
        torch.manual_seed(0)
        architecture(name).save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def store(tmp_path: Path):
    with PredictionStore(tmp_path / "cache") as opened:
        yield opened


# --- the same answers ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Bert", "Roberta", "DistilBert", "GPT2"])
def test_answers_are_those_of_torch(saved, name: str) -> None:
    folder = saved(name)
    asked = texts(60)
    ours, theirs = load(folder).predict(asked), load(folder, backend="torch").predict(asked)
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=1e-5)
    assert np.ptp(ours.probabilities) > 0.05


def test_a_model_without_padding_token_is_asked_one_text_at_a_time(saved) -> None:
    folder = saved("GPT2", pad_token=None)
    asked = texts(12)
    ours, theirs = load(folder).predict(asked), load(folder, backend="torch").predict(asked)
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=1e-5)


def test_an_answer_does_not_depend_on_padding_or_batch(tiny_model: Path) -> None:
    model = load(tiny_model)
    asked = texts(20)
    alone = np.concatenate([model.predict([text]).probabilities for text in asked])
    np.testing.assert_allclose(model.predict(asked).probabilities, alone, atol=1e-6)


def test_the_number_of_workers_changes_neither_bits_nor_key(tiny_model: Path) -> None:
    one, three = (load(tiny_model, workers=n) for n in (1, 3))
    assert one.answer_key == three.answer_key
    assert three.workers == 3
    asked = texts(200)
    first, second = (
        SharedPredictor(model, batch_tokens=96).predict(asked).probabilities
        for model in (one, three)
    )
    np.testing.assert_array_equal(first, second)


def test_the_report_says_how_far_both_lie_apart_and_on_what(tiny_model: Path) -> None:
    import onnxruntime

    said = load(tiny_model).assumptions["backend"]
    assert said.startswith(f"ONNX Runtime {onnxruntime.__version__}, float32. On 43 texts its")
    assert "differ from torch's by at most" in said
    assert said.endswith("32 of the texts are from the data, the others are random words.")
    without = load(tiny_model, texts=()).assumptions["backend"]
    assert "On 11 texts" in without
    assert without.endswith("The texts are random words.")
    assert "backend" not in load(tiny_model, backend="torch").assumptions


def test_an_audit_compares_on_its_own_texts(tiny_model: Path, tmp_path: Path) -> None:
    rows = [f"{text},{('negative', 'positive')[i % 2]}" for i, text in enumerate(texts(7))]
    (tmp_path / "d.csv").write_text("\n".join(["text,label", *rows]))
    data = {"path": str(tmp_path / "d.csv"), "text": "text", "label": "label"}
    model = {"path": str(tiny_model), "backend": "onnx"}
    found = prepare(parse_config({"model": model, "data": data}))
    assert "7 of the texts are from the data" in found.assumptions["backend"]


def test_the_compared_texts_span_all_lengths_within_their_bounds() -> None:
    all_texts = ["x" * n for n in range(1, 500)] * 2
    picked = pick(all_texts)
    assert len(picked) == SAMPLE_TEXTS
    assert {len(picked[0]), len(picked[-1])} == {1, 499}
    assert pick(random.Random(0).sample(all_texts, len(all_texts))) == picked
    assert pick([]) == []
    tokens = thin([[7] * n for n in (400, 3, 0, 500, 300, 450, 100, 512, 505)])
    assert sum(map(len, tokens)) <= SAMPLE_TOKENS
    assert [len(ids) for ids in (tokens[0], tokens[-1])] == [3, 512]
    assert thin([[7] * 5000, [7] * 4000]) == [[7] * 4000, [7] * 5000]


# --- another model is refused -------------------------------------------------------------------


def exported(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    """Have `change(model)` exported in place of the model."""
    import copy

    export = onnx_backend.export_graph

    def planted(forward: TorchForward, *rest: Any) -> Any:
        return export(TorchForward(change(copy.deepcopy(forward.model)), "planted"), *rest)

    monkeypatch.setattr(onnx_backend, "export_graph", planted)


def test_weights_that_are_off_by_a_thousandth_are_refused(tiny_model: Path, monkeypatch) -> None:
    def nudged(model: Any) -> Any:
        model.bert.encoder.layer[0].attention.self.query.weight.data *= 1.001
        return model

    exported(monkeypatch, nudged)
    with pytest.raises(ModelError, match=r"another model\. On 43 texts .* rounding explains no mo"):
        load(tiny_model)


def test_an_export_that_ignores_padding_is_refused(tiny_model: Path, monkeypatch) -> None:
    def blind(model: Any) -> Any:
        forward = model.forward
        model.forward = lambda attention_mask, **rest: forward(
            attention_mask=attention_mask * 0 + 1, **rest
        )
        return model

    exported(monkeypatch, blind)
    with pytest.raises(ModelError, match="it is another model"):
        load(tiny_model)


def test_a_graph_that_holds_for_the_traced_shape_only_is_refused(saved) -> None:
    with pytest.raises(ModelError, match=r"^Funnel: ONNX Runtime cannot comp") as error:
        load(saved("Funnel"))
    assert "\n" not in error.value.message
    assert "torch" in error.value.hint


def test_a_difference_beyond_torchs_own_rounding_is_refused(tiny_model: Path, monkeypatch) -> None:
    logits = onnx_graph.OnnxForward.logits
    monkeypatch.setattr(
        onnx_graph.OnnxForward, "logits", lambda self, arrays: logits(self, arrays) + 2e-4
    )
    with pytest.raises(ModelError, match=r"by up to 2\.\de-04"):
        load(tiny_model)


def test_nan_is_refused(tiny_model: Path, monkeypatch) -> None:
    logits = onnx_graph.OnnxForward.logits
    monkeypatch.setattr(
        onnx_graph.OnnxForward, "logits", lambda self, arrays: logits(self, arrays) * np.nan
    )
    with pytest.raises(ModelError, match="by up to nan"):
        load(tiny_model)


def test_a_model_in_training_mode_is_not_exported(tiny_model: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(tiny_model).train()
    with pytest.raises(ModelError, match="m is in training mode"):
        onnx_graph.export_graph(TorchForward(model, "m"), {}, [])


def test_an_exporter_that_leaves_training_mode_behind_is_noticed(
    tiny_model: Path, monkeypatch
) -> None:
    import torch

    export = torch.onnx.export

    def careless(model: Any, *rest: Any, **settings: Any) -> None:
        export(model, *rest, **settings)
        model.train()

    monkeypatch.setattr(torch.onnx, "export", careless)
    with pytest.raises(ModelError, match="training mode"):
        load(tiny_model)


def test_only_float32_is_computed_in_float32(save_model, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is bfloat16: in another precision it would be another"):
        load(save_model(tmp_path / "m", dtype="bfloat16"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "m", "device": "cuda"}, "is for the CPU, not for device"),
        ({"callable": "m:f"}, "is for a transformers model"),
        ({"label_column": "l"}, "is for a transformers model"),
        ({"path": "m", "backend": "tensorrt"}, "torch"),
    ],
)
def test_a_backend_that_does_not_fit_is_refused(settings, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config({"model": {"backend": "onnx", **settings}, "data": {"path": "d.csv"}})


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_with_its_extra(tiny_model, package, monkeypatch) -> None:
    monkeypatch.setattr(onnx_backend, "installed_version", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"auditkit\[onnx\]"):
        load(tiny_model)


# --- what is kept -------------------------------------------------------------------------------


def test_answers_of_two_backends_or_versions_never_mix(tiny_model: Path, monkeypatch) -> None:
    onnx, torch = load(tiny_model).answer_key, load(tiny_model, backend="torch").answer_key
    assert onnx != torch
    known = answer_key.installed_version
    monkeypatch.setattr(
        answer_key,
        "installed_version",
        lambda name: "99.0" if name == "onnxruntime" else known(name),
    )
    assert load(tiny_model).answer_key != onnx
    assert load(tiny_model, backend="torch").answer_key == torch


def test_a_known_model_answers_without_torch(tiny_model: Path, store, tmp_path: Path) -> None:
    asked = [*texts(5), "film \ud800", "", "unheard of [SEP] film", "good " * 100]
    expected = load(tiny_model, store).predict(asked).probabilities
    np.save(tmp_path / "expected.npy", expected)
    code = f"""
import sys
import numpy as np
from pathlib import Path
from auditkit.config import ModelConfig
from auditkit.models.transformers_text import load_transformers
from auditkit.prediction_store import PredictionStore
store = PredictionStore(Path({str(store.path.parent)!r}))
config = ModelConfig(path={str(tiny_model)!r}, backend="onnx")
model = load_transformers(config, online=False, store=store, texts={texts(50, seed=9)!r})
answers = model.predict({asked!r}).probabilities
np.testing.assert_array_equal(answers, np.load({str(tmp_path / "expected.npy")!r}))
assert model.truncated(["good " * 100, "good"]) == 1
print({{"torch", "transformers"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "set()", done.stderr


def comparisons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows with every comparison."""
    made: list[str] = []
    compare = onnx_backend.compare

    def spy(name: str, *rest: Any) -> Any:
        made.append(name)
        return compare(name, *rest)

    monkeypatch.setattr(onnx_backend, "compare", spy)
    return made


def test_a_known_model_is_compared_again_on_other_texts_only(
    tiny_model: Path, store, monkeypatch
) -> None:
    made = comparisons(monkeypatch)
    first = load(tiny_model, store)
    again = load(tiny_model, store)
    assert again.assumptions == first.assumptions
    again.predict(["film"])
    assert len(made) == 1
    load(tiny_model, store, texts=texts(3, seed=77))
    assert len(made) == 2


def test_a_graph_that_was_not_compared_is_never_asked(tiny_model: Path, store, monkeypatch) -> None:
    first = load(tiny_model, store)
    kept = store.of(first.answer_key)
    graph = onnx_graph.OnnxGraph.from_json(kept.recall("onnx graph"))
    name, tensor = next(iter(graph.weights.items()))
    other = replace(graph, weights={**graph.weights, name: f"{tensor}.other"})
    kept.record("onnx graph", other.as_json())
    made = comparisons(monkeypatch)
    warm = load(tiny_model, store)
    np.testing.assert_array_equal(
        warm.predict(["film"]).probabilities, first.predict(["film"]).probabilities
    )
    assert len(made) == 1


def test_the_kept_graph_holds_no_weights(tiny_model: Path, tmp_path: Path, store) -> None:
    import onnx

    graph = onnx_graph.OnnxGraph.from_json(
        store.of(load(tiny_model, store).answer_key).recall("onnx graph")
    )
    held = [
        initializer.name
        for initializer in onnx.load_model_from_string(graph.proto).graph.initializer
        if initializer.name not in graph.weights
        and np.prod(initializer.dims) * 4 >= onnx_graph.SMALLEST_LEFT_OUT
    ]
    assert graph.weights
    assert held == []


def test_a_model_changed_during_the_audit_is_noticed(tiny_model: Path, store, tmp_path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    load(folder, store)
    warm = load(folder, store)
    file = folder / "config.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(AuditkitError, match="was changed during the audit"):
        warm.predict(["film"])
