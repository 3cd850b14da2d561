"""How far the words that an explanation names are those that people marked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Attribution, Span, words_of
from auditkit.check import Context
from auditkit.finding import (
    WHISKER_LEVEL,
    Bounds,
    Estimates,
    Interval,
    Measurement,
    ScoredText,
    ScoredTexts,
    Scores,
    Table,
)
from auditkit.metrics.example_means import Sample, mean_measurement
from auditkit.metrics.example_tables import (
    SHARE,
    Values,
    defined,
    difference,
    drawn_mean,
    mean_of,
    written_mean,
)
from auditkit.metrics.shown_examples import Shown, scores_of
from auditkit.stats.intervals import Floats, critical_value

MATCH = 0.5
"""Part of their union that two runs of words must have in common to be the same (ERASER)."""
CHANCE_DRAWS = 50
"""Random orders of each example's words, for what chance earns beyond its mean AUPRC."""
LEAD = (-1.0, 1.0)
_NONE = "no example has a value"

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Marked:
    """Texts in which people marked some of the words, n of them.

    Attributes:
        sample: What they are called, and how many decide.
        texts: Shape (n,).
        spans: The characters that people marked in each.
        share: Mean share of the words that people mark, over all rows with a rationale, 0..1: so
            many of a text's words are taken when an explanation must choose.
        seed: Of the ties that are broken at random.
    """

    sample: Sample
    texts: tuple[str, ...]
    spans: tuple[tuple[Span, ...], ...]
    share: float
    seed: int


@dataclass(frozen=True, slots=True)
class Scored:
    """What one way to explain earns on each example; values of 0..1."""

    auprc: list[float]
    token_f1: list[float]
    iou_f1: list[float]


@dataclass(frozen=True, slots=True)
class Chance:
    """What a random order of the words earns.

    Attributes:
        mean: On each example; the AUPRC is exact.
        deviation: Standard deviation of the mean AUPRC over the examples.
    """

    mean: Scored
    deviation: float


def marked_words(text: str, spans: Sequence[Span]) -> Flags:
    """Which of `words_of(text)` people marked: spans cover at least half of their characters.

    Half, so that a span that is one character off marks no neighbour and loses no word of its own.
    """
    words = words_of(text)
    covered = np.zeros(len(words), dtype=np.int64)
    word = 0
    for start, end in spans:
        while word < len(words) and words[word][1] <= start:
            word += 1
        at = word
        while at < len(words) and words[at][0] < end:
            covered[at] += min(end, words[at][1]) - max(start, words[at][0])
            at += 1
    lengths = np.array([stop - start for start, stop in words], dtype=np.int64)
    return np.asarray(2 * covered >= lengths)


def expected_precision(weights: Floats, marked: Flags) -> float:
    """Average precision of the words by weight, with ties broken at random in the mean, 0..1.

    Exact (McSherry & Najork 2008, section 4); where all weights are equal it is what a random order
    earns (Bestgen 2015), so that a method that says nothing is no better or worse than chance.
    At least one word is marked.
    """
    total = int(marked.sum())
    _, place = np.unique(-weights, return_inverse=True)
    sizes = np.bincount(place).astype(np.float64)
    hits = np.bincount(place, weights=marked).astype(np.float64)
    earned, above, hits_above = 0.0, 0.0, 0.0
    for size, found in zip(sizes.tolist(), hits.tolist(), strict=True):
        if found:
            inside = np.arange(size)
            others = inside * (found - 1) / (size - 1) if size > 1 else inside
            precision = (hits_above + 1 + others) / (above + 1 + inside)
            earned += found / size * float(precision.sum())
        above, hits_above = above + size, hits_above + found
    return min(earned / total, 1.0)


def chosen_words(weights: Floats, share: float, rng: np.random.Generator) -> Flags:
    """This share of the words, rounded, at least one: those of the largest weight."""
    count = max(1, round(share * len(weights)))
    order = np.lexsort((rng.random(len(weights)), -weights))
    chosen = np.zeros(len(weights), dtype=np.bool_)
    chosen[order[:count]] = True
    return chosen


def token_f1(chosen: Flags, marked: Flags) -> float:
    """F1 of the chosen words against the marked ones, of which there is at least one in all."""
    return 2.0 * int((chosen & marked).sum()) / int(chosen.sum() + marked.sum())


def iou_f1(chosen: Flags, marked: Flags) -> float:
    """F1 of runs of chosen words against runs of marked ones (DeYoung et al. 2020).

    Two runs match when their common words are at least half of the words in either.
    """
    ours, theirs = _runs(chosen), _runs(marked)
    matched = [(a, b) for a in ours for b in theirs if _iou(a, b) >= MATCH]
    precision = len({a for a, _ in matched}) / len(ours) if ours else 0.0
    recall = len({b for _, b in matched}) / len(theirs) if theirs else 0.0
    return 2 * precision * recall / (precision + recall) if matched else 0.0


