"""Everything auditkit raises on purpose.

AuditkitError
├── ConfigError        the configuration cannot be what the user meant      exit 2
├── DataError          the data set cannot be audited as it is              exit 2
├── ModelError         the model cannot be loaded or answers nonsense       exit 2
│   └── UnsafeModelError   loading it could run code                        exit 2
├── RegistryError      two checks claim one id, or none has it              exit 2
├── ResultError        a saved result cannot be read                        exit 2
├── StoreError         a file cannot be written (auditkit.store)            exit 2
│   │                      no space, no permission: nothing to mend in the command  exit 4
│   ├── RunBusyError       another run holds the directory (auditkit.run_lock)  exit 2
│   └── RunMismatchError   an unfinished run had other inputs (auditkit.run_store)  exit 2
├── Stopped            SIGINT or SIGTERM ended the run (auditkit.signals)   exit 130, 143
├── CacheError         others can write the cache (auditkit.sqlite_file)    exit 2
├── UnknownFormatError a report format does not exist (auditkit.render)     exit 2
└── MissingExtraError  an optional package is not installed                 exit 2

NotApplicable          raised by a check that has nothing to measure here; never an error
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class AuditkitError(Exception):
    """A failure the user can act on. Shown without a traceback.

    Args:
        message: What is wrong and where (file, column, row, key).
        hint: What to do about it; may be empty.
    """

    slug: ClassVar[str] = "error"
    exit_code: int = 2
    """What the command line returns."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class ConfigError(AuditkitError):
    """The configuration names an unknown key, a wrong type or an impossible limit."""

    slug = "config"


class DataError(AuditkitError):
    """The data file is missing, malformed, or contradicts the configuration."""

    slug = "data"


class ModelError(AuditkitError):
    """The model cannot be loaded, or its answers are malformed (NaN, wrong shape)."""

    slug = "model"


class UnsafeModelError(ModelError):
    """Loading the model could run code that came with it."""

    slug = "unsafe-model"


class RegistryError(AuditkitError):
    """Two checks share an id, a check breaks the contract, or an id is unknown."""

    slug = "registry"


class ResultError(AuditkitError):
    """A saved result is unreadable, from a newer schema, or was altered."""

    slug = "result"


class MissingExtraError(AuditkitError):
    """An optional package is needed for what was asked."""

    slug = "missing-extra"

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs a package that is not installed.",
            f"Install it with: pip install 'auditkit[{extra}]'",
        )


class NotApplicable(Exception):  # noqa: N818 - an outcome, not an error
    """Raised inside a check when the model or the data offers nothing to measure.

    Args:
        reason: One sentence for the report, e.g. "no group has a positive label".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint naming the known name closest to `name`, or listing the known ones."""
    names = sorted(known)
    lowered = {known_name.lower(): known_name for known_name in reversed(names)}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {lowered[close[0]]!r}?"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"Known names: {shown}." if names else ""
