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
NEGLIGIBLE = 0.05
"""Share of the heaviest word's weight below which a word counts as weighing nothing.

A heat map shows no colour there, and the order of such words is chance: where an answer rests on
two words of thirteen, LIME with 5,000 samples names both for every seed, and yet its rank
correlation between two seeds is 0.46. With this share it is 0.99.
"""


@dataclass(frozen=True, slots=True)
class Alike:
    """Two explanations of the same words.

    Attributes:
        rank: Spearman's correlation of the weights, -1..1, where words that weigh next to nothing
            share a rank; None for fewer than three words, or where one of the two weighs all words
            the same.
        top: Share of the most important words, whatever their sign, that both have in common, 0..1:
            the first five, or as many as weigh anything in one of the two. None where there are no
            more words than that, or none weighs anything.
        chance: What `top` is on average for two random orders; None where that is.
    """

    rank: float | None
    top: float | None
    chance: float | None


def alike(first: Floats, second: Floats) -> Alike:
    """Compare the weights of the same words, shape (w,) both."""
    one, other = _rounded(first), _rounded(second)
    rank = spearman(one, other) if len(one) >= FEWEST_WORDS else None
    weighty = [int((weights != 0.0).sum()) for weights in (one, other)]
    count = min(TOP, max(weighty))
    if not 0 < count < len(one):
        return Alike(rank, None, None)
    top = top_overlap(np.abs(one), np.abs(other), count)
    return Alike(rank, top, count / len(one))


def says_nothing(weights: Floats) -> bool:
    """Whether all words weigh the same."""
    return not len(weights) or bool((weights == weights[0]).all())


def _rounded(weights: Floats) -> Floats:
    """The weights with 0 for those that are next to nothing."""
    sizes = np.abs(weights)
    kept: Floats = np.where(sizes < NEGLIGIBLE * sizes.max(initial=0.0), 0.0, weights)
    return kept
