"""What a built-in check measures of two models on the same rows, and how far it has changed.

A measurement is compared only if it is recomputed here to the number the check gave, for both
models; otherwise nothing is said about its change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from auditkit.metrics import score_changes, shift_changes
from auditkit.metrics.answered_twice import Recomputed, Twice, Which
from auditkit.metrics.row_changes import (
    auc_drop,
    brier_score,
    calibration_error,
    of_scores,
    slice_gap,
)
from auditkit.metrics.table_changes import (
    group_gap,
    impact_ratio,
    length_gap,
    metric,
    rate_gap,
    threshold_gap,
    worst_group,
)


def recompute(
    which: Which, twice: Twice, alpha: float, rng: np.random.Generator
) -> Recomputed | None:
    """Both values of a measurement and the interval of its change; None when that is not known.

    Args:
        which: The measurement.
        twice: Rows and answers.
        alpha: One-sided error of each end of the interval.
        rng: Random numbers.
    """
    function = KNOWN.get((which.check, which.name))
    return None if function is None else function(which, twice, alpha, rng)


KNOWN: Mapping[tuple[str, str], Callable[..., Recomputed | None]] = {
    ("fairness.demographic-parity", "gap"): partial(rate_gap, ("selection",)),
    ("fairness.equalized-odds", "gap"): partial(rate_gap, ("recall", "false-alarm")),
    ("fairness.predictive-parity", "gap"): partial(rate_gap, ("precision",)),
    ("fairness.error-rate-balance", "gap"): threshold_gap,
    ("fairness.impact-ratio", "ratio"): impact_ratio,
    ("fairness.subgroup-auc", "drop"): auc_drop,
    ("fairness.calibration-gap", "gap"): partial(of_scores, score_changes.error_gap),
    ("fairness.calibration-gap", "bias_gap"): partial(of_scores, score_changes.bias_gap),
    ("fairness.ranking-gap", "gap"): partial(of_scores, score_changes.auc_gap),
    ("fairness.ranking-gap", "abroca"): partial(of_scores, score_changes.area_change),
    ("fairness.score-distribution", "ks"): partial(
        of_scores, partial(score_changes.distance_change, "ks")
    ),
    ("fairness.score-distribution", "wasserstein"): partial(
        of_scores, partial(score_changes.distance_change, "wasserstein")
    ),
    ("fairness.worst-slice", "gap"): slice_gap,
    ("quality.group-quality", "gap"): group_gap,
    ("quality.group-quality", "worst"): worst_group,
    ("quality.metric", "value"): metric,
    ("quality.metric", "gain"): metric,
    ("quality.calibration", "calibration_error"): calibration_error,
    ("quality.calibration", "brier_score"): brier_score,
    ("ood.accuracy-drop", "drop"): shift_changes.drop,
    ("ood.calibration-shift", "ece_rise"): shift_changes.error_rise,
    ("ood.calibration-shift", "brier_rise"): shift_changes.brier_rise,
    ("ood.invariance-to-length", "gap"): length_gap,
}
"""Measurements that can be recomputed, by check and name."""
