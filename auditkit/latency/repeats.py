"""Whether a model answers faster what it has been asked before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.latency.bench import Bench

PAIRS = 60
"""Pairs of a repeated and a new text."""
_FEWEST_WORDS = 6
"""Words of a text from which on enough new texts can be made of it: 720 orders."""


def repeated_and_new(
    bench: Bench, inputs: Sequence[Any], rng: np.random.Generator
) -> NDArray[np.int64] | None:
    """Nanoseconds of one text asked over and over, and of texts that were never asked before.

    As MLPerf's compliance test TEST04, which repeats one sample; but the others here are the same
    words in other orders, so they are as long. Both are asked in turn, in pairs.

    Returns:
        Shape (pairs, 2): the repeated text, the new one. None when the inputs are no texts of
        enough words.
    """
    text = _typical([one for one in inputs if isinstance(one, str)])
    if text is None:
        return None
    new = _reordered(text, {one for one in inputs if isinstance(one, str)}, rng)
    if len(new) < PAIRS:
        return None
    asker, clock = bench.asker([text, *new[:PAIRS]]), bench.clock
    took = np.zeros((PAIRS, 2), dtype=np.int64)
    asker.ask([0], [clock.now()])
    for pair in range(PAIRS):
        # In turn which of the two is first: what comes second finds warmer processor caches.
        for column in (0, 1) if pair % 2 else (1, 0):
            due = clock.now()
            took[pair, column] = asker.ask([column * (pair + 1)], [due]) - due
    return took


def _typical(texts: Sequence[str]) -> str | None:
    """A text of median length among those with enough different words."""
    enough = [text for text in texts if len(set(text.split())) >= _FEWEST_WORDS]
    if not enough:
        return None
    return sorted(enough, key=lambda text: (len(text.split()), text))[len(enough) // 2]


def _reordered(text: str, known: set[str], rng: np.random.Generator) -> list[str]:
    words, made = np.array(text.split(), dtype=object), dict[str, None]()
    for _ in range(4 * PAIRS):
        one = " ".join(words[rng.permutation(len(words))])
        if one not in known:
            made[one] = None
    return list(made)
