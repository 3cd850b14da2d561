"""Whether rows the model is judged by were also trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.leakage import leakage_measurements
from auditkit.metrics.near_duplicates import Likeness
from auditkit.model import Capability


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters of `ood.leakage`."""

    shingle: int = 2
    """Words of a shingle. 2 suits sentences; 3 to 5 suits documents."""
    similarity: float = 0.7
    """Least share of their shingles that near-duplicates have in common (Jaccard index)."""

    def __post_init__(self) -> None:
        if not 1 <= self.shingle <= 10:
            raise ValueError(f"shingle must lie between 1 and 10, not {self.shingle}")
        if not 0.3 <= self.similarity <= 1:
            raise ValueError(f"similarity must lie between 0.3 and 1, not {self.similarity}")


@check(
    "ood.leakage",
    title="Held-out rows are neither training rows nor copies of one another",
    severity=Severity.MEDIUM,
    needs={Capability.TRAINING_ROWS},
    params=Params,
    limits=(
        Limit("leaked", "max", 0.02, means="a share of rows"),
        Limit("repeated", "max", 0.05, means="a share of rows"),
        Limit("inflation", "max", 0.01, lowest=-1.0, means="a difference of accuracies"),
    ),
)
def leakage(context: Context, params: Params) -> Iterator[Measurement]:
    """Copies and near-duplicates between training rows and held-out rows, and among audited rows.

    What it measures:
        Two texts are near-duplicates if their sets of word shingles have a Jaccard index of at
        least `similarity`; case and punctuation do not count. `leaked` is the share of rows that
        have such a text among the training rows: of the audited rows in distribution, of each named
        set, and of every other split of the data file that was not trained on. `repeated` is the
        share that repeat an earlier row, among the audited rows and in each set. `inflation` is the
        accuracy on the audited rows in distribution less that on those that did not leak.

    Why it matters:
        What was trained on is answered from memory. Leaked rows make every number of the audit look
        better than it is, and repeated rows make every interval look narrower than it is. By the
        validation split epochs, thresholds and temperatures are chosen; leaked rows in it reward a
        model for what it has by heart.

    How to read it:
        0 is clean. `repeated` is a count of these very rows, without sampling error. `inflation`
        above 0 says how much of the accuracy is owed to leaked rows; close to 0, the leak did not
        matter for accuracy, though it may for other checks. For a split that is not audited the
        copies are counted, and no accuracy without them is known: the model is not asked about it.

    What to do:
        Remove the leaked rows from the split they are in, or retrain without them. Name the column
        that ties repeated rows in data.cluster, so that intervals allow for them, or remove the
        copies.

    Limits of this check:
        Candidate pairs are found by hashing: a pair exactly at `similarity` is missed with a chance
        of 0.5 %, more similar ones more rarely, and in buckets of more than 40 texts with common
        boilerplate each text is compared with 40 of them. Every pair that is reported was compared
        exactly. Paraphrases and translations share no shingles and are not found. Short texts are
        sensitive: one word changed in a sentence of ten leaves a Jaccard index of 0.64. What a
        pretrained model had seen before it was fine-tuned is not known here.

    References:
        Broder 1997, On the resemblance and containment of documents; Leskovec, Rajaraman & Ullman
        2020, ch. 3; Lee et al. 2022, Deduplicating training data makes language models better;
        Elangovan et al. 2021, Memorization vs. generalization. Clopper & Pearson 1934; Efron 1987.
    """
    likeness = Likeness(params.shingle, params.similarity, int(context.rng.integers(2**32)))
    yield from leakage_measurements(context, likeness)
