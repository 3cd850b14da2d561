"""Memory that was freed, but that the C library still keeps from the system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from typing import Any


def give_back_freed_memory() -> None:
    """Give it back to the system, where the C library does so on request (glibc).

    What batches of ever other shapes leave behind is never quite what the next one needs: of a
    model asked by two threads it keeps several hundred megabytes, ever more for minutes.
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
