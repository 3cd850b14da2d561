"""Texts that are copies of one another, or nearly so: MinHash finds pairs, their Jaccard decides.

The similarity of two texts is the Jaccard index of their sets of word shingles (Broder 1997). Pairs
that may be similar are found by locality-sensitive hashing of MinHash signatures; each is then
compared exactly, so that every pair reported is as similar as it says, and only some pairs just
above the limit can be missed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

HASHES = 128
"""MinHash values of a text."""
RECALL = 0.995
"""Chance that a pair exactly at the limit is found; of more similar ones more."""
_NEIGHBOURS, _HEADS = 32, 8
"""Texts of a bucket each text is compared with at most: those that follow it, and the first ones.
Buckets are ordered at random, but for texts that are not wanted coming first: in a bucket of very
many texts with common boilerplate each still meets some of both kinds."""
_PAIRS = 1 << 17
"""Pairs compared at once."""
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Likeness:
    """When two texts count as near-duplicates.

    Attributes:
        shingle: Words of a shingle.
        similarity: Least share of their shingles that two texts have in common (Jaccard).
        seed: Of the hash functions.
    """

    shingle: int = 2
    similarity: float = 0.7
    seed: int = 0

    @property
    def rows(self) -> int:
        """Hashes of a band: as many as leave `RECALL` to a pair at the limit."""
        fitting = [r for r in range(1, HASHES + 1) if self.found(r) >= RECALL]
        return max(fitting, default=1)

    def found(self, rows: int) -> float:
        """Chance that a pair at the limit agrees in a band of so many hashes."""
        return float(1.0 - (1.0 - self.similarity**rows) ** (HASHES // rows))


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Which of n texts are alike.

    Attributes:
        distinct: Number of each row's text, shape (n,); texts of the same words share it.
        first: Distinct text of each near-duplicate pair, shape (pairs,).
        second: The other one.
        similarity: Jaccard index of each pair.
    """

    distinct: Ints
    first: Ints
    second: Ints
    similarity: Floats

    @cached_property
    def _both_ways(self) -> tuple[Ints, Ints, Floats]:
        return (
            np.concatenate([self.first, self.second]),
            np.concatenate([self.second, self.first]),
            np.concatenate([self.similarity, self.similarity]),
        )

    def nearest(self, rows: Ints, known: Ints) -> tuple[Floats, Ints]:
        """For each of `rows` the most similar of the rows `known`, and how similar it is.

        Returns:
            Similarity (rows,), 0 where none is a near-duplicate, and row number (rows,), there -1.
        """
        count = int(self.distinct.max(initial=-1)) + 1
        holder = np.full(count, -1, dtype=np.int64)
        holder[self.distinct[known][::-1]] = known[::-1]  # the first row of each text
        best = np.where(holder >= 0, 1.0, 0.0)
        partner = holder.copy()
        one, other, similarity = self._both_ways
        use = (holder[other] >= 0) & (holder[one] < 0)
        order = np.argsort(similarity[use], kind="stable")  # the most similar is written last
        best[one[use][order]] = similarity[use][order]
        partner[one[use][order]] = holder[other[use][order]]
        return best[self.distinct[rows]], partner[self.distinct[rows]]

    def repeated(self, rows: Ints) -> NDArray[np.bool_]:
        """Which of `rows` (m,) have a copy or near-duplicate earlier among them."""
        count = int(self.distinct.max(initial=-1)) + 1
        own = self.distinct[rows]
        earliest = np.full(count, len(rows), dtype=np.int64)
        np.minimum.at(earliest, own, np.arange(len(rows)))
        alike = earliest.copy()
        one, other, _ = self._both_ways
        np.minimum.at(alike, one, earliest[other])
        return np.asarray(alike[own] < np.arange(len(rows)))


