"""A file beside a model that says by what it is computed when it is in use.

The weights in the folder stay as they were: a program that loads the folder without reading the
file gets the model before it was made faster.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditkit.errors import ModelError

FILE_NAME = "auditkit-run.json"
BACKENDS = ("onnx", "int8", "onnx-int8")
"""What a file may name; every model can be computed by torch as it is saved."""
QUANTIZED = frozenset({"int8", "onnx-int8"})
"""Backends whose answers are not those of the saved weights."""
GRAPHS = {"onnx": "model.onnx", "onnx-int8": "model_quantized.onnx"}
"""File in the folder that ONNX Runtime loads, by backend."""
PACKAGES = ("torch", "onnx", "onnxruntime")
"""Packages whose versions a file names."""

_VERSION = 1
_MOST_BYTES = 10_000
_RULE = (
    "The model is in use as the backend says; README.md shows how to load it so without auditkit. "
    "int8: linear layers by torch's dynamic quantization. onnx: by ONNX Runtime in float32. "
    "onnx-int8: by ONNX Runtime, matrix products quantized dynamically."
)
_KEYS = frozenset({"version", "rule", "backend", "made_with"})
_NUMBER = re.compile(r"[0-9][0-9A-Za-z.+-]{0,39}")


@dataclass(frozen=True, slots=True)
class RunAs:
    """How a folder's model is run.

    Attributes:
        backend: One of `BACKENDS`.
        made_with: Versions of the packages it was made with.
    """

    backend: str
    made_with: Mapping[str, str]

    def to_json(self) -> str:
        """The file's text."""
        document = {
            "version": _VERSION,
            "rule": _RULE,
            "backend": self.backend,
            "made_with": dict(self.made_with),
        }
        return json.dumps(document, indent=1, allow_nan=False) + "\n"

    @classmethod
    def of(cls, folder: Path) -> RunAs | None:
        """What the file in a folder says; None when there is none.

        Raises:
            ModelError: It cannot be read, or says anything that is not known.
        """
        file = folder / FILE_NAME
        if not file.exists():
            return None
        try:
            document = _read(file)
        except (OSError, ValueError, RecursionError) as error:
            raise ModelError(f"{file}: does not say how the model is run: {error}.") from None
        problem = next(_problems(document), "")
        if problem:
            raise ModelError(
                f"{file}: does not say how the model is run: {problem}.",
                "Remove the file to audit the weights as they are saved.",
            )
        return cls(document["backend"], document["made_with"])


def _read(file: Path) -> Any:
    if not file.is_file() or file.stat().st_size > _MOST_BYTES:
        raise ValueError(f"it is no file of at most {_MOST_BYTES:,} bytes")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key stands there twice")
        return dict(pairs)

    return json.loads(file.read_bytes(), object_pairs_hook=once)


def _problems(document: Any) -> Iterator[str]:
    if not isinstance(document, dict):
        yield "it is no JSON object"
        return
    yield from (f"{name[:40]!r} is no key of it" for name in sorted(document.keys() - _KEYS))
    missing = sorted(_KEYS - document.keys())
    if missing:
        yield f"{missing[0]} is missing"
        return
    if type(document["version"]) is not int or document["version"] != _VERSION:
        yield f"it has no version {_VERSION}"
    if not isinstance(document["rule"], str):
        yield "rule is no text"
    if document["backend"] not in BACKENDS:
        yield f"backend is {str(document['backend'])[:40]!r}, not one of {', '.join(BACKENDS)}"
    made = document["made_with"]
    if not isinstance(made, dict):
        yield "made_with names no versions"
        return
    for package, number in made.items():
        known = package in PACKAGES and isinstance(number, str)
        if not known or not _NUMBER.fullmatch(number):
            yield f"made_with says {str(number)[:40]!r} of {package[:40]!r}"
