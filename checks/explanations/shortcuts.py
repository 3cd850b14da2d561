"""Whether answers hang on single words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.shortcuts import Corpus, candidates, folded_words, removed, word_weights
from auditkit.metrics.word_dependence import changed_texts, dependence, importance_chart
from auditkit.model import Capability

from ._explaining import (
    ExplanationParams,
    drawn_examples,
    explained_by,
    left_out,
    unusable,
    usable,
)
from ._heat_maps import heat_maps

EXPLAINED = 0.8
"""Share of the check that explaining takes; the rest asks about texts without a word."""


@dataclass(frozen=True, slots=True)
class Params(ExplanationParams):
    """Parameters of `explanations.shortcuts`."""

    words: int = 10
    """Words that are looked at, those with the most weight."""
    rows: int = 100
    """Texts each of them is removed from, drawn from those that have it."""

    def __post_init__(self) -> None:
        ExplanationParams.__post_init__(self)
        if min(self.words, self.rows) < 1:
            raise ValueError("words and rows must be at least 1")


@check(
    "explanations.shortcuts",
    title="Answers do not hang on a single word",
    severity=Severity.MEDIUM,
    needs={Capability.EXPLANATIONS},
    params=Params,
    grows_with="examples",
    limits=(
        Limit(
            "dependence",
            "max",
            0.5,
            lowest=-1.0,
            means="a share of answers that change without one word, less that without others",
        ),
    ),
    related=("explanations.sensitive-term-mass",),
)
def shortcuts(context: Context, params: Params) -> Iterator[Measurement]:
    """Words that explanations rest on, that go with a class, and without which answers change.

    What it measures:
        A shortcut is a word for which three things hold. It has more of the explanations' weight
        than random attributions would give it, over `params.examples` texts (50) and all methods.
        It goes with a class: in all audited texts that class is answered more often with the word
        than without it, and is more often the label, if there are labels. And answers hang on it:
        removed from up to `params.rows` texts (100) with that answer, it changes more of them than
        as many other words of the same text, drawn at random. The `params.words` words (10) with
        the most weight are tried. Dependence is the share of answers that change without the word
        less the share that change without the others, for the worst word.

    Why it matters:
        Data collected in one place have words that give the label away: a site's name, a rating,
        a habit of one annotator. A model that learns them is right in the test and wrong in use.

    How to read it:
        A word may be a rightful cue: "terrible" goes with bad reviews, has much weight, and is
        missed when removed. Whether a word is a shortcut or a cue only a reader can say; the table
        lists all that were tried. The limit is therefore high: it fails where more than half of the
        answers with a word hang on that word alone, which a model that reads the whole text seldom
        gives even for strong cues. A fail needs all three to be shown; a pass needs every word that
        was tried to lie within the limit. Raise the limit for very short texts.

    What to do:
        Look at the texts of the word. If it gives the label away, remove or mask it in training,
        or balance the classes among the texts that have it; audit on data from another source.

    Limits of this check:
        Words are tried one by one: two that stand for each other hide each other, and so does a
        pattern of several words. A word outside the explained texts, or in fewer than
        `params.minimum_examples` texts with its answer, is not tried. Texts without a word may be
        odd, and so answered otherwise; the removal of other words allows for that. A leak that the
        audited data do not have shows no association, and then fails nothing.

    References:
        Gardner et al. 2021, Competency problems: on finding and removing artifacts in language
        data (the z statistic); Geirhos et al. 2020, Shortcut learning in deep neural networks;
        Gururangan et al. 2018, Annotation artifacts; Wang et al. 2022, Identifying and mitigating
        spurious correlations; Tango 1998 and Newcombe 1998 for the paired intervals.
    """
    methods, blocked = usable(context, params.methods)
    explained = drawn_examples(context, params.examples)
    found = [*explained_by(methods, context, params, explained, EXPLAINED).values()]
    corpus = _corpus(context)
    weights = word_weights(found) if len(explained) else []
    tried, rare = candidates(context, weights, corpus, params.words, params.minimum_examples)
    said = f"{len(explained):,} texts are explained."
    if rare:
        said += f" {rare:,} words with weight stand in too few texts with their answer to be tried."
    said = f"{said} {left_out(params, blocked)}".rstrip()
    if tried:
        results = removed(context, corpus, tried, params.rows, EXPLAINED)
        shown = (
            importance_chart(weights),
            *changed_texts(corpus, results, params.show),
            *heat_maps(context, explained, found, "Explained examples", params.show),
        )
        measured = dependence(corpus, results, said, shown)
        if len(explained) < params.minimum_examples:
            few = f"fewer than {params.minimum_examples} texts are explained"
            measured = replace(measured, withheld=few)
        yield measured
    else:
        note = (
            "no word has more weight than chance gives it and stands in "
            f"{params.minimum_examples:,} texts with its answer. {said}"
        )
        yield Measurement("dependence", None, 0, None, note=note, counted="texts")
    yield from unusable("dependence", params, blocked)


def _corpus(context: Context) -> Corpus:
    """The distinct audited texts, each by its first row."""
    data = context.data
    first = {text: row for row, text in reversed([*enumerate(data.inputs)])}
    rows = np.sort(np.array([*first.values()], dtype=np.int64))
    texts = tuple(data.inputs[row] for row in rows)
    return Corpus(
        texts=texts,
        words=tuple(map(folded_words, texts)),
        answers=context.predictor.predict(texts).labels,
        labels=None if data.labels is None else data.labels[rows],
        clusters=None if data.clusters is None else data.clusters[rows],
        class_names=data.class_names,
    )
