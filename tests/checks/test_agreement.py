"""explanations.agreement names methods that contradict each other, and leaves normal ones alone."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from auditkit.finding import Outcome, ScoredTexts, Table
from auditkit.registry import load_registry

from .explained import films, findings, named, odd, random, telling, words_in

CHECK = load_registry().get("explanations.agreement")
TWO = {"methods": ("lime", "shap")}
THREE = {"methods": ("lime", "shap", "occlusion")}


def contradicting(method: str, text: str, label: int, seed: int) -> list[float]:
    """One method says the contrary of the others."""
    told = telling("", text, label, seed)
    return [-weight for weight in told] if method == "shap" else told


def test_methods_that_say_the_same_pass():
    found = findings(CHECK, telling, params=THREE)
    pairs = named(found, "rank_correlation")
    assert set(pairs) == {"lime × shap", "lime × occlusion", "shap × occlusion"}
    assert {f.outcome for f in pairs.values()} == {Outcome.PASS}
    assert pairs["lime × shap"].measurement.value == pytest.approx(1.0)
    assert named(found, "top_overlap")["lime × shap"].measurement.value == pytest.approx(1.0)


def test_the_method_that_contradicts_the_others_is_named():
    pairs = named(findings(CHECK, contradicting, params=THREE), "rank_correlation")
    failed = {part for part, f in pairs.items() if f.outcome is Outcome.FAIL}
    assert failed == {"lime × shap", "shap × occlusion"}
    assert pairs["lime × occlusion"].outcome is Outcome.PASS
    note = pairs["lime × shap"].measurement.note
    assert note == "Least alike are lime × shap (-1.00), most lime × occlusion (1.00)."


def test_methods_that_have_nothing_to_do_with_each_other_are_rarely_said_to_contradict():
    outcomes = [
        named(findings(CHECK, random, params=TWO, seed=seed), "rank_correlation")[
            "lime × shap"
        ].outcome
        for seed in range(20)
    ]
    assert outcomes.count(Outcome.FAIL) <= 3
    assert outcomes.count(Outcome.PASS) <= 3


def test_a_few_examples_decide_nothing():
    found = findings(CHECK, contradicting, films(12), TWO)
    assert {f.outcome for f in found if f.limit is not None} == {Outcome.INCONCLUSIVE}


def test_the_matrix_has_every_pair_and_the_heat_maps_every_method():
    found = findings(CHECK, contradicting, params=THREE | {"show": 2})
    evidence = named(found, "rank_correlation")["lime × shap"].measurement.evidence
    ranks, tops = (one for one in evidence if isinstance(one, Table))
    assert ranks.columns == ("method", "lime", "shap", "occlusion")
    assert [row[0] for row in ranks.rows] == ["lime", "shap", "occlusion"]
    for table in (ranks, tops):
        cells = [row[1:] for row in table.rows]
        assert [[cells[j][i] for j in range(3)] for i in range(3)] == [list(row) for row in cells]
    assert ranks.rows[0][2].startswith("-1.00 (")
    assert 0.15 < float(re.search(r"\((\S+) by chance\)", tops.title)[1]) <= 5 / 13
    (maps,) = [one for one in evidence if isinstance(one, ScoredTexts)]
    assert [one.by for one in maps.rows[0].scores] == ["lime", "shap", "occlusion"]
    assert len(maps.rows) == 2
    hidden = findings(CHECK, telling, params=TWO | {"show": 0})
    assert not [e for f in hidden for e in f.measurement.evidence if isinstance(e, ScoredTexts)]


def test_the_examples_with_the_most_disagreement_are_shown():
    def sometimes(method: str, text: str, label: int, seed: int) -> list[float]:
        weigh = contradicting if text.rsplit(maxsplit=1)[-1] == "7" or " 7 " in text else telling
        return weigh(method, text, label, seed)

    found = findings(CHECK, sometimes, params=TWO | {"show": 1, "examples": 60})
    evidence = named(found, "rank_correlation")["lime × shap"].measurement.evidence
    assert " 7" in evidence[-1].rows[0].text


def test_a_method_without_signs_is_compared_by_size():
    def unsigned(method: str, text: str, label: int, seed: int) -> list[float]:
        told = contradicting("shap", text, label, seed)
        return [abs(weight) for weight in told] if method == "attention-rollout" else told

    found = findings(CHECK, unsigned, params={"methods": ("attention-rollout", "shap")})
    pair = named(found, "rank_correlation")["attention-rollout × shap"]
    assert pair.measurement.value == pytest.approx(1.0)


def test_methods_that_say_nothing_are_compared_with_none():
    def silent(method: str, text: str, label: int, seed: int) -> list[float]:
        told = telling(method, text, label, seed)
        return [0.0] * len(told) if method == "shap" else told

    pair = named(findings(CHECK, silent, params=TWO), "rank_correlation")["lime × shap"]
    assert pair.outcome is Outcome.INCONCLUSIVE
    assert pair.measurement.n == 0


def test_one_method_alone_is_not_applicable():
    blocked = {"shap": "the package shap is not installed"}
    for methods in (("lime",), ("lime", "shap")):
        found = findings(CHECK, telling, params={"methods": methods}, blocked=blocked)
        assert [f.outcome for f in found] == [Outcome.NOT_APPLICABLE]
        assert "lime alone has no other method" in found[0].message
    assert "not installed" in found[0].message


def test_a_method_that_cannot_be_used_is_a_note_unless_it_is_named():
    blocked = {"shap": "the package shap is not installed"}
    found = findings(CHECK, telling, blocked=blocked)
    assert "Left out: shap, the package" in found[0].measurement.note
    found = findings(CHECK, telling, params=THREE, blocked=blocked)
    assert named(found, "rank_correlation")["shap"].outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("weigh", [telling, random])
def test_odd_texts_are_no_trouble(weigh):
    found = findings(CHECK, weigh, odd(films(10)), TWO)
    assert Outcome.ERROR not in {f.outcome for f in found}


def test_inputs_that_are_no_texts_are_not_applicable():
    data = replace(films(30), inputs=tuple(range(30)))
    assert [f.outcome for f in findings(CHECK, telling, data)] == [Outcome.NOT_APPLICABLE]


def test_the_films_have_more_words_than_the_top():
    assert min(len(words_in(text)) for text in films().inputs) == 13
