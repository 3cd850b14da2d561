"""Reports: an `AuditResult` in, text out. One file per format, one line here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from auditkit.errors import AuditkitError, nearest

if TYPE_CHECKING:
    from auditkit.result import AuditResult


class UnknownFormatError(AuditkitError):
    """A report was asked for in a format that does not exist."""

    slug = "format"


class Format(NamedTuple):
    """A format: the file it is saved as, and the module here whose `render` writes it."""

    file_name: str
    module: str


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "html": Format("report.html", "html"),
        "json": Format("result.json", "record"),
        "junit": Format("junit.xml", "junit"),
        "md": Format("summary.md", "markdown"),
    }
)


def render(result: AuditResult, format: str) -> str:
    """A result as text in one of `FORMATS`; the same result gives the same text.

    Raises:
        UnknownFormatError: There is no such format.
    """
    if format not in FORMATS:
        raise UnknownFormatError(f"there is no report format {format!r}.", nearest(format, FORMATS))
    module = importlib.import_module(f"auditkit.render.{FORMATS[format].module}")
    return str(module.render(result))
