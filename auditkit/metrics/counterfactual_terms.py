"""What a model answers when only the group that a text names is changed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import unit_id
from auditkit.errors import AuditkitError, NotApplicable, nearest
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Cell,
    Estimate,
    Estimates,
    Evidence,
    Example,
    Examples,
    Measurement,
    Table,
)
from auditkit.identity import Excluded, Swapped, Swapper, TermSet, read_terms
from auditkit.model import Predictions
from auditkit.stats.bounded import signed_mean
from auditkit.stats.gaps import Comparison, combine_max
from auditkit.stats.intervals import effective_counts, rate

REST = "another group"
MOST_UNITS = 5000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TermParams:
    """Which terms are exchanged, and in how many texts."""

    attributes: tuple[str, ...] = ()
    """Attributes of the term set to look at, such as gender; empty for all."""
    terms_file: str = ""
    """A term set of your own: csv or jsonl with the columns attribute, group, text, form, slot,
    when and source. Empty for the one that comes with auditkit."""
    rows: int = 1000
    """Most texts per attribute, drawn from those that can be swapped."""
    counterparts: int = 2
    """Other groups that each text is rewritten for, drawn by the seed where there are more."""
    minimum_texts: int = 20
    """Texts of a group below which its direction is pooled with those of other small groups. An
    attribute with fewer is only listed, unless it is named in attributes or all have fewer."""
    show: int = 10
    """Pairs shown in the report, those with the largest change. 0 keeps the texts of the data out
    of the run directory."""

    def __post_init__(self) -> None:
        for name in ("rows", "counterparts", "minimum_texts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.show < 0:
            raise ValueError(f"show must not be negative, but is {self.show}")


def chosen_terms(terms: TermSet, attributes: Sequence[str]) -> tuple[str, ...]:
    """The attributes to look at.

    Raises:
        AuditkitError: The term set has no such attribute.
    """
    for name in attributes:
        if name not in terms.attributes:
            raise AuditkitError(
                f"the term set has no attribute {name!r}.", nearest(name, terms.attributes)
            )
    return tuple(attributes) or terms.attributes


@dataclass(frozen=True, slots=True)
class Pair:
    """A text and its counterpart for one other group."""

    row: int
    before: str
    after: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the data offer for one attribute.

    Attributes:
        attribute: Its name.
        pairs: The pairs drawn.
        texts: Distinct texts that have a term.
        swappable: Of these, those that can be swapped.
        left_out: Of the others, how many for which reason.
    """

    attribute: str
    pairs: tuple[Pair, ...]
    texts: int
    swappable: int
    left_out: Counter[str]


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """The answers to an attribute's pairs.

    Attributes:
        found: The pairs.
        before: Classes of the texts as written, shape (pairs,).
        after: Classes of their counterparts.
        shifts: By class looked at: change of its score, shape (pairs,), each in -1..1.
        clusters: Pairs with one number belong together, shape (pairs,).
    """

    found: Found
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    shifts: dict[int, Floats]
    clusters: NDArray[np.int64]

    @property
    def flipped(self) -> NDArray[np.bool_]:
        """Whether the class changed, shape (pairs,)."""
        return np.asarray(self.before != self.after)

    @property
    def alone(self) -> bool:
        """Whether no two pairs belong together."""
        return len(np.unique(self.clusters)) == len(self.clusters)

    def mean_per_text(self, values: NDArray[np.float64]) -> dict[str, float]:
        """Mean value of each text's pairs; nothing when texts have different numbers of them."""
        by_text: defaultdict[str, list[float]] = defaultdict(list)
        for pair, value in zip(self.found.pairs, values.tolist(), strict=True):
            by_text[unit_id(pair.before)].append(value)
        if len({len(one) for one in by_text.values()}) != 1 or len(by_text) > MOST_UNITS:
            return {}
        return {text: float(np.mean(one)) for text, one in by_text.items()}


def counterfactual_measurements(context: Context, params: TermParams) -> Iterator[Measurement]:
    """Flip rate, largest shift and mean absolute shift of the score, for each attribute.

    Raises:
        NotApplicable: The inputs are no texts, or none has a term.
        AuditkitError: The term set cannot be read or has no such attribute.
    """
    if not all(isinstance(one, str) for one in context.data.inputs):
        raise NotApplicable("the inputs are no texts, and identity terms are words in texts")
    terms = read_terms(params.terms_file)
    attributes = chosen_terms(terms, params.attributes)
    found = _pairs(context, params, terms, attributes)
    if not found:
        raise NotApplicable(
            f"no text has an identity term ({', '.join(attributes)}) of {terms.name}"
        )
    coverage = _coverage(terms, found)
    if not params.attributes:
        enough = [one for one in found if one.swappable >= params.minimum_texts]
        found = enough or found
    answered = _ask(context, [one for one in found if one.pairs])
    comparisons = sum(2 * len(_directions(one, params)) for one in answered) * len(
        context.data.viewed_classes()
    )
    for position, one in enumerate(answered):
        more = (coverage,) if position == 0 else ()
        yield _flip_rate(context, params, one, len(answered), (_flip_table(one), *more))
        if one.shifts:
            yield _shift(context, params, one, comparisons)
            yield _absolute_shift(context, one)
    for nothing in found:
        if not nothing.pairs:
            note = f"{_counts(nothing)} None can be swapped: {_reasons(nothing)}."
            yield Measurement("flip_rate", None, 0, None, nothing.attribute, note)


