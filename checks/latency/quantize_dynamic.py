"""Linear layers in int8."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from auditkit.remedy import RemedyContext, remedy

from ._faster import tell_moved


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters of `latency.quantize-dynamic`."""

    engine: Literal["torch", "onnx"] = "torch"
    """What computes the model: torch's dynamic quantization, or ONNX Runtime's."""


@remedy(
    "latency.quantize-dynamic",
    title="Compute the linear layers in int8",
    improves=("latency",),
    needs=(),
    params=Params,
)
def quantize_dynamic(context: RemedyContext, params: Params) -> Path:
    """Rounds the weights of the linear layers to int8, and what they are given as it comes.

    What it does:
        The weights in the folder stay as they are. auditkit-run.json beside them says that the
        model is run quantized, and `auditkit run` obeys; README.md shows the few lines that load
        it so without auditkit. With engine torch, torch quantizes the linear layers when the
        model is loaded. With engine onnx, the folder also holds model_quantized.onnx for ONNX
        Runtime. Each output of a layer has a scale of its own. Nothing is trained.

    When to use it:
        When a model on a CPU is too slow for single requests, and no data is there to train with.

    What it costs:
        Seconds. The quantized model is another model: read in the comparison what it does to each
        group and to texts with noise. Few flips overall can be many in one group, because rounding
        turns the answers the model was least sure of.

    Limits of this remedy:
        On the CPU only. What a layer is given has one scale for all texts asked together, so an
        answer depends on its batch; auditkit asks one text at a time, and a server that does not
        gets other answers than were audited. torch's int8 can differ between kinds of processors;
        for ONNX Runtime weights keep 7 bits, which every processor computes alike. Embeddings and
        gradients are not shown, so checks that need them do not run on it. Word embeddings stay
        float32. What is gained shows `latency.regression`, where it is asked for: it times the
        original and the quantized model in turn.

    References:
        Jacob et al. 2018, Quantization and training of neural networks for efficient
        integer-arithmetic-only inference; Hooker et al. 2020, Characterising bias in compressed
        models.
    """
    folder = context.run_by("int8" if params.engine == "torch" else "onnx-int8")
    tell_moved(context, folder)
    return folder
