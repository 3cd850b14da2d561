"""fairness.counterfactual-terms finds models that look at who is named."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from auditkit.data import AuditData
from auditkit.finding import Examples, Finding, Outcome
from auditkit.identity import read_terms
from auditkit.metrics.counterfactual_terms import TermParams
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel, findings_on

CHECK = load_registry().get("fairness.counterfactual-terms")
NAMES = ("negative", "positive")
PLACES = (
    "shop",
    "park",
    "office",
    "school",
    "garden",
    "market",
    "harbour",
    "museum",
    "farm",
    "bar",
)
VERBS = ("left", "saw", "likes", "found", "knows", "visited", "missed", "painted", "owns", "sold")


def texts(people=("woman", "man"), count=100) -> list[str]:
    each = product(VERBS, PLACES)
    return [f"the {people[i % 2]} {verb} the {place}" for i, (verb, place) in enumerate(each)][
        :count
    ]


def data(rows, **more) -> AuditData:
    labels = np.arange(len(rows)) % 2
    return AuditData(tuple(rows), labels, NAMES, **({"positive": 1} | more))


def blind(text: str) -> list[float]:
    share = 0.2 + 0.6 * (len(text) % 2 * 0 + ("park" in text))
    return [1 - share, share]


def sees_women(text: str) -> list[float]:
    share = 0.8 - 0.6 * ("woman" in text)
    return [1 - share, share]


def findings(audited: AuditData, answer, **params) -> list[Finding]:
    predictor = SharedPredictor(FakeModel(answer))
    return findings_on(CHECK, audited, predictor, TermParams(**params))


def named(found: list[Finding], name: str, part: str = "gender") -> Finding:
    return next(f for f in found if (f.measurement.name, f.measurement.slice) == (name, part))


def test_a_model_that_flips_on_woman_fails():
    found = findings(data(texts()), sees_women)
    assert named(found, "flip_rate").outcome is Outcome.FAIL
    assert named(found, "flip_rate").measurement.value == 1.0
    shift = named(found, "shift")
    assert shift.outcome is Outcome.FAIL
    assert shift.measurement.value == pytest.approx(0.6)
    assert named(found, "absolute_shift").measurement.value == pytest.approx(0.6)


def test_a_model_blind_to_the_terms_passes():
    found = findings(data(texts()), blind)
    assert named(found, "flip_rate").outcome is Outcome.PASS
    assert named(found, "shift").outcome is Outcome.INCONCLUSIVE  # 50 texts per direction
    more = [f"{text} {word}" for text in texts() for word in ("again", "today")]
    found = findings(data(more), blind)
    assert {f.outcome for f in found} == {Outcome.PASS, Outcome.NOT_APPLICABLE}


def test_few_texts_decide_nothing():
    found = findings(data(texts(count=12)), blind)
    assert named(found, "flip_rate").outcome is Outcome.INCONCLUSIVE
    assert named(found, "shift").outcome is Outcome.INCONCLUSIVE


def test_an_attribute_of_a_few_texts_is_judged_only_if_it_is_named():
    rows = [*texts(count=60), "a Muslim family left", "a Hindu family left"]
    found = findings(data(rows), blind)
    assert {f.measurement.slice for f in found} == {"gender"}
    table = named(found, "flip_rate").measurement.evidence[1]
    assert ("religion", "swapped", 2) in table.rows
    chosen = findings(data(rows), blind, attributes=("religion",))
    assert named(chosen, "flip_rate", "religion").outcome is Outcome.INCONCLUSIVE


def test_a_shift_without_a_flip_is_found():
    def answer(text: str) -> list[float]:
        share = 0.9 - 0.25 * ("woman" in text)
        return [1 - share, share]

    found = findings(data(texts()), answer)
    assert named(found, "flip_rate").outcome is Outcome.PASS
    assert named(found, "shift").outcome is Outcome.FAIL
    assert "male → female" in named(found, "shift").measurement.note or (
        "female → male" in named(found, "shift").measurement.note
    )


def test_shifts_that_cancel_are_in_the_absolute_one():
    def answer(text: str) -> list[float]:
        up = sum(map(ord, text.replace("wo", ""))) % 2
        share = 0.5 + (0.2 if up else -0.2) * ("woman" in text)
        return [1 - share, share]

    found = findings(data(texts()), answer)
    assert named(found, "absolute_shift").measurement.value == pytest.approx(0.2)
    assert named(found, "shift").measurement.value < 0.1


def test_texts_without_a_term_are_not_applicable_and_say_why():
    (found,) = findings(data(["a good film", "a bad one"]), blind)
    assert found.outcome is Outcome.NOT_APPLICABLE
    assert read_terms().name in found.message
    (found,) = findings(data([1, 2]), lambda _: [0.5, 0.5])
    assert found.outcome is Outcome.NOT_APPLICABLE


def test_texts_that_cannot_be_swapped_are_counted_by_reason():
    (found,) = findings(data(["he and she", "a man-eating plant"] * 5), blind)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "names several groups (1)" in found.message
    assert "part of a compound (1)" in found.message


def test_the_note_names_the_term_set_and_counts():
    found = findings(data([*texts(count=60), "he and she", "no one"]), blind)
    note = named(found, "flip_rate").measurement.note
    assert "61 distinct texts have a term; 60 can be swapped" in note
    table = named(found, "flip_rate").measurement.evidence[1]
    assert read_terms().name in table.title


def test_a_text_that_occurs_often_counts_once():
    once = named(findings(data(texts(count=30)), sees_women), "flip_rate").measurement
    often = named(findings(data(texts(count=30) * 9), sees_women), "flip_rate").measurement
    assert (once.n, once.bounds) == (often.n, often.bounds)


def test_several_counterparts_of_a_text_are_one_cluster():
    rows = [f"a Muslim family {verb} the {place}" for verb, place in product(VERBS, PLACES)][:60]

    def answer(text: str) -> list[float]:
        return [0.1, 0.9] if "Muslim" in text else [0.9, 0.1]

    one = findings(data(rows), answer, counterparts=1, attributes=("religion",))
    four = findings(data(rows), answer, counterparts=4, attributes=("religion",))
    first, second = (named(f, "flip_rate", "religion").measurement for f in (one, four))
    assert (first.n, second.n) == (60, 240)
    assert second.bounds.claim.lower == pytest.approx(first.bounds.claim.lower, abs=0.02)
    assert second.units.keys() == first.units.keys()
    assert np.mean([*second.units.values()]) == pytest.approx(second.value)


def test_rows_that_belong_together_widen_the_bounds():
    rows = texts()
    alone = named(findings(data(rows), sees_women), "flip_rate").measurement
    clusters = np.arange(len(rows)) // 10
    together = named(findings(data(rows, clusters=clusters), sees_women), "flip_rate").measurement
    assert together.bounds.claim.lower < alone.bounds.claim.lower - 0.1
    assert "effective" in together.bounds.method


def test_the_bounds_of_the_flip_rate_are_clopper_and_pearsons():
    from scipy.stats import binomtest

    def answer(text: str) -> list[float]:
        return [0.1, 0.9] if "woman" in text and "park" in text else [0.9, 0.1]

    found = named(findings(data(texts()), answer), "flip_rate").measurement
    k = round(found.value * found.n)
    assert 0 < k < found.n
    expected = binomtest(k, found.n).proportion_ci(0.9, "exact")
    assert found.bounds.claim.lower == pytest.approx(expected.low, abs=1e-9)
    assert found.bounds.claim.upper == pytest.approx(expected.high, abs=1e-9)


def test_examples_are_shown_as_often_as_wanted():
    found = named(findings(data(texts()), sees_women, show=3), "flip_rate").measurement
    (shown,) = [e for e in found.evidence if isinstance(e, Examples)]
    assert len(shown.rows) == 3
    found = named(findings(data(texts()), sees_women, show=0), "flip_rate").measurement
    assert not [e for e in found.evidence if isinstance(e, Examples)]


def test_the_model_is_asked_in_one_request():
    class Counting:
        requests = 0

        def predict(self, inputs):
            self.requests += 1
            return SharedPredictor(FakeModel(blind)).predict(inputs)

    asked = Counting()
    findings_on(CHECK, data(texts()), asked, TermParams())
    assert asked.requests == 1


def test_a_term_set_of_ones_own(tmp_path):
    path = tmp_path / "terms.csv"
    path.write_text(
        "attribute,group,text,form,slot\nteam,red,red fan,noun,fan\nteam,blue,blue fan,noun,fan\n"
    )
    rows = [f"a red fan {verb} the {place}" for verb, place in product(VERBS, PLACES)]
    found = findings(data(rows), lambda t: [0.9, 0.1] if "blue" in t else [0.1, 0.9],
                     terms_file=str(path))  # fmt: skip
    assert named(found, "flip_rate", "team").outcome is Outcome.FAIL


def test_an_unknown_attribute_is_an_error_with_the_nearest():
    (found,) = findings(data(texts()), blind, attributes=("gendr",))
    assert found.outcome is Outcome.ERROR
    assert "gender" in found.message


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"counterparts": 0}, {"show": -1}])
def test_impossible_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TermParams(**wrong)
