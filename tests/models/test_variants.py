"""Variants of a real, tiny model: each on a copy, and gone afterwards."""

from __future__ import annotations

import copy
import dataclasses
import gc
import os
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from auditkit.check import Confidence, Context
from auditkit.config import ModelConfig
from auditkit.errors import AuditkitError, ModelError, NotApplicable
from auditkit.finding import Outcome
from auditkit.latency.bench import Bench
from auditkit.model import LogitModel
from auditkit.models import variants
from auditkit.models.transformers_text import TransformersText, load_transformers
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import findings_in, tiny_data

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

TEXTS = (
    "the film was good", "a dull story but the music is warm", "bad", "not very funny and long",
    "great actor great plot great ending", "quiet", "the scene is sad and the plot is awful", "",
)  # fmt: skip
COPIES = ("fp32", "bf16", "fp16", "sdpa", "eager", "half-layers")


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> TransformersText:
    return load_transformers(ModelConfig(path=str(tiny_model), device="cpu"), online=False)


def inside(model: TransformersText) -> torch.nn.Module:
    return model._loaded.forward.model


def state(model: TransformersText) -> tuple:
    """Everything of the audited model that a variant might have changed."""
    own = inside(model)
    return (
        model.predict(TEXTS).probabilities.tobytes(),
        own.dtype,
        own.config._attn_implementation,
        own.config.num_hidden_layers,
        [(name, weight.dtype, id(weight)) for name, weight in own.named_parameters()],
        [len(part._forward_pre_hooks) for part in own.modules()],
        any(part.training for part in own.modules()),
        torch.get_num_threads(),
        torch.backends.cuda.matmul.allow_tf32,
        os.environ.get("TORCHINDUCTOR_CACHE_DIR"),
    )


@pytest.mark.parametrize("name", [*COPIES, "threads-1", "threads-3", "batch-4"])
def test_a_variant_answers_and_leaves_the_model_as_it_was(model, name):
    before = state(model)
    with model.variants()(name) as variant:
        assert isinstance(variant.model, LogitModel)
        with variant.within():
            answers = variant.model.predict(TEXTS)
        assert answers.probabilities.shape == (len(TEXTS), 2)
        assert variant.model.tokenize(TEXTS) == model.tokenize(TEXTS)
        assert variant.model.class_names == model.class_names
        assert state(model) == before
    assert state(model) == before


def test_variants_are_what_their_names_say(model):
    make = model.variants()
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
        with make(name) as variant:
            assert inside_of(variant).dtype == dtype
    for name in ("sdpa", "eager"):
        with make(name) as variant:
            assert inside_of(variant).config._attn_implementation == name
    with make("half-layers") as variant:
        kept = inside_of(variant).bert.encoder.layer
        assert len(kept) == 1
        own = inside(model).bert.encoder.layer[0].state_dict()
        assert all(torch.equal(own[key], value) for key, value in kept[0].state_dict().items())
        assert "1 of 2 layers, untrained" in variant.note
    with make("batch-4") as variant:
        assert (variant.model, variant.batch) == (model, 4)
    with make("threads-1") as variant:
        assert variant.model is model
        with variant.within():
            assert torch.get_num_threads() == 1


def inside_of(variant):
    return variant.model._parts.forward.model


def test_a_plain_copy_answers_the_same_and_others_nearly_so(model):
    expected = model.predict(TEXTS).probabilities
    apart = {}
    for name in COPIES:
        with model.variants()(name) as variant:
            answers = variant.model.predict(TEXTS).probabilities
            apart[name] = float(np.abs(answers - expected).max())
    assert apart["fp32"] == 0
    assert max(apart["sdpa"], apart["eager"]) < 1e-5
    assert 1e-5 < apart["bf16"] < 0.2
    assert 1e-6 < apart["fp16"] < 0.02
    assert apart["half-layers"] > 0.01


def test_a_copy_is_said_to_be_plain_where_it_is(model):
    same = inside(model).config._attn_implementation
    for name, plain in (("fp32", True), ("bf16", False), (same, True)):
        with model.variants()(name) as variant:
            assert ("plain copy" in variant.note) == plain, name


def test_a_copy_is_gone_afterwards(model):
    with model.variants()("bf16") as variant:
        copied = weakref.ref(inside_of(variant))
        assert copied() is not None
    del variant
    gc.collect()
    assert copied() is None


