"""The short form of the gate's error rates; the long one is in benchmarks/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "gate_error.py"


@pytest.mark.skipif(not SCRIPT.exists(), reason="not a checkout")
@pytest.mark.parametrize("part", ["planted", "fair"])
def test_the_gate_errs_no_more_often_than_promised(part):
    command = [sys.executable, str(SCRIPT), "--short", "--part", part]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
