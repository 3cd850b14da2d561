"""Whether explanations depend on what the model has learnt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Attribution, without, words_of
from auditkit.check import Context, Explainer, Limit, check
from auditkit.errors import NotApplicable
from auditkit.finding import Measurement, Severity
from auditkit.metrics.example_means import Sample
from auditkit.metrics.randomization import (
    Maps,
    Randomized,
    randomization_measurements,
    response_measurement,
)
from auditkit.model import Capability

from ._explaining import (
    Explained,
    ExplanationParams,
    attributions,
    drawn_examples,
    explainer_of,
    left_out,
    unusable,
    usable,
)

CHEAP = ("integrated-gradients", "gradient-x-input", "occlusion")
"""Methods that ask a model little: each copy is a new model, of which nothing is remembered."""
_FEWEST_WORDS = 3
"""Two words are in the same order or in the contrary one, which says too little."""


@dataclass(frozen=True, slots=True)
class Params(ExplanationParams):
    """Parameters of `explanations.randomization`."""

    methods: tuple[str, ...] = ()
    """Methods of explanation; empty for integrated-gradients, gradient-x-input and occlusion, as
    far as they can be used on the model. LIME and SHAP ask every copy thousands of questions."""
    examples: int = 30
    """Texts whose answers are explained, by the model and by each copy."""
    copies: int = 3
    """Copies in which every layer is random. One more has a random head, and one random layers
    half-way down."""

    def __post_init__(self) -> None:
        ExplanationParams.__post_init__(self)
        if self.copies < 1:
            raise ValueError("copies must be at least 1")


@check(
    "explanations.randomization",
    title="Explanations change when the model forgets what it has learnt",
    severity=Severity.MEDIUM,
    needs={Capability.EXPLANATIONS, Capability.WHITE_BOX},
    params=Params,
    grows_with="examples",
    limits=(
        Limit(
            "similarity",
            "max",
            0.5,
            lowest=-1.0,
            means="a rank correlation with the explanations by copies of random weights",
        ),
        Limit(
            "random_response",
            "max",
            0.2,
            means="a part of the model's response to its texts that random weights give as well",
        ),
        Limit(
            "signed_similarity",
            "max",
            None,
            lowest=-1.0,
            means="the same correlation with for and against told apart",
        ),
        Limit(
            "complexity_rise",
            "min",
            None,
            lowest=-1.0,
            means="how much more evenly copies of random weights spread the weights of words",
        ),
    ),
)
def randomization(context: Context, params: Params) -> Iterator[Measurement]:
    """How alike the explanations by the model and by copies of it with random weights are.

    What it measures:
        Copies of the model are made in which the head has random weights, then half of the layers
        from the head down, then all, `params.copies` times. The answers to `params.examples` texts
        are explained by the model and by each copy, for the same class. Similarity is the rank
        correlation (Spearman) of the sizes of the words' weights in one text, the mean over copies
        and texts; that with every layer random is judged, for each method by itself. The random
        response is about the model: all words of a text are taken out, and the log odds of the
        answer change by a; those by the copies by c. The part c / (a + c) is judged, the mean over
        the texts.

    Why it matters:
        Some methods draw the text, not the model: they mark rare or long words whatever the weights
        are. Their heat maps look right, and would for an untrained model. In the other direction a
        method cannot explain what was never learnt: where the weights are as good as random there
        are no reasons to show.

    How to read it:
        A similarity near 0 is what weights without anything in common give, 1 is an explanation
        that does not depend on the model. The curve shows where on the way down it changes. A
        random response near 0 belongs to a model that has learnt to read: 0.01 to 0.03 for a MiniLM
        that is right in 87 % of SST-2, 0.11 for one that is right in 67 % of a harder task. 0.5 is
        as much as random weights give (0.3 to 0.8, by luck), and 0.2 to 0.4 what a new head on a
        trained body gives. The signed similarity tells for and against apart. A rise in complexity
        says that the model's own explanations single words out and those of random copies less so.

    What to do:
        Do not show explanations by a method that fails. When the random response fails, the model
        is not trained, the wrong checkpoint was loaded, or its head was initialised anew: look at
        `quality.metric`, and for a warning about new weights where the model was saved.

    Limits of this check:
        Necessary, not sufficient: random weights of words change with the model, too (see
        `explanations.faithfulness`), and a noisy method changes by its noise. Some similarity comes
        from the text alone, as a word of many tokens gets more weight from any model; hence the
        limit is not 0. The bounds are over texts, and for the copies that were drawn. A model of
        random weights can respond four times as strongly as three copies by luck: with one number
        deciding for all texts, which is the worst case, 4 of 100 such models would. Texts of fewer
        than three words are left out.

    References:
        Adebayo et al. 2018, Sanity checks for saliency maps (cascading randomization); Hedström et
        al. 2023, Sanity checks revisited (noise; complexity instead of similarity); Sixt et al.
        2020, When explanations lie.
    """
    explainer = explainer_of(context)
    methods, blocked = usable(context, params.methods or CHEAP)
    if not explainer.layers:
        raise NotApplicable("the model's layers are not shown.")
    explained = drawn_examples(context, params.examples)
    kept = [
        place for place, text in enumerate(explained.texts) if len(words_of(text)) >= _FEWEST_WORDS
    ]
    if not kept:
        raise NotApplicable(f"no text has {_FEWEST_WORDS} words or more.")
    sample = Sample(explained.ids, explained.clusters, params.minimum_examples).only(kept)
    texts = _Texts(
        explained=_only(explained, kept),
        empty=tuple(without(text, words_of(text)) for text in (explained.texts[i] for i in kept)),
    )
    maps, copies, copied = _explain_all(context, params, methods, texts)
    yield response_measurement(context, sample, texts.scores(explainer), copied)
    compared = [Randomized(name, maps[name], copies[name], sample) for name in methods]
    note = left_out(params, blocked)
    if len(kept) < len(explained):
        short = len(explained) - len(kept)
        note = f"{short:,} texts of fewer than three words are left out. {note}"
    for one in randomization_measurements(context, compared, explainer.layers):
        yield replace(one, note=f"{one.note} {note}".strip())
        note = ""
    yield from unusable("similarity", params, blocked)


@dataclass(frozen=True, slots=True, eq=False)
class _Texts:
    """The examples, and the same without their words."""

    explained: Explained
    empty: tuple[str, ...]

    def scores(self, model: Explainer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What a model, the audited one or a copy, says of the classes, with words and without."""
        n = len(self.empty)
        answers = model.predict([*self.explained.texts, *self.empty]).probabilities
        assert answers is not None, "the check needs Capability.PROBABILITIES"
        of_class = answers[np.arange(2 * n), np.tile(self.explained.labels, 2)].astype(np.float64)
        return of_class[:n], of_class[n:]


