"""How far two methods of explanation say the same of one answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

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
from auditkit.metrics.attribution_pairs import TOP, Alike, alike
from auditkit.metrics.example_means import ExampleValues, Sample, mean_measurement
from auditkit.metrics.example_tables import (
    SHARE,
    correlations,
    defined,
    drawn_mean,
    mean_of,
    written_mean,
)
from auditkit.metrics.shown_examples import Shown, heat_map
from auditkit.stats.intervals import Floats

UNSIGNED = frozenset({"attention-rollout"})
"""Methods whose weights say how much a word counts, and not for which class."""
_NONE = "no example of three words or more is explained by both"
_NO_TOP = "no example compared has more words than count"


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two methods, and how alike they are on each example."""

    first: str
    second: str
    each: Sequence[Alike]
    sample: Sample

    @property
    def slice(self) -> str:
        return f"{self.first} × {self.second}"

    def rank(self) -> ExampleValues:
        ranks = [one.rank for one in self.each]
        return correlations("rank_correlation", self.slice, ranks, self.sample)

    def top(self) -> ExampleValues:
        tops = [one.top for one in self.each]
        return defined("top_overlap", self.slice, tops, self.sample, SHARE)


def agreement_measurements(
    context: Context,
    sample: Sample,
    found: Mapping[str, Sequence[Attribution]],
    notes: str,
    shown: Shown,
) -> Iterator[Measurement]:
    """Rank correlation and overlap at the top, of every two methods.

    Args:
        context: The levels.
        sample: The examples.
        found: By method an attribution of each example; at least two methods.
        notes: What the reader must know of all numbers.
        shown: What the report shows of the examples.
    """
    weights = {method: [_weights(one) for one in each] for method, each in found.items()}
    pairs = [
        _Pair(one, other, _compared(one, other, weights), sample)
        for one, other in combinations(found, 2)
    ]
    evidence: tuple[Evidence, ...] = (
        _chart(pairs),
        _matrix(
            f"Rank correlation of every two methods, {len(sample):,} examples, 95 % intervals",
            tuple(found),
            {(pair.first, pair.second): pair.rank() for pair in pairs},
        ),
        _matrix(
            f"Share of the {TOP} most important words in common{_by_chance(pairs)}",
            tuple(found),
            {(pair.first, pair.second): pair.top() for pair in pairs},
        ),
        *_least_alike(found, pairs, shown),
    )
    notes = f"{_extremes(pairs)} {notes}".strip()
    for pair in pairs:
        measured = mean_measurement(context, pair.rank(), len(pairs), _NONE)
        note = f"{measured.note}. {notes}" if measured.value is None else notes
        yield replace(measured, note=note.strip(), evidence=evidence)
        notes, evidence = "", ()
    for pair in pairs:
        yield mean_measurement(context, pair.top(), len(pairs), _NO_TOP)


def _weights(one: Attribution) -> Floats | None:
    return one.of_words(words_of(one.text)) if one.features else None


def _compared(
    first: str, second: str, weights: Mapping[str, Sequence[Floats | None]]
) -> list[Alike]:
    each = []
    for one, other in zip(weights[first], weights[second], strict=True):
        if one is None or other is None:
            each.append(Alike(None, None, None))
        elif first in UNSIGNED or second in UNSIGNED:
            each.append(alike(np.abs(one), np.abs(other)))
        else:
            each.append(alike(one, other))
    return each


def _extremes(pairs: Sequence[_Pair]) -> str:
    """Which two methods are least alike, and which most."""
    means = [(mean_of([one.rank for one in pair.each]), pair.slice) for pair in pairs]
    known = sorted((mean, name) for mean, name in means if mean is not None)
    if not known:
        return ""
    said = f"Least alike are {known[0][1]} ({known[0][0]:.2f})"
    return f"{said}, most {known[-1][1]} ({known[-1][0]:.2f})." if len(known) > 1 else f"{said}."


def _chart(pairs: Sequence[_Pair]) -> Estimates:
    return Estimates(
        title="Rank correlation of every two methods",
        rows=tuple(drawn_mean(pair.slice, pair.rank()) for pair in pairs),
        level=WHISKER_LEVEL,
        method=pairs[0].rank().method,
        reference=0.0,
        reference_label="no more than chance",
        of="pair of methods",
    )


def _matrix(
    title: str, methods: tuple[str, ...], values: Mapping[tuple[str, str], ExampleValues]
) -> Table:
    def cell(row: str, column: str) -> Cell:
        if row == column:
            return "1"
        return written_mean(values.get((row, column)) or values[column, row])

    rows = tuple((row, *(cell(row, column) for column in methods)) for row in methods)
    return Table(title, ("method", *methods), rows)


def _by_chance(pairs: Sequence[_Pair]) -> str:
    """What two random orders have in common at the top, as the end of a title."""
    mean = mean_of([one.chance for pair in pairs for one in pair.each])
    return "" if mean is None else f" ({mean:.2f} by chance)"


def _least_alike(
    found: Mapping[str, Sequence[Attribution]], pairs: Sequence[_Pair], shown: Shown
) -> tuple[ScoredTexts, ...]:
    """Heat maps of the examples on which the methods disagree most."""
    means = [mean_of([pair.each[i].rank for pair in pairs]) for i in range(len(shown.said))]
    worst = sorted((mean, place) for place, mean in enumerate(means) if mean is not None)
    rows = tuple(
        heat_map(shown.said[place], [each[place] for each in found.values()], shown.labels[place])
        for _, place in worst[: shown.most]
    )
    return (ScoredTexts("Where the methods disagree most", rows),) if rows else ()
