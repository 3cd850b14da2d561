"""Explanations by looking inside the model."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.attribution import Effort
from auditkit.errors import ModelError
from auditkit.explanations.explaining import TextExplainer
from auditkit.model import Capability
from auditkit.models.transformers_text import TransformersText
from auditkit.predictor import SharedPredictor
from auditkit.testing import FakeModel

torch = pytest.importorskip("torch")
captum = pytest.importorskip("captum.attr")

TEXT = "the film was not very good and the ending was awful"


def inside(model: TransformersText):
    """The torch model and the tensors of `TEXT`."""
    tokenizer = model.text_tokenizer()
    return model._loaded.forward.model, tokenizer(TEXT, return_tensors="pt")


def test_integrated_gradients_are_captums_from_padding(model, explainer: TextExplainer):
    net, encoded = inside(model)
    ids = encoded["input_ids"]
    start = ids.clone()
    start[0, 1:-1] = model.text_tokenizer().pad_token_id
    method = captum.LayerIntegratedGradients(
        lambda ids: net(input_ids=ids).logits.softmax(-1), net.get_input_embeddings()
    )
    expected = method.attribute(ids, baselines=start, target=1, n_steps=20).sum(-1)[0, 1:-1]
    ((_, found),) = explainer.explain("integrated-gradients", [TEXT], [1], Effort(steps=20))
    np.testing.assert_allclose(found.weights, expected.detach().numpy(), atol=1e-5)
    words = [TEXT[start:end] for ((start, end),) in found.features]
    assert words == TEXT.split()


def test_with_more_steps_integrated_gradients_add_up_better(explainer: TextExplainer):
    errors = []
    for steps in (3, 300):
        ((_, found),) = explainer.explain("integrated-gradients", [TEXT], [1], Effort(steps=steps))
        assert found.total is not None
        errors.append(abs(found.weights.sum() - found.total))
    assert errors[1] < 0.002
    assert errors[1] < errors[0]


def test_gradient_x_input_is_what_autograd_says(model, explainer: TextExplainer):
    net, encoded = inside(model)
    vectors = net.get_input_embeddings()(encoded["input_ids"]).detach().requires_grad_()
    score = net(inputs_embeds=vectors, attention_mask=encoded["attention_mask"]).logits.softmax(-1)
    (slope,) = torch.autograd.grad(score[0, 1], vectors)
    expected = (slope * vectors).sum(-1)[0, 1:-1].detach().numpy()
    ((_, found),) = explainer.explain("gradient-x-input", [TEXT], [1], Effort())
    np.testing.assert_allclose(found.weights, expected, atol=1e-6)


def test_attention_rollout_multiplies_the_layers(model, explainer: TextExplainer):
    net, encoded = inside(model)
    net.set_attn_implementation("eager")
    layers = net(**encoded, output_attentions=True).attentions
    rolled = np.eye(encoded["input_ids"].shape[1])
    for layer in layers:
        rolled = (layer[0].mean(0).detach().numpy() + np.eye(len(rolled))) / 2 @ rolled
    ((_, found),) = explainer.explain("attention-rollout", [TEXT], [1], Effort())
    np.testing.assert_allclose(found.weights, rolled[0, 1:-1], atol=1e-5)


def test_looking_leaves_the_answers_and_the_way_attention_is_computed(model, explainer):
    before = model.predict([TEXT]).probabilities
    kind = model._loaded.forward.model.config._attn_implementation
    for method in ("attention-rollout", "integrated-gradients", "gradient-x-input"):
        dict(explainer.explain(method, [TEXT], [1], Effort(steps=3)))
    explainer.randomized(2, seed=0)
    assert model._loaded.forward.model.config._attn_implementation == kind
    np.testing.assert_array_equal(model.predict([TEXT]).probabilities, before)


def test_layers_go_from_the_head_to_the_embeddings(explainer: TextExplainer):
    assert explainer.layers[0] == "head"
    assert [name.rsplit(".", 1)[-1] for name in explainer.layers[1:-1]] == ["1", "0"]
    assert explainer.layers[-1] == "embeddings"


def test_a_copy_has_as_many_random_layers_as_asked(model, explainer: TextExplainer):
    net = model._loaded.forward.model
    ours = dict(net.named_parameters())
    for depth in range(len(explainer.layers) + 1):
        copy = model.white_box().randomized(depth, seed=1)
        theirs = dict(copy._parts.forward.model.named_parameters())
        changed = {
            name
            for name in ours
            if name.endswith("weight") and ours[name].dim() > 1
            if not torch.equal(ours[name], theirs[name])
        }
        assert any("classifier" in name for name in changed) == (depth >= 1)
        assert any("layer.1." in name for name in changed) == (depth >= 2)
        assert any("layer.0." in name for name in changed) == (depth >= 3)
        assert any("embeddings" in name for name in changed) == (depth >= 4)


def test_copies_depend_on_the_seed_alone(explainer: TextExplainer):
    answers = [explainer.randomized(4, seed).predict([TEXT]).probabilities for seed in (1, 1, 2)]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])


def test_a_copy_is_explained_by_every_kind_of_method(explainer: TextExplainer):
    copy = explainer.randomized(4, seed=1)
    for method in ("occlusion", "integrated-gradients", "attention-rollout"):
        ((_, found),) = copy.explain(method, [TEXT], [1], Effort(steps=3))
        ((_, ours),) = explainer.explain(method, [TEXT], [1], Effort(steps=3))
        assert not np.allclose(found.weights, ours.weights)


def test_a_model_that_shows_nothing_says_so():
    fake = FakeModel(lambda _: [0.5, 0.5])
    explainer = TextExplainer(SharedPredictor(fake), fake)
    assert Capability.WHITE_BOX not in fake.capabilities
    assert explainer.layers == ()
    assert explainer.obstacle("integrated-gradients")
    assert not explainer.obstacle("occlusion")
    with pytest.raises(ModelError, match="does not show its layers"):
        explainer.randomized(1, 0)
