"""The Python front: `auditkit.run(...)` and the `Audit` it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditkit.config import AuditConfig, load_config, parse_config
from auditkit.engine import Observer, run_audit
from auditkit.finding import Finding
from auditkit.render import FORMATS, render
from auditkit.result import AuditResult
from auditkit.store import write_atomic


@dataclass(frozen=True, slots=True, repr=False)
class Audit:
    """A finished audit. Shows itself in a notebook."""

    result: AuditResult

    @property
    def passed(self) -> bool:
        """True when nothing blocks under the policy."""
        return self.result.decision.passed

    @property
    def exit_code(self) -> int:
        """What the command line would have returned."""
        return self.result.decision.exit_code

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding."""
        return self.result.findings

    def save(self, directory: str | Path) -> Path:
        """Write result.json, report.html, junit.xml and summary.md; return the folder.

        Raises:
            StoreError: A file cannot be written.
        """
        folder = Path(directory)
        for name, file in FORMATS.items():
            write_atomic(folder / file.file_name, render(self.result, name))
        return folder

    def _repr_html_(self) -> str:
        from auditkit.render.html import notebook

        return notebook(self.result)

    def __repr__(self) -> str:
        reason = self.result.decision.reason
        return f"<Audit of {self.result.title}: exit code {self.exit_code}. {reason}>"


def run(
    config: str | Path | Mapping[str, Any] | AuditConfig, observer: Observer | None = None
) -> Audit:
    """Audit a model.

    Args:
        config: Path of an `auditkit.toml`, or the same as nested dictionaries, or an `AuditConfig`.
        observer: Told about progress; silent by default.

    Raises:
        AuditkitError: Configuration, data or model are unusable.
    """
    if isinstance(config, AuditConfig):
        settings = config
    elif isinstance(config, Mapping):
        settings = parse_config(config)
    else:
        settings = load_config(Path(config))
    return Audit(run_audit(settings, observer))
