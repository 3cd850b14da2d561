"""The lock of a run directory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from auditkit.run_lock import LOCK_NAME, RunBusyError, RunLock

HOLD = """
import sys, time
from pathlib import Path
from auditkit.run_lock import RunLock
lock = RunLock(Path(sys.argv[1])); lock.acquire(); print("held", flush=True); time.sleep(60)
"""


def test_the_second_is_refused_and_told_who_holds_it(tmp_path):
    first, second = RunLock(tmp_path), RunLock(tmp_path)
    assert first.acquire() == ""
    with pytest.raises(RunBusyError, match=f"process {os.getpid()} on "):
        second.acquire()
    first.release()
    assert not (tmp_path / LOCK_NAME).exists()
    assert second.acquire() == ""
    second.release()


def test_a_killed_run_leaves_no_lock_behind(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE
    ) as held:
        assert held.stdout is not None
        held.stdout.readline()
        with pytest.raises(RunBusyError):
            RunLock(tmp_path).acquire()
        held.kill()
    again = RunLock(tmp_path)
    assert f"process {held.pid} on" in again.acquire()
    again.release()


@pytest.mark.parametrize("content", ["", "{", "7", '{"pid": 1, "host": "elsewhere", "started": 0}'])
def test_whatever_stands_in_an_abandoned_lock_it_is_taken_over(tmp_path, content):
    (tmp_path / LOCK_NAME).write_text(content)
    lock = RunLock(tmp_path)
    assert bool(lock.acquire()) == bool(content)
    lock.release()
