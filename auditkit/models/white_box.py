"""The inside of a torch text model: gradients, attention, and copies with random weights."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import MissingExtraError, ModelError
from auditkit.model import Capability, Model, ParallelModel, Predictions, ReadingModel, TokenScores
from auditkit.models.forward import Parts, TorchForward

PASS_TOKENS = 2048
"""Tokens of one pass forwards and back; more only fill the memory."""

_BLOCK = re.compile(r"(.*?\.\d+)\.")


class WhiteBox:
    """The inside of a classifier of transformers.

    The score explained is the probability of a class. Gradients are taken with respect to the word
    embeddings. Special tokens stay as they are in every baseline, and get no weight.

    Args:
        parts: Tokenizer and torch model.
        max_length: Tokens after which texts are cut.
        model: The model it is the inside of.
    """

    def __init__(self, parts: Parts, max_length: int, model: Model) -> None:
        assert isinstance(parts.forward, TorchForward)
        self._parts, self._forward = parts, parts.forward
        self._torch = parts.forward.model
        self._max_length = max_length
        self._model = model

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers with weights, from the head down to the embeddings."""
        return tuple(_layers(self._torch))

    def integrated_gradients(self, text: str, label: int, steps: int) -> TokenScores:
        """Gradients summed on the way from padding tokens to those of the text.

        Sundararajan et al. 2017, by captum's LayerIntegratedGradients with its default quadrature.

        Raises:
            ModelError: The model has no padding token to start from.
            MissingExtraError: captum is not installed.
        """
        captum = _captum()
        if self._parts.pad is None:
            raise ModelError("integrated gradients start from padding, and the model has none.")
        tensors, spans, inked = self._encoded(text)
        ids = tensors.pop("input_ids")
        start = ids.clone()
        start[0, inked] = self._parts.pad
        method = captum.LayerIntegratedGradients(self._score, self._torch.get_input_embeddings())
        weights = method.attribute(
            ids,
            baselines=start,
            target=label,
            additional_forward_args=(tuple(tensors), *tensors.values()),
            n_steps=steps,
            internal_batch_size=max(1, PASS_TOKENS // ids.shape[1]),
        )
        total = self._probability(ids, tensors, label) - self._probability(start, tensors, label)
        return _scores(weights.sum(dim=-1), spans, inked, total, passes=steps + 2)

    def gradient_x_input(self, text: str, label: int) -> TokenScores:
        """Gradient of the score times the word embedding, summed over its numbers.

        Shrikumar et al. 2016, by captum's LayerGradientXActivation.

        Raises:
            MissingExtraError: captum is not installed.
        """
        tensors, spans, inked = self._encoded(text)
        ids = tensors.pop("input_ids")
        layer = self._torch.get_input_embeddings()
        weights = _captum().LayerGradientXActivation(self._score, layer).attribute(
            ids, target=label, additional_forward_args=(tuple(tensors), *tensors.values())
        )  # fmt: skip
        return _scores(weights.sum(dim=-1), spans, inked, None, passes=1)

    def attention_rollout(self, text: str) -> TokenScores:
        """Attention of all layers multiplied, half of each being what a token keeps of itself.

        Abnar & Zuidema 2020: heads are averaged, and the row read is that of the last token in a
        model whose tokens see only those before them, else that of the first. The weights are not
        negative and the same for every class.

        Raises:
            ModelError: The model gives no attention.
        """
        import torch

        tensors, spans, inked = self._encoded(text)
        with torch.inference_mode(), self._eager():
            self._forward.assert_eval()
            layers = self._torch(**tensors, output_attentions=True).attentions
        if not layers:
            raise ModelError(f"{self._model.name} gives no attention.")
        rolled = torch.eye(tensors["input_ids"].shape[1], device=self._torch.device)
        causal = True
        for attention in layers:
            heads = attention[0].float().mean(dim=0)
            causal = causal and bool((heads.triu(1) == 0).all())
            mixed = (heads + torch.eye(len(heads), device=heads.device)) / 2
            rolled = mixed / mixed.sum(dim=-1, keepdim=True) @ rolled
        row = rolled[-1 if causal else 0]
        return _scores(row[None], spans, inked, None, passes=1)

    def randomized(self, layers: int, seed: int) -> RandomCopy:
        """A copy whose first `layers` layers, from the head down, have weights as before training.

        Matrices are drawn from a normal distribution with the model's own `initializer_range`,
        biases are 0, and the scales of a layer norm 1.
        """
        import torch

        other = copy.deepcopy(self._torch)
        generator = torch.Generator().manual_seed(seed)
        spread = float(getattr(other.config, "initializer_range", None) or 0.02)
        with torch.no_grad():
            for names in list(_layers(other).values())[:layers]:
                for name in names:
                    _draw(other.get_parameter(name), name, spread, generator)
        forward = TorchForward(other, f"{self._model.name}, {layers} layers random")
        parts = Parts(self._parts.tokens, forward, self._parts.pad, self._parts.types)
        return RandomCopy(parts, self._max_length, self._model, f"{layers}/{seed}")

    def _encoded(self, text: str) -> tuple[dict[str, Any], list[tuple[int, int]], list[bool]]:
        """Tensors of one text, the characters of each token, and which tokens have any."""
        tokens = self._parts.tokens
        ids = tokens.ids([text], self._max_length)[0]
        spans = tokens.spans(text, self._max_length)
        tensors = self._forward.tensors(self._parts.arrays([ids]))
        return tensors, spans, [start < end for start, end in spans]

    def _score(self, ids: Any, names: tuple[str, ...], *rest: Any) -> Any:
        """Probabilities of rows of tokens, with the other arguments of the model by name."""
        self._forward.assert_eval()
        logits = self._torch(input_ids=ids, **dict(zip(names, rest, strict=True))).logits
        return logits.softmax(dim=-1)

    def _probability(self, ids: Any, tensors: dict[str, Any], label: int) -> float:
        import torch

        with torch.inference_mode():
            return float(self._score(ids, tuple(tensors), *tensors.values())[0, label])

    @contextmanager
    def _eager(self) -> Iterator[None]:
        """Attention is computed in steps that can be looked at, as long as this lasts."""
        before = self._torch.config._attn_implementation
        self._torch.set_attn_implementation("eager")
        try:
            yield
        finally:
            self._torch.set_attn_implementation(before)


class RandomCopy:
    """A copy of a text model with random weights.

    Args:
        parts: Tokenizer and random model.
        max_length: Tokens after which texts are cut.
        original: What it is a copy of.
        drawn: Which layers are random, and the seed.
    """

    def __init__(self, parts: Parts, max_length: int, original: Model, drawn: str) -> None:
        self._parts, self._max_length, self._original = parts, max_length, original
        self.name = f"{original.name} with random weights"
        self.digest = f"{original.digest}/{drawn}"
        self.class_names = original.class_names
        self.capabilities = original.capabilities - {Capability.EMBEDDINGS}
        self.assumptions: dict[str, str] = {}
        self.workers = original.workers if isinstance(original, ParallelModel) else 1

    def asking(self) -> AbstractContextManager[None]:
        """Compute each batch on one core."""
        return self._parts.forward.one_core()

    def tokenize(self, inputs: Sequence[str]) -> list[list[int]]:
        """Token ids of each text."""
        return self._parts.tokens.ids(list(inputs), self._max_length) if inputs else []

    def predict(self, batch: Sequence[str]) -> Predictions:
        """Answers for texts."""
        return self.predict_tokens(self.tokenize(batch))

    def predict_tokens(self, batch: Sequence[Sequence[int]]) -> Predictions:
        """Answers for tokenised texts."""
        return Predictions.from_logits(self._parts.logits(batch))

    def text_tokenizer(self) -> Any | None:
        """The tokenizer of the original."""
        return self._original.text_tokenizer() if isinstance(self._original, ReadingModel) else None

    def characters_read(self, text: str) -> int:
        """How many characters from the start are read."""
        original = self._original
        return original.characters_read(text) if isinstance(original, ReadingModel) else len(text)

    def white_box(self) -> WhiteBox:
        """Its inside."""
        return WhiteBox(self._parts, self._max_length, self)


def _captum() -> Any:
    try:
        import captum.attr
    except ImportError:
        raise MissingExtraError("An explanation by gradients", "explanations") from None
    return captum.attr


def _layers(model: Any) -> dict[str, list[str]]:
    """Names of the parameters of each layer, from the head down to the embeddings.

    Parameters stand in the order of their definition: before the first numbered block the
    embeddings, after the last one the head.
    """
    names = [name for name, _ in model.named_parameters()]
    blocks = [match[1] if (match := _BLOCK.match(name)) else None for name in names]
    last = max((index for index, block in enumerate(blocks) if block), default=-1)
    layer, layer_of = "embeddings", []
    for index, block in enumerate(blocks):
        layer = block or ("head" if index > last else layer)
        layer_of.append(layer)
    found: dict[str, list[str]] = {}
    for name, layer in reversed(list(zip(names, layer_of, strict=True))):
        found.setdefault(layer, []).append(name)
    return found


def _draw(parameter: Any, name: str, spread: float, generator: Any) -> None:
    """Give a parameter the value it has before training."""
    import torch

    if parameter.dim() >= 2:
        drawn = torch.randn(parameter.shape, generator=generator) * spread
        parameter.copy_(drawn.to(parameter.device, parameter.dtype))
    elif name.endswith("weight"):
        parameter.fill_(1.0)
    else:
        parameter.zero_()


def _scores(
    weights: Any, spans: list[tuple[int, int]], inked: list[bool], total: float | None, passes: int
) -> TokenScores:
    numbers: NDArray[np.float64] = weights[0].detach().double().cpu().numpy()
    return TokenScores(
        tuple(span for span, has in zip(spans, inked, strict=True) if has),
        numbers[np.array(inked, dtype=bool)],
        total,
        passes,
    )
