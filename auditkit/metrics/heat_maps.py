"""Attributions as the scores of words that a report draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auditkit.attribution import Attribution, Span, words_of
from auditkit.finding import Scores


@dataclass(frozen=True, slots=True)
class Shown:
    """What a report shows of the examples.

    Attributes:
        said: What the model says of each.
        labels: Name of the class that is explained, for each.
        most: Texts shown at most.
    """

    said: tuple[str, ...]
    labels: tuple[str, ...]
    most: int


def heat_map(attribution: Attribution, of: str) -> Scores:
    """The weight of each word of the text; `of` names the class that is explained."""
    words = words_of(attribution.text)
    weights = attribution.of_words(words)
    return Scores(attribution.method, of, words, tuple(weights.tolist()), attribution.note)


def marked_by_people(spans: Sequence[Span], of: str) -> Scores:
    """What people marked as the reason for the class `of`."""
    return Scores("people", of, tuple(spans), (1.0,) * len(spans))
