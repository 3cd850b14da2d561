"""Looks through a model folder before any library opens it: nothing in it may run code."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditkit.errors import ModelError, UnsafeModelError
from auditkit.group_thresholds import FILE_NAME as THRESHOLDS
from auditkit.group_thresholds import digest_with
from auditkit.run_as import FILE_NAME as RUN_AS
from auditkit.run_as import GRAPHS

MAX_JSON = 16_000_000
"""Most bytes of a config file; real ones have a few thousand."""

CODE_KEYS = frozenset(
    {
        "_attn_implementation_internal",
        "_experts_implementation_internal",
        "auto_map",
        "custom_generate",
        "custom_pipelines",
        "trust_remote_code",
    }
)
"""Config keys by which a model folder can have code fetched or run."""

_VOCABULARIES = frozenset({"tokenizer.json", "vocab.json", "added_tokens.json"})
_PICKLED = frozenset(
    {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".h5", ".keras"}
)
_TRAINING_STATE = ("training_args", "optimizer", "scheduler", "rng_state", "scaler")
_READ = frozenset({".safetensors", ".json", ".txt", ".model", ".jinja", ".tiktoken"})
_BY_PRODUCTS = ("trainer_state.json", "all_results.json", "train_results.json", "eval_results.json")
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")

_FLOAT_WIDTHS = {"F16": 16, "BF16": 16, "F32": 32, "F64": 64}
_OTHER_DTYPES = frozenset({"I64", "I32", "I16", "I8", "U8", "BOOL"})


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model folder in which nothing suspicious was found.

    Attributes:
        path: The folder.
        config: Content of `config.json`.
        dtype: The widest floating type among the weights, as safetensors writes it ("F32").
        dtypes: Every floating type among the weights.
        digest: SHA-256 over the sorted names and SHA-256 digests of weights, configs and
            tokenizer files. Links are followed: the content counts.
        weights: The safetensors files.
        thresholds: The file of thresholds by group that goes with the model, if there is one. It
            changes no score of the model, so `digest` leaves it out.
        run_as: The file that says how the model is run, if there is one, and the graphs beside it.
            They are not the saved weights, so `digest` leaves them out, too.
    """

    path: Path
    config: Mapping[str, Any]
    dtype: str
    dtypes: frozenset[str]
    digest: str
    weights: tuple[Path, ...]
    thresholds: Path | None = None
    run_as: tuple[Path, ...] = ()

    @property
    def whole_digest(self) -> str:
        """The digest with the thresholds and with how the model is run, if they are there."""
        digest = self.digest
        for file in (*([self.thresholds] if self.thresholds else []), *self.run_as):
            digest = digest_with(digest, file)
        return digest


def inspect_folder(path: Path) -> ModelFolder:
    """Check every file that loading the folder would read.

    Raises:
        UnsafeModelError: A config asks for code, or there are only weights whose format can run
            code, or a pickle is named as safetensors.
        ModelError: A file is missing or damaged.
    """
    files = {file.name: file for file in sorted(path.iterdir()) if file.is_file()}
    configs = {
        name: _scan_config(file)
        for name, file in files.items()
        if name.endswith(".json") and name not in _VOCABULARIES and not name.endswith(".index.json")
    }
    if "adapter_config.json" in configs:
        raise ModelError(
            f"{path} holds an adapter, not a whole model.",
            "Merge it into its base model first: model.merge_and_unload().save_pretrained(...).",
        )
    if not isinstance(configs.get("config.json"), dict):
        raise ModelError(
            f"{path} has no config.json, so it is no transformers model.",
            "Save model and tokenizer with save_pretrained() and name that folder.",
        )
    weights = _weight_files(path, files)
    dtypes = _float_types(weights)
    return ModelFolder(
        path=path,
        config=configs["config.json"],
        dtype=_widest(path, dtypes),
        dtypes=dtypes,
        digest=_digest(files),
        weights=tuple(weights),
        thresholds=files.get(THRESHOLDS),
        run_as=_run_as(files),
    )


def _run_as(files: Mapping[str, Path]) -> tuple[Path, ...]:
    if RUN_AS not in files:
        return ()
    return tuple(files[name] for name in (RUN_AS, *GRAPHS.values()) if name in files)


