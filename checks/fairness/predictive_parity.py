"""Precision compared between groups."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.disparity import gap_measurements
from auditkit.metrics.group_choice import GroupParams
from auditkit.model import Capability


@check(
    "fairness.predictive-parity",
    title="A positive prediction is right equally often in every group",
    severity=Severity.MEDIUM,
    needs={Capability.GROUPS, Capability.LABELS},
    params=GroupParams,
    limits=(Limit("gap", "max", 0.1, means="a difference of precisions"),),
)
def predictive_parity(context: Context, params: GroupParams) -> Iterator[Measurement]:
    """The largest difference in precision between two groups.

    What it measures:
        Of the rows predicted to be of the positive class (each class in turn when there is no
        positive one), the share that truly are, per group; and the largest difference.

    Why it matters:
        Whoever acts on a prediction trusts it the same for everyone. Where it is right less often
        for one group, that trust is misplaced for that group.

    How to read it:
        0 means a positive prediction is worth the same in every group. Only rows that were
        predicted positive count, so groups are smaller here than elsewhere.

    What to do:
        Look at the false positives of the group with the lowest precision.

    Limits of this check:
        When base rates differ, predictive parity and equalized odds cannot both hold unless the
        model is perfect; decide which of them the use needs. Rows of unknown group are placed at
        their worst; `params.unknown` and `params.given` are as in `fairness.demographic-parity`.

    References:
        Chouldechova 2017, Fair prediction with disparate impact.
    """
    yield from gap_measurements(context, {"precision": "precision"}, params)
