"""Slips of fingers and scanners: wrong, swapped, missing, repeated and misread letters."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from auditkit.noise.tables import MISREAD, NEIGHBOURS
from auditkit.noise.words import Strength, edit_words, pick

_SHORTEST = 4
"""Letters below which a slip easily makes another word: not → now."""
_VOWELS = frozenset("aeiouyAEIOUY")


def keyboard(text: str, strength: Strength, rng: Random) -> str:
    """A letter, never the first, becomes one beside it on a QWERTY keyboard."""

    def edit(word: str, rng: Random) -> str:
        i = pick(rng, _typeable(word))
        new = pick(rng, NEIGHBOURS[word[i].lower()])
        return word[:i] + (new.upper() if word[i].isupper() else new) + word[i + 1 :]

    return edit_words(text, strength, rng, lambda word: bool(_typeable(word)), edit)


def letter_swap(text: str, strength: Strength, rng: Random) -> str:
    """Two neighbouring letters, the first never among them, change places."""

    def edit(word: str, rng: Random) -> str:
        i = pick(rng, _swappable(word))
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]

    return edit_words(text, strength, rng, lambda word: bool(_swappable(word)), edit)


def letter_drop(text: str, strength: Strength, rng: Random) -> str:
    """A letter, never the first, is left out."""

    def edit(word: str, rng: Random) -> str:
        i = pick(rng, _letters(word))
        return word[:i] + word[i + 1 :]

    return edit_words(text, strength, rng, lambda word: bool(_letters(word)), edit)


def repeated_letter(text: str, strength: Strength, rng: Random) -> str:
    """A letter, a vowel where there is one, is typed twice; held down (four times) when strong."""
    more = 1 if strength == "mild" else 3

    def edit(word: str, rng: Random) -> str:
        vowels = [i for i, letter in enumerate(word) if letter in _VOWELS]
        i = pick(rng, vowels or [i for i, letter in enumerate(word) if letter.isalpha()])
        return word[:i] + word[i] * more + word[i:]

    return edit_words(text, strength, rng, lambda word: len(word) >= 3, edit)


def misread(text: str, strength: Strength, rng: Random) -> str:
    """A letter or two become what a scanner takes them for: rn → m, l → 1."""

    def edit(word: str, rng: Random) -> str:
        i, seen = pick(rng, list(_misreadable(word)))
        return word[:i] + pick(rng, MISREAD[seen]) + word[i + len(seen) :]

    return edit_words(text, strength, rng, lambda word: any(_misreadable(word)), edit)


def _letters(word: str) -> list[int]:
    """Positions of letters after the first, in a word long enough to be recognised with a slip."""
    if len(word) < _SHORTEST:
        return []
    return [i for i in range(1, len(word)) if word[i].isalpha()]


def _typeable(word: str) -> list[int]:
    return [i for i in _letters(word) if word[i].lower() in NEIGHBOURS]


def _swappable(word: str) -> list[int]:
    return [
        i
        for i in _letters(word)[:-1]
        if word[i + 1].isalpha() and word[i].lower() != word[i + 1].lower()
    ]


def _misreadable(word: str) -> Iterator[tuple[int, str]]:
    if len(word) < 2:
        return
    for i in range(len(word)):
        for size in (1, 2):
            if word[i : i + size] in MISREAD and i + size <= len(word):
                yield i, word[i : i + size]
