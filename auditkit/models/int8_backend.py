"""Quantized forms of a model: linear layers in int8, by torch or by ONNX Runtime.

Weights are quantized once, one scale per output. What a layer is given is quantized as it comes,
with one scale for everything that is asked together; so that an answer depends on its text alone,
texts are asked one at a time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import ModelError
from auditkit.models.answer_key import installed_version
from auditkit.models.forward import Arrays, Forward, Parts, TorchForward
from auditkit.models.graph_file import GraphFile
from auditkit.models.model_folder import ModelFolder
from auditkit.models.onnx_backend import drawn_texts, require_packages, traced_batch
from auditkit.models.onnx_graph import (
    USE_TORCH,
    OnnxForward,
    OnnxGraph,
    export_model,
    reason,
)
from auditkit.prediction_store import KeptAnswers

SAMPLE_TEXTS = 128
"""Most texts on which the report says how far the answers are from the saved weights'."""
SAMPLE_TOKENS = 8192
"""Most tokens of these texts, unless the first alone has more."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How far a quantized model's answers are from those of the saved weights.

    Attributes:
        texts: Number of texts compared.
        labels: Of them, those that get another label.
        largest: Largest change of a probability.
        mean: Mean over the texts of the largest change of a probability.
    """

    texts: int
    labels: int
    largest: float
    mean: float

    @classmethod
    def between(cls, before: NDArray[np.float64], after: NDArray[np.float64]) -> Moved:
        """From logits of both, shape (n, k)."""
        apart = np.abs(_softmax(after) - _softmax(before)).max(axis=1)
        labels = int((before.argmax(axis=1) != after.argmax(axis=1)).sum())
        return cls(len(before), labels, float(apart.max()), float(apart.mean()))

    def sentence(self, drawn: bool) -> str:
        """For the report."""
        whose = "texts of random words" if drawn else "of the data's texts"
        return (
            f"Of {self.texts} {whose}, {self.labels} get another label than from the saved "
            f"weights, and a probability moves by up to {self.largest:.2g}, on average by "
            f"{self.mean:.2g}."
        )


class Int8Backend:
    """A quantized form of one model.

    Args:
        name: What errors call the model.
        folder: The model's folder.
        backend: "int8" or "onnx-int8".
        kept: What earlier audits left of the model.
        texts: What the model will be asked. On some of it the report says how far answers move.
    """

    def __init__(
        self,
        name: str,
        folder: ModelFolder,
        backend: str,
        kept: KeptAnswers | None,
        texts: Sequence[str],
    ) -> None:
        self._name, self._kept = name, kept
        self._file = GraphFile(folder.path, backend) if backend == "onnx-int8" else None
        self._texts = _some(texts)

    def recall_note(self) -> str | None:
        """What an earlier comparison on these texts showed."""
        said = self._kept.recall(self._topic) if self._kept is not None else None
        note: str | None = None if said is None else said["note"]
        return note

    def recall_parts(self) -> Parts | None:
        """None: the quantized weights are made again from the saved ones."""
        return None

    def make(
        self, tokenizer: Any, parts: Parts, torch: TorchForward, max_length: int
    ) -> tuple[Parts, str]:
        """Quantize the loaded model, and see how far its answers move.

        Raises:
            ModelError: It cannot be quantized; or the folder has a graph of its own that is not
                what its weights come to.
            MissingExtraError: What the backend needs is not installed.
        """
        forward, how = (
            _by_torch(torch)
            if self._file is None
            else self._by_onnx(torch, traced_batch(tokenizer, parts, max_length))
        )
        found = replace(parts, forward=forward, alone=True)
        texts = self._texts or drawn_texts(tokenizer)
        ids = _few(parts.tokens.ids(texts, max_length))
        with torch.one_core():
            before, after = (_answers(one, parts, ids) for one in (torch, forward))
        if not np.isfinite(after).all():
            raise ModelError(f"{self._name}: quantized, it answers NaN or infinity.", USE_TORCH)
        moved = Moved.between(before, after)
        note = (
            f"{how} This is another model than the saved one. "
            f"{moved.sentence(drawn=not self._texts)} Texts are asked one at a time, because the "
            "rounding depends on what is asked together."
        )
        note += self._file.sentence() if self._file is not None else ""
        if self._kept is not None:
            self._kept.record(self._topic, {"note": note})
        return found, note

    def _by_onnx(self, torch: TorchForward, traced: Arrays) -> tuple[Forward, str]:
        assert self._file is not None
        graph = int8_graph(torch, traced)
        self._file.require(hashlib.sha256(graph).hexdigest())
        forward = OnnxForward(OnnxGraph(graph, {}), (), self._name)
        version = installed_version("onnxruntime")
        return forward, (
            f"ONNX Runtime {version}, matrix products with weights in 7 bits of int8, which every "
            "processor computes alike, one scale per output; what they are given in int8 as it "
            "comes."
        )

    @property
    def _topic(self) -> str:
        texts = hashlib.sha256(json.dumps(self._texts).encode()).hexdigest()
        return f"int8 movement {texts}{self._file.digest if self._file is not None else ''}"


