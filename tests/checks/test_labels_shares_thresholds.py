"""Label bias, representation, error rates over thresholds: defects, clean data, too few rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate, selection_rate

from auditkit.check import Confidence, Context
from auditkit.data import Attribute, AuditData
from auditkit.finding import Finding, Outcome, Table
from auditkit.measuring import run_check
from auditkit.model import Predictions
from auditkit.registry import load_registry
from auditkit.stats.differences import difference
from auditkit.stats.intervals import clopper_pearson
from auditkit.testing import FixedAnswers, findings_of, planned, tiny_data

CHECKS = load_registry().checks
LABELS = CHECKS["fairness.label-bias"]
SHARES = CHECKS["fairness.representation"]
BALANCE = CHECKS["fairness.error-rate-balance"]


def table_of(found: Finding, title: str) -> Table:
    return next(
        e for e in found.measurement.evidence if isinstance(e, Table) and e.title.startswith(title)
    )


# --- labels --------------------------------------------------------------------------------------


def labelled(
    rows: int, base: dict[str, float], model: dict[str, float]
) -> tuple[AuditData, Predictions]:
    """Groups with these base rates in the labels and in the answers."""
    rng = np.random.default_rng(0)
    groups = [list(base)[i % len(base)] for i in range(rows)]
    draw = rng.random(rows)
    labels = (draw < np.array([base[g] for g in groups])).astype(int)
    answers = (draw < np.array([model[g] for g in groups])).astype(int)
    return tiny_data(labels, {"g": groups}), Predictions(answers, None)


EVEN, BIASED = {"a": 0.5, "b": 0.5}, {"a": 0.6, "b": 0.35}


@pytest.mark.parametrize(
    ("rows", "base", "outcome"),
    [(6000, BIASED, Outcome.FAIL), (6000, EVEN, Outcome.PASS), (40, EVEN, Outcome.INCONCLUSIVE)],
)
def test_a_difference_of_base_rates_is_found_whatever_the_model_says(rows, base, outcome):
    for model in (EVEN, BIASED):
        found = findings_of(LABELS, *labelled(rows, base, model), limits={"gap": 0.1})
        assert found[0].outcome is outcome


def test_label_bias_is_reported_without_a_limit():
    found = findings_of(LABELS, *labelled(600, BIASED, EVEN))[0]
    assert found.outcome is Outcome.NOT_APPLICABLE
    assert found.measurement.value is not None


def test_the_labels_gap_equals_fairlearns():
    data, answers = labelled(500, {"a": 0.5, "b": 0.3, "c": 0.4}, dict.fromkeys("abc", 0.4))
    names = [data.groups["g"].levels[c] for c in data.groups["g"].codes]
    frame = MetricFrame(
        metrics=selection_rate, y_true=data.labels, y_pred=data.labels, sensitive_features=names
    )
    found = findings_of(LABELS, data, answers)[0].measurement
    assert found.value == pytest.approx(frame.difference(), abs=1e-9)


def test_amplification_is_the_models_gap_less_that_of_the_labels():
    data, answers = labelled(4000, {"a": 0.5, "b": 0.4}, {"a": 0.6, "b": 0.3})
    table = table_of(findings_of(LABELS, data, answers)[0], "What the model adds")
    (row,) = table.rows
    code = data.groups["g"].codes
    gaps = [v[code == 0].mean() - v[code == 1].mean() for v in (data.labels, answers.labels)]
    assert row[1:3] == ("a", "b")
    assert row[3:6] == pytest.approx((gaps[0], gaps[1], gaps[1] - gaps[0]), abs=1e-12)
    assert 0.1 < row[6] < row[5] < row[7] < 0.3
    copied = findings_of(LABELS, data, Predictions(data.labels, None))[0]
    (same,) = table_of(copied, "What the model adds").rows
    assert same[5] == 0.0
    assert same[6] < 0 < same[7]


# --- shares --------------------------------------------------------------------------------------


def shares(
    audited: dict[str | None, int], reference: dict[str | None, int] | None = None, **params
) -> Finding:
    """The finding on audited rows of these groups beside a training split of those."""

    def rows(counts: dict[str | None, int]) -> AuditData:
        return tiny_data([0] * sum(counts.values()),
                         {"g": [g for g, n in counts.items() for _ in range(n)]})  # fmt: skip

    data = rows(audited)
    context = Context(
        predictor=FixedAnswers(Predictions(np.zeros(len(data), dtype=np.int64), None)),
        data=data,
        splits={} if reference is None else {"train": rows(reference), "test": data},
        confidence=Confidence(),
        rng=np.random.default_rng(0),
        advance=lambda _: None,
    )
    return run_check(planned(SHARES, SHARES.params(**params)), context)[0]


def test_a_group_that_training_held_and_the_audit_does_not_is_found():
    assert shares({"a": 900, "b": 100}, {"a": 2000, "b": 2000}).outcome is Outcome.FAIL
    assert shares({"a": 500, "b": 500}, {"a": 2000, "b": 2000}).outcome is Outcome.PASS
    assert shares({"a": 20, "b": 20}, {"a": 2000, "b": 2000}).outcome is Outcome.INCONCLUSIVE
    gone = shares({"a": 1000}, {"a": 1000, "b": 1000})
    assert gone.outcome is Outcome.FAIL
    assert gone.measurement.value == 0.5


def test_the_shares_and_their_bounds_are_those_computed_by_hand():
    found = shares({"a": 60, "b": 40}, {"a": 100, "b": 100}).measurement
    assert found.value == pytest.approx(0.1, abs=1e-12)
    first = difference(60, 100, 100, 200, 0.05)
    assert found.bounds.claim.upper == pytest.approx(max(first.upper, -first.lower), abs=1e-12)
    assert found.bounds.comparisons == 4


def test_a_population_is_read_and_taken_as_exact(tmp_path):
    file = tmp_path / "census.csv"
    file.write_text("attribute,group,share\ng,a,0.5\ng,b,0.4\ng,c,0.1\n", encoding="utf-8")
    found = shares({"a": 1000, "b": 800}, shares_file=str(file)).measurement
    assert found.value == pytest.approx(0.1)
    assert found.bounds.claim.upper == pytest.approx(
        max(0.1, clopper_pearson(1000, 1800, 0.05).upper - 0.5), abs=1e-12
    )
    assert shares({"a": 1000, "b": 1000}, shares_file=str(file)).outcome is not Outcome.FAIL
    few_b = shares({"a": 1500, "b": 300, "c": 200}, shares_file=str(file))
    assert few_b.outcome is Outcome.FAIL
    assert "Largest for a: 75.0%" in few_b.measurement.note


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("attribute,group,share\ng,a,0.5\ng,b,0.4\n", "add up to 0.9"),
        ("attribute,group\ng,a\n", "columns must be attribute, group, share"),
        ("attribute,group,share\ng,a,half\ng,b,0.5\n", "not 'half'"),
        ("attribute,group,share\ng,a,0.5\ng,a,0.5\n", "'a' a second time"),
        ("attribute,group,share\nh,a,0.5\nh,b,0.5\n", "no sensitive attribute is called 'h'"),
        ("attribute,group,share\ng,a,1\n", "no share for 'b'"),
    ],
)
def test_a_population_that_cannot_be_meant_is_refused(tmp_path, text, message):
    file = tmp_path / "census.csv"
    file.write_text(text, encoding="utf-8")
    found = shares({"a": 10, "b": 10}, shares_file=str(file))
    assert found.outcome is Outcome.ERROR
    assert message in found.message


def test_without_a_reference_it_does_not_apply():
    assert "no split 'train'" in shares({"a": 10, "b": 10}).message
    itself = shares({"a": 10, "b": 10}, {"a": 10, "b": 10}, reference_split="test")
    assert "is the one under audit" in itself.message
    assert itself.outcome is Outcome.NOT_APPLICABLE


def test_unknown_rows_may_be_of_any_group_of_the_shares():
    audited, reference = {"a": 400, "b": 400, None: 200}, {"a": 2000, "b": 2000}
    found = shares(audited, reference)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.measurement.region.upper == pytest.approx(0.1)
    assert shares(audited, reference, unknown="left-out").outcome is Outcome.PASS


# --- thresholds ----------------------------------------------------------------------------------


def scored(
    rows: int, shift: float, seed: int = 0, classes: int = 2
) -> tuple[AuditData, Predictions]:
    """Scores around 0.3 and 0.7; those of group b are moved up by `shift` between 0.5 and 0.7."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    groups = np.array([["a", "b"][i % 2] for i in range(rows)])
    score = np.clip(np.where(labels == 1, 0.75, 0.25) + rng.normal(0, 0.12, rows), 0.01, 0.99)
    moved = (groups == "b") & (score >= 0.5) & (rng.random(rows) < shift)
    score = np.where(moved, 0.9, score)
    rest = np.repeat(((1 - score) / (classes - 1))[:, None], classes, axis=1)
    rest[:, 1] = score
    return tiny_data(labels, {"g": groups.tolist()}, classes), Predictions.from_probabilities(rest)


