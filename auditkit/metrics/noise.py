"""What everyday noise in the texts does to a model's answers and to its accuracy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import unit_id
from auditkit.errors import NotApplicable, nearest
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Cell,
    Estimate,
    Estimates,
    Interval,
    Measurement,
    Table,
)
from auditkit.noise import NOISES, Noise, Strength, noisy
from auditkit.stats.gaps import Comparison, combine_max
from auditkit.stats.intervals import effective_counts, mean_interval, rate
from auditkit.stats.paired import mcnemar, paired_gap

RARE = 0.1
"""Share of the texts tried below which a noise has little to do with these data."""
ENOUGH = 100
"""Changed texts from which on a rare noise is measured all the same."""
TRIED = 20
"""Most texts tried for a noise, as a multiple of those wanted."""
CHUNK = 4096
"""Texts asked about at once: many full batches, and progress is shown in between."""
MOST_UNITS = 5000

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NoiseParams:
    """How much noise is tried."""

    rows: int = 500
    """Rows each noise is put on, drawn from those it changes."""
    noises: tuple[str, ...] = ()
    """Names of the noises to try; empty for all."""

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, not {self.rows}")
        for name in self.noises:
            if name not in NOISES:
                raise ValueError(f"there is no noise {name!r}; {nearest(name, NOISES)}")
        if len(set(self.noises)) < len(self.noises):
            raise ValueError("noises names one twice")


@dataclass(frozen=True, slots=True, eq=False)
class Noised:
    """A noise at one strength, on the rows it changes.

    Attributes:
        noise: The noise.
        strength: How strong.
        rows: Numbers of the changed rows, shape (n,).
        texts: Their texts with the noise.
        tried: Rows it was tried on to find these; the others it left as they were.
    """

    noise: Noise
    strength: Strength
    rows: Rows
    texts: tuple[str, ...]
    tried: int

    @property
    def measurable(self) -> bool:
        """Whether the noise is one of these data: often found, or found often enough."""
        return len(self.rows) >= min(ENOUGH, max(RARE * self.tried, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """What a noise did to the answers.

    Attributes:
        cause: The noise.
        same: Whether the answer stayed, shape (n,).
        before: Whether the answer to the text as written was right; None without labels.
        after: Whether the answer to the text with noise was right; None without labels.
        clusters: Cluster of each row, if there are clusters.
    """

    cause: Noised
    same: Mask
    before: Mask | None
    after: Mask | None
    clusters: Rows | None

    @property
    def slice(self) -> str:
        """As the report names it."""
        return f"{self.cause.noise.name}/{self.cause.strength}"


def noise_measurements(context: Context, params: NoiseParams) -> Iterator[Measurement]:
    """Drop in accuracy and share of unchanged answers under each noise.

    Every mild noise is a measurement of its own. Of the strong ones the worst is, with all of them
    in its chart. The mean accuracy under mild noise carries the rows' own values as its units.

    Raises:
        NotApplicable: The inputs are no texts, or no noise changes them.
    """
    data = context.data
    other = {type(one).__name__ for one in data.inputs if not isinstance(one, str)}
    if other:
        kinds = ", ".join(sorted(other))
        raise NotApplicable(f"the inputs are no texts ({kinds}), and these noises are for texts")
    order = context.rng.permutation(len(data))
    found = _put_noise(context, params, order)
    effects = _ask(context, [one for one in found if one.measurable])
    if not effects:
        raise NotApplicable("no noise finds anything to change in these texts")
    mild = [one for one in effects if one.cause.strength == "mild"]
    strong = [one for one in effects if one.cause.strength == "strong"]
    if data.labels is not None:
        yield from (_drop(one, context, len(mild)) for one in mild)
        yield from _worst(strong, context, "strong_accuracy_drop")
        yield from _noisy_accuracy(mild, context, order[: params.rows])
    yield from (_invariance(one, context, len(mild)) for one in mild)
    yield from _worst(strong, context, "strong_invariance", (_coverage(found),))


def _put_noise(context: Context, params: NoiseParams, order: Rows) -> list[Noised]:
    seed = int(context.rng.integers(2**32))
    texts = context.data.inputs
    wanted, most = params.rows, params.rows * TRIED
    found = []
    for name in params.noises or NOISES:
        for strength in NOISES[name].strengths:
            rows: list[int] = []
            changed: list[str] = []
            tried = 0
            for row in order[:most].tolist():
                if len(rows) == wanted:
                    break
                tried += 1
                new = noisy(NOISES[name], strength, texts[row], seed)
                if new != texts[row]:
                    rows.append(row)
                    changed.append(new)
            found.append(
                Noised(
                    NOISES[name], strength, np.array(rows, dtype=np.int64), tuple(changed), tried
                )
            )
    return found


def _ask(context: Context, causes: Sequence[Noised]) -> list[Effect]:
    """The answers to all texts with noise, asked together so that the batches are full."""
    data = context.data
    written = context.predictor.predict(data.inputs).labels
    texts = [text for cause in causes for text in cause.texts]
    answered = []
    for start in range(0, len(texts), CHUNK):
        answered.append(context.predictor.predict(texts[start : start + CHUNK]).labels)
        context.advance(min(start + CHUNK, len(texts)) / len(texts))
    effects, end = [], 0
    for cause in causes:
        start, end = end, end + len(cause.rows)
        new, old = np.concatenate(answered)[start:end], written[cause.rows]
        truth = None if data.labels is None else data.labels[cause.rows]
        effects.append(
            Effect(
                cause,
                new == old,
                None if truth is None else old == truth,
                None if truth is None else new == truth,
                None if data.clusters is None else data.clusters[cause.rows],
            )
        )
    return effects


def _drop(effect: Effect, context: Context, comparisons: int) -> Measurement:
    assert effect.before is not None
    assert effect.after is not None
    compared = _drop_comparison(effect, context, comparisons)
    b, c = _discordant(effect)
    n = len(effect.same)
    note = (
        f"{_what(effect)} Right in {int(effect.before.sum()):,} of {n:,} as written and in "
        f"{int(effect.after.sum()):,} with noise: {b:,} lost, {c:,} gained (McNemar p "
        f"{mcnemar(b, c):.2g})."
    )
    return Measurement(
        name="accuracy_drop",
        value=compared.value,
        n=n,
        bounds=Bounds(compared.claim, compared.corrected, _method(effect, "drop"), comparisons),
        slice=effect.slice,
        note=note,
    )


def _invariance(effect: Effect, context: Context, comparisons: int) -> Measurement:
    compared = _same_comparison(effect, context, comparisons)
    return Measurement(
        name="invariance",
        value=compared.value,
        n=len(effect.same),
        bounds=Bounds(compared.claim, compared.corrected, _method(effect, "same"), comparisons),
        slice=effect.slice,
        note=f"{_what(effect)} The answer changes in {int((~effect.same).sum()):,} of them.",
    )


def _what(effect: Effect) -> str:
    cause = effect.cause
    left = cause.tried - len(cause.rows)
    untouched = f"; {left:,} more it leaves as they are" if left else ""
    return f"Noise: {cause.noise.means}, in {len(cause.rows):,} texts{untouched}."


def _worst(
    effects: Sequence[Effect],
    context: Context,
    name: Literal["strong_accuracy_drop", "strong_invariance"],
    more: tuple[Table, ...] = (),
) -> Iterator[Measurement]:
    """The worst of the strong noises, by the bounds of all of them."""
    if not effects:
        return
    dropped = name == "strong_accuracy_drop"
    compare = _drop_comparison if dropped else _same_comparison
    each = [compare(one, context, len(effects)) for one in effects]
    largest = combine_max(each if dropped else [_mirrored(one) for one in each], both_ways=False)
    assert largest.widest is not None
    at = effects[largest.widest]
    worst = Comparison(largest.value, largest.claim, largest.corrected)
    worst = worst if dropped else _mirrored(worst)
    title = "Drop in accuracy" if dropped else "Share of answers unchanged"
    chart = Estimates(
        title=f"{title} under strong noise",
        rows=tuple(_estimate(one, dropped) for one in effects),
        level=WHISKER_LEVEL,
        method=_method(effects[0], "drop" if dropped else "same"),
        reference=0.0 if dropped else None,
        reference_label="no change" if dropped else "",
    )
    yield Measurement(
        name=name,
        value=worst.value,
        n=len(at.same),
        bounds=Bounds(worst.claim, worst.corrected, chart.method, len(effects)),
        slice="strong",
        note=f"Worst for {at.cause.noise.name}: {at.cause.noise.means}.",
        evidence=(chart, *more),
    )


def _noisy_accuracy(
    effects: Sequence[Effect], context: Context, base: Rows
) -> Iterator[Measurement]:
    """Each row's share of right answers over the mild noises that change it, and their mean."""
    right: defaultdict[int, list[bool]] = defaultdict(list)
    for effect in effects:
        assert effect.after is not None
        for row, after in zip(effect.cause.rows.tolist(), effect.after.tolist(), strict=True):
            right[row].append(after)
    rows = [row for row in base.tolist() if row in right]
    if not rows:
        return
    data, confidence = context.data, context.confidence
    values = np.array([np.mean(right[row]) for row in rows])
    clusters = None if data.clusters is None else data.clusters[rows]
    units: defaultdict[str, list[float]] = defaultdict(list)
    for row, value in zip(rows, values.tolist(), strict=True):
        units[unit_id(data.inputs[row])].append(value)
    yield Measurement(
        name="noisy_accuracy",
        value=float(values.mean()),
        n=len(rows),
        bounds=Bounds(
            mean_interval(values, confidence.claim_alpha, clusters),
            mean_interval(values, confidence.corrected_alpha(1), clusters),
            "t" if clusters is None else "cluster-robust t",
        ),
        slice="mild",
        note=f"Mean over {len(effects)} mild noises of the rows each one changes.",
        evidence=(_accuracies(effects),),
        units={k: float(np.mean(v)) for k, v in units.items()} if len(units) <= MOST_UNITS else {},
    )


