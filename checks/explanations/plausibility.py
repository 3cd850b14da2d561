"""Whether explanations name the words that people marked as the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context, Limit, check
from auditkit.errors import NotApplicable
from auditkit.finding import Measurement, Severity
from auditkit.metrics.example_means import Sample
from auditkit.metrics.plausibility import Marked, marked_words, plausibility_measurements
from auditkit.metrics.shown_examples import Shown
from auditkit.model import Capability

from ._explaining import (
    Explained,
    ExplanationParams,
    drawn_examples,
    explained_by,
    explainer_of,
    left_out,
    said_of,
    unusable,
    usable,
)


@dataclass(frozen=True, slots=True)
class Params(ExplanationParams):
    """Parameters of `explanations.plausibility`."""


@check(
    "explanations.plausibility",
    title="Explanations name the words that people marked, better than chance would",
    severity=Severity.LOW,
    needs={Capability.EXPLANATIONS, Capability.LABELS, Capability.RATIONALES},
    params=Params,
    limits=(
        Limit("best_auprc", "min", None, means="the AUPRC of the method that agrees best"),
        Limit(
            "advantage",
            "min",
            0.0,
            lowest=-1.0,
            means="a gain in AUPRC over a random order of the words",
        ),
        Limit("auprc", "min", None, means="an area under the precision-recall curve of words"),
        Limit("token_f1", "min", None, means="an F1 of the chosen words"),
        Limit("iou_f1", "min", None, means="an F1 of runs of chosen words"),
    ),
    grows_with="examples",
)
def plausibility(context: Context, params: Params) -> Iterator[Measurement]:
    """Agreement of explanations with human rationales: AUPRC, token F1 and IOU-F1.

    What it measures:
        Fifty examples (`params.examples`) are drawn among the rows in which people marked some of
        the words, but not all. Each method explains the class that the row is labelled with, since
        the rationale is a reason for the label. A word is marked when at least half of its
        characters are. `auprc` is the area under the precision-recall curve (average precision) of
        the words ordered by weight; `advantage` is what it is above that of a random order, which
        is known exactly for each example. For the F1s each explanation chooses as many words as
        people mark on average, as a share of the text's words: `token_f1` counts words, `iou_f1`
        runs of words, which match when they share at least half of their union. Words of equal
        weight are ordered at random. All are means over the examples.

    Why it matters:
        An explanation that names other words than a person would is of no use to the person who has
        to follow it, and a model that is right for reasons nobody gives is often right by accident.

    How to read it:
        `advantage` fails when a method is shown to be worse than a random order, and passes when it
        is shown to be no worse. `best_auprc` names the method that agrees best, and says whether it
        is shown to be better than the next; its bounds allow for the choice. Nothing here says
        whether an explanation is true of the model: an explanation can be faithful and unlike a
        person's, and then it is the model that reads other words.

    What to do:
        Show users the method that agrees best among those that are faithful. Where all methods
        agree with each other and none with people, look in the heat maps for the words that the
        model uses instead: names, punctuation, a source. Those are shortcuts to train away.

    Limits of this check:
        People mark what is enough to convince them, not all that speaks for the label, so that
        perfect agreement is not to be had. Where the model is wrong, the labelled class has little
        for it; the note says in how many examples. Rows where people marked nothing, or
        everything, take no part. How many words to choose is known from the data, as in ERASER.

    References:
        DeYoung et al. 2020, ERASER: a benchmark to evaluate rationalized NLP models; Jacovi &
        Goldberg 2020, Towards faithfully interpretable NLP systems; McSherry & Najork 2008 and
        Bestgen 2015 for average precision with ties and of a random order.
    """
    explainer = explainer_of(context)
    methods, blocked = usable(context, params.methods)
    rows, share = _marked_rows(context)
    if not len(rows):
        raise NotApplicable("in no row people marked some of the words but not all.")
    answered = drawn_examples(context, params.examples, rows)
    explained = _by_label(context, answered)
    found = explained_by(methods, context, params, explained)
    marked = Marked(
        sample=Sample(explained.ids, explained.clusters, params.minimum_examples),
        texts=explained.texts,
        spans=tuple((context.data.rationales or ())[row] or () for row in explained.rows),
        share=share,
        seed=explainer.seed,
    )
    wrong = int((answered.labels != explained.labels).sum())
    notes = (
        f"The labelled class is explained; the model answers another one in {wrong:,} of "
        f"{len(explained):,} examples. People mark {share:.0%} of the words on average."
    )
    unexplained = sum(not one.features for each in found.values() for one in each)
    if unexplained:
        notes += f" {unexplained:,} explanations are empty and count as a random order."
    notes = f"{notes} {left_out(params, blocked)}".strip()
    yield from plausibility_measurements(
        context, marked, found, notes, _shown(context, answered, explained, params)
    )
    yield from unusable("advantage", params, blocked)


def _marked_rows(context: Context) -> tuple[NDArray[np.int64], float]:
    """Rows in which some words are marked and others not; the mean share of marked words."""
    rows, shares = [], []
    for row, spans in enumerate(context.data.rationales or ()):
        flags = marked_words(context.data.inputs[row], spans) if spans else np.zeros(0, dtype=bool)
        if flags.any():
            shares.append(float(flags.mean()))
            if not flags.all():
                rows.append(row)
    return np.array(rows, dtype=np.int64), float(np.mean(shares)) if shares else 0.0


def _by_label(context: Context, answered: Explained) -> Explained:
    """The same examples with the labelled class explained, whatever the model answers."""
    assert context.data.labels is not None, "the check needs Capability.LABELS"
    labels = context.data.labels[answered.rows]
    scores = context.predictor.predict(answered.texts).probabilities
    assert scores is not None, "the check needs Capability.PROBABILITIES"
    return replace(answered, labels=labels, scores=scores[np.arange(len(labels)), labels])


def _shown(context: Context, answered: Explained, explained: Explained, params: Params) -> Shown:
    names = context.data.class_names
    labels = tuple(names[label] for label in explained.labels)
    said = tuple(
        f"labelled {label}; the model answers {answer}"
        for label, answer in zip(labels, said_of(context, answered), strict=True)
    )
    return Shown(said, labels, params.show)
