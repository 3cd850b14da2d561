"""The four-fifths rule, with an interval."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.group_choice import GroupParams
from auditkit.metrics.impact import ratio_measurements
from auditkit.model import Capability


@check(
    "fairness.impact-ratio",
    title="No group is selected at less than four fifths of another group's rate",
    severity=Severity.MEDIUM,
    needs={Capability.GROUPS},
    params=GroupParams,
    limits=(Limit("ratio", "min", 0.8, means="a ratio of selection rates"),),
)
def impact_ratio(context: Context, params: GroupParams) -> Iterator[Measurement]:
    """The smallest ratio of two groups' selection rates.

    What it measures:
        The selection rate of each group divided by that of the most selected group, for the
        positive class (each class in turn when there is no positive one). Beside it stand the
        four-fifths rule in exact integer arithmetic, Fisher's exact test, and whether moving one
        person would change what the rule says.

    Why it matters:
        US employment practice screens selection procedures with this ratio, and New York City's
        Local Law 144 asks for it to be published.

    How to read it:
        1 is parity. Passing means every ratio is shown to be at least the limit. Where one person
        would change the rule's answer, the rule says nothing about these data.

    What to do:
        As for `fairness.demographic-parity`; look at small rates first, where a small difference
        makes a small ratio.

    Limits of this check:
        The four-fifths rule is a screening statistic, not a legal finding, and it is unstable for
        rare outcomes and small groups. The table counts rows of known group only; the measurement's
        bounds place the others at their worst. With `params.given` the measurement is Mantel and
        Haenszel's ratio within strata, the table still that of all rows.

    References:
        29 CFR 1607.4(D); 6 RCNY 5-300; Koopman 1984 for the interval.
    """
    yield from ratio_measurements(context, params)
