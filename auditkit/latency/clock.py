"""What tells the time: on the host, and on a device that computes while the host goes on."""

from __future__ import annotations

import time
from typing import Any, Protocol

SPIN = 1_000_000
"""Nanoseconds before a moment from which on waiting is done awake: a sleep ends late."""


class Clock(Protocol):
    """Monotonic time in nanoseconds."""

    def now(self) -> int:
        """Nanoseconds since some moment in the past."""

    def wait_until(self, moment: int) -> None:
        """Return at that moment, or at once when it is past."""


class Device(Protocol):
    """A device with a queue of its own, such as a GPU.

    A mark is reached once everything that was put into the queue before it has been computed.
    """

    def mark(self) -> Any:
        """Put a mark into the queue."""

    def synchronize(self) -> None:
        """Return once everything in the queue has been computed."""

    def between(self, first: Any, second: Any) -> int:
        """Nanoseconds from one mark to a later one; both have been reached."""

    def peak_bytes(self) -> int:
        """Most memory of the device that was in use since the process started."""


class HostClock:
    """The performance counter of this machine."""

    now = staticmethod(time.perf_counter_ns)

    def wait_until(self, moment: int) -> None:
        """Sleep until shortly before the moment, then spin."""
        while (left := moment - time.perf_counter_ns()) > 0:
            if left > 2 * SPIN:
                time.sleep((left - SPIN) / 1e9)


class CudaDevice:
    """The current CUDA device, by events in its current stream."""

    def mark(self) -> Any:
        """Record an event."""
        import torch

        cuda: Any = torch.cuda  # its events have no types
        event = cuda.Event(enable_timing=True)
        event.record()
        return event

    def synchronize(self) -> None:
        """Wait for the device."""
        import torch

        torch.cuda.synchronize()

    def between(self, first: Any, second: Any) -> int:
        """Nanoseconds between two events; CUDA resolves about half a microsecond."""
        milliseconds: float = first.elapsed_time(second)
        return round(milliseconds * 1e6)

    def peak_bytes(self) -> int:
        """Most memory that torch held on the device."""
        import torch

        return int(torch.cuda.max_memory_reserved())
