"""Where two versions of a text differ, word by word, in pieces that a page can mark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from auditkit.render.text import plain, revealed

COMPARED = 400
"""Words between the first and the last difference that are compared; more count as one change."""
KEPT = 60
"""Characters shown on each side of a change; what lies between two of them is left out."""
LONGEST = 800
"""Characters of one version that are shown."""

_WORDS = re.compile(r"\s+|[^\s]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a version; `changed` when the other version does not have it."""

    text: str
    changed: bool


def marked(before: str, after: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Both versions in pieces: one line of visible characters each, long sameness left out."""
    old = _WORDS.findall(_shown(before))
    new = _WORDS.findall(_shown(after))
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    middle_old, middle_new = old[start : len(old) - end], new[start : len(new) - end]
    head, tail = "".join(old[:start]), "".join(old[len(old) - end :])
    parts = ([Piece(head, changed=False)], [Piece(head, changed=False)])
    for kind, a, b, c, d in _steps(middle_old, middle_new):
        parts[0].append(Piece("".join(middle_old[a:b]), kind != "equal"))
        parts[1].append(Piece("".join(middle_new[c:d]), kind != "equal"))
    for version in parts:
        version.append(Piece(tail, changed=False))
    return _shortened(parts[0]), _shortened(parts[1])


def _shown(text: str) -> str:
    return plain(revealed(text[:100_000]), 100_000)


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    """How many words at the start are the same."""
    for place, (a, b) in enumerate(zip(old, new, strict=False)):
        if a != b:
            return place
    return min(len(old), len(new))


def _steps(old: list[str], new: list[str]) -> list[tuple[str, int, int, int, int]]:
    if max(len(old), len(new)) > COMPARED:
        return [("replace", 0, len(old), 0, len(new))]
    return list(SequenceMatcher(None, old, new, autojunk=False).get_opcodes())


def _shortened(pieces: list[Piece]) -> tuple[Piece, ...]:
    full = [piece for piece in pieces if piece.text]
    kept: list[Piece] = []
    left = LONGEST
    for place, piece in enumerate(full):
        text = piece.text
        if not piece.changed:
            text = _elided(text, first=place == 0, last=place == len(full) - 1)
        text = text if len(text) <= left else f"{text[: max(left - 1, 0)]}…"
        left -= len(text)
        kept.append(Piece(text, piece.changed))
        if left <= 0:
            break
    return tuple(kept)


def _elided(text: str, *, first: bool, last: bool) -> str:
    """What stands next to a change; all of it when the versions are the same."""
    start = "" if first and not last else text[:KEPT]
    end = "" if last and not first else text[-KEPT:]
    if len(text) <= len(start) + len(end) + 1:
        return text
    if first and last:
        return text
    return f"{start}…{end}"
