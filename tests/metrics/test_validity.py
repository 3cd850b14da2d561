"""Signs that a changed text means something else."""

from __future__ import annotations

import json

import pytest

from auditkit.metrics.validity import Change, Rules, change, changed_antonyms, changed_negations

RULES = Rules(
    negations=True,
    antonyms=True,
    least_similarity=0.7,
    most_changed_words=0.5,
    least_meaning=0.8,
    most_perplexity=0.0,
)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("It was good.", "It was not good.", ("+not",)),
        ("It was NOT good.", "It was good.", ("-not",)),
        ("I don't mind", "I do mind", ("-dont",)),
        ("I don't mind", "I don\N{RIGHT SINGLE QUOTATION MARK}t mind", ()),
        ("never again, not ever", "not ever, never again", ()),
        ("I like it and nobody cares", "I like it and noboddy cares", ("-nobody",)),
        ("a knot in nothingness", "a knot in somethingness", ()),
    ],
)
def test_negations_are_counted(before, after, changed):
    assert changed_negations(before, after) == changed


def test_a_word_replaced_by_its_contrary_is_found_whichever_way_the_dictionary_has_it():
    contraries = {"good": frozenset({"bad"})}

    def of(word: str) -> frozenset[str]:
        return contraries.get(word, frozenset())

    assert changed_antonyms("A good film", "a bad film", of) == ("good to bad",)
    assert changed_antonyms("a bad film", "a good film", of) == ("bad to good",)
    assert changed_antonyms("good and bad", "good and bad indeed", of) == ()


def test_edits_are_counted_in_characters_and_words():
    found = change("a fine film today", "a fime film")
    assert (found.characters, found.words) == (7, 2)
    assert found.changed_words == pytest.approx(0.5)
    assert found.antonyms is None


@pytest.mark.parametrize(
    ("seen", "rule"),
    [
        ({"negations": ("+not",)}, "negation"),
        ({"antonyms": ("good to bad",)}, "contrary"),
        ({"similarity": 0.69}, "characters"),
        ({"changed_words": 0.51}, "words"),
        ({"meaning": 0.79}, "embeddings"),
        ({"perplexity": 9.0}, None),
        ({"similarity": 0.7, "changed_words": 0.5, "meaning": 0.8}, None),
    ],
)
def test_each_rule_objects_beyond_its_bound(seen, rule):
    plain = {"characters": 1, "words": 1, "similarity": 0.9, "changed_words": 0.1, "negations": ()}
    assert list(Change(**(plain | seen)).objections(RULES)) == ([rule] if rule else [])


def test_a_change_survives_json():
    found = change("good", "not bad", lambda _: frozenset({"bad"}))
    assert Change.from_record(json.loads(json.dumps(found.to_record()))) == found
