"""A transformers sequence-classification model, from a folder or a pinned hub commit."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from auditkit.config import ModelConfig
from auditkit.cores import available_cores
from auditkit.errors import ConfigError, ModelError
from auditkit.model import TOKENIZED_INPUTS, Capability, Head, Predictions
from auditkit.models.answer_key import device_class, key_of
from auditkit.models.forward import Parts, TorchForward
from auditkit.models.int8_backend import Int8Backend
from auditkit.models.model_folder import ModelFolder
from auditkit.models.onnx_backend import PACKAGES, OnnxBackend
from auditkit.models.onnx_graph import USE_TORCH
from auditkit.models.tokens import LoadedTokens
from auditkit.models.transformers_loading import (
    DTYPES,
    Loaded,
    as_run,
    inspected,
    load_parts,
    local_folder,
)
from auditkit.models.variants import VariantMaker
from auditkit.models.white_box import WhiteBox
from auditkit.network import settle_network
from auditkit.prediction_store import KeptAnswers, PredictionStore
from auditkit.run_as import FILE_NAME, QUANTIZED, RunAs


def load_transformers(
    config: ModelConfig,
    *,
    online: bool,
    store: PredictionStore | None = None,
    texts: Sequence[str] = (),
) -> TransformersText:
    """A classifier and its tokenizer, loaded without running anything that came with them.

    A model that is described in the store is loaded only when it is asked something.

    Args:
        config: `path` is a folder, or a hub id with `revision`.
        online: Whether a hub id may be downloaded.
        store: Where an earlier audit may have left its description and answers.
        texts: What the model will be asked, on some of which another backend than torch is
            compared with torch.

    Raises:
        ConfigError: The folder does not exist, a hub id is not allowed or not pinned, or the
            backend is not for this model.
        UnsafeModelError: Loading could run code.
        ModelError: The model is damaged, untrained, no classifier, or does not fit its tokenizer;
            or the backend does not answer as torch does.
        MissingExtraError: torch, transformers or what the backend needs is not installed.
    """
    settle_network(online=online)
    path = local_folder(config, online)
    folder = inspected(path)
    name = (
        path.resolve().name if config.revision is None else f"{config.path}@{config.revision[:7]}"
    )
    config = as_run(config, online)
    if config.backend != "torch":
        _check_precision(folder, config.backend)
        config = config.model_copy(update={"device": "cpu"})
    return TransformersText(name, folder, config, store, texts)


def _check_precision(folder: ModelFolder, backend: str) -> None:
    if folder.dtype != "F32":
        raise ConfigError(
            f'model.backend = "{backend}" starts from float32, and {folder.path} is '
            f"{DTYPES[folder.dtype]}: in another precision it would be another model.",
            USE_TORCH,
        )


class OtherBackend(Protocol):
    """What answers for a model besides torch as it loads it."""

    def recall_note(self) -> str | None:
        """What an earlier comparison with torch showed, if it holds here."""

    def recall_parts(self) -> Parts | None:
        """The model of that comparison, ready without torch; None if it is not kept."""

    def make(
        self, tokenizer: Any, parts: Parts, torch: TorchForward, max_length: int
    ) -> tuple[Parts, str]:
        """The model as this answers, and what a comparison with torch shows."""


def _other_backend(
    name: str,
    folder: ModelFolder,
    backend: str,
    kept: KeptAnswers | None,
    texts: Sequence[str],
) -> OtherBackend | None:
    if backend == "onnx":
        return OnnxBackend(name, folder, kept, texts)
    return Int8Backend(name, folder, backend, kept, texts) if backend in QUANTIZED else None


_CAPABILITIES = frozenset({Capability.PROBABILITIES, Capability.NEW_INPUTS, Capability.TOKENS})


class TransformersText:
    """A classifier; a `TokenModel` whose inputs are texts.

    Texts are tokenised with the model's special tokens, truncated at the end to `max_length`, and
    padded at the end to the longest of their batch. Padding at the end keeps absolute positions
    and causal models exact, whatever side the tokenizer would pad on.

    What it says of itself is taken from the store if it is there; weights and tokenizer are then
    loaded when the first question is asked.
    """

    def __init__(
        self,
        name: str,
        folder: ModelFolder,
        config: ModelConfig,
        store: PredictionStore | None = None,
        texts: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.digest = _digest(folder, config.backend)
        device = device_class(config.device)
        self.answer_key = _answer_key(folder, config, device)
        self.workers = (config.workers or available_cores()) if device == "cpu" else 1
        self._folder, self._config = folder, config
        self._loading = threading.Lock()
        self._parts: Parts | None = None
        kept = store.of(self.answer_key) if store is not None else None
        self._other = _other_backend(name, folder, config.backend, kept, _texts(texts))
        said = kept.recall("description") if kept is not None else None
        if said is not None and "white_box" not in said:
            said = None  # it was described before this was
        note = self._other.recall_note() if self._other is not None else _not_as_run(folder)
        if said is None or note is None:
            said, note = self._load()
            if kept is not None:
                kept.record("description", said)
        self.class_names: tuple[str, ...] = tuple(said["classes"])
        self.max_length: int = said["max_length"]
        self.assumptions: dict[str, str] = said["assumptions"] | ({"backend": note} if note else {})
        self.embedding_width: int = said["embedding_width"]
        embeds = {Capability.EMBEDDINGS} if self.embedding_width else set()
        shows = {Capability.WHITE_BOX} if said["white_box"] else set()
        self.capabilities = _CAPABILITIES | embeds | shows

    @property
    def folder(self) -> Path:
        """Where it was loaded from."""
        return self._folder.path

    @property
    def _loaded(self) -> Parts:
        """Weights and tokenizer, loaded at the first use."""
        with self._loading:
            if self._parts is None:
                if inspected(self._folder.path).digest != self._folder.digest:
                    raise ModelError(
                        f"{self._folder.path} was changed during the audit.", "Run it again."
                    )
                if self._other is not None:
                    self._parts = self._other.recall_parts()
            if self._parts is None:
                self._load()
            assert self._parts is not None
            return self._parts

    def _load(self) -> tuple[dict[str, Any], str]:
        """Load everything; what can be said of the model only then, and of its backend."""
        loaded = load_parts(self._folder, self._config)
        said = _describe(self._folder, loaded)
        said["white_box"] = self._other is None and bool(loaded.tokenizer.is_fast)
        forward = TorchForward(loaded.model, self.name)
        parts = Parts(LoadedTokens(loaded.tokenizer), forward, loaded.pad, loaded.types)
        said["embedding_width"], said["assumptions"]["embeddings"] = (
            _embeddings(forward, parts, loaded.max_length)
            if self._other is None
            else (0, f"None: {_GIVES[self._config.backend]}")
        )
        if self._config.backend in QUANTIZED:
            said["assumptions"]["precision"] = "int8 linear layers, the rest float32."
        note = _not_as_run(self._folder)
        if self._other is not None:
            parts, note = self._other.make(loaded.tokenizer, parts, forward, loaded.max_length)
        self._parts = parts
        return said, note

    def asking(self) -> AbstractContextManager[None]:
        """Compute each batch on one core, as long as this lasts. Does nothing on a GPU."""
        return self._loaded.forward.one_core()

    def predict(self, batch: Sequence[Any]) -> Predictions:
        """Answers for a batch of texts."""
        return self.predict_tokens(self.tokenize(batch))

    def tokenize(self, inputs: Sequence[Any]) -> list[list[int]]:
        """Token ids of each text, special tokens included, truncated to `max_length`."""
        texts = _texts(inputs)
        if not texts:
            return []
        tokens = self._loaded.tokens.ids(texts, self.max_length)
        empty = next((i for i, ids in enumerate(tokens) if not ids), None)
        if empty is not None:
            raise ModelError(f"the tokenizer makes no token of {texts[empty][:80]!r}.")
        return tokens

    def truncated(self, inputs: Sequence[Any]) -> int:
        """How many of the texts have more than `max_length` tokens.

        A token stands for at least a byte, so only texts with as many bytes are tokenised.
        """
        long = [t for t in _texts(inputs) if _may_be_cut(t, self.max_length)]
        count = 0
        for start in range(0, len(long), TOKENIZED_INPUTS):  # what a tokenizer returns is large
            part = long[start : start + TOKENIZED_INPUTS]
            count += sum(len(ids) > self.max_length for ids in self._loaded.tokens.ids(part, None))
        return count

    def predict_tokens(self, batch: Sequence[Sequence[int]]) -> Predictions:
        """Answers for tokenised texts, padded to the longest of this batch.

        Raises:
            ModelError: The model is in training mode, or answers NaN or infinity.
        """
        return Predictions.from_logits(self.logits_of_tokens(batch))

    def logits_of_tokens(self, batch: Sequence[Sequence[int]]) -> NDArray[Any]:
        """Logits of tokenised texts, padded to the longest of this batch.

        Raises:
            ModelError: The model is in training mode.
        """
        return self._loaded.logits(batch)

    def embed(self, batch: Sequence[Any]) -> NDArray[np.float32]:
        """What the classification head reads of each text, shape (n, embedding_width)."""
        return self.embed_tokens(self.tokenize(batch))

    def embed_tokens(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """What the classification head reads of each tokenised text.

        Raises:
            ModelError: The model is in training mode, gives no embeddings, or gives NaN.
        """
        parts, forward = self._loaded, self._torch()
        alone = parts.pad is None and len(batch) > 1
        batches = [[tokens] for tokens in batch] if alone else [batch]
        return np.concatenate([forward.embedding(parts.arrays(one)) for one in batches])

    def head(self) -> Head:
        """The last linear layer, by which the logits are made of an embedding.

        Raises:
            ModelError: The model has no such layer, or this backend does not show it.
        """
        return self._torch().head.layer

    def text_tokenizer(self) -> Any | None:
        """The tokenizer of transformers; None with ONNX Runtime, which needs less of it."""
        tokens = self._loaded.tokens
        return tokens.tokenizer if isinstance(tokens, LoadedTokens) else None

    def characters_read(self, text: str) -> int:
        """How many characters from the start are read; the rest is cut off."""
        if not _may_be_cut(text, self.max_length):
            return len(text)
        tokens, texts = self._loaded.tokens, _texts([text])
        if len(tokens.ids(texts, None)[0]) <= self.max_length:
            return len(text)
        return max(end for _, end in tokens.spans(texts[0], self.max_length))

    def white_box(self) -> WhiteBox:
        """The inside of the model.

        Raises:
            ModelError: This backend does not show it.
        """
        self._torch()
        return WhiteBox(self._loaded, self.max_length, self)

    def variants(self) -> VariantMaker:
        """Makes variants of this model to be timed beside it, each on a copy."""
        return VariantMaker(self, lambda: self._loaded, self._folder, self._config)

    def _torch(self) -> TorchForward:
        forward = self._loaded.forward
        if self._other is not None or not isinstance(forward, TorchForward):
            raise ModelError(
                f"{self.name} gives neither embeddings nor gradients with this backend.", USE_TORCH
            )
        return forward


def _may_be_cut(text: str, max_length: int) -> bool:
    """Whether a text may have more tokens: each stands for at least a byte."""
    return len(text.encode("utf-8", "replace")) + 2 > max_length


def _embeddings(forward: TorchForward, parts: Parts, max_length: int) -> tuple[int, str]:
    """Numbers of an embedding, 0 where there are none; and where they are read, or why not."""
    tokens = [ids for ids in parts.tokens.ids(["a", "a b c"], max_length) if ids]
    try:
        for ids in tokens:
            forward.embedding(parts.arrays([ids]))
    except ModelError as error:
        return 0, f"None: {error.message}"
    if not tokens:
        return 0, "None: the tokenizer makes no token of the texts this was tried on."
    head = forward.head
    return head.width, f"{head.width} numbers per text, the input of the layer {head.name}."


_GIVES = {
    "onnx": "ONNX Runtime gives only the logits.",
    "onnx-int8": "ONNX Runtime gives only the logits.",
    "int8": "the layer that reads them is quantized.",
}


def _digest(folder: ModelFolder, backend: str) -> str:
    """Of the model that answers: quantized, it is another than the one that is saved."""
    if backend not in QUANTIZED:
        return folder.digest
    return hashlib.sha256(f"{folder.digest} {backend}".encode()).hexdigest()


def _not_as_run(folder: ModelFolder) -> str:
    """What a reader must know of a folder whose saved weights are audited; empty as a rule."""
    said = RunAs.of(folder.path)
    if said is None:
        return ""
    return (
        f"torch, because the configuration says so. {FILE_NAME} in the folder says that the model "
        f"is run as {said.backend}, which is not what was audited."
    )


def _answer_key(folder: ModelFolder, config: ModelConfig, device: str) -> str:
    settings = {
        "kind": "transformers text",
        "model": folder.digest,
        "max_length": config.max_length,
        "batch_tokens": config.batch_tokens,
        "dtype": folder.dtype,
        "device": device,
        "backend": config.backend,
    }
    packages = PACKAGES if config.backend in {"onnx", "onnx-int8"} else ()
    return key_of(settings, ("torch", "transformers", "tokenizers", *packages))


def _describe(folder: ModelFolder, parts: Loaded) -> dict[str, Any]:
    """What can be said of the model only once it is loaded, as JSON can carry it."""
    config, tokenizer = parts.model.config, parts.tokenizer
    classes = _class_names(config, folder.path)
    kept = folder.dtypes == {folder.dtype}
    said = {
        "tokenizer": f"{type(tokenizer).__name__} from the model's folder.",
        "max length": f"Texts are cut after {parts.max_length} tokens ({parts.length_note}).",
        "device": f"{parts.model.device}.",
        "precision": f"{DTYPES[folder.dtype]}, "
        + ("as saved." if kept else f"to which weights saved as {_listed(folder)} are widened."),
        "attention": f"{config._attn_implementation}.",
        "classes": ", ".join(f"{i} = {name}" for i, name in enumerate(classes)) + ".",
    }
    if parts.pad is None:
        said["padding"] = "The model has no padding token, so it is asked one text at a time."
    elif tokenizer.pad_token_id is None:
        said["padding"] = f"The tokenizer has no padding token; the model's, {parts.pad}, is used."
    elif tokenizer.padding_side != "right":
        said["padding"] = "Padded at the end, where it cannot move positions."
    return {"classes": classes, "max_length": parts.max_length, "assumptions": said}


def _texts(inputs: Sequence[Any]) -> list[str]:
    for position, text in enumerate(inputs):
        if not isinstance(text, str):
            raise ModelError(f"input {position} is not a text but {type(text).__name__}.")
    # The tokenizers take no half of a surrogate pair.
    return [t if t.isascii() else t.encode("utf-8", "replace").decode() for t in inputs]


def _class_names(config: Any, path: Path) -> tuple[str, ...]:
    if config.num_labels < 2:
        raise ModelError(
            f"{path}: the model has one output (regression); auditkit audits classifiers.",
            "Wrap it as a callable that returns a probability per class.",
        )
    names = tuple(str(config.id2label.get(i, i)) for i in range(config.num_labels))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ModelError(f"{path}: id2label in config.json names two classes {twice[0]!r}.")
    return names


def _listed(folder: ModelFolder) -> str:
    return " and ".join(sorted(DTYPES[dtype] for dtype in folder.dtypes))
