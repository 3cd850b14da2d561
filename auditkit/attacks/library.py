"""Imports TextAttack without what its import does besides: downloads, files, a changed process.

`import textattack` downloads NLTK data, makes a cache folder, sets environment variables for other
libraries, disables every existing logger, and imports flair, bert_score and a dozen packages that
only a few of its parts use. Here it finds an empty cache that says everything is downloaded, and
stand-ins for the packages nothing asked for; afterwards the process is as it was.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import logging
import logging.config
import os
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from auditkit.attacks.nltk_folders import nltk_data, private_folder
from auditkit.errors import ConfigError, MissingExtraError
from auditkit.network import settle_network
from auditkit.random_streams import untouched_randomness

TESTED = "0.3.11"
"""The version whose recipes the table in `auditkit.attacks.recipes` describes."""

OPTIONAL = frozenset(
    {
        "bert_score", "flair", "langdetect", "language_tool_python", "lemminflect",
        "Levenshtein", "more_itertools", "num2words", "OpenHowNet", "pinyin", "terminaltables",
        "word2number",
    }
)  # fmt: skip
"""Packages TextAttack imports and most recipes never use. They have a stand-in while it is
imported, whether they are installed or not: flair alone takes 8 seconds, and does not import under
transformers 5."""

_VARIABLES = (
    "TA_CACHE_DIR", "TFHUB_CACHE_DIR", "PYTORCH_TRANSFORMERS_CACHE", "HF_HOME", "XDG_CACHE_HOME",
    "TOKENIZERS_PARALLELISM", "WANDB_SILENT",
)  # fmt: skip
_REAL_IF_INSTALLED = ("datasets", "jieba")
"""Not much used either, but auditkit itself imports datasets, and only jieba can split Chinese."""

_READ_THE_VARIABLES = ("huggingface_hub", "transformers", "transformers.utils.hub", "datasets")
"""They take their cache folders from the environment when they are imported, so before it."""

_DOWNLOADED = "post_install_check_3"
"""File by which TextAttack knows that its NLTK data is there."""


class AbsentPackageError(ModuleNotFoundError):
    """A part of TextAttack was used whose package had only a stand-in."""


class _AbsentClass(type):
    """Any name in a stand-in is a class: it can be a base class or in an annotation, not used."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _absent(cls.__module__, name)

    def __call__(cls, *_: Any, **__: Any) -> Any:
        package = cls.__mro__[-2].__module__.partition(".")[0]  # that of a stand-in, not of a child
        raise AbsentPackageError(
            f"this part of TextAttack needs the package {package}, which auditkit leaves out when "
            "it imports TextAttack. Import textattack before the first attack to have it whole."
        )


def _absent(module: str, name: str) -> Any:
    return _AbsentClass(name, (), {"__module__": module})


class _AbsentModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _absent(self.__name__, name)


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds an empty module for every package in `names` and its parts."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(
        self,
        fullname: str,
        path: Any = None,  # noqa: ARG002 - as importlib calls it
        target: Any = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for a package that is stood in for."""
        if fullname.partition(".")[0] not in self._names:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """An empty module."""
        return _AbsentModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


def load_textattack() -> Any:
    """The `textattack` module, imported when first asked for.

    Raises:
        MissingExtraError: TextAttack, or a package that all its recipes use, is not installed.
        ConfigError: Another version than the tested one is installed.
    """
    try:
        found = version("textattack")
    except PackageNotFoundError:
        raise MissingExtraError("An attack", "attacks") from None
    if found != TESTED:
        raise ConfigError(
            f"textattack {found} is installed; auditkit's attacks are for {TESTED}.",
            f"Install it with: pip install 'textattack=={TESTED}'",
        )
    if "textattack" in sys.modules:
        return _imported("textattack")
    settle_network(online=False)
    with untouched_randomness():
        for name in _READ_THE_VARIABLES:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        with _undisturbed(), nltk_data(), _stand_ins():
            textattack = _imported("textattack")
    if "jieba" in sys.modules:  # which would read its cache from a folder anybody may write to
        sys.modules["jieba"].dt.tmp_dir = private_folder()
    # It warns about every model that is not one of its own.
    logger = textattack.shared.utils.logger
    logger.setLevel(logging.ERROR)
    logger.warn = logger.warning  # the old name, which it uses, warns itself
    return textattack


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except AbsentPackageError:
        raise
    except ImportError as error:
        raise MissingExtraError(f"TextAttack ({error})", "attacks") from None


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    """Packages not yet imported have a stand-in, which is gone afterwards."""
    for name in _REAL_IF_INSTALLED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    finder = _StandIns(OPTIONAL.union(_REAL_IF_INSTALLED) - sys.modules.keys())
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [n for n, m in sys.modules.items() if isinstance(m, _AbsentModule)]:
            del sys.modules[name]


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Environment, loggers and garbage collection are as before; no file is left behind."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    configure, collecting = logging.config.dictConfig, gc.isenabled()
    gc.disable()  # collecting takes a fifth of the time of such an import
    with tempfile.TemporaryDirectory(prefix="auditkit-") as folder:
        Path(folder, _DOWNLOADED).touch()
        os.environ["TA_CACHE_DIR"] = folder
        # It would disable every logger there is.
        logging.config.dictConfig = lambda _: None  # type: ignore[assignment]
        try:
            yield
        finally:
            logging.config.dictConfig = configure
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            if collecting:
                gc.enable()
