"""Whether the audited rows are like those the model was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.drift import drift_measurements
from auditkit.model import Capability


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters of `ood.drift`."""

    most_rows: int = 1_000
    """Most training rows, audited rows and rows of each set that are compared."""
    bins: int = 10
    """Bins of a property for the stability index."""

    def __post_init__(self) -> None:
        if not 20 <= self.most_rows <= 10_000:
            raise ValueError(f"most_rows must lie between 20 and 10,000, not {self.most_rows}")
        if not 2 <= self.bins <= 50:
            raise ValueError(f"bins must lie between 2 and 50, not {self.bins}")


@check(
    "ood.drift",
    title="The audited rows are like those the model was trained on",
    severity=Severity.LOW,
    needs={Capability.EMBEDDINGS, Capability.TRAINING_ROWS},
    params=Params,
    limits=(
        Limit("auc", "max", 0.7, means="the AUC of telling audited rows from training rows"),
        Limit(
            "stability_index", "max", 0.25, highest=1_000.0, means="a population stability index"
        ),
    ),
)
def drift(context: Context, params: Params) -> Iterator[Measurement]:
    """Two-sample tests on embeddings, and the stability of text properties and labels.

    What it measures:
        `auc`: a classifier two-sample test. Training rows and audited rows in distribution are
        joined and dealt into two halves that share no input; on one a logistic regression learns
        from the embeddings which row is of which, on the other it is judged. `stability_index`: the
        population stability index (PSI) of the number of words, the letters per word, the shares of
        capitals and of digits and signs, and the label, over bins that are quantiles of both
        samples together. In the evidence: the maximum mean discrepancy with a Gaussian kernel
        (median heuristic), permutation p-values of all three, and the same for each named set.

    Why it matters:
        An audit speaks of rows like the audited ones. If they are not what the model was trained
        on, either the training data or the audit data is not what will be met in use.

    How to read it:
        AUC 0.5: a linear probe cannot tell the two. Below a PSI of 0.1 a property is usually called
        stable, above 0.25 shifted. A p-value says whether there is a difference at all; with many
        rows a small one is certain, so the verdict is on its size.

    What to do:
        Find the property that moved; the sets in the evidence show how large a known shift looks.
        If the audit data is what will be met, train on rows like it; if not, audit other rows.

    Limits of this check:
        The embeddings are the model's own, and a model that has memorised its training rows embeds
        them apart from fresh ones: an AUC above 0.5 without any property that moved can be
        overfitting rather than drift (compare with the split it was validated on). The bounds are
        for this probe. Where rows come in clusters, one row of each is drawn from each sample; a
        cluster in both is in one half, and counts once for the AUC. The stability index takes the
        samples as independent all the same, which is wide where a cluster's rows are alike. The
        p-values are not corrected for the number of properties.

    References:
        Lopez-Paz & Oquab 2017, Revisiting classifier two-sample tests; Gretton et al. 2012, A
        kernel two-sample test; Phipson & Smyth 2010 for the p-values; Siddiqi 2006;
        Yurdakul & Naranjo 2020, Statistical properties of the population stability index.
    """
    yield from drift_measurements(context, params.most_rows, params.bins)
