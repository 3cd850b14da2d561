"""What data can show agrees with the statistics that will judge it."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.check import Confidence
from auditkit.config import AuditConfig, parse_config
from auditkit.model import Capability
from auditkit.plan import make_plan
from auditkit.registry import load_registry
from auditkit.resolution import attribute_rows, pass_chance, resolutions
from auditkit.stats.power import needed_n_equivalence, smallest_detectable_gap
from auditkit.testing import tiny_data

CONFIG: AuditConfig = parse_config({"model": {"label_column": "p"}, "data": {"path": "x.csv"}})


def resolved(data):
    plan = make_plan(CONFIG, load_registry(), frozenset(Capability))
    found = resolutions(plan.checks, data, Confidence(family=plan.suite.family))
    return {(one.check, one.attribute): one for one in found}, plan.suite.family


def test_one_pair_of_groups_as_the_power_functions_say():
    data = tiny_data([0, 1] * 1000, {"g": ["a"] * 1200 + ["b"] * 800})
    found, family = resolved(data)
    parity = found["fairness.demographic-parity", "g"]
    alpha = Confidence(family=family).corrected_alpha(2)
    assert parity.detectable == smallest_detectable_gap(800, 1200, 0.5, alpha)
    assert parity.needed == needed_n_equivalence(0.5, 0.1, pytest.approx(0.05).expected)
    assert parity.needed_total == -(-2000 * parity.needed // 800)
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
