"""A transformers sequence-classification model, from a folder or a pinned hub commit."""

from __future__ import annotations

import gc
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.config import ModelConfig
from auditkit.cores import available_cores
from auditkit.errors import ConfigError, MissingExtraError, ModelError
from auditkit.model import Capability, Predictions
from auditkit.models.answer_key import device_class, key_of
from auditkit.models.model_folder import ModelFolder, inspect_folder
from auditkit.network import settle_network
from auditkit.prediction_store import PredictionStore

UNSTATED_MAX_LENGTH = 512
"""Tokens when neither the model nor its tokenizer states a limit."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model")
_DTYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
_OFFSET_POSITIONS = frozenset(
    {
        "camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "roberta",
        "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
    }
)  # fmt: skip
"""Model types whose first position is the padding index + 1, so that many positions are unused."""


def load_transformers(
    config: ModelConfig, *, online: bool, store: PredictionStore | None = None
) -> TransformersText:
    """A classifier and its tokenizer, loaded without running anything that came with them.

    A model that is described in the store is loaded only when it is asked something.

    Args:
        config: `path` is a folder, or a hub id with `revision`.
        online: Whether a hub id may be downloaded.
        store: Where an earlier audit may have left its description and answers.

    Raises:
        ConfigError: The folder does not exist, or a hub id is not allowed or not pinned.
        UnsafeModelError: Loading could run code.
        ModelError: The model is damaged, untrained, no classifier, or does not fit its tokenizer.
        MissingExtraError: torch or transformers is not installed.
    """
    settle_network(online=online)
    path = _local_folder(config, online)
    folder = _inspected(path)
    name = (
        path.resolve().name if config.revision is None else f"{config.path}@{config.revision[:7]}"
    )
    return TransformersText(name, folder, config, store)


def _inspected(path: Path) -> ModelFolder:
    try:
        return inspect_folder(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}).") from None


def _local_folder(config: ModelConfig, online: bool) -> Path:
    path = Path(config.path or "").expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise ConfigError(f"{path} is a file; name the folder that holds the model.")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", config.path or ""):
        raise ConfigError(f"{path}: no such folder.")
    if not online:
        raise ConfigError(
            f"model.path = {config.path!r}: no such folder.",
            "If it is a hub id, set online = true and model.revision.",
        )
    if not _COMMIT.fullmatch(config.revision or ""):
        raise ConfigError(
            f"model.revision = {config.revision!r} is not a commit hash of 40 hex digits.",
            "A branch or tag can move; a commit always means the same model.",
        )
    return _download(config.path or "", config.revision or "")


def _download(hub_id: str, revision: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingExtraError("A hub model", "transformers") from None
    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=list(_HUB_FILES)))
    except Exception as error:
        raise ModelError(f"{hub_id}@{revision[:7]}: cannot be downloaded: {error}") from error


@contextmanager
def _without_collection() -> Iterator[None]:
    """Pause garbage collection: it takes a fifth of the time of importing transformers."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is loaded, and how texts are put to it."""

    model: Any
    tokenizer: Any
    modules: list[Any]
    max_length: int
    length_note: str
    pad: int | None
    types: bool


def _load_parts(folder: ModelFolder, config: ModelConfig) -> _Parts:
    with _without_collection():
        model, tokenizer = _load_libraries(folder, config.device)
        _check_weights(model, folder.path)
    max_length, note = _max_length(model.config, tokenizer, config.max_length)
    _check_vocabulary(model, tokenizer, folder.path)
    return _Parts(
        model=model,
        tokenizer=tokenizer,
        modules=list(model.modules()),
        max_length=max_length,
        length_note=note,
        pad=_settle_padding(model.config, tokenizer),
        types=_needs_token_types(tokenizer, folder.path),
    )


def _load_libraries(folder: ModelFolder, device: str) -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError:
        raise MissingExtraError("A transformers model", "transformers") from None
    # The concrete classes come through this lazy module; its parts are only partly typed.
    library: Any = transformers
    _check_task(folder)
    arguments = {"local_files_only": True, "trust_remote_code": False}
    try:
        with _silenced(library.utils.logging):
            tokenizer = library.AutoTokenizer.from_pretrained(str(folder.path), **arguments)
            model, report = library.AutoModelForSequenceClassification.from_pretrained(
                str(folder.path),
                dtype=getattr(torch, _DTYPES[folder.dtype]),
                use_safetensors=True,
                output_loading_info=True,
                **arguments,
            )
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{folder.path}: transformers cannot load it: {reason}") from error
    _check_loaded(folder.path, report)
    model.eval()
    return model.to(_device(torch, device)), tokenizer


