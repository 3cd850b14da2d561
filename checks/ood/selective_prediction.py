"""Whether leaving out unsure answers keeps the rest right."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.selective import SelectiveParams, selective_measurements
from auditkit.model import Capability


@check(
    "ood.selective-prediction",
    title="Answers that are sure enough keep to the risk promised, also where it was not trained",
    severity=Severity.MEDIUM,
    needs={Capability.LABELS, Capability.PROBABILITIES, Capability.SHIFTS},
    params=SelectiveParams,
    limits=(
        Limit("excess_risk", "max", 0.05, lowest=-0.5, means="risk beyond the one promised"),
        Limit("coverage", "min", None, means="a share of rows that are answered"),
        Limit("aurc", "max", None, means="an area under the risk-coverage curve"),
    ),
)
def selective_prediction(context: Context, params: SelectiveParams) -> Iterator[Measurement]:
    """Risk among the answers the model is sure of, at a threshold chosen with a guarantee.

    What it measures:
        Half of the rows in distribution choose the lowest confidence from which on, with
        probability 1 - `params.delta`, at most `params.target_risk` of the answers are wrong. The
        other half and every set of `[data.ood]` are then judged: the share of rows that are
        answered (coverage), and by how much the share of wrong answers among them lies above the
        promise (excess risk). The area under the risk-coverage curve (AURC) is the mean risk over
        all thresholds.

    Why it matters:
        Handing unsure texts to a person is the usual way to use an imperfect model. It works only
        if the model is unsure where it is wrong, and out of distribution models are often sure and
        wrong.

    How to read it:
        An excess risk of at most 0 keeps the promise. Where the curve falls towards the left,
        leaving out the least sure answers helps; where it is flat, confidence says nothing. A
        smaller AURC is better. If no threshold can be shown to keep to the risk, nothing is
        measured: allow more risk or give more rows.

    What to do:
        Choose the threshold on rows like those the model is used on. Temperature scaling does not
        change the order of answers of two classes, and so not this check.

    Limits of this check:
        The guarantee is for rows like those chosen by; on a set out of distribution it is a test,
        not a promise. Confidence is the probability of the predicted class; other scores may rank
        better. The search starts where a tenth of the rows is accepted, so a promise that
        only fewer could keep is not found; that the start depends on the confidences, the
        guarantee does not account for exactly. By simulation it holds. A set of which fewer than
        100 answers are given cannot pass.

    References:
        El-Yaniv & Wiener 2010; Geifman & El-Yaniv 2017, Selective classification for deep neural
        networks; Geifman et al. 2019 (AURC); Angelopoulos et al. 2021, Learn then test.
    """
    yield from selective_measurements(context, params)
