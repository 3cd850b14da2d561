"""Whether sets of classes hold the true one as often as promised."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.conformal import ConformalParams, conformal_measurements
from auditkit.model import Capability


@check(
    "ood.conformal-coverage",
    title="Prediction sets hold the true class as often as promised, in every group and set",
    severity=Severity.MEDIUM,
    needs={Capability.LABELS, Capability.PROBABILITIES, Capability.SHIFTS},
    params=ConformalParams,
    limits=(
        Limit("shortfall", "max", 0.05, lowest=-0.5, means="coverage promised less reached"),
        Limit("group_shortfall", "max", 0.1, lowest=-0.5, means="the same in the worst group"),
        Limit("shift_shortfall", "max", 0.1, lowest=-0.5, means="the same out of distribution"),
    ),
)
def conformal_coverage(context: Context, params: ConformalParams) -> Iterator[Measurement]:
    """Coverage of split conformal prediction sets.

    What it measures:
        On half of the rows in distribution a threshold is calibrated so that the set of classes
        up to it holds the true class in `params.level` of rows. The measurement is that level less
        the share of sets that do, on the other half, in the group where it is largest, and on
        every set of `[data.ood]`.

    Why it matters:
        A set of classes with a promised coverage is what a person can be handed instead of one
        unsure answer. The promise is for all rows together: a group, or texts of another kind, can
        be covered far less.

    How to read it:
        0 keeps the promise, a negative shortfall does better. The table shows how large the sets
        are: full coverage by sets of all classes says nothing.

    What to do:
        `params.within` calibrates in each group of an attribute and holds there. For other texts,
        calibrate on some of them.

    Limits of this check:
        The coverage judged is that of this one calibration, which itself varies by about
        1/(2 sqrt(rows chosen by)). The scores are not randomised: with ties, or APS sets of few
        classes, coverage lies above the level. Sets hold no promise out of distribution; there they
        are tested. Fewer than 100 rows on a side cannot pass.

    References:
        Vovk, Gammerman & Shafer 2005; Lei et al. 2018; Sadinle, Lei & Wasserman 2019 (LAC); Romano,
        Sesia & Candes 2020 (APS); Angelopoulos & Bates 2023, Conformal prediction: a gentle
        introduction.
    """
    yield from conformal_measurements(context, params)
