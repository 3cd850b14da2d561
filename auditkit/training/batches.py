"""Rows into batches: alike in length, padded to the longest, in an order that the seed fixes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.remedy import TrainingRows

TOKENS_AT_ONCE = 8_192
"""Padded tokens in memory at once, where nothing else is asked for."""
WINDOW = 50
"""Batches' worth of rows within which rows are sorted by length."""

Item = dict[str, Any]


def items(tokens: Sequence[list[int]], rows: TrainingRows) -> list[Item]:
    """One item per row: its tokens, label, weight, position and columns."""
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    return [
        {
            "input_ids": tokens[i],
            "labels": int(rows.labels[i]),
            "weights": float(weights[i]),
            "rows": i,
            **{name: values[i].item() for name, values in rows.columns.items()},
        }
        for i in range(len(rows))
    ]


@dataclass(frozen=True, slots=True)
class Collator:
    """Makes a batch of tensors from items, padded at the end to the longest of them.

    Attributes:
        pad: The padding token.
        types: Whether the model wants token types, which are all 0.
    """

    pad: int
    types: bool

    def __call__(self, batch: Sequence[Item]) -> dict[str, Any]:
        """Tensors by name; `input_ids` and `attention_mask` have shape (rows, tokens)."""
        import torch

        longest = max(len(item["input_ids"]) for item in batch)
        ids = np.full((len(batch), longest), self.pad, dtype=np.int64)
        mask = np.zeros((len(batch), longest), dtype=np.int64)
        for row, item in enumerate(batch):
            ids[row, : len(item["input_ids"])] = item["input_ids"]
            mask[row, : len(item["input_ids"])] = 1
        tensors = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        if self.types:
            tensors["token_type_ids"] = torch.zeros_like(tensors["input_ids"])
        for name in batch[0].keys() - {"input_ids"}:
            values = np.array([item[name] for item in batch])
            kept = values.astype(np.float32) if values.dtype.kind == "f" else values
            tensors[name] = torch.from_numpy(kept)
        return tensors


def rows_at_once(batch: int, wanted: int, longest: int) -> int:
    """Rows in memory at once: a divisor of `batch`, at most `wanted`, or by their tokens."""
    most = wanted or max(1, TOKENS_AT_ONCE // max(longest, 1))
    return max(size for size in range(1, batch + 1) if batch % size == 0 and size <= max(most, 1))


def epoch_order(lengths: NDArray[Any], batch: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Every row once, in an order in which consecutive rows of a batch are alike in length.

    Rows are shuffled, sorted by length within windows of 50 batches, cut into batches, and the
    batches are shuffled; what fills no batch comes last. The batch with the longest row leads, so
    that what does not fit in memory fails at once.

    Args:
        lengths: Tokens of each row, shape (n,).
        batch: Rows per batch.
        seed: Seed of the training.
        epoch: Number of the epoch; each has its own order.
    """
    rng = np.random.default_rng([seed, epoch])
    shuffled = rng.permutation(len(lengths))
    full: list[NDArray[np.int64]] = []
    rest: list[NDArray[np.int64]] = []
    for start in range(0, len(shuffled), WINDOW * batch):
        window = shuffled[start : start + WINDOW * batch]
        window = window[np.argsort(-lengths[window], kind="stable")]
        cuts = [window[at : at + batch] for at in range(0, len(window), batch)]
        full += [cut for cut in cuts if len(cut) == batch]
        rest += [cut for cut in cuts if len(cut) < batch]
    ordered = [full[i] for i in rng.permutation(len(full))]
    if ordered:
        longest = max(range(len(ordered)), key=lambda i: int(lengths[ordered[i]].max()))
        ordered.insert(0, ordered.pop(longest))
    return np.concatenate([*ordered, *rest]).astype(np.int64)


class EpochSampler:
    """Yields the positions of an epoch; which one follows from the steps that are done.

    So a training that goes on from a checkpoint sees the rows it would have seen.

    Args:
        lengths: Tokens of each row, shape (n,).
        batch: Rows per step.
        seed: Seed of the training.
        done: Tells the steps that are done.
    """

    def __init__(
        self, lengths: NDArray[Any], batch: int, seed: int, done: Callable[[], int]
    ) -> None:
        self._lengths, self._batch, self._seed, self._done = lengths, batch, seed, done

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        epoch = self._done() // steps_per_epoch(len(self), self._batch)
        yield from epoch_order(self._lengths, self._batch, self._seed, epoch).tolist()


def steps_per_epoch(rows: int, batch: int) -> int:
    """Steps of one epoch, the last of which may have fewer rows."""
    return -(-rows // batch)