_Copies = dict[int, list[Maps]]
_Scores = list[tuple[NDArray[np.float64], NDArray[np.float64]]]


def _explain_all(
    context: Context, params: Params, methods: Sequence[str], texts: _Texts
) -> tuple[dict[str, Maps], dict[str, _Copies], _Scores]:
    """The weights of words by the model and by each copy, and the answers of the copies.

    One copy is held in memory at a time.
    """
    explainer, explained = explainer_of(context), texts.explained
    effort = params.effort(explainer.seed)
    every = len(explainer.layers)
    planned = [(depth, 1) for depth in sorted({1, (every + 1) // 2} - {every})]
    planned += [(every, number) for number in range(1, params.copies + 1)]
    whole, done = (len(planned) + 1) * len(methods), 0
    copies: dict[str, _Copies] = {method: {} for method in methods}
    maps: dict[str, Maps] = {}
    scores: _Scores = []
    for depth, number in [(0, 0), *planned]:
        model = explainer.randomized(depth, _seed(explainer, number)) if depth else explainer
        asked = replace(context, explainer=model)
        for method in methods:
            span = (done / whole, (done + 1) / whole)
            part = f"{depth}.{number}" if depth else ""
            said = attributions(asked, method, explained, effort, span, part)
            done += 1
            if depth:
                copies[method].setdefault(depth, []).append(_of_words(said))
            else:
                maps[method] = _of_words(said)
        if depth == every:
            scores.append(texts.scores(model))
    return maps, copies, scores


def _seed(explainer: Explainer, number: int) -> int:
    """The seed of a copy.

    No small number: models are often trained from seeds 0, 1 or 42, and a copy whose head is drawn
    by the same seed has the head that training started from, of which much is left.
    """
    return int(np.random.SeedSequence([explainer.seed, number, 11]).generate_state(1)[0])


def _of_words(said: Sequence[Attribution]) -> Maps:
    return [one.of_words(words_of(one.text)) if one.features else None for one in said]


def _only(explained: Explained, kept: Sequence[int]) -> Explained:
    places = list(kept)
    return Explained(
        rows=explained.rows[places],
        texts=tuple(explained.texts[place] for place in places),
        labels=explained.labels[places],
        scores=explained.scores[places],
        ids=tuple(explained.ids[place] for place in places),
        clusters=None if explained.clusters is None else explained.clusters[places],
    )
