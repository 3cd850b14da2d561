"""True and false positive rates compared between groups."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.disparity import gap_measurements
from auditkit.metrics.group_choice import GroupParams
from auditkit.metrics.rates import MetricName
from auditkit.model import Capability


@check(
    "fairness.equalized-odds",
    title="Every group's members are recognised, and falsely flagged, at similar rates",
    severity=Severity.HIGH,
    needs={Capability.GROUPS, Capability.LABELS},
    params=GroupParams,
    limits=(Limit("gap", "max", 0.1, means="a difference of true or false positive rates"),),
)
def equalized_odds(context: Context, params: GroupParams) -> Iterator[Measurement]:
    """The largest difference in true or false positive rate between two groups.

    What it measures:
        The true positive rate and the false positive rate of the positive class (each class in turn
        when there is no positive one) per group. The measurement is the larger of the two largest
        differences between groups.

    Why it matters:
        It is about mistakes: a group whose positives are missed, or whose negatives are flagged,
        carries the cost of the model's errors.

    How to read it:
        0 means that no group's label changes how likely its members are misjudged. The evidence
        names the rate and the two groups with the largest difference.

    What to do:
        Look at the group's errors. Too few or wrongly labelled training rows of that group are the
        usual cause; retraining with balanced or corrected data is the usual repair.

    Limits of this check:
        It trusts the labels. If they are biased, equal error rates only copy that bias. It needs
        enough positives and negatives in every group. Rows of unknown group are placed at their
        worst, on the assumption that each is of one of the groups named; `params.unknown` and
        `params.given` are as in `fairness.demographic-parity`.

    References:
        Hardt, Price & Srebro 2016, Equality of opportunity in supervised learning.
    """
    rates: dict[MetricName, str] = {
        "true_positive_rate": "true positive rate",
        "false_positive_rate": "false positive rate",
    }
    yield from gap_measurements(context, rates, params)
