"""Near-duplicates among 20,000 rows: MinHash against comparing every pair; recall and precision.

    python benchmarks/leakage.py [--rows 20000] [--part 2000]

Texts are drawn with word frequencies that fall as 1/rank, 10 to 40 words long; one row of twenty is
another row with a few words changed. Every pair of the first `part` rows is compared as sets; the
time for all pairs is scaled up from that. A sparse product of the shingle matrix with itself is
timed, too, as the fastest way to compare every pair exactly.
"""

from __future__ import annotations

import argparse
import random
import time
from itertools import accumulate

import numpy as np

from auditkit.metrics.near_duplicates import Likeness, _shingles, find_duplicates, words_of

VOCABULARY = 20_000


def texts(n: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    words = [f"w{i}" for i in range(VOCABULARY)]
    weights = list(accumulate(1 / (i + 1) for i in range(VOCABULARY)))
    found = [
        " ".join(rng.choices(words, cum_weights=weights, k=rng.randint(10, 40))) for _ in range(n)
    ]
    for row in range(19, n, 20):
        copied = found[rng.randrange(max(row - 300, 0), row)].split()
        for _ in range(rng.randint(1, 3)):
            copied[rng.randrange(len(copied))] = rng.choice(words)
        found[row] = " ".join(copied)
    return found


def pairs_by_sets(rows: list[str], likeness: Likeness) -> set[tuple[int, int]]:
    size = likeness.shingle
    sets = []
    for row in rows:
        words = words_of(row)
        sets.append({words[i : i + size] for i in range(max(len(words) - size + 1, 1))})
    found = set()
    for i, one in enumerate(sets):
        for j in range(i):
            other = sets[j]
            shared = len(one & other)
            if shared >= likeness.similarity * (len(one) + len(other) - shared):
                found.add((j, i))
    return found


def pairs_by_product(rows: list[str], likeness: Likeness) -> set[tuple[int, int]]:
    sets = _shingles([words_of(row) for row in rows], likeness.shingle)
    sizes = np.diff(sets.indptr)
    found = set()
    for start in range(0, len(rows), 1_000):
        shared = (sets[start : start + 1_000] @ sets.T).tocoo()
        one, other = shared.coords[0] + start, shared.coords[1]
        similarity = shared.data / (sizes[one] + sizes[other] - shared.data)
        near = (similarity >= likeness.similarity) & (other < one)
        found |= set(zip(other[near].tolist(), one[near].tolist(), strict=True))
    return found


def pairs_by_minhash(rows: list[str], likeness: Likeness) -> set[tuple[int, int]]:
    found = find_duplicates(rows, likeness)
    first = np.unique(found.distinct, return_index=True)[1]  # no text is repeated word for word
    low, high = first[found.first], first[found.second]
    return {(min(a, b), max(a, b)) for a, b in zip(low.tolist(), high.tolist(), strict=True)}


def timed(function, *arguments):
    began = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--part", type=int, default=2_000)
    settings = parser.parse_args()
    rows, likeness = list(dict.fromkeys(texts(settings.rows))), Likeness()
    part = rows[: settings.part]
    pairs_by_minhash(part, likeness)  # imports
    ours, seconds = timed(pairs_by_minhash, rows, likeness)
    exact, product_seconds = timed(pairs_by_product, rows, likeness)
    brute, brute_seconds = timed(pairs_by_sets, part, likeness)
    of_part = {pair for pair in exact if pair[1] < len(part)}
    assert of_part == brute, "the two ways to compare every pair disagree"
    all_pairs, part_pairs = (n * (n - 1) // 2 for n in (len(rows), len(part)))
    scaled = brute_seconds * all_pairs / part_pairs
    hit = ours & exact
    print(f"{len(rows):,} rows, {all_pairs:,} pairs, near-duplicates {len(exact):,}")
    print(f"MinHash, every candidate compared exactly   {seconds:8.2f} s")
    print(f"sets, every pair ({part_pairs:,} pairs, scaled up) {scaled:8.0f} s"
          f"   {scaled / seconds:,.0f} times as long")  # fmt: skip
    print(f"sparse product, every pair                  {product_seconds:8.2f} s"
          f"   {product_seconds / seconds:.1f} times as long")  # fmt: skip
    print(f"recall {len(hit)}/{len(exact)} = {len(hit) / len(exact):.4f}, "
          f"precision {len(hit)}/{len(ours)} = {len(hit) / len(ours):.4f}")  # fmt: skip


if __name__ == "__main__":
    main()
