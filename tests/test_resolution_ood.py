"""What rows out of distribution, pairs and training rows can show agrees with the checks."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.stats import binom

from auditkit.check import Confidence
from auditkit.finding import Finding, Outcome
from auditkit.model import Predictions
from auditkit.registry import load_registry
from auditkit.resolution import ASSUMED_RATE, Audited, Resolution, resolutions
from auditkit.resolution.shifts import fewest_hits
from auditkit.stats.auc import auc_components, auc_interval
from auditkit.stats.differences import difference_bounds
from auditkit.stats.intervals import rate
from auditkit.stats.power import (
    smallest_detectable_drop,
    smallest_detectable_gap,
    smallest_detectable_paired,
)
from auditkit.testing import findings_in, planned, shifted, tiny_context, tiny_data

CHECKS = load_registry().checks
CONFIDENCE = Confidence(family=4)


def shown(check: str, audited: Audited, params=None, limits=None) -> list[Resolution]:
    entry = planned(CHECKS[check], params, limits)
    found, unknown = resolutions([entry], audited, CONFIDENCE)
    assert not unknown, unknown[0].reason
    return list(found)


def around(inside: int, outside: int, clusters: int = 0) -> Audited:
    n = inside + outside
    numbers = np.arange(n) // clusters if clusters else None
    data = tiny_data(np.arange(n) % 2, clusters=numbers)
    return Audited(data, shifted(data, far=np.arange(inside, n)))


def found(check: str, audited: Audited, answers: Predictions, name: str, **more) -> Finding:
    context = replace(tiny_context(audited.data, answers), shifts=audited.shifts)
    (one,) = (f for f in findings_in(CHECKS[check], context, **more) if f.measurement.name == name)
    return one


def answers(audited: Audited, chance: float, rng: np.random.Generator) -> Predictions:
    labels = audited.data.labels
    right = rng.random(len(labels)) < chance
    return Predictions(np.where(right, labels, 1 - labels), None)


def near(shares: list[bool], chance: float) -> bool:
    """Whether so many passes are likely, give or take what a plan may be off."""
    n, k = len(shares), sum(shares)
    low, high = (
        binom.ppf(level, n, p)
        for level, p in (
            (1e-3, max(chance - 0.06, 0.0)),
            (1 - 1e-3, min(chance + 0.06, 1.0)),
        )
    )
    return bool(low <= k <= high)


def test_a_drop_is_told_by_the_rows_of_both_sides():
    (one,) = shown("ood.accuracy-drop", around(1000, 400))
    alpha = CONFIDENCE.corrected_alpha(1)
    assert (one.measure, one.attribute, one.smallest) == ("drop", "far", 400)
    assert one.detectable == smallest_detectable_gap(1000, 400, ASSUMED_RATE, alpha)
    _, upper = difference_bounds(800, 1000, 320, 400, 0.05)
    assert one.margin == pytest.approx(float(upper))
    (tied,) = shown("ood.accuracy-drop", around(1000, 400, clusters=4))
    assert (tied.smallest, tied.detectable) == (100, pytest.approx(2 * one.detectable, rel=0.1))


@pytest.mark.parametrize(("inside", "outside"), [(400, 200), (900, 500)])
def test_the_chance_of_a_drop_is_that_of_the_check(inside, outside):
    audited, rng = around(inside, outside), np.random.default_rng(0)
    (one,) = shown("ood.accuracy-drop", audited)
    passed = [
        found("ood.accuracy-drop", audited, answers(audited, ASSUMED_RATE, rng), "drop").outcome
        is Outcome.PASS
        for _ in range(120)
    ]
    assert near(passed, one.pass_chance)


def test_rows_needed_let_equal_accuracies_pass():
    (one,) = shown("ood.accuracy-drop", around(400, 200))
    assert one.needed_total == pytest.approx(600 * one.needed / 200, abs=3)
    (enough,) = shown("ood.accuracy-drop", around(one.needed * 2, one.needed))
    assert enough.pass_chance == pytest.approx(0.8, abs=0.07)
    (few,) = shown("ood.accuracy-drop", around(500, 99))
    assert (few.pass_chance, few.small) == (0.0, ("far",))


def scored(audited: Audited, rng: np.random.Generator) -> Predictions:
    """Probabilities that are right as often as they say."""
    labels = audited.data.labels
    sure = rng.uniform(0.5, 1.0, len(labels))
    right = rng.random(len(labels)) < sure
    score = np.where(right == (labels == 1), sure, 1 - sure)
    return Predictions.from_probabilities(np.stack([1 - score, score], axis=1))


def test_the_chance_of_coverage_is_that_of_the_check_with_its_calibration():
    audited, rng = around(900, 400), np.random.default_rng(1)
    found_ = {(one.measure): one for one in shown("ood.conformal-coverage", audited)}
    names = ("shortfall", "shift_shortfall")
    passed: dict[str, list[bool]] = {name: [] for name in names}
    for _ in range(120):
        given = scored(audited, rng)
        for name in names:
            one = found("ood.conformal-coverage", audited, given, name)
            passed[name].append(one.outcome is Outcome.PASS)
    for name in names:
        assert near(passed[name], found_[name].pass_chance)
    far = found_["shift_shortfall"]
    alpha = CONFIDENCE.corrected_alpha(1)
    assert far.detectable == smallest_detectable_drop(400, 0.9, alpha)
    assert far.margin == pytest.approx(0.9 - rate(360, 400, 0.05).lower)


def test_coverage_of_groups_is_told_by_the_smallest():
    audited = around(900, 400)
    groups = tiny_data(audited.data.labels, {"g": ["a"] * 100 + ["b"] * 1200}).groups
    data = replace(audited.data, groups=groups)
    one = next(
        one
        for one in shown("ood.conformal-coverage", replace(audited, data=data))
        if one.measure == "group_shortfall"
    )
    assert (one.attribute, one.smallest_group) == ("g", "a")
    assert 30 < one.smallest < 70
    alpha = CONFIDENCE.corrected_alpha(2)
    assert one.detectable == smallest_detectable_drop(one.smallest, 0.9, alpha)


def test_pairs_are_counted_as_the_check_ties_them():
    data = tiny_data(np.tile([0, 1], 300))
    tied = replace(data, pairs=tuple(f"p{i // 2}" if i < 500 else None for i in range(600)))
    drop, consistency = shown("ood.contrast-consistency", Audited(tied))
    alpha = CONFIDENCE.corrected_alpha(1)
    assert (drop.smallest, consistency.smallest) == (250, 250)
    assert drop.detectable == pytest.approx(smallest_detectable_paired(250, 0.32, alpha))
    assert consistency.detectable == smallest_detectable_drop(250, 0.7, alpha)
    rng, passed = np.random.default_rng(2), []
    for _ in range(150):
        both = np.repeat(rng.random(250) < ASSUMED_RATE, 2)
        right = np.concatenate([both, np.ones(100, dtype=bool)])
        given = Predictions(np.where(right, tied.labels, 1 - tied.labels), None)
        one = found("ood.contrast-consistency", Audited(tied), given, "consistency")
        passed.append(one.outcome is Outcome.PASS)
    assert near(passed, consistency.pass_chance)


def test_the_margin_of_an_auroc_is_that_of_normal_scores():
    audited, rng = around(600, 200), np.random.default_rng(3)
    (one,) = shown("ood.detection", replace(audited, training=audited.data))
    margins = []
    for _ in range(40):
        scores = np.concatenate([rng.normal(0, 1, 600), rng.normal(1.683, 1, 200)])
        area = auc_components(scores, np.arange(800) >= 600, np.arange(800) < 600)
        margins.append(area.value - auc_interval(area, 0.05).lower)
    assert one.margin == pytest.approx(np.mean(margins), rel=0.15)
    assert 0 < one.detectable < 0.2
    assert one.pass_chance == pytest.approx(1.0, abs=0.01)
    (few,) = shown("ood.detection", around(600, 20))
    assert few.detectable > one.detectable


def test_drift_is_told_by_half_of_the_rows_at_most_so_many():
    audited = replace(around(700, 0), training=tiny_data(np.zeros(5000)), shifts={})
    (one,) = shown("ood.drift", audited)
    assert one.smallest == 350
    assert 0.5 < 0.5 + one.margin < one.detectable < 0.7
    assert one.pass_chance > 0.99
    (few,) = shown("ood.drift", replace(audited, data=tiny_data(np.zeros(60))))
    assert (few.pass_chance, bool(few.small)) == (0.0, True)


@cache
def _words(n: int) -> tuple[str, ...]:
    rng = np.random.default_rng(5)
    return tuple(" ".join(["word"] * size) for size in rng.integers(5, 60, n))


def test_bands_of_length_are_compared_as_groups_are():
    data = replace(tiny_data(np.arange(3000) % 2), inputs=_words(3000))
    (one,) = shown("ood.invariance-to-length", Audited(data))
    assert (one.measure, one.attribute) == ("gap", "length")
    assert 500 < one.smallest < 640
    assert one.smallest_group.endswith("words")
    alpha = CONFIDENCE.corrected_alpha(20)
    assert one.detectable == pytest.approx(
        smallest_detectable_gap(one.smallest, 600, ASSUMED_RATE, alpha), rel=0.05
    )
    entry = planned(CHECKS["ood.invariance-to-length"])
    _, (unknown,) = resolutions([entry], Audited(tiny_data([0, 1] * 50)), CONFIDENCE)
    assert "no texts" in unknown.reason


def test_none_of_enough_rows_passes_and_none_of_fewer_does_not():
    (one,) = shown("ood.label-noise", Audited(tiny_data(np.arange(100) % 2)))
    assert (one.pass_chance, one.needed) == (1.0, 59)
    assert one.margin == pytest.approx(1 - 0.05 ** (1 / 100))
    for rows, outcome in ((one.needed, Outcome.PASS), (one.needed - 1, Outcome.INCONCLUSIVE)):
        audited = Audited(tiny_data(np.arange(rows) % 2))
        (again,) = shown("ood.label-noise", audited)
        assert again.pass_chance == float(outcome is Outcome.PASS)
        sure = np.where(audited.data.labels[:, None] == [0, 1], 0.9, 0.1)
        given = Predictions.from_probabilities(sure)
        assert found("ood.label-noise", audited, given, "flagged").outcome is outcome


def test_every_part_that_can_leak_has_its_rows():
    audited = around(500, 120)
    split = tiny_data(np.zeros(80))
    parts = {
        one.attribute: one
        for one in shown("ood.leakage", replace(audited, held_out={"validation": split}))
    }
    assert {name: one.smallest for name, one in parts.items()} == {
        "": 500, "far": 120, "split 'validation'": 80,
    }  # fmt: skip
    assert [parts[name].pass_chance for name in ("", "far", "split 'validation'")] == [1, 0, 0]
    alpha = CONFIDENCE.corrected_alpha(3)
    assert parts[""].detectable == smallest_detectable_drop(500, 0.98, alpha)


def test_what_no_limit_is_set_for_has_no_chance():
    for check in ("ood.accuracy-drop", "ood.detection", "ood.label-noise"):
        free = dict.fromkeys((limit.name for limit in CHECKS[check].limits), None)
        audited = replace(around(400, 200), training=tiny_data(np.zeros(500)))
        assert [one.pass_chance for one in shown(check, audited, limits=free)] == [None]


def test_what_still_has_no_formula_says_why():
    entries = [planned(CHECKS[id]) for id in ("ood.calibration-shift", "ood.selective-prediction")]
    _, unknown = resolutions(entries, around(400, 200), CONFIDENCE)
    assert all("depends on the scores" in one.reason for one in unknown)
    assert len(unknown) == 2


def test_the_fewest_hits_are_found_between_none_and_all():
    assert fewest_hits(10, lambda k: k >= 7) == 7
    assert fewest_hits(10, lambda k: k >= 0) == 0
    assert fewest_hits(10, lambda k: k > 10) is None