def _runs(flags: Flags) -> list[Span]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _iou(one: Span, other: Span) -> float:
    common = min(one[1], other[1]) - max(one[0], other[0])
    return max(common, 0) / (max(one[1], other[1]) - min(one[0], other[0]))


def plausibility_measurements(
    context: Context,
    marked: Marked,
    found: Mapping[str, Sequence[Attribution]],
    notes: str,
    shown: Shown,
) -> Iterator[Measurement]:
    """How well each method's explanations agree with what people marked, best method first.

    Args:
        context: The levels.
        marked: The examples, at least one.
        found: By method an attribution of each example.
        notes: What the reader must know of all numbers.
        shown: What the report shows of the examples.
    """
    flags = [
        marked_words(text, spans) for text, spans in zip(marked.texts, marked.spans, strict=True)
    ]
    chance = _by_chance(marked, flags)
    scored = {method: _scored(marked, flags, each) for method, each in found.items()}
    order = sorted(scored, key=lambda method: -float(np.mean(scored[method].auprc)))
    best = _best(context, marked, order, scored, notes)
    charts = (
        _chart(marked.sample, order, scored, chance),
        _table(marked.sample, order, scored, chance),
    )
    leads = {method: difference(scored[method].auprc, chance.mean.auprc) for method in order}
    maps = _least_plausible(marked, {method: found[method] for method in order}, leads, shown)
    yield replace(best, evidence=(*charts, *maps))
    for method in order:
        values = defined("advantage", method, leads[method], marked.sample, LEAD)
        measured = mean_measurement(context, values, len(order), _NONE)
        yield _no_closer_than_chance(context, measured, chance.deviation)
    for name in ("auprc", "token_f1", "iou_f1"):
        for method in order:
            values = defined(name, method, getattr(scored[method], name), marked.sample, SHARE)
            yield mean_measurement(context, values, len(order), _NONE)


def _no_closer_than_chance(
    context: Context, measured: Measurement, deviation: float
) -> Measurement:
    """The advantage with upper bounds at least as far off as a random order would put them.

    Average precision is skewed: where few words are marked, most random orders earn less than the
    mean and a rare one much more. A sample without such a one has a small variance, and t bounds
    that exclude 0 far too often (15 % of 50 examples at 5 %). What chance varies is known.
    """
    bounds, value = measured.bounds, measured.value
    if bounds is None or value is None:
        return measured
    confidence = context.confidence
    alphas = (confidence.claim_alpha, confidence.corrected_alpha(bounds.comparisons))
    mean, widened = value, []
    for interval, alpha in zip((bounds.claim, bounds.corrected), alphas, strict=True):
        assert interval.upper is not None
        above = max(interval.upper, mean + critical_value(alpha) * deviation)
        widened.append(Interval(interval.lower, min(above, LEAD[1])))
    method = f"{bounds.method}, above no closer than chance"
    return replace(measured, bounds=Bounds(widened[0], widened[1], method, bounds.comparisons))


def _scored(marked: Marked, flags: Sequence[Flags], each: Sequence[Attribution]) -> Scored:
    precision, tokens, runs = [], [], []
    for name, flag, one in zip(marked.sample.ids, flags, each, strict=True):
        weights = one.of_words(words_of(one.text))
        chosen = chosen_words(weights, marked.share, _draws(marked, name))
        precision.append(expected_precision(weights, flag))
        tokens.append(token_f1(chosen, flag))
        runs.append(iou_f1(chosen, flag))
    return Scored(precision, tokens, runs)


def _by_chance(marked: Marked, flags: Sequence[Flags]) -> Chance:
    precision, tokens, runs, variances = [], [], [], []
    for name, flag in zip(marked.sample.ids, flags, strict=True):
        nothing, rng = np.zeros(len(flag)), _draws(marked, name)
        drawn = [chosen_words(nothing, marked.share, rng) for _ in range(CHANCE_DRAWS)]
        count, known = int(drawn[0].sum()), int(flag.sum())
        precision.append(expected_precision(nothing, flag))
        tokens.append(2.0 * count * known / len(flag) / (count + known))
        runs.append(float(np.mean([iou_f1(one, flag) for one in drawn])))
        variances.append(float(np.var(_random_precisions(flag, rng), ddof=1)))
    deviation = float(np.sqrt(np.sum(variances))) / max(len(variances), 1)
    return Chance(Scored(precision, tokens, runs), deviation)


