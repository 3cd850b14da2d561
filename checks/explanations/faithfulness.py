"""Whether an explanation names the words that the answer rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from auditkit.attribution import Attribution, words_of
from auditkit.check import Context, Limit, check
from auditkit.errors import NotApplicable
from auditkit.finding import Measurement, Severity
from auditkit.metrics.example_means import Sample
from auditkit.metrics.faithfulness import (
    Settings,
    Weighed,
    Worded,
    faithfulness_measurements,
)
from auditkit.metrics.removal import Grid
from auditkit.model import Capability

from ._explaining import (
    ExplanationParams,
    drawn_examples,
    explained_by,
    explainer_of,
    left_out,
    unusable,
    usable,
)
from ._heat_maps import heat_maps

_FEWEST_WORDS = 2
"""Of one word there is nothing to put in order."""


@dataclass(frozen=True, slots=True)
class Params(ExplanationParams):
    """Parameters of `explanations.faithfulness`."""

    fractions: tuple[float, ...] = (0.05, 0.1, 0.2, 0.5)
    """Shares of the words taken out for comprehensiveness and sufficiency; at least one word."""
    points: int = 10
    """Steps from the whole text to none of it for the deletion and insertion curves."""
    random_orders: int = 5
    """Random orders of the words per example that every method is compared with."""

    def __post_init__(self) -> None:
        ExplanationParams.__post_init__(self)
        if not self.fractions or not all(0 < share <= 1 for share in self.fractions):
            raise ValueError("fractions must lie above 0, up to 1, and there must be one")
        if min(self.points, self.random_orders) < 1:
            raise ValueError("points and random_orders must be at least 1")


@check(
    "explanations.faithfulness",
    title="Explanations name the words that the answer rests on",
    severity=Severity.MEDIUM,
    needs={Capability.EXPLANATIONS},
    params=Params,
    grows_with="examples",
    limits=(
        Limit(
            "advantage",
            "min",
            0.05,
            lowest=-1.0,
            means="a comprehensiveness above that of random orders of the same words",
        ),
        Limit(
            "sufficiency_advantage",
            "min",
            None,
            lowest=-1.0,
            means="a sufficiency better than that of random orders",
        ),
        Limit(
            "deletion_advantage",
            "min",
            None,
            lowest=-1.0,
            means="an area under the deletion curve below that of random orders",
        ),
        Limit(
            "insertion_advantage",
            "min",
            None,
            lowest=-1.0,
            means="an area under the insertion curve above that of random orders",
        ),
    ),
)
def faithfulness(context: Context, params: Params) -> Iterator[Measurement]:
    """How far the score falls without the words that a method names first, beside random words.

    What it measures:
        The answers to `params.examples` texts are explained by each method. Their words are taken
        out in the order of their weights, the one that speaks most for the answer first, and the
        model is asked again. Comprehensiveness is the loss of the answer's probability without the
        first words, sufficiency the loss with these words alone, both as the mean over
        `params.fractions` of the words. The deletion curve follows the probability until no word is
        left, the insertion curve from no word to all. The same is done with random orders of the
        same words; the advantage is how much better the method is, text by text. That in
        comprehensiveness is judged, for each method by itself.

    Why it matters:
        A heat map looks convincing whether it is right or not. Whoever acts on one (a moderator, an
        applicant, an auditor) is misled by words that have nothing to do with the answer. The true
        reasons are written nowhere, but taking words out shows what they did.

    How to read it:
        An advantage of 0.3 in comprehensiveness says that the words the method names take 0.3 more
        off the probability than as many random words. Random weights have an advantage of 0. The
        limit is above 0, so that they can be shown to fail (100 examples are mostly enough) instead
        of lying on the limit for ever: at 0.05 a method must be worth five points of probability.
        On a MiniLM for SST-2 occlusion and integrated gradients are worth 40. The most faithful
        method is named with its interval and its lead over the next. Words of equal weight are
        taken in random order: a method that says nothing is as good as chance. The other three
        metrics are reported; they mostly agree, and judging all four would make each less certain.

    What to do:
        Show users the most faithful method, and drop those that fail. For integrated gradients
        raise `params.steps`, for LIME `params.samples`. When every method fails, look at the
        deletion curves: an answer that stays the same until almost no word is left rests on no few
        words, and should not be explained by some.

    Limits of this check:
        A text with words taken out is unlike those the model was trained on, and what it says to
        that is not only the lost words' doing. The random orders share this, which is why the
        advantage is judged and not the loss. Occlusion is nearly what is measured, and so has a
        head start. White space stays where words go. Words past the model's longest input weigh
        nothing until others before them are gone. A model that is never sure can lose little, and
        its true reasons may be worth less than the limit. Texts of one word do not count; a text
        that a method does not explain counts as a random order. A language that writes without
        blanks has few words.

    References:
        DeYoung et al. 2020, ERASER (comprehensiveness, sufficiency); Samek et al. 2017 (AOPC);
        Petsiuk et al. 2018, RISE (deletion, insertion); Hooker et al. 2019 (texts unlike the
        training data); Jacovi & Goldberg 2020, Towards faithfully interpretable NLP systems.
    """
    methods, blocked = usable(context, params.methods)
    explained = drawn_examples(context, params.examples)
    words = [words_of(text) for text in explained.texts]
    kept = [place for place, spans in enumerate(words) if len(spans) >= _FEWEST_WORDS]
    if not kept:
        raise NotApplicable("no text has two words or more.")
    examples = Worded(
        texts=tuple(explained.texts[place] for place in kept),
        labels=explained.labels[kept],
        words=tuple(words[place] for place in kept),
        sample=Sample(explained.ids, explained.clusters, params.minimum_examples).only(kept),
        seed=explainer_of(context).seed,
    )
    found = explained_by(methods, context, params, explained, len(methods) / (len(methods) + 1))
    weighed = [_weighed(name, [said[place] for place in kept]) for name, said in found.items()]
    settings = Settings(Grid(params.fractions, params.points), params.random_orders)
    title = "What each method says of some answers"
    more = heat_maps(context, explained, [*found.values()], title, params.show)
    measured = faithfulness_measurements(context, examples, weighed, settings, more)
    note = left_out(params, blocked)
    if len(kept) < len(words):
        note = f"{len(words) - len(kept):,} texts of fewer than two words are left out. {note}"
    for one in measured:
        yield replace(one, note=f"{one.note} {note}".strip())
        note = ""
    yield from unusable("advantage", params, blocked)


def _weighed(method: str, said: Sequence[Attribution]) -> Weighed:
    weights = tuple(one.of_words(words_of(one.text)) for one in said)
    return Weighed(method, weights, sum(not one.features for one in said))
