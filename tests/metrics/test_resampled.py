"""Bounds of confusion-matrix metrics hold where a plain bootstrap of the matrix does not."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.metrics.quality import METRICS
from auditkit.metrics.resampled import Answers, Quality, quality_bounds
from auditkit.model import Predictions
from auditkit.testing import tiny_context, tiny_data


def bounds_of(rows: Answers, quality: Quality, seed: int = 0):
    context = tiny_context(tiny_data(rows.labels), Predictions(rows.predicted, None), seed=seed)
    return quality_bounds(rows, quality, context)


def answers(right: dict[int, float], sizes: dict[int, int], rng: np.random.Generator) -> Answers:
    labels = np.concatenate([np.full(n, c) for c, n in sizes.items()])
    hit = np.concatenate([rng.random(n) < right[c] for c, n in sizes.items()])
    return Answers(labels, np.where(hit, labels, 1 - labels), 2)


@pytest.mark.parametrize("rare", [5, 10, 20, 60])
def test_a_rare_class_is_not_taken_as_known(rare):
    """Five of five right: a bootstrap of the whole matrix calls that class perfect."""
    rng = np.random.default_rng(0)
    truth, false_passes, runs = 0.9, 0, 200
    for _ in range(runs):
        rows = answers({0: 0.9, 1: 0.9}, {0: 500, 1: rare}, rng)
        lower = bounds_of(rows, Quality("balanced-accuracy")).claim.lower
        false_passes += lower is not None and lower > truth
    assert false_passes / runs <= 0.05 + 1.65 * (0.05 * 0.95 / runs) ** 0.5


@pytest.mark.parametrize("metric", ["f1", "mcc"])
def test_a_bootstrapped_metric_claims_nothing_of_a_class_with_few_rows(metric):
    rows = answers({0: 0.9, 1: 1.0}, {0: 500, 1: 5}, np.random.default_rng(0))
    assert bounds_of(rows, Quality(metric)).claim.lower is None


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("clusters", [2, 10, 40])
def test_a_handful_of_clusters_decides_little(metric, clusters):
    """Whole clusters are right or wrong together; the limit is the true value."""
    rng = np.random.default_rng(1)
    false_passes, runs = 0, 60
    quality = Quality(metric, positive=1)
    truth = {"accuracy": 0.8, "balanced-accuracy": 0.8, "f1": 0.8, "mcc": 0.6}[metric]
    for _ in range(runs):
        code = np.repeat(np.arange(clusters), 40)
        labels = np.tile([0, 1], 20 * clusters)
        hit = rng.random(len(code)) < rng.beta(8, 2, clusters)[code]
        rows = Answers(labels, np.where(hit, labels, 1 - labels), 2, code)
        lower = bounds_of(rows, quality).claim.lower
        false_passes += lower is not None and lower > truth
    assert false_passes / runs <= 0.05 + 2.3 * (0.05 * 0.95 / runs) ** 0.5


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("over", [None, 0])
def test_the_corrected_interval_contains_the_claim_and_both_the_value(metric, over):
    rows = answers({0: 0.9, 1: 0.7}, {0: 300, 1: 200}, np.random.default_rng(2))
    quality = Quality(metric, positive=1, over=over)
    bounds = bounds_of(rows, quality)
    value = float(quality.of(rows.matrix))
    assert bounds.corrected.lower <= bounds.claim.lower <= value
    assert value <= bounds.claim.upper <= bounds.corrected.upper
