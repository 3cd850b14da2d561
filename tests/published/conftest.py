"""Published numbers on public data. The data are not part of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder named by AUDITKIT_DATA."""
    folder = os.environ.get("AUDITKIT_DATA")
    if not folder:
        pytest.skip("AUDITKIT_DATA names no folder of public data sets")
    return Path(folder)
