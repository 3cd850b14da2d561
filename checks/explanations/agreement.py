"""Whether methods of explanation contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from auditkit.check import Context, Limit, check
from auditkit.errors import NotApplicable
from auditkit.finding import Measurement, Severity
from auditkit.metrics.agreement import agreement_measurements
from auditkit.metrics.example_means import Sample
from auditkit.metrics.shown_examples import Shown
from auditkit.model import Capability

from ._explaining import (
    ExplanationParams,
    drawn_examples,
    explained_by,
    left_out,
    said_of,
    unusable,
    usable,
)


@dataclass(frozen=True, slots=True)
class Params(ExplanationParams):
    """Parameters of `explanations.agreement`."""


@check(
    "explanations.agreement",
    title="No two methods of explanation contradict each other",
    severity=Severity.LOW,
    needs={Capability.EXPLANATIONS},
    params=Params,
    limits=(
        Limit(
            "rank_correlation",
            "min",
            0.0,
            lowest=-1.0,
            means="a rank correlation of two methods' weights",
        ),
        Limit("top_overlap", "min", None, means="a share of the top five words in common"),
    ),
    grows_with="examples",
)
def agreement(context: Context, params: Params) -> Iterator[Measurement]:
    """Rank correlation and overlap of the top words, of every two methods on the same answers.

    What it measures:
        Fifty examples (`params.examples`) are explained by every method, for the class that the
        model answers. `rank_correlation` is Spearman's, over the words of the text, in the mean
        over the examples; words that weigh less than a twentieth of the heaviest share a rank,
        since their order is chance. `top_overlap` is the share of the five most important words,
        whatever their sign, that both name (of fewer where fewer weigh anything). Attention rollout
        has no sign: compared with it, other methods count by the size of their weights.

    Why it matters:
        Whoever explains an answer chooses the method, and where methods disagree the choice decides
        what the person hears. An auditor should know how far the reason that is given depends on
        it.

    How to read it:
        Disagreement is normal: the methods answer different questions (what happens without a word,
        what happens along a gradient), and on texts Krishna et al. found correlations near 0 and
        few top words in common. That is why the limit is 0 only: a pair fails when it is shown to
        order the words the other way round. 1 is full agreement. The heat maps show the examples on
        which the methods disagree most, side by side.

    What to do:
        Do not average methods that contradict each other, and do not choose the one that looks
        best: `explanations.faithfulness` says which of them follows the model. State in what is
        given to users which method was used. Where one method contradicts all others, look for a
        wrong baseline, too few samples, or gradients that vanish.

    Limits of this check:
        Agreement shows nothing about truth: methods of one kind can share one mistake, and a method
        can be right against all others. Texts of fewer than three words have no correlation, those
        of which every word counts no top, and an explanation that weighs all words the same is
        compared with none.

    References:
        Krishna et al. 2022, The disagreement problem in explainable machine learning; Neely et al.
        2021, Order in the court: explainable AI methods prone to disagreement; Spearman 1904.
    """
    methods, blocked = usable(context, params.methods)
    if len(methods) < 2:
        others = "; ".join(f"{name}: {why}" for name, why in blocked.items())
        raise NotApplicable(
            f"{methods[0]} alone has no other method to agree with{f' ({others})' * bool(others)}."
        )
    explained = drawn_examples(context, params.examples)
    found = explained_by(methods, context, params, explained)
    names = context.data.class_names
    yield from agreement_measurements(
        context,
        Sample(explained.ids, explained.clusters, params.minimum_examples),
        found,
        left_out(params, blocked),
        Shown(said_of(context, explained), tuple(names[i] for i in explained.labels), params.show),
    )
    yield from unusable("rank_correlation", params, blocked)
