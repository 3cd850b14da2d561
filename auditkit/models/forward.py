"""What it takes to answer a text: a tokenizer, padding, and a forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import ModelError

if TYPE_CHECKING:
    from auditkit.models.head_input import HeadInput

Arrays = dict[str, NDArray[np.int64]]
"""What a model is given, by the name of its argument, each of shape (rows, longest)."""


class Forward(Protocol):
    """One way to compute a model's logits."""

    def logits(self, arrays: Arrays) -> NDArray[Any]:
        """Logits of shape (rows, classes)."""

    def one_core(self) -> AbstractContextManager[None]:
        """Compute each batch on one core, as long as this lasts."""


class Tokens(Protocol):
    """A tokenizer for single texts."""

    def ids(self, texts: list[str], max_length: int | None) -> list[list[int]]:
        """Token ids of each text, special tokens included; None cuts nothing."""

    def spans(self, text: str, max_length: int | None) -> list[tuple[int, int]]:
        """Characters [start, end) of each token of `ids`; none for special tokens."""


@dataclass(frozen=True, slots=True)
class Parts:
    """All that answering needs.

    Attributes:
        tokens: The tokenizer.
        forward: Computes the logits.
        pad: The padding token; None when there is none.
        types: Whether the model is given token types, all 0 as they are for a single text.
        alone: Whether each text is asked by itself, because its answer would depend on the others.
    """

    tokens: Tokens
    forward: Forward
    pad: int | None
    types: bool
    alone: bool = False

    def arrays(self, batch: Sequence[Sequence[int]]) -> Arrays:
        """The batch padded at the end to its longest row; without a padding token, one row."""
        longest = max(map(len, batch))
        ids = np.full((len(batch), longest), self.pad or 0, dtype=np.int64)
        mask = np.zeros((len(batch), longest), dtype=np.int64)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        arrays = {"input_ids": ids, "attention_mask": mask}
        if self.types:
            arrays["token_type_ids"] = np.zeros_like(ids)
        return arrays

    def logits(self, batch: Sequence[Sequence[int]]) -> NDArray[Any]:
        """Logits of tokenised texts, shape (rows, classes); one by one where it must be."""
        alone = (self.pad is None or self.alone) and len(batch) > 1
        batches = [[tokens] for tokens in batch] if alone else [batch]
        answers = [self.forward.logits(self.arrays(one)) for one in batches]
        return np.concatenate(answers) if len(answers) > 1 else answers[0]


class TorchForward:
    """The forward pass of a loaded torch model.

    Args:
        model: A sequence classifier, in evaluation mode.
        name: What errors call it.
    """

    def __init__(self, model: Any, name: str) -> None:
        self.model = model
        self.name = name
        self._modules = list(model.modules())

    def assert_eval(self) -> None:
        """Refuse a model that would answer at random.

        Raises:
            ModelError: A part of it is in training mode.
        """
        if any(module.training for module in self._modules):
            raise ModelError(
                f"{self.name} is in training mode, so dropout makes its answers random.",
                "Something called model.train() after loading; an audit must not.",
            )

    def logits(self, arrays: Arrays) -> NDArray[np.float64]:
        """Logits in the model's precision, shape (rows, classes).

        Raises:
            ModelError: The model is in training mode.
        """
        import torch

        with torch.inference_mode():
            logits = self._computed(arrays)
        answer: NDArray[np.float64] = logits.cpu().double().numpy()
        return answer

    def embedding(self, arrays: Arrays) -> NDArray[np.float32]:
        """What the classification head is given, shape (rows, width).

        Raises:
            ModelError: The model is in training mode, or has no head that reads one vector.
        """
        import torch

        with torch.inference_mode():
            return self.head.read(lambda: self._computed(arrays), arrays)

    @cached_property
    def head(self) -> HeadInput:
        """Reads what the classification head is given.

        Raises:
            ModelError: There is no such layer.
        """
        from auditkit.models.head_input import HeadInput

        return HeadInput(self.model)

    def _computed(self, arrays: Arrays) -> Any:
        self.assert_eval()
        return self.model(**self.tensors(arrays)).logits

    def tensors(self, arrays: Arrays) -> dict[str, Any]:
        """The arrays on the model's device."""
        import torch

        device = self.model.device
        return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}

    @contextmanager
    def one_core(self) -> Iterator[None]:
        """Compute each batch on one core, as long as this lasts. Does nothing on a GPU."""
        if self.model.device.type != "cpu":
            yield
            return
        import torch

        before = torch.get_num_threads()
        # Threads that begin to compute while this holds take it over.
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
