"""One run at a time in a run directory.

The operating system holds the lock and drops it when the process ends, however it ends, so a
killed run never blocks the next and a reused process number fools nobody. The lock file only says
who holds it.
"""

from __future__ import annotations

import datetime
import errno
import json
import os
import platform
import sys
from pathlib import Path

from auditkit.store import StoreError, unwritable

LOCK_NAME = ".lock"
_TAKEN = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK}


class RunBusyError(StoreError):
    """Another run is at work in the directory."""


class RunLock:
    """Held from `acquire` to `release`.

    Args:
        folder: The run directory, which exists.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME
        self._handle: int | None = None

    def acquire(self) -> str:
        """Take the lock.

        Returns:
            Whose lock was found abandoned, as a sentence; empty when there was none.

        Raises:
            RunBusyError: Another process, or this one, holds it.
            StoreError: The file cannot be written.
        """
        while True:
            try:
                handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError as error:
                raise unwritable(self._path, error) from None
            try:
                self._lock(handle)
                left = os.pread(handle, 4096, 0) if hasattr(os, "pread") else b""
                if not self._is_current(handle):
                    os.close(handle)  # its holder removed the file as we waited for it
                    continue
                self._sign(handle)
            except BaseException:
                os.close(handle)
                raise
            self._handle = handle
            return f"The run of {_holder(left)} ended without a word; going on." if left else ""

    def release(self) -> None:
        """Give the lock back and remove its file."""
        if self._handle is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = None

    def _lock(self, handle: int) -> None:
        try:
            _lock_file(handle)
        except OSError as error:
            if error.errno not in _TAKEN:
                return  # a file system without locks
            holder = _holder(os.pread(handle, 4096, 0) if hasattr(os, "pread") else b"")
            raise RunBusyError(
                f"{self._path.parent}: another run is at work here ({holder}).",
                "Wait for it, or give this run a directory of its own with --out.",
            ) from None

    def _is_current(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), self._path.stat())
        except FileNotFoundError:
            return False

    def _sign(self, handle: int) -> None:
        started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        said = json.dumps({"pid": os.getpid(), "host": platform.node(), "started": started})
        try:
            os.ftruncate(handle, 0)
            os.write(handle, said.encode())
        except OSError as error:
            raise unwritable(self._path, error) from None


def _holder(content: bytes) -> str:
    try:
        said = json.loads(content)
        return f"process {said['pid']} on {said['host']}, since {said['started']}"
    except (ValueError, TypeError, KeyError):
        return "an unknown process"


if sys.platform == "win32":

    def _lock_file(handle: int) -> None:
        import msvcrt

        os.lseek(handle, 1 << 20, os.SEEK_SET)  # a byte nobody reads
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)

else:

    def _lock_file(handle: int) -> None:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
