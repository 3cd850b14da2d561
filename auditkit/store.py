"""Files of a run directory, written so that a crash never leaves half a file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from auditkit.errors import AuditkitError


class StoreError(AuditkitError):
    """The run directory cannot be written."""

    slug = "store"


def write_atomic(path: Path, text: str) -> None:
    """Write UTF-8 text so that `path` has the old content or the new, never a part.

    Lone surrogates, which UTF-8 cannot carry, are written as backslash escapes.

    Raises:
        StoreError: The file cannot be written; whatever was there before is untouched.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".writing"
        )
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", errors="backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise StoreError(f"{path}: cannot be written ({error.strerror}).") from None


def ensure_writable(folder: Path) -> None:
    """Make a folder, and find out now rather than after hours of work whether it takes files.

    Raises:
        StoreError: It cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error.strerror}).") from None


def _sync_directory(folder: Path) -> None:
    """Make the new name durable; Windows has no such call."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
