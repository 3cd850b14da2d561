"""Whether a changed text still means what its label says: rules, and rates with and without it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import SequenceMatcher
from typing import Any

import numpy as np

from auditkit.check import Context
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Cell,
    Estimate,
    Estimates,
    Evidence,
    Examples,
    Measurement,
    Table,
)
from auditkit.metrics.edits import edit_distance, similarity
from auditkit.metrics.robustness import Flags, Sampled, rate_bounds
from auditkit.stats.intervals import wilson

Contraries = Callable[[str], frozenset[str]]

NEGATIONS = frozenset(
    {
        "no", "not", "none", "nobody", "nothing", "nowhere", "neither", "nor", "never",
        "without", "cannot", "hardly", "scarcely", "barely", "aint", "arent", "cant",
        "couldnt", "didnt", "doesnt", "dont", "hadnt", "hasnt", "havent", "isnt", "mustnt",
        "neednt", "shouldnt", "wasnt", "werent", "wont", "wouldnt",
    }
)  # fmt: skip
"""English words that turn a statement round, without their apostrophes."""

_WORD = re.compile(r"[^\W_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}][^\W_]+)*")
_APOSTROPHES = str.maketrans("", "", "'\N{RIGHT SINGLE QUOTATION MARK}")


@dataclass(frozen=True, slots=True)
class Rules:
    """When a changed text no longer counts as meaning the same."""

    negations: bool
    antonyms: bool
    least_similarity: float
    most_changed_words: float
    least_meaning: float
    most_perplexity: float


@dataclass(frozen=True, slots=True)
class Change:
    """What an attack did to a text.

    Attributes:
        characters: Edit distance in characters.
        words: Edit distance in words.
        similarity: 1 less the edit distance in characters as a share of the longer text.
        changed_words: Edit distance in words as a share of the words of the longer text.
        negations: Negation words added ("+not") or removed ("-not").
        antonyms: Words replaced by their contrary; None when nobody looked.
        meaning: Cosine of the embeddings; None when nobody looked.
        perplexity: Perplexity after, over that before; None when nobody looked.
    """

    characters: int
    words: int
    similarity: float
    changed_words: float
    negations: tuple[str, ...]
    antonyms: tuple[str, ...] | None = None
    meaning: float | None = None
    perplexity: float | None = None

    def objections(self, rules: Rules) -> dict[str, str]:
        """The rules by which the meaning is judged to have changed, each with what it saw."""
        said = {}
        if rules.negations and self.negations:
            said["negation"] = f"negation {', '.join(self.negations)}"
        if rules.antonyms and self.antonyms:
            said["contrary"] = f"contrary {', '.join(self.antonyms)}"
        if self.similarity < rules.least_similarity:
            said["characters"] = f"only {self.similarity:.0%} of the characters alike"
        if self.changed_words > rules.most_changed_words:
            said["words"] = f"{self.changed_words:.0%} of the words changed"
        if self.meaning is not None and self.meaning < rules.least_meaning:
            said["embeddings"] = f"embeddings alike by only {self.meaning:.2f}"
        if self.perplexity is not None and 0 < rules.most_perplexity < self.perplexity:
            said["perplexity"] = f"perplexity {self.perplexity:.3g} times as high"
        return said

    def to_record(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Change:
        """From JSON values."""
        found: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in record.items()
        }
        return cls(**found)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without apostrophes and punctuation."""
    return [word.translate(_APOSTROPHES).lower() for word in _WORD.findall(text)]


def changed_negations(before: str, after: str) -> tuple[str, ...]:
    """Negation words that only one of the texts has, "+not" for an added one.

    Words count, not places: a negation that moved is not found. One misspelt so that it is no
    negation any more counts as removed.
    """
    old, new = (
        Counter(word for word in words_of(text) if word in NEGATIONS) for text in (before, after)
    )
    added, removed = (new - old).elements(), (old - new).elements()
    return (*(f"+{word}" for word in sorted(added)), *(f"-{word}" for word in sorted(removed)))


def changed_antonyms(before: str, after: str, contraries: Contraries) -> tuple[str, ...]:
    """Words replaced by a contrary of theirs, "good to bad"."""
    old, new = words_of(before), words_of(after)
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return tuple(
        f"{gone} to {come}"
        for tag, a, b, c, d in blocks
        if tag == "replace"
        for gone in old[a:b]
        for come in new[c:d]
        if come in contraries(gone) or gone in contraries(come)
    )


