"""Single words on which answers hang: weighty, associated with a class, and missed when removed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Attribution, Span, without, words_of
from auditkit.check import Context
from auditkit.finding import Interval
from auditkit.stats.bounded import signed_mean
from auditkit.stats.differences import difference
from auditkit.stats.gaps import Comparison
from auditkit.stats.intervals import effective_counts
from auditkit.stats.paired import paired_gap

CHUNK = 4096
"""Texts asked about at once."""

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class WordWeight:
    """How much of the explanations' weight is on a word, over n explained texts.

    Attributes:
        word: The word, case-folded.
        shares: Its share of each text's absolute weight, mean of the methods, shape (n,), 0..1.
        toward: That share with the sign of the weight: above 0 it speaks for the answer, (n,).
        chance: Its share of the words of each text, shape (n,).
    """

    word: str
    shares: Floats
    toward: Floats
    chance: Floats

    @property
    def stands_out(self) -> bool:
        """Whether it has more weight than random attributions would give it."""
        return float(self.shares.mean()) > float(self.chance.mean())


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """All distinct audited texts, m of them, as answered.

    Attributes:
        texts: The texts.
        words: Where the words of each stand, case-folded.
        answers: Classes answered, shape (m,).
        labels: True classes, shape (m,); None without labels.
        clusters: Shape (m,), or None.
        class_names: Names of the classes.
    """

    texts: tuple[str, ...]
    words: tuple[Mapping[str, tuple[Span, ...]], ...]
    answers: Rows
    labels: Rows | None
    clusters: Rows | None
    class_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Association:
    """How much more often a class occurs with a word than without it.

    Attributes:
        lift: Share of the class with the word, less that without.
        z: How many standard errors the share with the word lies above that of all texts.
        bounds: Of the lift, corrected for all words and classes looked at.
    """

    lift: float
    z: float
    bounds: Interval

    @property
    def shown(self) -> bool:
        """Whether the class is more frequent with the word, for certain."""
        return self.bounds.lower is not None and self.bounds.lower > 0


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A word that may be a shortcut to a class.

    Attributes:
        weight: Its weight in the explanations.
        answer: The class it goes with most.
        found: Texts that have it.
        rows: Texts with it and this answer, and with another word besides it.
        of_answers: Association with the answers.
        of_labels: Association with the labels; None without labels.
    """

    weight: WordWeight
    answer: int
    found: int
    rows: Rows
    of_answers: Association
    of_labels: Association | None

    @property
    def leaks(self) -> bool:
        """Whether it goes with the class in the answers, and in the labels where there are any."""
        return self.of_answers.shown and (self.of_labels is None or self.of_labels.shown)


@dataclass(frozen=True, slots=True, eq=False)
class Removed:
    """What became of the answers without the word, and without another one, in r of its texts.

    Attributes:
        candidate: The word.
        rows: Texts, shape (r,).
        texts: These without the word.
        changed: Whether the answer is another one without the word, shape (r,).
        control: Whether it is without other words of the text, as many, drawn at random, (r,).
        after: Answers without the word, shape (r,).
        compared: Share of `changed` less that of `control`, with its intervals.
    """

    candidate: Candidate
    rows: Rows
    texts: tuple[str, ...]
    changed: NDArray[np.bool_]
    control: NDArray[np.bool_]
    after: Rows
    compared: Comparison

    @property
    def confirmed(self) -> bool:
        """Whether removing the word changes more answers than removing others, for certain."""
        return self.compared.corrected.lower is not None and self.compared.corrected.lower > 0


def folded_words(text: str) -> dict[str, tuple[Span, ...]]:
    """Where each word of a text stands, case-folded."""
    found: defaultdict[str, list[Span]] = defaultdict(list)
    for start, end in words_of(text):
        found[text[start:end].casefold()].append((start, end))
    return {word: tuple(spans) for word, spans in found.items()}


def word_weights(found: Sequence[Sequence[Attribution]]) -> list[WordWeight]:
    """The words of the explained texts, from the most weight to the least.

    Args:
        found: By method, the attributions of the same texts. One without any weight is left out of
            the mean of the methods.
    """
    each = [_shares([method[place] for method in found]) for place in range(len(found[0]))]
    told = [one for one in each if one]
    total: defaultdict[str, float] = defaultdict(float)
    for one in told:
        for word, (share, _, _) in one.items():
            total[word] += share
    order = sorted(total, key=lambda word: (-total[word], word))
    nothing = (0.0, 0.0, 0.0)
    return [
        WordWeight(word, *np.array([one.get(word, nothing) for one in told]).T) for word in order
    ]


def _shares(attributions: Sequence[Attribution]) -> dict[str, tuple[float, float, float]]:
    """By word of one text: share of the weight, the same with its sign, share of the words."""
    text = attributions[0].text
    spans = words_of(text)
    weights = [one.of_words(spans) for one in attributions]
    relative = [one / np.abs(one).sum() for one in weights if np.abs(one).sum() > 0]
    if not relative:
        return {}
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, (start, end) in enumerate(spans):
        places[text[start:end].casefold()].append(place)
    size = np.mean([np.abs(one) for one in relative], axis=0)
    signed = np.mean(relative, axis=0)
    return {
        word: (float(size[at].sum()), float(signed[at].sum()), len(at) / len(spans))
        for word, at in places.items()
    }


