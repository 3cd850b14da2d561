"""How many processor cores this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def available_cores(root: Path = _CGROUPS, membership: Path = Path("/proc/self/cgroup")) -> int:
    """Cores this process may run on: its affinity, and the quota of its container, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min([cores, *_quotas(root, membership)]))


def _quotas(root: Path, membership: Path) -> list[int]:
    """Whole cores allowed by each control group above this process, where one limits them."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        top = root / ("cpu" if "cpu" in controllers.split(",") else "")
        own = top / place.lstrip("/")
        for folder in {top, own, *(p for p in own.parents if p.is_relative_to(top))}:
            found.extend(_quota(folder))
    return found


def _quota(folder: Path) -> list[int]:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        return [int(quota) // int(period)] if int(quota) > 0 else []
    except (OSError, ValueError):  # no limit, "max", or not ours to read
        return []