def _pairs(
    context: Context, params: TermParams, terms: TermSet, attributes: Sequence[str]
) -> list[Found]:
    """Pairs of every attribute that some text has a term of. Each distinct text counts once."""
    swapper = Swapper(terms)
    able: defaultdict[str, list[tuple[int, Swapped]]] = defaultdict(list)
    left_out: defaultdict[str, Counter[str]] = defaultdict(Counter)
    rows = {text: row for row, text in reversed([*enumerate(context.data.inputs)])}
    for text, row in sorted(rows.items(), key=lambda item: item[1]):
        for attribute, outcome in swapper.swap(text).items():
            if isinstance(outcome, Excluded):
                left_out[attribute][outcome.reason.value] += 1
            else:
                able[attribute].append((row, outcome))
    found = []
    for attribute in attributes:
        swappable, excluded = able[attribute], left_out[attribute]
        if not swappable and not excluded:
            continue
        drawn = sorted(context.rng.permutation(len(swappable))[: params.rows].tolist())
        chosen = tuple(p for i in drawn for p in _drawn(context, params, *swappable[i]))
        texts = len(swappable) + excluded.total()
        found.append(Found(attribute, chosen, texts, len(swappable), excluded))
    return found


def _drawn(context: Context, params: TermParams, row: int, swapped: Swapped) -> Iterator[Pair]:
    groups = [*swapped.texts]
    picked = context.rng.permutation(len(groups))[: params.counterparts]
    for index in sorted(picked.tolist()):
        before, after = context.data.inputs[row], swapped.texts[groups[index]]
        yield Pair(row, before, after, swapped.group, groups[index])


def _ask(context: Context, found: Sequence[Found]) -> list[Answered]:
    """The answers to all pairs, asked in one request."""
    pairs = [pair for one in found for pair in one.pairs]
    texts = [pair.before for pair in pairs] + [pair.after for pair in pairs]
    answers = context.predictor.predict(texts)
    context.advance(1.0)
    answered, end = [], 0
    for one in found:
        start, end = end, end + len(one.pairs)
        before = answers.take(np.arange(start, end))
        after = answers.take(np.arange(start, end) + len(pairs))
        rows = np.array([pair.row for pair in one.pairs])
        clusters = rows if context.data.clusters is None else context.data.clusters[rows]
        shifts = _shifts(before, after, context.data.viewed_classes())
        answered.append(Answered(one, before.labels, after.labels, shifts, clusters))
    return answered


def _shifts(before: Predictions, after: Predictions, classes: Sequence[int]) -> dict[int, Floats]:
    if before.probabilities is None or after.probabilities is None:
        return {}
    change = np.clip(after.probabilities - before.probabilities, -1.0, 1.0)
    return {index: change[:, index] for index in classes}


