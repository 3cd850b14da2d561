"""Reads which characters of a text people marked as the reason for its label."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from typing import Any

from auditkit.attribution import Span
from auditkit.errors import DataError
from auditkit.sources.table import SourceTable

_HINT = (
    "Write a list of spans, as [[8, 15], [20, 22]], each from its first character to the one after "
    "its last, counted from 0; or a list of single characters, as [8, 9, 10]."
)
_WHOLE = re.compile(r"-?[0-9]+")
_DIGITS = 12
"""Most digits of a number that is read: longer ones lie outside of every text."""


class _RefusedError(Exception):
    """What is wrong with one value, to go after "row 3 has"."""


def read_rationales(
    table: SourceTable, column: str, texts: Sequence[str], missing: Sequence[str]
) -> tuple[tuple[Span, ...] | None, ...]:
    """The marked characters of each row's text as spans in order that do not touch.

    None for a row without a value, where nobody was asked; an empty tuple where nothing was marked.
    A value is a list of pairs (the first character, the one after the last) or of single
    characters. Spans that overlap or touch are made one.

    Args:
        table: The data.
        column: Column of the rationales.
        texts: The text of each row.
        missing: Values that mean "not known".

    Raises:
        DataError: There is no such column, or a value is no such list, or marks what the text does
            not have; with the row.
    """
    found: list[tuple[Span, ...] | None] = []
    for row, value in enumerate(table.column(column)):
        if value is None or value in missing:
            found.append(None)
            continue
        try:
            found.append(_merged(_spans(_parsed(value), len(texts[row]))))
        except _RefusedError as problem:
            raise DataError(
                f"{table.name}: column {column!r}: row {row + 1} has {problem}.", _HINT
            ) from None
    return tuple(found)


def _parsed(value: str) -> list[Any]:
    try:
        parsed = _DECODER.decode(value.strip())
    except (ValueError, RecursionError):
        raise _RefusedError(f"{value[:40]!r}, which is no list") from None
    if not isinstance(parsed, list):
        raise _RefusedError(f"{value[:40]!r}, which is no list")
    return parsed


def _refuse_constant(name: str) -> str:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=str, parse_float=str)


def _spans(items: list[Any], length: int) -> list[Span]:
    """The spans of a list of pairs, or of single characters."""
    if not any(isinstance(item, list) for item in items):
        places = sorted(_place(item) for item in items)
        for place, following in itertools.pairwise(places):
            if place == following:
                # A mask of 0 and 1, one for each word, would else mark the first two characters.
                raise _RefusedError(f"the character {place} more than once")
        spans = [(place, place + 1) for place in places]
    else:
        spans = [_pair(item) for item in items]
    for start, end in spans:
        if start >= end:
            raise _RefusedError(f"the span [{start}, {end}], which ends where it begins or before")
        if start < 0 or end > length:
            raise _RefusedError(
                f"the span [{start}, {end}], but its text has {length:,} characters"
            )
    return spans


def _pair(item: Any) -> Span:
    if not isinstance(item, list):
        raise _RefusedError("spans and single characters in one list")
    if len(item) != 2:
        raise _RefusedError(f"a span of {len(item)} numbers instead of 2")
    return _place(item[0]), _place(item[1])


def _place(item: Any) -> int:
    if not isinstance(item, str) or not _WHOLE.fullmatch(item):
        shown = json.dumps(item)[:40] if not isinstance(item, str) else repr(item[:40])
        raise _RefusedError(f"{shown} where a whole number is expected")
    if len(item) > _DIGITS:
        raise _RefusedError(f"the number {item[:_DIGITS]}…, beyond the end of every text")
    return int(item)


def _merged(spans: list[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)