def _by_torch(torch: TorchForward) -> tuple[Forward, str]:
    quantized, changed, linear = int8_model(torch.model)
    version = installed_version("torch")
    forward = TorchForward(quantized, torch.name)
    forward.assert_eval()
    return forward, (
        f"torch {version} ({_engine()}), dynamic quantization: weights of {changed} of {linear} "
        "linear layers in int8, one scale per output; what they are given in int8 as it comes."
    )


def _engine() -> str:
    """What computes in int8; it differs between kinds of processors, and answers with it."""
    import torch

    return str(torch.backends.quantized.engine)


def int8_model(model: Any) -> tuple[Any, int, int]:
    """A copy of a torch model with its linear layers in int8.

    Returns:
        The copy, the number of layers that were quantized, and of those that are linear.

    Raises:
        ModelError: It has no linear layer that torch can quantize, or torch cannot.
    """
    import torch

    linear = sum(isinstance(layer, torch.nn.Linear) for layer in model.modules())
    try:
        quantization: Any = torch.ao.quantization  # torch means to do without it one day
        dynamic: Any = torch.ao.nn.quantized.dynamic
        with warnings.catch_warnings():
            # torch announces that its successor is another package.
            warnings.simplefilter("ignore")
            quantized = quantization.quantize_dynamic(
                model, {torch.nn.Linear: quantization.per_channel_dynamic_qconfig}
            )
    except Exception as error:
        raise ModelError(f"torch cannot quantize the model: {reason(error)}", USE_TORCH) from error
    changed = sum(isinstance(layer, dynamic.Linear) for layer in quantized.modules())
    if changed < 2:
        raise ModelError(
            f"torch quantizes linear layers, and of those the model has {linear} that it can.",
            'model.backend = "onnx-int8" quantizes matrix products however they are written.',
        )
    return quantized.eval(), changed, linear  # the new layers call themselves in training


def int8_graph(forward: TorchForward, traced: Arrays) -> bytes:
    """The model as an ONNX file with its constant matrices in int8.

    Weights keep 7 bits, because processors without VNNI saturate sums of products of 8 bits: the
    answers would depend on the machine.

    Raises:
        ModelError: It cannot be exported or quantized.
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    require_packages("onnx-int8")
    exported = export_model(forward, traced, folded=True)
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory(prefix="auditkit-") as folder, _unheard():
        made = Path(folder, "model.onnx")
        try:
            quantize_dynamic(
                onnx.load_model_from_string(exported),
                made,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                reduce_range=True,
                weight_type=QuantType.QInt8,
            )
            graph = made.read_bytes()
        except Exception as error:
            raise ModelError(
                f"{forward.name}: ONNX Runtime cannot quantize it: {reason(error)}", USE_TORCH
            ) from error
    if b"MatMulInteger" not in graph:
        raise ModelError(f"{forward.name}: no matrix in it can be quantized.", USE_TORCH)
    return graph


@contextmanager
def _unheard() -> Iterator[None]:
    """ONNX Runtime gives advice through the root logger, and sets that up where nobody has."""
    root, nobody, before = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(nobody)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
        root.removeHandler(nobody)


def _answers(forward: Forward, parts: Parts, ids: list[list[int]]) -> NDArray[np.float64]:
    try:
        return np.concatenate([forward.logits(parts.arrays([one])) for one in ids]).astype(float)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"torch cannot compute the quantized model: {reason(error)}", USE_TORCH
        ) from error


def _some(texts: Sequence[str]) -> list[str]:
    """At most `SAMPLE_TEXTS` distinct texts, drawn by their content and in its order."""
    distinct = {hashlib.sha256(text.encode("utf-8", "replace")).digest(): text for text in texts}
    return [distinct[key] for key in sorted(distinct)[:SAMPLE_TEXTS]]


def _few(ids: Sequence[list[int]]) -> list[list[int]]:
    """The first texts that have any token, as many as have `SAMPLE_TOKENS` together."""
    rows = [one for one in ids if one]
    total = np.cumsum([len(one) for one in rows])
    return rows[: max(1, int((total <= SAMPLE_TOKENS).sum()))]


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return shares
