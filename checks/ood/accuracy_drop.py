"""Accuracy in distribution compared with each set out of distribution."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, NoParams, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.effective_robustness import beside_baseline
from auditkit.metrics.shifted import drop_measurements
from auditkit.model import Capability


@check(
    "ood.accuracy-drop",
    title="The model is about as accurate where it was not trained",
    severity=Severity.MEDIUM,
    needs={Capability.LABELS, Capability.SHIFTS},
    uses={Capability.BASELINE},
    limits=(
        Limit("drop", "max", 0.1, lowest=-1.0, means="a drop in accuracy"),
        Limit("worst_drop", "max", None, lowest=-1.0, means="the largest drop in accuracy"),
        Limit("relative_robustness", "min", None, lowest=-1.0, means="a difference of accuracies"),
        Limit("effective_robustness", "min", None, lowest=-1.0, means="a difference of accuracies"),
    ),
)
def accuracy_drop(context: Context, _: NoParams) -> Iterator[Measurement]:
    """How much accuracy is lost from the rows in distribution to each set out of distribution.

    What it measures:
        The accuracy on the audited rows that no set of `[data.ood]` takes, less that on the rows of
        each set with labels. Every set is judged on its own; the largest drop is reported, and
        judged when `limits.worst_drop` is set. With a `[baseline]`, the model in production say,
        also on each set: `relative_robustness`, the model's accuracy less the baseline's on the
        same rows, and `effective_robustness`, the model's accuracy less the one that its accuracy
        in distribution lets expect. Expected is as much above the baseline as in distribution, in
        logits: a line of slope 1 through the baseline.

    Why it matters:
        A model is used on texts that its training data do not look like: another shop, another
        year, longer texts. Accuracy on a random split of one source says nothing about those.

    How to read it:
        0 is as accurate there as here; a negative drop is more accurate there. The chart shows the
        accuracies themselves. An effective robustness of 0 is a model that keeps what it gained
        over the baseline; below 0, what it gained in distribution was paid for on the set, even if
        it is more accurate there than the baseline. Both are reported without a limit: how much
        may be lost against the model it replaces is for you to say (`limits.relative_robustness`).

    What to do:
        Train on texts of the kind that is missing, or say in the model's documentation where it is
        not to be used. `ood.selective-prediction` shows whether leaving out unsure answers is
        enough.

    Limits of this check:
        A set can be harder for any model, and for people, too: the drop is no measure of what
        could be reached there. Effective robustness is defined by a line fitted through many
        models; with one baseline its slope is assumed to be 1 in logits, which is about what was
        found for image classifiers on new test sets, and need not hold for your set: the further
        apart both models are in distribution, the more it depends on that. Labels of two sources
        can follow different rules. Fewer than 100 rows on a side cannot pass.

    References:
        Quionero-Candela et al. 2009, Dataset shift in machine learning; Koh et al. 2021, WILDS;
        Taori et al. 2020, Measuring robustness to natural distribution shifts (relative and
        effective robustness); Miller et al. 2021, Accuracy on the line. Newcombe 1998 for the
        intervals; Davison & Hinkley 1997 for resampling of clusters; Tango 1998 for paired answers.
    """
    yield from drop_measurements(context)
    yield from beside_baseline(context)
