"""Whether an explanation stays when nothing that matters changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from auditkit.check import Context, Limit, check
from auditkit.data import unit_id
from auditkit.errors import NotApplicable, nearest
from auditkit.finding import Measurement, Severity
from auditkit.metrics.example_means import Sample
from auditkit.metrics.shown_examples import Shown
from auditkit.metrics.stability import Noised, Repeated, stability_measurements
from auditkit.model import Capability
from auditkit.noise import NOISES, noisy

from ._explaining import (
    DRAWING,
    Explained,
    ExplanationParams,
    Span,
    attributions,
    drawn_examples,
    explainer_of,
    left_out,
    said_of,
    unusable,
    usable,
)

_RARE = 0.1
"""Share of the examples that a noise must change; a rarer one has little to do with these data."""


@dataclass(frozen=True, slots=True)
class Params(ExplanationParams):
    """Parameters of `explanations.stability`."""

    noises: tuple[str, ...] = ("keyboard", "case")
    """Mild noises of `robustness.natural-noise` under which answers are explained again."""

    def __post_init__(self) -> None:
        ExplanationParams.__post_init__(self)
        for name in self.noises:
            if name not in NOISES:
                raise ValueError(f"there is no noise {name!r}; {nearest(name, NOISES)}")
        if len(set(self.noises)) < len(self.noises):
            raise ValueError("noises names one twice")


@check(
    "explanations.stability",
    title="An explanation stays when only a slip, capitals or random numbers change",
    severity=Severity.MEDIUM,
    needs={Capability.EXPLANATIONS},
    params=Params,
    limits=(
        Limit(
            "rank_correlation",
            "min",
            0.5,
            lowest=-1.0,
            means="a rank correlation with the explanation under mild noise",
        ),
        Limit(
            "seed_rank_correlation",
            "min",
            0.7,
            lowest=-1.0,
            means="a rank correlation with the explanation for another seed",
        ),
        Limit("top_overlap", "min", None, means="a share of the top five words that noise leaves"),
        Limit(
            "seed_top_overlap", "min", None, means="a share of the top five that another seed names"
        ),
    ),
    grows_with="examples",
)
def stability(context: Context, params: Params) -> Iterator[Measurement]:
    """Rank correlation of explanations before and after mild noise, and with another seed.

    What it measures:
        Fifty examples (`params.examples`) are explained as written, and again with mild noise: a
        slip on the keyboard in one word of ten, and other capitals (`params.noises`). Only examples
        whose answer stays the same class are compared, and that class is explained both times.
        Methods that draw random numbers (LIME, kernel SHAP) explain the text as written again with
        another seed; the others give the same explanation for every seed. `rank_correlation` is
        Spearman's, over the words of the text, in the mean over the examples; words that weigh less
        than a twentieth of the heaviest share a rank, since their order is chance. `top_overlap` is
        the share of the five most important words, whatever their sign, that both explanations name
        (of fewer where fewer weigh anything). Words are matched by position, or where noise changes
        how many there are, by the words around them.

    Why it matters:
        Two people with the same case and the same answer should be told the same reason. One who
        gets another reason on the second try trusts neither, and one who wants a certain reason can
        try until it comes.

    How to read it:
        Every method is judged under every noise by itself. At a rank correlation of 0.7 about three
        of four pairs of words are in the same order in both explanations, at 0.5 about two of
        three, at 0 every second one (normal weights). The seed changes nothing that an explanation
        is about, so that the limit is higher there; noise does change a word, and with it what the
        model reads. A method with a low correlation and a high overlap at the top disagrees with
        itself about words that matter little.

    What to do:
        With a low value for another seed raise `params.samples`, or show the mean of several runs.
        With a low value under noise compare the methods: where all are low, the model reads a
        slightly changed text in another way, and `robustness.natural-noise` and training with noise
        are the place to start; where one is, use another method.

    Limits of this check:
        An explanation can be stable and wrong: a constant one is perfect here. Texts of fewer than
        three words have no rank correlation, and those of which every word counts no top. An
        explanation that is empty, or weighs every word the same, before and after counts as none;
        one that is so only once counts as a correlation of 0.

    References:
        Alvarez-Melis & Jaakkola 2018, On the robustness of interpretability methods; Ghorbani et
        al. 2019, Interpretation of neural networks is fragile; Visani et al. 2022, Statistical
        stability indices for LIME; Spearman 1904.
    """
    methods, blocked = usable(context, params.methods)
    explained = drawn_examples(context, params.examples)
    causes, rare = _noises(context, params, explained)
    if not causes and not any(method in DRAWING for method in methods):
        raise NotApplicable("no noise changes these texts, and no method draws random numbers.")
    repeated = []
    for done, method in enumerate(methods):
        span = (done / len(methods), (done + 1) / len(methods))
        repeated.append(_repeated(context, params, explained, causes, (method, span)))
    names = context.data.class_names
    shown = Shown(
        said_of(context, explained), tuple(names[i] for i in explained.labels), params.show
    )
    notes = f"Too rare in these texts: {', '.join(rare)}." if rare else ""
    yield from stability_measurements(
        context,
        Sample(explained.ids, explained.clusters, params.minimum_examples),
        causes,
        repeated,
        f"{notes} {left_out(params, blocked)}".strip(),
        shown,
    )
    yield from unusable("rank_correlation", params, blocked)


def _noises(
    context: Context, params: Params, explained: Explained
) -> tuple[list[Noised], list[str]]:
    """Each noise on the examples that it changes and that keep their answer; noises too rare."""
    causes, rare = [], []
    for name in params.noises:
        seed = explainer_of(context).seed
        texts = [noisy(NOISES[name], "mild", text, seed) for text in explained.texts]
        changed = [place for place, text in enumerate(texts) if text != explained.texts[place]]
        if len(changed) < max(_RARE * len(explained), 1):
            rare.append(name)
            continue
        answers = context.predictor.predict([texts[place] for place in changed]).labels
        same = [
            place
            for place, answer in zip(changed, answers.tolist(), strict=True)
            if answer == explained.labels[place]
        ]
        kept = tuple(texts[place] for place in same)
        causes.append(Noised(name, tuple(same), kept, len(changed), len(changed) - len(same)))
    return causes, rare


def _repeated(
    context: Context,
    params: Params,
    explained: Explained,
    causes: list[Noised],
    method: tuple[str, Span],
) -> Repeated:
    """What a method says of the examples, again with each noise, and again with another seed."""
    name, (start, end) = method
    seed = explainer_of(context).seed
    parts = 2 + len(causes)

    def part(done: int) -> Span:
        width = (end - start) / parts
        return start + done * width, start + (done + 1) * width

    first = attributions(context, name, explained, params.effort(seed), part(0))
    noised = {
        cause.name: attributions(
            context, name, _with(explained, cause), params.effort(seed), part(1 + done), cause.name
        )
        for done, cause in enumerate(causes)
    }
    reseeded = None
    if name in DRAWING:
        other = params.effort((seed + 1) % 2**32)
        reseeded = attributions(context, name, explained, other, part(parts - 1))
    return Repeated(name, first, noised, reseeded)


def _with(explained: Explained, cause: Noised) -> Explained:
    """The examples that a noise leaves their answer, with the noise."""
    places = np.array(cause.places, dtype=np.int64)
    return replace(
        explained,
        rows=explained.rows[places],
        texts=cause.texts,
        labels=explained.labels[places],
        scores=explained.scores[places],
        ids=tuple(map(unit_id, cause.texts)),
        clusters=None if explained.clusters is None else explained.clusters[places],
    )
