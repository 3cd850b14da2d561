"""Makes the ONNX form of a model, checks it against torch, and keeps it for the next audit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from auditkit.errors import MissingExtraError
from auditkit.models.answer_key import installed_version
from auditkit.models.forward import Arrays, Parts, TorchForward
from auditkit.models.graph_file import GraphFile
from auditkit.models.model_folder import ModelFolder
from auditkit.models.onnx_agreement import batches, compare, pick, thin
from auditkit.models.onnx_graph import OnnxForward, OnnxGraph, export_graph
from auditkit.models.tokens import BareTokens, written_tokenizer
from auditkit.prediction_store import KeptAnswers

PACKAGES = ("onnx", "onnxruntime")
MOST_KEPT = 8_000_000
"""Bytes of a graph from which on it is not kept: it holds weights that the folder does not."""

_DRAWN_TOKENS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)


class OnnxBackend:
    """The ONNX form of one model.

    What is kept is the graph, the tokenizer, and what the comparison with torch showed, which is
    valid for this graph and these texts only. The weights stay in the model's folder.

    Args:
        name: What errors call the model.
        folder: The model's folder.
        kept: What earlier audits left of the model.
        texts: What the model will be asked. Some of it is used to compare, besides random words.
    """

    def __init__(
        self, name: str, folder: ModelFolder, kept: KeptAnswers | None, texts: Sequence[str]
    ) -> None:
        self._name = name
        self._folder = folder
        self._kept = kept
        self._texts = pick(texts)
        self._file = GraphFile(folder.path, "onnx")
        self._compared = ""

    def recall_note(self) -> str | None:
        """What an earlier comparison on these texts showed."""
        said = self._recall(self._topic)
        if said is None:
            return None
        self._compared = said["graph"]
        note: str = said["note"]
        return note

    def recall_parts(self) -> Parts | None:
        """The very graph of the recalled note, ready without torch; None if it is not kept."""
        said, written = self._recall("onnx graph"), self._recall("onnx tokenizer")
        if said is None or written is None:
            return None
        graph = OnnxGraph.from_json(said)
        if graph.digest != self._compared:
            return None
        forward = OnnxForward(graph, self._folder.weights, self._name)
        return Parts(BareTokens(written["tokens"]), forward, written["pad"], written["types"])

    def make(
        self, tokenizer: Any, parts: Parts, torch: TorchForward, max_length: int
    ) -> tuple[Parts, str]:
        """Export the loaded model, compare, and keep what was made.

        Args:
            tokenizer: The tokenizer of transformers.
            parts: The model as torch answers.
            torch: Its forward pass.
            max_length: Tokens a text is cut after.

        Returns:
            The model as ONNX Runtime answers, and what the comparison showed.

        Raises:
            ModelError: It cannot be exported, or not without changing its answers; or the folder
                has a graph of its own that is not what its weights come to.
            MissingExtraError: onnx or onnxruntime is not installed.
        """
        require_packages("onnx")
        texts = [*self._texts, *drawn_texts(tokenizer)]
        ids = parts.tokens.ids(texts, max_length)
        told = thin(ids[: len(self._texts)])
        asked = batches([*told, *filter(None, ids[len(self._texts) :])], parts)
        traced = traced_batch(tokenizer, parts, max_length)
        graph = export_graph(torch, traced, self._folder.weights)
        self._file.require(graph.whole)
        forward = OnnxForward(graph, self._folder.weights, self._name)
        agreement = compare(self._name, torch, forward, asked)
        version = installed_version("onnxruntime")
        note = f"ONNX Runtime {version}, float32. {agreement.sentence()} " + (
            f"{len(told)} of the texts are from the data, the others are random words."
            if told
            else "The texts are random words."
        )
        note += self._file.sentence()
        self._record(self._topic, {"note": note, "graph": graph.digest})
        if len(graph.proto) <= MOST_KEPT:
            self._record("onnx graph", graph.as_json())
        written = written_tokenizer(tokenizer)
        # Kept only if by itself it makes the same of the texts.
        if written is not None and BareTokens(written).ids(texts, max_length) == ids:
            asking = {"tokens": written, "pad": parts.pad, "types": parts.types}
            self._record("onnx tokenizer", asking)
        return replace(parts, forward=forward), note

    @property
    def _topic(self) -> str:
        texts = hashlib.sha256(json.dumps(self._texts).encode()).hexdigest()
        return f"onnx agreement {texts}{self._file.digest}"

    def _record(self, topic: str, value: Any) -> None:
        if self._kept is not None:
            self._kept.record(topic, value)

    def _recall(self, topic: str) -> Any:
        return self._kept.recall(topic) if self._kept is not None else None


def require_packages(backend: str) -> None:
    """Refuse to go on without what ONNX needs.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    for package in PACKAGES:
        if installed_version(package) is None:
            raise MissingExtraError(f'model.backend = "{backend}"', "onnx")


def traced_batch(tokenizer: Any, parts: Parts, max_length: int) -> Arrays:
    """What a model is traced on, whatever it will be asked: its graph is always the same."""
    ids = parts.tokens.ids(drawn_texts(tokenizer), max_length)
    return batches([*filter(None, ids)], parts)[0]


def drawn_texts(tokenizer: Any) -> list[str]:
    """Random words of several lengths, the same ones every time."""
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(tokenizer), size=n).tolist() for n in _DRAWN_TOKENS]
    texts: list[str] = [tokenizer.decode(ids, skip_special_tokens=True) for ids in drawn]
    return texts
