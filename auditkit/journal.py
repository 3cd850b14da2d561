"""A file of JSON records that survives a crash: one line each, each with its own SHA-256.

A record is on the disk before `append` returns. What a crash leaves is at most one torn last
line, which `read_journal` drops and reports; a line that was changed later is not believed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditkit.store import sync_directory, unwritable


@dataclass(frozen=True, slots=True)
class JournalContent:
    """What a journal holds."""

    records: tuple[dict[str, Any], ...]
    """In the order they were written."""
    damaged: tuple[bytes, ...] = ()
    """Lines whose content does not have the recorded hash."""
    torn: bytes = b""
    """What follows the last line break: a record whose writing was cut off."""

    @property
    def whole(self) -> bool:
        """True when there is neither a torn nor a damaged line."""
        return not self.damaged and not self.torn


def line_of(record: Mapping[str, Any]) -> bytes:
    """The line of a record, line break included.

    Raises:
        ValueError: The record has NaN or infinity.
        TypeError: The record has something JSON cannot say.
    """
    content = json.dumps(record, sort_keys=True, allow_nan=False, separators=(",", ":"))
    digest = hashlib.sha256(content.encode("ascii")).hexdigest()
    return f'{{"record":{content},"sha256":"{digest}"}}\n'.encode("ascii")


def read_journal(path: Path) -> JournalContent:
    """Read a journal; one that does not exist is empty.

    Raises:
        OSError: The file exists but cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return JournalContent(())
    *lines, torn = content.split(b"\n")
    records, damaged = [], []
    for line in lines:
        record = _record_of(line)
        if record is None:
            damaged.append(line)
        else:
            records.append(record)
    return JournalContent(tuple(records), tuple(damaged), torn)


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Add a record and wait until it is on the disk.

    A write that fails is taken back, so that the file still ends with a whole line.

    Raises:
        StoreError: It cannot be written.
    """
    line = line_of(record)
    try:
        new = not path.exists()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _BINARY, 0o644)
        try:
            before = os.fstat(handle).st_size
            try:
                _write_all(handle, line)
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, before)
                raise
        finally:
            os.close(handle)
        if new:
            sync_directory(path.parent)
    except OSError as error:
        raise unwritable(path, error) from None


_BINARY: int = getattr(os, "O_BINARY", 0)


def _write_all(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]


def _record_of(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None when any byte of it is not as it was written."""
    try:
        record = json.loads(line)["record"]
        same = isinstance(record, dict) and line_of(record) == line + b"\n"
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return record if same else None
