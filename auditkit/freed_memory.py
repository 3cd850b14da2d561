"""Memory that was freed, but that the C library still keeps from the system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from typing import Any


def give_back_freed_memory() -> None:
    """Give it back to the system, where the C library does so on request (glibc).

    It can give back by itself only what lies above all that is in use. oneDNN keeps a kernel for
    each shape of a batch, on the heap of the thread that asked, so that what lies below adds up to
    several hundred megabytes within minutes.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], Any] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        trim: Callable[[int], Any] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library, such as musl
        return None
    return trim
