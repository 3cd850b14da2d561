"""Words exchanged for synonyms, as WordNet lists them.

WordNet's own files are read, so that no language library is needed. A word gets only the synonyms
of its most frequent sense, and only if it stands in the text as in the dictionary: inflected forms
are left alone, because exchanging them would break the grammar.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from auditkit.noise.words import Strength, edit_words, in_case_of, pick

_PARTS = ("noun", "verb", "adj", "adv")
_SHORTEST = 3
"""Letters of the shortest word that is exchanged; shorter ones are rarely what they look like."""
_HEADER = "  "
"""What the lines of the licence begin with."""


@dataclass(frozen=True, slots=True)
class Thesaurus:
    """Synonyms by word.

    Attributes:
        of: Single words in lower case, sorted, for each word in lower case that has any.
    """

    of: Mapping[str, tuple[str, ...]]

    def exchanged(
        self, text: str, strength: Strength, rng: Random, leave: frozenset[str] = frozenset()
    ) -> str:
        """The text with some words exchanged; the same text when it has none to exchange.

        Args:
            text: The text.
            strength: One word of ten when mild, one of three when strong, at least one.
            rng: Random numbers.
            leave: Words, in lower case, that stay.
        """

        def fits(word: str) -> bool:
            low = word.lower()
            return len(word) >= _SHORTEST and low not in leave and low in self.of

        def other(word: str, rng: Random) -> str:
            return in_case_of(word, pick(rng, self.of[word.lower()]))

        return edit_words(text, strength, rng, fits, other)


def read_wordnet(place: Path) -> Thesaurus:
    """The synonyms of a WordNet folder, or of a zip file that holds one.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not WordNet.
    """
    if place.is_dir():
        return _thesaurus(lambda name: (place / name).read_text(encoding="utf-8"))
    try:
        with zipfile.ZipFile(place) as archive:
            names = {name.rpartition("/")[2]: name for name in archive.namelist()}
            return _thesaurus(lambda name: archive.read(names[name]).decode("utf-8"))
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{place}: not a WordNet archive: {error}") from None


def _thesaurus(read: Callable[[str], str]) -> Thesaurus:
    synonyms: dict[str, tuple[str, ...]] = {}
    best: dict[str, int] = {}
    for part in _PARTS:
        members = dict(_synsets(read(f"data.{part}")))
        for word, uses, synset in _first_senses(read(f"index.{part}")):
            if uses > best.get(word, -1):
                best[word] = uses
                synonyms[word] = tuple(sorted(members[synset] - {word}))
    return Thesaurus({word: found for word, found in sorted(synonyms.items()) if found})


def _first_senses(index: str) -> Iterator[tuple[str, int, str]]:
    """Each single word, how many of its senses were seen in texts, and its most frequent synset.

    A line is: lemma pos synsets pointers [symbol...] senses tagged offset [offset...].
    """
    for line in index.splitlines():
        fields = line.split()
        if line.startswith(_HEADER) or not fields[0].isalpha():
            continue
        pointers = int(fields[3])
        yield fields[0], int(fields[5 + pointers]), fields[6 + pointers]


def _synsets(data: str) -> Iterator[tuple[str, set[str]]]:
    """Offset and single words, in lower case, of each synset.

    A line is: offset file type words (hexadecimal) word id [word id...] ...; a word of an adjective
    may end with a marker in brackets.
    """
    for line in data.splitlines():
        if line.startswith(_HEADER):
            continue
        fields = line.split()
        count = int(fields[3], 16)
        words = (fields[4 + 2 * i].partition("(")[0].lower() for i in range(count))
        yield fields[0], {word for word in words if word.isalpha()}
