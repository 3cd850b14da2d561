"""Whether an explanation stays when the text changes a little, or only the random numbers do."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Attribution, words_of
from auditkit.check import Context
from auditkit.finding import (
    WHISKER_LEVEL,
    Cell,
    Estimates,
    Evidence,
    Measurement,
    ScoredTexts,
    Table,
)
from auditkit.metrics.attribution_pairs import Alike, alike, says_nothing
from auditkit.metrics.example_means import ExampleValues, Sample, mean_measurement
from auditkit.metrics.example_tables import (
    SHARE,
    Values,
    correlations,
    defined,
    drawn_mean,
    mean_of,
    written_mean,
)
from auditkit.metrics.shown_examples import Shown, heat_map

ALIGNED_WORDS = 1000
"""Words between the first change and the last beyond which those in between are not matched."""
SEED = "another seed"
_NONE = "no example with three words or more keeps its answer"
_NO_TOP = "no example compared has more words than count"

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Noised:
    """A noise on the examples that it changes and that keep their answer, m of them.

    Attributes:
        name: Of the noise.
        places: Positions of these examples, ascending.
        texts: With the noise, as many.
        changed: Examples that the noise changes.
        turned: Of those, examples that get another answer and are not compared.
    """

    name: str
    places: tuple[int, ...]
    texts: tuple[str, ...]
    changed: int
    turned: int


@dataclass(frozen=True, slots=True, eq=False)
class Repeated:
    """What one method says of the examples, and says again.

    Attributes:
        method: Its name.
        first: An attribution of each example.
        noised: By noise an attribution of each of its texts.
        reseeded: An attribution of each example with another seed; None for a method that draws
            nothing.
    """

    method: str
    first: Sequence[Attribution]
    noised: Mapping[str, Sequence[Attribution]]
    reseeded: Sequence[Attribution] | None


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """One method before and after one change: a value of each example, None where there is none."""

    method: str
    cause: str
    rank: Values
    top: Values

    @property
    def slice(self) -> str:
        return self.method if self.cause == SEED else f"{self.method}/{self.cause}"


def aligned_words(before: str, after: str) -> tuple[Positions, Positions]:
    """Positions of the words of both texts that are the same word, in order, as many of each.

    By position where there are as many words. Otherwise what is equal but for capitals, and between
    such words those that are as many in both; a word that went or came is in neither.
    """
    ours, theirs = ([text[a:b].lower() for a, b in words_of(text)] for text in (before, after))
    if len(ours) == len(theirs):
        return np.arange(len(ours)), np.arange(len(ours))
    start = _common(ours, theirs)
    end = _common(ours[start:][::-1], theirs[start:][::-1])
    inner = ours[start : len(ours) - end], theirs[start : len(theirs) - end]
    pairs = [(i, i) for i in range(start)]
    if max(map(len, inner)) <= ALIGNED_WORDS:
        matcher = difflib.SequenceMatcher(None, *inner, autojunk=False)
        for tag, a, b, c, d in matcher.get_opcodes():
            if tag == "equal" or (tag == "replace" and b - a == d - c):
                pairs += [(start + a + i, start + c + i) for i in range(b - a)]
    pairs += [(len(ours) - i, len(theirs) - i) for i in range(end, 0, -1)]
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return first, second


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """How many words both begin with."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count


def stability_measurements(
    context: Context,
    sample: Sample,
    causes: Sequence[Noised],
    repeated: Sequence[Repeated],
    notes: str,
    shown: Shown,
) -> Iterator[Measurement]:
    """How alike a method's explanations are before and after each noise, and for another seed.

    Args:
        context: The levels.
        sample: The examples.
        causes: The noises.
        repeated: What each method says.
        notes: What the reader must know of all numbers.
        shown: What the report shows of the examples.
    """
    by_noise = [_under_noise(one, noise, len(sample)) for one in repeated for noise in causes]
    by_seed = [_under_seed(one) for one in repeated if one.reseeded is not None]
    evidence: tuple[Evidence, ...] = (
        *_charts(sample, by_noise, by_seed),
        _table(sample, causes, [*by_noise, *by_seed]),
        *_least_stable(causes, repeated, by_noise, shown),
    )
    turned = {noise.name: noise for noise in causes}
    for prefix, group in (("", by_noise), ("seed_", by_seed)):
        for compared in group:
            values = correlations(
                f"{prefix}rank_correlation", compared.slice, compared.rank, sample
            )
            measured = mean_measurement(context, values, len(group), _NONE)
            note = _said(turned[compared.cause]) if not prefix else ""
            if measured.value is None:
                note = f"{measured.note}. {note}"
            yield replace(measured, note=f"{note} {notes}".strip(), evidence=evidence)
            evidence, notes = (), ""
        for compared in group:
            tops = defined(f"{prefix}top_overlap", compared.slice, compared.top, sample, SHARE)
            yield mean_measurement(context, tops, len(group), _NO_TOP)


