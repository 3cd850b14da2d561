"""Whether the model's embeddings give away which group a row is of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.group_choice import GroupChoice
from auditkit.metrics.proxy import proxy_measurements
from auditkit.model import Capability


@dataclass(frozen=True, slots=True)
class Params(GroupChoice):
    """Parameters of `fairness.proxy`."""

    learnt_rows: int = 5_000
    """Most rows the probe learns from; at most half of all."""

    def __post_init__(self) -> None:
        GroupChoice.__post_init__(self)
        if self.learnt_rows < 20:
            raise ValueError(f"learnt_rows must be at least 20, not {self.learnt_rows}")


@check(
    "fairness.proxy",
    title="No group can be told from the model's embeddings by a linear probe",
    severity=Severity.LOW,
    needs={Capability.GROUPS, Capability.EMBEDDINGS},
    params=Params,
    limits=(Limit("auc", "max", None, means="the AUC of telling a group from the rest"),),
)
def proxy(context: Context, params: Params) -> Iterator[Measurement]:
    """How well the best-told group is predicted from what the classification head reads.

    What it measures:
        The embedding is the input of the model's last linear layer. The rows are dealt into two
        halves that share no input and no cluster. On one, a logistic regression learns to predict
        the group; on the other, it is judged by the AUC of each group against the rest. The
        measurement is the largest of these AUCs.

    Why it matters:
        What can be read linearly from the embedding, the head can use. A group that is encoded
        there can drive decisions without being named, and a later head on the same encoder
        inherits it.

    How to read it:
        0.5 is guessing: the embedding does not give the group away to a linear probe. 1 means that
        it does so always. It is reported and not gated by default, because an AUC above 0.5 is not
        harm by itself: a text that names its group, or a group with another base rate, is told
        apart by any model that reads the text. Where the group must not be encoded, set a limit.

    What to do:
        See whether the outcomes differ too (`fairness.equalized-odds`,
        `fairness.demographic-parity`). If they do, adversarial or projection-based removal of the
        group from the embedding is a repair, at some cost in quality.

    Limits of this check:
        The bounds are for this probe on rows like the held ones. A larger or non-linear probe may
        tell more, so that a low AUC does not show that the group is absent. It says what is
        encoded, not what is used.

    References:
        Alain & Bengio 2017, Understanding intermediate layers using linear classifier probes;
        Ravfogel et al. 2020, Null it out. DeLong 1988; Qin & Hotilovac 2008 for the interval.
    """
    yield from proxy_measurements(context, params, params.learnt_rows)
