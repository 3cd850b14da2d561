"""The same model, computed by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

from auditkit.check import NoParams
from auditkit.remedy import RemedyContext, remedy

from ._faster import tell_moved


@remedy(
    "latency.onnx",
    title="Compute the model by ONNX Runtime, in float32",
    improves=("latency",),
    needs=(),
    params=NoParams,
    extras=("onnx", "onnxruntime"),
)
def onnx(context: RemedyContext, _: NoParams) -> Path:
    """Exports the model for ONNX Runtime, which computes the same faster.

    What it does:
        The folder keeps its weights and gets model.onnx. auditkit-run.json says that the model is
        run by ONNX Runtime, and `auditkit run` obeys; README.md shows the few lines that load it
        so without auditkit. Before it is audited, torch and ONNX Runtime answer some of the data's
        texts, and a difference that rounding does not explain stops the audit. Nothing is trained.

    When to use it:
        First of all: it changes no answer, and short texts on a CPU take about half the time.

    What it costs:
        Seconds, and a second copy of the weights on the disk.

    Limits of this remedy:
        On the CPU, in float32. Long texts and large batches gain little. Embeddings and gradients
        are not shown, so checks that need them do not run on it. The audit makes the graph from
        the weights again and compares it with model.onnx byte for byte, which holds for one
        version of torch and onnx. What is gained shows `latency.regression`, where it is asked
        for: it times the original and this in turn.

    References:
        ONNX Runtime, https://onnxruntime.ai.
    """
    folder = context.run_by("onnx")
    tell_moved(context, folder)
    return folder
