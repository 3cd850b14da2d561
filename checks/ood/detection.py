"""Whether the model's own scores tell inputs from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from auditkit.check import Context, Limit, check
from auditkit.errors import nearest
from auditkit.finding import Measurement, Severity
from auditkit.metrics.detectors import DETECTORS
from auditkit.metrics.ood_detection import DetectionParams, detection_measurements
from auditkit.model import Capability


@dataclass(frozen=True, slots=True)
class Params(DetectionParams):
    """Parameters of `ood.detection`."""

    judged: str = "msp"
    """Detector that is judged: msp, max-logit, energy, entropy, mahalanobis, knn or vim. Name the
    one that will be used; picking the best of seven afterwards flatters it."""
    neighbours: int = 50
    """Which nearest training row counts for knn."""
    training_rows: int = 2_000
    """Most training rows that mahalanobis, knn and vim are fitted to."""
    most_rows: int = 5_000
    """Most rows in distribution, and of each set, that are scored."""

    def __post_init__(self) -> None:
        if self.judged not in DETECTORS:
            raise ValueError(
                f"there is no detector {self.judged!r}; {nearest(self.judged, DETECTORS)}"
            )
        if self.neighbours < 1:
            raise ValueError(f"neighbours must be at least 1, not {self.neighbours}")
        if min(self.training_rows, self.most_rows) < 20:
            raise ValueError("training_rows and most_rows must be at least 20")


@check(
    "ood.detection",
    title="The model's own scores tell rows out of distribution from rows in distribution",
    severity=Severity.LOW,
    needs={Capability.PROBABILITIES, Capability.SHIFTS},
    uses={Capability.EMBEDDINGS, Capability.TRAINING_ROWS},
    params=Params,
    limits=(
        Limit("auroc", "min", 0.7, means="an AUROC"),
        Limit("fpr95", "max", None, means="a share of rows out of distribution"),
    ),
)
def detection(context: Context, params: Params) -> Iterator[Measurement]:
    """AUROC and FPR at 95 % TPR of telling each named set from the rows in distribution.

    What it measures:
        Each row gets a score of how far out it is. From the logits: msp (one less the largest
        probability), max-logit, energy (-log Σ exp) and entropy. From the embedding, fitted to a
        sample of the training rows: mahalanobis (squared distance to the nearest class mean under
        one shared covariance), knn (distance to the k-th nearest training row, all scaled to length
        1) and vim (what of the embedding lies outside the principal space of the training rows,
        less the energy). `auroc` is how often a row of the set scores further out than a row in
        distribution; `fpr95` is the share of the set that is still let through by the threshold
        that keeps 95 % of the rows in distribution. Both are of the detector `judged`; all that
        can be computed are in the evidence, with the area under the precision-recall curve both
        ways: with the rows out of distribution as positives, and with those in distribution as
        positives. msp and entropy need only probabilities; max-logit and energy need the logits,
        which are read from the embedding and the last layer; the other three need training rows,
        too. What is left out is named with the reason.

    Why it matters:
        A model answers everything it is asked. Where it is wrong on inputs it was not made for,
        only a score that tells such inputs can send them to a person instead.

    How to read it:
        AUROC 0.5 is guessing, 1 is perfect; an FPR of 0.95 is guessing, 0 is perfect. A set on
        which the model is as accurate as at home need not be told apart: read this beside the
        accuracy on the same set (`ood.accuracy-drop`).

    What to do:
        See in the evidence whether another detector does better and judge by that from the next
        audit on. `ood.outlier-exposure` trains the model to be unsure about such rows; turning away
        rows above a threshold needs no training.

    Limits of this check:
        It speaks of the sets that were named; other inputs may be easier or harder to tell. The
        bounds allow for the rows scored, not for other training rows to fit to. With fewer training
        rows than the embedding is wide, the covariance has no full inverse and mahalanobis uses the
        pseudo-inverse. Rows that the model was trained on are no rows in distribution to judge by.

    References:
        Hendrycks & Gimpel 2017 (msp); Hendrycks et al. 2022 (max-logit); Liu et al. 2020 (energy);
        Lee et al. 2018 (mahalanobis); Sun et al. 2022 (knn); Wang et al. 2022 (vim). DeLong 1988;
        Boyd, Eng & Page 2013; Conover 1999, 3.2.
    """
    yield from detection_measurements(context, params)
