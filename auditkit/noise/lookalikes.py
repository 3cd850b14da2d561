"""Characters a reader does not notice: letters of another alphabet, and characters of no width."""

from __future__ import annotations

from random import Random

from auditkit.noise.tables import HOMOGLYPHS, ZERO_WIDTH
from auditkit.noise.words import Strength, edit_words, pick


def homoglyph(text: str, strength: Strength, rng: Random) -> str:
    """A Latin letter, or all of the word that can be, become the Cyrillic letter that looks so."""

    def edit(word: str, rng: Random) -> str:
        places = _replaceable(word)
        chosen = {pick(rng, places)} if strength == "mild" else set(places)
        return "".join(
            HOMOGLYPHS[letter] if i in chosen else letter for i, letter in enumerate(word)
        )

    return edit_words(text, strength, rng, lambda word: bool(_replaceable(word)), edit)


def zero_width(text: str, strength: Strength, rng: Random) -> str:
    """A character of no width, such as a soft hyphen, comes between two letters."""

    def edit(word: str, rng: Random) -> str:
        i = pick(rng, range(1, len(word)))
        return word[:i] + pick(rng, ZERO_WIDTH) + word[i:]

    return edit_words(text, strength, rng, lambda word: len(word) >= 2, edit)


def _replaceable(word: str) -> list[int]:
    return [i for i, letter in enumerate(word) if letter in HOMOGLYPHS]
