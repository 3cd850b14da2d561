"""Checks on scores: a planted defect fails, a fair model passes, few rows decide nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ks_2samp, wasserstein_distance
from sklearn.metrics import roc_auc_score

from auditkit.finding import Estimates, Finding, Outcome, Table
from auditkit.model import Predictions
from auditkit.registry import load_registry
from auditkit.testing import findings_of, tiny_data

CHECKS = load_registry().checks
CALIBRATION, RANKING, SCORES = (
    CHECKS[f"fairness.{name}"] for name in ("calibration-gap", "ranking-gap", "score-distribution")
)
ALL = [(CALIBRATION, "gap"), (CALIBRATION, "bias_gap"), (RANKING, "gap"), (RANKING, "abroca"),
       (SCORES, "ks"), (SCORES, "wasserstein")]  # fmt: skip
LIMITS = {"abroca": 0.15}


def rows(n, seed=0, groups=("a", "b"), shown=None, blurred=(), clusters=None):
    """Labels drawn by a probability; `shown` maps a group's probabilities to its scores.

    The scores of the groups in `blurred` are those of other rows: they rank nothing.
    """
    rng = np.random.default_rng(seed)
    names = np.array([groups[i % len(groups)] for i in range(n)])
    truth = rng.beta(0.8, 0.8, n)
    labels = (rng.random(n) < truth).astype(int)
    scores = truth.copy()
    for name, change in (shown or {}).items():
        scores[names == name] = np.clip(change(truth[names == name]), 0, 1)
    for name in blurred:
        scores[names == name] = rng.permutation(scores[names == name])
    data = tiny_data(labels, {"group": names.tolist()}, clusters=clusters)
    return data, Predictions.from_probabilities(np.stack([1 - scores, scores], axis=1))


def finding(check, name, simulated, limits=LIMITS, **settings) -> Finding:
    own = {n: v for n, v in limits.items() if n in {one.name for one in check.limits}}
    found = findings_of(check, *simulated, limits=own, **settings)
    return next(f for f in found if f.measurement.name == name)


DEFECTS = {
    "gap calibration": (CALIBRATION, "gap", {"shown": {"b": np.round}}),
    "bias_gap": (CALIBRATION, "bias_gap", {"shown": {"b": lambda p: p**4}}),
    "gap ranking": (RANKING, "gap", {"blurred": ("b",)}),
    "abroca": (RANKING, "abroca", {"blurred": ("b",)}),
    "ks": (SCORES, "ks", {"shown": {"b": lambda p: 0.6 * p}}),
    "wasserstein": (SCORES, "wasserstein", {"shown": {"b": lambda p: 0.5 * p}}),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_found(defect):
    check, name, settings = DEFECTS[defect]
    assert finding(check, name, rows(12_000, **settings)).outcome is Outcome.FAIL


@pytest.mark.parametrize(("check", "name"), ALL)
def test_a_fair_model_passes(check, name):
    assert finding(check, name, rows(8_000)).outcome is Outcome.PASS


@pytest.mark.parametrize("defect", DEFECTS)
def test_forty_rows_decide_nothing(defect):
    check, name, settings = DEFECTS[defect]
    for simulated in (rows(40), rows(40, **settings)):
        assert finding(check, name, simulated).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(("check", "name"), ALL)
def test_a_group_below_the_minimum_cannot_pass_and_is_named(check, name):
    data, answers = rows(8_000)
    names = ["rare" if i < 8 else "a" if i % 2 else "b" for i in range(8_000)]
    data = tiny_data(data.labels, {"group": names})
    found = finding(check, name, (data, answers))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "rare" in found.measurement.note


def test_opposite_errors_of_the_same_size_are_a_bias_gap_and_no_error_gap():
    shown = {"a": lambda p: 0.8 * p + 0.2, "b": lambda p: 0.8 * p}
    simulated = rows(20_000, shown=shown)
    assert finding(CALIBRATION, "gap", simulated).outcome is Outcome.PASS
    assert finding(CALIBRATION, "bias_gap", simulated).outcome is Outcome.FAIL


def test_the_largest_bias_gap_possible_is_2_and_few_rows_still_decide_nothing():
    labels = np.array([0, 1] * 10)
    scores = 1.0 - labels
    data = tiny_data(labels, {"group": ["a", "b"] * 10})
    answers = Predictions.from_probabilities(np.stack([1 - scores, scores], axis=1))
    found = finding(CALIBRATION, "bias_gap", (data, answers))
    assert found.measurement.value == 2.0
    assert found.measurement.bounds.claim.upper == 2.0
    assert found.outcome is Outcome.INCONCLUSIVE


def test_curves_that_cross_have_an_area_and_no_gap():
    # In b half of the positives are found at once and the rest never: the same AUC as in a.
    rng = np.random.default_rng(0)
    n = 6_000
    labels = rng.integers(0, 2, n)
    high = rng.random(n) < 0.5
    score_b = np.where(labels == 1, np.where(high, 0.95, 0.05), 0.5) + rng.uniform(0, 0.02, n)
    score_a = rng.uniform(0, 1, n)
    groups = np.where(np.arange(n) % 2 == 0, "a", "b")
    scores = np.where(groups == "a", score_a, score_b)
    data = tiny_data(labels, {"group": groups.tolist()})
    answers = Predictions.from_probabilities(np.stack([1 - scores, scores], axis=1))
    gap, area = (finding(RANKING, name, (data, answers)) for name in ("gap", "abroca"))
    assert gap.outcome is Outcome.PASS
    assert area.measurement.value == pytest.approx(0.25, abs=0.02)
    assert area.measurement.bounds.claim.lower > 0.1


# --- the numbers ------------------------------------------------------------------------------


def ece_by_hand(scores, labels, bins=10):
    total = 0.0
    for low in range(bins):
        inside = (scores > low / bins) & (scores <= (low + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(scores[inside].mean() - labels[inside].mean())
    return total


def test_the_values_are_those_of_sklearn_scipy_and_the_formula():
    data, answers = rows(900, shown={"b": lambda p: p**2}, blurred=("c",), groups=("a", "b", "c"))
    scores, codes = answers.probabilities[:, 1], data.groups["group"].codes
    parts = [(scores[codes == g], data.labels[codes == g]) for g in range(3)]
    pairs = [(0, 1), (0, 2), (1, 2)]

    def widest(of):
        return max(abs(of(parts[a], parts[b])) for a, b in pairs)

    expected = {
        (CALIBRATION, "gap"): widest(lambda a, b: ece_by_hand(*a) - ece_by_hand(*b)),
        (CALIBRATION, "bias_gap"): widest(lambda a, b: (a[0] - a[1]).mean() - (b[0] - b[1]).mean()),
        (RANKING, "gap"): widest(
            lambda a, b: roc_auc_score(a[1], a[0]) - roc_auc_score(b[1], b[0])
        ),
        (SCORES, "ks"): widest(lambda a, b: ks_2samp(a[0], b[0]).statistic),
        (SCORES, "wasserstein"): widest(lambda a, b: wasserstein_distance(a[0], b[0])),
    }
    for (check, name), value in expected.items():
        found = finding(check, name, (data, answers)).measurement
        assert found.value == pytest.approx(value, abs=1e-9), name
    charts = finding(CALIBRATION, "gap", (data, answers)).measurement.evidence
    assert isinstance(charts[0], Estimates)
    for row, part in zip(charts[0].rows, parts, strict=True):
        assert row.value == pytest.approx(ece_by_hand(*part), abs=1e-9)
    table = finding(SCORES, "ks", (data, answers)).measurement.evidence[0]
    assert isinstance(table, Table)
    assert table.rows[0][:3] == ("a", 300, pytest.approx(parts[0][0].mean()))


@pytest.mark.parametrize(("check", "name"), ALL)
def test_every_class_is_looked_at_when_there_is_no_positive_one(check, name):
    rng = np.random.default_rng(0)
    n = 9_000
    truth = rng.dirichlet([0.5, 0.5, 0.5], n)
    labels = (truth.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1).clip(0, 2)
    groups = np.where(np.arange(n) % 2 == 0, "a", "b")
    scores = truth.copy()
    # In b classes 1 and 2 are given the same score, and most of it goes to class 2.
    both = scores[:, 1] + scores[:, 2]
    for column, share in ((1, 0.1), (2, 0.9)):
        scores[:, column] = np.where(groups == "b", share * both, scores[:, column])
    data = tiny_data(labels, {"group": groups.tolist()}, classes=3)
    found = finding(check, name, (data, Predictions.from_probabilities(scores)))
    assert found.measurement.value > 0.1
    assert "class class 0" not in found.measurement.note


@pytest.mark.parametrize(("check", "name"), ALL)
def test_a_defect_of_an_intersection_is_found_where_neither_attribute_shows_it(check, name):
    n = 24_000
    data, answers = rows(n, groups=("a",))
    first, second = np.arange(n) % 2, (np.arange(n) // 2) % 2
    odd = first == second
    scores = answers.probabilities[:, 1].copy()
    if check is RANKING:
        scores[odd] = np.random.default_rng(0).permutation(scores[odd])
    else:
        scores[odd] = 0.4 * scores[odd]
    data = tiny_data(
        data.labels, {"x": first.astype(str).tolist(), "y": second.astype(str).tolist()}
    )
    answers = Predictions.from_probabilities(np.stack([1 - scores, scores], axis=1))
    found = findings_of(check, data, answers, limits=LIMITS if check is RANKING else None)
    by_slice = {f.measurement.slice: f.outcome for f in found if f.measurement.name == name}
    assert by_slice == {"x": Outcome.PASS, "y": Outcome.PASS, "x × y": Outcome.FAIL}


# --- the bounds -------------------------------------------------------------------------------


@pytest.mark.parametrize(("check", "name"), ALL)
def test_copies_of_the_same_rows_decide_no_more_than_the_rows(check, name):
    data, answers = rows(200)
    index = np.tile(np.arange(200), 40)
    copied = data.rows(index)
    naive = finding(check, name, (copied, answers.take(index)))
    told = finding(check, name, (replace(copied, clusters=index), answers.take(index)))
    assert naive.interval.upper < told.interval.upper
    assert told.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize(("check", "name"), ALL)
def test_equal_groups_hardly_ever_fail_whatever_the_limit(check, name, clustered):
    failed = 0
    for seed in range(40):
        n = 320
        data, answers = rows(n, seed, groups=("a", "b", "c", "d"))
        if clustered:  # each row four times
            index = np.repeat(np.arange(n // 4), 4)
            data, answers = replace(data.rows(index), clusters=index), answers.take(index)
        found = finding(check, name, (data, answers), limits={name: 0.0})
        failed += found.outcome is Outcome.FAIL
    assert failed <= 5


@pytest.mark.parametrize(
    ("check", "name", "shown", "limit"),
    [
        (CALIBRATION, "bias_gap", lambda p: 0.8 * p, 0.1),
        (SCORES, "wasserstein", lambda p: 0.8 * p, 0.1),
        (SCORES, "ks", lambda p: np.where(p < 0.5, 0.0, p), 0.5),
    ],
)
def test_a_difference_exactly_at_the_limit_is_hardly_ever_judged(check, name, shown, limit):
    # The scores have mean 1/2 and median 1/2, so that the true difference is the limit.
    wrong = 0
    for seed in range(50):
        found = finding(check, name, rows(800, seed, shown={"b": shown}), limits={name: limit})
        wrong += found.outcome is not Outcome.INCONCLUSIVE
    assert wrong <= 6


def test_the_note_says_how_often_equal_groups_would_differ_so_much():
    unlike = finding(SCORES, "ks", rows(2_000, shown={"b": lambda p: 0.5 * p}))
    assert "p = 0.005" in unlike.measurement.note
    data, answers = rows(2_000)
    clustered = replace(data, clusters=np.arange(2_000) // 2)
    assert "p = " not in finding(SCORES, "ks", (clustered, answers)).measurement.note
