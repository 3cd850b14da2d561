"""Fetches resources whose digest is known, and lists what there is."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import textwrap
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Literal
from urllib.request import Request, urlopen

from auditkit.attacks.recipes import RECIPES
from auditkit.errors import AuditkitError
from auditkit.registry import Registry
from auditkit.resources import RESOURCES, Resource
from auditkit.store import sync_directory

TIMEOUT = 60.0
MAX_BYTES = 2_000_000_000
"""Most bytes of a download, and of what a zip file unpacks to."""
_BLOCK = 1 << 16

State = Literal["present", "included", "missing", "unsafe"]


class FetchError(AuditkitError):
    """A resource could not be fetched, or is not what it should be."""

    slug = "fetch"


@dataclass(frozen=True, slots=True)
class Listed:
    """One resource as `auditkit resources` shows it.

    Attributes:
        resource: The resource.
        state: Whether it is there.
        place: Where it is, or where to put it.
        needed_by: Recipes and checks that read it.
    """

    resource: Resource
    state: State
    place: Path
    needed_by: tuple[str, ...]


def listed(registry: Registry, folder: Path) -> tuple[Listed, ...]:
    """Every resource of the recipes and of the checks with default parameters."""
    needed: dict[Resource, list[str]] = {resource: [] for resource in RESOURCES}
    for recipe in RECIPES.values():
        for resource in recipe.resources:
            needed.setdefault(resource, []).append(recipe.name)
    for check in registry.checks.values():
        for resource in check.resources(check.params()):
            needed.setdefault(replace(resource, optional=False), []).append(check.id)
    return tuple(
        Listed(
            resource,
            _state(resource, folder),
            resource.found(folder) or folder / resource.paths[0],
            tuple(names),
        )
        for resource, names in needed.items()
    )


def described(item: Listed, folder: Path) -> str:
    """A resource in a few lines for the terminal; paths are below the folder."""
    resource = item.resource
    lines = [f"{item.state:<9}{resource.name}: {resource.what}"]
    if item.needed_by:
        lines += textwrap.wrap(f"needed by {', '.join(item.needed_by)}", 88)
    if item.state == "missing":
        lines.append(f"put it at {resource.paths[0]}")
        lines.append(f"from {'auditkit resources --online' if resource.url else resource.source}")
    elif item.state == "unsafe":
        lines.append(resource.obstacle(folder))
    return "\n         ".join(lines)


def _state(resource: Resource, folder: Path) -> State:
    if resource.found(folder) is None:
        return "included" if resource.included else "missing"
    return "unsafe" if resource.obstacle(folder) else "present"


def fetch(resource: Resource, folder: Path) -> Path:
    """Download a resource, check its digest, and put it where it belongs.

    A zip file of a resource that is a folder is unpacked. What is there already is kept.

    Raises:
        FetchError: It has no address with a known digest, cannot be downloaded, is not what its
            digest says, or is a zip file that is not safe to unpack.
    """
    if not resource.url:
        raise FetchError(
            f"{resource.name} has no published digest to check a download by.",
            f"Get it from {resource.source} and put it at {folder / resource.paths[0]}.",
        )
    target = folder / resource.paths[0]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as scratch:
            file = Path(scratch, "download")
            with file.open("wb") as stream:
                _download(resource.url, stream)
            _check_digest(resource, file)
            if target.suffix != ".zip" and resource.url.endswith(".zip"):
                file = _unpacked(file, Path(scratch, "unpacked"), target.name)
            _make_private(file)
            if not target.exists():
                file.replace(target)
        sync_directory(target.parent)
    except OSError as error:
        raise FetchError(f"{resource.name}: {error}.", f"It comes from {resource.url}.") from error
    return target


def _download(url: str, stream: IO[bytes]) -> None:
    if not url.startswith("https://"):
        raise FetchError(f"{url}: only https is used.")
    request = Request(url, headers={"User-Agent": "auditkit"})  # noqa: S310 - https, see above
    with urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
        size = 0
        while block := answer.read(_BLOCK):
            size += len(block)
            if size > MAX_BYTES:
                raise FetchError(f"{url}: is larger than {MAX_BYTES:,} bytes.")
            stream.write(block)
    stream.flush()
    os.fsync(stream.fileno())


def _check_digest(resource: Resource, file: Path) -> None:
    kind, _, expected = resource.digest.partition(":")
    if kind == "git":
        hasher = hashlib.sha1(f"blob {file.stat().st_size}\0".encode(), usedforsecurity=False)
    else:
        hasher = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            hasher.update(block)
    if hasher.hexdigest() != expected:
        raise FetchError(
            f"{resource.name}: what {resource.url} answered is not what it should be "
            f"({kind} {hasher.hexdigest()[:12]}…, not {expected[:12]}…). It was thrown away."
        )


def _unpacked(file: Path, into: Path, name: str) -> Path:
    """The folder `name` of a zip file, unpacked; every entry is looked at first."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _refuse_unsafe(entries, name)
            for entry in entries:
                place = into.joinpath(*PurePosixPath(entry.filename).parts)
                if entry.is_dir():
                    place.mkdir(parents=True, exist_ok=True)
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, place.open("xb") as copy:
                    shutil.copyfileobj(source, copy, _BLOCK)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise FetchError(f"{file.name}: not a zip file that can be read: {error}.") from error
    return into / name


def _refuse_unsafe(entries: Sequence[zipfile.ZipInfo], name: str) -> None:
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise FetchError(f"the zip file unpacks to more than {MAX_BYTES:,} bytes.")
    for entry in entries:
        path = PurePosixPath(entry.filename)
        mode = entry.external_attr >> 16
        # An entry made on Windows has no mode; anything but a plain file or folder is refused.
        odd = stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)
        outside = path.is_absolute() or ".." in path.parts or "\\" in entry.filename
        if odd or outside or path.parts[:1] != (name,):
            raise FetchError(f"the zip file holds {entry.filename!r}, which is not unpacked.")


def _make_private(place: Path) -> None:
    """Let nobody else write to it; NLTK refuses to read what others may write."""
    for path in (place, *(place.rglob("*") if place.is_dir() else ())):
        path.chmod(path.stat().st_mode & ~(stat.S_IWGRP | stat.S_IWOTH))
