"""Ending an audit on request: what is finished is on the disk, and the user learns how to go on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auditkit import interruption
from auditkit.errors import AuditkitError


class Stopped(AuditkitError):  # noqa: N818 - asked for, not an error
    """SIGINT or SIGTERM ended the run; the exit code is 128 and the signal's number."""

    slug = "stopped"


@contextmanager
def stopping_cleanly(folder: Path, kept: str = "") -> Iterator[None]:
    """Turn SIGINT and SIGTERM inside the block into `Stopped`, whatever they were turned into.

    Args:
        folder: The run directory, for the message.
        kept: What is kept there, for the message; by default how many checks are finished.

    Raises:
        Stopped: One of them came, and the block did not end by itself.
    """
    with interruption.remembered():
        try:
            yield
        except BaseException as error:
            number = interruption.requested()
            if number is None and isinstance(error, KeyboardInterrupt):
                number = signal.SIGINT
            if number is None:
                raise
            raise _stopped(folder, number, kept) from None


def _stopped(folder: Path, number: signal.Signals, kept: str) -> Stopped:
    said = kept or f"{_finished_checks(folder)} finished checks are kept in {folder}"
    stop = Stopped(
        f"stopped by {number.name}; {said}.", "Run the same command again to go on from there."
    )
    stop.exit_code = 128 + number
    return stop


def _finished_checks(folder: Path) -> int:
    from auditkit.errors import ResultError
    from auditkit.run_store import read_records, read_state

    try:
        state = read_state(folder)
        return 0 if state is None else len(read_records(folder, state.id)[0])
    except (ResultError, OSError):
        return 0