def _under_noise(one: Repeated, noise: Noised, examples: int) -> _Compared:
    rank: list[float | None] = [None] * examples
    top: list[float | None] = [None] * examples
    for place, again in zip(noise.places, one.noised[noise.name], strict=True):
        found = _again(one.first[place], again)
        rank[place], top[place] = found.rank, found.top
    return _Compared(one.method, noise.name, rank, top)


def _under_seed(one: Repeated) -> _Compared:
    assert one.reseeded is not None
    found = [_again(*both) for both in zip(one.first, one.reseeded, strict=True)]
    return _Compared(one.method, SEED, [each.rank for each in found], [each.top for each in found])


def _again(first: Attribution, second: Attribution) -> Alike:
    """How alike they are; an explanation that is there only once has no rank correlation at all."""
    ours, theirs = aligned_words(first.text, second.text)
    one = first.of_words(words_of(first.text))[ours]
    other = second.of_words(words_of(second.text))[theirs]
    found = alike(one, other)
    if found.rank is None and says_nothing(one) != says_nothing(other):
        return replace(found, rank=0.0)
    return found


def _least_stable(
    causes: Sequence[Noised],
    repeated: Sequence[Repeated],
    by_noise: Sequence[_Compared],
    shown: Shown,
) -> tuple[ScoredTexts, ...]:
    """Heat maps of the examples that noise changes most, as written and below with the noise."""
    found = []
    for noise in causes:
        group = [one for one in by_noise if one.cause == noise.name]
        for at, place in enumerate(noise.places):
            mean = mean_of([one.rank[place] for one in group])
            if mean is not None:
                found.append((mean, place, noise.name, at))
    rows = []
    for _, place, name, at in sorted(found)[: max(shown.most // 2, 1) if shown.most else 0]:
        label = shown.labels[place]
        before = [one.first[place] for one in repeated]
        after = [one.noised[name][at] for one in repeated]
        rows.append(heat_map(shown.said[place], before, label))
        rows.append(heat_map(f"the same with {name} noise", after, label))
    title = "Where noise changes the explanations most, as written and with the noise"
    return (ScoredTexts(title, tuple(rows)),) if rows else ()


def _said(noise: Noised) -> str:
    return (
        f"The noise changes {noise.changed:,} examples; {noise.turned:,} of them get another "
        "answer and are not compared."
    )


def _charts(
    sample: Sample, by_noise: Sequence[_Compared], by_seed: Sequence[_Compared]
) -> Iterator[Estimates]:
    for title, group in (("under mild noise", by_noise), ("with another seed", by_seed)):
        each = [correlations("", one.slice, one.rank, sample) for one in group]
        if each:
            yield Estimates(
                title=f"Rank correlation of explanations {title}",
                rows=tuple(drawn_mean(values.slice, values) for values in each),
                level=WHISKER_LEVEL,
                method=each[0].method,
                of="method",
            )


def _table(sample: Sample, causes: Sequence[Noised], compared: Sequence[_Compared]) -> Table:
    noises = {noise.name: noise for noise in causes}
    rows: list[tuple[Cell, ...]] = []
    for one in compared:
        rank = correlations("", "", one.rank, sample)
        top = defined("", "", one.top, sample, SHARE)
        noise = noises.get(one.cause)
        turned = 0 if noise is None else noise.turned
        rows.append(
            (
                one.method, one.cause, len(rank.sample), turned, _perfect(rank),
                written_mean(rank), written_mean(top),
            )
        )  # fmt: skip
    return Table(
        "Explanations before and after, 95 % intervals",
        (
            "method", "change", "examples compared", "other answer", "same order",
            "rank correlation", "top five in common",
        ),
        tuple(rows),
    )  # fmt: skip


def _perfect(values: ExampleValues) -> int:
    """Examples in which the order of the words is the same."""
    return int((values.values > 1.0 - 1e-9).sum())
