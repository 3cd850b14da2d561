"""The Python front: `auditkit.run(...)` and the `Audit` it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditkit.config import AuditConfig, load_config, parse_config
from auditkit.engine import run_audit
from auditkit.finding import Finding
from auditkit.observer import Observer
from auditkit.render import FORMATS, render
from auditkit.result import AuditResult
from auditkit.run_store import RESULT_NAME, RunStore
from auditkit.store import StoreError, write_atomic


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
    config: str | Path | Mapping[str, Any] | AuditConfig,
    observer: Observer | None = None,
    *,
    out: str | Path | None = None,
    fresh: bool = False,
) -> Audit:
    """Audit a model.

    With a run directory, every check is on the disk when it is finished. Called again after it
    was cut off, the audit goes on there; called again with nothing changed, it answers with the
    stored verdict; else it measures what has changed.

    Args:
        config: Path of an `auditkit.toml`, or the same as nested dictionaries, or an `AuditConfig`.
        observer: Told about progress; silent by default.
        out: Run directory to work in and to write every report to; by default nothing is written.
        fresh: Measure everything anew in the run directory.

    Raises:
        AuditkitError: Configuration, data or model are unusable.
        RunMismatchError: The run directory holds an unfinished run with other inputs.
        RunBusyError: Another run is at work in it.
        StoreError: It cannot be written; what was finished is kept.
    """
    if isinstance(config, AuditConfig):
        settings = config
    elif isinstance(config, Mapping):
        settings = parse_config(config)
    else:
        settings = load_config(Path(config))
    if out is None:
        return Audit(run_audit(settings, observer))
    with RunStore(Path(out), fresh=fresh) as store:
        result = run_audit(settings, observer, store)
        if result != store.stored:
            _write(store, result)
    return Audit(result)


def _write(store: RunStore, result: AuditResult) -> None:
    """The result first, so that no report that fails to render can cost it."""
    store.finish(result)
    # As `auditkit report` and `auditkit verify` will read it, which have only the file.
    result = AuditResult.from_json(result.to_json())
    failures: list[Exception] = []
    for name, file in FORMATS.items():
        if file.file_name != RESULT_NAME:
            try:
                write_atomic(store.folder / file.file_name, render(result, name))
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 - raised below, after the other reports
                failures.append(error)
    store.seal(result)
    if failures:
        raise failures[0]
