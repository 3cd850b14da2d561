"""ood.leakage: planted leaks and repeats are found, and what accuracy owes to them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from auditkit.check import Context
from auditkit.data import AuditData
from auditkit.finding import Finding, Outcome
from auditkit.model import Predictions
from auditkit.registry import load_registry
from auditkit.testing import findings_in, shifted, tiny_context, tiny_data

LEAKAGE = load_registry().checks["ood.leakage"]
WORDS = [f"{a}{b}" for a in "bcdfghklmnprstvz" for b in ("ar", "el", "in", "os", "ut", "ash", "on")]


def sentences(n: int, seed: int) -> list[str]:
    rng = Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(15, 30))) for _ in range(n)]


class Answers:
    """Answers by text: the given labels."""

    def __init__(self, texts, answers):
        self.known = dict(zip(texts, answers, strict=True))

    def predict(self, inputs):
        return Predictions(np.array([self.known[one] for one in inputs]), None)


def rows(texts: list[str], labels=None) -> AuditData:
    data = tiny_data(np.zeros(len(texts), int) if labels is None else labels)
    return replace(data, inputs=tuple(texts))


def audit(train: list[str], test: list[str], answers=None, labels=None, **sets) -> Context:
    data = rows(test, labels)
    context = tiny_context(data, Predictions(np.zeros(len(test), int), None))
    return replace(
        context,
        predictor=Answers(test, np.zeros(len(test), int) if answers is None else answers),
        training=rows(train),
        shifts=shifted(data, **sets),
    )


def finding(name: str, context: Context, part: str = "", **params) -> Finding:
    found = findings_in(LEAKAGE, context, LEAKAGE.params(**params))
    return next(f for f in found if (f.measurement.name, f.measurement.slice) == (name, part))


def with_leaks(test: list[str], train: list[str], count: int) -> list[str]:
    """The first rows are training rows with one word changed in every other one."""
    changed = list(test)
    for row in range(count):
        words = train[row].split()
        if row % 2:
            words[7] = "changed"
        changed[row] = " ".join(words)
    return changed


def test_five_percent_planted_leaks_fail_and_none_pass():
    train, test = sentences(2_000, 1), sentences(1_000, 2)
    clean = finding("leaked", audit(train, test))
    assert (clean.outcome, clean.measurement.value) == (Outcome.PASS, 0.0)
    leaky = finding("leaked", audit(train, with_leaks(test, train, 50)))
    assert leaky.outcome is Outcome.FAIL
    assert 0.049 <= leaky.measurement.value <= 0.05
    assert "25 rows have the words of a training row" in leaky.measurement.note
    shown = leaky.measurement.evidence[0].rows
    assert all(one.before in train for one in shown)
    assert shown[0].before != shown[0].after


def test_fifty_rows_are_inconclusive():
    assert finding("leaked", audit(sentences(100, 1), sentences(50, 2))).outcome is (
        Outcome.INCONCLUSIVE
    )


def test_thirty_sentences_repeated_to_three_thousand_rows_are_found():
    distinct = sentences(30, 3)
    found = finding("repeated", audit(sentences(20, 4), [distinct[i % 30] for i in range(3_000)]))
    assert found.outcome is Outcome.FAIL
    assert found.measurement.value == pytest.approx(2_970 / 3_000)
    assert finding("repeated", audit(sentences(20, 4), sentences(300, 5))).outcome is Outcome.PASS


def test_inflation_is_the_accuracy_with_less_that_without_the_leaked_rows():
    train, test = sentences(500, 1), with_leaks(sentences(600, 2), sentences(500, 1), 200)
    # Right on all leaked rows and on half of the others.
    answers = np.array([0] * 200 + [0, 1] * 200)
    found = finding("inflation", audit(train, test, answers))
    assert found.measurement.value == pytest.approx(400 / 600 - 200 / 400)
    assert found.outcome is Outcome.FAIL
    bounds = found.measurement.bounds
    error = np.sqrt(1 / 6 * (1 / 3) / 600)  # of that order; the exact one is below
    assert 0 < found.measurement.value - bounds.claim.lower < 4 * error
    fair = finding("inflation", audit(train, test, np.array([0, 1] * 300)))
    assert fair.measurement.value == pytest.approx(0)
    assert fair.outcome is not Outcome.FAIL


def test_the_interval_of_inflation_covers():
    from auditkit.metrics.leakage import _inflations

    missed, rng = 0, np.random.default_rng(0)
    for _ in range(300):
        hit = rng.random(400) < 0.2
        right = rng.random(400) < np.where(hit, 0.95, 0.8)
        interval = _inflations(hit, right, None, 0.05, rng).interval(0.05)
        missed += not interval.lower <= 0.2 * 0.15 <= interval.upper
    assert missed <= 52  # of 300 at 10 %, with a chance of 1e-4 to fail by luck


def test_without_leaks_accuracy_owes_nothing_to_them():
    found = finding("inflation", audit(sentences(200, 1), sentences(900, 2)))
    assert found.measurement.value == 0
    assert found.outcome is Outcome.PASS


def test_a_named_set_is_looked_at_apart_from_the_rows_in_distribution():
    train, test = sentences(500, 1), with_leaks(sentences(600, 2), sentences(500, 1), 100)
    context = audit(train, test, far=np.arange(100))
    assert finding("leaked", context, "far").measurement.value >= 0.98
    assert finding("leaked", context).measurement.value == 0
    assert finding("leaked", context).measurement.n == 500


def with_splits(context: Context, **splits: list[str]) -> Context:
    return replace(context, held_out={name: rows(texts) for name, texts in splits.items()})


def test_a_leak_into_a_split_that_is_not_audited_is_counted_there_and_nowhere_else():
    train, test = sentences(2_000, 1), sentences(1_000, 2)
    leaky, clean = with_leaks(sentences(800, 3), train, 60), sentences(800, 4)
    context = with_splits(audit(train, test), validation=leaky, dev=[*clean[:-4], *test[:4]])
    found = finding("leaked", context, "split 'validation'")
    assert (found.outcome, found.measurement.n) == (Outcome.FAIL, 800)
    assert found.measurement.value == pytest.approx(60 / 800, abs=1 / 800)
    assert "30 rows have the words of a training row" in found.measurement.note
    assert "0 rows are like an audited row. The model is not asked" in found.measurement.note
    assert all(one.before in train for one in found.measurement.evidence[0].rows)
    other = finding("leaked", context, "split 'dev'")
    assert (other.outcome, other.measurement.value) == (Outcome.PASS, 0.0)
    assert " 4 rows are like an audited row." in other.measurement.note
    assert finding("leaked", context).measurement.value == 0
    names = [(f.measurement.name, f.measurement.slice) for f in findings_in(LEAKAGE, context)]
    assert {name for name, part in names if part.startswith("split")} == {"leaked"}


def test_every_pair_that_is_planted_in_a_split_is_counted_as_by_comparing_all():
    train = sentences(300, 1)
    texts = with_leaks(sentences(200, 2), train, 40)
    context = with_splits(audit(train, sentences(50, 5)), validation=texts)

    def shingles(text):
        words = text.split()
        return set(pairwise(words))

    def near(one, other):
        return len(one & other) / len(one | other) >= 0.7

    known = [shingles(text) for text in train]
    count = sum(any(near(shingles(text), other) for other in known) for text in texts)
    found = finding("leaked", context, "split 'validation'")
    assert found.measurement.value == pytest.approx(count / 200)


def test_a_small_split_decides_nothing_and_an_empty_one_has_no_number():
    context = with_splits(
        audit(sentences(100, 1), sentences(50, 2)), small=sentences(50, 3), empty=[]
    )
    assert finding("leaked", context, "split 'small'").outcome is Outcome.INCONCLUSIVE
    assert finding("leaked", context, "split 'empty'").measurement.value is None


def test_rows_that_are_no_texts_are_not_said_to_be_clean():
    data = tiny_data([0, 1] * 100)
    context = replace(
        tiny_context(data, Predictions(data.labels, None)), training=tiny_data([0, 1])
    )
    found = findings_in(LEAKAGE, context)
    assert [f.outcome for f in found] == [Outcome.INCONCLUSIVE]
    assert "not texts" in found[0].message


def test_pairs_of_text_and_group_are_compared_by_text():
    train, test = sentences(50, 1), sentences(300, 2)
    test[:30] = train[:30]
    context = audit(train, test)
    paired = tuple((text, "group") for text in test)
    data = replace(context.data, inputs=paired, labels=None)
    assert finding("leaked", replace(context, data=data)).measurement.value == 0.1


def test_clusters_make_leaks_that_come_together_count_less():
    train, test = sentences(500, 1), with_leaks(sentences(1_000, 2), sentences(500, 1), 100)
    free = audit(train, test)
    tied = replace(free, data=replace(free.data, clusters=np.arange(1_000) // 20))
    one, other = (finding("leaked", c).measurement for c in (free, tied))
    assert one.value == other.value
    assert other.bounds.claim.upper > one.bounds.claim.upper
    assert finding("inflation", tied).measurement.bounds.method.endswith("of clusters")


@pytest.mark.parametrize("params", [{"shingle": 0}, {"similarity": 0.1}])
def test_impossible_parameters_are_refused(params):
    with pytest.raises(ValueError, match="must lie between"):
        LEAKAGE.params(**params)
