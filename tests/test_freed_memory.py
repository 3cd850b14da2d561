"""What was freed goes back to the system."""

from __future__ import annotations

import ctypes
import platform
import resource
from pathlib import Path

import pytest

from auditkit.freed_memory import give_back_freed_memory

MEBIBYTE = 1 << 20


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_was_freed_before_something_that_stays_goes_back_to_the_system() -> None:
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    size = 64 << 10  # so small that it is not given back by itself
    blocks = [library.malloc(size) for _ in range(1600)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    for block in blocks[:-1]:
        library.free(block)
    kept = resident()
    give_back_freed_memory()
    assert kept - resident() > 80 * MEBIBYTE
    library.free(blocks[-1])
