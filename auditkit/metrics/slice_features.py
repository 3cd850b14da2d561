"""What rows can be told apart by: their groups, and properties of their texts.

Everything here is known before the model is asked, so that a slice can be named in words.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.data import MISSING, AuditData
from auditkit.metrics.validity import words_of

Mask = NDArray[np.bool_]

OTHER_SCRIPTS = 0.2
"""Share of a text's letters from which on it is written in other scripts than Latin."""
_LATIN = re.compile(r"[A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff]")
CAPITALS = 0.2
"""Share of a text's letters from which on it is written in capitals; prose has about 0.03."""
_URL = re.compile(r"https?://|www\.", re.IGNORECASE)
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Feature:
    """One yes-or-no property of every row.

    Attributes:
        words: What is true of its rows: "dialect is b", "more than 20 words".
        kind: Features of one kind exclude each other and are never combined: levels of an
            attribute, bands of length.
    """

    words: str
    kind: str


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Properties of n rows.

    Attributes:
        each: The properties.
        member: Shape (n, len(each)): which rows have which.
    """

    each: tuple[Feature, ...]
    member: Mask


def features_of(data: AuditData, attributes: Sequence[str], words: int, least: int) -> Features:
    """Groups and, where the inputs are texts, properties of the texts.

    Args:
        data: n rows.
        attributes: Names of the sensitive attributes.
        words: How many frequent words are a property each.
        least: Properties that fewer rows have, or fewer rows lack, are left out.
    """
    found: list[Feature] = []
    columns: list[Mask] = []
    for feature, column in _all(data, attributes, words, least):
        size = int(column.sum())
        if min(size, len(data) - size) >= least:
            found.append(feature)
            columns.append(column)
    member = np.stack(columns, axis=1) if columns else np.zeros((len(data), 0), dtype=bool)
    return Features(tuple(found), member)


def are_texts(data: AuditData) -> bool:
    """Whether every input is one text."""
    return all(isinstance(value, str) for value in data.inputs)


def _all(
    data: AuditData, attributes: Sequence[str], words: int, least: int
) -> Iterator[tuple[Feature, Mask]]:
    for name in attributes:
        attribute = data.groups[name]
        for code in np.flatnonzero(attribute.sizes() >= least).tolist():
            words_ = f"{name} is {attribute.levels[code]}"
            yield Feature(words_, name), attribute.codes == code
        yield Feature(f"{name} is unknown", name), attribute.codes == MISSING
    if len(data) and are_texts(data):
        yield from _of_texts(data.inputs, words, least)


@dataclass(frozen=True, slots=True, eq=False)
class _Words:
    """The words of n texts, one after the other.

    Attributes:
        lengths: Shape (n,): words of each text.
        rows: Text of each word.
        numbers: Each word as a position in `vocabulary`.
        vocabulary: The words that occur.
        rows_with: How many texts each of these is in.
    """

    lengths: NDArray[np.int64]
    rows: NDArray[np.int64]
    numbers: NDArray[np.int64]
    vocabulary: tuple[str, ...]
    rows_with: NDArray[np.int64]


def _words(texts: Sequence[str]) -> _Words:
    known: dict[str, int] = {}
    flat, lengths = array("q"), np.zeros(len(texts), dtype=np.int64)
    for row, text in enumerate(texts):
        found = words_of(text)
        lengths[row] = len(found)
        flat.extend(known.setdefault(word, len(known)) for word in found)
    numbers, rows = np.array(flat, dtype=np.int64), np.repeat(np.arange(len(texts)), lengths)
    size = max(len(known), 1)
    once_a_text = np.unique(rows * size + numbers) % size
    rows_with = np.bincount(once_a_text, minlength=size).astype(np.int64)
    return _Words(lengths, rows, numbers, tuple(known), rows_with)


def _of_texts(texts: Sequence[str], words: int, least: int) -> Iterator[tuple[Feature, Mask]]:
    found = _words(texts)
    yield from _length_bands(found.lengths)
    simple: dict[str, Callable[[str], bool]] = {
        "has a URL": lambda text: _URL.search(text) is not None,
        "has a digit": lambda text: _DIGIT.search(text) is not None,
        "has a question mark": lambda text: "?" in text,
    }
    for said, holds in simple.items():
        yield Feature(said, said), np.array([holds(text) for text in texts])
    capitals = np.array([_share_of_capitals(text) for text in texts])
    yield Feature("no capital letter", "capitals"), capitals == 0
    yield Feature(f"at least {CAPITALS:.0%} capital letters", "capitals"), capitals >= CAPITALS
    latin = np.array([_share_of_latin(text) for text in texts])
    said = f"at least {OTHER_SCRIPTS:.0%} of the letters not Latin"
    yield Feature(said, "script"), latin <= 1 - OTHER_SCRIPTS
    yield from _rare_words(found)
    yield from _frequent_words(found, words, least)


def _rare_words(found: _Words) -> Iterator[tuple[Feature, Mask]]:
    """The quarter of the texts with the largest share of words that no other text has."""
    n = len(found.lengths)
    alone = found.rows_with[found.numbers] == 1
    share = np.bincount(found.rows[alone], minlength=n) / np.maximum(found.lengths, 1)
    threshold = float(np.quantile(share, 0.75))
    if threshold > 0:
        said = f"at least {threshold:.0%} of the words in no other text"
        yield Feature(said, "rare words"), share >= threshold


def _length_bands(lengths: NDArray[np.int64]) -> Iterator[tuple[Feature, Mask]]:
    """Quarters of the rows by their number of words, as far as ties allow."""
    ends = np.unique(np.quantile(lengths, (0.25, 0.5, 0.75), method="lower"))
    band = np.searchsorted(ends, lengths)
    for number in range(len(ends) + 1):
        low = None if number == 0 else int(ends[number - 1]) + 1
        high = None if number == len(ends) else int(ends[number])
        said = (
            f"at most {high} words" if low is None
            else f"at least {low} words" if high is None
            else f"{low} to {high} words"
        )  # fmt: skip
        yield Feature(said, "length"), band == number


def _share_of_capitals(text: str) -> float:
    letters = sum(map(str.isalpha, text))
    return sum(map(str.isupper, text)) / letters if letters else 0.0


def _share_of_latin(text: str) -> float:
    letters = sum(map(str.isalpha, text))
    return len(_LATIN.findall(text)) / letters if letters else 1.0


def _frequent_words(found: _Words, words: int, least: int) -> Iterator[tuple[Feature, Mask]]:
    """The words in most texts, apart from those in nearly all."""
    n = len(found.lengths)
    usable = np.flatnonzero((found.rows_with >= least) & (found.rows_with <= n - least)).tolist()
    chosen = sorted(usable, key=lambda i: (-found.rows_with[i], found.vocabulary[i]))[:words]
    for i in chosen:
        member = np.zeros(n, dtype=bool)
        member[found.rows[found.numbers == i]] = True
        word = found.vocabulary[i]
        yield Feature(f"has the word “{word}”", f"word {word}"), member
