"""Whether the words that an explanation names first are those that the score rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Span
from auditkit.check import Context
from auditkit.finding import (
    WHISKER_LEVEL,
    Cell,
    Curve,
    Estimate,
    Estimates,
    Evidence,
    Measurement,
    Table,
)
from auditkit.metrics.example_values import ExampleValues, Sample, mean_measurement
from auditkit.metrics.removal import (
    BETTER,
    METRICS,
    Grid,
    Ordered,
    Removed,
    order_of,
    removal_scores,
)

Floats = NDArray[np.float64]

ADVANTAGES = ("advantage", "sufficiency_advantage", "deletion_advantage", "insertion_advantage")
"""Measurements, in the order of `METRICS`."""
_TIES = 1
_CONTROL = 2


@dataclass(frozen=True, slots=True, eq=False)
class Worded:
    """Examples, n of them, each of at least one word.

    Attributes:
        texts: Theirs.
        labels: The class whose score is explained, shape (n,).
        words: Where the words of each text stand.
        sample: What they are called, and how many decide.
        seed: The audit's. An example's random numbers follow from it and the example alone.
    """

    texts: tuple[str, ...]
    labels: NDArray[np.int64]
    words: tuple[tuple[Span, ...], ...]
    sample: Sample
    seed: int

    def rng(self, position: int, purpose: int) -> np.random.Generator:
        """Random numbers of one example, whichever others there are."""
        name = int(self.sample.ids[position], 16)
        return np.random.default_rng([self.seed, name, purpose])

    def ordered(self, position: int, order: NDArray[np.int64]) -> Ordered:
        """An example with an order of its words."""
        label = int(self.labels[position])
        return Ordered(self.texts[position], label, self.words[position], order)


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """What one method says of the words of n examples.

    Attributes:
        method: Its name.
        weights: Of the words of each example; None where the method explains nothing.
    """

    method: str
    weights: tuple[Floats | None, ...]

    @property
    def explained(self) -> list[int]:
        """Positions of the examples that it explains."""
        return [place for place, weights in enumerate(self.weights) if weights is not None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How faithfulness is measured.

    Attributes:
        grid: How many words are taken out.
        random_orders: Orders per example that a method is compared with.
    """

    grid: Grid
    random_orders: int


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """One method beside random orders, on the m examples that it explains."""

    weighed: Weighed
    own: Removed
    control: Removed
    sample: Sample

    def advantage(self, metric: int) -> ExampleValues:
        """By how much it is better than random orders, for each example."""
        gain = BETTER[metric] * (self.own.scores[:, metric] - self.control.scores[:, metric])
        # Both are means of probabilities, so that only rounding can leave this range.
        gain = np.clip(gain, -1.0, 1.0)
        return ExampleValues(ADVANTAGES[metric], self.weighed.method, gain, self.sample)

    def by_example(self) -> dict[int, float]:
        """The first advantage by the position of the example."""
        return dict(zip(self.weighed.explained, self.advantage(0).values.tolist(), strict=True))


def faithfulness_measurements(
    context: Context,
    examples: Worded,
    methods: Sequence[Weighed],
    settings: Settings,
    more: tuple[Evidence, ...] = (),
) -> Iterator[Measurement]:
    """The advantage of each method over random orders of the same words, by four metrics.

    Args:
        context: Predictor and levels.
        examples: What was explained.
        methods: What each method says of them.
        settings: How much is asked.
        more: Evidence to add to the first measurement.
    """
    control = _control(context, examples, settings)
    compared = [_compared(context, examples, one, control, settings) for one in methods]
    evidence = (*_charts(compared), *more)
    for metric in range(len(METRICS)):
        for one in compared:
            measured = mean_measurement(
                context,
                one.advantage(metric),
                len(methods),
                "no example with two words or more is explained",
            )
            if measured.value is not None:
                note = _note(one, metric, compared, len(examples.texts))
                measured = replace(measured, note=note, evidence=_curve(one, metric))
            yield replace(measured, evidence=(*measured.evidence, *evidence))
            evidence = ()


def _control(context: Context, examples: Worded, settings: Settings) -> Removed:
    """What random orders come to, the mean over several for each example."""
    times = settings.random_orders
    texts: list[Ordered] = []
    for position, words in enumerate(examples.words):
        rng = examples.rng(position, _CONTROL)
        orders = (rng.permutation(len(words)).astype(np.int64) for _ in range(times))
        texts.extend(examples.ordered(position, order) for order in orders)
    found = removal_scores(context.predictor, texts, settings.grid)
    parts = (found.scores, found.deletion, found.insertion)
    return Removed(*(part.reshape(-1, times, part.shape[1]).mean(axis=1) for part in parts))


def _compared(
    context: Context, examples: Worded, weighed: Weighed, control: Removed, settings: Settings
) -> _Compared:
    explained = weighed.explained
    texts = []
    for position in explained:
        weights = weighed.weights[position]
        assert weights is not None
        order = order_of(weights, examples.rng(position, _TIES))
        texts.append(examples.ordered(position, order))
    return _Compared(
        weighed,
        removal_scores(context.predictor, texts, settings.grid),
        Removed(
            control.scores[explained], control.deletion[explained], control.insertion[explained]
        ),
        examples.sample.only(explained),
    )


