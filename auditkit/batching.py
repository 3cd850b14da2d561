"""In which batches a model is asked."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import ModelError
from auditkit.model import TOKENIZED_INPUTS, TokenModel

BATCH_ROWS = 256
"""Inputs of one batch for a model that has no tokens to count."""

BATCH_COST = 1 / 32
"""What a batch costs besides its tokens, as a share of its budget: about 30 tokens on a CPU core;
where it costs more, larger budgets are used too."""

Split = Callable[[NDArray[np.int64]], Iterator[NDArray[np.int64]]]


def tokenized(model: TokenModel, inputs: Sequence[Any]) -> list[array[int]]:
    """Tokens of each input, a part of the inputs at a time: what a tokenizer returns is large.

    Four bytes a token; a list would take nine times as much.

    Raises:
        ModelError: The model tokenised other than as many inputs.
    """
    tokens: list[array[int]] = []
    for start in range(0, len(inputs), TOKENIZED_INPUTS):
        part = inputs[start : start + TOKENIZED_INPUTS]
        lists = model.tokenize(part)
        if len(lists) != len(part):
            raise ModelError(f"{model.name} tokenised {len(part)} inputs into {len(lists)}.")
        tokens.extend(array("i", ids) for ids in lists)
    return tokens


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What a model is asked at once, by positions in a list of inputs.

    Attributes:
        asked: Positions whose inputs the model is given, shape (k,).
        answered: Positions that get an answer, shape (m,), m >= k.
        rows: Which of the k answers each of them gets, shape (m,).
    """

    asked: NDArray[np.int64]
    answered: NDArray[np.int64]
    rows: NDArray[np.int64]


def row_batches(missing: NDArray[np.bool_]) -> list[Batch]:
    """Batches of what is missing, for a model that has no tokens to count."""
    return [Batch(rows, rows, np.arange(len(rows))) for rows in missing_batches(missing, by_count)]


def token_batches(
    tokens: Sequence[array[int]], missing: NDArray[np.bool_], budget: int
) -> list[Batch]:
    """Batches of what is missing, by length; inputs with the same tokens are asked as one.

    The largest come first, so that several workers end at nearly the same time, and what needs too
    much memory fails early.
    """
    place_of: dict[bytes, int] = {}
    places = np.array(
        [place_of.setdefault(one.tobytes(), len(place_of)) for one in tokens], dtype=np.int64
    )
    first = np.unique(places, return_index=True)[1]
    distinct = [tokens[position] for position in first]
    lacking = np.zeros(len(first), dtype=np.bool_)
    lacking[places[missing]] = True
    positions = np.flatnonzero(missing)
    positions = positions[np.argsort(places[positions], kind="stable")]
    starts = np.searchsorted(places[positions], np.arange(len(first) + 1))
    batches = []
    for asked in missing_batches(lacking, lambda rows: by_length(distinct, rows, budget)):
        same = [positions[starts[place] : starts[place + 1]] for place in asked]
        rows = np.repeat(np.arange(len(asked)), [len(those) for those in same])
        batches.append(Batch(first[asked], np.concatenate(same), rows))
    # The longest input of a batch is its first.
    return sorted(batches, key=lambda batch: -len(tokens[batch.asked[0]]) * len(batch.asked))


def missing_batches(missing: NDArray[np.bool_], split: Split) -> list[NDArray[np.int64]]:
    """Batches of what is missing: those of all inputs that miss whole, the rest split anew."""
    batches = list(split(np.arange(len(missing))))
    if missing.all():
        return batches
    whole = [batch for batch in batches if missing[batch].all()]
    rest = missing.copy()
    for batch in whole:
        rest[batch] = False
    return [*whole, *split(np.flatnonzero(rest))]


def by_count(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Batches of these rows for a model that has no tokens to count."""
    for start in range(0, len(rows), BATCH_ROWS):
        yield rows[start : start + BATCH_ROWS]


def by_length(
    tokens: Sequence[Sequence[int]], rows: NDArray[np.int64], budget: int
) -> Iterator[NDArray[np.int64]]:
    """Batches of these rows by their number of tokens; see `batches_by_length`."""
    for batch in batches_by_length([tokens[row] for row in rows], budget):
        yield rows[batch]


def batches_by_length(tokens: Sequence[Sequence[int]], budget: int) -> Iterator[NDArray[np.int64]]:
    """Positions of each batch, longest inputs first, at most `budget` padded tokens in each.

    Equal lengths are ordered by content, so that the batches do not depend on the order of
    `tokens`.
    """
    order = sorted(range(len(tokens)), key=lambda i: (-len(tokens[i]), tokens[i]))
    ends = _cheapest_ends([len(tokens[position]) for position in order], budget)
    for start, end in pairwise((0, *ends)):
        yield np.array(order[start:end], dtype=np.int64)


def _cheapest_ends(lengths: Sequence[int], budget: int) -> list[int]:
    """Where to end batches of inputs, longest first.

    Of the ways to end each where the length changes or the budget is full, that which costs least:
    a shortest path. The cost is that of all tokens, padding included, and `BATCH_COST` for each
    batch. Ends within a length could save a little more, for many times the work.
    """
    last = len(lengths)
    changes = [*(i for i in range(1, last) if lengths[i] != lengths[i - 1]), last]
    costs, starts, reached = {0: 0.0}, {}, [0]
    while (start := heappop(reached)) < last:
        longest = max(lengths[start], 1)
        full = min(start + max(budget // longest, 1), last)
        within = changes[bisect_right(changes, start) : bisect_left(changes, full)]
        for end in (*within, full):
            if end not in costs:
                heappush(reached, end)
            cost = costs[start] + longest * (end - start) + budget * BATCH_COST
            if cost < costs.get(end, math.inf):
                costs[end], starts[end] = cost, start
    ends: list[int] = []
    while last > 0:
        ends.append(last)
        last = starts[last]
    return ends[::-1]