def _drop_comparison(effect: Effect, context: Context, comparisons: int) -> Comparison:
    b, c = _discordant(effect)
    confidence = context.confidence
    return Comparison(
        (b - c) / len(effect.same),
        _drop_interval(effect, confidence.claim_alpha),
        _drop_interval(effect, confidence.corrected_alpha(comparisons)),
    )


def _drop_interval(effect: Effect, alpha: float) -> Interval:
    if effect.clusters is None:
        return paired_gap(*_discordant(effect), len(effect.same), alpha)
    assert effect.before is not None
    assert effect.after is not None
    change = effect.before.astype(float) - effect.after
    return mean_interval(change, alpha, effect.clusters, (-1.0, 1.0))


def _same_comparison(effect: Effect, context: Context, comparisons: int) -> Comparison:
    corrected = context.confidence.corrected_alpha(comparisons)
    k, n = _same_counts(effect, corrected)
    return Comparison(
        float(effect.same.mean()),
        rate(k, n, context.confidence.claim_alpha),
        rate(k, n, corrected),
    )


def _same_counts(effect: Effect, alpha: float) -> tuple[float, float]:
    if effect.clusters is None:
        return float(effect.same.sum()), float(len(effect.same))
    return effective_counts(effect.same, effect.clusters, alpha)


