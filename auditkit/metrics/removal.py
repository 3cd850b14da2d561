"""What becomes of a score as the words of a text are taken out, in a given order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Span, without
from auditkit.check import Predictor

CHUNK = 4096
"""Texts asked about at once: many full batches, and a bound on memory."""

Floats = NDArray[np.float64]
Order = NDArray[np.int64]

METRICS = ("comprehensiveness", "sufficiency", "deletion AUC", "insertion AUC")
"""The columns of `Removed.scores`."""
BETTER = np.array([1.0, -1.0, -1.0, 1.0])
"""1 for a metric that is larger for a better order, -1 for one that is smaller."""


@dataclass(frozen=True, slots=True)
class Grid:
    """How many words are taken out.

    Attributes:
        fractions: Of the words, for comprehensiveness and sufficiency; at least one word.
        points: Equal steps from the whole text to none of it, for the two curves.
    """

    fractions: tuple[float, ...]
    points: int

    def counts(self, words: int) -> list[int]:
        """Every number of words taken out of a text of so many, ascending, from 0 to all."""
        steps = {round(step * words / self.points) for step in range(self.points + 1)}
        return sorted(steps | set(self.of_fractions(words)) | {0, words})

    def of_fractions(self, words: int) -> list[int]:
        """The number of words for each fraction: rounded up, so that it is at least one."""
        # Less a rounding error, without which 10 % of 30 words would be 4.
        return [max(1, math.ceil(share * words - 1e-9)) for share in self.fractions]

    @property
    def most_texts(self) -> int:
        """Most texts that one order of one text asks about."""
        return 2 * (self.points + 1 + len(self.fractions))


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """A text whose words, w of them and at least one, are taken out in an order.

    Attributes:
        text: The whole text.
        label: The class whose probability is followed.
        words: Where they stand.
        order: Positions of the words, the first one to go first; shape (w,).
    """

    text: str
    label: int
    words: tuple[Span, ...]
    order: Order

    def less(self, count: int) -> str:
        """The text without the first `count` words of the order."""
        return without(self.text, (self.words[place] for place in self.order[:count].tolist()))

    def only(self, count: int) -> str:
        """The text with no words but the first `count` of the order."""
        return without(self.text, (self.words[place] for place in self.order[count:].tolist()))


@dataclass(frozen=True, slots=True, eq=False)
class Removed:
    """What became of the scores of n texts.

    Attributes:
        scores: Shape (n, 4), in the order of `METRICS`. Comprehensiveness and sufficiency lie in
            -1..1: the score less that without the first words, or with these alone, the mean over
            the fractions (AOPC; Samek et al. 2017, DeYoung et al. 2020). The areas under the
            curves lie in 0..1 (Petsiuk et al. 2018).
        deletion: Mean score after each share of the words is gone, shape (n, points + 1).
        insertion: As much with each share of the words put back, the first of the order first.
    """

    scores: Floats
    deletion: Floats
    insertion: Floats


def order_of(weights: Floats, rng: np.random.Generator) -> Order:
    """Positions by decreasing weight. Equal ones are shuffled: to say nothing is to guess."""
    return np.lexsort((rng.permutation(len(weights)), -weights)).astype(np.int64)


def removal_scores(predictor: Predictor, texts: Sequence[Ordered], grid: Grid) -> Removed:
    """Ask about all texts with words taken out, many together, and follow the scores.

    Args:
        predictor: Gives probabilities.
        texts: n of them.
        grid: How many words.
    """
    block = max(1, CHUNK // grid.most_texts)
    rows = [
        row
        for start in range(0, len(texts), block)
        for row in _followed(predictor, texts[start : start + block], grid)
    ]
    shares = grid.points + 1
    return Removed(
        scores=np.array([row[0] for row in rows], dtype=np.float64).reshape(-1, len(METRICS)),
        deletion=np.array([row[1] for row in rows], dtype=np.float64).reshape(-1, shares),
        insertion=np.array([row[2] for row in rows], dtype=np.float64).reshape(-1, shares),
    )


def _followed(
    predictor: Predictor, texts: Sequence[Ordered], grid: Grid
) -> Iterator[tuple[Floats, Floats, Floats]]:
    counts = [grid.counts(len(text.words)) for text in texts]
    asked: list[str] = []
    for text, numbers in zip(texts, counts, strict=True):
        asked.extend(text.less(number) for number in numbers)
        asked.extend(text.only(number) for number in numbers)
    answers = predictor.predict(asked).probabilities
    assert answers is not None, "the check needs Capability.PROBABILITIES"
    end = 0
    for text, numbers in zip(texts, counts, strict=True):
        start, middle, end = end, end + len(numbers), end + 2 * len(numbers)
        less = answers[start:middle, text.label].astype(np.float64)
        only = answers[middle:end, text.label].astype(np.float64)
        yield _row(len(text.words), np.array(numbers), less, only, grid)


def _row(
    words: int, counts: NDArray[np.int64], less: Floats, only: Floats, grid: Grid
) -> tuple[Floats, Floats, Floats]:
    at = np.searchsorted(counts, grid.of_fractions(words))
    shares = counts / words
    scores = np.array(
        [
            less[0] - less[at].mean(),
            less[0] - only[at].mean(),
            np.trapezoid(less, shares),
            np.trapezoid(only, shares),
        ]
    )
    steps = np.linspace(0.0, 1.0, grid.points + 1)
    return scores, np.interp(steps, shares, less), np.interp(steps, shares, only)
