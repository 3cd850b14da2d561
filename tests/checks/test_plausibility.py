"""explanations.plausibility tells explanations that name what people marked from others."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from auditkit.data import AuditData, unit_id
from auditkit.finding import Outcome, ScoredTexts, Table
from auditkit.registry import load_registry
from auditkit.stats.intervals import mean_interval

from .explained import ODD, films, findings, named, odd, random, telling, words_in

CHECK = load_registry().get("explanations.plausibility")
ONE = {"methods": ("lime",)}
TWO = {"methods": ("lime", "shap")}


def contrary(method: str, text: str, label: int, seed: int) -> list[float]:
    return [-weight for weight in telling(method, text, label, seed)]


def test_explanations_that_name_what_people_marked_pass():
    found = findings(CHECK, telling)
    advantage = named(found, "advantage")
    assert set(advantage) == {"lime", "shap", "integrated-gradients", "occlusion"}
    assert {f.outcome for f in advantage.values()} == {Outcome.PASS}
    for name in ("auprc", "token_f1", "iou_f1"):
        assert named(found, name)["lime"].measurement.value == pytest.approx(1.0)


def test_explanations_that_name_everything_else_fail():
    found = findings(CHECK, contrary, params=ONE)
    assert named(found, "advantage")["lime"].outcome is Outcome.FAIL
    assert named(found, "token_f1")["lime"].measurement.value == 0.0


def test_random_explanations_are_rarely_taken_for_better_or_worse_than_random():
    data = films(25)
    each = [
        named(findings(CHECK, random, data, ONE, seed=seed), "advantage")["lime"]
        for seed in range(10)
    ]
    outcomes = [finding.outcome for finding in each]
    # Each side errs in 1 of 20.
    assert outcomes.count(Outcome.PASS) <= 2
    assert outcomes.count(Outcome.FAIL) <= 2
    assert abs(np.mean([finding.measurement.value for finding in each])) < 0.04


def test_a_sample_without_the_rare_luck_of_chance_is_not_called_worse_than_chance():
    texts = tuple(" ".join(f"word{i}x{j}" for j in range(40)) for i in range(25))
    spans = tuple(((0, len(text.split()[0])),) for text in texts)
    labels = np.arange(25) % 2
    data = AuditData(texts, labels, ("negative", "positive"), 1, rationales=spans)

    def never_first(_method: str, text: str, _label: int, _seed: int) -> list[float]:
        """The marked word at the third place to the last, evenly."""
        place = 3 + 3 * int(re.match(r"word(\d+)x", text)[1]) % 38
        return [0.5 - place, *range(-1, -40, -1)]

    advantage = named(findings(CHECK, never_first, data, ONE), "advantage")["lime"]
    values = list(advantage.measurement.units.values())
    # The examples' own spread would say so.
    assert mean_interval(values, 0.05, None, (-1.0, 1.0)).upper < 0
    assert advantage.outcome is Outcome.INCONCLUSIVE


def test_explanations_that_say_nothing_are_as_good_as_chance():
    found = findings(CHECK, lambda _m, text, _l, _s: [0.0] * len(words_in(text)), params=ONE)
    advantage = named(found, "advantage")["lime"]
    assert advantage.measurement.value == pytest.approx(0.0)
    assert advantage.outcome is Outcome.INCONCLUSIVE
    assert named(found, "token_f1")["lime"].measurement.value < 0.35


def test_a_few_examples_decide_nothing():
    advantage = named(findings(CHECK, telling, films(12), ONE), "advantage")["lime"]
    assert advantage.outcome is Outcome.INCONCLUSIVE
    assert advantage.measurement.n == 12
    assert advantage.measurement.least_n == 20


def test_the_labelled_class_is_explained_and_the_wrong_answers_are_counted():
    data = films()
    wrong = replace(data, labels=1 - data.labels)
    found = findings(CHECK, telling, wrong, ONE)
    assert named(found, "advantage")["lime"].outcome is Outcome.FAIL
    note = named(found, "best_auprc")[""].measurement.note
    assert "another one in 50 of 50 examples" in note
    note = named(findings(CHECK, telling, data, ONE), "best_auprc")[""].measurement.note
    assert "another one in 0 of 50 examples" in note


def test_only_rows_in_which_some_words_are_marked_take_part():
    data = films(60)
    whole = [((0, len(text)),) for text in data.inputs[40:50]]
    rationales = (*data.rationales[:30], *[None] * 10, *whole, *[()] * 10)
    found = findings(CHECK, telling, replace(data, rationales=rationales), ONE)
    measured = named(found, "auprc")["lime"].measurement
    assert set(measured.units) == {unit_id(text) for text in data.inputs[:30]}
    for marks in ((None,) * 60, ((),) * 60, None):
        none = findings(CHECK, telling, replace(data, rationales=marks), ONE)
        assert [f.outcome for f in none] == [Outcome.NOT_APPLICABLE]
        assert "no row people marked" in none[0].message


def test_the_best_method_is_named_and_compared_with_the_next():
    def differing(method: str, text: str, label: int, seed: int) -> list[float]:
        return (telling if method == "shap" else random)(method, text, label, seed)

    found = findings(CHECK, differing, params={"methods": ("lime", "shap", "occlusion")})
    best = named(found, "best_auprc")[""].measurement
    assert best.value == pytest.approx(1.0)
    assert best.note.startswith("shap agrees best with people. It is shown to be better than")
    tables = [one for one in best.evidence if isinstance(one, Table)]
    assert tables[0].rows[0][0] == "shap"
    assert tables[0].rows[-1][0] == "random order"
    alike = findings(CHECK, telling, params={"methods": ("lime", "shap")})
    note = named(alike, "best_auprc")[""].measurement.note
    assert "It is not shown to be better than" in note
    alone = named(findings(CHECK, telling, params=ONE), "best_auprc")[""].measurement
    assert "No other method was compared" in alone.note


def test_the_lead_over_the_next_allows_for_all_pairs():
    def noisy_at(method: str, text: str, label: int, seed: int) -> list[float]:
        share = {"lime": 0.5, "shap": 1.0, "occlusion": 9.0}[method]
        told, other = telling(method, text, label, seed), random("", text, label, seed)
        return [one + share * more for one, more in zip(told, other, strict=True)]

    widths = []
    for methods in (("lime", "shap"), ("lime", "shap", "occlusion")):
        found = findings(CHECK, noisy_at, params={"methods": methods})
        note = named(found, "best_auprc")[""].measurement.note
        assert "shap, the next" in note
        lower, upper = re.search(r"\((\S+) to (\S+), paired", note).groups()
        widths.append(float(upper) - float(lower))
    assert widths[1] > 1.2 * widths[0]


def test_a_lead_over_the_next_is_not_claimed_of_methods_that_are_both_random():
    claimed = 0
    for seed in range(10):
        found = findings(CHECK, random, params=TWO | {"examples": 25}, seed=seed)
        claimed += "is shown to be" in named(found, "best_auprc")[""].measurement.note
    assert claimed <= 1


def test_heat_maps_show_people_beside_the_methods():
    best = named(findings(CHECK, telling, params={"show": 3}), "best_auprc")[""].measurement
    maps = [one for one in best.evidence if isinstance(one, ScoredTexts)]
    assert len(maps[0].rows) == 3
    first = maps[0].rows[0]
    assert {one.by for one in first.scores[1:]} == {
        "lime", "shap", "integrated-gradients", "occlusion",
    }  # fmt: skip
    assert first.scores[0].by == "people"
    ((start, end),) = first.scores[0].spans
    assert first.text[start:end].split()[0] in {
        "lovely",
        "brilliant",
        "moving",
        "dreadful",
        "boring",
        "clumsy",
    }
    assert "labelled" in first.said
    hidden = named(findings(CHECK, telling, params={"show": 0}), "best_auprc")[""].measurement
    assert not [one for one in hidden.evidence if isinstance(one, ScoredTexts)]


def test_a_method_that_cannot_be_used_is_a_note_unless_it_is_named():
    blocked = {"shap": "the package shap is not installed"}
    found = findings(CHECK, telling, blocked=blocked)
    assert set(named(found, "advantage")) == {"lime", "integrated-gradients", "occlusion"}
    assert "Left out: shap, the package" in named(found, "best_auprc")[""].measurement.note
    found = findings(CHECK, telling, params={"methods": ("lime", "shap")}, blocked=blocked)
    undefined = named(found, "advantage")["shap"]
    assert undefined.outcome is Outcome.INCONCLUSIVE
    assert "not installed" in undefined.message
    found = findings(CHECK, telling, params={"methods": ("shap",)}, blocked=blocked)
    assert [f.outcome for f in found] == [Outcome.NOT_APPLICABLE]


def test_odd_texts_are_no_trouble():
    found = findings(CHECK, telling, odd(films(30)), ONE | {"examples": 100})
    measured = named(found, "auprc")["lime"].measurement
    assert Outcome.ERROR not in {f.outcome for f in found}
    assert set(measured.units) >= {unit_id(t) for t in ODD[3:7]}
    assert unit_id("x") not in measured.units


def test_inputs_that_are_no_texts_are_not_applicable():
    data = films(30)
    found = findings(CHECK, telling, replace(data, inputs=tuple(range(30))), ONE)
    assert [f.outcome for f in found] == [Outcome.NOT_APPLICABLE]


def test_copies_of_the_same_people_decide_no_more_than_the_people():
    data = films(60)
    shaky = findings(CHECK, random, replace(data, clusters=np.arange(60) % 3), ONE)
    plain = findings(CHECK, random, data, ONE)
    wide, narrow = (named(one, "auprc")["lime"].measurement.bounds for one in (shaky, plain))
    assert wide.method == "cluster-robust t"
    assert wide.claim.lower < narrow.claim.lower


def test_the_order_of_the_rows_changes_no_value_of_an_example():
    data = films(40)
    turned = data.rows(np.arange(40)[::-1].copy())
    first, second = (findings(CHECK, random, one, ONE) for one in (data, turned))
    for name in ("auprc", "token_f1", "iou_f1", "advantage"):
        units = [named(one, name)["lime"].measurement.units for one in (first, second)]
        assert units[0] == units[1]
