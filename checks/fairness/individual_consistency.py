"""Whether similar rows are treated alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.consistency import consistency_measurements
from auditkit.metrics.group_choice import GroupChoice
from auditkit.model import Capability


@dataclass(frozen=True, slots=True)
class Params(GroupChoice):
    """Parameters of `fairness.individual-consistency`."""

    neighbours: int = 5
    """Neighbours each row is compared with."""
    reference_rows: int = 5_000
    """Most rows neighbours are looked for in; at most half of all."""

    def __post_init__(self) -> None:
        GroupChoice.__post_init__(self)
        if self.neighbours < 1:
            raise ValueError(f"neighbours must be at least 1, not {self.neighbours}")
        if self.reference_rows < self.neighbours:
            raise ValueError(f"reference_rows must be at least {self.neighbours}, the neighbours")


@check(
    "fairness.individual-consistency",
    title="Rows that the model represents alike are given the same class, in every group",
    severity=Severity.LOW,
    needs={Capability.EMBEDDINGS},
    params=Params,
    limits=(
        Limit("consistency", "min", 0.9, means="a share of neighbours that are given the class"),
        Limit("gap", "max", 0.1, means="a difference of such shares"),
    ),
)
def individual_consistency(context: Context, params: Params) -> Iterator[Measurement]:
    """How often a row's nearest neighbours in embedding space are given its class.

    What it measures:
        The rows are dealt into two halves that share no input and no cluster. For each row of one,
        the nearest rows of the other are found, by Euclidean distance between embeddings (the input
        of the model's last linear layer). `consistency` is the mean share of them that are given
        the class that the row is given; for two classes this is one less the mean distance of a
        row's answer from its neighbours' mean answer. `gap` is the largest difference between two
        groups, where the data has any.

    Why it matters:
        That like cases are decided alike is what individual fairness asks. Where it holds for some
        groups only, decisions about the others are closer to a coin.

    How to read it:
        1 means that every row is decided as its neighbours are. A low value means that many rows
        lie near the boundary between classes, where a small change decides.

    What to do:
        Look at the group with the lowest consistency: rows near the boundary are those to send to
        human review, or to label more of.

    Limits of this check:
        Similarity is the model's own. The head is linear in these embeddings, which makes
        neighbours agree more than under a similarity chosen by people; a model that represents
        unlike people alike passes. The bounds are conditional on the rows that neighbours are
        looked for in: other such rows would give a slightly different number.

    References:
        Zemel et al. 2013, Learning fair representations; Dwork et al. 2012, Fairness through
        awareness. Maurer & Pontil 2009 for the bounds.
    """
    yield from consistency_measurements(context, params, params.neighbours, params.reference_rows)
