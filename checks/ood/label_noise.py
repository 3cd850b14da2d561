"""Whether the labels that the model is judged by are right."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, NoParams, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.label_noise import label_noise_measurements
from auditkit.model import Capability


@check(
    "ood.label-noise",
    title="Few of the labels the model is judged by look wrong",
    severity=Severity.LOW,
    needs={Capability.LABELS, Capability.PROBABILITIES},
    limits=(
        Limit("flagged", "max", 0.05, means="a share of rows"),
        Limit("effect", "max", None, means="a difference of accuracies"),
    ),
)
def label_noise(context: Context, _: NoParams) -> Iterator[Measurement]:
    """Share of labels that confident learning doubts, and what accuracy owes to them.

    What it measures:
        For each class the mean probability among the rows labelled so is a threshold. A row whose
        probability of another class reaches that class's threshold, and whose most probable class
        is not its label, is flagged (confident learning). `flagged` is the share of such rows;
        `effect` is how much higher accuracy would be if every flagged label were wrong and the
        suggested one right. Accuracy as labelled and accuracy with `effect` enclose what it can be
        as far as flagged labels go; if they are all right it is the former.

    Why it matters:
        A wrong label counts as the model's error. On well-known benchmarks 3 % and more of the test
        labels are wrong, enough to reverse which of two models looks better.

    How to read it:
        Look at the flagged rows in the evidence: they are sorted by how improbable their label is.
        If most are mislabelled, the accuracy is closer to the higher end. The probabilities are out
        of sample, as the method requires, because audited rows are not trained on; if they were
        (`ood.leakage`), wrong labels may have been learnt by heart and are not flagged.

    What to do:
        Have the flagged rows labelled again by somebody who does not see the model's answer.

    Limits of this check:
        A row on which the model is confidently wrong is flagged as well: only a person can tell.
        Wrong labels that the model agrees with are not found. The thresholds are taken as known by
        the bounds, though they are means of these rows. Miscalibration between classes is allowed
        for by the thresholds, miscalibration within a class is not.

    References:
        Northcutt, Jiang & Chuang 2021, Confident learning; Northcutt, Athalye & Mueller 2021,
        Pervasive label errors in test sets destabilize machine learning benchmarks. The same rows
        as cleanlab's find_label_issues with filter_by="confident_learning". Clopper & Pearson 1934.
    """
    yield from label_noise_measurements(context)
