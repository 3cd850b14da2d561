"""Near-duplicates: reported pairs are exact, planted ones are found, brute force finds no more."""

from __future__ import annotations

from itertools import combinations
from random import Random

import numpy as np
import pytest

from auditkit.metrics.near_duplicates import Likeness, find_duplicates, words_of

WORDS = [f"{a}{b}" for a in "bcdfghklmnprstvz" for b in ("ar", "el", "in", "os", "ut", "ash", "on")]


def sentence(rng: Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def edited(rng: Random, text: str) -> str:
    words = text.split()
    words[rng.randrange(len(words))] = "edited"
    return " ".join(words)


def jaccard(one: str, other: str, size: int) -> float:
    def shingles(text: str) -> set[tuple[str, ...]]:
        words = words_of(text)
        return {words[i : i + size] for i in range(max(len(words) - size + 1, 1))}

    first, second = shingles(one), shingles(other)
    return len(first & second) / len(first | second)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pairs_and_similarities_are_those_of_brute_force(size):
    rng = Random(1)
    texts = [sentence(rng, rng.randint(1, 14)) for _ in range(150)]
    texts += [edited(rng, text) for text in texts[:100]] + ["", "!!!", "???", "one"]
    found = find_duplicates(texts, Likeness(size, 0.6))
    of = {}
    for row, number in enumerate(found.distinct.tolist()):
        of.setdefault(number, texts[row])
    reported = {
        (int(a), int(b)): s
        for a, b, s in zip(found.first, found.second, found.similarity, strict=True)
    }
    for pair, similarity in reported.items():
        assert similarity == pytest.approx(jaccard(of[pair[0]], of[pair[1]], size), abs=1e-12)
    expected = {p for p in combinations(sorted(of), 2) if jaccard(of[p[0]], of[p[1]], size) >= 0.6}
    assert len(expected) > 20
    assert set(reported) <= expected
    assert len(reported) >= 0.97 * len(expected)


def test_thirty_sentences_repeated_to_three_thousand_rows_are_found():
    rng = Random(2)
    distinct = [sentence(rng, 15) for _ in range(30)]
    texts = [distinct[i % 30] for i in range(3_000)]
    found = find_duplicates(texts, Likeness())
    rows = np.arange(3_000)
    assert int(found.repeated(rows).sum()) == 2_970
    assert not found.repeated(rows)[:30].any()


def test_five_percent_planted_near_duplicates_are_found_and_nothing_else():
    rng = Random(3)
    train = [sentence(rng, rng.randint(15, 30)) for _ in range(2_000)]
    test = [sentence(rng, rng.randint(15, 30)) for _ in range(1_000)]
    planted = sorted(rng.sample(range(1_000), 50))
    for row in planted:
        test[row] = edited(rng, train[row])
    wanted = np.arange(3_000) >= 2_000
    found = find_duplicates([*train, *test], Likeness(), wanted)
    similarity, partner = found.nearest(np.arange(2_000, 3_000), np.arange(2_000))
    caught = np.flatnonzero(similarity >= 0.7)
    assert set(caught) <= set(planted)
    assert len(caught) >= 49  # an edit of a word in the middle leaves 13 of 17 at the least
    assert (partner[caught] == caught).all()
    assert (partner[similarity == 0] == -1).all()


def test_case_punctuation_and_spaces_make_no_difference():
    found = find_duplicates(["A good film!", "a  good film", "another one entirely"], Likeness())
    assert found.distinct.tolist() == [0, 0, 1]
    similarity, partner = found.nearest(np.array([1, 2]), np.array([0]))
    assert similarity.tolist() == [1.0, 0.0]
    assert partner.tolist() == [0, -1]


def test_the_most_similar_row_is_named_the_first_of_copies():
    base = " ".join(WORDS[:30])
    near, nearer = base.replace("bar", "x").replace("bel", "x"), base.replace("bar", "x")
    found = find_duplicates([near, nearer, nearer, base], Likeness())
    similarity, partner = found.nearest(np.array([3]), np.array([0, 1, 2]))
    assert partner.tolist() == [1]
    assert similarity[0] == pytest.approx(28 / 30)


def test_pairs_of_unwanted_texts_are_not_looked_for():
    rng = Random(4)
    base = sentence(rng, 25)
    texts = [base, edited(rng, base), sentence(rng, 25)]
    assert len(find_duplicates(texts, Likeness()).first) == 1
    assert not len(find_duplicates(texts, Likeness(), np.array([False, False, True])).first)


def test_many_nearly_equal_texts_all_find_a_partner_although_a_bucket_is_capped():
    base = " ".join(WORDS)
    texts = [f"{base} {i}" for i in range(1_200)]
    wanted = np.arange(1_200) > 0
    found = find_duplicates(texts, Likeness(), wanted)
    assert int(found.repeated(np.arange(1_200)).sum()) == 1_199
    assert len(found.first) < 1_200 * 50
    # The one row that is known is met by all, too.
    similarity, partner = found.nearest(np.flatnonzero(wanted), np.array([0]))
    assert (partner == 0).all()
    assert similarity.min() > 0.95


def test_nothing_to_compare_is_no_crash():
    for texts in ([], ["one"], ["same", "same"]):
        found = find_duplicates(texts, Likeness())
        assert not len(found.first)
        assert found.repeated(np.arange(len(texts))).sum() == max(len(texts) - 1, 0)


def test_the_chance_to_find_a_pair_at_the_limit_is_kept_for_every_limit():
    for similarity in (0.3, 0.5, 0.7, 0.8, 0.9, 0.99):
        one = Likeness(similarity=similarity)
        assert one.found(one.rows) >= 0.995 or one.rows == 1
