"""Drops of accuracy with their intervals, halves, and changes of both between two models."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import binom
from statsmodels.stats.proportion import confint_proportions_2indep

from auditkit.check import Confidence
from auditkit.metrics.answered_twice import Twice, Which
from auditkit.metrics.calibration import brier_scores, reliability
from auditkit.metrics.changes import recompute
from auditkit.metrics.shifted import Side, drop, halves
from auditkit.model import Predictions
from auditkit.registry import load_registry
from auditkit.testing import findings_in, shifted, tiny_context, tiny_data

CHECKS = load_registry().checks


def side(right: np.ndarray, clusters: np.ndarray | None = None) -> Side:
    labels = np.zeros(len(right), dtype=np.int64)
    data = tiny_data(labels, clusters=clusters)
    return Side("s", data, Predictions(np.where(right, 0, 1).astype(np.int64), None))


def flags(hits: int, n: int) -> np.ndarray:
    return np.arange(n) < hits


def test_the_interval_of_independent_rows_is_newcombes():
    first, second = side(flags(180, 200)), side(flags(120, 150))
    found = drop(first, second, Confidence(), 2, np.random.default_rng(0))
    assert found.value == pytest.approx(0.1)
    for interval, alpha in ((found.claim, 0.05), (found.corrected, 0.025)):
        ends = confint_proportions_2indep(180, 200, 120, 150, method="newcomb", alpha=2 * alpha)
        assert (interval.lower, interval.upper) == pytest.approx(ends, abs=1e-9)


def test_copies_of_rows_show_no_more_than_the_rows():
    rng = np.random.default_rng(0)
    first, second = rng.random(120) < 0.9, rng.random(120) < 0.75
    alone = drop(side(first), side(second), Confidence(), 1, rng)
    copies = [np.repeat(one, 8) for one in (first, second)]
    naive = drop(side(copies[0]), side(copies[1]), Confidence(), 1, rng)
    numbers = np.repeat(np.arange(240), 8)
    tied = drop(
        side(copies[0], numbers[:960]), side(copies[1], numbers[960:]), Confidence(), 1, rng
    )
    assert alone.claim.lower is not None
    assert tied.claim.lower == pytest.approx(alone.claim.lower, abs=0.02)
    assert naive.claim.lower > tied.claim.lower + 0.03


def test_a_bound_of_clustered_rows_errs_no_more_often_than_it_claims():
    rng, wrong, runs = np.random.default_rng(1), 0, 200
    numbers = np.repeat(np.arange(120), 5)
    for _ in range(runs):
        # Both sides share clusters; a cluster is easy or hard on either.
        level = np.clip(rng.beta(6, 2, 60), 0, 1)
        right = rng.random(600) < np.repeat(np.concatenate([level, level]), 5)
        place = np.concatenate([numbers[:300], numbers[:300]])
        found = drop(
            side(right[:300], place[:300]), side(right[300:], place[300:]), Confidence(), 1, rng
        )
        wrong += not found.claim.holds(0.0) and (found.claim.upper or 0.0) < 0
    assert wrong <= binom.ppf(1 - 1e-4, runs, 0.05)


def test_halves_do_not_depend_on_order_and_keep_clusters_whole():
    data = tiny_data(np.zeros(400), clusters=np.repeat(np.arange(100), 4))
    first, second = halves(data)
    assert sorted([*first, *second]) == list(range(400))
    assert 120 < len(first) < 280
    assert not set(data.clusters[first]) & set(data.clusters[second])
    order = np.random.default_rng(0).permutation(400)
    again = halves(data.rows(order))[0]
    assert sorted(order[again]) == first.tolist()


def answers(labels: np.ndarray, hit: float, sure: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    right = rng.random(len(labels)) < hit
    score = np.where(right == (labels == 1), sure, 1 - sure) + rng.uniform(-0.04, 0.04, len(labels))
    return np.stack([1 - score, score], axis=1)


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("check", ["ood.accuracy-drop", "ood.calibration-shift"])
def test_what_the_checks_say_is_recomputed_and_its_change_is_told(check, clustered):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 3000)
    data = tiny_data(labels, clusters=rng.integers(0, 900, 3000) if clustered else None)
    out = np.arange(2000, 3000)
    before = answers(labels, 0.9, 0.9, 1)
    before[out] = answers(labels[out], 0.65, 0.95, 2)
    after = answers(labels, 0.9, 0.9, 3)
    sides = [Predictions.from_probabilities(one) for one in (before, after)]
    shifts = shifted(data, out=out)
    whole = Twice(data, *sides)
    inside = whole.rows(np.arange(2000))
    twice = dataclasses.replace(whole, shifts={"out": whole.rows(out)}, inside=inside)
    again = Twice(data, sides[0], sides[0])
    unchanged = dataclasses.replace(
        again, shifts={"out": again.rows(out)}, inside=again.rows(np.arange(2000))
    )
    found = [
        findings_in(CHECKS[check], dataclasses.replace(tiny_context(data, one), shifts=shifts))
        for one in sides
    ]
    params = dataclasses.asdict(CHECKS[check].params())
    known = 0
    for one, other in zip(*found, strict=True):
        which = Which(check, one.measurement.name, one.measurement.slice, params)
        change = recompute(which, twice, 0.025, np.random.default_rng(0))
        if change is None:
            continue
        known += 1
        assert change.before == pytest.approx(one.measurement.value, abs=1e-9)
        assert change.after == pytest.approx(other.measurement.value, abs=1e-9)
        assert change.interval.upper < 0
        assert change.interval.holds(change.after - change.before)
        same = recompute(which, unchanged, 0.025, np.random.default_rng(0))
        assert same.before == same.after
        assert same.interval.holds(0.0)
    assert known == (1 if check == "ood.accuracy-drop" else 2)
    if check == "ood.calibration-shift":
        judged = halves(data.rows(np.arange(2000)))[1]
        scores = before[judged], before[out]
        eces = [
            reliability(s, labels[r], 15).ece for s, r in zip(scores, (judged, out), strict=True)
        ]
        briers = [
            brier_scores(s, labels[r]).mean() for s, r in zip(scores, (judged, out), strict=True)
        ]
        values = {f.measurement.name: f.measurement.value for f in found[0]}
        assert values["ece_rise"] == pytest.approx(eces[1] - eces[0], abs=1e-12)
        assert values["brier_rise"] == pytest.approx(briers[1] - briers[0], abs=1e-12)


def test_a_change_is_told_of_all_rows_where_the_temperature_was_fitted_to_validation_rows():
    rng = np.random.default_rng(0)
    data = tiny_data(rng.integers(0, 2, 3200))
    audited, inside, out = data.rows(np.arange(3000)), np.arange(2000), np.arange(2000, 3000)
    sides = [
        Predictions.from_probabilities(answers(data.labels, hit, 0.9, seed))
        for hit, seed in ((0.7, 1), (0.9, 2))
    ]
    whole = Twice(audited, *(one.take(np.arange(3000)) for one in sides))
    twice = dataclasses.replace(
        whole, shifts={"out": whole.rows(out)}, inside=whole.rows(inside), chosen_apart=True
    )
    check, n = CHECKS["ood.calibration-shift"], 0
    contexts = [
        dataclasses.replace(
            tiny_context(audited, one),
            shifts=shifted(audited, out=out),
            validation=data.rows(np.arange(3000, 3200)),
        )
        for one in sides
    ]
    for one, other in zip(*(findings_in(check, context) for context in contexts), strict=True):
        params = dataclasses.asdict(check.params())
        which = Which(check.id, one.measurement.name, one.measurement.slice, params)
        change = recompute(which, twice, 0.025, rng)
        if change is not None:
            n += 1
            assert change.before == pytest.approx(one.measurement.value, abs=1e-9)
            assert change.after == pytest.approx(other.measurement.value, abs=1e-9)
    assert n == 2


def test_the_gap_between_lengths_is_recomputed_and_its_change_is_told():
    rng = np.random.default_rng(0)
    lengths, labels = rng.integers(1, 31, 2000), rng.integers(0, 2, 2000)
    data = dataclasses.replace(
        tiny_data(labels), inputs=tuple(f"{'word ' * n}x{i}" for i, n in enumerate(lengths))
    )
    sides = [
        Predictions(np.where(rng.random(2000) < hit, labels, 1 - labels), None)
        for hit in (np.where(lengths > 20, 0.6, 0.95), np.full(2000, 0.95))
    ]
    check = CHECKS["ood.invariance-to-length"]
    values = []
    for one in sides:
        asked = FakeAnswers(data, one)
        (finding,) = findings_in(
            check, dataclasses.replace(tiny_context(data, one), predictor=asked)
        )
        values.append(finding.measurement.value)
    which = Which(check.id, "gap", "", dataclasses.asdict(check.params()))
    change = recompute(which, Twice(data, *sides), 0.025, np.random.default_rng(0))
    assert (change.before, change.after) == pytest.approx(tuple(values), abs=1e-9)
    assert change.interval.upper < -0.1


class FakeAnswers:
    """Answers for the rows of a data set by their text."""

    def __init__(self, data, predictions):
        self.rows = {text: row for row, text in enumerate(data.inputs)}
        self.predictions = predictions

    def predict(self, inputs):
        return self.predictions.take(np.array([self.rows[text] for text in inputs]))
