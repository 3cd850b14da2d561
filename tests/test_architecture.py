"""One direction of data: a module imports only from its own layer or earlier ones."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "auditkit"
pytestmark = pytest.mark.skipif(not PACKAGE.is_dir(), reason="not a checkout")

LAYERS = [
    {"errors", "interruption", "__init__"},
    {"finding", "model", "data", "resources", "group_thresholds", "run_as", "attribution"},
    {"stats", "metrics", "check", "remedy", "noise", "behaviour", "identity", "latency"},
    {"judge", "gate", "config", "result"},
    {
        "registry",
        "models",
        "sources",
        "content",
        "batching",
        "token_answers",
        "predictor",
        "prediction_store",
        "sqlite_file",
        "cores",
        "freed_memory",
        "preflight",
        "baseline",
        "store",
        "plan",
        "network",
        "measured",
        "journal",
        "run_lock",
        "manifest",
        "recompute",
        "run_identity",
        "run_store",
        "found_run",
        "sampling",
        "made_shifts",
        "ood_sets",
        "resolution",
        "attacks",
        "explanations",
        "interleaving",
        "random_streams",
        "measuring",
        "observer",
        "ledger",
        "training",
        "comparison",
        "timing",
        "fresh_start",
    },
    {"schedule", "engine", "forecast", "mitigation", "remedy_choice"},
    {"render", "catalogue"},
    {"api", "guess", "doctor", "demo", "progress", "testing", "verify", "signals", "fetching"},
    {"side_by_side", "closed_loop"},
    {"cli"},
    {"__main__"},
]  # fmt: skip
FOR_CHECKS = {"attacks", "explanations"}
"""Engines a check may use besides the first three layers: they ask the model only through the
function they are handed."""
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
HEAVY = {
    "torch", "transformers", "textattack", "shap", "lime", "fairlearn", "pandas", "jinja2",
    "sklearn", "scipy", "statsmodels", "evaluate", "datasets", "pyarrow", "tokenizers",
    "safetensors", "nltk", "greenlet", "lru", "onnx", "onnxruntime", "captum",
}  # fmt: skip


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def unit(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(tree: ast.AST) -> list[tuple[str, bool]]:
    """Every imported module, and whether it is imported while the module itself loads."""
    found: list[tuple[str, bool]] = []

    def visit(node: ast.AST, at_load: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                found.extend((alias.name, at_load) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module and child.level == 0:
                found.append((child.module, at_load))
                found.extend((f"{child.module}.{alias.name}", at_load) for alias in child.names)
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            visit(child, at_load and not inside)

    visit(tree, at_load=True)
    return found


def test_every_module_has_a_layer():
    assert {unit(path) for path in modules()} <= set(RANK)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_earlier_layers(path):
    if path.name == "__init__.py" and path.parent == PACKAGE:
        return
    for name, _ in imports(ast.parse(path.read_text(encoding="utf-8"))):
        parts = name.split(".")
        if parts[0] == "auditkit" and len(parts) > 1 and parts[1] in RANK:
            assert RANK[parts[1]] <= RANK[unit(path)], f"{path.name} imports {name}"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "checks").rglob("*.py")), ids=lambda path: path.stem
)
def test_a_check_uses_only_the_first_three_layers_and_engines_made_for_it(path):
    for name, _ in imports(ast.parse(path.read_text(encoding="utf-8"))):
        parts = name.split(".")
        if parts[0] == "auditkit" and len(parts) > 1:
            allowed = RANK[parts[1]] <= 2 or parts[1] in FOR_CHECKS
            assert allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_inside_functions(path):
    for name, at_load in imports(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (at_load and name.split(".")[0] in HEAVY), f"{path.name} loads {name}"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import auditkit", ("numpy", "torch", "jinja2", "pydantic", "rich", "click")),
        ("import auditkit.cli", ("numpy", "torch", "jinja2", "pydantic", "pandas", "rich")),
    ],
)
def test_importing_the_front_loads_nothing_heavy(statement, absent):
    code = f"{statement}; import sys; print(*[m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_package_list_names_every_folder():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(settings["tool"]["setuptools"]["packages"])
    found = {".".join(p.parent.relative_to(ROOT).parts) for p in PACKAGE.rglob("__init__.py")}
    for top in ("checks", "reports"):
        for path in (ROOT / top).rglob("__init__.py"):
            found.add(".".join(("auditkit", *path.parent.relative_to(ROOT).parts)))
    assert listed == found


def test_no_file_is_named_after_nothing():
    vague = {"utils", "helpers", "common", "base", "misc", "manager"}
    names = {
        path.stem
        for folder in ("auditkit", "checks", "tests")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert not names & vague


def test_functions_stay_short():
    long = []
    for path in [*modules(), *(ROOT / "checks").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                doc = ast.get_docstring(node, clean=False) or ""
                size = (node.end_lineno or 0) - node.lineno + 1 - doc.count("\n")
                if size > 50:
                    long.append(f"{path.name}:{node.name} has {size} lines")
    assert not long
