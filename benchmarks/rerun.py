"""What does auditing again cost? Prints a table; exit code 1 when it costs more than promised.

    python benchmarks/rerun.py

The demo is built once. Then, in this order and each in a process of its own: its audit as on the
first day, the same again, and again with one parameter of one check changed. The second must ask
the model nothing and take less than a tenth of the first; the third must run that check alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from auditkit.demo import build
from auditkit.result import AuditResult
from auditkit.run_store import read_records, read_state

CHANGED, SETTING = "quality.calibration", '\n[checks."quality.calibration".params]\nbins = 12\n'


@dataclass(frozen=True)
class Audited:
    """One `auditkit run`."""

    seconds: float
    reached_model: int
    measured: frozenset[str]
    """Checks that ran in it."""


def audited(folder: Path) -> Audited:
    """Run the audit in a process of its own, from its start to its end."""
    environment = os.environ | {"AUDITKIT_CACHE": str(folder / "cache")}
    before = run_id(folder)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "auditkit", "run", str(folder / "auditkit.toml")],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    seconds = time.perf_counter() - began
    assert done.returncode == 1, f"the demo fails its gate; this run ended with {done.returncode}"
    if run_id(folder) == before:
        return Audited(seconds, 0, frozenset())
    asking = AuditResult.from_json((folder / "audit" / "result.json").read_bytes()).timing.asking
    records, _ = read_records(folder / "audit", run_id(folder))
    measured = frozenset(check for check, record in records.items() if not record.replayed)
    return Audited(seconds, asking.distinct - asking.cached, measured)


def run_id(folder: Path) -> str:
    """The run that the directory holds; each that measured something has its own."""
    state = read_state(folder / "audit")
    return state.id if state else ""


def main() -> int:
    """Run the three audits and print what they cost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        build(folder, lambda _step, _share: None)
        print(f"building the demo {time.perf_counter() - began:.1f} s")
        audited(folder)  # page cache and bytecode are warm for all three
        for leftover in ("audit", "cache"):
            subprocess.run(["rm", "-r", str(folder / leftover)], check=True)
        first, again = audited(folder), audited(folder)
        with (folder / "auditkit.toml").open("a", encoding="utf-8") as config:
            config.write(SETTING)
        changed = audited(folder)
    print(
        f"{'':24}{'seconds':>9}{'of first':>10}{'checks run':>12}{'inputs asked of the model':>27}"
    )
    rows = (("first", first), ("nothing changed", again), (f"{CHANGED} changed", changed))
    for label, run in rows:
        share = f"{run.seconds / first.seconds:.1%}"
        print(
            f"{label:26}{run.seconds:7.2f}{share:>10}{len(run.measured):12}{run.reached_model:27}"
        )
    good = (
        again.reached_model == 0
        and not again.measured
        and again.seconds < 0.1 * first.seconds
        and changed.measured == {CHANGED}
        and changed.reached_model == 0
    )
    print("as promised" if good else "NOT as promised")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
