"""The representation that the classification head of a torch model reads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import ModelError
from auditkit.model import Head
from auditkit.models.forward import Arrays

_THREAD = threading.local()
"""Who reads in this thread, and what was caught. Kept apart from the model, which may be copied."""


class HeadInput:
    """Reads what the last linear layer of a classifier is given, in any number of threads.

    Some classifiers apply that layer to every token and answer with the logits of one of them: the
    last one that is no padding (GPT-2 and other causal models), or the first. Then the embedding is
    that of this token. What is read is held against the logits each time, so that it is what the
    answer was computed from.

    Args:
        model: A sequence classifier of transformers, on which one hook is left.

    Raises:
        ModelError: No linear layer has one output per class.
    """

    def __init__(self, model: Any) -> None:
        import torch

        found = [
            (name, layer)
            for name, layer in model.named_modules()
            if isinstance(layer, torch.nn.Linear) and layer.out_features == model.config.num_labels
        ]
        if not found:
            raise ModelError("no linear layer of the model has one output per class.")
        self.name, self._layer = found[-1]
        self.width = int(self._layer.in_features)
        self._layer.register_forward_pre_hook(self._catch)

    @property
    def layer(self) -> Head:
        """Weights and bias of the layer; a layer without bias has zeros."""
        weights: NDArray[np.float64] = self._layer.weight.detach().cpu().double().numpy()
        bias: Any = self._layer.bias
        if bias is None:
            return Head(weights, np.zeros(len(weights)))
        return Head(weights, bias.detach().cpu().double().numpy())

    def read(self, compute: Callable[[], Any], arrays: Arrays) -> NDArray[np.float32]:
        """What the layer is given while `compute` returns the logits, shape (rows, width).

        Raises:
            ModelError: The logits are no linear function of it.
        """
        import torch

        _THREAD.caught, _THREAD.reader = None, self
        try:
            logits = compute()
            given = _THREAD.caught
        finally:
            _THREAD.caught, _THREAD.reader = None, None
        for read in self._candidates(given, arrays):
            slack = torch.finfo(logits.dtype).eps ** 0.5 * (1.0 + float(logits.abs().max()))
            if read.shape[0] == logits.shape[0] and torch.allclose(
                self._layer(read), logits, rtol=0.0, atol=slack
            ):
                embedding: NDArray[np.float32] = read.float().cpu().numpy()
                return embedding
        raise ModelError(
            f"the model's logits are not what its last linear layer, {self.name}, makes of one "
            "vector per input."
        )

    def _candidates(self, given: Any, arrays: Arrays) -> list[Any]:
        import torch

        if given is None or given.dim() == 2:
            return [] if given is None else [given]
        last = torch.from_numpy(arrays["attention_mask"].sum(axis=1) - 1).to(given.device)
        rows = torch.arange(len(last), device=given.device)
        return [given[rows, last], given[:, 0]] if given.shape[0] == len(last) else []

    def _catch(self, _: Any, arguments: tuple[Any, ...]) -> None:
        if getattr(_THREAD, "reader", None) is self:
            _THREAD.caught = arguments[0]
