"""What the documents say is what the program does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from auditkit.behaviour import Reading, read_suite
from auditkit.catalogue import generated
from auditkit.config import Policy, parse_config
from auditkit.gate import ExitCode
from auditkit.model import Capability
from auditkit.plan import make_plan
from auditkit.registry import load_registry

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(not (ROOT / "examples").is_dir(), reason="not a checkout")


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", read(document), re.DOTALL)


def test_generated_files_are_up_to_date():
    stale = [
        path.name for path, text in generated(ROOT) if path.read_text(encoding="utf-8") != text
    ]
    assert not stale, "run: make docs"


@pytest.mark.parametrize(
    "document", ["README.md", "examples/auditkit.toml", "examples/predictions.toml"]
)
def test_configurations_shown_to_users_are_accepted(document):
    texts = blocks(document, "toml") if document.endswith(".md") else [read(document)]
    assert texts
    for text in texts:
        config = parse_config(tomllib.loads(text))
        make_plan(config, load_registry(), frozenset(Capability))


def test_the_policy_shown_to_users_is_accepted():
    table = tomllib.loads(read("examples/pull-request-policy.toml"))
    Policy.model_validate(table["policy"])


def test_the_suite_shown_to_users_is_read():
    cases = read_suite(ROOT / "examples" / "suite.jsonl", Reading(("negative", "positive")))
    assert {case.kind for case in cases} == {"MFT", "INV", "DIR"}


def test_the_readme_lists_every_exit_code():
    text = read("README.md")
    listed = {int(code) for code in re.findall(r"^\| (\d) \|", text, re.MULTILINE)}
    assert listed == {int(code) for code in ExitCode}


def test_links_in_the_documents_lead_somewhere():
    for document in (
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/checks.md",
        "docs/plan.md",
    ):
        text = read(document)
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            if "://" not in link:
                assert (ROOT / document).parent.joinpath(link).exists(), f"{document}: {link}"


def test_the_remedy_shown_to_contributors_is_one(tmp_path):
    code = blocks("CONTRIBUTING.md", "python")[1]
    (tmp_path / "balanced_classes.py").write_text(code, encoding="utf-8")
    registry = load_registry([tmp_path])
    assert not registry.broken
    remedy = registry.get_remedy("quality.balanced-classes")
    assert remedy.sections["What it does"]


def test_the_check_shown_to_contributors_keeps_the_contract(tmp_path):
    from auditkit.testing import findings_of, odd_cases

    code = blocks("CONTRIBUTING.md", "python")[0]
    (tmp_path / "confident_errors.py").write_text(code, encoding="utf-8")
    registry = load_registry([tmp_path])
    assert not registry.broken
    check = registry.get("quality.confident-errors")
    for data, predictions in odd_cases().values():
        assert findings_of(check, data, predictions)
