"""Whether probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from auditkit.check import Context, Limit, check
from auditkit.finding import Bounds, Curve, Interval, Measurement, Severity
from auditkit.metrics.calibration import (
    Reliability,
    bounded_mean,
    brier_scores,
    ece_bounds,
    reliability,
)
from auditkit.model import Capability


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters of `quality.calibration`."""

    bins: int = 15
    """Bins of equal width over 0..1 for the calibration error."""

    def __post_init__(self) -> None:
        if not 2 <= self.bins <= 100:
            raise ValueError(f"bins must lie between 2 and 100, not {self.bins}")


@check(
    "quality.calibration",
    title="The model is right as often as its probabilities say",
    severity=Severity.MEDIUM,
    needs={Capability.LABELS, Capability.PROBABILITIES},
    params=Params,
    limits=(
        Limit("calibration_error", "max", 0.1, means="an expected calibration error"),
        Limit("brier_score", "max", None, highest=2.0, means="a Brier score"),
    ),
)
def calibration(context: Context, params: Params) -> Iterator[Measurement]:
    """Expected calibration error of the predicted class, and the Brier score.

    What it measures:
        Rows are sorted into bins by the probability of the predicted class. The expected
        calibration error (ECE) is the mean distance between that probability and the share of rows
        that were right, over the bins. The Brier score is the mean squared distance of the
        probabilities to the truth, summed over classes; it is reported and not gated by default.

    Why it matters:
        Thresholds, abstention and human review all rely on a probability of 0.9 being right nine
        times in ten.

    How to read it:
        0 is perfect. On the reliability curve, points below the diagonal are over-confident, points
        above it under-confident.

    What to do:
        Temperature scaling on a validation split repairs most miscalibration and changes no label.

    Limits of this check:
        Binning hides errors that cancel within a bin, so the true error can be larger than the
        measured one. The bounds are for the binned error; the lower one is cross-fitted.

    References:
        Naeini et al. 2015; Guo et al. 2017, On calibration of modern neural networks; Brier 1950;
        Maurer & Pontil 2009 for the bounds.
    """
    data = context.data
    predictions = context.predictor.predict(data.inputs)
    assert predictions.probabilities is not None
    assert data.labels is not None
    table = reliability(predictions.probabilities, data.labels, params.bins)
    claim_alpha = context.confidence.claim_alpha
    corrected_alpha = context.confidence.corrected_alpha(1)
    seed = int(context.rng.integers(2**32))

    def bounds(alpha: float) -> Interval:
        # One seed for both levels, so that the corrected bound can never be the narrower one.
        return ece_bounds(table, alpha, np.random.default_rng(seed), data.clusters)

    method = "empirical Bernstein" if data.clusters is None else "cluster-robust t"
    yield Measurement(
        name="calibration_error",
        value=table.ece,
        n=len(data),
        bounds=Bounds(bounds(claim_alpha), bounds(corrected_alpha), f"{method}, cross-fitted"),
        evidence=(_curve(table),),
    )
    scores = brier_scores(predictions.probabilities, data.labels)
    yield Measurement(
        name="brier_score",
        value=float(scores.mean()),
        n=len(data),
        bounds=Bounds(
            bounded_mean(scores, (0.0, 2.0), claim_alpha, data.clusters),
            bounded_mean(scores, (0.0, 2.0), corrected_alpha, data.clusters),
            method,
        ),
    )


def _curve(table: Reliability) -> Curve:
    filled = table.sizes > 0
    return Curve(
        title="Reliability curve",
        x_label="probability of the predicted class",
        y_label="share that was right",
        x=tuple(table.confidence[filled].tolist()),
        y=tuple(table.accuracy[filled].tolist()),
        sizes=tuple(table.sizes[filled].tolist()),
        diagonal=True,
    )
