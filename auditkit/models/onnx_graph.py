"""A torch classifier as an ONNX graph, computed by ONNX Runtime in float32."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import MissingExtraError, ModelError
from auditkit.models.forward import Arrays, TorchForward

OPSET = 17
"""The first one with LayerNormalization, which every supported ONNX Runtime computes."""
SMALLEST_LEFT_OUT = 1024
"""Bytes from which on a weight is left in the model's folder rather than copied into the graph."""

USE_TORCH = 'Leave out model.backend, or set it to "torch".'
"""What to do about a model that ONNX Runtime cannot answer for."""

_exporting = threading.Lock()


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """What a model computes, without the weights that the model's folder holds.

    Attributes:
        proto: A serialised ONNX model.
        weights: Names of the folder's tensors by the graph's name for them.
        whole: SHA-256 of the model with its weights, as it was exported; empty if not known.
    """

    proto: bytes
    weights: dict[str, str]
    whole: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 over all of it."""
        named = "".join(f"{len(k)}:{k}{len(v)}:{v}" for k, v in sorted(self.weights.items()))
        return hashlib.sha256(named.encode() + self.proto).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """The graph as JSON can carry it, compressed."""
        packed = base64.b64encode(zlib.compress(self.proto)).decode("ascii")
        return {"proto": packed, "weights": self.weights}

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> OnnxGraph:
        """What `as_json` was called on."""
        return cls(zlib.decompress(base64.b64decode(said["proto"])), dict(said["weights"]))


def export_graph(forward: TorchForward, arrays: Arrays, weights: Sequence[Path]) -> OnnxGraph:
    """Trace the model on a batch. Rows and tokens of a batch stay free.

    Whether the graph computes the same for other batches is not known before it is tried.

    Args:
        forward: The loaded model.
        arrays: The batch.
        weights: The safetensors files it was loaded from.

    Raises:
        ModelError: torch cannot export it, or it is in training mode before or afterwards.
        MissingExtraError: onnx is not installed.
    """
    exported = export_model(forward, arrays)
    import onnx

    proto = onnx.load_model_from_string(exported)
    return _without_weights(proto, weights, hashlib.sha256(exported).hexdigest())


def export_model(forward: TorchForward, arrays: Arrays, *, folded: bool = False) -> bytes:
    """The model as an ONNX file, its weights inside.

    Args:
        forward: The loaded model.
        arrays: The batch it is traced on.
        folded: Whether weights are stored as they are multiplied, under names of their own.

    Raises:
        ModelError: As `export_graph`.
        MissingExtraError: onnx is not installed.
    """
    try:
        import onnx  # noqa: F401 - torch says less clearly that it is not there
    except ImportError:
        raise MissingExtraError('model.backend = "onnx"', "onnx") from None
    forward.assert_eval()
    try:
        with _exporting, _eager(forward.model), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = _traced(forward.model, arrays, folded)
    except Exception as error:
        raise ModelError(
            f"{forward.name}: cannot be exported to ONNX: {reason(error)}", USE_TORCH
        ) from error
    # torch's exporter has left models in training mode.
    forward.assert_eval()
    return exported


def _traced(model: Any, arrays: Arrays, folded: bool) -> bytes:
    import torch

    class Logits(torch.nn.Module):
        """The model from positional arguments to its logits."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.eval()

        def forward(self, *tensors: Any) -> Any:
            return self.model(**dict(zip(arrays, tensors, strict=True))).logits

    file = io.BytesIO()
    free = {0: "rows", 1: "tokens"}
    # Its stub knows no open files.
    export: Any = torch.onnx.export
    # torch's newer exporter takes ten times as long, needs onnxscript, and its graphs are slower.
    export(
        Logits(),
        tuple(torch.from_numpy(array) for array in arrays.values()),
        file,
        input_names=list(arrays),
        output_names=["logits"],
        dynamic_axes={**dict.fromkeys(arrays, free), "logits": {0: "rows"}},
        opset_version=OPSET,
        # Folding renames weights; ONNX Runtime folds by itself.
        do_constant_folding=folded,
        dynamo=False,
    )
    return file.getvalue()


@contextmanager
def _eager(model: Any) -> Iterator[None]:
    """Attention in single steps, which ONNX Runtime computes faster than what sdpa becomes."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _without_weights(proto: Any, files: Sequence[Path], whole: str) -> OnnxGraph:
    """Replace every weight that the folder holds bit by bit by its name."""
    from onnx import TensorProto, numpy_helper

    names = {_content(array): name for name, array in _float_tensors(files)}
    left_out = {}
    for initializer in proto.graph.initializer:
        array = numpy_helper.to_array(initializer)
        name = names.get(_content(array)) if array.nbytes >= SMALLEST_LEFT_OUT else None
        if name is not None:
            left_out[initializer.name] = name
            for field in ("raw_data", "float_data"):
                initializer.ClearField(field)
            initializer.data_location = TensorProto.EXTERNAL
            initializer.external_data.add(key="location", value="in the model's folder")
    return OnnxGraph(proto.SerializeToString(), left_out, whole)


def _content(array: NDArray[Any]) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest()


def _float_tensors(files: Sequence[Path]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    from safetensors import safe_open

    for file in files:
        with safe_open(file, "numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - safe_open has no iterator
                if tensors.get_slice(name).get_dtype() == "F32":
                    yield name, tensors.get_tensor(name)


class OnnxForward:
    """The forward pass of a graph, in float32, on one core per batch.

    Batches may be asked from several threads at once.

    Args:
        graph: What to compute.
        weights: The safetensors files the graph's weights are in.
        name: What errors call the model.

    Raises:
        ModelError: ONNX Runtime refuses the graph, or it asks for weights that are not there.
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, graph: OnnxGraph, weights: Sequence[Path], name: str) -> None:
        self._name = name
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtraError('model.backend = "onnx"', "onnx") from None
        # Builds for Windows send some otherwise.
        onnxruntime.disable_telemetry_events()
        tensors = dict(_float_tensors(weights))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what is fatal; the rest is raised
        try:
            # Kept, because ONNX Runtime computes with the memory of these arrays.
            self._weights = {
                name: onnxruntime.OrtValue.ortvalue_from_numpy(tensors[kept])
                for name, kept in graph.weights.items()
            }
            if self._weights:
                options.add_external_initializers(list(self._weights), list(self._weights.values()))
            self._session = onnxruntime.InferenceSession(
                graph.proto, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise self._refused(error) from error

    def logits(self, arrays: Arrays) -> NDArray[np.float32]:
        """Logits of shape (rows, classes).

        Raises:
            ModelError: ONNX Runtime cannot compute the batch.
        """
        try:
            answer: NDArray[np.float32] = self._session.run(["logits"], arrays)[0]
        except Exception as error:
            raise self._refused(error) from error
        return answer

    def one_core(self) -> AbstractContextManager[None]:
        """Does nothing: a batch is always computed on one core."""
        return nullcontext()

    def _refused(self, error: Exception) -> ModelError:
        return ModelError(
            f"{self._name}: ONNX Runtime cannot compute the exported model: {reason(error)}",
            USE_TORCH,
        )


def reason(error: Exception) -> str:
    """The first line of what an error says, cut where it is long."""
    first: str = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return first if len(first) <= 200 else f"{first[:200]}…"
