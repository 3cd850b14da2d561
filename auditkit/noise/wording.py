"""Other ways to write the same: contractions, spelling of another country, an address more."""

from __future__ import annotations

import re
from random import Random

from auditkit.noise.tables import ALWAYS_CONTRACT, ALWAYS_EXPAND, CONTRACTIONS, SPELLINGS
from auditkit.noise.words import (
    Replacement,
    Strength,
    choose,
    in_case_of,
    pick,
    replaced,
    without_addresses,
    words,
)

_PRONOUN = r"(?!\s+(?:i|you|he|she|it|we|they|this|that|there|these|those)\b)"
"""Not before one: `don't you` has no long form in the same order."""
_GOES_ON = r"(?=\s+(?!not\b)\w)"
"""Only inside a sentence: `so it is.` has no short form. `Is not` has one of its own."""

_LONG = {long: short for short, long in CONTRACTIONS.items()} | ALWAYS_CONTRACT
_SHORT = CONTRACTIONS | ALWAYS_EXPAND


def _pattern() -> re.Pattern[str]:
    def form(text: str) -> str:
        return re.escape(text).replace(r"\ ", r"\s+").replace("'", "['’]")

    def after(text: str) -> str:
        if text in _SHORT:
            return _PRONOUN if text.endswith("n't") else ""
        return "" if text.endswith("not") else _GOES_ON

    forms = sorted([*_SHORT, *_LONG], key=len, reverse=True)
    either = "|".join(form(text) + r"(?![\w'’])" + after(text) for text in forms)
    return re.compile(rf"(?<![\w'’])(?:{either})", re.IGNORECASE)


_FORMS = _pattern()
_HOSTS = ("example.com", "example.org", "example.net")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def contraction(text: str, strength: Strength, rng: Random) -> str:
    """`do not` becomes `don't` and the other way round, at one place or at all."""
    found = []
    for match in _FORMS.finditer(without_addresses(text)):
        plain = " ".join(match[0].lower().replace("’", "'").split())
        other = _SHORT.get(plain) or _LONG[plain]
        found.append(Replacement(*match.span(), in_case_of(match[0], other)))
    return _one_or_all(text, found, strength, rng)


def spelling(text: str, strength: Strength, rng: Random) -> str:
    """A word in British spelling gets the American one or the other way round; one or all."""
    found = [
        Replacement(a, b, in_case_of(text[a:b], SPELLINGS[text[a:b].lower()]))
        for a, b in words(text)
        if text[a:b].lower() in SPELLINGS
    ]
    return _one_or_all(text, found, strength, rng)


def address(text: str, strength: Strength, rng: Random) -> str:
    """A made-up handle in front or a made-up URL at the end; both when strong."""
    if not text.strip():
        return text
    handle = f"@user{int(rng.random() * 9000) + 1000}"
    code = "".join(pick(rng, _LETTERS) for _ in range(6))
    url = f"https://{pick(rng, _HOSTS)}/{code}"
    if strength == "strong":
        return f"{handle} {text} {url}"
    return f"{handle} {text}" if rng.random() < 0.5 else f"{text} {url}"


def _one_or_all(text: str, found: list[Replacement], strength: Strength, rng: Random) -> str:
    return replaced(text, choose(rng, found, 1) if strength == "mild" else found)
