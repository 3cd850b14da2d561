"""robustness.fairness-of-robustness finds the group that an attacker turns more easily."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from auditkit.data import Attribute, AuditData
from auditkit.finding import Finding, Outcome
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel, findings_on

pytestmark = pytest.mark.skipif(
    any(find_spec(package) is None for package in ("textattack", "greenlet")),
    reason="needs the attacks extra",
)

CHECK = load_registry().get("robustness.fairness-of-robustness")


def answer(text: str) -> list[float]:
    """Right, but where a row that ought to keep its word has it no more."""
    right = [0.1, 0.9] if text.endswith("!1") else [0.9, 0.1]
    return right[::-1] if "?" in text and "marker" not in text else right


def data_of(groups: list[str], fragile: Any, **more: Any) -> AuditData:
    """Rows of these groups; `fragile` says of a row's number and group whether it can be turned."""
    labels = np.arange(len(groups)) % 2
    texts = [
        f"marker film{row} {'?' if fragile(row, group) else '-'} !{labels[row]}"
        for row, group in enumerate(groups)
    ]
    named = {"group": Attribute.from_values("group", groups)} | more.pop("also", {})
    return AuditData(tuple(texts), labels, ("bad", "good"), 1, groups=named, **more)


def found(data: AuditData, **params: Any) -> list[Finding]:
    model = SharedPredictor(FakeModel(answer))
    return findings_on(CHECK, data, model, CHECK.params(**params))


def test_a_group_that_is_easily_turned_is_found():
    (finding,) = found(data_of(["a", "b"] * 200, lambda _, group: group == "b"), examples=120)
    assert finding.outcome is Outcome.FAIL
    assert finding.measurement.value == 1.0
    assert "120 right answers were attacked" in finding.measurement.note
    assert [row.count for row in finding.measurement.evidence[0].rows] == [0, 60]


def test_groups_alike_pass_with_enough_rows():
    groups = ["a", "b"] * 500
    (finding,) = found(data_of(groups, lambda row, _: row % 20 < 2), examples=900)
    assert finding.outcome is Outcome.PASS
    assert finding.measurement.value < 0.05


@pytest.mark.parametrize("fragile", [lambda *_: False, lambda row, _: row % 4 < 2])
def test_few_examples_decide_nothing(fragile):
    (finding,) = found(data_of(["a", "b"] * 15, fragile))
    assert finding.outcome is Outcome.INCONCLUSIVE


def test_a_rare_group_is_drawn_as_often_as_a_large_one():
    groups = ["rare" if row % 20 == 0 else "large" for row in range(1000)]
    (finding,) = found(data_of(groups, lambda *_: False), examples=80)
    sizes = {row.label: row.n for row in finding.measurement.evidence[0].rows}
    assert sizes == {"large": 40, "rare": 40}


def test_with_two_attributes_every_combination_is_drawn_alike():
    groups = ["a", "b"] * 200
    other = Attribute.from_values("other", ["x" if row % 10 < 8 else "y" for row in range(400)])
    findings = found(data_of(groups, lambda *_: False, also={"other": other}), examples=80)
    by_slice = {f.measurement.slice: f.measurement for f in findings}
    assert list(by_slice) == ["group", "other", "group × other"]
    assert [row.n for row in by_slice["group × other"].evidence[0].rows] == [20, 20, 20, 20]


def test_wrong_answers_and_repeated_texts_are_not_attacked():
    data = data_of(["a", "b"] * 60, lambda *_: False)
    labels = data.labels.copy()
    labels[:20] = 1 - labels[:20]
    twice = AuditData(
        data.inputs * 2,
        np.tile(labels, 2),
        data.class_names,
        1,
        groups={"group": Attribute.from_values("group", ["a", "b"] * 120)},
    )
    (finding,) = found(twice, examples=1000)
    assert finding.measurement.n == 100
    assert "100 right answers were attacked" in finding.measurement.note
