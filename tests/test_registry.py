"""Checks are collected from modules; a plug-in that breaks is a finding, not a silence."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

import auditkit
from auditkit.errors import RegistryError
from auditkit.registry import load_registry

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = '''
from auditkit.check import Limit, check
from auditkit.finding import Measurement, Severity

@check("{id}", title="t", severity=Severity.LOW, limits=(Limit("x", "max", 1.0),))
def mine(context, params):
    """One line."""
    yield Measurement("x", 0.5, len(context.data), None)
'''


def plugin(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


REMEDY = '''
from auditkit.remedy import remedy

@remedy("{id}", title="t", improves=("quality",))
def mine(context, params):
    """One line."""
    return context.model
'''


def test_every_builtin_check_and_remedy_is_named_after_its_file():
    registry = load_registry()
    for entry in (*registry.checks.values(), *registry.remedies.values()):
        path = entry.module.removeprefix("auditkit.checks.").replace("_", "-")
        assert entry.id == path


def test_every_file_of_the_checks_folder_holds_one_check_or_remedy():
    folder = Path(auditkit.__file__).parent.parent / "checks"
    if not folder.is_dir():
        pytest.skip("not a checkout")
    files = [file for file in folder.rglob("*.py") if not file.name.startswith("_")]
    registry = load_registry()
    assert len(files) == len(registry.checks) + len(registry.remedies)


def test_a_remedy_in_a_folder_is_collected_and_found_by_its_id(tmp_path):
    registry = load_registry([plugin(tmp_path / "own", "mine.py", REMEDY.format(id="own.mine"))])
    assert registry.find("own.mine") is registry.get_remedy("own.mine")
    assert "own.mine" not in registry.checks
    with pytest.raises(RegistryError, match=r"Did you mean 'own\.mine'"):
        registry.find("own.mime")


def test_a_remedy_may_not_take_the_id_of_a_check(tmp_path):
    text = REMEDY.format(id="quality.metric")
    with pytest.raises(RegistryError, match=r"checks or remedies are called 'quality\.metric'"):
        load_registry([plugin(tmp_path / "own", "mine.py", text)])


def test_a_folder_of_checks_is_collected(tmp_path):
    folder = plugin(tmp_path / "own", "mine.py", PLUGIN.format(id="own.mine"))
    assert "own.mine" in load_registry([folder]).checks


def test_two_checks_with_one_id_are_refused_with_both_places(tmp_path):
    text = PLUGIN.format(id="quality.metric")
    with pytest.raises(
        RegistryError, match=r"quality\.metric.*auditkit\.checks\.quality.*mine\.py"
    ):
        load_registry([plugin(tmp_path / "own", "mine.py", text)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_package_here", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "no check"),
        ("raise SystemExit(0)", "SystemExit"),
    ],
)
def test_a_plugin_that_breaks_is_recorded_with_its_error(tmp_path, text, said):
    broken = load_registry([plugin(tmp_path / "own", "bad.py", text)]).broken
    assert len(broken) == 1
    assert said in broken[0].error
    assert broken[0].source.endswith("bad.py")


def test_an_id_must_be_family_dot_name(tmp_path):
    folder = plugin(tmp_path / "own", "mine.py", PLUGIN.format(id="Not An Id"))
    with pytest.raises(RegistryError, match=r"family\.kebab-name"):
        load_registry([folder])


def test_a_plugin_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(RegistryError, match="does not exist"):
        load_registry([tmp_path / "none"])


def test_an_unknown_id_names_the_nearest():
    with pytest.raises(RegistryError, match=r"quality\.calibration"):
        load_registry().get("quality.calibrations")
