"""Quality of the worst-served group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.group_choice import GroupParams
from auditkit.metrics.group_metric import group_metric_measurements
from auditkit.metrics.quality import METRICS
from auditkit.model import Capability


@dataclass(frozen=True, slots=True)
class Params(GroupParams):
    """Parameters of `quality.group-quality`."""

    metric: str = "accuracy"
    """accuracy, balanced-accuracy, f1 or mcc."""

    def __post_init__(self) -> None:
        GroupParams.__post_init__(self)
        if self.metric not in METRICS:
            raise ValueError(f"metric must be one of {', '.join(METRICS)}, not {self.metric!r}")
        if self.given and self.metric != "accuracy":
            raise ValueError(f"given is for accuracy, whose rows add up, not for {self.metric!r}")


@check(
    "quality.group-quality",
    title="No group is served much worse than another",
    severity=Severity.MEDIUM,
    needs={Capability.LABELS, Capability.GROUPS},
    params=Params,
    limits=(
        Limit("gap", "max", 0.1, highest=2.0, means="a difference of the metric between groups"),
        Limit("worst", "min", None, lowest=-1.0, means="the metric of the worst group"),
    ),
)
def group_quality(context: Context, params: Params) -> Iterator[Measurement]:
    """The metric of the worst group, and the largest gap between two groups.

    What it measures:
        Accuracy (or another metric of the confusion matrix) per group of every sensitive attribute
        and of every two attributes crossed.

    Why it matters:
        An average hides the group for which the model does not work.

    How to read it:
        The gap is gated by default. Set `limits.worst` to the quality every group must be shown to
        get; it is judged by the group's own interval, so a small group makes it undecided, not
        passed.

    What to do:
        Look at the worst group's share of the training data and at its errors.

    Limits of this check:
        Groups whose texts are harder for everyone look badly served, too; `params.given` compares
        accuracies among rows alike in a factor (the worst group stays that of all rows). Rows of
        unknown group are bounded for accuracy; for the other metrics they are only counted and left
        out, as if they were missing at random.

    References:
        Hashimoto et al. 2018; Sagawa et al. 2020 (worst-group accuracy). Zou & Donner 2008 for
        differences of metrics that are not rates.
    """
    yield from group_metric_measurements(context, params, params.metric)
