"""Accuracy in distribution compared with each set out of distribution."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, NoParams, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.shifted import drop_measurements
from auditkit.model import Capability


@check(
    "ood.accuracy-drop",
    title="The model is about as accurate where it was not trained",
    severity=Severity.MEDIUM,
    needs={Capability.LABELS, Capability.SHIFTS},
    limits=(
        Limit("drop", "max", 0.1, lowest=-1.0, means="a drop in accuracy"),
        Limit("worst_drop", "max", None, lowest=-1.0, means="the largest drop in accuracy"),
    ),
)
def accuracy_drop(context: Context, _: NoParams) -> Iterator[Measurement]:
    """How much accuracy is lost from the rows in distribution to each set out of distribution.

    What it measures:
        The accuracy on the audited rows that no set of `[data.ood]` takes, less that on the rows of
        each set with labels. Every set is judged on its own; the largest drop is reported, and
        judged when `limits.worst_drop` is set.

    Why it matters:
        A model is used on texts that its training data do not look like: another shop, another
        year, longer texts. Accuracy on a random split of one source says nothing about those.

    How to read it:
        0 is as accurate there as here; a negative drop is more accurate there. The chart shows the
        accuracies themselves.

    What to do:
        Train on texts of the kind that is missing, or say in the model's documentation where it is
        not to be used. `ood.selective-prediction` shows whether leaving out unsure answers is
        enough.

    Limits of this check:
        A set can be harder for any model, and for people, too: the drop is no measure of what
        could be reached there. Effective robustness, the accuracy out of distribution beyond what
        the accuracy in distribution predicts, needs a line fitted through other models and is not
        computed. Labels of two sources can follow different rules. Fewer than 100 rows on a side
        cannot pass.

    References:
        Quionero-Candela et al. 2009, Dataset shift in machine learning; Koh et al. 2021, WILDS;
        Taori et al. 2020 (effective robustness). Newcombe 1998 for the intervals; Davison & Hinkley
        1997 for resampling of clusters.
    """
    yield from drop_measurements(context)
