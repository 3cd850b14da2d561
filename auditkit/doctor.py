"""What is installed here, which safety floors are not met, and which checks that costs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from dataclasses import dataclass

from auditkit.check import Check
from auditkit.registry import load_registry
from auditkit.remedy import Remedy


@dataclass(frozen=True, slots=True)
class Floor:
    """A package version below which auditkit is unsafe or untested."""

    package: str
    minimum: str
    needed_for: str
    reason: str = ""


FLOORS = (
    Floor("numpy", "1.26", "everything"),
    Floor("scipy", "1.13", "everything"),
    Floor("pydantic", "2.9", "everything"),
    Floor("fairlearn", "0.13", "fairness checks"),
    Floor("jinja2", "3.1.6", "the HTML report", "sandbox escapes before it"),
    Floor("torch", "2.10", "transformers models", "CVE-2026-24747, CVE-2025-32434"),
    Floor("transformers", "4.57", "transformers models"),
    Floor("safetensors", "0.4.5", "transformers models"),
    Floor("accelerate", "1.1", "remedies"),
    Floor("peft", "0.14", "remedies with lora_rank"),
    Floor("evaluate", "0.4.3", "metrics of Hugging Face evaluate"),
    Floor("datasets", "3.0", "hub data sets"),
    Floor("textattack", "0.3.11", "adversarial attacks"),
    Floor("greenlet", "3.0", "adversarial attacks and explanations"),
    Floor("lime", "0.2.0.1", "explanations by LIME"),
    Floor("shap", "0.47", "explanations by SHAP"),
    Floor("captum", "0.8", "explanations by gradients"),
    Floor("onnx", "1.17", 'model.backend = "onnx"'),
    Floor("onnxruntime", "1.20", 'model.backend = "onnx"'),
)
UNSAFE_TRANSFORMERS = ("4.56", "5.3")
"""Releases from the first to before the second run remote code unasked (CVE-2026-4372)."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line of `auditkit doctor`."""

    subject: str
    state: str
    """"ok", "missing", "old" or "careful"."""
    detail: str


def diagnose() -> list[Diagnosis]:
    """Python, packages against their floors, the device, and what cannot run here."""
    lines = [
        Diagnosis(
            "python", "ok" if sys.version_info >= (3, 11) else "old", platform.python_version()
        )
    ]
    lines += [_package(floor) for floor in FLOORS]
    lines += _remote_code()
    lines.append(Diagnosis("device", "ok", _device()))
    lines.append(_recipes())
    registry = load_registry()
    entries: list[Check | Remedy] = [*registry.checks.values(), *registry.remedies.values()]
    for entry in entries:
        absent = [name for name in entry.extras if importlib.util.find_spec(name) is None]
        if absent:
            lines.append(Diagnosis(entry.id, "missing", f"needs {', '.join(absent)}"))
    return lines


def _package(floor: Floor) -> Diagnosis:
    from packaging.version import Version

    try:
        version = importlib.metadata.version(floor.package)
    except importlib.metadata.PackageNotFoundError:
        return Diagnosis(floor.package, "missing", f"needed for {floor.needed_for}")
    if Version(version) < Version(floor.minimum):
        why = f" ({floor.reason})" if floor.reason else ""
        return Diagnosis(floor.package, "old", f"{version}, needs {floor.minimum}{why}")
    return Diagnosis(floor.package, "ok", version)


def _remote_code() -> list[Diagnosis]:
    from packaging.version import Version

    try:
        version = Version(importlib.metadata.version("transformers"))
    except importlib.metadata.PackageNotFoundError:
        return []
    first, fixed = map(Version, UNSAFE_TRANSFORMERS)
    if first <= version < fixed:
        return [
            Diagnosis(
                "transformers",
                "careful",
                "this release can run code named in a model's config (CVE-2026-4372); auditkit "
                "scans the config before loading, 5.3 or newer closes the hole itself",
            )
        ]
    return []


def _recipes() -> Diagnosis:
    from auditkit.attacks.recipes import RECIPES, obstacles

    absent = [name for name in ("textattack", "greenlet") if importlib.util.find_spec(name) is None]
    if absent:
        return Diagnosis("attack recipes", "missing", f"need {', '.join(absent)}")
    ready = [name for name, recipe in RECIPES.items() if not obstacles(recipe)]
    more = f"{len(RECIPES) - len(ready)} others: auditkit resources"
    return Diagnosis("attack recipes", "ok", f"{', '.join(ready)}; {more}")


def _device() -> str:
    if importlib.util.find_spec("torch") is None:
        return "unknown, torch is not installed"
    import torch

    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name()}"
    return f"cpu, {torch.get_num_threads()} threads"
