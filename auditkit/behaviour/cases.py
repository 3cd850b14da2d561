"""Reads a suite of behavioural tests; refuses what it cannot mean with the line and a remedy."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast, get_args

from auditkit.errors import ConfigError, DataError, nearest

Kind = Literal["MFT", "INV", "DIR"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Direction = Literal["up", "down"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
FIELDS = ("test", "type", "capability", "texts", "label", "direction", "case", "note")

MAX_BYTES = 64 * 2**20
"""Most bytes of a suite, decompressed."""
MAX_CASES = 100_000
MAX_TEXTS = 1_000
"""Most texts of one case."""
MAX_CHARACTERS = 100_000
"""Most characters of one text."""
MAX_NAME = 200
"""Most characters of the name of a test, a capability or a case."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case of a test.

    Attributes:
        line: Its line in the file, from 1.
        test: Name of its test.
        kind: Type of the test.
        capability: What the test is about.
        texts: What the model is asked; for INV and DIR the first one is the original.
        label: Class expected (MFT) or watched (DIR), an index; None for the class that the model
            gives the first text.
        direction: Where the probability of a DIR case may go; None for the other types.
    """

    line: int
    test: str
    kind: Kind
    capability: str
    texts: tuple[str, ...]
    label: int | None = None
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """How the names in a file are to be taken.

    Attributes:
        classes: The model's class names; a label is one of them.
        labels: Label in the file -> class name, where they differ; 2.0 in a file is "2" here.
        directions: Test -> "up" or "down", and a class name after it if one is meant, for DIR tests
            whose cases say nothing.
        leave_out: Tests not to read.
    """

    classes: Sequence[str]
    labels: Mapping[str, str] = field(default_factory=dict)
    directions: Mapping[str, str] = field(default_factory=dict)
    leave_out: Sequence[str] = ()


def read_suite(path: Path, reading: Reading) -> tuple[Case, ...]:
    """The cases of a suite, a jsonl file that may be gzipped (.gz).

    Raises:
        ConfigError: `reading` names a class or a test that does not exist.
        DataError: The file cannot be read, is too large, or has a line that is no case.
    """
    _check_labels(reading)
    suite = _Suite(path, reading)
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            suite.add(number, _object(path, number, line))
    return suite.cases()


class _Suite:
    """Cases as they come, held against those before."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self._path = path
        self._reading = reading
        self._cases: list[Case] = []
        self._ids: dict[tuple[str, str], int] = {}
        self._tests: dict[str, tuple[int, tuple[str, str]]] = {}

    def add(self, line: int, row: dict[str, Any]) -> None:
        """Take over the case of a line."""
        at = _Line(self._path, line, row)
        at.check_fields()
        test, capability = at.name("test"), at.name("capability")
        kind = at.choice("type", KINDS)
        self._check_one_test(at, test, (kind, capability))
        if "case" in row and row["case"] is not None:
            self._check_id(at, test, row["case"])
        if test in self._reading.leave_out:
            return
        if len(self._cases) == MAX_CASES:
            raise at.wrong(f"more than {MAX_CASES:,} cases", "Split the suite.")
        texts = at.texts(least=1 if kind == "MFT" else 2)
        label, direction = self._expected(at, test, kind)
        self._cases.append(Case(line, test, kind, capability, texts, label, direction))

    def cases(self) -> tuple[Case, ...]:
        """Everything added."""
        for name in (*self._reading.leave_out, *self._reading.directions):
            if name not in self._tests:
                raise ConfigError(
                    f"{self._path.name}: no test is called {name!r}.", nearest(name, self._tests)
                )
        if not self._cases:
            raise DataError(
                f"{self._path.name}: the suite has no cases.", "Write one JSON object per line."
            )
        return tuple(self._cases)

    def _check_one_test(self, at: _Line, test: str, what: tuple[str, str]) -> None:
        first, known = self._tests.setdefault(test, (at.number, what))
        if known != what:
            raise at.wrong(
                f"the test {test!r} is {known[0]} of {known[1]!r} in line {first} and {what[0]} of "
                f"{what[1]!r} here",
                "Give each test one type and one capability.",
            )

    def _check_id(self, at: _Line, test: str, case: object) -> None:
        if isinstance(case, bool) or not isinstance(case, int | str) or len(str(case)) > MAX_NAME:
            raise at.wrong("case is no number or short text", "Number the cases of a test.")
        first = self._ids.setdefault((test, str(case)), at.number)
        if first != at.number:
            raise at.wrong(
                f"the case {case!r} of {test!r} is already in line {first}",
                "Give each case of a test its own id, or none.",
            )

    def _expected(self, at: _Line, test: str, kind: Kind) -> tuple[int | None, Direction | None]:
        written = at.row.get("label")
        if kind == "MFT" and written is None:
            raise at.wrong("an MFT case has no label", "Say the class its texts must be given.")
        if kind == "INV" and written is not None:
            raise at.wrong("an INV case has a label", "Make it an MFT case, or leave label out.")
        label = None if written is None else self._class(at, written)
        if kind != "DIR":
            if at.row.get("direction") is not None:
                raise at.wrong(f"an {kind} case has a direction", "Only DIR cases have one.")
            return label, None
        if at.row.get("direction") is not None:
            return label, at.choice("direction", DIRECTIONS)
        if test not in self._reading.directions:
            raise at.wrong(
                "a DIR case has no direction",
                f'Write "direction": "up" or "down", or say params.directions."{test}" = "up".',
            )
        word, _, name = self._reading.directions[test].partition(" ")
        return (
            list(self._reading.classes).index(name) if name else label,
            cast(Direction, word),
        )

    def _class(self, at: _Line, written: object) -> int:
        if isinstance(written, float) and written.is_integer():
            written = int(written)
        if isinstance(written, bool) or not isinstance(written, int | str):
            raise at.wrong("label is no class name or number", "Write the name of a class.")
        name = self._reading.labels.get(str(written), str(written))
        if name not in self._reading.classes:
            raise at.wrong(
                f"label {_shown(written)} is no class of the model "
                f"({', '.join(self._reading.classes[:12])})",
                f"Say which one it is: params.labels.{_shown(written)} = ..., or leave the test "
                "out with params.leave_out.",
            )
        return list(self._reading.classes).index(name)


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the file."""

    path: Path
    number: int
    row: dict[str, Any]

    def wrong(self, what: str, remedy: str) -> DataError:
        return DataError(f"{self.path.name}:{self.number}: {what}.", remedy)

    def check_fields(self) -> None:
        unknown = next((name for name in self.row if name not in FIELDS), None)
        if unknown is not None:
            raise self.wrong(
                f"a case has no field {_shown(unknown)}",
                f"{nearest(unknown[:MAX_NAME], FIELDS)} Remarks go into note.",
            )
        missing = [name for name in FIELDS[:4] if self.row.get(name) is None]
        if missing:
            raise self.wrong(
                f"the case has no {' and no '.join(missing)}",
                f"A case needs {', '.join(FIELDS[:4])}.",
            )

    def name(self, name: str) -> str:
        value = self.row[name]
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(f"{name} is blank or no text", f"Write the name of the {name}.")
        if len(value) > MAX_NAME:
            raise self.wrong(f"{name} has more than {MAX_NAME} characters", "Shorten it.")
        return self._clean(name, value)

    def choice(self, name: str, known: Sequence[Any]) -> Any:
        value = self.row[name]
        if value not in known:
            hint = nearest(value[:MAX_NAME], known) if isinstance(value, str) else ""
            raise self.wrong(
                f"{name} {_shown(value)} is none of {', '.join(known)}",
                hint or f"Write {known[0]}.",
            )
        return value

    def texts(self, least: int) -> tuple[str, ...]:
        value = self.row["texts"]
        if not isinstance(value, list):
            raise self.wrong("texts is no list", 'Write "texts": ["...", "..."].')
        if not least <= len(value) <= MAX_TEXTS:
            raise self.wrong(
                f"the case has {len(value):,} texts, not {least} to {MAX_TEXTS:,}",
                "INV and DIR cases need an original and at least one variant."
                if len(value) < least
                else "Split the case.",
            )
        return tuple(self._text(f"texts[{i}]", one) for i, one in enumerate(value))

    def _text(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise self.wrong(f"{name} is {_shown(value)}, no text", "Put it in quotes.")
        if not value.strip():
            raise self.wrong(f"{name} is blank", "Write a text, or leave the case out.")
        if len(value) > MAX_CHARACTERS:
            raise self.wrong(f"{name} has more than {MAX_CHARACTERS:,} characters", "Shorten it.")
        return self._clean(name, value)

    def _clean(self, name: str, value: str) -> str:
        if any("\ud800" <= one <= "\udfff" for one in value):
            raise self.wrong(
                f"{name} holds half of a surrogate pair, which is no character", "Write it in full."
            )
        return value


def _check_labels(reading: Reading) -> None:
    named = [*reading.labels.items()]
    for test, said in reading.directions.items():
        word, _, name = said.partition(" ")
        if word not in DIRECTIONS:
            raise ConfigError(
                f"params.directions.{test}: {said!r} does not begin with up or down.",
                'For example "up", or "down positive".',
            )
        named += [(f"directions of {test}", name)] if name else []
    for what, name in named:
        if name not in reading.classes:
            raise ConfigError(
                f"params: {what}: {name!r} is no class of the model.",
                nearest(name, reading.classes),
            )


def _lines(path: Path) -> Iterator[str]:
    """The file's lines. Never more than `MAX_BYTES` of it are unpacked."""
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
            content = stream.read(MAX_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path.name}: the gzip data is damaged ({error}).") from None
    except OSError as error:
        raise DataError(
            f"{path}: the suite cannot be read ({error.strerror or error}).",
            "params.suite_file names it, relative to the configuration file.",
        ) from None
    if len(content) > MAX_BYTES:
        raise DataError(
            f"{path.name}: the suite has more than {MAX_BYTES:,} bytes.", "Split it, or sample it."
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path.name}:{line}: not UTF-8 text (byte {error.start}).", "Save the file as UTF-8."
        ) from None
    # Not splitlines: U+2028 and others may stand inside a JSON string.
    yield from text.split("\n")


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path.name}:{number}: not valid JSON: {error}.", "Write one JSON object per line."
        ) from None
    if not isinstance(value, dict):
        raise DataError(
            f"{path.name}:{number}: not a JSON object.", "Write one object per line, in braces."
        )
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} occurs twice")
    return found


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
