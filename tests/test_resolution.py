"""What data can show agrees with the statistics that will judge it."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from auditkit.check import Confidence
from auditkit.config import parse_config
from auditkit.finding import Outcome
from auditkit.metrics.identity_auc import identity_aucs
from auditkit.model import Capability, Predictions
from auditkit.plan import make_plan
from auditkit.registry import load_registry
from auditkit.resolution import ASSUMED_AUC, attribute_rows, resolutions
from auditkit.resolution.gaps import pass_chance, ratio_pass_chance
from auditkit.resolution.ranking import _parts
from auditkit.stats.auc import auc_components
from auditkit.stats.differences import difference_bounds
from auditkit.stats.power import needed_n_equivalence, smallest_detectable_gap
from auditkit.testing import findings_of, tiny_data

REGISTRY = load_registry()
TABLES = {"model": {"label_column": "p"}, "data": {"path": "x.csv"}}


def both(data, **checks):
    plan = make_plan(parse_config({**TABLES, "checks": checks}), REGISTRY, frozenset(Capability))
    found, unknown = resolutions(plan.checks, data, Confidence(family=plan.suite.family))
    shown = {(one.check, one.attribute or one.measure): one for one in found}
    return shown, {one.check: one.reason for one in unknown}, plan.suite.family


def resolved(data, **checks):
    shown, _, family = both(data, **checks)
    return shown, family


def test_one_pair_of_groups_as_the_power_functions_say():
    data = tiny_data([0, 1] * 1000, {"g": ["a"] * 1200 + ["b"] * 800})
    found, family = resolved(data)
    parity = found["fairness.demographic-parity", "g"]
    alpha = Confidence(family=family).corrected_alpha(2)
    assert parity.detectable == smallest_detectable_gap(800, 1200, 0.5, alpha)
    assert parity.needed == needed_n_equivalence(0.5, 0.1, pytest.approx(0.05).expected)
    assert parity.needed_total == -(-2000 * parity.needed // 800)
    lower, upper = difference_bounds(400, 800, 600, 1200, pytest.approx(0.05).expected)
    assert parity.margin == pytest.approx(upper) == pytest.approx(-lower)
    odds = found["fairness.equalized-odds", "g"]
    assert odds.smallest == 400
    assert odds.detectable == smallest_detectable_gap(
        400, 600, odds.assumed, Confidence(family=family).corrected_alpha(4)
    )


@pytest.mark.parametrize(
    ("groups", "n", "expected"), [(2, 100, 0.11), (2, 200, 0.61), (4, 500, 0.91), (8, 1000, 0.998)]
)
def test_the_chance_of_a_pass_is_that_of_the_published_simulation(groups, n, expected):
    assert pass_chance([n] * groups, 0.8, 0.1, 0.05, 20) == pytest.approx(expected, abs=0.08)


def test_rows_needed_give_about_the_power_asked_for():
    needed = needed_n_equivalence(0.8, 0.1, 0.05)
    assert pass_chance([needed] * 2, 0.8, 0.1, 0.05, 20) == pytest.approx(0.8, abs=0.07)


def test_a_group_below_the_minimum_rules_a_pass_out_and_is_named():
    data = tiny_data([0, 1] * 500, {"g": ["rare"] * 10 + ["b"] * 990})
    found, _ = resolved(data)
    one = found["fairness.demographic-parity", "g"]
    assert one.pass_chance == 0.0
    assert one.small == ("rare",)


def test_groups_are_counted_with_their_classes_and_crossed():
    data = tiny_data([0, 1, 1, 1], {"g": ["a", "a", "b", None], "h": ["x", "y", "x", "x"]})
    rows = {one.name: one for one in attribute_rows(data)}
    assert [(g.name, g.n, g.positives) for g in rows["g"].groups] == [
        ("a", 2, {"class 1": 1}), ("b", 1, {"class 1": 1}),
    ]  # fmt: skip
    assert rows["g"].missing == 1
    assert "g × h" in rows


def test_clustered_rows_count_once():
    sex = {"g": np.repeat(["a", "b"], 500).tolist()}
    alone, _ = resolved(tiny_data([0, 1] * 500, sex))
    tied, _ = resolved(tiny_data([0, 1] * 500, sex, clusters=[i // 10 for i in range(1000)]))
    key = ("fairness.demographic-parity", "g")
    assert (alone[key].smallest, tied[key].smallest) == (500, 50)
    assert tied[key].detectable > alone[key].detectable


def labels_and_groups(n, seed=0, groups="ab"):
    rng = np.random.default_rng(seed)
    return rng.permutation(n) % 2, rng.permutation(n) % len(groups)


def shares_passing(check_id, data, answers, measure, draws=80):
    """How often the check itself passes on answers drawn with these seeds."""
    check = REGISTRY.get(check_id)
    passed = []
    for seed in range(draws):
        findings = findings_of(check, data, answers(np.random.default_rng(seed)))
        passed.append(
            all(f.outcome is Outcome.PASS for f in findings if f.measurement.name == measure)
        )
    return float(np.mean(passed))


def test_the_chance_of_an_impact_ratio_is_that_of_the_check():
    truth, group = labels_and_groups(600)
    data = tiny_data(truth, {"g": ["ab"[g] for g in group]})

    def answers(rng):
        return Predictions.from_probabilities(np.eye(2)[rng.integers(0, 2, 600)])

    one = resolved(data)[0]["fairness.impact-ratio", "g"]
    assert 0.2 < one.pass_chance < 0.8
    actual = shares_passing("fairness.impact-ratio", data, answers, "ratio", draws=40)
    assert one.pass_chance == pytest.approx(actual, abs=0.2)


def test_more_rows_than_needed_prove_a_ratio_and_fewer_do_not():
    few, many = (
        resolved(tiny_data(truth, {"g": ["ab"[g] for g in group]}))[0]["fairness.impact-ratio", "g"]
        for truth, group in (labels_and_groups(600), labels_and_groups(6000))
    )
    assert ratio_pass_chance([few.needed] * 2, 0.5, 0.8, 0.05, 20) == pytest.approx(0.8, abs=0.07)
    assert few.needed == many.needed
    assert few.needed_total == 2 * few.needed
    assert 0.5 < few.detectable < 0.8 < many.detectable < 1
    assert 0 < many.margin < few.margin < 0.3


def ranked(truth, rng):
    """Normal scores whose AUC is the one that is assumed."""
    return rng.normal(2**0.5 * NormalDist().inv_cdf(ASSUMED_AUC) * truth)


@pytest.mark.parametrize(("groups", "rows"), [("ab", 110), ("abcd", 400)])
def test_the_chance_of_an_auc_is_that_of_the_check(groups, rows):
    truth, group = labels_and_groups(rows, groups=groups)
    data = tiny_data(truth, {"g": [groups[g] for g in group]})

    def answers(rng):
        score = 1 / (1 + np.exp(-ranked(truth, rng)))
        return Predictions.from_probabilities(np.column_stack([1 - score, score]))

    one = resolved(data)[0]["fairness.subgroup-auc", "g"]
    assert 0.2 < one.pass_chance < 0.9
    actual = shares_passing("fairness.subgroup-auc", data, answers, "drop", draws=100)
    # The AUCs of one group share rows; taking them as independent errs on the safe side.
    assert actual - 0.25 < one.pass_chance < actual + 0.1
    assert rows < one.needed_total < 3 * rows


def test_the_error_of_a_drop_is_what_simulation_gives():
    truth, group = labels_and_groups(800)
    member = (group == 0) & (np.arange(800) < 500)
    drops = []
    for seed in range(400):
        scores = ranked(truth, np.random.default_rng(seed))
        aucs = identity_aucs(scores, truth == 1, member, ~member)
        overall = auc_components(scores, truth == 1, truth == 0)
        drops.append([overall.value - one.value for one in aucs.named().values()])
    data = tiny_data(truth, {"g": ["ab"[not m] for m in member]})
    parts = list(_parts(data, data.groups["g"], 1))[:3]
    assert [p.name.split()[0] for p in parts] == ["subgroup", "BPSN", "BNSP"]
    assert [p.error() for p in parts] == pytest.approx(np.std(drops, axis=0), rel=0.2)


def test_an_auc_without_positives_claims_nothing():
    data = tiny_data([0, 1] * 300, {"g": (["a", "b"] * 300)})
    one = resolved(data)[0]["fairness.subgroup-auc", "g"]
    assert (one.pass_chance, one.margin, one.detectable) == (0.0, None, None)
    assert one.small == ("a", "b")


@pytest.mark.parametrize("rows", [300, 600])
def test_the_chance_of_a_calibration_error_is_that_of_the_check(rows):
    truth, _ = labels_and_groups(rows)
    data = tiny_data(truth)

    def answers(rng):
        sure = rng.uniform(0.5, 1, rows)
        right = rng.random(rows) < sure
        chosen = np.where(right, truth, 1 - truth)
        scores = np.where(chosen == 1, sure, 1 - sure)
        return Predictions.from_probabilities(np.column_stack([1 - scores, scores]))

    one = resolved(data)[0]["quality.calibration", "calibration_error"]
    actual = shares_passing("quality.calibration", data, answers, "calibration_error")
    assert one.pass_chance == pytest.approx(actual, abs=0.15)
    assert 400 < one.needed < 1500


def eighty_percent(truth):
    """Answers that are right in just 80 % of the rows of each class."""
    predicted = truth.copy()
    for index in (0, 1):
        rows = np.flatnonzero(truth == index)
        predicted[rows[: len(rows) // 5]] = 1 - index
    return Predictions.from_probabilities(np.eye(2)[predicted])


@pytest.mark.parametrize("metric", ["accuracy", "balanced-accuracy"])
def test_the_margin_of_a_metric_is_that_of_the_check(metric):
    truth = np.repeat([0, 1], [300, 700])
    data = tiny_data(truth)
    check = REGISTRY.get("quality.metric")
    params = check.params(metric=metric)
    shown, _ = resolved(data, **{"quality.metric": {"params": {"metric": metric}}})
    for finding in findings_of(check, data, eighty_percent(truth), params):
        one = shown.get(("quality.metric", finding.measurement.name))
        if one is not None:
            lower = finding.measurement.bounds.claim.lower
            assert one.margin == pytest.approx(finding.measurement.value - lower, abs=0.002)
            assert one.detectable > one.margin
    assert ("quality.metric", "value") in shown


def test_a_limit_that_is_set_is_what_a_drop_is_measured_from():
    truth = np.repeat([0, 1], 500)
    shown, _ = resolved(tiny_data(truth), **{"quality.metric": {"limits": {"value": 0.95}}})
    one = shown["quality.metric", "value"]
    free = resolved(tiny_data(truth))[0]["quality.metric", "value"]
    assert one.limit == 0.95
    assert one.detectable < free.detectable


def test_what_has_no_formula_is_named():
    data = tiny_data([0, 1] * 200, {"g": ["a", "b"] * 200})
    _, unknown, _ = both(
        data,
        **{
            "quality.metric": {"params": {"metric": "f1"}},
            "quality.group-quality": {"params": {"metric": "mcc"}},
            "fairness.demographic-parity": {"params": {"attributes": ["nobody"]}},
        },
    )
    assert "f1 depends on" in unknown["quality.metric"]
    assert "mcc depends on" in unknown["quality.group-quality"]
    assert "nobody" in unknown["fairness.demographic-parity"]


def test_attributes_that_cross_into_too_many_groups_are_shown_alone():
    rng = np.random.default_rng(0)
    many = {name: [f"{name}{i}" for i in rng.integers(0, 30, 3000)] for name in "gh"}
    data = tiny_data([0, 1] * 1500, many)
    assert [one.name for one in attribute_rows(data)] == ["g", "h"]
    shown, unknown, _ = both(data)
    assert "can be compared" in unknown["fairness.demographic-parity"]
    assert ("quality.metric", "value") in shown


def test_one_group_compares_with_nothing():
    shown, unknown, _ = both(tiny_data([0, 1] * 200, {"g": ["a"] * 400}))
    assert not [key for key in shown if key[0].startswith("fairness.")]
    assert unknown["fairness.subgroup-auc"] == "there is nothing to compare"


def scored(scores):
    return Predictions.from_probabilities(np.column_stack([1 - scores, scores]))


@pytest.mark.parametrize(("groups", "rows"), [("ab", 330), ("abc", 700)])
def test_the_chance_of_a_gap_of_aucs_is_that_of_the_check(groups, rows):
    truth, group = labels_and_groups(rows, groups=groups)
    data = tiny_data(truth, {"g": [groups[g] for g in group]})
    one = resolved(data)[0]["fairness.ranking-gap", "g"]
    assert 0.2 < one.pass_chance < 0.9
    actual = shares_passing(
        "fairness.ranking-gap", data, lambda rng: scored(1 / (1 + np.exp(-ranked(truth, rng)))),
        "gap", draws=60,
    )  # fmt: skip
    assert one.pass_chance == pytest.approx(actual, abs=0.2)
    assert rows / len(groups) / 2 < one.needed < rows


def test_the_margin_of_a_gap_of_aucs_is_about_that_of_the_check():
    truth, group = labels_and_groups(2000)
    data = tiny_data(truth, {"g": ["ab"[g] for g in group]})
    answers = scored(1 / (1 + np.exp(-ranked(truth, np.random.default_rng(0)))))
    one = resolved(data)[0]["fairness.ranking-gap", "g"]
    (gap, *_) = findings_of(REGISTRY.get("fairness.ranking-gap"), data, answers)
    width = gap.measurement.bounds.claim.upper - gap.measurement.value
    assert one.margin == pytest.approx(width, rel=0.2)
    assert one.detectable > one.margin


@pytest.mark.parametrize("measure", ["ks", "wasserstein"])
def test_the_margin_of_a_distance_is_that_of_the_check_whatever_the_scores(measure):
    truth, group = labels_and_groups(2000)
    data = tiny_data(truth, {"g": ["ab"[g] for g in group]})
    shown = {one.measure: one for one in distances_of(data)}
    answers = scored(np.random.default_rng(0).random(2000))
    for finding in findings_of(REGISTRY.get("fairness.score-distribution"), data, answers):
        measured = finding.measurement
        if measured.name == measure:
            width = measured.bounds.claim.upper - measured.value
            assert shown[measure].margin == pytest.approx(width)
            assert width < shown[measure].detectable < 3 * width + 0.1


def distances_of(data):
    plan = make_plan(parse_config(TABLES), REGISTRY, frozenset(Capability))
    found, _ = resolutions(plan.checks, data, Confidence(family=plan.suite.family))
    return [one for one in found if one.check == "fairness.score-distribution"]


def test_the_chance_of_a_distance_is_that_of_the_check():
    truth, group = labels_and_groups(1600)
    data = tiny_data(truth, {"g": ["ab"[g] for g in group]})
    one = next(one for one in distances_of(data) if one.measure == "ks")
    actual = shares_passing(
        "fairness.score-distribution", data, lambda rng: scored(rng.random(1600)), "ks", draws=60
    )
    assert one.pass_chance == pytest.approx(actual, abs=0.2)
    assert 0.05 < one.pass_chance < 0.999
    assert 400 < one.needed < 1600


def test_thresholds_are_compared_each_and_labels_are_counted():
    data = tiny_data([0, 1] * 1000, {"g": ["a"] * 1200 + ["b"] * 800})
    found, family = resolved(data)
    balance = found["fairness.error-rate-balance", "g"]
    alpha = Confidence(family=family).corrected_alpha(2 * 2 * 3)
    assert balance.detectable == smallest_detectable_gap(400, 600, balance.assumed, alpha)
    assert balance.pass_chance < found["fairness.equalized-odds", "g"].pass_chance
    labels = found["fairness.label-bias", "g"]
    assert (labels.assumed, labels.limit, labels.pass_chance) == (0.5, None, None)


def test_the_error_of_a_probe_is_that_of_guessing():
    data = tiny_data([0, 1] * 1000, {"g": ["a"] * 1200 + ["b"] * 800})
    one = resolved(data)[0]["fairness.proxy", "g"]
    rng = np.random.default_rng(0)
    told = [
        auc_components(rng.random(1000), np.arange(1000) < 400, np.arange(1000) >= 400).value
        for _ in range(300)
    ]
    assert one.margin == pytest.approx(1.645 * np.std(told), rel=0.15)
    assert 0.5 + one.margin < one.detectable < 0.6


def test_a_check_without_a_resolution_says_why():
    data = tiny_data([0, 1] * 200, {"g": ["a", "b"] * 200})
    _, unknown, _ = both(data)
    silent = {
        check for check, reason in unknown.items() if reason == "no formula is known for this check"
    }
    assert not [check for check in silent if check.startswith("fairness.")]
    assert "templates" in unknown["fairness.template-bias"]


def test_groups_too_small_to_rank_claim_nothing():
    data = tiny_data([0, 1] * 300, {"g": ["a", "b"] * 300})
    one = resolved(data)[0]["fairness.ranking-gap", "g"]
    assert (one.pass_chance, one.margin, one.detectable) == (0.0, None, None)
    assert one.small == ("a", "b")
