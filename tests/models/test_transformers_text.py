"""A transformers folder is hostile until proven otherwise, and answered exactly once it is."""

from __future__ import annotations

import json
import os
import pickle  # noqa: TID251 - the canary is made here, never opened
import random
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from auditkit.config import ModelConfig
from auditkit.errors import AuditkitError, ConfigError, ModelError, UnsafeModelError
from auditkit.model import Capability, TokenModel
from auditkit.models.transformers_text import TransformersText, load_transformers

pytest.importorskip("transformers")

WORDS = ["a", "the", "film", "is", "good", "bad", "dull", "warm", "not", "very", "story", "plot"]


def load(folder: Path, **settings: object) -> TransformersText:
    return load_transformers(ModelConfig(path=str(folder), **settings), online=False)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> TransformersText:
    return load(tiny_model)


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model to spoil."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def edit(file: Path, **keys: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | keys))


def texts(n: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 30))) for _ in range(n)]


class TouchesFile:
    """Unpickling it creates a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (str(self.file), os.O_CREAT)


# --- what is promised -------------------------------------------------------------------------


def test_it_is_a_token_model_that_says_what_it_assumed(model: TransformersText) -> None:
    assert isinstance(model, TokenModel)
    assert model.name == "tiny"
    assert model.class_names == ("negative", "positive")
    assert model.capabilities == {
        Capability.PROBABILITIES, Capability.NEW_INPUTS, Capability.TOKENS, Capability.EMBEDDINGS,
        Capability.WHITE_BOX,
    }  # fmt: skip
    assert model.assumptions["max length"].startswith("Texts are cut after 48 tokens")
    assert model.assumptions["precision"] == "float32, as saved."
    assert {"tokenizer", "device", "attention", "classes"} <= model.assumptions.keys()


def test_answers_equal_the_pipeline(model: TransformersText, tiny_model: Path) -> None:
    from transformers import pipeline

    asked = texts(60)
    theirs = pipeline("text-classification", str(tiny_model), top_k=None)(asked, truncation=True)
    ours = model.predict(asked)
    for row, scores in enumerate(theirs):
        by_name = {score["label"]: score["score"] for score in scores}
        expected = [by_name[name] for name in model.class_names]
        np.testing.assert_allclose(ours.probabilities[row], expected, atol=1e-5)
        assert model.class_names[ours.labels[row]] == scores[0]["label"]


def test_an_answer_does_not_depend_on_its_batch(model: TransformersText) -> None:
    asked = texts(20)
    together = model.predict(asked).probabilities
    alone = np.concatenate([model.predict([text]).probabilities for text in asked])
    # Another number of threads or rows sums in another order: a few units in the last place.
    np.testing.assert_allclose(together, alone, atol=5e-6)


def test_long_texts_are_cut_and_counted(model: TransformersText) -> None:
    long = " ".join(["film"] * 200)
    assert [len(ids) for ids in model.tokenize([long, "film"])] == [48, 3]
    assert model.truncated([long, "film", " ".join(["a"] * 46), " ".join(["a"] * 47)]) == 2


def test_a_shorter_max_length_is_used_and_a_longer_than_possible_refused(tiny_model: Path) -> None:
    assert len(load(tiny_model, max_length=8).tokenize(["film " * 20])[0]) == 8
    with pytest.raises(ConfigError, match="max_length = 65, but the model has only 64 positions"):
        load(tiny_model, max_length=65)


def test_the_digest_follows_content_not_place(folder: Path, tiny_model: Path) -> None:
    digest = load(tiny_model).digest
    assert load(folder).digest == digest
    edit(folder / "tokenizer_config.json", note="changed")
    assert load(folder).digest != digest


def test_a_linked_folder_as_in_a_hub_cache_has_the_same_digest(
    tiny_model: Path, tmp_path: Path
) -> None:
    for file in tiny_model.iterdir():
        (tmp_path / file.name).symlink_to(file)
    assert load(tmp_path).digest == load(tiny_model).digest


def test_the_precision_of_the_checkpoint_is_kept_whatever_the_config_says(folder: Path) -> None:
    edit(folder / "config.json", dtype="float16", torch_dtype="float16")
    model = load(folder)
    assert model.assumptions["precision"] == "float32, as saved."
    assert model.predict(["film"]).probabilities is not None


def test_a_bfloat16_checkpoint_stays_bfloat16(save_model, tmp_path: Path) -> None:
    assert load(save_model(tmp_path / "m", dtype="bfloat16")).assumptions["precision"] == (
        "bfloat16, as saved."
    )


def test_a_lone_surrogate_is_asked_as_a_replacement_character(model: TransformersText) -> None:
    assert model.tokenize(["film \ud800"]) == model.tokenize(["film ?"])


def test_an_input_that_is_no_text_is_named(model: TransformersText) -> None:
    with pytest.raises(ModelError, match="input 1 is not a text but int"):
        model.predict(["film", 3])


def test_a_causal_model_without_padding_token_is_asked_one_text_at_a_time(
    tiny_model: Path, tmp_path: Path
) -> None:
    model = gpt2(tiny_model, tmp_path, pad_token=None)
    asked = texts(8)
    assert "one text at a time" in model.assumptions["padding"]
    alone = np.concatenate([model.predict([text]).probabilities for text in asked])
    np.testing.assert_allclose(model.predict(asked).probabilities, alone, atol=1e-6)


def test_a_causal_model_that_pads_left_still_answers_as_if_alone(
    tiny_model: Path, tmp_path: Path
) -> None:
    model = gpt2(tiny_model, tmp_path, padding_side="left")
    asked = texts(8)
    alone = np.concatenate([model.predict([text]).probabilities for text in asked])
    np.testing.assert_allclose(model.predict(asked).probabilities, alone, atol=1e-6)


def gpt2(tiny_model: Path, tmp_path: Path, **tokenizer: object) -> TransformersText:
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2ForSequenceClassification

    words = AutoTokenizer.from_pretrained(tiny_model)
    for key, value in tokenizer.items():
        setattr(words, key, value)
    words.save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=60, n_embd=16, n_layer=1, n_head=2, n_positions=64, initializer_range=0.5,
        bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    GPT2ForSequenceClassification(config).save_pretrained(tmp_path)
    return load(tmp_path)


# --- what is refused ----------------------------------------------------------------------------


def test_training_mode_is_noticed(tiny_model: Path) -> None:
    model = load(tiny_model)
    model._loaded.forward.model.bert.encoder.train()
    with pytest.raises(ModelError, match="training mode"):
        model.predict(["film"])


@pytest.mark.parametrize(
    ("file", "keys", "named"),
    [
        ("config.json", {"auto_map": {"AutoModel": "evil.Model"}}, "auto_map"),
        ("config.json", {"_attn_implementation_internal": "evil/repo"}, "_attn_implementation_int"),
        ("config.json", {"vision": [{"text": {"trust_remote_code": True}}]}, "trust_remote_code"),
        ("config.json", {"attn_implementation": "evil/kernel"}, "evil/kernel"),
        ("config.json", {"_attn_implementation": {"text": "evil/kernel:f"}}, "evil/kernel"),
        ("config.json", {"custom_pipelines": {"x": {"impl": "evil.P"}}}, "custom_pipelines"),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["e.T", None]}}, "auto_map"),
        ("processor_config.json", {"auto_map": {"AutoProcessor": "e.P"}}, "auto_map"),
        ("generation_config.json", {"custom_generate": "evil/repo"}, "custom_generate"),
    ],
)
def test_a_config_that_asks_for_code_is_refused_by_file_and_key(
    folder: Path, file: str, keys: dict[str, object], named: str
) -> None:
    path = folder / file
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | keys))
    with pytest.raises(UnsafeModelError) as error:
        load(folder)
    assert file in str(error.value)
    assert named in str(error.value)


def test_a_key_overridden_by_its_own_duplicate_is_still_seen(folder: Path) -> None:
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text('{"auto_map": {"A": "e.M"}, "auto_map": null,' + text[1:])
    with pytest.raises(UnsafeModelError, match="auto_map"):
        load(folder)


def test_words_of_the_vocabulary_are_no_config_keys(folder: Path) -> None:
    (folder / "vocab.json").write_text('{"trust_remote_code": 7, "auto_map": 8}')
    assert load(folder).class_names == ("negative", "positive")


def test_a_pickle_named_safetensors_is_never_opened(folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (folder / "model.safetensors").write_bytes(pickle.dumps(TouchesFile(canary)))
    with pytest.raises(UnsafeModelError, match="a pickle under the name of a safetensors file"):
        load(folder)
    assert not canary.exists()


def test_a_zipped_checkpoint_named_safetensors_is_never_opened(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"PK\x03\x04" + b"\0" * 60)
    with pytest.raises(UnsafeModelError, match="pickle"):
        load(folder)


def test_a_folder_with_only_pickled_weights_is_refused_with_the_way_out(
    folder: Path, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    (folder / "model.safetensors").unlink()
    (folder / "training_args.bin").write_bytes(b"x")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(TouchesFile(canary)))
    with pytest.raises(UnsafeModelError, match=r"only in pytorch_model\.bin.*\n.*save_pretrained"):
        load(folder)
    assert not canary.exists()


def test_pickles_beside_safetensors_are_left_alone(folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt"):
        (folder / name).write_bytes(pickle.dumps(TouchesFile(canary)))
    (folder / "modeling_evil.py").write_text(f"open({str(canary)!r}, 'w')")
    assert len(load(folder).predict(["film"])) == 1
    assert not canary.exists()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda header, body: (header, body[:-8]), "not fully covered"),
        (lambda header, body: (header, body + b"\0" * 64), "not fully covered"),
        (lambda header, body: (header.replace(b'"F32"', b'"F64"', 1), body), "invalid shape"),
        (lambda header, body: (header.replace(b'"F32"', b'"P99"', 1), body), "P99"),
        (lambda header, body: (b"{" * len(header), body), "invalid JSON"),
    ],
)
def test_a_damaged_safetensors_file_is_named_with_the_reason(folder, spoil, reason) -> None:
    file = folder / "model.safetensors"
    content = file.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header, body = spoil(content[8 : 8 + length], content[8 + length :])
    file.write_bytes(struct.pack("<Q", len(header)) + header + body)
    with pytest.raises(ModelError, match=rf"model\.safetensors: not a valid .*{reason}"):
        load(folder)


def test_overlapping_tensors_are_named(folder: Path) -> None:
    entry = {"dtype": "F32", "shape": [2]}
    header = json.dumps(
        {"a": entry | {"data_offsets": [0, 8]}, "b": entry | {"data_offsets": [4, 12]}}
    ).encode()
    file = folder / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 12)
    with pytest.raises(ModelError, match="invalid offset for tensor `b`"):
        load(folder)


@pytest.mark.parametrize("length", [2**63, 10**9, 0])
def test_an_impossible_header_length_is_refused(folder: Path, length: int) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", length) + b"{}" + b"\0" * 16)
    with pytest.raises(ModelError, match="not a valid safetensors file"):
        load(folder)


def test_nan_weights_are_counted_by_name(folder: Path) -> None:
    change_weights(folder, lambda w: w["classifier.weight"].view(-1)[:3].fill_(float("nan")))
    with pytest.raises(ModelError, match=r"3 of 64 values of the weight 'classifier\.weight'"):
        load(folder)


def test_a_folder_without_trained_head_is_refused(folder: Path) -> None:
    change_weights(folder, lambda w: (w.pop("classifier.weight"), w.pop("classifier.bias")))
    with pytest.raises(ModelError, match=r"no trained classification head.*classifier\.bias"):
        load(folder)


def test_missing_inner_weights_are_refused(folder: Path) -> None:
    change_weights(folder, lambda w: w.pop("bert.encoder.layer.0.attention.self.query.weight"))
    with pytest.raises(ModelError, match=r"1 weights are missing: bert\.encoder"):
        load(folder)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    edit(folder / "config.json", intermediate_size=40)
    with pytest.raises(ModelError, match="transformers cannot load it"):
        load(folder)


def change_weights(folder: Path, change) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    weights = load_file(file)
    change(weights)
    file.unlink()
    save_file(weights, file, {"format": "pt"})


def test_an_index_that_points_outside_the_folder_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "model.safetensors")
    index = {"metadata": {}, "weight_map": {"a": "../model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UnsafeModelError, match=r"'\.\./model\.safetensors' is not the name"):
        load(folder)


def test_a_tokenizer_larger_than_the_model_is_refused(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"new{i}" for i in range(40)])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"tokenizer has 75 tokens, but the model embeds only 35"):
        load(folder)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"id2label": {"0": "score"}, "num_labels": 1}, "transformers cannot load|regression"),
        ({"problem_type": "regression"}, "for regression"),
        ({"problem_type": "multi_label_classification"}, "for multi label classification"),
        ({"id2label": {"0": "same", "1": "same"}}, "two classes 'same'"),
        ({"model_type": "no-such-model"}, "transformers cannot load it"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised"),
    ],
)
def test_a_model_for_another_task_is_refused(folder: Path, keys, message: str) -> None:
    edit(folder / "config.json", **keys)
    with pytest.raises(ModelError, match=message):
        load(folder)


def test_a_regression_model_is_refused(save_model, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="one output"):
        load(save_model(tmp_path / "m", labels=1))


def test_an_adapter_is_refused_with_the_way_out(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "evil/base"}')
    with pytest.raises(ModelError, match="merge_and_unload"):
        load(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\x00"])
def test_a_broken_config_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json"):
        load(folder)


@pytest.mark.parametrize(
    ("path", "online", "revision", "message"),
    [
        ("no/such-model", False, None, "no such folder.\nIf it is a hub id, set online = true"),
        ("no/such-model", True, "main", "'main' is not a commit hash of 40 hex digits"),
        ("no/such-model", True, None, "not a commit hash"),
        ("/no/such/folder", False, None, "/no/such/folder: no such folder"),
        ("../../no/such", True, "a" * 40, "no such folder"),
    ],
)
def test_a_hub_id_needs_permission_and_a_pin(path, online, revision, message) -> None:
    with pytest.raises(ConfigError) as error:
        load_transformers(ModelConfig(path=path, revision=revision), online=online)
    assert message in str(error.value)


def test_a_pinned_hub_model_is_loaded_from_its_snapshot(tiny_model, monkeypatch) -> None:
    import huggingface_hub

    asked = {}

    def snapshot(hub_id: str, *, revision: str, allow_patterns: list[str]) -> str:
        asked.update(hub_id=hub_id, revision=revision, patterns=allow_patterns)
        return str(tiny_model)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    config = ModelConfig(path="org/model", revision="0123456789" * 4)
    model = load_transformers(config, online=True)
    assert model.name == "org/model@0123456"
    assert asked["revision"] == "0123456789" * 4
    assert not [p for p in asked["patterns"] if p.endswith((".bin", ".py", ".pt"))]


def test_a_weight_file_instead_of_its_folder_is_explained(tiny_model: Path) -> None:
    with pytest.raises(ConfigError, match="is a file; name the folder"):
        load(tiny_model / "model.safetensors")


def test_a_device_that_is_not_there_is_refused(tiny_model: Path) -> None:
    import torch

    if torch.backends.mps.is_available():
        pytest.skip("it is there")
    with pytest.raises(AuditkitError, match="no such device"):
        load(tiny_model, device="mps")
