"""What a model's answers depend on, as one digest under which they may be kept."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import auditkit

KEY_VERSION = 2
"""Raised when the way answers are computed, or what is kept with them, changes within one version
of auditkit."""


def key_of(settings: Mapping[str, str | int | None], packages: Iterable[str]) -> str:
    """SHA-256 over the settings, the machine, and the versions of auditkit and the packages."""
    said = {
        "settings": dict(settings),
        "key": KEY_VERSION,
        "machine": platform.machine(),
        "auditkit": auditkit.__version__,
        "packages": {name: installed_version(name) for name in packages},
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def installed_version(package: str) -> str | None:
    """Version of a package, which is not imported; None when it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def device_class(wanted: str) -> str:
    """The kind of device `model.device` means here. Imports torch only where there may be a GPU."""
    if wanted == "cpu" or (wanted == "auto" and _surely_no_gpu()):
        return "cpu"
    if installed_version("torch") is None:
        return wanted  # loading says what to install
    import torch

    if wanted in {"auto", "cuda"} and torch.cuda.is_available():
        return f"cuda {torch.cuda.get_device_name()} {torch.version.cuda}"
    if wanted in {"auto", "mps"} and torch.backends.mps.is_available():
        return "mps"
    return "cpu" if wanted == "auto" else wanted


def _surely_no_gpu() -> bool:
    if (installed_version("torch") or "").endswith("+cpu"):
        return True
    drivers = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
    return sys.platform == "linux" and not any(Path(file).exists() for file in drivers)
