"""The stack of layers of a transformer, and a model with fewer of them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.config import ModelConfig
from auditkit.models.forward import Parts, TorchForward
from auditkit.models.onnx_backend import traced_batch
from auditkit.models.tokens import LoadedTokens
from auditkit.models.transformers_loading import Loaded, inspected, load_parts, silenced
from auditkit.remedy import RemedyError
from auditkit.training.fine_tune import save_model

SAME = 1e-4
"""Most that a logit of the saved model may differ from the one in memory, as a share of the largest
logit or of 1."""


class OpenedBlocks:
    """A model opened at its layers; see `auditkit.remedy.Blocks`.

    The stack is the list of equal modules that is as long as the config's `num_hidden_layers`.

    Args:
        config: `path` is the folder of the model.
        folder: Where models with fewer layers go.

    Raises:
        RemedyError: The model has no such list, or several.
        ModelError: The model cannot be loaded.
    """

    def __init__(self, config: ModelConfig, folder: Path) -> None:
        self._config, self._folder = config, folder
        self._source = inspected(Path(config.path or ""))
        self._name, stack = _stack(load_parts(self._source, config).model)
        self._count = len(stack)

    @property
    def count(self) -> int:
        """How many layers there are."""
        return self._count

    def kept(self, places: Sequence[int]) -> Path:
        """A new folder with the model, of whose layers only these are left.

        Raises:
            RemedyError: Places are missing or in another order; or, loaded again, the model is not
                the sum of these layers.
        """
        if not places or list(places) != sorted(set(places) & set(range(self._count))):
            raise RemedyError(f"layers {list(places)} are not some of {self._count}, in order.")
        loaded = load_parts(self._source, self._config)
        _cut(loaded.model, self._name, places)
        folder = self._folder / "-".join(map(str, places))
        with silenced(import_module("transformers.utils.logging")):
            save_model(loaded.model, self._source.path, folder)
        again = load_parts(inspected(folder), self._config)
        before, after = (_logits(one) for one in (loaded, again))
        off = float(np.abs(before - after).max())
        if not off <= SAME * max(1.0, float(np.abs(before).max())):
            raise RemedyError(
                f"{self._source.path}: with {len(places)} of its {self._count} layers it answers "
                f"otherwise once it was saved (logits differ by {off:.2g}), because what a layer "
                "does depends on its place in this kind of model."
            )
        return folder


def _stack(model: Any) -> tuple[str, Any]:
    """Name of the list of equal layers, and the list."""
    import torch

    count = getattr(model.config, "num_hidden_layers", None)
    found = [
        (name, part)
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.ModuleList)
        and len(part) == count
        and len({type(layer) for layer in part}) == 1
    ]
    outer = [
        (name, part)
        for name, part in found
        if not any(name.startswith(f"{other}.") for other, _ in found)
    ]
    if len(outer) != 1:
        said = "no list" if not outer else f"{len(outer)} lists"
        raise RemedyError(
            f"{type(model).__name__} has {said} of {count} equal layers, the number its config "
            "names, so it is not known which to leave out."
        )
    return outer[0]


def _cut(model: Any, name: str, places: Sequence[int]) -> None:
    """Leave only these layers, and say so in the config."""
    import torch

    stack, config = model.get_submodule(name), model.config
    count = len(stack)
    left = torch.nn.ModuleList(stack[place] for place in places)
    for place, layer in enumerate(left):
        for part in layer.modules():
            if hasattr(part, "layer_idx"):  # decoders keep what they have seen by it
                setattr(part, "layer_idx", place)  # noqa: B010 - torch types no such thing
    above, _, last = name.rpartition(".")
    setattr(model.get_submodule(above), last, left)
    kinds = getattr(config, "layer_types", None)
    config.num_hidden_layers = len(places)
    if isinstance(kinds, list | tuple) and len(kinds) == count:
        config.layer_types = [kinds[place] for place in places]


def _logits(loaded: Loaded) -> NDArray[np.float64]:
    forward = TorchForward(loaded.model, "the model with fewer layers")
    parts = Parts(LoadedTokens(loaded.tokenizer), forward, loaded.pad, loaded.types)
    return forward.logits(traced_batch(loaded.tokenizer, parts, loaded.max_length))
