"""How much energy was used, where the machine has a meter that may be read."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Meter(Protocol):
    """Counts the energy of something."""

    @property
    def name(self) -> str:
        """Of what."""

    def joules(self) -> float:
        """Joules since some moment in the past."""


@dataclass(slots=True)
class RaplMeter:
    """Running average power limit counters of the processor packages, Linux' powercap.

    The counters start again at 0 beyond their range, after some minutes under load: read it more
    often than that.
    """

    folders: Sequence[Path]
    name: str = "processor (RAPL)"
    _total: float = 0.0
    _last: tuple[int, ...] = ()

    def joules(self) -> float:
        """Joules since the first reading."""
        now = tuple(int((one / "energy_uj").read_text()) for one in self.folders)
        if self._last:
            for folder, before, after in zip(self.folders, self._last, now, strict=True):
                used = after - before
                if used < 0:
                    used += int((folder / "max_energy_range_uj").read_text())
                self._total += used / 1e6
        self._last = now
        return self._total


class NvmlMeter:
    """The energy counter of an NVIDIA device, by its management library."""

    def __init__(self, library: ctypes.CDLL, device: ctypes.c_void_p) -> None:
        self.name = "GPU (NVML)"
        self._library, self._device = library, device

    def joules(self) -> float:
        """Joules since the driver was loaded."""
        millijoules = ctypes.c_ulonglong()
        self._library.nvmlDeviceGetTotalEnergyConsumption(self._device, ctypes.byref(millijoules))
        return millijoules.value / 1e3


def rapl(root: Path = Path("/")) -> RaplMeter | None:
    """The processor's meter; None when there is none or only the administrator may read it."""
    zones = sorted((root / "sys/class/powercap").glob("intel-rapl:*"))
    packages = [zone for zone in zones if zone.name.count(":") == 1]
    meter = RaplMeter(packages)
    try:
        meter.joules()
    except (OSError, ValueError):
        return None
    return meter if packages else None


def nvml(index: int = 0) -> NvmlMeter | None:
    """The meter of a GPU; None without the library or without a counter (before Volta)."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
        device, energy = ctypes.c_void_p(), ctypes.c_ulonglong()
        if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByIndex_v2(
            ctypes.c_uint(index), ctypes.byref(device)
        ):
            return None
        if library.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(energy)):
            return None
    except (OSError, AttributeError):
        return None
    return NvmlMeter(library, device)


@dataclass(slots=True)
class Readings:
    """Reads meters at the start and after each pass."""

    meters: Sequence[Meter]
    _read: list[list[float]] = field(default_factory=list)

    def read(self) -> None:
        """Read all of them."""
        self._read.append([meter.joules() for meter in self.meters])

    def told(self, advance: Callable[[float], None]) -> Callable[[float], None]:
        """A function that reads them whenever progress is told."""

        def read_and_tell(share: float) -> None:
            self.read()
            advance(share)

        return read_and_tell

    def joules(self) -> dict[str, NDArray[np.float64]]:
        """Joules between readings, by the name of the meter."""
        used = np.diff(np.array(self._read), axis=0)
        return {meter.name: used[:, place] for place, meter in enumerate(self.meters)}
