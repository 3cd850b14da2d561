"""Answers of models on disk, so that the next audit of the same model asks only what is new.

One SQLite file in a folder that only its owner can write. Every row carries its own hash: a row
that was changed is asked again, never believed. Nothing in the file is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from auditkit.config import CacheConfig
from auditkit.model import Predictions
from auditkit.sqlite_file import (
    TROUBLE,
    aside,
    bytes_used,
    files,
    inode_of,
    is_damage,
    opened,
    opened_to_read,
    refuse_others,
    shrink,
    size_of,
    writing,
)

FILE = "predictions-1.sqlite"
"""Name of the file; its number changes with its layout, so that no version misreads another's."""
SIZE_CHECKED_EVERY = 256
"""Batches written between two looks at the size."""
ROOM = 0.8
"""Share of the bound that is left in use when rows are dropped."""

_ASKED_AT_ONCE = 500
_TABLES = (
    "CREATE TABLE IF NOT EXISTS models (id INTEGER PRIMARY KEY AUTOINCREMENT, "
    "key BLOB NOT NULL UNIQUE, used REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS answers (model INTEGER, input BLOB, added REAL, payload BLOB, "
    "hash BLOB, PRIMARY KEY (model, input)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS notes (model INTEGER, topic TEXT, payload BLOB, hash BLOB, "
    "PRIMARY KEY (model, topic)) WITHOUT ROWID",
)

_log = logging.getLogger("auditkit.cache")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a store holds."""

    models: int
    rows: int
    size: int
    """Bytes on disk."""


def default_folder() -> Path:
    """Where answers are kept: $AUDITKIT_CACHE, else the platform's cache folder of the user."""
    if named := os.environ.get("AUDITKIT_CACHE"):
        return Path(named).expanduser()
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local, "auditkit", "cache")
    if sys.platform == "darwin":
        return Path("~/Library/Caches/auditkit").expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "auditkit"


def open_store(config: CacheConfig, *, read_only: bool = False) -> PredictionStore | None:
    """The configured store; None when it is switched off.

    Args:
        config: Where it is, and how large it may become.
        read_only: Open it only to look things up; see `PredictionStore`.

    Raises:
        CacheError: Others can write the folder.
    """
    if not config.enabled:
        return None
    try:
        folder = Path(config.directory).expanduser() if config.directory else default_folder()
    except RuntimeError as error:  # a user without a home
        _log.warning("No answers are kept: %s", error)
        return None
    return PredictionStore(folder, config.max_megabytes * 1_000_000, read_only=read_only)


