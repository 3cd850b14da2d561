"""Whether the model behaves as its users' own tests demand."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.behaviour import SuiteParams, failure_measurements
from auditkit.model import Capability


@check(
    "robustness.behavioural",
    title="The model passes the behavioural tests written for it",
    severity=Severity.HIGH,
    needs={Capability.NEW_INPUTS},
    params=SuiteParams,
    limits=(
        Limit("worst_test", "max", 0.1, means="the failure rate of a capability's worst test"),
        Limit("failure_rate", "max", None, means="a share of a capability's cases that fail"),
    ),
)
def behavioural(context: Context, params: SuiteParams) -> Iterator[Measurement]:
    """Failure rates of a suite of behavioural tests, per capability.

    What it measures:
        A suite of yours, named in `params.suite_file`: a jsonl file (or jsonl.gz) with one case a
        line. A case has `test`, `type`, `capability` and `texts`. Type MFT: every text must be
        given the class `label`. INV: every text after the first must be given the same class as
        the first. DIR: from the first text to the others the probability of `label` (by default
        the class given to the first text) must not fall when `direction` is "up", nor rise when it
        is "down", by more than `params.tolerance`. For example:
        {"test": "negation", "type": "MFT", "capability": "Syntax", "texts": ["It is not good."],
        "label": "negative"}.
        `case` may give an id, unique within the test, and `note` a remark. A case fails when one
        of its texts does. Labels of another suite are mapped by `params.labels`, directions it
        does not state are given by `params.directions`, tests that do not fit are left out by
        `params.leave_out`.

    Why it matters:
        Accuracy on held-out rows says nothing about what they do not contain. A suite states what
        must hold whatever the data: negation turns a verdict round, a name does not.

    How to read it:
        For each capability the worst of its tests is judged, because an average over thousands of
        easy cases hides a test that fails altogether. The failure rate over all cases of the
        capability is reported, and judged when `limits.failure_rate` is set. The report gives the
        lines of the first failures, not their texts. DIR cases whose probability is already within
        the tolerance of its end cannot fail and do not count.

    What to do:
        Read the failing lines; a pattern among them is a hole in the training data. Write more
        cases where a test is undecided: 29 that all pass show a rate below 0.1. Do not train on
        the suite itself.

    Limits of this check:
        The intervals take the cases as drawn from all the cases one could write. Cases from one
        template resemble each other, so the truth is less certain than they say. A passed suite
        says nothing about what nobody thought of.

    References:
        Ribeiro et al. 2020, Beyond accuracy: behavioral testing of NLP models with CheckList;
        Clopper & Pearson 1934.
    """
    yield from failure_measurements(context, params)
