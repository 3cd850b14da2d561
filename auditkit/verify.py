"""Proves a run directory: every file is as it was written, every verdict follows from the numbers.

Needs neither model nor data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from auditkit import __version__
from auditkit.errors import ResultError
from auditkit.manifest import manifest_differences
from auditkit.recompute import contradictions, journal_contradictions
from auditkit.render import FORMATS, render
from auditkit.result import AuditResult
from auditkit.run_identity import own_source
from auditkit.run_lock import LOCK_NAME
from auditkit.run_store import HISTORY_NAME, RESULT_NAME, RunState, read_records, read_state


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found."""

    differences: tuple[str, ...]
    """Everything that is not as it must be; empty when the directory is proven."""
    notes: tuple[str, ...]
    """What could not be looked at, and why that is no difference."""
    verdict: str
    """One line."""


def verify(folder: Path) -> Verification:
    """Check every hash of a run directory, and recompute every verdict and the decision in it.

    Raises:
        ResultError: There is no finished run, or its manifest or result cannot be read.
    """
    suite, differences = manifest_differences(folder)
    if (folder / LOCK_NAME).exists():
        differences.append(f"{LOCK_NAME}: a run is at work here, or was cut off")
    notes: list[str] = []
    try:
        result = _read(folder)
    except ResultError as error:
        differences.append(f"{RESULT_NAME}: {error.message}")
    else:
        if result.suite_digest != suite:
            differences.append("manifest.json: names another suite than the result")
        differences += _inside(folder, result, notes)
    for earlier in sorted((folder / HISTORY_NAME).glob(f"*/{RESULT_NAME}")):
        differences += [f"{earlier.parent.name}: {what}" for what in _earlier(earlier.parent)]
    count = len(differences)
    verdict = (
        f"{folder}: {count} {'difference' if count == 1 else 'differences'}."
        if differences
        else f"{folder}: every file is as it was written, and every verdict follows."
    )
    return Verification(tuple(differences), tuple(notes), verdict)


def _read(folder: Path) -> AuditResult:
    try:
        return AuditResult.from_json((folder / RESULT_NAME).read_bytes())
    except OSError as error:
        raise ResultError(f"cannot be read ({error.strerror}).") from None


def _earlier(folder: Path) -> list[str]:
    try:
        return _inside(folder, _read(folder), [])
    except ResultError as error:
        return [f"{RESULT_NAME}: {error.message}"]


def _inside(folder: Path, result: AuditResult, notes: list[str]) -> list[str]:
    """What in the directory does not follow from its measurements."""
    found = contradictions(result)
    try:
        state = read_state(folder)
        if state is None:
            return [*found, "run.json: is missing"]
        records, content = read_records(folder, state.id)
    except (ResultError, OSError) as error:
        return [*found, str(error)]
    if not content.whole:
        found.append("events.jsonl: has lines that are not as they were written")
    found += journal_contradictions(result, records)
    found += _against_state(result, state)
    if result.environment.get("auditkit") != __version__ or state.source != own_source():
        notes.append("The reports were written by another auditkit and are not rendered again.")
    else:
        found += _reports(folder, result)
    return found


def _against_state(result: AuditResult, state: RunState) -> list[str]:
    said = {
        "model digest": (state.inputs.model, result.subject.model_digest),
        "data digest": (state.inputs.data, result.subject.data_digest),
        "suite digest": (state.inputs.suite, result.suite_digest),
        "seed": (state.inputs.seed, result.seed),
        "exit code": (state.exit_code, result.decision.exit_code),
    }
    found = [f"run.json: another {what} than the result" for what, (a, b) in said.items() if a != b]
    if state.status == "started":
        found.append("run.json: the run is not finished")
    return found


def _reports(folder: Path, result: AuditResult) -> list[str]:
    return [
        f"{file.file_name}: is not what the result renders to"
        for name, file in FORMATS.items()
        if (folder / file.file_name).is_file()
        and (folder / file.file_name).read_bytes() != _bytes(render(result, name))
    ]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="backslashreplace")
