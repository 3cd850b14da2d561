"""What is installed by pip is complete and works outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(not (ROOT / "auditkit").is_dir(), reason="not a checkout")
SOURCES = ("auditkit", "checks", "reports", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, so that a test run leaves nothing in the checkout."""
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, copy / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    subprocess.run([*command, "--outdir", copy / "out", copy], check=True, capture_output=True)
    return next((copy / "out").glob("*.whl"))


def test_the_wheel_holds_every_module_check_and_template(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "auditkit").rglob("*")
        if path.suffix in {".py", ".typed", ".json", ".csv"}
    }
    for top in ("checks", "reports"):
        expected |= {
            f"auditkit/{path.relative_to(ROOT).as_posix()}"
            for path in (ROOT / top).rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
    assert expected <= packed
    assert any(name.endswith("report.html.j2") for name in packed)


def test_the_wheel_puts_only_auditkit_on_the_path(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"auditkit"}


def test_the_installed_wheel_audits_and_reports_outside_the_checkout(wheel, tmp_path):
    installed = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(installed)
    tests = tmp_path / "tests"
    tests.mkdir()
    for name in ("test_engine.py", "test_cli.py"):
        shutil.copy(ROOT / "tests" / name, tests / name)
    place = "import auditkit, auditkit.checks; print(auditkit.__file__, *auditkit.checks.__path__)"
    surroundings = {**os.environ, "PYTHONPATH": str(installed)}
    found = subprocess.run(
        [sys.executable, "-c", place], cwd=tmp_path, env=surroundings,
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert found.count(str(installed)) == 2
    chosen = ["-k", "passes or saving or gate or explained or rendered"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests), *chosen],
        cwd=tmp_path, env=surroundings, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