def find_duplicates(
    texts: Sequence[str], likeness: Likeness, wanted: NDArray[np.bool_] | None = None
) -> Duplicates:
    """Find copies and near-duplicates.

    Args:
        texts: The texts, n of them. Case and punctuation do not count.
        likeness: What counts as near.
        wanted: Shape (n,): pairs without one of these are of no interest, and not looked for.
    """
    numbers: dict[tuple[str, ...], int] = {}
    distinct = np.array([numbers.setdefault(words_of(t), len(numbers)) for t in texts], dtype=int)
    use = np.zeros(len(numbers), dtype=np.bool_)
    use[distinct[np.ones(len(texts), np.bool_) if wanted is None else wanted]] = True
    pairs = np.zeros((0, 2), dtype=np.int64)
    similarity = np.zeros(0)
    if len(numbers) > 1:
        sets = _shingles(list(numbers), likeness.shingle)
        pairs = _candidates(_signatures(sets, likeness.seed), likeness, use)
        similarity = _jaccard(sets, pairs)
        near = similarity >= likeness.similarity
        pairs, similarity = pairs[near], similarity[near]
    return Duplicates(distinct.astype(np.int64), pairs[:, 0], pairs[:, 1], similarity)


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in small letters; a text without any is one word."""
    return tuple(_WORDS.findall(text.lower())) or (text.strip(),)


def _shingles(texts: Sequence[tuple[str, ...]], size: int) -> Any:
    """Which text has which shingle: a sparse matrix of ones (texts, shingles).

    A text with fewer words than a shingle is one shingle.
    """
    from scipy.sparse import csr_array

    vocabulary: dict[str, int] = {}
    padded = [len(words) + max(size - len(words), 0) for words in texts]
    flat = np.zeros(sum(padded), dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(padded)])
    for start, words in zip(starts.tolist(), texts, strict=False):
        codes = [vocabulary.setdefault(word, len(vocabulary) + 1) for word in words]
        flat[start : start + len(words)] = codes
    row = np.repeat(np.arange(len(texts)), padded)
    shingle = np.unique(flat, return_inverse=True)[1].astype(np.int64)
    for step in range(1, size):
        # Pairs of what was numbered so far and the next word, numbered again: no hash, no clash.
        joined = shingle[: len(flat) - step] * (len(vocabulary) + 1) + flat[step:]
        shingle = np.unique(joined, return_inverse=True)[1].astype(np.int64)
    last = len(shingle)
    whole = row[:last] == row[len(flat) - last :]
    places = np.unique(np.stack([row[:last][whole], shingle[whole]], axis=1), axis=0)
    shape = (len(texts), int(shingle.max(initial=0)) + 1)
    ones = np.ones(len(places), dtype=np.int32)
    return csr_array((ones, (places[:, 0], places[:, 1])), shape=shape)


def _signatures(sets: Any, seed: int) -> NDArray[np.uint32]:
    """MinHash values (texts, HASHES): the least of each hash function over a text's shingles."""
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, 2**63, HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    shifts = rng.integers(0, 2**63, HASHES, dtype=np.uint64)
    spread = _mixed(sets.indices.astype(np.uint64))
    found = np.empty((HASHES, sets.shape[0]), dtype=np.uint32)
    for number, (factor, shift) in enumerate(zip(factors, shifts, strict=True)):
        values = ((spread * factor + shift) >> np.uint64(32)).astype(np.uint32)
        found[number] = np.minimum.reduceat(values, sets.indptr[:-1])
    return found.T.copy()


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 bits that look random for each number (splitmix64, Steele et al. 2014)."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _candidates(
    signatures: NDArray[np.uint32], likeness: Likeness, wanted: NDArray[np.bool_]
) -> Ints:
    """Pairs (pairs, 2), lower number first, that agree in all hashes of a band."""
    n, rows = len(signatures), likeness.rows
    drawn = np.random.default_rng([likeness.seed, 1]).permutation(n)
    drawn = drawn[np.argsort(wanted[drawn], kind="stable")]
    found = np.zeros(0, dtype=np.int64)
    for band in range(HASHES // rows):
        part = signatures[:, band * rows : (band + 1) * rows].astype(np.uint64)
        key = np.zeros(n, dtype=np.uint64)
        for column in part.T:
            key = _mixed(key ^ column)
        order = drawn[np.argsort(key[drawn], kind="stable")]
        pairs = _in_buckets(key[order], order, wanted)
        low, high = np.minimum(*pairs.T), np.maximum(*pairs.T)
        found = np.unique(np.concatenate([found, low * n + high]))
    return np.stack(np.divmod(found, n), axis=1)


def _in_buckets(key: NDArray[np.uint64], rows: Ints, wanted: NDArray[np.bool_]) -> Ints:
    """Pairs of rows with one key, of which at least one is wanted; `key` is sorted."""
    pairs: list[tuple[Ints, Ints]] = []
    place = np.arange(len(key))
    for step in range(1, _NEIGHBOURS + 1):
        place = place[place + step < len(key)]
        place = place[key[place] == key[place + step]]
        pairs.append((place, place + step))
    starts = np.flatnonzero(np.diff(key, prepend=key[:1] + np.uint64(1)))
    first = np.repeat(starts, np.diff(starts, append=len(key)))
    for step in range(_HEADS):
        place = np.flatnonzero(first + step + _NEIGHBOURS < np.arange(len(key)))
        pairs.append((first[place] + step, place))
    one, other = (rows[np.concatenate(part)] for part in zip(*pairs, strict=True))
    use = wanted[one] | wanted[other]
    return np.stack([one[use], other[use]], axis=1)


def _jaccard(sets: Any, pairs: Ints) -> Floats:
    """Shared shingles over all shingles of each pair."""
    sizes = np.diff(sets.indptr)
    found = np.zeros(len(pairs))
    for start in range(0, len(pairs), _PAIRS):
        one, other = pairs[start : start + _PAIRS].T
        shared = np.asarray(sets[one].multiply(sets[other]).sum(axis=1)).ravel()
        found[start : start + _PAIRS] = shared / (sizes[one] + sizes[other] - shared)
    return found