def _random_precisions(flag: Flags, rng: np.random.Generator) -> Floats:
    """Average precision of so many random orders, shape (CHANCE_DRAWS,)."""
    hits = rng.permuted(np.tile(flag, (CHANCE_DRAWS, 1)), axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, len(flag) + 1)
    average: Floats = (precision * hits).sum(axis=1) / flag.sum()
    return average


def _draws(marked: Marked, name: str) -> np.random.Generator:
    """Random numbers of one text, whatever the others are."""
    return np.random.default_rng([marked.seed, int(name, 16)])


def _best(
    context: Context,
    marked: Marked,
    order: Sequence[str],
    scored: Mapping[str, Scored],
    notes: str,
) -> Measurement:
    """The method that agrees best, with bounds that allow for having chosen it here."""
    values = defined("best_auprc", "", scored[order[0]].auprc, marked.sample, SHARE)
    best = mean_measurement(context, values, len(order), _NONE)
    ahead = _ahead(context, marked.sample, order, scored)
    note = f"{order[0]} agrees best with people. {ahead} {notes}"
    if best.bounds is None:
        return replace(best, note=note)
    claim = values.interval(context.confidence.claim_alpha / len(order))
    return replace(best, bounds=replace(best.bounds, claim=claim), note=note)


def _ahead(
    context: Context, sample: Sample, order: Sequence[str], scored: Mapping[str, Scored]
) -> str:
    """Whether the best method is shown to be better than the next, on the same examples."""
    if len(order) < 2:
        return "No other method was compared."
    best, following = order[:2]
    lead = difference(scored[best].auprc, scored[following].auprc)
    # The two were chosen by what they earned here, among all ordered pairs.
    pairs = len(order) * (len(order) - 1)
    values = defined("lead", "", lead, sample, LEAD)
    interval = values.interval(context.confidence.claim_alpha / pairs)
    assert interval.lower is not None
    assert interval.upper is not None
    shown = interval.lower > 0 and len(sample) >= sample.least
    verb = "is shown to be better than" if shown else "is not shown to be better than"
    return (
        f"It {verb} {following}, the next: AUPRC {values.values.mean():+.3f} "
        f"({interval.lower:+.3f} to {interval.upper:+.3f}, paired, allowing for all pairs)."
    )


def _chart(
    sample: Sample, order: Sequence[str], scored: Mapping[str, Scored], chance: Chance
) -> Estimates:
    each = [defined("auprc", method, scored[method].auprc, sample, SHARE) for method in order]
    return Estimates(
        title="Agreement with people (AUPRC)",
        rows=tuple(drawn_mean(values.slice, values) for values in each),
        level=WHISKER_LEVEL,
        method=each[0].method,
        reference=mean_of(chance.mean.auprc),
        reference_label="a random order",
        of="method",
    )


def _table(
    sample: Sample, order: Sequence[str], scored: Mapping[str, Scored], chance: Chance
) -> Table:
    def written(values: Values, support: tuple[float, float]) -> str:
        return written_mean(defined("", "", values, sample, support))

    def cells(name: str, one: Scored) -> tuple[str, ...]:
        each = (one.auprc, one.token_f1, one.iou_f1)
        lead = difference(one.auprc, chance.mean.auprc)
        shown = "" if one is chance.mean else written(lead, LEAD)
        return (name, *(written(values, SHARE) for values in each), shown)

    return Table(
        f"Agreement with people, {len(sample):,} examples, 95 % intervals",
        ("method", "AUPRC", "token F1", "IOU-F1", "AUPRC above random"),
        (*(cells(method, scored[method]) for method in order), cells("random order", chance.mean)),
    )


def _least_plausible(
    marked: Marked,
    found: Mapping[str, Sequence[Attribution]],
    leads: Mapping[str, Values],
    shown: Shown,
) -> tuple[ScoredTexts, ...]:
    """Heat maps of the examples on which explanations agree least with people."""
    means = [mean_of([values[i] for values in leads.values()]) for i in range(len(marked.texts))]
    worst = sorted(range(len(means)), key=lambda i: (means[i] or 0.0, i))[: shown.most]
    rows = tuple(
        ScoredText(
            marked.texts[i],
            shown.said[i],
            (
                _by_people(marked.spans[i], shown.labels[i]),
                *(scores_of(each[i], shown.labels[i]) for each in found.values()),
            ),
        )
        for i in worst
    )
    title = "What people marked and what methods name, where they agree least"
    return (ScoredTexts(title, rows),) if rows else ()


def _by_people(spans: Sequence[Span], label: str) -> Scores:
    return Scores("people", label, tuple(spans), (1.0,) * len(spans))
