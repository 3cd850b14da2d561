"""The short form of the crash benchmark."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "crash.py"


@pytest.mark.skipif(not SCRIPT.exists(), reason="not a checkout")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_audit_survives_being_killed():
    command = [sys.executable, str(SCRIPT), "--kills", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
