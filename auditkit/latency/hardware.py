"""The machine a timing is true of, and what else was using it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

_PACKAGES = ("numpy", "torch", "transformers", "tokenizers", "onnxruntime")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM")


@dataclass(frozen=True, slots=True)
class Hardware:
    """What timings depend on besides the model and the inputs.

    Attributes:
        said: By topic: processor, cores, threads, precision, device, versions of libraries.
    """

    said: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """12 hex digits that change with any of it."""
        text = json.dumps(dict(self.said), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def host(root: Path = Path("/"), cores: int = 1) -> dict[str, str]:
    """What can be said of this machine without loading a model.

    Args:
        root: Where /proc and /sys are.
        cores: Cores that this process may use.
    """
    said = {
        "processor": _processor(root),
        "cores": str(cores),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    said |= {name: os.environ[name] for name in _THREADS if name in os.environ}
    governor = _read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor:
        said["governor"] = governor
    for package in _PACKAGES:
        try:
            said[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return said


def torch_threads() -> dict[str, str]:
    """Threads that torch computes with, if it is loaded."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    return {"torch threads": str(torch.get_num_threads())}


def _processor(root: Path) -> str:
    for line in _read(root / "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Hardware", "cpu model"}:
            return value.strip()
    return platform.processor() or platform.machine()


@dataclass(frozen=True, slots=True)
class Busy:
    """A reading of who uses the processor.

    Attributes:
        moment: Seconds of the wall clock.
        own: Processor seconds of this process and of those it started.
        all: Processor seconds of everything on the machine; None where that cannot be read.
        load: Programs that wanted a core, mean of the last minute; None where it is not known.
        hottest: Degrees Celsius of the hottest sensor; None where there is none.
    """

    moment: float
    own: float
    all: float | None
    load: float | None
    hottest: float | None

    @classmethod
    def read(cls, root: Path = Path("/")) -> Busy:
        """Now."""
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        own = sum(os.times()[:4])  # with processes it started that have ended
        return cls(time.perf_counter(), own, _all_seconds(root), load, _hot(root))

    def others_since(self, before: Busy) -> float | None:
        """Cores that other programs took on average since an earlier reading."""
        elapsed = self.moment - before.moment
        if self.all is None or before.all is None or elapsed <= 0:
            return None
        return max((self.all - before.all) - (self.own - before.own), 0.0) / elapsed


def _all_seconds(root: Path) -> float | None:
    parts = _read(root / "proc/stat").partition("\n")[0].split()
    if parts[:1] != ["cpu"] or len(parts) < 8:
        return None
    # user, nice, system, irq, softirq and what other virtual machines took; not idle, not I/O.
    numbers = [int(part) for part in parts[1:9]]
    busy = sum(numbers) - numbers[3] - numbers[4]
    return busy / os.sysconf("SC_CLK_TCK")


def _hot(root: Path) -> float | None:
    found = []
    for file in (root / "sys/class/thermal").glob("thermal_zone*/temp"):
        text = _read(file)
        if text.lstrip("-").isdigit():
            found.append(int(text) / 1000)
    return max(found, default=None)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
