"""What makes two inputs the same one."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from typing import Any

import numpy as np

from auditkit.errors import ModelError


def content_key(value: Any) -> Hashable:
    """What makes two inputs the same one: type and content, so that 1, 1.0, True and "1" differ.

    Raises:
        ModelError: The type has no content that can be compared.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) is str:
        return value
    if isinstance(value, str | bytes | int | float | type(None)):
        return (type(value), value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return (np.ndarray, value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, list | tuple):
        return (type(value), tuple(map(content_key, value)))
    if isinstance(value, dict):
        return (dict, tuple((content_key(k), content_key(v)) for k, v in value.items()))
    raise ModelError(
        f"an input of type {type(value).__name__} cannot be asked: it has no content key."
    )


def content_digest(key: Hashable) -> bytes:
    """SHA-256 of a content key: equal keys, and only they, have equal digests."""
    return hashlib.sha256(_encoded(key)).digest()


def _encoded(value: Any) -> bytes:
    """Type, length and content, so that no two values run together."""
    if isinstance(value, tuple):
        body = b"".join(map(_encoded, value))
    elif isinstance(value, type):
        body = f"{value.__module__}.{value.__qualname__}".encode()
    elif isinstance(value, str):
        body = value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes):
        body = value
    else:  # int, float, bool, None, whose repr is exact
        body = repr(value).encode()
    kind = "type" if isinstance(value, type) else type(value).__name__
    return f"{kind}:{len(body)}:".encode() + body
