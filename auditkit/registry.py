"""Which checks there are: the built-in ones, those of installed packages, those of a user's folder.

Modules are imported and the `Check` values found in them collected; importing registers nothing.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from auditkit.check import Check
from auditkit.errors import RegistryError, nearest

ENTRY_POINT_GROUP = "auditkit.checks"
_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\.[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plug-in that could not be loaded."""

    source: str
    """Entry point or file."""
    error: str


@dataclass(frozen=True, slots=True)
class Registry:
    """The known checks by id, and the plug-ins that failed to load."""

    checks: dict[str, Check]
    broken: tuple[BrokenPlugin, ...] = ()

    def get(self, check_id: str) -> Check:
        """The check with this id.

        Raises:
            RegistryError: There is none; the hint names the nearest.
        """
        if check_id not in self.checks:
            raise RegistryError(f"no check is called {check_id!r}.", nearest(check_id, self.checks))
        return self.checks[check_id]


def load_registry(plugin_folders: Sequence[Path] = ()) -> Registry:
    """Collect every check: built-in, installed as entry point `auditkit.checks`, and in folders.

    Code in the folders is run. A plug-in that fails to import is recorded, not raised.

    Raises:
        RegistryError: Two checks have one id, a plug-in folder does not exist, or a built-in check
            does not have the id its path says.
    """
    found: list[tuple[Check, str]] = [(c, m.__name__) for m in _builtin() for c in _checks_in(m)]
    broken: list[BrokenPlugin] = []
    for source, load in _plugins(plugin_folders):
        try:
            found.extend((check, source) for check in load())
        except (Exception, SystemExit) as error:  # noqa: BLE001 - exit(0) in it is no pass
            broken.append(BrokenPlugin(source, f"{type(error).__name__}: {error}"))
    return Registry(_by_id(found), tuple(broken))


def _by_id(found: Iterable[tuple[Check, str]]) -> dict[str, Check]:
    checks: dict[str, Check] = {}
    sources: dict[str, str] = {}
    for check, source in found:
        if not _ID.fullmatch(check.id):
            raise RegistryError(f"{source}: {check.id!r} is not of the form family.kebab-name.")
        if check.id in checks:
            raise RegistryError(
                f"two checks are called {check.id!r}: {sources[check.id]} and {source}."
            )
        checks[check.id], sources[check.id] = check, source
    return dict(sorted(checks.items()))


def _builtin() -> Iterator[ModuleType]:
    package = importlib.import_module("auditkit.checks")
    for info in pkgutil.walk_packages(package.__path__, "auditkit.checks."):
        if not info.ispkg and not info.name.rpartition(".")[2].startswith("_"):
            yield importlib.import_module(info.name)


def _checks_in(module: ModuleType) -> list[Check]:
    """The checks a module defines; those it merely imports belong to another."""
    checks = [v for v in vars(module).values() if isinstance(v, Check)]
    return [check for check in checks if check.module == module.__name__]


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

    def __call__(self) -> list[Check]:
        value = self.point.load()
        checks = _checks_in(value) if isinstance(value, ModuleType) else [value]
        return _required(checks)


@dataclass(frozen=True, slots=True)
class _FileLoader:
    file: Path

    def __call__(self) -> list[Check]:
        name = f"auditkit_plugin_{abs(hash(str(self.file.resolve()))):x}"
        spec = importlib.util.spec_from_file_location(name, self.file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up there
        spec.loader.exec_module(module)
        return _required(_checks_in(module))


Loader = _EntryPointLoader | _FileLoader


def _required(checks: Sequence[object]) -> list[Check]:
    good = [check for check in checks if isinstance(check, Check)]
    if len(good) != len(checks) or not good:
        raise TypeError("it holds no check: decorate a function with @auditkit.check.check")
    for check in good:
        if not dataclasses.is_dataclass(check.params):
            raise TypeError(f"{check.id}: params must be a frozen dataclass")
    return good
