"""Which answer the inputs with one sequence of tokens have: to the model they are one input."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Tokens: TypeAlias = "list[array[int]]"
Tokenize: TypeAlias = "Callable[[list[Any]], Tokens]"


class TokenAnswers:
    """Rows of the answers by tokens.

    "Good" and "good" have the same tokens where case is ignored. Asked in two batches they would
    be answered alike but for rounding, and a search that compares them would take one for better.

    Inputs that were answered without a tokenizer are looked at only when it is needed: an audit
    that is answered by the store loads no model.
    """

    def __init__(self) -> None:
        self._rows: dict[bytes, int] = {}
        self._unread: list[tuple[Any, int]] = []

    def add(self, tokens: Sequence[array[int]], start: int) -> None:
        """Inputs with these tokens have the rows from `start` on."""
        for row, one in enumerate(tokens, start):
            self._rows.setdefault(_key(one), row)

    def add_unread(self, inputs: Sequence[Any], start: int) -> None:
        """As `add`, of inputs whose tokens are not known yet."""
        self._unread.extend((one, row) for row, one in enumerate(inputs, start))

    def forget(self, start: int) -> None:
        """Drop what has a row from this one on."""
        self._unread = [(one, row) for one, row in self._unread if row < start]
        self._rows = {key: row for key, row in self._rows.items() if row < start}

    def find(self, tokens: Sequence[array[int]], tokenize: Tokenize) -> NDArray[np.int64]:
        """The row of each token sequence, shape (n,); -1 where there is none."""
        unread, self._unread = self._unread, []
        if unread:
            for one, (_, row) in zip(tokenize([x for x, _ in unread]), unread, strict=True):
                self._rows.setdefault(_key(one), row)
        return np.array([self._rows.get(_key(one), -1) for one in tokens], dtype=np.int64)


def _key(tokens: array[int]) -> bytes:
    return hashlib.blake2b(tokens.tobytes(), digest_size=16).digest()
