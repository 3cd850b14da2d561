"""What an explanation of one answer is: parts of a text, and a weight for each."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Span: TypeAlias = "tuple[int, int]"
"""Characters of a text from the first to before the second number."""
Samples: TypeAlias = int | Literal["auto"]

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """How much each part of a text speaks for one class, by one method.

    Attributes:
        method: Name of the method.
        text: What was explained, whole.
        label: Index of the class whose score is explained.
        features: Where each part stands in the text, f of them; a part that a method takes for one
            (a word that occurs twice) has several spans. Empty where nothing can be explained.
        weights: Shape (f,): positive speaks for the class, negative against it.
        total: What the weights sum to if they are complete: the score less the baseline's. None for
            a method that does not promise it.
        margins: Shape (f,): half the width of each weight's 95 % interval; None for a method whose
            weights are no estimates.
        asked: Texts that the model was asked about, or passes through it forwards and back.
        note: What the reader must know: that the text was cut, or why nothing is explained.
    """

    method: str
    text: str
    label: int
    features: tuple[tuple[Span, ...], ...]
    weights: NDArray[np.float64]
    total: float | None = None
    margins: NDArray[np.float64] | None = None
    asked: int = 0
    note: str = ""

    def of_words(self, spans: Sequence[Span]) -> NDArray[np.float64]:
        """The weight of each of these spans, shape (len(spans),).

        A part's weight is shared equally by its occurrences, and within one by its characters; what
        lies outside all spans (white space) is dropped with its weight. The spans ascend and do not
        overlap, as those of `words_of`.
        """
        shares = np.zeros(len(spans))
        ends = [end for _, end in spans]
        for places, weight in zip(self.features, self.weights.tolist(), strict=True):
            inked = [_inked(self.text, place) for place in places]
            for start, end in inked:
                for index in range(bisect_right(ends, start), len(spans)):
                    left, right = spans[index]
                    if left >= end:
                        break
                    common = min(end, right) - max(start, left)
                    shares[index] += weight / len(inked) * common / (end - start)
        return shares


@dataclass(frozen=True, slots=True)
class Effort:
    """What an explanation may cost, and what it depends on besides the model.

    Attributes:
        samples: Texts that LIME and kernel SHAP ask about. "auto" ends LIME when its most important
            words no longer change with 95 % confidence, at most 5,000; kernel SHAP then takes its
            library's default.
        evaluations: Most texts that partition SHAP asks about.
        steps: Points on the way from the baseline, for integrated gradients.
        top: How many of the most important words "auto" waits for.
        seed: Of all random numbers.
    """

    samples: Samples = "auto"
    evaluations: int = 500
    steps: int = 50
    top: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples != "auto" and not 10 <= self.samples <= 1_000_000:
            raise ValueError(f'samples must be "auto" or 10 to 1,000,000, not {self.samples}')
        for name in ("evaluations", "steps", "top"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")


def words_of(text: str) -> tuple[Span, ...]:
    """The words of a text and its other signs, one by one; an emoji is a sign, white space none.

    A language that writes without blanks is one word up to the next sign.
    """
    return tuple(match.span() for match in _WORD.finditer(text))


def without(text: str, spans: Iterable[Span]) -> str:
    """The text less these spans, which may stand in any order and must not overlap."""
    kept, end = [], 0
    for start, stop in sorted(spans):
        kept.append(text[end:start])
        end = stop
    return "".join([*kept, text[end:]])


def ranked(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions from the largest weight to the smallest; equal ones in the order they stand in."""
    return np.argsort(-weights, kind="stable").astype(np.int64)


def _inked(text: str, span: Span) -> Span:
    """The span less the blanks at its ends, unless it is nothing else."""
    start, end = span
    while start < end - 1 and text[start].isspace():
        start += 1
    while end > start + 1 and text[end - 1].isspace():
        end -= 1
    return start, end