def _flip_rate(
    context: Context,
    params: TermParams,
    answered: Answered,
    comparisons: int,
    evidence: tuple[Evidence, ...],
) -> Measurement:
    flipped, confidence = answered.flipped, context.confidence
    corrected = confidence.corrected_alpha(comparisons)
    k, n = float(flipped.sum()), float(len(flipped))
    method = "Clopper-Pearson"
    if not answered.alone:
        k, n = effective_counts(flipped, answered.clusters, corrected)
        method += ", effective counts"
    found = answered.found
    return Measurement(
        name="flip_rate",
        value=float(flipped.mean()),
        n=len(flipped),
        bounds=Bounds(
            rate(k, n, confidence.claim_alpha), rate(k, n, corrected), method, comparisons
        ),
        slice=found.attribute,
        note=f"{int(flipped.sum()):,} of {len(flipped):,} pairs get another class. "
        f"{_counts(found)} {_reasons(found)}.",
        evidence=(*evidence, *_examples(context, params, answered)),
        units=answered.mean_per_text(flipped.astype(np.float64)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Direction:
    """The pairs from one group to another; `rows` are their positions."""

    source: str
    target: str
    rows: NDArray[np.intp]

    def named(self) -> str:
        return f"{self.source} → {self.target}"


def _directions(answered: Answered, params: TermParams) -> list[_Direction]:
    """From each group to the others; to the one other, where there are two. Small ones pooled."""
    pairs = answered.found.pairs
    texts = Counter(source for _, source in {(pair.row, pair.source) for pair in pairs})
    names = [
        s if texts[s] >= params.minimum_texts else REST for s in (pair.source for pair in pairs)
    ]
    found = []
    for name in dict.fromkeys(names):
        rows = np.array([i for i, one in enumerate(names) if one == name], dtype=np.intp)
        targets = {pairs[i].target for i in rows.tolist()}
        found.append(_Direction(name, targets.pop() if len(targets) == 1 else "others", rows))
    return found


def _shift(
    context: Context, params: TermParams, answered: Answered, comparisons: int
) -> Measurement:
    """The largest mean change of a score in any direction, each way bounded by itself."""
    confidence = context.confidence
    corrected = confidence.corrected_alpha(comparisons)
    compared, named = [], []
    for direction in _directions(answered, params):
        clusters = answered.clusters[direction.rows]
        for index, shifts in answered.shifts.items():
            values = shifts[direction.rows]
            claim = signed_mean(values, confidence.claim_alpha, clusters)
            wide = signed_mean(values, corrected, clusters)
            compared.append(Comparison(float(values.mean()), claim, wide))
            named.append((direction, index))
    largest = combine_max(compared)
    assert largest.widest is not None
    direction, index = named[largest.widest]
    mean = compared[largest.widest].value or 0.0
    return Measurement(
        name="shift",
        value=largest.value,
        n=len(direction.rows),
        bounds=Bounds(
            largest.claim, largest.corrected, "exact bounds of gains and losses", comparisons
        ),
        slice=answered.found.attribute,
        note=f"Largest from {direction.named()}: the score of class "
        f"{context.data.class_names[index]} changes by {mean:+.3f} on average.",
        evidence=_shift_charts(context, params, answered),
    )


def _absolute_shift(context: Context, answered: Answered) -> Measurement:
    values = np.abs(np.stack([*answered.shifts.values()])).mean(axis=0)
    confidence, clusters = context.confidence, answered.clusters
    claim = signed_mean(values, confidence.claim_alpha, clusters, lowest=0.0)
    return Measurement(
        name="absolute_shift",
        value=float(values.mean()),
        n=len(values),
        bounds=Bounds(
            claim,
            signed_mean(values, confidence.corrected_alpha(1), clusters, lowest=0.0),
            "exact bounds",
        ),
        slice=answered.found.attribute,
        note="Mean of how far the score moves, either way, pair by pair.",
        units=answered.mean_per_text(values),
    )


def _shift_charts(
    context: Context, params: TermParams, answered: Answered
) -> tuple[Estimates, ...]:
    alpha = WHISKER_ALPHA
    directions = _directions(answered, params)
    charts = []
    for index, shifts in answered.shifts.items():
        rows = tuple(
            Estimate(
                one.named(),
                len(one.rows),
                float(shifts[one.rows].mean()),
                signed_mean(shifts[one.rows], alpha, answered.clusters[one.rows]),
            )
            for one in directions
        )
        title = f"Change of the score of class {context.data.class_names[index]}"
        charts.append(Estimates(title, rows, WHISKER_LEVEL, "exact bounds", 0.0, "no change"))
    return tuple(charts)


def _flip_table(answered: Answered) -> Table:
    """Flips by group and counterpart."""
    cells: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for pair, flip in zip(answered.found.pairs, answered.flipped.tolist(), strict=True):
        cells[pair.source, pair.target][0] += 1
        cells[pair.source, pair.target][1] += flip
    rows: list[tuple[Cell, ...]] = [(a, b, n, k, k / n) for (a, b), (n, k) in cells.items()]
    columns = ("as written", "swapped to", "pairs", "other class", "share")
    return Table(f"Answers changed by {answered.found.attribute}", columns, tuple(rows))


def _examples(context: Context, params: TermParams, answered: Answered) -> tuple[Evidence, ...]:
    size = np.zeros(len(answered.before))
    for shifts in answered.shifts.values():
        size = np.maximum(size, np.abs(shifts))
    order = np.lexsort((-size, ~answered.flipped))[: params.show].tolist()
    if not order:
        return ()
    names, pairs = context.data.class_names, answered.found.pairs
    shown = tuple(
        Example(
            pairs[i].before,
            pairs[i].after,
            names[answered.before[i]],
            names[answered.after[i]],
            f"{pairs[i].source} → {pairs[i].target}, score moves by {size[i]:.3f}",
        )
        for i in order
    )
    return (Examples(f"Largest changes by {answered.found.attribute}", shown),)


def _counts(found: Found) -> str:
    drawn = len({pair.row for pair in found.pairs})
    sampled = f", {drawn:,} of them drawn" if drawn < found.swappable else ""
    return (
        f"{found.texts:,} distinct texts have a term; {found.swappable:,} can be swapped{sampled}."
    )


def _reasons(found: Found) -> str:
    if not found.left_out:
        return "No text was left out"
    listed = ", ".join(f"{reason} ({k:,})" for reason, k in found.left_out.most_common())
    return f"Left out because {listed}"


def _coverage(terms: TermSet, found: Sequence[Found]) -> Table:
    cells: list[tuple[Cell, ...]] = []
    for one in found:
        cells.append((one.attribute, "swapped", one.swappable))
        cells += [(one.attribute, reason, k) for reason, k in one.left_out.most_common()]
    return Table(f"Texts with a term of {terms.name}", ("attribute", "what", "texts"), tuple(cells))