@contextmanager
def _silenced(logging: Any) -> Iterator[None]:
    """Keep transformers from drawing progress bars and reports; what matters is checked here."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _check_task(folder: ModelFolder) -> None:
    problem = folder.config.get("problem_type")
    if problem in {"regression", "multi_label_classification"}:
        raise ModelError(
            f"{folder.path}: the model is for {problem.replace('_', ' ')}; auditkit audits "
            "single-label classification."
        )
    if folder.config.get("quantization_config"):
        raise ModelError(
            f"{folder.path}: quantised models are not supported; wrap it as a callable."
        )


def _check_loaded(path: Path, report: dict[str, Any]) -> None:
    missing = sorted(report.get("missing_keys") or ())
    if not missing:
        return
    shown = ", ".join(missing[:4]) + (", …" if len(missing) > 4 else "")
    heads = (
        "classifier",
        "score",
        "pre_classifier",
        "classification_head",
        "logits_proj",
        "pooler",
    )
    if all(any(head in name for head in heads) for name in missing):
        raise ModelError(
            f"{path}: this folder has no trained classification head (missing: {shown}).",
            "It holds a pretrained encoder. Fine-tune it for classification first.",
        )
    raise ModelError(f"{path}: {len(missing)} weights are missing: {shown}.")


def _device(torch: Any, wanted: str) -> str:
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if wanted == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if available[name])
    if not available[wanted]:
        raise ConfigError(
            f"model.device = {wanted!r}: there is no such device here.", 'Use "auto".'
        )
    return wanted


def _check_weights(model: Any, path: Path) -> None:
    import torch

    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            broken = int((~torch.isfinite(weight)).sum())
            raise ModelError(
                f"{path}: {broken} of {weight.numel()} values of the weight {name!r} are NaN or "
                "infinite.",
                "The training diverged or the file is damaged.",
            )


class TransformersText:
    """A classifier; a `TokenModel` whose inputs are texts.

    Texts are tokenised with the model's special tokens, truncated at the end to `max_length`, and
    padded at the end to the longest of their batch. Padding at the end keeps absolute positions
    and causal models exact, whatever side the tokenizer would pad on.

    What it says of itself is taken from the store if it is there; weights and tokenizer are then
    loaded when the first question is asked.
    """

    capabilities = frozenset({Capability.PROBABILITIES, Capability.NEW_INPUTS, Capability.TOKENS})

    def __init__(
        self,
        name: str,
        folder: ModelFolder,
        config: ModelConfig,
        store: PredictionStore | None = None,
    ) -> None:
        self.name = name
        self.digest = folder.digest
        device = device_class(config.device)
        self.answer_key = _answer_key(folder, config, device)
        self.workers = (config.workers or available_cores()) if device == "cpu" else 1
        self._folder, self._config = folder, config
        self._loading = threading.Lock()
        self._parts: _Parts | None = None
        kept = store.of(self.answer_key) if store is not None else None
        said = kept.recall("description") if kept is not None else None
        self._described_before = said is not None
        if said is None:
            said = _describe(folder, self._loaded)
            if kept is not None:
                kept.record("description", said)
        self.class_names: tuple[str, ...] = tuple(said["classes"])
        self.max_length: int = said["max_length"]
        self.assumptions: dict[str, str] = said["assumptions"]

    @property
    def _loaded(self) -> _Parts:
        """Weights and tokenizer, loaded at the first use."""
        with self._loading:
            if self._parts is None:
                folder = self._folder
                if self._described_before and _inspected(folder.path).digest != self.digest:
                    raise ModelError(
                        f"{folder.path} was changed during the audit.", "Run it again."
                    )
                self._parts = _load_parts(folder, self._config)
            return self._parts

    @property
    def _model(self) -> Any:
        return self._loaded.model

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Compute each batch on one core, as long as this lasts. Does nothing on a GPU."""
        if self._loaded.model.device.type != "cpu":
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

    def predict(self, batch: Sequence[Any]) -> Predictions:
        """Answers for a batch of texts."""
        return self.predict_tokens(self.tokenize(batch))

    def tokenize(self, inputs: Sequence[Any]) -> list[list[int]]:
        """Token ids of each text, special tokens included, truncated to `max_length`."""
        texts = _texts(inputs)
        if not texts:
            return []
        encoded = self._loaded.tokenizer(
            texts,
            truncation=True,
            max_length=self.max_length,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        tokens: list[list[int]] = encoded["input_ids"]
        empty = next((i for i, ids in enumerate(tokens) if not ids), None)
        if empty is not None:
            raise ModelError(f"the tokenizer makes no token of {texts[empty][:80]!r}.")
        return tokens

    def truncated(self, inputs: Sequence[Any]) -> int:
        """How many of the texts have more than `max_length` tokens.

        A token stands for at least a byte, so only texts with as many bytes are tokenised.
        """
        long = [
            t for t in _texts(inputs) if len(t.encode("utf-8", "replace")) + 2 > self.max_length
        ]
        if not long:
            return 0
        encoded = self._loaded.tokenizer(long, truncation=False, verbose=False)["input_ids"]
        return sum(len(ids) > self.max_length for ids in encoded)

    def predict_tokens(self, batch: Sequence[list[int]]) -> Predictions:
        """Answers for tokenised texts, padded to the longest of this batch.

        Raises:
            ModelError: The model is in training mode, or answers NaN or infinity.
        """
        if self._loaded.pad is None and len(batch) > 1:
            answers = [self._logits([tokens]) for tokens in batch]
            return Predictions.from_logits(np.concatenate(answers))
        return Predictions.from_logits(self._logits(batch))

    def _logits(self, batch: Sequence[list[int]]) -> NDArray[np.float32]:
        import torch

        parts = self._loaded
        if any(module.training for module in parts.modules):
            raise ModelError(
                f"{self.name} is in training mode, so dropout makes its answers random.",
                "Something called model.train() after loading; an audit must not.",
            )
        longest = max(map(len, batch))
        ids = np.full((len(batch), longest), parts.pad or 0, dtype=np.int64)
        mask = np.zeros((len(batch), longest), dtype=np.int64)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        arrays = {"input_ids": ids, "attention_mask": mask}
        if parts.types:
            arrays["token_type_ids"] = np.zeros_like(ids)
        device = parts.model.device
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
            logits = parts.model(**tensors).logits
        answer: NDArray[np.float32] = logits.float().cpu().numpy()
        return answer


def _answer_key(folder: ModelFolder, config: ModelConfig, device: str) -> str:
    settings = {
        "kind": "transformers text",
        "model": folder.digest,
        "max_length": config.max_length,
        "batch_tokens": config.batch_tokens,
        "dtype": folder.dtype,
        "device": device,
        "backend": "torch",
    }
    return key_of(settings, ("torch", "transformers", "tokenizers"))


def _settle_padding(config: Any, tokenizer: Any) -> int | None:
    """The padding token, told to the model too; None when there is none."""
    pad: int | None = tokenizer.pad_token_id
    if pad is None:
        pad = config.pad_token_id
    if config.pad_token_id is None:
        config.pad_token_id = pad
    return pad


def _needs_token_types(tokenizer: Any, path: Path) -> bool:
    """Whether to pass token types, all 0 as they are for a single text."""
    probe = tokenizer("a", return_token_type_ids=True)
    wanted = "token_type_ids" in tokenizer.model_input_names
    if wanted and any(probe["token_type_ids"]):
        raise ModelError(
            f"{path}: its tokenizer marks a single text with token types other than 0, "
            "which is not supported.",
            "Wrap the model as a callable.",
        )
    return wanted


def _check_vocabulary(model: Any, tokenizer: Any, path: Path) -> None:
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise ModelError(
            f"{path}: the tokenizer has {len(tokenizer)} tokens, but the model embeds only {rows}.",
            "Tokenizer and model do not belong together, or tokens were added without "
            "model.resize_token_embeddings().",
        )


def _describe(folder: ModelFolder, parts: _Parts) -> dict[str, Any]:
    """What can be said of the model only once it is loaded, as JSON can carry it."""
    config, tokenizer = parts.model.config, parts.tokenizer
    classes = _class_names(config, folder.path)
    kept = folder.dtypes == {folder.dtype}
    said = {
        "tokenizer": f"{type(tokenizer).__name__} from the model's folder.",
        "max length": f"Texts are cut after {parts.max_length} tokens ({parts.length_note}).",
        "device": f"{parts.model.device}.",
        "precision": f"{_DTYPES[folder.dtype]}, "
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


def _max_length(config: Any, tokenizer: Any, wanted: int | None) -> tuple[int, str]:
    positions = getattr(config, "max_position_embeddings", None) or 0
    if config.model_type in _OFFSET_POSITIONS:
        positions -= (config.pad_token_id or 0) + 1
    limits = [limit for limit in (tokenizer.model_max_length, positions) if 0 < limit < 10**6]
    if wanted is not None:
        if 0 < positions < wanted:
            raise ConfigError(
                f"model.max_length = {wanted}, but the model has only {positions} positions."
            )
        return wanted, "as configured"
    if not limits:
        return UNSTATED_MAX_LENGTH, "neither model nor tokenizer states a limit"
    return int(min(limits)), "what model and tokenizer allow"


def _listed(folder: ModelFolder) -> str:
    return " and ".join(sorted(_DTYPES[dtype] for dtype in folder.dtypes))
