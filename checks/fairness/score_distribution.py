"""Distributions of scores compared between groups."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.group_choice import GroupChoice
from auditkit.metrics.group_scores import distribution_measurements
from auditkit.model import Capability


@check(
    "fairness.score-distribution",
    title="Every group is given similar scores, wherever the threshold is put",
    severity=Severity.LOW,
    needs={Capability.GROUPS, Capability.PROBABILITIES},
    params=GroupChoice,
    limits=(
        Limit("ks", "max", 0.2, means="a Kolmogorov-Smirnov distance"),
        Limit("wasserstein", "max", 0.1, means="a Wasserstein distance of scores in 0..1"),
    ),
)
def score_distribution(context: Context, params: GroupChoice) -> Iterator[Measurement]:
    """The largest distances between two groups' distributions of scores.

    What it measures:
        The distribution of the score of the positive class (each class in turn when there is no
        positive one) in every group. `ks` is the largest Kolmogorov-Smirnov distance of two groups:
        the difference of their selection rates at the threshold where it is largest.
        `wasserstein` is the largest Wasserstein distance of order 1: the mean of that difference
        over all thresholds from 0 to 1.

    Why it matters:
        `fairness.demographic-parity` looks at one threshold. Thresholds are moved after release,
        and scores are used to rank, to queue and to bill; then the whole distribution matters.

    How to read it:
        0 means that every threshold selects every group at the same rate. A large `ks` with a small
        `wasserstein` means that the groups differ in a narrow range of scores. The note says how
        often equal groups would differ as much as the widest pair; as that pair was picked, its p
        is small too often when there are many groups.

    What to do:
        As for `fairness.demographic-parity`: see whether the labels differ in the same way. The
        table of quantiles shows where the distributions part.

    Limits of this check:
        Different base rates move the scores of any accurate model apart; this check does not tell
        them from bias, hence its low severity. Its bounds hold at every number of rows and for any
        distribution, and are wide for it: two equal groups of 1,000 rows are shown to be within
        0.13 (`ks`) and 0.07 (`wasserstein`). With clusters, the rows of one are counted as copies
        of each other, and there is no p.

    References:
        Jiang et al. 2020, Wasserstein fair classification; Massart 1990 and McDiarmid 1989 for the
        bounds.
    """
    yield from distribution_measurements(context, params)
