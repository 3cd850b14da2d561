"""The last layer of a classifier: what it is given for a text, and a model with another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.batching import batches_by_length
from auditkit.config import ModelConfig
from auditkit.models.forward import Parts, TorchForward
from auditkit.models.tokens import LoadedTokens
from auditkit.models.transformers_loading import inspected, load_parts
from auditkit.remedy import RemedyError
from auditkit.training.fine_tune import save_model

Floats = NDArray[np.float64]
SAME = 1e-3
"""Most that a logit may differ from what the layer's weights make of its input, as a share of the
largest logit or of 1."""


class OpenedHead:
    """A model opened at its last layer; see `auditkit.remedy.LinearHead`.

    The layer is the last linear one with an output per class. That the logits are what it makes of
    its input is checked for every text.

    Args:
        config: `path` is the folder of the model.
        folder: Where models with another last layer go.
        advance: Told the share of the texts that is done.

    Raises:
        RemedyError: The model has no such layer, or one without a bias.
        ModelError: The model cannot be loaded.
    """

    def __init__(
        self, config: ModelConfig, folder: Path, advance: Callable[[float], None] = lambda _: None
    ) -> None:
        self._source, self._folder, self._advance = Path(config.path or ""), folder, advance
        self._budget = config.batch_tokens
        self._loaded = load_parts(inspected(self._source), config)
        self._layer = _last_layer(self._loaded.model)
        self._made = 0
        self.weight: Floats = self._layer.weight.detach().cpu().double().numpy()
        self.bias: Floats = self._layer.bias.detach().cpu().double().numpy()

    def features(self, texts: Iterable[str]) -> Floats:
        """What the layer is given for each text, shape (n, width).

        Raises:
            RemedyError: The logits are not what the layer makes of it.
        """
        loaded = self._loaded
        tokens = LoadedTokens(loaded.tokenizer).ids(
            [text.encode("utf-8", "replace").decode() for text in texts], loaded.max_length
        )
        forward = TorchForward(loaded.model, self._source.name)
        parts = Parts(LoadedTokens(loaded.tokenizer), forward, loaded.pad, loaded.types)
        features = np.zeros((len(tokens), self.weight.shape[1]))
        done = 0
        budget = self._budget if loaded.pad is not None else 1  # without padding, one at a time
        for rows in batches_by_length(tokens, budget):
            features[rows] = self._of_batch(parts, [tokens[row] for row in rows])
            done += len(rows)
            self._advance(done / len(tokens))
        return features

    def replaced(self, weight: Floats, bias: Floats) -> Path:
        """A new folder with the model, its last layer set to these."""
        import torch

        with torch.no_grad():
            self._layer.weight.copy_(torch.from_numpy(weight))
            self._layer.bias.copy_(torch.from_numpy(bias))
        self._made += 1
        folder = self._folder / f"model-{self._made}"
        save_model(self._loaded.model, self._source, folder)
        return folder

    def _of_batch(self, parts: Parts, tokens: list[list[int]]) -> Floats:
        seen: list[Any] = []
        hook = self._layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            logits = parts.forward.logits(parts.arrays(tokens))
        finally:
            hook.remove()
        given = seen[-1].cpu().double().numpy()
        if given.ndim == 3:  # a decoder scores every token and keeps the last
            given = given[np.arange(len(tokens)), [len(one) - 1 for one in tokens]]
        off = np.abs(given @ self.weight.T + self.bias - logits).max()
        if off > SAME * max(1.0, float(np.abs(logits).max())):
            raise RemedyError(
                f"{self._source}: the logits differ by {off:.2g} from what the last linear layer "
                "makes of its input, so changing that layer would not do what is meant."
            )
        found: Floats = given
        return found


def _last_layer(model: Any) -> Any:
    import torch

    layers = [
        layer
        for layer in model.modules()
        if isinstance(layer, torch.nn.Linear) and layer.out_features == model.config.num_labels
    ]
    if not layers:
        raise RemedyError("the model has no linear layer with an output per class.")
    if layers[-1].bias is None:
        raise RemedyError("the model's last layer has no bias, which the remedy has to set.")
    return layers[-1]
