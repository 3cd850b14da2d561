"""An embedding is what the classification head reads, whatever the architecture, asked once."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from auditkit.config import ModelConfig
from auditkit.errors import ModelError
from auditkit.model import Capability, Head, TokenEmbeddingModel
from auditkit.models.transformers_text import TransformersText, load_transformers
from auditkit.prediction_store import PredictionStore
from auditkit.predictor import AnsweredRows, SharedPredictor
from auditkit.testing import FakeModel

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
LABELS = {"num_labels": 3, "pad_token_id": 0}
ARCHITECTURES = {
    "bert": lambda: transformers.BertConfig(vocab_size=40, intermediate_size=24, **SIZES, **LABELS),
    "roberta": lambda: transformers.RobertaConfig(
        vocab_size=40, intermediate_size=24, **SIZES, **LABELS
    ),
    "distilbert": lambda: transformers.DistilBertConfig(
        vocab_size=40, dim=16, hidden_dim=24, n_layers=2, n_heads=2, **LABELS
    ),
    "electra": lambda: transformers.ElectraConfig(
        vocab_size=40, embedding_size=16, intermediate_size=24, **SIZES, **LABELS
    ),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=40, n_embd=16, n_layer=2, n_head=2, bos_token_id=2, eos_token_id=3, **LABELS
    ),
}


def texts(n: int) -> list[str]:
    rng = random.Random(0)
    words = ["a", "the", "film", "is", "good", "bad", "dull", "warm", "not", "story"]
    return [" ".join(rng.choices(words, k=rng.randint(1, 20))) for _ in range(n)]


def load(folder: Path, store: PredictionStore | None = None, **settings) -> TransformersText:
    return load_transformers(ModelConfig(path=str(folder), **settings), online=False, store=store)


@pytest.fixture(scope="module")
def folder_of(tiny_model: Path, tmp_path_factory):
    def save(name: str) -> Path:
        place = Path(shutil.copytree(tiny_model, tmp_path_factory.mktemp("models") / name))
        torch.manual_seed(0)
        model = transformers.AutoModelForSequenceClassification.from_config(ARCHITECTURES[name]())
        model.save_pretrained(place)
        return place

    return save


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_logits_are_a_linear_function_of_the_embedding(name, folder_of):
    place = folder_of(name)
    model = load(place)
    assert isinstance(model, TokenEmbeddingModel)
    assert Capability.EMBEDDINGS in model.capabilities
    asked = texts(30)
    vectors = SharedPredictor(model).embed(asked)
    assert vectors.dtype == np.float32
    assert vectors.shape == (30, model.embedding_width) == (30, 16)
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(place).eval()
    layer = dict(loaded.named_modules())[
        model.assumptions["embeddings"].rsplit(" ", 1)[1].rstrip(".")
    ]
    with torch.no_grad():
        scores = layer(torch.from_numpy(vectors)).softmax(dim=1).numpy()
    np.testing.assert_allclose(scores, model.predict(asked).probabilities, atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_an_embedding_does_not_depend_on_its_batch(name, folder_of):
    model = load(folder_of(name))
    asked = texts(12)
    alone = np.concatenate([model.embed([text]) for text in asked])
    np.testing.assert_allclose(model.embed(asked), alone, atol=1e-5)


def test_a_model_that_scales_the_logits_of_its_last_layer_gives_no_embeddings(tiny_model):
    from auditkit.models.forward import TorchForward

    model = transformers.AutoModelForSequenceClassification.from_pretrained(tiny_model).eval()
    model.classifier.register_forward_hook(lambda _, __, out: 2.0 * out + 1.0)
    forward, ids = TorchForward(model, "scaled"), np.array([[2, 5, 6, 3]])
    arrays = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    # The layer itself now answers so too, and the embedding is still what it reads.
    assert forward.embedding(arrays).shape == (1, 32)
    original = model.forward
    model.forward = lambda **given: type("Out", (), {"logits": original(**given).logits ** 2})()
    with pytest.raises(ModelError, match="logits are not what its last linear layer"):
        forward.embedding(arrays)


def test_several_workers_give_the_embeddings_of_one(tiny_model):
    asked = texts(200)
    one = SharedPredictor(load(tiny_model, workers=1), batch_tokens=128).embed(asked)
    three = SharedPredictor(load(tiny_model, workers=3), batch_tokens=128).embed(asked)
    assert np.array_equal(one, three)


def test_predicting_while_embedding_is_not_disturbed(tiny_model):
    model = load(tiny_model, workers=2)
    predictor = SharedPredictor(model, batch_tokens=128)
    before = predictor.predict(texts(50)).probabilities
    predictor.embed(texts(50))
    again = SharedPredictor(model, batch_tokens=128).predict(texts(50)).probabilities
    assert np.array_equal(before, again)


def test_a_model_whose_embeddings_were_read_can_still_be_copied(tiny_model):
    import copy

    model = load(tiny_model)
    vectors = model.embed(["a good film"])
    forward = model._loaded.forward
    copied = copy.deepcopy(forward.model)
    ids = torch.tensor([[2, 5, 6, 3]])
    with torch.no_grad():
        both = [one(input_ids=ids).logits for one in (copied, forward.model)]
    torch.testing.assert_close(*both)
    assert np.array_equal(model.embed(["a good film"]), vectors)


def test_each_distinct_input_is_embedded_once():
    model = FakeModel(lambda _: [0.5, 0.5], embedding=lambda one: [one, 2 * one], embedding_width=2)
    asked: list[int] = []
    counted = FakeModel(
        model.answer,
        embedding=lambda one: asked.append(one) or [one, 2 * one],
        embedding_width=2,
    )
    predictor = SharedPredictor(counted)
    assert predictor.embed([3, 1, 3]).tolist() == [[3, 6], [1, 2], [3, 6]]
    assert predictor.embed([1, 4]).tolist() == [[1, 2], [4, 8]]
    assert asked == [3, 1, 4]
    assert predictor.statistics.embedded == 3
    assert predictor.embed([]).shape == (0, 2)


def test_a_model_without_embeddings_says_so():
    with pytest.raises(ModelError, match="gives no embeddings"):
        SharedPredictor(FakeModel(lambda _: [0.5, 0.5])).embed([1])


@pytest.mark.parametrize(("wrong", "said"), [([1.0, 2.0], "shape"), ([np.nan], "NaN")])
def test_an_embedding_of_another_width_or_not_finite_is_refused(wrong, said):
    model = FakeModel(lambda _: [0.5, 0.5], embedding=lambda _: wrong, embedding_width=1)
    with pytest.raises(ModelError, match=said):
        SharedPredictor(model).embed([1, 2])


def test_a_check_that_did_not_say_so_gets_no_embeddings():
    model = FakeModel(lambda _: [0.5, 0.5], embedding=lambda one: [one], embedding_width=1)
    with pytest.raises(ModelError, match="does not say it needs"):
        AnsweredRows(SharedPredictor(model)).embed([1])


def test_embeddings_are_kept_for_the_next_audit_apart_from_the_answers(tiny_model, tmp_path):
    asked = texts(40)
    with PredictionStore(tmp_path / "cache") as store:
        first = SharedPredictor(load(tiny_model, store), store=store)
        answers, vectors = first.predict(asked), first.embed(asked)
        again = SharedPredictor(load(tiny_model, store), store=store)
        assert np.array_equal(again.embed(asked), vectors)
        assert np.array_equal(again.predict(asked).probabilities, answers.probabilities)
        assert again.statistics.batches == 0


def test_a_damaged_embedding_on_disk_is_computed_again(tiny_model, tmp_path):
    import sqlite3

    asked = texts(40)
    with PredictionStore(tmp_path / "cache") as store:
        predictor = SharedPredictor(load(tiny_model, store), store=store)
        vectors = predictor.embed(asked)
        path = store.path
    db = sqlite3.connect(path)
    db.execute("UPDATE answers SET payload = zeroblob(length(payload))")
    db.commit()
    db.close()
    with PredictionStore(tmp_path / "cache") as store:
        again = SharedPredictor(load(tiny_model, store), store=store)
        assert np.array_equal(again.embed(asked), vectors)
        assert again.statistics.batches > 0


def test_onnx_runtime_gives_none_and_the_report_says_so(tiny_model):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model = load(tiny_model, backend="onnx")
    assert Capability.EMBEDDINGS not in model.capabilities
    assert model.assumptions["embeddings"].startswith("None")
    with pytest.raises(ModelError, match="no embeddings"):
        SharedPredictor(model).embed(["a"])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_head_makes_the_models_own_logits_of_the_embeddings(name, folder_of):
    place = folder_of(name)
    model = load(place)
    asked, predictor = texts(30), SharedPredictor(model)
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(place).eval()
    with torch.no_grad():
        own = [loaded(torch.tensor([ids])).logits[0].numpy() for ids in model.tokenize(asked)]
    head = predictor.head()
    assert head.weights.shape == (3, 16)
    np.testing.assert_allclose(head.logits(predictor.embed(asked)), own, atol=1e-5)


def test_a_head_without_bias_has_zeros(tiny_model):
    from auditkit.models.head_input import HeadInput

    model = transformers.AutoModelForSequenceClassification.from_pretrained(tiny_model).eval()
    model.classifier.bias = None
    assert HeadInput(model).layer.bias.tolist() == [0.0, 0.0]


def test_a_head_that_does_not_fit_the_embeddings_is_refused():
    odd = FakeModel(
        lambda _: [0.5, 0.5],
        embedding=lambda _: [1.0, 2.0, 3.0],
        embedding_width=3,
        layer=Head(np.zeros((2, 4)), np.zeros(2)),
    )
    with pytest.raises(ModelError, match="head of shape"):
        SharedPredictor(odd).head()
    with pytest.raises(ModelError, match="no classification head"):
        SharedPredictor(FakeModel(lambda _: [0.5, 0.5])).head()
