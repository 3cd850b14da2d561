"""The part of the data on which the model is worst, searched and confirmed on different rows."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.slice_gap import slice_gap
from auditkit.metrics.slices import SliceParams
from auditkit.model import Capability


@check(
    "fairness.worst-slice",
    title="No slice that a search finds is served much worse than the rest",
    severity=Severity.MEDIUM,
    needs={Capability.LABELS},
    params=SliceParams,
    limits=(
        Limit("gap", "max", 0.1, lowest=-1.0, means="accuracy of the rest less that of a slice"),
    ),
)
def worst_slice(context: Context, params: SliceParams) -> Iterator[Measurement]:
    """How much less accurate the model is on its worst slices than elsewhere.

    What it measures:
        Slices are conjunctions of up to three properties: groups of the sensitive attributes and,
        of texts, length, capitals, URLs, digits, question marks, rare words and single frequent
        words. One half of the rows is searched for the slices with the lowest accuracy; slices of
        nearly the same rows, and parts of a slice that is worse, count as one. The worst few are
        then judged on the other half: the accuracy of all other rows less that of the slice. The
        measurement is the largest of these. Copies of a text, and rows of one cluster, are in the
        same half.

    Why it matters:
        Nobody lists all groups for which a model may not work. The worst served one is often a
        crossing, such as long texts in one dialect.

    How to read it:
        A slice was chosen because it looked bad, so only its accuracy on the other half counts. It
        fails when a slice is shown there to be worse than the rest by more than the limit. It
        passes when each of the slices found is shown to be within the limit; that says nothing of
        slices the search did not rank among the worst.

    What to do:
        Read rows of the slice. Wrong labels, or too few training rows of the kind, are the usual
        cause. The words that name a slice need not be what makes it hard.

    Limits of this check:
        A slice harder for everyone counts, too. Slices smaller than `minimum_rows` in a half are
        not looked at, nor are properties that the search does not know. Of inputs other than texts
        it knows the sensitive attributes only.

    References:
        Chung et al. 2019, Slice Finder; Sagadeeva & Boehm 2021, SliceLine. Newcombe 1998 and
        Miettinen & Nurminen 1985 for the bounds.
    """
    yield slice_gap(context, params)
