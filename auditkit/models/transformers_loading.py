"""Finds, checks and loads the classifier and the tokenizer of a model folder."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditkit.config import ModelConfig
from auditkit.errors import ConfigError, MissingExtraError, ModelError
from auditkit.models.model_folder import ModelFolder, inspect_folder
from auditkit.run_as import FILE_NAME, RunAs

UNSTATED_MAX_LENGTH = 512
"""Tokens when neither the model nor its tokenizer states a limit."""

DTYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
"""Floating types by the names safetensors gives them."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model")
_OFFSET_POSITIONS = frozenset(
    {
        "camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "roberta",
        "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
    }
)  # fmt: skip
"""Model types whose first position is the padding index + 1, so that many positions are unused."""


def inspected(path: Path) -> ModelFolder:
    """The folder's description, if nothing in it is suspicious.

    Raises:
        UnsafeModelError: Loading it could run code.
        ModelError: A file is missing, damaged or unreadable.
    """
    try:
        return inspect_folder(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}).") from None


def local_folder(config: ModelConfig, online: bool) -> Path:
    """The folder that `config.path` names, downloaded first if it is a hub id.

    Raises:
        ConfigError: There is no such folder, or a hub id is not allowed or not pinned.
        ModelError: The download fails.
        MissingExtraError: The hub's package is not installed.
    """
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


def as_run(config: ModelConfig, online: bool) -> ModelConfig:
    """The settings with the backend that the model's folder names, unless they name one.

    Raises:
        ConfigError: As `local_folder`, or the backend is not for the device.
        ModelError: The file in the folder is damaged or says what is not known.
    """
    if config.path is None or "backend" in config.model_fields_set:
        return config
    path = local_folder(config, online)
    said = RunAs.of(path)
    if said is None:
        return config
    if config.device not in {"auto", "cpu"}:
        raise ConfigError(
            f'{path / FILE_NAME} names the backend "{said.backend}", which is for the CPU, not for '
            f'model.device = "{config.device}".',
            'Leave out model.device, or set model.backend = "torch" to audit the saved weights.',
        )
    return config.model_copy(update={"backend": said.backend})


def in_folder(config: ModelConfig, folder: Path) -> ModelConfig:
    """The settings for the model in another folder, which may say by what it is run.

    Raises:
        ModelError: It says so in a way that is not known.
    """
    update: dict[str, Any] = {"path": str(folder), "revision": None}
    said = RunAs.of(folder)
    if said is not None:
        update |= {"backend": said.backend, "device": "cpu"}
    return config.model_copy(update=update)


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
class Loaded:
    """What is loaded, and how texts are put to it."""

    model: Any
    tokenizer: Any
    max_length: int
    length_note: str
    pad: int | None
    types: bool


def load_parts(folder: ModelFolder, config: ModelConfig) -> Loaded:
    """Load weights and tokenizer, without running anything that came with them.

    Raises:
        ModelError: The model is damaged, untrained, no classifier, or does not fit its tokenizer.
        ConfigError: The device does not exist, or `max_length` is more than the model has.
        MissingExtraError: torch or transformers is not installed.
    """
    with _without_collection():
        model, tokenizer = _load_libraries(folder, config.device)
        _check_weights(model, folder.path)
    max_length, note = _max_length(model.config, tokenizer, config.max_length)
    _check_vocabulary(model, tokenizer, folder.path)
    return Loaded(
        model=model,
        tokenizer=tokenizer,
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
        with silenced(library.utils.logging):
            tokenizer = library.AutoTokenizer.from_pretrained(str(folder.path), **arguments)
            model, report = library.AutoModelForSequenceClassification.from_pretrained(
                str(folder.path),
                dtype=getattr(torch, DTYPES[folder.dtype]),
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
def silenced(logging: Any) -> Iterator[None]:
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
