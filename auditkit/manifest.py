"""The manifest of a run directory: every file with its size and SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auditkit.errors import ResultError
from auditkit.run_lock import LOCK_NAME
from auditkit.store import StoreError, unwritable, write_atomic

MANIFEST_NAME = "manifest.json"
_VERSION = 1


def write_manifest(folder: Path, suite_digest: str) -> None:
    """Write `manifest.json` over the files that are there now.

    Raises:
        StoreError: It cannot be written, or a file cannot be read.
    """
    try:
        text = _text(suite_digest, _describe(folder))
    except OSError as error:
        raise unwritable(folder / MANIFEST_NAME, error) from None
    write_atomic(folder / MANIFEST_NAME, text)


def manifest_differences(folder: Path) -> tuple[str, list[str]]:
    """Compare a run directory with its manifest, byte by byte.

    Returns:
        The suite digest the manifest names, and what differs, as sentences; empty when nothing.

    Raises:
        ResultError: There is no manifest, or it or a file cannot be read.
    """
    path = folder / MANIFEST_NAME
    try:
        content = path.read_bytes()
        there = _describe(folder)
    except FileNotFoundError:
        raise ResultError(
            f"{path}: there is no such file.",
            "A run writes it when it ends; run the same command again to finish one.",
        ) from None
    except (OSError, StoreError) as error:
        raise ResultError(f"{folder}: cannot be read ({error}).") from None
    try:
        said = json.loads(content)
        recorded: dict[str, dict[str, Any]] = {entry["path"]: entry for entry in said["files"]}
        suite = str(said["suite_digest"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ResultError(f"{path}: is not a manifest; it was damaged or changed.") from None
    differences = [*_compare(recorded, {entry["path"]: entry for entry in there})]
    if not differences and content != _text(suite, there).encode():
        differences.append(f"{MANIFEST_NAME}: is not as auditkit wrote it")
    return suite, differences


def _compare(
    recorded: dict[str, dict[str, Any]], there: dict[str, dict[str, Any]]
) -> Iterator[str]:
    for path in sorted(recorded.keys() | there.keys()):
        if path not in there:
            yield f"{path}: is missing"
        elif path not in recorded:
            yield f"{path}: is not in the manifest"
        elif recorded[path] != there[path]:
            yield f"{path}: was changed (its size or SHA-256 differs)"


def _describe(folder: Path) -> list[dict[str, Any]]:
    entries = []
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in names:
            file = Path(where, name)
            path = file.relative_to(folder).as_posix()
            if path not in {MANIFEST_NAME, LOCK_NAME}:
                entries.append({"path": path, **_describe_file(file)})
    return sorted(entries, key=lambda entry: str(entry["path"]))


def _describe_file(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {"size": -1, "sha256": "not a file"}
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {"size": file.stat().st_size, "sha256": digest}


def _text(suite_digest: str, files: list[dict[str, Any]]) -> str:
    document = {"version": _VERSION, "suite_digest": suite_digest, "files": files}
    return json.dumps(document, indent=1, sort_keys=True) + "\n"
