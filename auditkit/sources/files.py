"""Opens data files that may be hostile: wrong kind, compressed bombs, broken text."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from auditkit.errors import ConfigError, DataError

MAX_BYTES = 8 * 2**30
"""Most bytes a gzipped file may expand to."""
BOMB_BYTES = 2**30
"""From here on, a file that expands more than `BOMB_RATIO` times is refused."""
BOMB_RATIO = 1000

FORMATS = ("csv", "tsv", "jsonl", "ndjson", "parquet")

_MAGIC = (
    (b"PAR1", "a parquet file"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"BZh", "bzip2-compressed"),
    (b"\xfd7zXZ\x00", "xz-compressed"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"ARROW1", "an Arrow file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"%PDF", "a PDF"),
)
_PICKLE = re.compile(rb"\x80[\x02-\x05]")


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file whose name says its format.

    Attributes:
        path: Where it is.
        format: One of `FORMATS`.
        compressed: Whether the name ends in `.gz`.
    """

    path: Path
    format: str
    compressed: bool

    @property
    def name(self) -> str:
        """The file name without its folder."""
        return self.path.name


def find_file(path: str) -> DataFile:
    """The data file at `path`, its format told by its extension.

    Raises:
        ConfigError: The extension names no known format.
        DataError: There is no such file.
    """
    file = Path(path)
    suffixes = [suffix.lower().lstrip(".") for suffix in file.suffixes]
    compressed = suffixes[-1:] == ["gz"]
    format_ = next(iter(suffixes[-2:-1] if compressed else suffixes[-1:]), "")
    if not file.exists():
        raise DataError(f"{path}: no such file.")
    if not file.is_file():
        raise DataError(f"{path}: not a file.")
    if format_ not in FORMATS:
        raise ConfigError(
            f"{path}: the extension {file.suffix!r} names no format auditkit reads.",
            f"Known: {', '.join(FORMATS)}, each also with .gz.",
        )
    return DataFile(file, format_, compressed)


@contextmanager
def open_bytes(file: DataFile) -> Iterator[BinaryIO]:
    """The file's content, decompressed, after a look at its first bytes.

    Raises:
        DataError: It cannot be read, its content contradicts its extension, its compression is
            damaged, or it expands beyond `MAX_BYTES` or `BOMB_RATIO`.
    """
    try:
        with file.path.open("rb") as raw:
            stream = _Inflating(raw, file) if file.compressed else raw
            buffered = io.BufferedReader(stream, 2**18)
            _check_magic(file, buffered.peek(16)[:16])
            yield buffered
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{file.name}: the gzip data is damaged ({error}).") from None
    except OSError as error:
        raise DataError(f"{file.name}: cannot be read ({error.strerror or error}).") from None


@contextmanager
def open_lines(file: DataFile) -> Iterator[Iterator[str]]:
    """The file's lines as text, ends included, a byte order mark removed.

    Raises:
        DataError: As `open_bytes`, or it is not UTF-8, or has NUL characters.
    """
    try:
        with open_bytes(file) as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
            yield _without_nul(file, text)
    except UnicodeDecodeError:
        offset = _first_broken_byte(file)
        raise DataError(
            f"{file.name}: not UTF-8 text (byte {offset}).",
            "Save the file as UTF-8, e.g. with: iconv -f WINDOWS-1252 -t UTF-8.",
        ) from None


class _Inflating(io.RawIOBase):
    """Decompresses and keeps count."""

    def __init__(self, raw: BinaryIO, file: DataFile) -> None:
        self._stream = gzip.GzipFile(fileobj=raw)
        self._file = file
        self._packed = file.path.stat().st_size
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        chunk = self._stream.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self._read += len(chunk)
        swollen = self._read > BOMB_BYTES and self._read > BOMB_RATIO * self._packed
        if swollen or self._read > MAX_BYTES:
            raise DataError(
                f"{self._file.name}: {self._packed:,} bytes expand to more than "
                f"{self._read:,}; refused as a decompression bomb.",
                "If the data really is that large, decompress it yourself.",
            )
        return len(chunk)


def _check_magic(file: DataFile, start: bytes) -> None:
    expects_parquet = file.format == "parquet"
    kind = next((kind for magic, kind in _MAGIC if start.startswith(magic)), None)
    if _PICKLE.match(start):
        kind = "a Python pickle, which auditkit never opens"
    if expects_parquet and not start.startswith(b"PAR1"):
        raise DataError(f"{file.name}: not a parquet file{f' but {kind}' if kind else ''}.")
    if not expects_parquet and kind:
        raise DataError(
            f"{file.name}: named as {file.format}, but its content is {kind}.",
            f"Save it as {file.format} in UTF-8.",
        )


def _without_nul(file: DataFile, lines: io.TextIOWrapper) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise DataError(
                f"{file.name}: line {number} has a NUL character; this is not a text file."
            )
        yield line


def _first_broken_byte(file: DataFile) -> int:
    """Offset of the first byte that is not UTF-8; a stream's own error counts from its chunk."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, carried = 0, 0
    with open_bytes(file) as raw:
        while chunk := raw.read(2**20):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                return offset - carried + error.start
            offset += len(chunk)
            carried = len(decoder.getstate()[0])
    return offset - carried
