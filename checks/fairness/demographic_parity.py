"""Selection rates compared between groups."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.disparity import gap_measurements
from auditkit.metrics.group_choice import GroupParams
from auditkit.model import Capability


@check(
    "fairness.demographic-parity",
    title="Every group is given each class at a similar rate",
    severity=Severity.MEDIUM,
    needs={Capability.GROUPS},
    params=GroupParams,
    limits=(Limit("gap", "max", 0.1, means="a difference of selection rates"),),
)
def demographic_parity(context: Context, params: GroupParams) -> Iterator[Measurement]:
    """The largest difference in selection rate between two groups.

    What it measures:
        The share of rows predicted to be of the positive class (each class in turn when there is
        no positive one), per group of every sensitive attribute and of every two attributes
        crossed. The measurement is the largest difference between two groups.

    Why it matters:
        If the prediction opens or closes a door, a group that is selected less often gets through
        it less often, whether or not the labels would justify that.

    How to read it:
        0 is parity. It passes when every pair of groups is shown to differ by no more than the
        limit; it fails when some pair is shown to differ by more.

    What to do:
        Look whether the labels differ in the same way (then the base rates do). If not, compare
        `fairness.equalized-odds` to see which errors cause it.

    Limits of this check:
        Different base rates make a difference that no accurate model can avoid; this check does
        not tell them apart from bias (`fairness.label-bias` shows them). A difference can come from
        a factor that may count, or be hidden by one: `params.given` compares within its values. A
        stratum without rows of both groups says nothing and is left out. Rows of unknown group are
        placed at their worst, on the assumption that each is of one of the groups named.

    References:
        Dwork et al. 2012, Fairness through awareness. Newcombe 1998 and Miettinen & Nurminen 1985
        for the intervals. Manski 2003 and Horowitz & Manski 2000 for rows of unknown group.
        Kamiran & Zliobaite 2013, Mantel & Haenszel 1959 and Yan & Su 2010 for `params.given`.
    """
    yield from gap_measurements(context, {"selection_rate": "selection rate"}, params)