def _scan_config(file: Path) -> Any:
    """Parse a config, refusing keys that bring code, at any depth and even when overridden."""
    if file.stat().st_size > MAX_JSON:
        raise ModelError(f"{file}: larger than {MAX_JSON:,} bytes, which no model config is.")

    def scanned(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for key, value in pairs:
            if key in CODE_KEYS and value:
                raise UnsafeModelError(
                    f"{file}: the key {key!r} asks for code from outside to be run.",
                    "auditkit runs no code that comes with a model. Save the model with a class "
                    "that transformers itself has, or wrap it as a callable.",
                )
            if "implementation" in key:
                _refuse_kernel(file, key, value)
        return dict(pairs)

    try:
        return json.loads(file.read_bytes(), object_pairs_hook=scanned)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file}: not valid JSON: {error}.") from None


def _refuse_kernel(file: Path, key: str, value: Any) -> None:
    names = value.values() if isinstance(value, dict) else [value]
    for name in names:
        if isinstance(name, str) and "/" in name:
            raise UnsafeModelError(
                f"{file}: {key!r} names the kernel {name!r}, code that would be downloaded.",
                'Set it to "sdpa" or "eager".',
            )


def _weight_files(path: Path, files: Mapping[str, Path]) -> list[Path]:
    index = files.get("model.safetensors.index.json")
    if "model.safetensors" in files:
        names = ["model.safetensors"]
    elif index is not None:
        names = _shards(index)
    else:
        raise _no_weights(path, files)
    missing = [name for name in names if name not in files]
    if missing:
        raise ModelError(f"{path}: the weight file {missing[0]!r} is missing.")
    return [files[name] for name in names]


def _shards(index: Path) -> list[str]:
    try:
        weight_map = json.loads(index.read_bytes())["weight_map"]
        names = sorted(set(weight_map.values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelError(f"{index}: not an index of weight files.") from None
    outside = [
        name for name in names if Path(name).name != name or not name.endswith(".safetensors")
    ]
    if outside:
        raise UnsafeModelError(
            f"{index}: {outside[0]!r} is not the name of a safetensors file in this folder."
        )
    return names


def _no_weights(path: Path, files: Mapping[str, Path]) -> ModelError:
    pickled = [
        name
        for name, file in files.items()
        if file.suffix in _PICKLED and not name.startswith(_TRAINING_STATE)
    ]
    if pickled:
        return UnsafeModelError(
            f"{path} has its weights only in {pickled[0]}, a format that can run code when opened.",
            "Convert it on a machine where you trust the file: load the model with transformers "
            "and call model.save_pretrained(folder), which writes model.safetensors.",
        )
    return ModelError(f"{path} has no model.safetensors.", "Save the model with save_pretrained().")


def _float_types(weights: list[Path]) -> frozenset[str]:
    return frozenset(
        dtype for file in weights for dtype in _tensor_types(file) if dtype not in _OTHER_DTYPES
    )


def _tensor_types(file: Path) -> Iterator[str]:
    """Check a safetensors header against its file; yield the type of each tensor."""
    from safetensors import SafetensorError, safe_open

    _refuse_pickle(file)
    try:
        with safe_open(file, "numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - safe_open has no iterator
                yield tensors.get_slice(name).get_dtype()
    except SafetensorError as error:
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise ModelError(
            f"{file}: not a valid safetensors file: {reason}.",
            "It may be cut off or damaged; copy or download it again.",
        ) from None


def _refuse_pickle(file: Path) -> None:
    with file.open("rb") as stream:
        start = stream.read(8)
    length = struct.unpack("<Q", start.ljust(8, b"\0"))[0]
    # A safetensors header may by chance have such a length, but then the file is that long.
    if start.startswith(_PICKLE_STARTS) and length > file.stat().st_size:
        raise UnsafeModelError(
            f"{file}: a pickle under the name of a safetensors file. It was not opened.",
            "Do not load this model anywhere; ask where it comes from.",
        )


def _widest(path: Path, dtypes: frozenset[str]) -> str:
    quantised = sorted(dtypes - _FLOAT_WIDTHS.keys())
    if quantised:
        raise ModelError(
            f"{path}: weights of type {quantised[0]} (quantised) are not supported.",
            "Audit the unquantised model, or wrap the quantised one as a callable.",
        )
    if not dtypes:
        raise ModelError(f"{path}: the weight files hold no floating-point weights.")
    if dtypes == {"F16", "BF16"}:
        return "F32"
    return max(sorted(dtypes), key=_FLOAT_WIDTHS.__getitem__)


def _digest(files: Mapping[str, Path]) -> str:
    whole = hashlib.sha256()
    for name, file in sorted(files.items()):
        if file.suffix in _READ and name not in {*_BY_PRODUCTS, THRESHOLDS, RUN_AS}:
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            whole.update(f"{len(name)}:{name}:{content}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()
