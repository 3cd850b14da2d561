"""Rows of unknown group are taken at their worst, and groups can be compared within strata."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import product

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import StratifiedTable

from auditkit.data import Attribute, AuditData
from auditkit.finding import Finding, Outcome, Table
from auditkit.metrics.answered_twice import Twice, Which
from auditkit.metrics.changes import recompute
from auditkit.model import Predictions
from auditkit.registry import load_registry
from auditkit.testing import findings_of, tiny_data

CHECKS = load_registry().checks
PARITY, RATIO = CHECKS["fairness.demographic-parity"], CHECKS["fairness.impact-ratio"]


def counted(counts: dict[str | None, tuple[int, int]]) -> tuple[AuditData, Predictions]:
    """Rows of which k of n are selected, per group; None is the unknown group."""
    predicted = [int(i < k) for k, n in counts.values() for i in range(n)]
    groups = [name for name, (_, n) in counts.items() for _ in range(n)]
    return tiny_data([0] * len(groups), {"g": groups}), Predictions(np.array(predicted), None)


def one(check, data, predictions, **chosen) -> Finding:
    return findings_of(check, data, predictions, check.params(**chosen))[0]


EVEN = {"a": (1500, 3000), "b": (1500, 3000)}


def test_unknown_rows_that_could_hide_a_gap_forbid_a_pass_unless_missing_at_random():
    data = counted({**EVEN, None: (400, 800)})
    found = one(PARITY, *data)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "more rows would not decide" in found.message
    assert found.needed_n is None
    assert found.measurement.value == 0.0
    assert "800 rows of unknown g" in found.measurement.note
    left_out = one(PARITY, *data, unknown="left-out")
    assert left_out.outcome is Outcome.PASS
    assert "as if they were missing at random" in left_out.measurement.note
    assert left_out.measurement.region is None


def test_few_unknown_rows_leave_a_pass_and_a_failure_standing():
    assert one(PARITY, *counted({**EVEN, None: (10, 20)})).outcome is Outcome.PASS
    wide = {"a": (2400, 3000), "b": (1500, 3000), None: (10, 20)}
    assert one(PARITY, *counted(wide)).outcome is Outcome.FAIL
    assert one(RATIO, *counted(wide)).outcome is Outcome.FAIL


def test_a_gap_that_the_unknown_rows_could_close_is_no_failure():
    counts = {"a": (2400, 3000), "b": (1950, 3000), None: (500, 1000)}
    assert one(PARITY, *counted(counts), unknown="left-out").outcome is Outcome.FAIL
    assert one(PARITY, *counted(counts)).outcome is Outcome.INCONCLUSIVE
    assert one(RATIO, *counted(counts)).outcome is Outcome.INCONCLUSIVE


def test_the_region_is_that_of_all_assignments_of_the_unknown_rows():
    counts = {"a": (6, 10), "b": (3, 9), None: (2, 5)}
    gaps, ratios = [], []
    for hits, misses in product(range(3), range(4)):
        first, second = (6 + hits) / (10 + hits + misses), (5 - hits) / (14 - hits - misses)
        gaps.append(abs(first - second))
        ratios.append(min(first, second) / max(first, second))
    region = one(PARITY, *counted(counts)).measurement.region
    assert (region.lower, region.upper) == pytest.approx((min(gaps), max(gaps)))
    region = one(RATIO, *counted(counts)).measurement.region
    assert (region.lower, region.upper) == pytest.approx((min(ratios), max(ratios)))


def test_a_row_of_which_one_attribute_is_known_stays_among_the_groups_with_it():
    sex = Attribute.from_values("sex", ["f", "f", "m", "m", "f", None])
    race = Attribute.from_values("race", ["x", "y", "x", "y", None, None])
    crossed = sex.cross(race)
    possible = [crossed.could_be(code).tolist() for code in range(4)]
    assert crossed.levels == ("f × x", "f × y", "m × x", "m × y")
    assert possible == [[False] * 4 + [known, True] for known in (True, True, False, False)]


def test_without_unknown_rows_the_parameter_changes_nothing():
    for check in (PARITY, RATIO):
        data = counted({"a": (60, 100), "b": (40, 100), "c": (5, 30)})
        assert one(check, *data) == one(check, *data, unknown="left-out")


def test_unknown_clustered_rows_are_bounded_by_their_clusters():
    data, predictions = counted({**EVEN, None: (10, 20)})
    told = replace(data, clusters=np.arange(len(data)) // 20)
    plain = one(PARITY, data, predictions)
    clustered = one(PARITY, told, predictions)
    assert clustered.measurement.region.upper > 0
    assert clustered.interval.upper > plain.interval.upper


def test_accuracy_of_the_worst_group_is_bounded_and_other_metrics_say_they_are_not():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 3000)
    predicted = np.where(rng.random(3000) < 0.9, labels, 1 - labels)
    groups = [None if i % 10 == 0 else "ab"[i % 2] for i in range(3000)]
    data, answers = tiny_data(labels, {"g": groups}), Predictions(predicted, None)
    check = CHECKS["quality.group-quality"]
    found = {
        metric: findings_of(check, data, answers, check.params(metric=metric))
        for metric in ("accuracy", "f1")
    }
    worst = next(f.measurement for f in found["accuracy"] if f.measurement.name == "worst")
    right = labels == predicted
    unknown = np.array([g is None for g in groups])
    of_worst = np.array([g == worst.note.split()[2].strip(".") for g in groups])
    lowest = right[of_worst].sum() / (of_worst.sum() + (unknown & ~right).sum())
    assert worst.region.lower <= lowest + 1e-9
    assert worst.bounds.claim.lower < lowest
    for finding in found["f1"]:
        assert "missing at random" in finding.measurement.note


# --- within strata -------------------------------------------------------------------------------


def strata(cells: dict[tuple[str, str], tuple[int, int]]) -> tuple[AuditData, Predictions]:
    """Rows of which k of n are selected, per group and level of seniority."""
    groups = [g for (g, _), (_, n) in cells.items() for _ in range(n)]
    levels = [s for (_, s), (_, n) in cells.items() for _ in range(n)]
    predicted = [int(i < k) for k, n in cells.values() for i in range(n)]
    data = tiny_data(predicted, {"g": groups})
    factor = Attribute.from_values("seniority", levels)
    return replace(data, factors={"seniority": factor}), Predictions(np.array(predicted), None)


SIMPSON = {
    ("a", "junior"): (40, 400), ("b", "junior"): (160, 1600),
    ("a", "senior"): (1280, 1600), ("b", "senior"): (320, 400),
}  # fmt: skip
WITHIN = {
    ("a", "junior"): (600, 2000), ("b", "junior"): (100, 1000),
    ("a", "senior"): (400, 500), ("b", "senior"): (900, 1500),
}  # fmt: skip


def test_a_gap_that_the_factor_explains_passes_within_its_strata():
    assert one(PARITY, *strata(SIMPSON)).outcome is Outcome.FAIL
    assert one(RATIO, *strata(SIMPSON)).outcome is Outcome.FAIL
    within = one(PARITY, *strata(SIMPSON), given="seniority")
    assert within.outcome is Outcome.PASS
    assert within.measurement.value == pytest.approx(0.0, abs=1e-12)
    assert one(RATIO, *strata(SIMPSON), given="seniority").measurement.value == pytest.approx(1.0)


def test_a_gap_that_only_the_strata_show_fails_within_them():
    assert one(PARITY, *strata(WITHIN)).outcome is Outcome.PASS
    found = one(PARITY, *strata(WITHIN), given="seniority")
    assert found.outcome is Outcome.FAIL
    assert found.measurement.value == pytest.approx(0.2)
    table = next(e for e in found.measurement.evidence if isinstance(e, Table))
    assert ("junior", "a", 600, 2000, 0.3) in table.rows
    assert one(RATIO, *strata(WITHIN), given="seniority").outcome is Outcome.FAIL


def test_the_stratified_difference_and_ratio_are_those_of_mantel_and_haenszel():
    cells = {
        ("a", "1"): (12, 40), ("b", "1"): (9, 50), ("a", "2"): (30, 45), ("b", "2"): (5, 11),
        ("a", "3"): (3, 70), ("b", "3"): (4, 30),
    }  # fmt: skip
    difference = weight = 0.0
    tables = []
    for level in "123":
        (ka, na), (kb, nb) = cells["a", level], cells["b", level]
        difference += (ka * nb - kb * na) / (na + nb)
        weight += na * nb / (na + nb)
        tables.append(np.array([[ka, na - ka], [kb, nb - kb]]))
    found = one(PARITY, *strata(cells), given="seniority").measurement
    assert found.value == pytest.approx(abs(difference / weight), abs=1e-9)
    ratio = StratifiedTable(tables).riskratio_pooled
    found = one(RATIO, *strata(cells), given="seniority").measurement
    assert found.value == pytest.approx(min(ratio, 1 / ratio), abs=1e-9)


def test_too_few_rows_in_the_strata_decide_nothing_and_what_is_left_out_is_said():
    few = {("a", "x"): (5, 10), ("b", "x"): (5, 10), ("a", "y"): (9, 30)}
    found = one(PARITY, *strata(few), given="seniority")
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "1 value has rows of only one of a and b: 30 rows left out." in found.measurement.note
    assert "Too few rows for a pass: a (10), b (10)." in found.measurement.note


def test_groups_that_share_no_stratum_are_not_compared():
    apart = {("a", "x"): (500, 1000), ("b", "y"): (500, 1000)}
    found = one(PARITY, *strata(apart), given="seniority")
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.measurement.value is None


def test_an_attribute_can_be_given_and_an_unknown_factor_is_refused():
    rng = np.random.default_rng(0)
    names = {"x": rng.choice(["p", "q"], 4000).tolist(), "y": rng.choice(["r", "s"], 4000).tolist()}
    data = tiny_data(rng.integers(0, 2, 4000), names)
    answers = Predictions(rng.integers(0, 2, 4000), None)
    found = findings_of(PARITY, data, answers, PARITY.params(given="y"))
    assert [(f.measurement.slice, f.outcome) for f in found] == [("x", Outcome.PASS)]
    found = findings_of(PARITY, data, answers, PARITY.params(given="senority"))
    assert found[0].outcome is Outcome.ERROR
    assert "'senority'" in found[0].message


def test_unknown_rows_are_bounded_within_strata_too():
    data, answers = strata(SIMPSON)
    groups = [None if i % 6 == 0 else g for i, g in enumerate(
        np.array(["a", "b"])[data.groups["g"].codes].tolist())]  # fmt: skip
    data = replace(data, groups={"g": Attribute.from_values("g", groups)})
    found = one(PARITY, data, answers, given="seniority")
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.measurement.region.upper > 0.1
    left_out = one(PARITY, data, answers, given="seniority", unknown="left-out")
    assert left_out.outcome is Outcome.PASS


def test_one_stratum_is_no_stratum():
    cells = {("a", "x"): (60, 100), ("b", "x"): (40, 120), ("c", "x"): (3, 60)}
    plain, within = one(PARITY, *strata(cells)), one(PARITY, *strata(cells), given="seniority")
    assert within.measurement.value == pytest.approx(plain.measurement.value)
    assert within.interval.lower == pytest.approx(plain.interval.lower, abs=1e-9)
    assert within.interval.upper == pytest.approx(plain.interval.upper, abs=1e-9)


@pytest.mark.parametrize("check", [PARITY, RATIO, CHECKS["fairness.error-rate-balance"]])
def test_a_change_within_strata_is_recomputed_to_what_the_check_says(check):
    rng = np.random.default_rng(0)
    n = 1500
    groups, levels = rng.choice(["a", "b", "c"], n).tolist(), rng.choice(["x", "y"], n).tolist()
    data = tiny_data(rng.integers(0, 2, n), {"g": groups})
    data = replace(data, factors={"level": Attribute.from_values("level", levels)})
    before, after = (Predictions.from_probabilities(rng.dirichlet([1, 1], n)) for _ in range(2))
    params = check.params(given="level")
    name = "ratio" if check is RATIO else "gap"
    found = recompute(
        Which(check.id, name, "g", asdict(params)), Twice(data, before, after), 0.025, rng
    )
    assert found.before == pytest.approx(one(check, data, before, given="level").measurement.value)
    assert found.after == pytest.approx(one(check, data, after, given="level").measurement.value)


def test_clusters_that_reach_across_strata_widen_the_interval():
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(300), 4)
    groups = np.where(np.arange(300) % 2, "a", "b")[person].tolist()
    answers = Predictions((rng.random(300) < 0.5).astype(int)[person], None)
    levels = np.tile(["w", "x", "y", "z"], 300).tolist()
    data = tiny_data(answers.labels, {"g": groups})
    data = replace(data, factors={"level": Attribute.from_values("level", levels)})
    naive = one(PARITY, data, answers, given="level")
    told = one(PARITY, replace(data, clusters=person), answers, given="level")
    once = one(PARITY, data.rows(np.arange(0, 1200, 4)), answers)
    assert naive.interval.upper < told.interval.upper
    assert told.interval.upper == pytest.approx(once.interval.upper, abs=0.02)
