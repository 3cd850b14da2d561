"""What a run directory will save the next audit; looked up without its lock, and changing nothing.

Follows `RunStore.begin` and `RunStore.recall`, step by step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from auditkit.errors import ResultError
from auditkit.measured import CheckRecord, Ending
from auditkit.run_identity import RunInputs
from auditkit.run_store import (
    EVENTS_NAME,
    HISTORY_NAME,
    RUN_NAME,
    RunState,
    earlier_records,
    read_records,
    read_state,
    stored_result,
)


@dataclass(frozen=True, slots=True)
class FoundRun:
    """What an audit will find in its run directory.

    Attributes:
        stored: Whether there is the verdict of just this audit, so that nothing is measured.
        recalled: Checks that are finished already, here or in an earlier run.
        note: What stands in the way, as a sentence; empty when nothing does.
    """

    stored: bool = False
    recalled: frozenset[str] = frozenset()
    note: str = ""


def holds_a_run(folder: Path) -> bool:
    """Whether anything was ever audited in this directory."""
    return (folder / RUN_NAME).exists() or (folder / HISTORY_NAME).is_dir()


def find_run(folder: Path, inputs: RunInputs, keys: Mapping[str, str]) -> FoundRun:
    """What an audit with these inputs, and checks with these keys, will find in `folder`."""
    try:
        return _found(folder, inputs, keys)
    except OSError as error:
        return FoundRun(note=f"{folder} cannot be read ({error.strerror}).")


def _found(folder: Path, inputs: RunInputs, keys: Mapping[str, str]) -> FoundRun:
    try:
        state = read_state(folder)
    except ResultError:
        state = None
    if state is None or (state.status != "started" and state.inputs != inputs):
        return _begun_anew(folder, keys)
    if state.status == "complete" and stored_result(folder, state.id)[0] is not None:
        return FoundRun(stored=True, recalled=frozenset(keys))
    done, content = read_records(folder, state.id)
    differing = inputs.differences(state.inputs)
    if differing and (content.records or not content.whole):
        return FoundRun(
            note=f"An unfinished run with other inputs is in {folder} ({'; '.join(differing)}): "
            "`auditkit run` will refuse to go on without --fresh or another --out."
        )
    if differing:
        return _begun_anew(folder, keys)
    return FoundRun(recalled=_recalled(keys, done, _history(folder, state)))


def _begun_anew(folder: Path, keys: Mapping[str, str]) -> FoundRun:
    journals = [*_journals(folder), folder / EVENTS_NAME]
    return FoundRun(recalled=_recalled(keys, {}, earlier_records(journals)))


def _history(folder: Path, state: RunState) -> dict[tuple[str, str], CheckRecord]:
    return {} if state.fresh else earlier_records(_journals(folder))


def _journals(folder: Path) -> list[Path]:
    return [run / EVENTS_NAME for run in sorted((folder / HISTORY_NAME).glob("*")) if run.is_dir()]


def _recalled(
    keys: Mapping[str, str],
    done: Mapping[str, CheckRecord],
    earlier: Iterable[tuple[str, str]],
) -> frozenset[str]:
    finished = {
        (record.check, record.key)
        for record in done.values()
        if record.measured.ending is not Ending.ERROR
    }
    known = finished.union(earlier)
    return frozenset(check for check, key in keys.items() if (check, key) in known)
