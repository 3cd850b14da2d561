"""Calibration in distribution compared with each set out of distribution."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.calibration_shift import (
    CalibrationShiftParams,
    calibration_shift_measurements,
)
from auditkit.model import Capability


@check(
    "ood.calibration-shift",
    title="Probabilities mean about as much where the model was not trained",
    severity=Severity.MEDIUM,
    needs={Capability.LABELS, Capability.PROBABILITIES, Capability.SHIFTS},
    uses={Capability.VALIDATION_ROWS},
    params=CalibrationShiftParams,
    limits=(
        Limit("ece_rise", "max", 0.1, lowest=-1.0, means="a rise of the calibration error"),
        Limit("brier_rise", "max", None, lowest=-2.0, highest=2.0, means="a rise of Brier scores"),
        Limit("scaling_gain", "min", None, lowest=-1.0, means="what a temperature mends"),
    ),
)
def calibration_shift(context: Context, params: CalibrationShiftParams) -> Iterator[Measurement]:
    """How much larger the calibration error is on each set, and what a temperature mends.

    What it measures:
        The expected calibration error (ECE) of the predicted class and the Brier score on each set
        of `[data.ood]`, less those in distribution. A temperature is fitted to the validation rows
        ([training] validation); the gain is the ECE as answered less that with the temperature, in
        distribution and on every set, row by row on the same rows. With fewer than 100 validation
        rows the temperature is fitted to half of the rows in distribution, and only the other half
        is measured.

    Why it matters:
        A threshold on a probability is chosen on rows like the training data. Where probabilities
        grow too sure, every decision that relies on them fails without anybody being told.

    How to read it:
        0 is as well calibrated there as here. A temperature that helps in distribution and not on
        a set shows that scaling alone does not carry over. The table has all numbers side by side.

    What to do:
        `ood.temperature-scaling` writes the temperature into the model. For a set where it does not
        help, fit on some of its rows, or do not read probabilities there.

    Limits of this check:
        Binning hides errors that cancel within a bin. With few rows the measured error is biased
        upwards, most on the smallest set; the bounds allow for that. Lower accuracy alone raises
        the Brier score. Fewer than 100 rows on a side cannot pass.

    References:
        Guo et al. 2017, On calibration of modern neural networks; Ovadia et al. 2019, Can you trust
        your model's uncertainty?; Brier 1950; Maurer & Pontil 2009 and Zou & Donner 2008 for the
        bounds; Rubin 1981 for the paired ones.
    """
    yield from calibration_shift_measurements(context, params)
