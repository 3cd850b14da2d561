"""Accuracy by the length of a text, and by other properties of it."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.text_length import LengthParams, length_measurements
from auditkit.model import Capability


@check(
    "ood.invariance-to-length",
    title="Short and long texts are answered about equally well",
    severity=Severity.LOW,
    needs={Capability.LABELS},
    params=LengthParams,
    limits=(Limit("gap", "max", 0.1, means="a difference of accuracy between bands of length"),),
)
def invariance_to_length(context: Context, params: LengthParams) -> Iterator[Measurement]:
    """The largest difference of accuracy between texts of different length.

    What it measures:
        The audited texts are put into `params.bands` bands of about equally many by their number of
        words. The gap is the largest difference of accuracy between two bands. Beside it stands the
        accuracy on texts with other properties: an address, a digit, a question mark, capitals,
        letters of other scripts, many words that no other text has.

    Why it matters:
        A model trained on short texts reads only the beginning of long ones, or drowns what matters
        in them. An average over all lengths hides that.

    How to read it:
        0 is the same accuracy at every length. The charts show the accuracy of each band and of
        each property with its interval; only the gap between bands is judged.

    What to do:
        If long texts do worse, look whether they are truncated (the report says how many) and train
        on more of them. A property on which accuracy is low makes a slice to look at;
        `fairness.worst-slice` searches for such slices and judges them.

    Limits of this check:
        Long texts may be harder for anybody, or of another kind; the check does not say why. Words
        are counted as runs of letters, which fits languages that put spaces between words.

    References:
        Newcombe 1998 and Miettinen & Nurminen 1985 for the intervals; Berger 1982 for the largest
        of several.
    """
    yield from length_measurements(context, params)