def _discordant(effect: Effect) -> tuple[int, int]:
    """Rows right only as written, and rows right only with noise."""
    assert effect.before is not None
    assert effect.after is not None
    return int((effect.before & ~effect.after).sum()), int((effect.after & ~effect.before).sum())


def _method(effect: Effect, of: Literal["drop", "same"]) -> str:
    if effect.clusters is not None:
        return "cluster-robust t" if of == "drop" else "Clopper-Pearson, effective counts"
    return "Tango, exact hybrid where sparse" if of == "drop" else "Clopper-Pearson"


def _mirrored(one: Comparison) -> Comparison:
    def turn(interval: Interval) -> Interval:
        assert interval.lower is not None
        assert interval.upper is not None
        return Interval(-interval.upper, -interval.lower)

    return Comparison(
        None if one.value is None else -one.value, turn(one.claim), turn(one.corrected)
    )


def _estimate(effect: Effect, dropped: bool) -> Estimate:
    alpha = WHISKER_ALPHA
    name, n = effect.cause.noise.name, len(effect.same)
    if dropped:
        b, c = _discordant(effect)
        return Estimate(name, n, (b - c) / n, _drop_interval(effect, alpha))
    interval = rate(*_same_counts(effect, alpha), alpha)
    return Estimate(name, n, float(effect.same.mean()), interval, int(effect.same.sum()))


def _accuracies(effects: Sequence[Effect]) -> Table:
    cells: list[tuple[Cell, ...]] = []
    for one in effects:
        assert one.before is not None
        assert one.after is not None
        b, c = _discordant(one)
        before, after = float(one.before.mean()), float(one.after.mean())
        cells.append((one.cause.noise.name, len(one.same), before, after, b, c, mcnemar(b, c)))
    return Table(
        "Accuracy under mild noise",
        ("noise", "rows", "as written", "with noise", "lost", "gained", "McNemar p"),
        tuple(cells),
    )


def _coverage(found: Sequence[Noised]) -> Table:
    """What each noise found to change, also where that was too little to measure."""
    cells: list[tuple[Cell, ...]] = [
        (
            one.noise.name,
            one.strength,
            one.noise.means,
            one.tried,
            len(one.rows),
            "yes" if one.measurable else "no, these texts offer too little",
        )
        for one in found
    ]
    return Table(
        "Texts changed by each noise",
        ("noise", "strength", "what it does", "texts tried", "changed", "measured"),
        tuple(cells),
    )
