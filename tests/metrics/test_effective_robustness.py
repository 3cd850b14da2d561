"""Relative and effective robustness: the definition, the interval's errors, and what is planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom

from auditkit.finding import Finding, Outcome
from auditkit.metrics.effective_robustness import Both, beyond_the_line, effective_robustness
from auditkit.model import Predictions
from auditkit.registry import load_registry
from auditkit.stats.paired import paired_gap
from auditkit.testing import FixedAnswers, findings_in, shifted, tiny_context, tiny_data

DROP = load_registry().checks["ood.accuracy-drop"]
LIMITS = {"relative_robustness": -0.05, "effective_robustness": -0.05}


def shares(model: float, baseline: float, apart: float) -> np.ndarray:
    """Of rows that neither, only the model, only the baseline, and both answer rightly."""
    only_model, only_baseline = (apart + model - baseline) / 2, (apart - model + baseline) / 2
    return np.array(
        [1 - baseline - only_model, only_model, only_baseline, baseline - only_baseline]
    )


def both(cells: np.ndarray, clusters: np.ndarray | None = None) -> Both:
    return Both(cells % 2 == 1, cells >= 2, clusters)


def by_definition(here: np.ndarray, there: np.ndarray) -> float:
    """Accuracy on the set less the value of the line, with logits as Taori et al. draw them."""
    (a, b), (c, d) = ((one[1] + one[3], one[2] + one[3]) for one in (here, there))
    return float(c - expit(logit(a) + logit(d) - logit(b)))


def test_the_quantity_is_what_the_line_through_the_baseline_leaves():
    here, there = shares(0.92, 0.88, 0.06), shares(0.7, 0.75, 0.2)
    expected = by_definition(here, there)
    # Odds: 11.5 in distribution, the baseline's 7.3333 and 3 on the set; 4.7045 is expected.
    assert expected == pytest.approx(0.7 - 4.704545 / 5.704545, abs=1e-6)
    assert beyond_the_line(1000 * here, 500 * there) == pytest.approx(expected, abs=1e-12)
    many = beyond_the_line(np.stack([here, there]), np.stack([there, there]))
    assert many == pytest.approx([expected, 0.0], abs=1e-12)


def test_the_same_answers_have_none_and_all_right_has_a_number():
    for cells in (np.repeat([0, 3], [5, 95]), np.full(100, 3), np.zeros(100, dtype=int)):
        same = both(cells)
        value, (interval,) = effective_robustness(same, same, (0.05,), np.random.default_rng(0))
        assert value == pytest.approx(0.0, abs=1e-12)
        assert -1 <= interval.lower < 0 < interval.upper <= 1


RUNS, ALPHAS = 1000, (0.05, 0.01)


def most(alpha: float) -> float:
    """Errors that happen by luck with a chance of 1e-4."""
    return float(binom.ppf(1 - 1e-4, RUNS, alpha))


def test_each_end_errs_no_more_often_than_it_claims():
    here, there = shares(0.97, 0.95, 0.03), shares(0.85, 0.9, 0.09)
    true, rng = by_definition(here, there), np.random.default_rng(1)
    wrong = np.zeros((2, 2))
    for _ in range(RUNS):
        sides = both(rng.choice(4, 250, p=here)), both(rng.choice(4, 200, p=there))
        _, found = effective_robustness(*sides, ALPHAS, rng)
        wrong += [[one.lower > true, one.upper < true] for one in found]
    for errors, alpha in zip(wrong, ALPHAS, strict=True):
        assert errors.max() <= most(alpha)


def test_ends_of_clustered_rows_err_no_more_often_than_they_claim():
    here, there, rows = shares(0.9, 0.9, 0.05), shares(0.8, 0.8, 0.1), 400
    true, rng = by_definition(here, there), np.random.default_rng(9)
    clusters, wrong = np.repeat(np.arange(rows // 4), 4), np.zeros((2, 2))

    def side(odds: np.ndarray) -> np.ndarray:
        """Most of the rows are what the first of their cluster is."""
        first, own = rng.choice(4, rows // 4, p=odds)[clusters], rng.choice(4, rows, p=odds)
        return np.where(rng.random(rows) < 0.8, first, own)

    for _ in range(RUNS):
        cells = side(here), side(there)
        sides = [both(one, clusters) for one in cells]
        _, found = effective_robustness(*sides, ALPHAS, rng)
        wrong += [[one.lower > true, one.upper < true] for one in found]
    for errors, alpha in zip(wrong, ALPHAS, strict=True):
        assert errors.max() <= most(alpha)
    _, (naive, _) = effective_robustness(*map(both, cells), ALPHAS, rng)
    assert found[0].upper - found[0].lower > 1.3 * (naive.upper - naive.lower)


def scene(model: tuple[float, float], rows: int, clusters: bool = False, alike: bool = False):
    """A context: accuracies in distribution and on the set; the baseline has 0.9 and 0.8."""
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 2 * rows)
    far = np.arange(2 * rows) >= rows
    hard = rng.random(2 * rows)
    baseline = hard < np.where(far, 0.8, 0.9)
    own = hard if alike else np.where(rng.random(2 * rows) < 0.2, rng.random(2 * rows), hard)
    right = own < np.where(far, model[1], model[0])
    data = tiny_data(labels, clusters=np.arange(2 * rows) // 2 if clusters else None)

    def answers(flags: np.ndarray) -> Predictions:
        return Predictions(np.where(flags, labels, 1 - labels), None)

    context = tiny_context(data, answers(right))
    return replace(
        context,
        shifts=shifted(data, far=np.flatnonzero(far)),
        baseline=FixedAnswers(answers(baseline)),
    ), (right, baseline)


def found(context, limits=LIMITS) -> dict[str, Finding]:
    return {f.measurement.name: f for f in findings_in(DROP, context, limits=limits)}


@pytest.mark.parametrize("clusters", [False, True])
def test_a_planted_weakness_on_the_set_is_below_the_line_and_an_equal_model_is_not(clusters):
    weak, _ = scene((0.93, 0.65), 1500, clusters)
    for name in LIMITS:
        assert found(weak)[name].outcome is Outcome.FAIL
        assert found(weak)[name].measurement.bounds.corrected.upper < -0.05
    equal, _ = scene((0.9, 0.8), 1500, clusters)
    for name in LIMITS:
        assert found(equal)[name].outcome is Outcome.PASS
        assert found(equal)[name].measurement.bounds.corrected.holds(0.0)


def test_a_model_that_is_better_everywhere_is_above_the_baseline_and_on_its_line():
    better, _ = scene((0.94, float(expit(logit(0.94) + logit(0.8) - logit(0.9)))), 4000)
    measured = found(better)
    assert measured["relative_robustness"].measurement.bounds.corrected.lower > 0.02
    assert measured["effective_robustness"].measurement.bounds.corrected.holds(0.0)
    assert measured["effective_robustness"].outcome is Outcome.PASS


def test_fifty_rows_decide_nothing():
    for accuracies in ((0.93, 0.65), (0.9, 0.8)):
        context, _ = scene(accuracies, 50)
        for name in LIMITS:
            assert found(context)[name].outcome is Outcome.INCONCLUSIVE


def test_ninety_nine_equal_rows_do_not_pass():
    context, _ = scene((0.9, 0.8), 99, alike=True)
    lenient = dict.fromkeys(LIMITS, -0.9)
    assert found(context, lenient)["relative_robustness"].outcome is Outcome.INCONCLUSIVE


def test_relative_robustness_is_the_paired_gain_on_the_set():
    context, (right, baseline) = scene((0.93, 0.65), 400)
    measured = found(context)["relative_robustness"].measurement
    gained = (right[400:] & ~baseline[400:]).sum(), (baseline[400:] & ~right[400:]).sum()
    assert measured.value == pytest.approx((int(gained[0]) - int(gained[1])) / 400, abs=1e-12)
    interval = paired_gap(int(gained[0]), int(gained[1]), 400, 0.05)
    ends = measured.bounds.claim.lower, measured.bounds.claim.upper
    assert ends == pytest.approx((interval.lower, interval.upper), abs=1e-12)


def test_without_a_baseline_or_a_limit_nothing_more_is_judged():
    context, _ = scene((0.93, 0.65), 400)
    assert set(found(replace(context, baseline=None))) == {"drop", "worst_drop"}
    reported = found(context, None)
    assert [reported[name].limit for name in LIMITS] == [None, None]
    assert reported["effective_robustness"].measurement.value < -0.1
