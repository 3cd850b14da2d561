"""Texts changed on purpose, and whether the answer follows."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, NoParams, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.contrast import contrast_measurements
from auditkit.model import Capability


@check(
    "ood.contrast-consistency",
    title="A text and its contrasts are answered rightly together",
    severity=Severity.MEDIUM,
    needs={Capability.LABELS, Capability.PAIRS},
    limits=(
        Limit("drop", "max", 0.1, lowest=-1.0, means="accuracy lost from a text to its contrasts"),
        Limit("consistency", "min", 0.7, means="a share of texts right with all contrasts"),
    ),
)
def contrast_consistency(context: Context, _: NoParams) -> Iterator[Measurement]:
    """Accuracy on texts and on their contrasts, and how often all of them are right.

    What it measures:
        Rows with one value in the column `[data] pair` belong together: a text and its contrasts,
        which somebody has changed as little as possible so that the label changes, or does not. The
        first is the row that comes first, in the audited rows and then in the sets of `[data.ood]`
        in their order. The drop is the accuracy on the first less the mean accuracy on its
        contrasts, pair by pair; consistency is the share of texts that are right with all of
        theirs.

    Why it matters:
        A model can be right on a test set by words that merely go with the label there. When
        somebody changes the words that matter and leaves the others, such a model keeps its answer.

    How to read it:
        A model that reads the right words loses nothing and is consistent about as often as it is
        right. A model that does not react to the change is right on exactly one of two: its drop
        can be 0 while its consistency is.

    What to do:
        Train on such pairs, too (counterfactually augmented data). Look at pairs of which one is
        wrong for the words the model relies on.

    Limits of this check:
        Contrasts show what their authors thought of changing. They are often harder to write than
        texts are to find, and may read oddly. An id with a single row is left out.

    References:
        Gardner et al. 2020, Evaluating models' local decision boundaries via contrast sets;
        Kaushik, Hovy & Lipton 2020, Learning the difference that makes a difference. Tango 1998
        for the paired interval.
    """
    yield from contrast_measurements(context)