class PredictionStore:
    """Answers by model and input. Several processes may share one.

    Trouble with the file never stops an audit. A damaged file is moved aside and a new one begun;
    where it cannot be written, one warning is logged and nothing more is kept.

    Args:
        folder: Made, readable by its owner only, if it does not exist.
        max_bytes: Size from which on the models used longest ago are dropped.
        read_only: Keep, drop and mend nothing, and make no file; what is asked to be kept is not.

    Raises:
        CacheError: The folder or the file belongs to or can be written by somebody else.
    """

    def __init__(
        self, folder: Path, max_bytes: int = 1_000_000_000, *, read_only: bool = False
    ) -> None:
        self.path = folder / FILE
        self.read_only = read_only
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._written = 0
        self._db: sqlite3.Connection | None = None
        try:
            if not read_only:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            refuse_others(folder, self.path)
            if not read_only or self.path.exists():
                self._connect()
        except (OSError, RuntimeError) as error:
            self._give_up(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def usable(self) -> bool:
        """Whether answers are kept."""
        return self._db is not None

    def of(self, answer_key: str | None) -> KeptAnswers | None:
        """What is kept of the model with this key; None for a model without one."""
        return None if answer_key is None else KeptAnswers(self, bytes.fromhex(answer_key))

    def contents(self) -> Contents:
        """Count what is kept."""

        def count(db: sqlite3.Connection) -> tuple[int, int]:
            models = db.execute("SELECT count(*) FROM models").fetchone()[0]
            return models, db.execute("SELECT count(*) FROM answers").fetchone()[0]

        models, rows = self.attempt(count, (0, 0))
        return Contents(models, rows, sum(size_of(file) for file in files(self.path)))

    def clear(self) -> None:
        """Forget everything, and a damaged file that was moved aside."""

        def empty(db: sqlite3.Connection) -> None:
            with writing(db):
                for table in ("answers", "notes", "models"):
                    db.execute(f"DELETE FROM {table}")  # noqa: S608 - names from the line above
            shrink(db)

        self.attempt(empty, None)
        with suppress(OSError):
            aside(self.path).unlink(missing_ok=True)

    def close(self) -> None:
        """Keep to the bound, and let go of the file."""
        with self._lock:
            if self._written:
                self.attempt(self._evict, None)
            if self._db is not None:
                with suppress(sqlite3.Error):
                    self._db.close()
                self._db = None

    def attempt(self, work: Callable[[sqlite3.Connection], _T], otherwise: _T) -> _T:
        """What `work` returns; `otherwise` when the file is of no use (see the class)."""
        with self._lock:
            if self._db is None:
                return otherwise
            try:
                return work(self._db)
            except TROUBLE as error:
                self._recover(error)
            return otherwise

    def wrote(self) -> None:
        """Count a batch, and look at the size from time to time."""
        self._written += 1
        if self._written % SIZE_CHECKED_EVERY == 0:
            self.attempt(self._evict, None)

    def _connect(self) -> None:
        try:
            self._db = opened_to_read(self.path) if self.read_only else opened(self.path, _TABLES)
        except TROUBLE as error:
            self._recover(error)

    def _recover(self, error: Exception) -> None:
        if is_damage(error) and not self.read_only:
            self._start_anew(error)
        else:
            self._give_up(error)

    def _start_anew(self, error: Exception) -> None:
        """Move the damaged file aside, unless another process has done so already."""
        inode = inode_of(self.path)
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None
        try:
            if inode is not None and inode == inode_of(self.path):
                _log.warning(
                    "The cache %s is damaged (%s). It was moved to %s; the model is asked again.",
                    self.path, error, aside(self.path).name,
                )  # fmt: skip
                for suffix in ("-wal", "-shm"):
                    self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
                self.path.replace(aside(self.path))
            self._db = opened(self.path, _TABLES)
        except (OSError, *TROUBLE) as again:
            self._give_up(again)

    def _give_up(self, error: Exception) -> None:
        _log.warning(
            "The cache %s cannot be used (%s). The audit goes on without it.", self.path, error
        )
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
        self._db = None

    def _evict(self, db: sqlite3.Connection) -> None:
        """Drop the models used longest ago, then the oldest rows, down to a share of the bound."""
        if bytes_used(db) <= self._max_bytes:
            return
        with writing(db):
            ids = [row[0] for row in db.execute("SELECT id FROM models ORDER BY used")]
            for model in ids[:-1]:
                if bytes_used(db) <= self._max_bytes * ROOM:
                    break
                for table, column in (("answers", "model"), ("notes", "model"), ("models", "id")):
                    # Names from the line above.
                    db.execute(f"DELETE FROM {table} WHERE {column} = ?", (model,))  # noqa: S608
            while (used := bytes_used(db)) > self._max_bytes * ROOM:
                rows: int = db.execute("SELECT count(*) FROM answers").fetchone()[0]
                if not rows:
                    break
                surplus = max(1, min(rows, int(rows * (1 - self._max_bytes * ROOM / used)) + 1))
                db.execute(
                    "DELETE FROM answers WHERE (model, input) IN "
                    "(SELECT model, input FROM answers ORDER BY added LIMIT ?)",
                    (surplus,),
                )
        shrink(db)


class KeptAnswers:
    """The answers of one model in a store, and notes about it.

    Args:
        store: Where they are kept.
        key: Digest of everything the answers depend on besides the input.
    """

    def __init__(self, store: PredictionStore, key: bytes) -> None:
        self._store = store
        self._key = key
        self._touched = False

    def find(self, inputs: Sequence[bytes], classes: int) -> tuple[list[int], Predictions]:
        """The positions in `inputs` whose answer is kept, and these answers.

        Args:
            inputs: Digests of inputs.
            classes: Probabilities per answer, 0 where there are only labels.
        """
        found, rows = self.find_rows(inputs, _layout(classes))
        scores = rows["scores"].astype(np.float64) if classes else None
        return found, Predictions(rows["label"].astype(np.int64), scores)

    def keep(self, inputs: Sequence[bytes], answers: Predictions) -> None:
        """Write the answers of one batch, all or none."""
        scores = answers.probabilities
        rows = np.zeros(len(inputs), dtype=_layout(0 if scores is None else scores.shape[1]))
        rows["label"] = answers.labels
        if scores is not None:
            rows["scores"] = scores
        self.keep_rows(inputs, rows)

    @property
    def embeddings(self) -> KeptEmbeddings:
        """The embeddings of the same model."""
        key = hashlib.sha256(self._key + b"embeddings").digest()
        return KeptEmbeddings(KeptAnswers(self._store, key))

    def find_rows(
        self, inputs: Sequence[bytes], layout: np.dtype[np.void]
    ) -> tuple[list[int], NDArray[np.void]]:
        """The positions in `inputs` of which a row of this layout is kept, and these rows."""
        nothing: dict[bytes, bytes] = {}
        kept = self._store.attempt(lambda db: self._read(db, inputs, layout.itemsize), nothing)
        found = [i for i, digest in enumerate(inputs) if digest in kept]
        return found, np.frombuffer(b"".join(kept[inputs[i]] for i in found), dtype=layout)

    def keep_rows(self, inputs: Sequence[bytes], rows: NDArray[np.void]) -> None:
        """Write one row for each input, all or none."""
        if self._store.read_only:
            return
        raw, size, now = rows.tobytes(), rows.dtype.itemsize, time.time()
        payloads = [raw[start : start + size] for start in range(0, len(raw), size)]

        def write(db: sqlite3.Connection) -> None:
            with writing(db):
                model = self._claim(db, now)
                db.executemany(
                    "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)",
                    [
                        (model, digest, now, payload, self._hash(digest, payload))
                        for digest, payload in zip(inputs, payloads, strict=True)
                    ],
                )

        self._store.attempt(write, None)
        self._store.wrote()

    def recall(self, topic: str) -> Any:
        """What was recorded under the topic, or None."""

        def read(db: sqlite3.Connection) -> tuple[bytes, bytes] | None:
            row: tuple[bytes, bytes] | None = db.execute(
                "SELECT payload, hash FROM notes JOIN models ON model = id "
                "WHERE key = ? AND topic = ?",
                (self._key, topic),
            ).fetchone()
            return row

        row = self._store.attempt(read, None)
        if row is None:
            return None
        if row[1] != self._hash(b"note:" + topic.encode(), row[0]):
            _log.warning("A damaged note in the cache %s was left out.", self._store.path)
            return None
        return json.loads(row[0])

    def record(self, topic: str, value: Any) -> None:
        """Keep a value that JSON can carry under a topic."""
        if self._store.read_only:
            return
        payload = json.dumps(value, allow_nan=False).encode()
        check = self._hash(b"note:" + topic.encode(), payload)

        def write(db: sqlite3.Connection) -> None:
            with writing(db):
                row = (self._claim(db, time.time()), topic, payload, check)
                db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", row)

        self._store.attempt(write, None)

    def _claim(self, db: sqlite3.Connection, now: float) -> int:
        """The number of this model, marked as in use."""
        row: tuple[int] = db.execute(
            "INSERT INTO models (key, used) VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET used = excluded.used RETURNING id",
            (self._key, now),
        ).fetchone()
        self._touched = True
        return row[0]

    def _read(
        self, db: sqlite3.Connection, inputs: Sequence[bytes], size: int
    ) -> dict[bytes, bytes]:
        """The sound payloads by input; damaged ones are deleted and reported where one may."""
        row = db.execute("SELECT id FROM models WHERE key = ?", (self._key,)).fetchone()
        if row is None:
            return {}
        kept: dict[bytes, bytes] = {}
        damaged: list[tuple[int, bytes, bytes]] = []
        for start in range(0, len(inputs), _ASKED_AT_ONCE):
            asked = inputs[start : start + _ASKED_AT_ONCE]
            marks = ",".join("?" * len(asked))
            for digest, payload, check in db.execute(
                "SELECT input, payload, hash FROM answers "  # noqa: S608 - only question marks
                f"WHERE model = ? AND input IN ({marks})",
                (row[0], *asked),
            ):
                if self._sound(digest, payload, check, size):
                    kept[digest] = payload
                else:
                    damaged.append((row[0], digest, check))
        if self._store.read_only:
            return kept
        if damaged or not self._touched:
            with writing(db):
                self._claim(db, time.time())
                db.executemany(
                    "DELETE FROM answers WHERE model = ? AND input = ? AND hash IS ?", damaged
                )
        if damaged:
            _log.warning(
                "%d damaged answers in the cache %s were deleted; the model is asked again.",
                len(damaged), self._store.path,
            )  # fmt: skip
        return kept

    def _sound(self, digest: Any, payload: Any, check: Any, size: int) -> bool:
        # A flipped byte in SQLite's own record header can change the type of a value.
        return (
            isinstance(digest, bytes)
            and isinstance(payload, bytes)
            and len(payload) == size
            and bool(check == self._hash(digest, payload))
        )

    def _hash(self, name: bytes, payload: bytes) -> bytes:
        return hashlib.blake2b(self._key + name + payload, digest_size=16).digest()


class KeptEmbeddings:
    """The embeddings of one model in a store.

    Args:
        rows: Where they are kept, under a key of their own.
    """

    def __init__(self, rows: KeptAnswers) -> None:
        self._rows = rows

    def find(self, inputs: Sequence[bytes], width: int) -> tuple[list[int], NDArray[np.float32]]:
        """The positions in `inputs` whose embedding is kept, and these, shape (found, width)."""
        found, rows = self._rows.find_rows(inputs, _vector(width))
        return found, rows["vector"].astype(np.float32).reshape(len(found), width)

    def keep(self, inputs: Sequence[bytes], embeddings: NDArray[np.float32]) -> None:
        """Write the embeddings (n, width) of one batch, all or none."""
        rows = np.zeros(len(inputs), dtype=_vector(embeddings.shape[1]))
        rows["vector"] = embeddings
        self._rows.keep_rows(inputs, rows)


def _vector(width: int) -> np.dtype[np.void]:
    """One embedding, little-endian on every machine."""
    return np.dtype([("vector", "<f4", (width,))])


def _layout(classes: int) -> np.dtype[np.void]:
    """One answer: the label and a probability per class, little-endian on every machine."""
    if classes:
        return np.dtype([("label", "<i8"), ("scores", "<f8", (classes,))])
    return np.dtype([("label", "<i8")])