def test_a_compiled_copy_has_a_folder_of_its_own_for_what_is_run(model, monkeypatch):
    folders, reset = [], []

    def compiled(module, **settings):
        folders.append((os.environ["TORCHINDUCTOR_CACHE_DIR"], settings))
        return module

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(torch.compiler, "reset", lambda: reset.append(True))
    before = state(model)
    with model.variants()("compile") as variant:
        assert inside_of(variant) is not inside(model)
        answers = variant.model.predict(TEXTS)
        np.testing.assert_allclose(
            answers.probabilities, model.predict(TEXTS).probabilities, atol=1e-6
        )
        folder, settings = folders[0]
        assert settings == {"dynamic": True, "mode": None}
        assert Path(folder).stat().st_mode & 0o077 == 0
    assert not Path(folder).exists()
    assert reset
    assert state(model) == before


def test_what_needs_a_gpu_says_that_there_is_none(model):
    for name in ("tf32", "cuda-graphs"):
        with pytest.raises(NotApplicable) as error, model.variants()(name):
            pass
        assert error.value.reason == "no GPU."


def test_onnx_is_asked_on_one_core_and_answers_the_same(model):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    before = state(model)
    with model.variants()("onnx") as variant:
        answers = variant.model.predict(TEXTS)
        assert variant.note == "on one core"
    np.testing.assert_allclose(answers.probabilities, model.predict(TEXTS).probabilities, atol=1e-5)
    assert state(model) == before


def test_variants_of_a_model_that_onnx_runtime_computes_are_made_with_torch(tiny_model, model):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    config = ModelConfig(path=str(tiny_model), backend="onnx")
    audited = load_transformers(config, online=False)
    with audited.variants()("fp32") as variant:
        assert inside_of(variant).dtype == torch.float32
        answers = variant.model.predict(TEXTS)
    np.testing.assert_allclose(answers.probabilities, model.predict(TEXTS).probabilities, atol=1e-5)
    with pytest.raises(NotApplicable, match="only torch"), audited.variants()("threads-1"):
        pass


def test_a_backend_that_there_is_none_of_says_so(model, monkeypatch):
    monkeypatch.setitem(variants._BACKENDS, "int8", "no such backend")
    with pytest.raises(NotApplicable, match="there is no backend 'int8'"), model.variants()("int8"):
        pass


def test_whatever_goes_wrong_in_making_one_is_told_in_a_sentence(model, monkeypatch):
    def broken(*_):
        raise RuntimeError("no kernel for this\nstack")

    monkeypatch.setattr(variants.TextVariant, "logits_of_tokens", broken)
    with pytest.raises(ModelError) as error, model.variants()("bf16"):
        pass
    assert error.value.message == "RuntimeError: no kernel for this"


def test_a_variant_that_answers_nan_is_refused(model, monkeypatch):
    make = variants.VariantMaker._copy

    def spoilt(self):
        copied = make(self)
        with torch.no_grad():
            copied.classifier.bias.fill_(float("nan"))
        return copied

    monkeypatch.setattr(variants.VariantMaker, "_copy", spoilt)
    with pytest.raises(AuditkitError, match="NaN or infinite"), model.variants()("fp16"):
        pass


def test_a_model_without_a_list_of_layers_cannot_be_halved(model):
    other = copy.deepcopy(inside(model))
    other.config.num_hidden_layers = 7
    with pytest.raises(NotApplicable, match="no list"):
        variants._halve(other)
    flat = torch.nn.Linear(2, 2)
    flat.config = SimpleNamespace()
    with pytest.raises(NotApplicable, match="no list"):
        variants._halve(flat)


def test_the_check_on_a_real_model_leaves_it_as_it_was(model):
    check = load_registry().checks["latency.variants"]
    data = dataclasses.replace(
        tiny_data(np.arange(len(TEXTS)) % 2, {"side": list("ababababab")[: len(TEXTS)]}),
        inputs=TEXTS,
    )
    context = Context(
        predictor=SharedPredictor(model),
        data=data,
        splits={},
        confidence=Confidence(),
        rng=np.random.default_rng(0),
        advance=lambda _: None,
        timing=Bench(model, variants=model.variants()),
    )
    before = state(model)
    names = ("fp32", "half-layers", "batch-4", "tf32")
    params = check.params(seconds=0.2, warm_up_seconds=0.1, requests=20, variants=names)
    made = findings_in(check, context, params)
    assert not [f.message for f in made if f.outcome is Outcome.ERROR]
    values = {(f.measurement.name, f.measurement.slice): f.measurement for f in made}
    assert set(values) == {("ratio", n) for n in names} | {("disagreement", n) for n in names[:-1]}
    assert all(values["ratio", n].n >= 20 for n in names[:-1])
    assert values["disagreement", "fp32"].value == 0
    assert values["ratio", "tf32"].note == "cannot be made here: no GPU."
    assert state(model) == before
