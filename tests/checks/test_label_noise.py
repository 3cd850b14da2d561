"""ood.label-noise: the rows cleanlab flags, planted flips, and both ends of the accuracy."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from auditkit.finding import Finding, Outcome
from auditkit.metrics.label_noise import suspect_labels
from auditkit.model import Predictions
from auditkit.registry import load_registry
from auditkit.testing import findings_of, tiny_data

NOISE = load_registry().checks["ood.label-noise"]


def answers(n: int, flips: float, classes: int = 2, seed: int = 0):
    """Given labels, probabilities of a model that is right on nearly all true ones, and flips."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), truth] += 5
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    flipped = rng.random(n) < flips
    labels = np.where(flipped, (truth + 1) % classes, truth)
    return labels, probabilities, flipped


def finding(name: str, labels, probabilities, clusters=None) -> Finding:
    data = replace(tiny_data(labels, classes=probabilities.shape[1]), clusters=clusters)
    found = findings_of(NOISE, data, Predictions.from_probabilities(probabilities))
    return next(f for f in found if f.measurement.name == name)


def test_the_rule_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1])
    first = np.array([0.9, 0.8, 0.1, 0.1, 0.3, 0.6])
    found = suspect_labels(labels, np.stack([first, 1 - first], axis=1))
    # Thresholds: 0.6 of class 0, 2/3 of class 1; row 2 has 0.9 of class 1, row 5 0.6 of class 0.
    assert found.thresholds.tolist() == [pytest.approx(0.6), pytest.approx(2 / 3)]
    assert found.flagged.tolist() == [False, False, True, False, False, True]
    assert found.suggested.tolist() == [0, 0, 1, 1, 1, 0]


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("sharpness", [0.3, 1.0, 3.0])
def test_the_rows_are_those_that_cleanlab_flags(classes, sharpness):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cleanlab.filter import find_label_issues
    rng = np.random.default_rng(classes)
    probabilities = rng.dirichlet(np.ones(classes) / sharpness, 500)
    labels = np.array([rng.choice(classes, p=row) for row in probabilities])
    labels = np.where(rng.random(500) < 0.2, rng.integers(0, classes, 500), labels)
    expected = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
    assert expected.any()
    assert suspect_labels(labels, probabilities).flagged.tolist() == expected.tolist()


@pytest.mark.parametrize("classes", [2, 4])
def test_planted_flips_are_found(classes):
    labels, probabilities, flipped = answers(2_000, 0.08, classes)
    flagged = suspect_labels(labels, probabilities).flagged
    assert (flagged & flipped).sum() >= 0.9 * flipped.sum()
    assert (flagged & flipped).sum() >= 0.9 * flagged.sum()
    assert finding("flagged", labels, probabilities).outcome is Outcome.FAIL


def test_clean_labels_pass_and_fifty_rows_are_inconclusive():
    assert finding("flagged", *answers(2_000, 0.0)[:2]).outcome is Outcome.PASS
    assert finding("flagged", *answers(50, 0.0)[:2]).outcome is Outcome.INCONCLUSIVE


def test_the_effect_is_the_accuracy_that_flagged_labels_hide():
    labels, probabilities, _ = answers(1_000, 0.1)
    found = suspect_labels(labels, probabilities)
    before = (probabilities.argmax(axis=1) == labels).mean()
    after = (probabilities.argmax(axis=1) == found.suggested).mean()
    measured = finding("effect", labels, probabilities)
    assert measured.measurement.value == pytest.approx(after - before)
    assert measured.outcome is Outcome.NOT_APPLICABLE
    chart = finding("flagged", labels, probabilities).measurement.evidence[0]
    assert [row.value for row in chart.rows[:2]] == [pytest.approx(before), pytest.approx(after)]
    assert chart.rows[2].n == 1_000 - found.flagged.sum()


def test_the_least_probable_labels_are_shown_first():
    labels, probabilities, _ = answers(500, 0.1)
    table = finding("flagged", labels, probabilities).measurement.evidence[2]
    shown = [float(row[4]) for row in table.rows]
    assert shown == sorted(shown)
    assert len(shown) == 20


def test_clusters_widen_the_bounds():
    labels, probabilities, _ = answers(1_000, 0.0)
    labels[:100] = 1 - labels[:100]  # whole clusters are mislabelled
    free = finding("flagged", labels, probabilities).measurement.bounds.claim
    tied = finding("flagged", labels, probabilities, np.arange(1_000) // 20)
    assert tied.measurement.bounds.claim.upper > free.upper
