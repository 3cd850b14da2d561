"""Files of a run directory, written so that a crash never leaves half a file."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from auditkit.errors import AuditkitError

_NOTHING_TO_MEND = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO")
    if hasattr(errno, name)
}
"""The machine is in the way, not what was typed: exit code 4."""


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
        sync_directory(path.parent)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> StoreError:
    """The error to raise for a file that cannot be written: path, reason and free bytes."""
    problem = StoreError(f"{path}: cannot be written ({error.strerror}){_free(path)}.")
    if error.errno in _NOTHING_TO_MEND:
        problem.exit_code = 4
        problem.hint = (
            "What was finished before is kept. Make room or allow writing there, then run the "
            "same command again."
        )
    return problem


def _free(path: Path) -> str:
    for folder in path.absolute().parents:
        if folder.is_dir():
            return f"; {shutil.disk_usage(folder).free:,} bytes are free there"
    return ""


def sync_directory(folder: Path) -> None:
    """Make new names in a folder durable; Windows has no such call."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish_folder(writing: Path, target: Path) -> None:
    """Give a finished folder its name, replacing what had it before.

    A crash leaves the old folder or the new one, at worst under the name that `recover_folder`
    looks for.

    Raises:
        StoreError: It cannot be done; the old folder is where it was.
    """
    former = _former(target)
    try:
        recover_folder(target)
        for file in sorted(writing.rglob("*")):
            if file.is_file():
                sync_file(file)
        shutil.rmtree(former, ignore_errors=True)
        if target.exists():
            target.replace(former)
        try:
            writing.replace(target)
        except OSError:
            recover_folder(target)
            raise
        sync_directory(target.parent)
    except OSError as error:
        raise unwritable(target, error) from None
    shutil.rmtree(former, ignore_errors=True)


def recover_folder(target: Path) -> None:
    """Undo a `publish_folder` that was cut off between its two steps."""
    former = _former(target)
    if former.exists() and not target.exists():
        former.replace(target)


def sync_file(file: Path) -> None:
    """Make the content of a file durable."""
    handle = os.open(file, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _former(target: Path) -> Path:
    return target.with_name(f".{target.name}.former")
