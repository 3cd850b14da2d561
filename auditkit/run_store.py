"""The run directory: what an audit has finished so far, and the runs there were before it.

    run.json        status, digests of what went in, seed, process; written before the checks
    events.jsonl    one line per finished check, or part of a long one, with its own SHA-256
    result.json     the record; beside it report.html, junit.xml and summary.md
    manifest.json   size and SHA-256 of every file, written last
    runs/NAME/      an earlier run with other inputs, as it was

A run that was cut off goes on where it stopped. A finished one answers with its verdict as long
as nothing that goes into it has changed; what has changed is measured again.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from auditkit import __version__
from auditkit.check import Kept
from auditkit.errors import AuditkitError, ResultError
from auditkit.finding import Outcome
from auditkit.journal import JournalContent, append, line_of, read_journal
from auditkit.manifest import MANIFEST_NAME, manifest_differences, write_manifest
from auditkit.measured import CheckRecord, Ending, PartRecord
from auditkit.recompute import contradictions, journal_contradictions
from auditkit.result import AuditResult, SeedRun
from auditkit.run_identity import RunInputs, own_source
from auditkit.run_lock import RunLock
from auditkit.store import StoreError, unwritable, write_atomic

RUN_NAME, EVENTS_NAME, RESULT_NAME = "run.json", "events.jsonl", "result.json"
DAMAGED_NAME, HISTORY_NAME = "events.damaged", "runs"
_OF_A_RUN = (
    EVENTS_NAME, DAMAGED_NAME, RESULT_NAME, "report.html", "junit.xml", "summary.md",
    MANIFEST_NAME, RUN_NAME,
)  # fmt: skip
"""Files that move when a run becomes an earlier one; run.json last, it says what the rest is."""

Status = Literal["started", "complete", "error"]
Tell = Callable[[str], None]


class RunMismatchError(StoreError):
    """An unfinished run was begun with another model, data, suite or seed."""

    slug = "run"


@dataclass(frozen=True, slots=True)
class RunState:
    """What `run.json` says."""

    id: str
    """Number of the run in this directory and the first digits of the digest of its inputs."""
    status: Status
    """"started" until the result is written; "error" when a check crashed in it."""
    inputs: RunInputs
    fresh: bool
    """True when nothing may be taken over from earlier runs."""
    auditkit: str
    """Its version."""
    source: str
    """SHA-256 of its source files."""
    pid: int
    host: str
    started: str
    exit_code: int | None = None


def read_state(folder: Path) -> RunState | None:
    """The state of a run directory; None when it holds no run.

    Raises:
        ResultError: `run.json` is damaged.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(RunState).validate_json((folder / RUN_NAME).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError, ValueError):
        raise ResultError(f"{folder / RUN_NAME}: is damaged.") from None