def _note(one: _Compared, metric: int, compared: Sequence[_Compared], examples: int) -> str:
    own = float(one.own.scores[:, metric].mean())
    random = float(one.control.scores[:, metric].mean())
    said = f"{METRICS[metric][0].upper()}{METRICS[metric][1:]} {own:.3g}, of random orders "
    said += f"{random:.3g}."
    left = examples - len(one.sample)
    if left:
        said += f" Of {left:,} more texts the method explains nothing; they do not count."
    return said + (_lead(one, compared) if metric == 0 else "")


def _lead(one: _Compared, compared: Sequence[_Compared]) -> str:
    """Said of the most faithful method: how it stands to the next, on the same examples."""
    ranked = _ranked(compared)
    if one is not ranked[0] or len(ranked) < 2:
        return ""
    other = ranked[1]
    said = f" The most faithful of the {len(ranked)} methods here"
    mine, theirs = one.by_example(), other.by_example()
    both = [row for row, place in enumerate(mine) if place in theirs]
    if len(both) < one.sample.least:
        return f"{said}; {other.weighed.method} comes next."
    ahead = [gain - theirs[place] for place, gain in mine.items() if place in theirs]
    # The random orders are the same and cancel: a difference of two scores remains.
    values = np.clip(np.array(ahead), -1.0, 1.0)
    interval = ExampleValues("", "", values, one.sample.only(both)).interval()
    return (
        f"{said}: {float(values.mean()):.3g} ({interval.lower:.3g} to {interval.upper:.3g}) ahead "
        f"of {other.weighed.method}, the next, on the same examples."
    )


def _ranked(compared: Sequence[_Compared]) -> list[_Compared]:
    """Methods that explain something, the most faithful first."""
    some = [one for one in compared if len(one.sample)]
    return sorted(some, key=lambda one: -float(one.advantage(0).values.mean()))


def _charts(compared: Sequence[_Compared]) -> tuple[Evidence, ...]:
    ranked = _ranked(compared)
    if not ranked:
        return ()
    rows = []
    for one in ranked:
        gain = one.advantage(0)
        mean = float(gain.values.mean())
        rows.append(Estimate(one.weighed.method, len(one.sample), mean, gain.interval()))
    chart = Estimates(
        title="Comprehensiveness above that of random orders",
        rows=tuple(rows),
        level=WHISKER_LEVEL,
        method="t",
        reference=0.0,
        reference_label="random orders",
        of="method",
    )
    return (chart, _metrics_table(ranked), *_curve_tables(ranked))


def _metrics_table(ranked: Sequence[_Compared]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for one in ranked:
        for metric, name in enumerate(METRICS):
            gain = one.advantage(metric)
            interval = gain.interval()
            rows.append(
                (
                    one.weighed.method,
                    name,
                    len(one.sample),
                    float(one.own.scores[:, metric].mean()),
                    float(one.control.scores[:, metric].mean()),
                    float(gain.values.mean()),
                    interval.lower,
                    interval.upper,
                )
            )
    columns = ("method", "metric", "examples", "value", "random orders", "advantage",
               "95 % from", "to")  # fmt: skip
    return Table("Faithfulness by four metrics, the most faithful method first", columns,
                 tuple(rows))  # fmt: skip


def _curve_tables(ranked: Sequence[_Compared]) -> Iterator[Table]:
    shares = _shares(ranked[0].own.deletion)
    columns = ("method", *(f"{share:.0%}" for share in shares))
    for title, part in (
        ("Mean score after a share of the words is taken out", "deletion"),
        ("Mean score with a share of the words alone", "insertion"),
    ):
        named = [(one.weighed.method, getattr(one.own, part)) for one in ranked]
        widest = max(ranked, key=lambda one: len(one.sample))
        named.append(("random orders", getattr(widest.control, part)))
        rows = tuple((name, *curve.mean(axis=0).tolist()) for name, curve in named)
        yield Table(title, columns, rows)


def _curve(one: _Compared, metric: int) -> tuple[Evidence, ...]:
    """The mean curve whose area the metric is."""
    if METRICS[metric] not in ("deletion AUC", "insertion AUC"):
        return ()
    gone = METRICS[metric] == "deletion AUC"
    curve = one.own.deletion if gone else one.own.insertion
    return (
        Curve(
            title=f"{'Deletion' if gone else 'Insertion'} by {one.weighed.method}",
            x_label="share of the words taken out" if gone else "share of the words put back",
            y_label="mean score",
            x=tuple(_shares(curve)),
            y=tuple(curve.mean(axis=0).tolist()),
            sizes=(len(curve),) * curve.shape[1],
        ),
    )


def _shares(curve: Floats) -> list[float]:
    shares: list[float] = np.linspace(0.0, 1.0, curve.shape[1]).tolist()
    return shares
