"""Whether ONNX Runtime and torch answer the same, up to the rounding of float32."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import ModelError
from auditkit.models.forward import Arrays, Forward, Parts, TorchForward
from auditkit.models.onnx_graph import USE_TORCH

TOLERANCE = 1e-6
"""Difference between two logits below which nothing is asked further."""
ROUNDING = 4.0
"""How many times torch's own rounding error the difference may be. Two computations that round
alike differ by up to twice that error; 2.0 was the most seen, in 16 architectures."""
SAMPLE_TEXTS = 32
"""Most texts that are compared."""
SAMPLE_TOKENS = 2048
"""Most tokens that are compared, unless two texts have more."""
_ROWS = (2, 1, 4, 1, 8, 1)
"""Rows of the batches in turn: texts alone, and texts of unequal lengths together."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two computations of the same model lie apart.

    Attributes:
        largest: Largest absolute difference between two logits.
        texts: Number of texts compared.
        torch_error: Largest distance of torch's logits from the same model in float64.
        onnx_error: The same of ONNX Runtime's. Both None when `largest` is within `TOLERANCE`.
    """

    largest: float
    texts: int
    torch_error: float | None = None
    onnx_error: float | None = None

    @property
    def limit(self) -> float:
        """Difference from which on it is not rounding."""
        return max(TOLERANCE, ROUNDING * (self.torch_error or 0.0))

    def sentence(self) -> str:
        """For the report."""
        said = f"On {self.texts} texts its logits differ from torch's by at most {self.largest:.1e}"
        if self.torch_error is None:
            return f"{said}."
        return (
            f"{said}, which is rounding: from the same model in float64, torch's differ by up to "
            f"{self.torch_error:.1e} and ONNX Runtime's by up to {self.onnx_error:.1e}."
        )


def pick(texts: Sequence[str]) -> list[str]:
    """Distinct texts spread evenly over all lengths, the shortest and the longest among them."""
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    return [distinct[i] for i in _spread(len(distinct), SAMPLE_TEXTS)]


def _spread(n: int, most: int) -> list[int]:
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64)).tolist() if n else []


def thin(tokens: Sequence[list[int]]) -> list[list[int]]:
    """At most `SAMPLE_TOKENS` tokens of those texts that have any, spread over the lengths."""
    rows = sorted(filter(None, tokens), key=len)
    while sum(map(len, rows)) > SAMPLE_TOKENS and len(rows) > 2:
        rows = [rows[i] for i in _spread(len(rows), max(2, len(rows) // 2))]
    return rows


def batches(tokens: Sequence[list[int]], parts: Parts) -> list[Arrays]:
    """Padded batches of several shapes, each text in one of them.

    The first holds the shortest and the longest text. Without a padding token
    each text is a batch.

    Args:
        tokens: Token ids of at least two texts.
        parts: How the model is asked.
    """
    shortest, *between, longest = sorted(tokens, key=len)
    order = np.random.default_rng(0).permutation(len(between))
    rows = [shortest, longest, *(between[i] for i in order)]
    sizes = itertools.repeat(1) if parts.pad is None else itertools.cycle(_ROWS)
    found = []
    while rows:
        size = next(sizes)
        found.append(parts.arrays(rows[:size]))
        rows = rows[size:]
    return found


def compare(name: str, torch: TorchForward, onnx: Forward, asked: Sequence[Arrays]) -> Agreement:
    """Ask both the same batches.

    Where the answers differ by more than `TOLERANCE`, torch computes the batches in float64 too,
    to see how far its own float32 answers are off.

    Args:
        name: What errors call the model.
        torch: The model as loaded.
        onnx: The model as exported.
        asked: The batches.

    Raises:
        ModelError: They differ by more than rounding explains.
    """
    texts = sum(len(arrays["input_ids"]) for arrays in asked)
    with torch.one_core():
        theirs, ours = _answers(torch, asked), _answers(onnx, asked)
        agreement = Agreement(_apart(theirs, ours), texts)
        if not agreement.largest < TOLERANCE:
            exact = _in_float64(torch, name, asked)
            agreement = replace(
                agreement, torch_error=_apart(theirs, exact), onnx_error=_apart(ours, exact)
            )
    if not agreement.largest < agreement.limit:
        raise ModelError(
            f"{name}: exported to ONNX, it is another model. On {texts} texts its logits differ "
            f"from torch's by up to {agreement.largest:.1e}; rounding explains no more than "
            f"{agreement.limit:.1e}.",
            USE_TORCH,
        )
    return agreement


def _answers(forward: Forward, asked: Sequence[Arrays]) -> NDArray[np.float64]:
    return np.concatenate([forward.logits(arrays).astype(np.float64) for arrays in asked])


def _apart(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return float(np.abs(first - second).max())


def _in_float64(torch: TorchForward, name: str, asked: Sequence[Arrays]) -> NDArray[np.float64]:
    model: Any = copy.deepcopy(torch.model)
    try:
        return _answers(TorchForward(model.double(), name), asked)
    except RuntimeError as error:
        raise ModelError(
            f"{name}: exported to ONNX, its logits differ by more than {TOLERANCE}, and whether "
            f"that is rounding cannot be seen, because it does not run in float64: {error}",
            USE_TORCH,
        ) from error
