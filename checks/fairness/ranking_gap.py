"""Ranking compared between groups: AUCs and ROC curves."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.group_choice import GroupChoice
from auditkit.metrics.group_ranking import ranking_measurements
from auditkit.model import Capability


@check(
    "fairness.ranking-gap",
    title="Scores rank the rows of every group about equally well",
    severity=Severity.MEDIUM,
    needs={Capability.GROUPS, Capability.LABELS, Capability.PROBABILITIES},
    params=GroupChoice,
    limits=(
        Limit("gap", "max", 0.1, means="a difference of AUCs"),
        Limit("abroca", "max", None, means="an area between two ROC curves"),
    ),
)
def ranking_gap(context: Context, params: GroupChoice) -> Iterator[Measurement]:
    """The largest difference of two groups' AUCs, and the largest area between their ROC curves.

    What it measures:
        The score of the positive class (each class in turn when there is no positive one) ranks the
        rows of each group; the AUC is the share of pairs of a positive and a negative of the group
        that it ranks rightly. `gap` is the largest difference of two groups' AUCs. `abroca` is the
        largest absolute area between two groups' ROC curves, which also sees curves that cross and
        have the same AUC; it is reported and not gated by default.

    Why it matters:
        Where the scores rank a group's rows badly, no threshold serves that group well, whichever
        is chosen.

    How to read it:
        0 means that every group is ranked equally well. An AUC of 0.5 is guessing. `abroca` of two
        groups is never below the difference of their AUCs; if it is much larger, one group is
        ranked better at strict thresholds and the other at lenient ones.

    What to do:
        Compare `fairness.subgroup-auc`, which tells whether a group's negatives or positives are
        misplaced among everybody's. More, or better labelled, training rows of the group with the
        lowest AUC are the usual repair.

    Limits of this check:
        It looks inside groups only: a score that is shifted for a whole group ranks it no worse.
        An AUC takes 10 positives and 10 negatives of a group to be judged. No sharp interval of
        `abroca` is known, as it cannot be negative: the bounds given hold at every number of rows,
        and are so wide that a gate on it takes thousands of rows per group.

    References:
        Gardner, Brooks & Baker 2019, Evaluating the fairness of predictive student models through
        slicing analysis. DeLong 1988; Sun & Xu 2014; McDiarmid 1989.
    """
    yield from ranking_measurements(context, params)