def read_parts(content: JournalContent, run_id: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Parts by name of the checks of a run, by check and key."""
    parts: dict[tuple[str, str], dict[str, Any]] = {}
    for line in content.records:
        with contextlib.suppress(TypeError, KeyError):
            if line["run"] == run_id:
                part = PartRecord(**line["part"])
                parts.setdefault((part.check, part.key), {})[part.name] = part.content
    return parts


def read_records(folder: Path, run_id: str) -> tuple[dict[str, CheckRecord], JournalContent]:
    """The finished checks of a run by id, and the journal they stand in.

    Raises:
        OSError: The journal exists but cannot be read.
    """
    content = read_journal(folder / EVENTS_NAME)
    records = {}
    for line in content.records:
        with contextlib.suppress(ValueError, KeyError):
            if line["run"] == run_id:
                record = CheckRecord.from_record(line["check"])
                records[record.check] = record
    return records, content


def stored_result(folder: Path, run_id: str) -> tuple[AuditResult | None, list[str]]:
    """The result of a finished run, or what keeps it from being believed."""
    try:
        _, found = manifest_differences(folder)
        result = AuditResult.from_json((folder / RESULT_NAME).read_bytes())
        records, _ = read_records(folder, run_id)
        found = found or contradictions(result) or journal_contradictions(result, records)
    except (AuditkitError, OSError) as error:
        return None, [str(error)]
    return (None, found) if found else (result, [])


def earlier_records(journals: Iterable[Path]) -> dict[tuple[str, str], CheckRecord]:
    """What earlier runs measured by check and key, the latest of each; nothing that crashed.

    Raises:
        OSError: A journal exists but cannot be read.
    """
    records: dict[tuple[str, str], CheckRecord] = {}
    for journal in journals:
        for line in read_journal(journal).records:
            with contextlib.suppress(ValueError, KeyError):
                record = CheckRecord.from_record(line["check"])
                if record.measured.ending is not Ending.ERROR:
                    records[record.check, record.key] = record
    return records


class RunStore:
    """A run directory at work. Use it as a context manager: it holds the directory's lock.

    Args:
        folder: The run directory; made if missing.
        fresh: Measure everything anew. What is there becomes an earlier run.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self.folder = folder
        self._fresh = fresh
        self._lock = RunLock(folder)
        self._tell: Tell = _nobody
        self._left = ""
        self._state: RunState | None = None
        self._done: dict[str, CheckRecord] = {}
        self._earlier: dict[tuple[str, str], CheckRecord] = {}
        self._parts: dict[tuple[str, str], dict[str, Any]] = {}
        self.stored: AuditResult | None = None
        """The result of the finished run found here, when it is the one asked for."""

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from None
        self._left = self._lock.acquire()
        for leftover in self.folder.glob(".*.writing"):
            leftover.unlink(missing_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    @property
    def unfinished(self) -> bool:
        """True when the run has begun and its result is not written yet."""
        return self._state is not None and self._state.status == "started"

    @property
    def finished_checks(self) -> int:
        """Checks on the disk so far."""
        return len(self._done)

    def begin(self, inputs: RunInputs, tell: Tell) -> AuditResult | None:
        """Begin a run, go on with the one that was cut off, or answer from the finished one.

        Args:
            inputs: Digests of what goes in.
            tell: Told what a user should know: damaged lines, an abandoned lock.

        Returns:
            The stored result when the run is finished and nothing has changed.

        Raises:
            RunMismatchError: An unfinished run was begun with other inputs.
            StoreError: The directory cannot be written.
        """
        self._tell = tell
        if self._left:
            tell(self._left)
        state = self._found_state()
        try:
            if state is None or self._fresh:
                self._start_anew(state, inputs)
            elif state.status == "started":
                self._go_on(state, inputs)
            elif state.inputs != inputs:
                self._start_anew(state, inputs)
            elif state.status == "complete" and (stored := self._intact(state)):
                self._state, self.stored = state, stored
                return stored
            else:
                self._resume(state, inputs)
        except OSError as error:
            raise unwritable(self.folder, error) from None
        return None

    def recall(self, check_id: str, key: str) -> CheckRecord | None:
        """The finished check with this key; one of an earlier run is noted in this one's journal.

        A check that crashed is never recalled.
        """
        record = self._done.get(check_id)
        if record is None or record.key != key or record.measured.ending is Ending.ERROR:
            record = self._earlier.get((check_id, key))
            if record is not None:
                record = replace(record, replayed=True)
                self.keep(record)
        return record

    def keep(self, record: CheckRecord) -> None:
        """Write down a finished check; it is on the disk when this returns.

        Raises:
            StoreError: It cannot be written.
        """
        assert self._state is not None
        append(self.folder / EVENTS_NAME, {"run": self._state.id, "check": record.to_record()})
        self._done[record.check] = record

    def parts(self, check_id: str, key: str) -> Kept:
        """The parts of a check that are finished, and the place to keep more."""
        assert self._state is not None
        return _KeptHere(self, check_id, key, self._parts.get((check_id, key), {}))

    def keep_part(self, part: PartRecord) -> None:
        """Write down a part of a check; it is on the disk when this returns.

        Raises:
            StoreError: It cannot be written.
        """
        assert self._state is not None
        append(self.folder / EVENTS_NAME, {"run": self._state.id, "part": asdict(part)})

    def seeds_seen(self, inputs: RunInputs) -> tuple[SeedRun, ...]:
        """Every other seed that was tried here on the same model, data and suite."""
        seen: dict[int, SeedRun] = {}
        for folder in self._history():
            with contextlib.suppress(ResultError):
                state = read_state(folder)
                if state is not None and inputs.differs_only_in_seed(state.inputs):
                    seen[state.inputs.seed] = SeedRun(state.inputs.seed, state.exit_code)
        return tuple(seen.values())

    def finish(self, result: AuditResult) -> None:
        """Write the result; the reports may follow, then `seal`.

        Raises:
            StoreError: It cannot be written; running again goes on from the finished checks.
        """
        assert self._state is not None
        write_atomic(self.folder / RESULT_NAME, result.to_json() + "\n")
        crashed = any(finding.outcome is Outcome.ERROR for finding in result.findings)
        self._write_state(
            replace(
                self._state,
                status="error" if crashed else "complete",
                exit_code=result.decision.exit_code,
            )
        )

    def seal(self, result: AuditResult) -> None:
        """Write the manifest over everything in the directory.

        Raises:
            StoreError: It cannot be written.
        """
        write_manifest(self.folder, result.suite_digest)

    def _found_state(self) -> RunState | None:
        try:
            return read_state(self.folder)
        except ResultError as error:
            self._tell(f"{error.message} What was measured under it is kept in {HISTORY_NAME}.")
            return None

    def _start_anew(self, state: RunState | None, inputs: RunInputs) -> None:
        name = state.id if state else f"{self._next_number():04d}-unknown"
        self._move_to_history(name)
        if not self._fresh:
            self._earlier = self._records_of_history()
        number = self._next_number()
        self._write_state(_new_state(f"{number:04d}-{inputs.digest[:8]}", inputs, self._fresh))

    def _go_on(self, state: RunState, inputs: RunInputs) -> None:
        differing = inputs.differences(state.inputs)
        if not differing:
            self._resume(state, inputs)
            return
        done, content = read_records(self.folder, state.id)
        if not content.records and content.whole:
            self._start_anew(state, inputs)  # nothing was measured: there is nothing to mix
            return
        raise RunMismatchError(
            f"{self.folder}: an unfinished run is here, {len(done)} checks done, but with other "
            f"inputs: {'; '.join(differing)}.",
            "Finish it with the inputs it had, give this run a directory of its own with --out, "
            "or start over with --fresh.",
        )

    def _resume(self, state: RunState, inputs: RunInputs) -> None:
        self._done, content = read_records(self.folder, state.id)
        self._parts = read_parts(content, state.id)
        if not content.whole:
            self._mend(content)
        if not state.fresh:
            self._earlier = self._records_of_history()
        if self._done or self._parts:
            self._tell(f"Going on with the run in {self.folder}: {len(self._done)} checks are done")
        self._write_state(replace(_new_state(state.id, inputs, state.fresh), started=state.started))

    def _mend(self, content: JournalContent) -> None:
        """Keep the good lines; set the others aside."""
        if content.torn:
            self._tell(f"{EVENTS_NAME}: its last line was cut off; that check runs again.")
        if content.damaged:
            self._tell(
                f"{EVENTS_NAME}: {len(content.damaged)} lines were changed after they were "
                f"written; they are set aside in {DAMAGED_NAME}, and their checks run again."
            )
            with (self.folder / DAMAGED_NAME).open("ab") as aside:
                aside.writelines(line + b"\n" for line in content.damaged)
        good = b"".join(map(line_of, content.records))
        write_atomic(self.folder / EVENTS_NAME, good.decode("ascii"))

    def _intact(self, state: RunState) -> AuditResult | None:
        """The stored result, when every file is as it was written and agrees with itself."""
        result, found = stored_result(self.folder, state.id)
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            self._tell(
                f"{self.folder} is not as the last run left it: {found[0]}{more}. It is redone."
            )
        return result

    def _write_state(self, state: RunState) -> None:
        text = json.dumps(asdict(state), indent=1, sort_keys=True) + "\n"
        write_atomic(self.folder / RUN_NAME, text)
        self._state = state

    def _history(self) -> list[Path]:
        folder = self.folder / HISTORY_NAME
        return sorted(path for path in folder.glob("*") if path.is_dir())

    def _next_number(self) -> int:
        return len(self._history()) + 1

    def _move_to_history(self, name: str) -> None:
        there = [self.folder / file for file in _OF_A_RUN if (self.folder / file).exists()]
        if there:
            target = self.folder / HISTORY_NAME / name
            target.mkdir(parents=True, exist_ok=True)
            for file in there:
                file.replace(target / file.name)

    def _records_of_history(self) -> dict[tuple[str, str], CheckRecord]:
        return earlier_records(folder / EVENTS_NAME for folder in self._history())


class _KeptHere:
    """The finished parts of one check in a run directory; see `auditkit.check.Kept`."""

    def __init__(self, store: RunStore, check_id: str, key: str, parts: dict[str, Any]) -> None:
        self._store, self._check, self._key = store, check_id, key
        self._parts = parts

    def get(self, name: str) -> Any | None:
        """What was put under this name, in this process or before it."""
        return self._parts.get(name)

    def put(self, name: str, content: Any) -> None:
        """Keep a part; it is on the disk when this returns."""
        self._store.keep_part(PartRecord(self._check, self._key, name, content))
        self._parts[name] = content


def _new_state(run_id: str, inputs: RunInputs, fresh: bool) -> RunState:
    return RunState(
        id=run_id,
        status="started",
        inputs=inputs,
        fresh=fresh,
        auditkit=__version__,
        source=own_source(),
        pid=os.getpid(),
        host=platform.node(),
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _nobody(_: Any) -> None:
    """Tell nobody."""