def candidates(
    context: Context, weights: Iterable[WordWeight], corpus: Corpus, words: int, minimum: int
) -> tuple[list[Candidate], int]:
    """The words with the most weight that have texts enough, and how many were passed over.

    Args:
        context: Confidence.
        weights: From the most weight to the least.
        corpus: All texts.
        words: Most candidates.
        minimum: Texts with the word and its answer that a candidate needs.
    """
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for place, there in enumerate(corpus.words):
        for word in there:
            rows[word].append(place)
    comparisons = words * max(len(corpus.class_names), 2)
    alpha = context.confidence.corrected_alpha(comparisons)
    found: list[Candidate] = []
    rare = 0
    for weight in weights:
        if len(found) == words or not weight.shares.any():
            break
        if not weight.stands_out:
            continue
        one = _candidate(weight, np.array(rows[weight.word], dtype=np.int64), corpus, alpha)
        if len(one.rows) < minimum:
            rare += 1
        else:
            found.append(one)
    return found, rare


def _candidate(weight: WordWeight, rows: Rows, corpus: Corpus, alpha: float) -> Candidate:
    has = np.zeros(len(corpus.texts), dtype=bool)
    has[rows] = True
    answers = [corpus.answers == index for index in range(len(corpus.class_names))]
    # Where no class goes with the word, the one that is answered most with it.
    liked = [(_lift(hits, has), int(hits[has].sum())) for hits in answers]
    answer = max(range(len(liked)), key=liked.__getitem__)
    able = [
        row
        for row in rows[corpus.answers[rows] == answer].tolist()
        if _others(weight.word, corpus.words[row])
    ]
    return Candidate(
        weight,
        answer,
        len(rows),
        np.array(able, dtype=np.int64),
        _association(answers[answer], has, corpus.clusters, alpha),
        None
        if corpus.labels is None
        else _association(corpus.labels == answer, has, corpus.clusters, alpha),
    )


def _lift(hits: NDArray[np.bool_], has: NDArray[np.bool_]) -> float:
    rest = hits if has.all() else hits[~has]
    return float(hits[has].mean()) - float(rest.mean())


def _association(
    hits: NDArray[np.bool_], has: NDArray[np.bool_], clusters: Rows | None, alpha: float
) -> Association:
    """The lift with its interval, and the z statistic of Gardner et al. 2021 with the class's own
    share in place of one half."""

    def counted(part: NDArray[np.bool_]) -> tuple[float, float]:
        if clusters is None or not part.any():
            return float(hits[part].sum()), float(part.sum())
        return effective_counts(hits[part], clusters[part], alpha)

    (k1, n1), (k2, n2) = counted(has), counted(~has)
    share, with_word = float(hits.mean()), float(hits[has].mean())
    error = math.sqrt(share * (1 - share) / n1)
    z = (with_word - share) / error if error else 0.0
    return Association(_lift(hits, has), z, difference(k1, n1, k2, n2, alpha))


def _others(word: str, there: Mapping[str, tuple[Span, ...]]) -> list[Span]:
    """Where other words stand: of letters or digits, if the word has any."""
    written = any(map(str.isalnum, word))
    return [
        span
        for other, spans in there.items()
        if other != word and (not written or any(map(str.isalnum, other)))
        for span in spans
    ]


def removed(
    context: Context, corpus: Corpus, found: Sequence[Candidate], rows: int, from_share: float
) -> list[Removed]:
    """Asks about texts without each candidate, and without as many other words.

    Args:
        context: Asks the model; its random numbers draw texts and the other words.
        corpus: All texts.
        found: The candidates.
        rows: Most texts of each.
        from_share: Share of the check that is done.
    """
    rng, drawn, texts = context.rng, [], []
    for one in found:
        chosen = np.sort(rng.permutation(one.rows)[:rows])
        drawn.append(chosen)
        for row in chosen.tolist():
            text, there = corpus.texts[row], corpus.words[row]
            spans, others = there[one.weight.word], _others(one.weight.word, there)
            picked = rng.permutation(len(others))[: len(spans)].tolist()
            texts += [without(text, spans), without(text, [others[i] for i in picked])]
    answered = [np.zeros(0, dtype=np.int64)]
    for start in range(0, len(texts), CHUNK):
        answered.append(context.predictor.predict(texts[start : start + CHUNK]).labels)
        done = min(start + CHUNK, len(texts)) / len(texts)
        context.advance(from_share + (1 - from_share) * done)
    answers, end, results = np.concatenate(answered), 0, []
    for one, chosen in zip(found, drawn, strict=True):
        start, end = end, end + 2 * len(chosen)
        after, control = answers[start:end:2], answers[start + 1 : end : 2]
        flipped = after != one.answer, control != one.answer
        compared = _compared(context, corpus, chosen, flipped, len(found))
        results.append(Removed(one, chosen, tuple(texts[start:end:2]), *flipped, after, compared))
    return results


def _compared(
    context: Context,
    corpus: Corpus,
    rows: Rows,
    flipped: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    comparisons: int,
) -> Comparison:
    first, second = flipped
    values = first.astype(np.float64) - second

    def interval(alpha: float) -> Interval:
        if corpus.clusters is not None:
            return signed_mean(values, alpha, corpus.clusters[rows])
        b, c = int((first & ~second).sum()), int((second & ~first).sum())
        return paired_gap(b, c, len(values), alpha)

    confidence = context.confidence
    return Comparison(
        float(values.mean()),
        interval(confidence.claim_alpha),
        interval(confidence.corrected_alpha(comparisons)),
    )
