"""How well scores rank within a group and between a group and the rest."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.group_choice import GroupChoice
from auditkit.metrics.identity_auc import auc_measurements
from auditkit.model import Capability


@check(
    "fairness.subgroup-auc",
    title="Scores rank every group's rows as well as they rank all rows",
    severity=Severity.MEDIUM,
    needs={Capability.GROUPS, Capability.LABELS, Capability.PROBABILITIES},
    params=GroupChoice,
    limits=(Limit("drop", "max", 0.1, lowest=-1.0, means="a drop in AUC below that of all rows"),),
)
def subgroup_auc(context: Context, params: GroupChoice) -> Iterator[Measurement]:
    """The largest drop of a group's AUC below the AUC of all rows.

    What it measures:
        For every group three AUCs of the positive class's score (each class in turn when there is
        no positive one). Subgroup: positives and negatives of the group. BPSN: positives of the
        background (all other rows) against negatives of the group. BNSP: negatives of the
        background against positives of the group. The measurement is the largest drop below the
        AUC of all rows.

    Why it matters:
        It needs no threshold, so it shows a bias that one well chosen threshold hides. A low BPSN
        AUC means the group's negatives score like others' positives; a low BNSP AUC the reverse.

    How to read it:
        0 means that a group is ranked as well as all rows. 0.5 as an AUC is guessing.

    What to do:
        Low BPSN: look for words of the group that the model takes for the positive class. Low BNSP:
        look for positives of the group it does not recognise.

    Limits of this check:
        An AUC needs at least 10 positives and 10 negatives of the group to be judged at all. Rows
        of unknown group are counted and left out, as if they were missing at random: what they
        could do to an AUC is not bounded.

    References:
        Borkan et al. 2019, Nuanced metrics for measuring unintended bias. DeLong 1988; Sun & Xu
        2014.
    """
    answers = context.predictor.predict(context.data.inputs)
    yield from auc_measurements(context, answers, params)
