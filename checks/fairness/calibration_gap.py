"""Calibration compared between groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.group_calibration import calibration_measurements
from auditkit.metrics.group_choice import GroupChoice
from auditkit.model import Capability


@dataclass(frozen=True, slots=True)
class Params(GroupChoice):
    """Parameters of `fairness.calibration-gap`."""

    bins: int = 10
    """Bins of equal width over 0..1 for the calibration error of a group."""

    def __post_init__(self) -> None:
        # The zero-argument form fails in a dataclass with slots.
        GroupChoice.__post_init__(self)
        if not 2 <= self.bins <= 100:
            raise ValueError(f"bins must lie between 2 and 100, not {self.bins}")


@check(
    "fairness.calibration-gap",
    title="Scores are as well calibrated in every group as in any other",
    severity=Severity.MEDIUM,
    needs={Capability.GROUPS, Capability.LABELS, Capability.PROBABILITIES},
    params=Params,
    limits=(
        Limit("gap", "max", 0.1, means="a difference of expected calibration errors"),
        Limit("bias_gap", "max", 0.1, highest=2.0, means="a difference of mean score errors"),
    ),
)
def calibration_gap(context: Context, params: Params) -> Iterator[Measurement]:
    """The largest differences between two groups in how far their scores can be believed.

    What it measures:
        The score is the probability of the positive class (of each class in turn when there is no
        positive one). Per group, rows are sorted into bins by score; the expected calibration error
        (ECE) is the mean distance between score and share of true members, over the bins. `gap` is
        the largest difference of two groups' ECE. `bias_gap` is the largest difference of two
        groups' mean of score less outcome: it tells a group that is scored too high from one that
        is scored too low by as much, which have the same ECE.

    Why it matters:
        One threshold is applied to all scores. If 0.7 means 70 % in one group and 50 % in another,
        the same score stands for different evidence, and the groups are treated by different
        standards.

    How to read it:
        0 means that a score means as much in every group. The evidence has the ECE of every group,
        and by how much its mean score is above (or below) the share that is truly of the class.

    What to do:
        Recalibrate each group on a validation split, if using the group then is allowed. Else look
        for labels that are missing or noisy in the group, and train with more of its rows.

    Limits of this check:
        Binning hides errors that cancel within a bin, and the ECE of a small group is biased
        upwards: a group of 100 rows shows about 0.1 when perfectly calibrated, in 10 bins. The
        bounds allow for that, so small groups are inconclusive. When base rates differ,
        calibration within groups and equalized odds cannot both hold unless the model is perfect.

    References:
        Pleiss et al. 2017, On fairness and calibration; Kleinberg, Mullainathan & Raghavan 2017,
        Inherent trade-offs in the fair determination of risk scores. Maurer & Pontil 2009 for the
        bounds.
    """
    yield from calibration_measurements(context, params, params.bins)
