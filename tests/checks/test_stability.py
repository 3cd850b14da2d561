"""explanations.stability tells explanations that stay from those that change for no reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from auditkit.data import unit_id
from auditkit.finding import Outcome, ScoredTexts, Table
from auditkit.noise import NOISES, noisy
from auditkit.registry import load_registry

from .explained import (
    BAD,
    GOOD,
    counting,
    films,
    findings,
    named,
    odd,
    random,
    telling,
    words_in,
)

CHECK = load_registry().get("explanations.stability")
LIME = {"methods": ("lime",)}
GRADIENT = {"methods": ("integrated-gradients",)}


def capital_films(rows: int = 60):
    """Films with capitals, which other capitals change."""
    data = films(rows)
    return replace(data, inputs=tuple(text.title() for text in data.inputs))


def by_letters(method: str, text: str, label: int, seed: int) -> list[float]:
    """Weights that depend on the letters as they stand, capitals and all."""
    return [float(np.random.default_rng([*word.encode(), 1]).normal()) for word in words_in(text)]


def by_seed(method: str, text: str, label: int, seed: int) -> list[float]:
    """Weights that depend on the word and the seed."""
    return [
        float(np.random.default_rng([*word.lower().encode(), seed]).normal())
        for word in words_in(text)
    ]


def test_explanations_that_stay_pass():
    found = findings(CHECK, telling, capital_films(), {"methods": ("lime", "occlusion")})
    noise = named(found, "rank_correlation")
    assert set(noise) == {"lime/keyboard", "lime/case", "occlusion/keyboard", "occlusion/case"}
    assert {f.outcome for f in noise.values()} == {Outcome.PASS}
    assert noise["lime/case"].measurement.value == pytest.approx(1.0)
    seeds = named(found, "seed_rank_correlation")
    assert set(seeds) == {"lime"}
    assert seeds["lime"].outcome is Outcome.PASS


def test_explanations_that_depend_on_capitals_fail_under_case_and_nothing_else():
    found = findings(CHECK, by_letters, capital_films(), LIME)
    noise = named(found, "rank_correlation")
    assert noise["lime/case"].outcome is Outcome.FAIL
    assert noise["lime/keyboard"].outcome is Outcome.PASS
    assert named(found, "seed_rank_correlation")["lime"].outcome is Outcome.PASS


def test_explanations_that_depend_on_the_seed_fail_for_another_seed_and_nothing_else():
    found = findings(CHECK, by_seed, capital_films(), LIME)
    assert named(found, "seed_rank_correlation")["lime"].outcome is Outcome.FAIL
    assert {f.outcome for f in named(found, "rank_correlation").values()} == {Outcome.PASS}


def test_a_method_that_draws_nothing_is_not_asked_twice():
    asked = []

    def noting(method: str, text: str, label: int, seed: int) -> list[float]:
        asked.append((text, seed))
        return telling(method, text, label, seed)

    found = findings(CHECK, noting, capital_films(30), GRADIENT | {"noises": ("case",)})
    assert named(found, "seed_rank_correlation") == {}
    assert len(asked) == len(set(asked)) == 60
    assert {seed for _, seed in asked} == {0}


def cased(text: str) -> list[float]:
    """Counts the words that tell, but other capitals turn a third of the answers."""
    scores = counting(text)
    keeps = not text or int(text.lower().split()[-1], 36) % 3
    return scores if keeps or text != text.lower() else scores[::-1]


def test_only_examples_that_keep_their_answer_are_compared():
    data = capital_films()
    found = findings(CHECK, telling, data, LIME | {"noises": ("case",)}, cased)
    measured = named(found, "rank_correlation")["lime/case"].measurement
    turned = 50 - measured.n
    assert 5 < turned < 30
    assert f"{turned:,} of them get another answer" in measured.note
    assert named(found, "seed_rank_correlation")["lime"].measurement.n == 50
    kept = {unit_id(text) for text in data.inputs if int(text.lower().split()[-1], 36) % 3}
    assert set(measured.units) <= kept


def test_the_explained_class_is_that_of_the_answer_both_times():
    seen = {}

    def noting(method: str, text: str, label: int, seed: int) -> list[float]:
        seen[text] = label
        return telling(method, text, label, seed)

    findings(CHECK, noting, capital_films(), GRADIENT | {"noises": ("case",)}, cased)
    assert len(seen) > 60
    assert all(label == int(np.argmax(cased(text))) for text, label in seen.items())


def test_words_that_noise_adds_do_not_shift_the_others():
    found = findings(CHECK, telling, params=GRADIENT | {"noises": ("address",)})
    measured = named(found, "rank_correlation")["integrated-gradients/address"].measurement
    assert measured.value == pytest.approx(1.0)


def test_a_few_examples_decide_nothing():
    found = findings(CHECK, telling, capital_films(12), LIME)
    assert {f.outcome for f in found if f.limit is not None} == {Outcome.INCONCLUSIVE}
    assert named(found, "rank_correlation")["lime/case"].measurement.least_n == 20


def test_explanations_that_come_and_go_are_no_stable_ones():
    def once(method: str, text: str, label: int, seed: int) -> list[float]:
        told = telling(method, text, label, seed)
        return [0.0] * len(told) if text == text.lower() else told

    found = findings(CHECK, once, capital_films(), GRADIENT | {"noises": ("case",)})
    measured = named(found, "rank_correlation")["integrated-gradients/case"]
    assert measured.measurement.value == 0.0
    assert measured.outcome is Outcome.FAIL


def test_explanations_that_say_nothing_are_not_called_stable():
    found = findings(CHECK, lambda _m, text, _l, _s: [0.0] * len(words_in(text)), params=LIME)
    judged = [f for f in found if f.limit is not None]
    assert {f.outcome for f in judged} == {Outcome.INCONCLUSIVE}
    assert "no example with three words" in judged[0].message


def test_noise_that_finds_nothing_is_named_and_not_judged():
    found = findings(CHECK, telling, films(), LIME | {"noises": ("contraction", "keyboard")})
    noise = named(found, "rank_correlation")
    assert set(noise) == {"lime/keyboard"}
    assert "Too rare in these texts: contraction." in noise["lime/keyboard"].measurement.note
    found = findings(CHECK, telling, films(), GRADIENT | {"noises": ("contraction",)})
    assert [f.outcome for f in found] == [Outcome.NOT_APPLICABLE]
    found = findings(CHECK, telling, films(), LIME | {"noises": ()})
    assert set(named(found, "seed_rank_correlation")) == {"lime"}


def test_the_table_and_the_heat_maps_show_what_was_compared():
    found = findings(CHECK, by_letters, capital_films(), LIME | {"show": 4})
    evidence = next(f.measurement.evidence for f in found if f.measurement.evidence)
    (table,) = [one for one in evidence if isinstance(one, Table)]
    assert [row[:3] for row in table.rows] == [
        ("lime", "keyboard", 50), ("lime", "case", 50), ("lime", "another seed", 50),
    ]  # fmt: skip
    (maps,) = [one for one in evidence if isinstance(one, ScoredTexts)]
    assert len(maps.rows) == 4
    assert maps.rows[1].text == noisy(NOISES["case"], "mild", maps.rows[0].text, 0)
    assert maps.rows[1].said == "the same with case noise"
    hidden = findings(CHECK, by_letters, capital_films(), LIME | {"show": 0})
    assert not [e for f in hidden for e in f.measurement.evidence if isinstance(e, ScoredTexts)]


def test_a_method_that_cannot_be_used_is_a_note_unless_it_is_named():
    blocked = {"shap": "the package shap is not installed"}
    found = findings(CHECK, telling, capital_films(), blocked=blocked)
    assert not [part for part in named(found, "rank_correlation") if part.startswith("shap")]
    assert any("Left out: shap, the package" in f.measurement.note for f in found)
    chosen = {"methods": ("lime", "shap")}
    found = findings(CHECK, telling, capital_films(), chosen, blocked=blocked)
    assert named(found, "rank_correlation")["shap"].outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("weigh", [telling, random])
def test_odd_texts_are_no_trouble(weigh):
    found = findings(CHECK, weigh, odd(capital_films(10)), LIME | {"noises": tuple(NOISES)})
    assert Outcome.ERROR not in {f.outcome for f in found}


def test_inputs_that_are_no_texts_are_not_applicable():
    data = replace(films(30), inputs=tuple(range(30)))
    assert [f.outcome for f in findings(CHECK, telling, data)] == [Outcome.NOT_APPLICABLE]


@pytest.mark.parametrize(
    ("params", "said"),
    [({"noises": ("keybord",)}, "'keyboard'"), ({"noises": ("case", "case")}, "twice")],
)
def test_impossible_parameters_are_refused(params, said):
    with pytest.raises(ValueError, match=said):
        CHECK.params(**params)


def test_words_that_tell_are_in_the_films():
    assert all(set(words_in(text)) & {*GOOD, *BAD} for text in films().inputs)
