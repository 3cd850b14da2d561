"""Whether weights add up to the score that they explain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from auditkit.check import Context, Limit, check
from auditkit.errors import NotApplicable
from auditkit.finding import Measurement, Severity
from auditkit.metrics.completeness import completeness_measurements, sums_of
from auditkit.metrics.example_means import Sample
from auditkit.model import Capability

from ._explaining import (
    ExplanationParams,
    drawn_examples,
    explained_by,
    left_out,
    unusable,
    usable,
)

PROMISING = ("shap", "integrated-gradients")
"""Methods whose weights add up by construction, audited unless the configuration names others."""


@dataclass(frozen=True, slots=True)
class Params(ExplanationParams):
    """Parameters of `explanations.completeness`."""

    methods: tuple[str, ...] = ()
    """Methods of explanation; empty for shap and integrated-gradients, as far as they can be used
    on the model. A method that promises no sum is named and not judged."""
    tolerance: float = 0.05
    """Largest error of an example, as a share of what its weights should add up to."""

    def __post_init__(self) -> None:
        ExplanationParams.__post_init__(self)
        if not 0 < self.tolerance < 1:
            raise ValueError(f"tolerance must lie between 0 and 1, not {self.tolerance}")


@check(
    "explanations.completeness",
    title="The weights of an explanation add up to the score that they explain",
    severity=Severity.MEDIUM,
    needs={Capability.EXPLANATIONS},
    params=Params,
    grows_with="examples",
    limits=(
        Limit("incomplete", "max", 0.1, means="a share of examples whose weights miss their sum"),
        Limit("error", "max", None, means="the mean error as a share of the sum"),
    ),
)
def completeness(context: Context, params: Params) -> Iterator[Measurement]:
    """Share of explanations whose weights miss the difference that they promise to divide up.

    What it measures:
        SHAP and integrated gradients promise that the weights of a text add up to its score less
        that of the baseline, an empty text. For `params.examples` texts the weights are added up.
        The error is what is missing or too much, as a share of that difference, of which less than
        0.01 counts as 0.01. An example is incomplete when its error is above `params.tolerance`,
        5 % as Sundararajan et al. ask for. The share of incomplete examples is judged, for each
        method by itself; the mean error is reported, and 1 is the most an example adds to it.

    Why it matters:
        Weights that do not add up have lost some of the answer, or made some up: the reasons shown
        are not all there are, and their sizes mean nothing. Methods that approximate lose mass
        silently when they are given too little to compute with.

    How to read it:
        0 incomplete is what both methods promise, and what a MiniLM for SST-2 has with 50 steps.
        The table has the errors in units of probability as well. 29 examples without an error are
        needed for a pass at the default limit.

    What to do:
        For integrated gradients raise `params.steps`: the sum over steps stands for an integral,
        and a model that saturates on the way needs more of them. If that does not help, or for
        SHAP, the weights are not those of this model: look for another version, another class, or
        parts of the text that the explanation leaves out.

    Limits of this check:
        A complete explanation can still be wrong: the right sum can stand on the wrong words (see
        `explanations.faithfulness`). LIME, occlusion, gradients and attention promise no sum and
        cannot be judged by one.

    References:
        Sundararajan, Taly & Yan 2017, Axiomatic attribution for deep networks (completeness, 5 %);
        Lundberg & Lee 2017 (local accuracy); Kokhlikyan et al. 2020, Captum (convergence delta).
        Clopper & Pearson 1934 for the bounds.
    """
    methods, blocked = usable(context, params.methods or PROMISING)
    explained = drawn_examples(context, params.examples)
    if not len(explained):
        raise NotApplicable("no text has words.")
    sample = Sample(explained.ids, explained.clusters, params.minimum_examples)
    judged, unpromised = [], []
    for method, said in explained_by(methods, context, params, explained).items():
        if any(one.features for one in said) and all(one.total is None for one in said):
            unpromised.append(method)
        else:
            judged.append(sums_of(method, said, sample))
    if not judged:
        raise NotApplicable(f"no sum is promised by {', '.join(unpromised)}.")
    note = left_out(params, blocked)
    if unpromised:
        note = f"No sum is promised by {', '.join(unpromised)}. {note}"
    for one in completeness_measurements(context, judged, params.tolerance):
        yield replace(one, note=f"{one.note} {note}".strip())
        note = ""
    yield from unusable("incomplete", params, blocked)
