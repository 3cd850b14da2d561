"""Noise between and around the words: capitals, punctuation, white space."""

from __future__ import annotations

import re
from random import Random

from auditkit.noise.words import Strength, choose, edit_chunks, how_many, is_address, one_to_one

_MARKS = frozenset(".,;:!?…\"'()[]{}“”‘’«»„‚¿¡–—-_*")
_STOPS = frozenset(".,;:!?…\"'“”‘’–—-")
"""What stands alone without being an emoticon."""
_FINAL = ".!?…"
_WITH_GAP = re.compile(r"(?<!\s)(\s*+)(\S+)")
_GAP = re.compile(r"\s+")
_SPACES = ("\t", "\n", "  ", "   ", "\u00a0", " \n")


def case(text: str, strength: Strength, rng: Random) -> str:  # noqa: ARG001 - one right answer
    """Capitals: all lower case, or where there are none one to begin each sentence; or ALL CAPS."""
    if strength == "strong":
        return edit_chunks(text, lambda chunk: one_to_one(chunk, str.upper))
    lowered = edit_chunks(text, lambda chunk: one_to_one(chunk, str.lower))
    return lowered if lowered != text else _with_capitals(text)


def _with_capitals(text: str) -> str:
    starts = True

    def edit(chunk: str) -> str:
        nonlocal starts
        begins, starts = starts, chunk[-1] in _FINAL
        return one_to_one(chunk[0], str.upper) + chunk[1:] if begins else chunk

    return edit_chunks(text, edit)


def punctuation(text: str, strength: Strength, rng: Random) -> str:  # noqa: ARG001 - one right answer
    """The final stop left out, or added where there is none; or every mark left out.

    Points and commas between digits stay, and so do emoticons that stand alone.
    """
    if strength == "strong":
        bare = _WITH_GAP.sub(_without_marks, text)
        return bare if bare.strip() else text
    body = text.rstrip()
    space = text[len(body) :]
    last = body.split()[-1] if body else ""
    if not last or is_address(last):
        return text
    if last[-1].isalnum():
        return f"{body}.{space}"
    cut = body.rstrip(_FINAL)
    return cut + space if cut[-1:].isalnum() else text


def _without_marks(match: re.Match[str]) -> str:
    gap, chunk = match.groups()
    if is_address(chunk):
        return match[0]
    if not any(one.isalnum() for one in chunk):
        return "" if _STOPS.issuperset(chunk) else match[0]
    return gap + "".join(
        one
        for i, one in enumerate(chunk)
        if one not in _MARKS or (chunk[i - 1 : i].isdigit() and chunk[i + 1 : i + 2].isdigit())
    )


def whitespace(text: str, strength: Strength, rng: Random) -> str:
    """Some gaps doubled; or many gaps become tabs, line breaks and no-break spaces.

    A text without a gap gets a space at its end. Words are never joined or split.
    """
    if not text.strip():
        return text
    gaps = [match.span() for match in _GAP.finditer(text)]
    if not gaps:
        return f"{text} "
    chosen = dict(choose(rng, gaps, how_many(len(gaps), strength)))

    def edit(match: re.Match[str]) -> str:
        gap = match[0]
        if match.start() not in chosen:
            return gap
        if strength == "mild":
            return gap + " "
        fresh = [new for new in _SPACES if new != gap]
        return fresh[int(rng.random() * len(fresh))]

    return _GAP.sub(edit, text)