def test_groups_that_differ_only_at_another_threshold_are_found():
    odds = CHECKS["fairness.equalized-odds"]
    assert findings_of(odds, *scored(8000, 0.9))[0].outcome is Outcome.PASS
    found = findings_of(BALANCE, *scored(8000, 0.9))[0]
    assert found.outcome is Outcome.FAIL
    assert "at 0.7" in found.measurement.note


def test_a_balanced_score_passes_and_few_rows_decide_nothing():
    assert findings_of(BALANCE, *scored(8000, 0.0))[0].outcome is Outcome.PASS
    assert findings_of(BALANCE, *scored(60, 0.0))[0].outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("classes", [2, 3])
def test_the_gap_over_thresholds_is_the_largest_of_fairlearns(classes):
    data, answers = scored(700, 0.5, classes=classes)
    names = [data.groups["g"].levels[c] for c in data.groups["g"].codes]
    gaps = [
        MetricFrame(
            metrics=metric,
            y_true=(data.labels == index).astype(int),
            y_pred=(answers.probabilities[:, index] >= threshold).astype(int),
            sensitive_features=names,
        ).difference()
        for metric in (false_positive_rate, false_negative_rate)
        for threshold in (0.3, 0.5, 0.7)
        for index in data.viewed_classes()
    ]
    found = findings_of(BALANCE, data, answers)[0].measurement
    assert found.value == pytest.approx(max(gaps), abs=1e-9)
    assert found.bounds.comparisons == 2 * len(gaps)
    assert len(table_of(findings_of(BALANCE, data, answers)[0], "Error rates").rows) == 2 * len(
        gaps
    )


@pytest.mark.parametrize("thresholds", [(), (0.5, 0.5), (0.0,), (1.0, 0.5)])
def test_thresholds_that_cut_nothing_are_refused(thresholds):
    with pytest.raises(ValueError, match="thresholds must"):
        BALANCE.params(thresholds=thresholds)


def test_the_digest_covers_the_factors():
    data = tiny_data([0, 1], {"g": ["a", "b"]})
    with_factor = replace(data, factors={"f": Attribute.from_values("f", ["x", "y"])})
    other = replace(data, factors={"f": Attribute.from_values("f", ["y", "y"])})
    assert len({data.digest, with_factor.digest, other.digest}) == 3
    assert with_factor.rows(np.array([1])).factors["f"].codes.tolist() == [1]
