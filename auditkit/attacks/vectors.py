"""Word vectors for TextAttack, read without unpickling anything."""

from __future__ import annotations

import pickletools
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import ConfigError

MAX_WORDS = 5_000_000

_TEXTS = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE"} | {
    "STRING", "BINSTRING", "SHORT_BINSTRING",
}  # fmt: skip
_NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_FRAMING = {"PROTO", "FRAME", "EMPTY_DICT", "DICT", "MARK", "SETITEM", "SETITEMS", "STOP"}


@lru_cache(maxsize=2)
def counter_fitted(folder: Path) -> Any:
    """TextAttack's counter-fitted vectors as a `textattack.shared.WordEmbedding`.

    Raises:
        ConfigError: A file is missing, or the word list is not plain words and numbers.
    """
    from textattack.shared import WordEmbedding

    try:
        matrix = np.load(folder / "paragram.npy", allow_pickle=False)
        nearest = np.load(folder / "nn.npy", allow_pickle=False)
        words = word_list(folder / "wordlist.pickle")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}: not TextAttack's counter-fitted vectors: {error}.") from None
    return WordEmbedding(matrix, words, {i: word for word, i in words.items()}, nearest)


def word_list(path: Path) -> dict[str, int]:
    """A pickled dict of words and numbers, read by looking at its opcodes; none is executed.

    Raises:
        ConfigError: It holds anything else.
    """
    found: list[Any] = []
    memo: dict[Any, Any] = {}
    with path.open("rb") as stream:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name in _TEXTS | _NUMBERS:
                found.append(argument)
            elif opcode.name in _PUTS:
                memo[argument] = found[-1] if found else None
            elif opcode.name == "MEMOIZE":
                memo[len(memo)] = found[-1] if found else None
            elif opcode.name in _GETS:
                found.append(memo.get(argument))
            elif opcode.name not in _FRAMING:
                raise ConfigError(
                    f"{path}: holds more than words and numbers ({opcode.name}); it is not read.",
                    "Take the file from TextAttack's own archive.",
                )
    pairs = list(zip(found[::2], found[1::2], strict=False))
    if len(found) % 2 or not all(type(a) is str and type(b) is int for a, b in pairs):
        raise ConfigError(f"{path}: is not a list of words and their numbers.")
    return dict(pairs)


@lru_cache(maxsize=2)
def own_vectors(path: Path) -> Any:
    """Vectors of a text file ("word 0.1 -0.2 …" a line) as TextAttack's word embedding.

    A first line with two numbers (word2vec's header) is skipped. Nearest words are those of the
    largest cosine.

    Raises:
        ConfigError: A line has another number of values than the first, or none is there.
    """
    words, matrix = _read_vectors(path)
    index = {word: i for i, word in enumerate(words)}
    return _embedding_class()(matrix, index, dict(enumerate(words)))


def _read_vectors(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    words: list[str] = []
    rows: list[NDArray[np.float32]] = []
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            word, _, values = line.rstrip().partition(" ")
            if number == 1 and len(values.split()) == 1:
                continue
            try:
                row = np.array(values.split(), dtype=np.float32)
            except ValueError:
                raise ConfigError(f"{path}: line {number} is not a word and numbers.") from None
            if not row.size or not np.isfinite(row).all() or (rows and row.size != rows[0].size):
                raise ConfigError(f"{path}: line {number} has {row.size} usable numbers.")
            words.append(word)
            rows.append(row)
            if number > MAX_WORDS:
                raise ConfigError(f"{path}: more than {MAX_WORDS:,} words.")
    if not rows:
        raise ConfigError(f"{path}: holds no vectors.")
    return words, np.stack(rows)


def _embedding_class() -> Any:
    from textattack.shared import WordEmbedding

    class OwnVectors(WordEmbedding):  # type: ignore[misc]
        """TextAttack's embedding; it cannot find neighbours itself without a table of them."""

        def nearest_neighbours(self, index: int, topn: int) -> list[int]:
            """Numbers of the words with the largest cosine, nearest first, without the word."""
            if index not in self._nn_cache:
                norms = np.linalg.norm(self.embedding_matrix, axis=1)
                cosines = self.embedding_matrix @ self.embedding_matrix[index]
                cosines = cosines / np.maximum(norms * norms[index], 1e-12)
                cosines[index] = -np.inf
                order = np.argsort(-cosines, kind="stable")[: max(topn, 64)]
                self._nn_cache[index] = order.tolist()
            nearest: list[int] = self._nn_cache[index][:topn]
            return nearest

    return OwnVectors
