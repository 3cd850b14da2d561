"""False positive and false negative rates compared between groups at several thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.disparity import rate_gaps
from auditkit.metrics.group_choice import GroupParams
from auditkit.metrics.thresholds import threshold_rates, threshold_table
from auditkit.model import Capability


@dataclass(frozen=True, slots=True)
class Params(GroupParams):
    """Parameters of `fairness.error-rate-balance`."""

    thresholds: tuple[float, ...] = (0.3, 0.5, 0.7)
    """Probabilities from which a row counts as of the class, each between 0 and 1."""

    def __post_init__(self) -> None:
        GroupParams.__post_init__(self)
        if not self.thresholds or len(set(self.thresholds)) != len(self.thresholds):
            raise ValueError("thresholds must name at least one threshold, and none twice")
        if not all(0.0 < threshold < 1.0 for threshold in self.thresholds):
            raise ValueError(f"thresholds must lie between 0 and 1, not {self.thresholds}")


@check(
    "fairness.error-rate-balance",
    title="At every threshold, every group is falsely flagged and missed at similar rates",
    severity=Severity.LOW,
    needs={Capability.GROUPS, Capability.LABELS, Capability.PROBABILITIES},
    params=Params,
    limits=(Limit("gap", "max", 0.1, means="a difference of false positive or negative rates"),),
)
def error_rate_balance(context: Context, params: Params) -> Iterator[Measurement]:
    """The largest difference in false positive or false negative rate, over several thresholds.

    What it measures:
        A row counts as flagged when the positive class's probability (each class's in turn when
        there is no positive one) is at least the threshold. The false positive rate is the share of
        other rows that are flagged, the false negative rate the share of the class's rows that are
        not. The measurement is the largest difference between two groups in either of them, at any
        of `params.thresholds`, per sensitive attribute and for every two of them crossed.

    Why it matters:
        Thresholds move after the audit: a capacity shrinks, a cost is weighed anew. A model whose
        errors are balanced at the threshold it was tuned at can be far from it at the next one.

    How to read it:
        0 is balance at every threshold. The table gives both rates of every group at every
        threshold; the note names the threshold with the largest difference. All thresholds are
        corrected for, so that fewer of them decide with fewer rows.

    What to do:
        If only some thresholds fail, keep to the others and write them down. If all do, compare
        the groups' errors; `fairness.equalized-odds` judges the model's own decisions.

    Limits of this check:
        Between the thresholds nothing is claimed. Different base rates make balance and a
        calibrated score impossible together unless the score is perfect. It trusts the labels.

    References:
        Chouldechova 2017, Fair prediction with disparate impact. Kleinberg, Mullainathan & Raghavan
        2017. Manski 2003 and Horowitz & Manski 2000 for rows of unknown group.
    """
    probabilities = context.predictor.predict(context.data.inputs).probabilities
    assert probabilities is not None
    rates = threshold_rates(context.data, probabilities, params.thresholds)
    for measured in rate_gaps(context, rates, params):
        # One table, in place of a chart for every rate and threshold.
        rest = tuple(e for e in measured.evidence if e.kind != "estimates")
        table = threshold_table(context.data, rates, params, measured.slice)
        yield replace(measured, evidence=(table, *rest))
