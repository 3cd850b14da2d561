"""Ending an audit on request: what is finished is on the disk, and the user learns how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from auditkit.errors import AuditkitError


class Stopped(AuditkitError):  # noqa: N818 - asked for, not an error
    """SIGINT or SIGTERM ended the run; the exit code is 128 and the signal's number."""

    slug = "stopped"


class _Terminated(KeyboardInterrupt):
    """SIGTERM: stops what Ctrl-C stops."""


@contextmanager
def stopping_cleanly(folder: Path) -> Iterator[None]:
    """Turn SIGINT and SIGTERM inside the block into `Stopped`.

    Args:
        folder: The run directory, for the message.

    Raises:
        Stopped: One of them came.
    """
    former = None
    in_main = threading.current_thread() is threading.main_thread()
    if in_main:
        former = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except KeyboardInterrupt as stop:
        number = signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT
        raise _stopped(folder, number) from None
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, former or signal.SIG_DFL)


def _terminate(_: int, __: FrameType | None) -> None:
    raise _Terminated


def _stopped(folder: Path, number: signal.Signals) -> Stopped:
    from auditkit.errors import ResultError
    from auditkit.run_store import read_records, read_state

    done = 0
    try:
        state = read_state(folder)
        if state is not None:
            done = len(read_records(folder, state.id)[0])
    except (ResultError, OSError):
        done = 0
    stop = Stopped(
        f"stopped by {number.name}; {done} finished checks are kept in {folder}.",
        "Run the same command again to go on from there.",
    )
    stop.exit_code = 128 + number
    return stop
