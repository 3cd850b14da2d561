"""How alike two explanations of one text are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from auditkit.stats.intervals import Floats
from auditkit.stats.ranks import spearman, top_overlap

TOP = 5
"""Most important words that two explanations are compared by."""
FEWEST_WORDS = 3
"""Of two words the rank correlation is 1 or -1, whatever they weigh."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Two explanations of the same words.

    Attributes:
        rank: Spearman's correlation of the weights, -1..1; None for fewer than three words, or
            where one of the two weighs all words the same.
        top: Share of the five words of the largest weight, whatever its sign, that both have in
            common, 0..1; None where there are no more than five words.
    """

    rank: float | None
    top: float | None


def alike(first: Floats, second: Floats) -> Alike:
    """Compare the weights of the same words, shape (w,) both."""
    enough = len(first) >= FEWEST_WORDS
    more = len(first) > TOP
    return Alike(
        spearman(first, second) if enough else None,
        top_overlap(np.abs(first), np.abs(second), TOP) if more else None,
    )


def says_nothing(weights: Floats) -> bool:
    """Whether all words weigh the same."""
    return not len(weights) or bool((weights == weights[0]).all())
