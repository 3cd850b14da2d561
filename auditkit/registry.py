"""Which checks and remedies there are: built-in, of installed packages, of a user's folder.

Modules are imported and the `Check` and `Remedy` values in them collected; importing registers
nothing.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from auditkit.check import Check
from auditkit.errors import RegistryError, nearest
from auditkit.remedy import Remedy

ENTRY_POINT_GROUP = "auditkit.checks"
Entry = Check | Remedy
_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\.[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plug-in that could not be loaded."""

    source: str
    """Entry point or file."""
    error: str


@dataclass(frozen=True, slots=True)
class Registry:
    """The known checks and remedies by id, and the plug-ins that failed to load."""

    checks: dict[str, Check]
    broken: tuple[BrokenPlugin, ...] = ()
    remedies: dict[str, Remedy] = field(default_factory=dict)

    def get(self, check_id: str) -> Check:
        """The check with this id.

        Raises:
            RegistryError: There is none; the hint names the nearest.
        """
        if check_id not in self.checks:
            raise RegistryError(f"no check is called {check_id!r}.", nearest(check_id, self.checks))
        return self.checks[check_id]

    def get_remedy(self, remedy_id: str) -> Remedy:
        """The remedy with this id.

        Raises:
            RegistryError: There is none; the hint names the nearest.
        """
        if remedy_id not in self.remedies:
            raise RegistryError(
                f"no remedy is called {remedy_id!r}.", nearest(remedy_id, self.remedies)
            )
        return self.remedies[remedy_id]

    def find(self, id: str) -> Check | Remedy:
        """The check or the remedy with this id.

        Raises:
            RegistryError: There is none; the hint names the nearest.
        """
        known: dict[str, Check | Remedy] = {**self.checks, **self.remedies}
        if id not in known:
            raise RegistryError(f"no check or remedy is called {id!r}.", nearest(id, known))
        return known[id]


def load_registry(plugin_folders: Sequence[Path] = ()) -> Registry:
    """Collect every check and remedy: built-in, of installed packages, and in folders.

    Packages name theirs as entry point `auditkit.checks`. Code in the folders is run. A plug-in
    that fails to import is recorded, not raised.

    Raises:
        RegistryError: Two have one id, a plug-in folder does not exist, or an id is malformed.
    """
    found: list[tuple[Entry, str]] = [(e, m.__name__) for m in _builtin() for e in _entries(m)]
    broken: list[BrokenPlugin] = []
    for source, load in _plugins(plugin_folders):
        try:
            found.extend((entry, source) for entry in load())
        except (Exception, SystemExit) as error:  # noqa: BLE001 - exit(0) in it is no pass
            broken.append(BrokenPlugin(source, f"{type(error).__name__}: {error}"))
    entries = _by_id(found)
    return Registry(
        checks={id: entry for id, entry in entries.items() if isinstance(entry, Check)},
        broken=tuple(broken),
        remedies={id: entry for id, entry in entries.items() if isinstance(entry, Remedy)},
    )


def _by_id(found: Iterable[tuple[Entry, str]]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    sources: dict[str, str] = {}
    for entry, source in found:
        if not _ID.fullmatch(entry.id):
            raise RegistryError(f"{source}: {entry.id!r} is not of the form family.kebab-name.")
        if entry.id in entries:
            kinds = {type(entries[entry.id]), type(entry)}
            what = "two checks are" if kinds == {Check} else "two checks or remedies are"
            raise RegistryError(f"{what} called {entry.id!r}: {sources[entry.id]} and {source}.")
        entries[entry.id], sources[entry.id] = entry, source
    return dict(sorted(entries.items()))


def _builtin() -> Iterator[ModuleType]:
    package = importlib.import_module("auditkit.checks")
    for info in pkgutil.walk_packages(package.__path__, "auditkit.checks."):
        if not info.ispkg and not info.name.rpartition(".")[2].startswith("_"):
            yield importlib.import_module(info.name)


def _entries(module: ModuleType) -> list[Entry]:
    """The checks and remedies a module defines; those it merely imports belong to another."""
    entries = [v for v in vars(module).values() if isinstance(v, Check | Remedy)]
    return [entry for entry in entries if entry.module == module.__name__]


def _plugins(folders: Sequence[Path]) -> Iterator[tuple[str, Loader]]:
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda p: p.name):
        yield f"{point.name} = {point.value}", _EntryPointLoader(point)
    for folder in folders:
        if not folder.is_dir():
            raise RegistryError(f"the plug-in folder {str(folder)!r} does not exist.")
        for file in sorted(folder.rglob("*.py")):
            if not file.name.startswith("_"):
                yield str(file), _FileLoader(file)


@dataclass(frozen=True, slots=True)
class _EntryPointLoader:
    point: EntryPoint

    def __call__(self) -> list[Entry]:
        value = self.point.load()
        entries = _entries(value) if isinstance(value, ModuleType) else [value]
        return _required(entries)


@dataclass(frozen=True, slots=True)
class _FileLoader:
    file: Path

    def __call__(self) -> list[Entry]:
        name = f"auditkit_plugin_{abs(hash(str(self.file.resolve()))):x}"
        spec = importlib.util.spec_from_file_location(name, self.file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up there
        spec.loader.exec_module(module)
        return _required(_entries(module))


Loader = _EntryPointLoader | _FileLoader


def _required(entries: Sequence[object]) -> list[Entry]:
    good = [entry for entry in entries if isinstance(entry, Check | Remedy)]
    if len(good) != len(entries) or not good:
        raise TypeError(
            "it holds no check and no remedy: decorate a function with @auditkit.check.check or "
            "@auditkit.remedy.remedy"
        )
    for entry in good:
        if not dataclasses.is_dataclass(entry.params):
            raise TypeError(f"{entry.id}: params must be a frozen dataclass")
    return good
