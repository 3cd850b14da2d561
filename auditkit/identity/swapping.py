"""A text rewritten so that it names another group, and nothing else of it changes."""

from __future__ import annotations

import enum
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from auditkit.identity.grammar import (
    PRONOUNS,
    Sentence,
    article,
    in_case,
    is_compound,
    is_quoted,
    is_term,
    is_written_as_name,
    other_names,
)
from auditkit.identity.terms import Term, TermSet, split
from auditkit.noise.words import Replacement, replaced

_LETTER = re.compile(r"[^\W\d_]")


class Reason(enum.StrEnum):
    """Why a text that names a group is not swapped."""

    SEVERAL = "it names several groups"
    BOUND = "it speaks of something that goes with one group only"
    PHRASE = "the term is part of a fixed expression"
    TITLE = "the term is part of a title or a name"
    PERSON = "it may be about somebody known by name"
    OTHER_MEANING = "the word may mean something else here"
    COMPOUND = "the term is part of a compound"
    HER = "whose or whom: 'her' can be read both ways"
    APOSTROPHE = "an apostrophe can be read both ways"
    NO_COUNTERPART = "no other group has a word for it"


@dataclass(frozen=True, slots=True)
class Swapped:
    """A text that can be swapped.

    Attributes:
        group: The group it names.
        texts: The text for each other group, in the order of the term set.
    """

    group: str
    texts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Excluded:
    """A text that has a term and is not swapped."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class NamedGroup:
    """Where a text names a group: characters from `start` to before `end`."""

    start: int
    end: int
    term: Term


@dataclass(frozen=True, slots=True)
class _Match:
    first: int
    last: int
    terms: tuple[Term, ...]
    """What the words could be, all of one length."""


class Swapper:
    """Swaps the terms of one set.

    All terms of a text that name its group are exchanged together (a name with its pronouns). A
    text is left out, with a `Reason`, when its words do not tell what the swap would have to be, or
    when it would then say something else.
    """

    def __init__(self, terms: TermSet) -> None:
        self.terms = terms

    def swap(self, text: str) -> dict[str, Swapped | Excluded]:
        """What becomes of a text, for each attribute it has a term of."""
        sentence = Sentence(text)
        found: defaultdict[str, list[_Match]] = defaultdict(list)
        for match in self._matches(sentence):
            found[match.terms[0].attribute].append(match)
        outcomes: dict[str, Swapped | Excluded] = {}
        for attribute in self.terms.attributes:
            outcome = self._outcome(sentence, attribute, found.get(attribute, []))
            if outcome is not None:
                outcomes[attribute] = outcome
        return outcomes

    def named_groups(self, text: str) -> tuple[NamedGroup, ...]:
        """Every place where the text names a group, whether it could be swapped or not.

        A word that names a group in either case ("her") counts; one that may mean something else
        here, or is part of a title, a compound or a fixed expression, does not.
        """
        sentence = Sentence(text)
        matches = [*self._matches(sentence)]
        phrases = [one for one in matches if one.terms[0].form == "phrase"]
        found = []
        for match in matches:
            term, why = _reading(sentence, match)
            if term is None and why is Reason.HER:
                term = match.terms[0]
            if term is None or not term.group or _overlaps(match, phrases):
                continue
            if _word_objection(sentence, match, term) in (Reason.COMPOUND, Reason.TITLE):
                continue
            start, end = sentence.spans[match.first][0], sentence.spans[match.last - 1][1]
            found.append(NamedGroup(start, end, term))
        return tuple(found)

    def _matches(self, sentence: Sentence) -> Iterator[_Match]:
        """All terms in the text; of one attribute the longest ones, which do not overlap."""
        covered: dict[tuple[str, str], int] = {}
        for first, word in enumerate(sentence.words):
            at: defaultdict[tuple[str, str], list[Term]] = defaultdict(list)
            for term in self.terms.by_first_word.get(word, ()):
                kind = (term.attribute, "" if term.group else str(term.form))
                if first >= covered.get(kind, 0) and _stands_at(sentence, first, term):
                    at[kind].append(term)
            for kind, terms in at.items():
                length = len(split(terms[0].text))
                longest = tuple(one for one in terms if len(split(one.text)) == length)
                covered[kind] = first + length
                yield _Match(first, first + length, longest)

    def _outcome(
        self, sentence: Sentence, attribute: str, matches: Sequence[_Match]
    ) -> Swapped | Excluded | None:
        named = [one for one in matches if one.terms[0].group]
        bound = [one for one in matches if not one.terms[0].group]
        readings: list[tuple[_Match, Term]] = []
        unclear: Reason | None = None
        for match in named:
            term, why = _reading(sentence, match)
            if term is not None:
                readings.append((match, term))
            elif why is not None:
                unclear = unclear or why
        if not readings and unclear in (None, Reason.PERSON):
            return None
        groups = {term.group for _, term in readings}
        if len(groups) > 1:
            return Excluded(Reason.SEVERAL)
        reason = self._objection(sentence, readings, bound) or unclear
        if reason is not None:
            return Excluded(reason)
        texts = self._rewritten(sentence, attribute, readings)
        return Swapped(groups.pop(), texts) if texts else Excluded(Reason.NO_COUNTERPART)

    def _objection(
        self, sentence: Sentence, readings: Sequence[tuple[_Match, Term]], bound: Sequence[_Match]
    ) -> Reason | None:
        for match in bound:
            if match.terms[0].form == "blocker":
                return Reason.BOUND
            if any(one.first < match.last and match.first < one.last for one, _ in readings):
                return Reason.PHRASE
        for match, term in readings:
            if (reason := _word_objection(sentence, match, term)) is not None:
                return reason
        spans = [(match.first, match.last) for match, _ in readings]
        pronoun = any(term.form in PRONOUNS for _, term in readings)
        introduced = sentence.is_lower and readings[0][1].form not in PRONOUNS if readings else True
        if pronoun and not introduced and other_names(sentence, spans, self._capitalised):
            return Reason.PERSON
        return None

    @cached_property
    def _capitalised(self) -> frozenset[str]:
        """Words that have a capital without naming a person."""
        return frozenset(
            word
            for term in self.terms.terms
            if term.text[0].isupper() and term.form != "name"
            for word in split(term.text)
        )

    def _rewritten(
        self, sentence: Sentence, attribute: str, readings: Sequence[tuple[_Match, Term]]
    ) -> dict[str, str]:
        """The text for each group that has a counterpart for every term."""
        texts = {}
        for group in self.terms.groups(attribute):
            others = [self.terms.counterpart(term, group) for _, term in readings]
            new = [one for one in others if one is not None]
            if len(new) == len(others) and group != readings[0][1].group:
                texts[group] = _with(sentence, readings, new)
        return texts


def _with(
    sentence: Sentence, readings: Sequence[tuple[_Match, Term]], others: Sequence[str]
) -> str:
    changes = []
    for (match, term), other in zip(readings, others, strict=True):
        new = in_case(sentence, match.first, match.last, term, other)
        if sentence.word(match.first - 1) in ("a", "an") and sentence.gap(match.first).isspace():
            start, end = sentence.spans[match.first - 1]
            changes.append(Replacement(start, end, article(sentence.text[start:end], new)))
        start, end = sentence.spans[match.first][0], sentence.spans[match.last - 1][1]
        changes.append(Replacement(start, end, new))
    return replaced(sentence.text, changes)


def _overlaps(match: _Match, others: Sequence[_Match]) -> bool:
    return any(one.first < match.last and match.first < one.last for one in others)


def _stands_at(sentence: Sentence, first: int, term: Term) -> bool:
    words = split(term.text)
    if sentence.words[first : first + len(words)] != words:
        return False
    gaps = (sentence.gap(first + i) for i in range(1, len(words)))
    return all(gap in (" ", "-", "'", "’", " '", ". ") for gap in gaps)


def _reading(sentence: Sentence, match: _Match) -> tuple[Term | None, Reason | None]:
    """What the words are here; else why they are left out, or no reason when they are no term."""
    decided = [(is_term(sentence, match.first, match.last, one), one) for one in match.terms]
    for decision, term in decided:
        if decision == "yes":
            return term, None
    if any(decision == "unclear" for decision, _ in decided):
        return None, Reason.HER
    if match.terms[0].form == "name":
        # Without its capital the word may be a name or not ("bill").
        return None, Reason.PERSON if sentence.is_lower else None
    return None, Reason.OTHER_MEANING


def _word_objection(sentence: Sentence, match: _Match, term: Term) -> Reason | None:
    if is_compound(sentence, match.first, match.last):
        return Reason.COMPOUND
    if is_quoted(sentence, match.first):
        return Reason.TITLE
    if is_written_as_name(sentence, match.first, match.last, term):
        return Reason.PERSON if term.form == "name" else Reason.TITLE
    if term.form != "nouns" and _ends_unclear(sentence, match.last):
        return Reason.APOSTROPHE
    return None


def _ends_unclear(sentence: Sentence, last: int) -> bool:
    """An apostrophe after s may be a possessive ("James' car") or close a quotation."""
    end = sentence.spans[last - 1][1]
    after = sentence.text[end : end + 2]
    singular = sentence.text[end - 1] in "sS" and after[:1] in ("'", "’")
    return singular and not _LETTER.match(after[1:])
