"""One SQLite file that several processes share, in a place that nobody else can write to."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from auditkit.errors import AuditkitError

BUSY_SECONDS = 30.0
"""How long a process waits for another one's write."""
TROUBLE = (sqlite3.Error, UnicodeDecodeError)
"""What a file can cause; its damaged names cannot always be decoded for the message."""

_DAMAGED = frozenset({1, 11, 18, 24, 26})
"""SQLite's codes for a damaged file: ERROR, CORRUPT, TOOBIG, FORMAT, NOTADB."""
_BUSY = 5


class CacheError(AuditkitError):
    """The cache folder could be written by somebody else, who could plant answers in it."""

    slug = "cache"


def is_damage(error: Exception) -> bool:
    """Whether the file is damaged, and not merely out of reach."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in _DAMAGED or isinstance(error, UnicodeDecodeError)


@contextmanager
def writing(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction that has the right to write from its start, so that none is lost midway."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def opened(path: Path, tables: Iterable[str]) -> sqlite3.Connection:
    """A connection to the file, made with these tables if it is not there."""
    if not path.exists():
        # Never opened and closed where it exists: that would drop this process's locks on it.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    db.text_factory = bytes
    try:
        _until_free(db, "PRAGMA auto_vacuum = INCREMENTAL")
        # Several new processes switch the mode at once, for which SQLite does not wait by itself.
        _until_free(db, "PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        with writing(db):
            for table in tables:
                db.execute(table)
    except BaseException:
        db.close()
        raise
    return db


def opened_to_read(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing. SQLite's own mode=ro would leave two files behind."""
    db = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS,
        isolation_level=None, check_same_thread=False,
    )  # fmt: skip
    db.text_factory = bytes
    try:
        for setting in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON"):
            _until_free(db, f"PRAGMA {setting}")
    except BaseException:
        db.close()
        raise
    return db


def _until_free(db: sqlite3.Connection, statement: str) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute(statement).fetchall()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != _BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def bytes_used(db: sqlite3.Connection) -> int:
    """Bytes of the pages that hold something."""
    pages, free, size = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def shrink(db: sqlite3.Connection) -> None:
    """Give pages that are no longer used back to the disk."""
    db.executescript("PRAGMA incremental_vacuum")  # execute would stop after one page
    with suppress(sqlite3.OperationalError):  # another process reads; the next one to close does it
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def aside(path: Path) -> Path:
    """Where a damaged file is moved to."""
    return path.with_suffix(".damaged")


def files(path: Path) -> list[Path]:
    """The file and the two that SQLite keeps beside it."""
    return [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]


def size_of(path: Path) -> int:
    """Bytes on disk; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def inode_of(path: Path) -> int | None:
    """Which file stands at the path."""
    try:
        return path.lstat().st_ino
    except OSError:
        return None


def refuse_others(folder: Path, file: Path) -> None:
    """Refuse a place where another user could put answers of their own.

    Raises:
        CacheError: The folder or the file belongs to or can be written by somebody else.
    """
    if sys.platform == "win32":
        return  # the folder of a user is protected by an access list
    for path in (folder, *files(file)):
        try:
            found = path.stat() if path == folder else path.lstat()
        except FileNotFoundError:
            continue
        if path != folder and not stat.S_ISREG(found.st_mode):
            raise CacheError(f"the cache file {path} is a link or no file.", "Remove it.")
        if found.st_uid != os.getuid():
            raise CacheError(
                f"the cache {path} belongs to another user, who could put answers into it.",
                "Name another folder in $AUDITKIT_CACHE or [cache] directory, or use --no-cache.",
            )
        if found.st_mode & 0o022:
            raise CacheError(
                f"the cache {path} can be written by others, who could put answers into it.",
                f"If nobody has: chmod go-w {path}",
            )
