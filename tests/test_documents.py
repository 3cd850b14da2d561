"""What the documents say is what the program does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from auditkit.catalogue import generated
from auditkit.config import Policy, parse_config
from auditkit.gate import ExitCode
from auditkit.model import Capability
from auditkit.plan import make_plan
from auditkit.registry import load_registry

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(not (ROOT / "examples").is_dir(), reason="not a checkout")


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_generated_files_are_up_to_date():
    stale = [
        path.name for path, text in generated(ROOT) if path.read_text(encoding="utf-8") != text
    ]
    assert not stale, "run: make docs"


@pytest.mark.parametrize(
    "text",
    [
        *blocks("README.md", "toml"),
        (ROOT / "examples/auditkit.toml").read_text(encoding="utf-8"),
        (ROOT / "examples/predictions.toml").read_text(encoding="utf-8"),
    ],
    ids=["readme", "example", "predictions"],
)
def test_configurations_shown_to_users_are_accepted(text):
    config = parse_config(tomllib.loads(text))
    make_plan(config, load_registry(), frozenset(Capability))


def test_the_policy_shown_to_users_is_accepted():
    table = tomllib.loads((ROOT / "examples/pull-request-policy.toml").read_text(encoding="utf-8"))
    Policy.model_validate(table["policy"])


def test_the_readme_lists_every_exit_code():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d) \|", text, re.MULTILINE)}
    assert listed == {int(code) for code in ExitCode}


def test_links_in_the_documents_lead_somewhere():
    for document in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/checks.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            if "://" not in link:
                assert (ROOT / document).parent.joinpath(link).exists(), f"{document}: {link}"


def test_the_check_shown_to_contributors_keeps_the_contract(tmp_path):
    from auditkit.testing import findings_of, odd_cases

    code = blocks("CONTRIBUTING.md", "python")[0]
    (tmp_path / "confident_errors.py").write_text(code, encoding="utf-8")
    registry = load_registry([tmp_path])
    assert not registry.broken
    check = registry.get("quality.confident-errors")
    for data, predictions in odd_cases().values():
        assert findings_of(check, data, predictions)
