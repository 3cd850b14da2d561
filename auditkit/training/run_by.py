"""A folder with a model as it is, that says by what it is run and shows how without auditkit."""

from __future__ import annotations

import shutil
from pathlib import Path

from auditkit.config import ModelConfig
from auditkit.models.forward import Parts, TorchForward
from auditkit.models.graph_file import installed_versions
from auditkit.models.int8_backend import int8_graph, int8_model
from auditkit.models.onnx_backend import require_packages, traced_batch
from auditkit.models.onnx_graph import export_model
from auditkit.models.tokens import LoadedTokens
from auditkit.models.transformers_loading import Loaded, inspected, load_parts
from auditkit.remedy import RemedyError
from auditkit.run_as import FILE_NAME, GRAPHS, RunAs

README = "README.md"
_COPIED = frozenset({".safetensors", ".json", ".txt", ".model", ".jinja", ".tiktoken"})

_TORCH = """
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForSequenceClassification.from_pretrained(".").eval()
model = torch.ao.quantization.quantize_dynamic(
    model, {torch.nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
)

def logits(text):
    inputs = tokenizer(text, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
    with torch.inference_mode():
        return model(**inputs).logits[0].numpy()
"""
_ONNX = """
import onnxruntime
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
session = onnxruntime.InferenceSession("GRAPH", providers=["CPUExecutionProvider"])

def logits(text):
    inputs = tokenizer(text, truncation=True, max_length=MAX_LENGTH, return_tensors="np")
    given = {one.name: inputs[one.name] for one in session.get_inputs()}
    return session.run(["logits"], given)[0][0]
"""
_SAID = {
    "onnx": "ONNX Runtime in float32, from model.onnx",
    "int8": "torch, its linear layers quantized to int8 when it is loaded",
    "onnx-int8": "ONNX Runtime, quantized to int8, from model_quantized.onnx",
}
_ALONE = """
Ask it one text at a time, as it was audited: what the layers are given is rounded with one scale
for all that is asked together, so in a batch a text can get another answer.
"""


def run_by(config: ModelConfig, backend: str, folder: Path) -> Path:
    """Write a model folder that says by which backend it is run.

    The saved weights are those of the model in `config.path`; besides them the folder has the
    file that auditkit obeys, the graph for ONNX Runtime, and lines of Python in README.md.

    Args:
        config: Where the model is.
        backend: One of `auditkit.run_as.BACKENDS`.
        folder: The new folder; what was there is removed.

    Raises:
        RemedyError: The weights are not float32.
        ModelError: The model cannot be exported or quantized.
        MissingExtraError: What the backend needs is not installed.
    """
    source = inspected(Path(config.path or ""))
    if source.dtype != "F32":
        raise RemedyError(
            f"{source.path} is saved in another precision than float32, from which it would be "
            "quantized or exported.",
            "Save it in float32 first: model.float().save_pretrained(folder).",
        )
    loaded = load_parts(source, config.model_copy(update={"device": "cpu"}))
    made = _graph(loaded, source.path.name, backend)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in source.path.iterdir():
        if file.is_file() and (file.suffix in _COPIED or file.name == README):
            shutil.copyfile(file, folder / file.name)
    if made is not None:
        (folder / GRAPHS[backend]).write_bytes(made)
    text = RunAs(backend, installed_versions()).to_json()
    (folder / FILE_NAME).write_text(text, encoding="utf-8")
    with (folder / README).open("a", encoding="utf-8") as stream:
        stream.write(_readme(backend, loaded.max_length))
    return folder


def is_outdated(folder: Path) -> bool:
    """Whether a folder was made with other versions of the packages than are installed."""
    said = RunAs.of(folder)
    return said is not None and dict(said.made_with) != installed_versions()


def _graph(loaded: Loaded, name: str, backend: str) -> bytes | None:
    """What ONNX Runtime loads; None where torch computes."""
    if backend == "int8":
        int8_model(loaded.model)  # refused now rather than in the audit
        return None
    require_packages(backend)
    forward = TorchForward(loaded.model, name)
    parts = Parts(LoadedTokens(loaded.tokenizer), forward, loaded.pad, loaded.types)
    traced = traced_batch(loaded.tokenizer, parts, loaded.max_length)
    return export_model(forward, traced) if backend == "onnx" else int8_graph(forward, traced)


def _readme(backend: str, max_length: int) -> str:
    code = _TORCH if backend == "int8" else _ONNX.replace("GRAPH", GRAPHS[backend])
    code = code.strip().replace("MAX_LENGTH", str(max_length))
    alone = "" if backend == "onnx" else _ALONE
    return (
        "\n# How this model is run\n\n"
        f"By {_SAID[backend]}. {FILE_NAME} tells auditkit so. Without auditkit, in this folder:\n\n"
        f"```python\n{code}\n```\n{alone}"
    )
