"""A request to stop the process, remembered until it is obeyed.

Python raises `KeyboardInterrupt` wherever it happens to be. Inside a native extension that can
come out as another error, or not at all; what catches errors asks here whether that was it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_requested: list[signal.Signals] = []


def requested() -> signal.Signals | None:
    """The signal that asked to stop; None when there was none."""
    return _requested[0] if _requested else None


def raise_if_requested() -> None:
    """Stop now if that was asked for. Does nothing outside the main thread.

    Raises:
        KeyboardInterrupt: It was.
    """
    if _requested and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt


@contextmanager
def remembered() -> Iterator[None]:
    """Remember SIGINT and SIGTERM inside the block; both raise `KeyboardInterrupt`.

    A signal that the process ignores, as a shell's background job does, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _requested.clear()
    former = {
        number: signal.signal(number, _remember)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler or signal.SIG_DFL)
        _requested.clear()


def _remember(number: int, _: FrameType | None) -> None:
    _requested.append(signal.Signals(number))
    raise KeyboardInterrupt
