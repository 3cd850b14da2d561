"""Sets of identity terms: which words name which group, and which exchange for which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, cast, get_args

from auditkit.errors import DataError
from auditkit.identity.records import Record, read_records

VERSION = "1"
"""Version of the terms that come with auditkit."""
BUILT_IN = Path(__file__).with_name("terms.csv")

Form = Literal[
    "noun", "nouns", "adjective", "mass", "country", "name", "subject", "object", "determiner",
    "possessive", "reflexive", "contraction", "blocker", "phrase",
]  # fmt: skip
FORMS: tuple[Form, ...] = get_args(Form)
"""Part of speech and number. Of pronouns the case: he, him, his book, it is his, himself. A text
with a `blocker` is about one group only and is not swapped; nor is a term inside a `phrase`."""
When = Literal["", "person", "article", "from", "capital", "target"]
WHENS: tuple[When, ...] = get_args(When)
"""Where a word is the term: anywhere; before a word for persons, or said of somebody ("I am deaf");
as a noun after an article; after "from"; with a capital; nowhere, it is only put in for others."""
COLUMNS = ("attribute", "group", "text", "form", "slot", "when", "source")
_MOST_WORDS = 6


@dataclass(frozen=True, slots=True)
class Term:
    """A word, or several, that names a group.

    Attributes:
        text: As it stands within a sentence, with a capital where it always has one.
        attribute: What it says of somebody: "religion".
        group: Which: "Buddhist"; empty for a blocker or phrase.
        form: Part of speech and number.
        slot: Terms of one attribute, form and slot stand for each other across groups.
        when: Where the word is the term.
    """

    text: str
    attribute: str
    group: str
    form: Form
    slot: str
    when: When


def split(text: str) -> tuple[str, ...]:
    """The words of a term in lower case; hyphens and apostrophes part words, as in a text."""
    return tuple("".join(c if c.isalnum() else " " for c in text.lower()).split())


@dataclass(frozen=True, eq=False)
class TermSet:
    """The terms of one file.

    Attributes:
        name: What a report calls it: version and digest.
        terms: All terms, in the order of the file.
    """

    name: str
    terms: tuple[Term, ...]

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """The attributes, in the order of the file."""
        return tuple(dict.fromkeys(term.attribute for term in self.terms))

    @cached_property
    def by_first_word(self) -> Mapping[str, tuple[Term, ...]]:
        """Terms by their first word, longest first; those that are only put in are not there."""
        found: defaultdict[str, list[Term]] = defaultdict(list)
        for term in self.terms:
            if term.when != "target":
                found[split(term.text)[0]].append(term)
        return {
            word: tuple(sorted(terms, key=lambda one: -len(split(one.text))))
            for word, terms in found.items()
        }

    @cached_property
    def _slots(self) -> Mapping[tuple[str, str, str], Mapping[str, list[str]]]:
        slots: defaultdict[tuple[str, str, str], defaultdict[str, list[str]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for term in self.terms:
            if term.group:
                slots[term.attribute, term.form, term.slot][term.group].append(term.text)
        return slots

    def groups(self, attribute: str) -> tuple[str, ...]:
        """The groups of an attribute, in the order of the file."""
        of = (t.group for t in self.terms if t.attribute == attribute and t.group)
        return tuple(dict.fromkeys(of))

    def counterpart(self, term: Term, group: str) -> str | None:
        """The word of another group that stands where `term` does.

        Where the groups have several, the first stands for the first, and so on, so that two names
        stay two names.
        """
        slot = self._slots[term.attribute, term.form, term.slot]
        theirs = slot.get(group)
        if not theirs:
            return None
        return theirs[slot[term.group].index(term.text) % len(theirs)]

    def adjectives(self) -> tuple[Term, ...]:
        """One word for each group that has an adjective, to fill sentences with."""
        found: dict[tuple[str, str], Term] = {}
        for term in self.terms:
            if term.form == "adjective" and term.when in ("", "person"):
                found.setdefault((term.attribute, term.group), term)
        return tuple(found.values())


def read_terms(file: str = "") -> TermSet:
    """The terms of a csv or jsonl file with the columns `COLUMNS`, or those of auditkit.

    `attribute`, `text` and `form` are needed; `group` and `slot` for every form that is swapped.

    Raises:
        DataError: The file cannot be read, or a row is no term; with its line.
    """
    return _read(Path(file)) if file else _built_in()


@cache
def _built_in() -> TermSet:
    return _read(BUILT_IN)


def _read(path: Path) -> TermSet:
    records = read_records(path, COLUMNS, ("attribute", "text", "form"))
    terms = [_term(record) for record in records.rows]
    _check(path.name, terms)
    name = f"auditkit terms {VERSION}" if path == BUILT_IN else path.name
    return TermSet(f"{name} ({records.digest})", tuple(terms))


def _term(record: Record) -> Term:
    form = cast(Form, record.chosen("form", FORMS))
    when = cast(When, record.chosen("when", WHENS)) if record.fields.get("when") else ""
    group, slot = record.fields.get("group", ""), record.fields.get("slot", "")
    if form in ("blocker", "phrase"):
        group = slot = ""
    elif not group or not slot:
        raise record.wrong(
            f"a {form} needs a group and a slot",
            "Terms with one slot in several groups are exchanged for each other.",
        )
    words = split(record.fields["text"])
    if not 1 <= len(words) <= _MOST_WORDS:
        raise record.wrong(f"text has {len(words)} words", f"A term has 1 to {_MOST_WORDS}.")
    return Term(record.fields["text"], record.fields["attribute"], group, form, slot, when)


def _check(name: str, terms: Sequence[Term]) -> None:
    """Refuse a set that cannot swap, or in which one word names two groups."""
    groups: defaultdict[str, set[str]] = defaultdict(set)
    named: dict[tuple[str, tuple[str, ...], str], str] = {}
    for term in terms:
        if not term.group:
            continue
        groups[term.attribute].add(term.group)
        if term.when == "target":
            continue
        key = term.attribute, split(term.text), term.form
        if named.setdefault(key, term.group) != term.group:
            raise DataError(
                f"{name}: {term.text!r} names both {named[key]!r} and {term.group!r}.",
                "A word names one group; mark the other as when = target to only put it in.",
            )
    single = [attribute for attribute, known in groups.items() if len(known) < 2]
    if single or not groups:
        raise DataError(
            f"{name}: {single[0] if single else 'no attribute'!r} has fewer than two groups.",
            "A term is exchanged for that of another group.",
        )