def change(
    before: str,
    after: str,
    contraries: Contraries | None = None,
    meaning: float | None = None,
    perplexity: float | None = None,
) -> Change:
    """What was done to a text; the last three are what others say of it, see `Change`."""
    old, new = before.split(), after.split()
    return Change(
        characters=edit_distance(before, after),
        words=edit_distance(old, new),
        similarity=similarity(before, after),
        changed_words=1 - similarity(old, new),
        negations=changed_negations(before, after),
        antonyms=None if contraries is None else changed_antonyms(before, after, contraries),
        meaning=meaning,
        perplexity=perplexity,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What became of the attacked examples, all of them right before.

    Attributes:
        name: The attack.
        broken: Shape (n,): the attack turned the answer.
        kept: Shape (n,): it did, and the meaning is judged kept.
        unknown: Shape (n,): the attack timed out or crashed.
        changes: Of each broken example, in order.
        objections: Those to each broken example, in order.
        examples: Broken examples to show.
        not_looked_at: What nobody looked at, and why.
    """

    name: str
    broken: Flags
    kept: Flags
    unknown: Flags
    changes: Sequence[Change]
    objections: Sequence[Mapping[str, str]]
    examples: Examples | None
    not_looked_at: tuple[str, ...]


def validity_measurements(
    context: Context, sample: Sampled, judged: Judged
) -> Iterator[Measurement]:
    """The success rate as it is, and that of successes whose meaning is judged kept."""
    broken, kept, invalid = judged.broken, judged.kept, judged.broken & ~judged.kept
    counts = (
        f"{int(broken.sum()):,} of {len(broken):,} right answers were turned, "
        f"{int(invalid.sum()):,} of them by a text judged to mean something else."
    )
    looked = "".join(f" Not looked at: {reason}." for reason in judged.not_looked_at)
    unsure = int(judged.unknown.sum())
    if unsure:
        counts += f" {unsure:,} attacks did not finish; the interval counts them either way."
    yield _rate(context, "raw_success_rate", sample, judged, broken, counts)
    evidence: list[Evidence] = [_side_by_side(judged), _costs(judged.changes)]
    if any(judged.objections):
        evidence.append(_by_rule(judged.objections))
    if judged.examples is not None and judged.examples.rows:
        evidence.append(judged.examples)
    adjusted = _rate(context, "adjusted_success_rate", sample, judged, kept, counts + looked)
    yield replace(adjusted, evidence=tuple(evidence))


def _rate(
    context: Context,
    name: str,
    sample: Sampled,
    judged: Judged,
    hits: Flags,
    note: str,
) -> Measurement:
    sure, n = ~judged.unknown, len(hits)
    known = bool(sure.any())
    return Measurement(
        name=name,
        value=float(hits.sum() / sure.sum()) if known else None,
        n=n,
        bounds=rate_bounds(context, sample, (hits, hits | judged.unknown), 1) if known else None,
        slice=judged.name,
        note=note if known else "no right answer was attacked to the end",
        least_n=sample.least if n < sample.least else None,
    )


def _side_by_side(judged: Judged) -> Estimates:
    n = int((~judged.unknown).sum())
    counts = {"all successes": judged.broken, "meaning kept": judged.kept}
    rows = tuple(
        Estimate(name, n, k / n if n else None, wilson(k, n, WHISKER_ALPHA), k)
        for name, k in ((name, int(flags.sum())) for name, flags in counts.items())
    )
    return Estimates("Success rate", rows, WHISKER_LEVEL, "Wilson")


def _costs(changes: Sequence[Change]) -> Table:
    columns = {
        "characters edited": [float(one.characters) for one in changes],
        "words edited": [float(one.words) for one in changes],
        "similarity of characters": [one.similarity for one in changes],
        "share of words changed": [one.changed_words for one in changes],
        "similarity of embeddings": [one.meaning for one in changes if one.meaning is not None],
        "ratio of perplexities": [o.perplexity for o in changes if o.perplexity is not None],
    }
    rows: list[tuple[Cell, ...]] = [
        (name, len(values), *map(float, np.quantile(values, (0.5, 0.0, 1.0))))
        for name, values in columns.items()
        if values
    ]
    return Table(
        "What the successes changed",
        ("per success", "successes", "median", "smallest", "largest"),
        tuple(rows),
    )


def _by_rule(objections: Sequence[Mapping[str, str]]) -> Table:
    rules = Counter(rule for one in objections for rule in one)
    rows: tuple[tuple[Cell, ...], ...] = tuple(rules.most_common())
    return Table("Why successes were judged to mean something else", ("rule", "successes"), rows)
