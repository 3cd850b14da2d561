"""Where in a text noise may go: words outside addresses, and how many of them."""

from __future__ import annotations

import heapq
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from random import Random
from typing import Literal, NamedTuple, TypeVar

Strength = Literal["mild", "strong"]
STRENGTHS: tuple[Strength, ...] = ("mild", "strong")

Item = TypeVar("Item")
EditWord = Callable[[str, Random], str]

_CHUNK = re.compile(r"\S+")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_BARE_URL = re.compile(r"[\w-]+(?:\.[\w-]+)+/")
_MAYBE_ADDRESS = re.compile(r"[@#/]|www\.", re.IGNORECASE)
_OPENING = "\"'([{<.*_“‘«¡¿"


class Replacement(NamedTuple):
    """What to write in place of `text[start:end]`."""

    start: int
    end: int
    new: str


def is_address(chunk: str) -> bool:
    """Whether a run of characters without space is a URL, an e-mail address, a handle or a tag."""
    bare = chunk.lstrip(_OPENING)
    return (
        "://" in chunk
        or "@" in chunk
        or bare.startswith("#")
        or bare[:4].lower() == "www."
        or _BARE_URL.match(bare) is not None
    )


def without_addresses(text: str) -> str:
    """The text with every character of an address replaced by NUL, so that positions stay."""
    if not _MAYBE_ADDRESS.search(text):
        return text
    return _CHUNK.sub(lambda m: "\0" * len(m[0]) if is_address(m[0]) else m[0], text)


def edit_chunks(text: str, edit: Callable[[str], str]) -> str:
    """The text with `edit` done to every run without space that is no address."""
    return _CHUNK.sub(lambda m: m[0] if is_address(m[0]) else edit(m[0]), text)


def words(text: str) -> list[tuple[int, int]]:
    """Start and end of every word outside addresses, apostrophes inside included.

    Only words in alphabets whose letters do not join: Latin, Greek, Cyrillic and Armenian. A word
    that goes on with a combining mark is left out: its last letter is more than one character.
    """
    masked = without_addresses(text)
    found = (match.span() for match in _WORD.finditer(masked))
    return [(a, b) for a, b in found if _is_alphabetic(text[a:b]) and not _is_mark(text[b : b + 1])]


def how_many(count: int, strength: Strength) -> int:
    """Words to change of `count`: one of ten when mild, one of three when strong, at least one."""
    return max(1, count // 10) if strength == "mild" else math.ceil(count / 3)


def pick(rng: Random, items: Sequence[Item]) -> Item:
    """One of the items. Only `rng.random` is asked, whose stream no Python version changes."""
    return items[int(rng.random() * len(items))]


def choose(rng: Random, items: Sequence[Item], count: int) -> list[Item]:
    """`count` of the items, or all when there are no more, in their order."""
    keys = [rng.random() for _ in items]
    chosen = heapq.nsmallest(count, range(len(items)), key=keys.__getitem__)
    return [items[position] for position in sorted(chosen)]


def edit_words(
    text: str, strength: Strength, rng: Random, fits: Callable[[str], bool], edit: EditWord
) -> str:
    """The text with `edit` done to a share of its words (`how_many`), among those that fit."""
    spans = words(text)
    fitting = [(a, b) for a, b in spans if fits(text[a:b])]
    chosen = choose(rng, fitting, how_many(len(spans), strength))
    return replaced(text, [Replacement(a, b, edit(text[a:b], rng)) for a, b in chosen])


def replaced(text: str, replacements: Sequence[Replacement]) -> str:
    """The text with replacements made, which are in order and do not overlap."""
    parts, end = [], 0
    for one in replacements:
        parts += [text[end : one.start], one.new]
        end = one.end
    return "".join([*parts, text[end:]])


def in_case_of(model: str, new: str) -> str:
    """`new`, which is in lower case, in the capitals of `model`."""
    if model.isupper() and len(model) > 1:
        return one_to_one(new, str.upper)
    return one_to_one(new[:1], str.upper) + new[1:] if model[:1].isupper() else new


def one_to_one(text: str, change: Callable[[str], str]) -> str:
    """The text changed character by character, where that leaves one character (not ß → SS)."""
    return "".join(new if len(new := change(one)) == 1 else one for one in text)


def _is_alphabetic(word: str) -> bool:
    """Whether all is letters (² and ¼ are none, whatever `re` says) or apostrophes."""
    return word.isascii() or all(
        letter in "'’"
        or (letter.isalpha() and (letter < "\u0590" or "\u1e00" <= letter < "\u2000"))
        for letter in word
    )


def _is_mark(character: str) -> bool:
    if character.isascii():
        return False
    return character == "\u200d" or unicodedata.category(character).startswith("M")
