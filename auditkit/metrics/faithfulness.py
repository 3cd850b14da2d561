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
    Estimates,
    Evidence,
    Measurement,
    Table,
)
from auditkit.metrics.example_means import ExampleValues, Sample, mean_measurement
from auditkit.metrics.example_tables import drawn_mean
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
        weights: Of the words of each example; all 0 where the method explains nothing.
        unexplained: How many examples that is.
    """

    method: str
    weights: tuple[Floats, ...]
    unexplained: int


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
    """One method beside random orders of the words of the same examples."""

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
    compared.sort(key=lambda one: -float(one.advantage(0).values.mean()))
    evidence = (*_charts(compared), *more)
    for metric in range(len(METRICS)):
        for one in compared:
            values = one.advantage(metric)
            measured = mean_measurement(context, values, len(methods), "there is no example")
            note = _note(one, metric)
            if metric == 0 and one is compared[0]:
                note = f"{note} {_ahead(context, compared)}".strip()
            yield replace(measured, note=note, evidence=(*_curve(one, metric), *evidence))
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
    orders = [
        order_of(weights, examples.rng(position, _TIES))
        for position, weights in enumerate(weighed.weights)
    ]
    texts = [examples.ordered(position, order) for position, order in enumerate(orders)]
    own = removal_scores(context.predictor, texts, settings.grid)
    return _Compared(weighed, own, control, examples.sample)


def _note(one: _Compared, metric: int) -> str:
    own = float(one.own.scores[:, metric].mean())
    random = float(one.control.scores[:, metric].mean())
    name = f"{METRICS[metric][0].upper()}{METRICS[metric][1:]}"
    said = f"{name} {own:.3g}, of random orders {random:.3g}."
    if one.weighed.unexplained:
        said += f" {one.weighed.unexplained:,} explanations are empty and count as a random order."
    return said


def _ahead(context: Context, compared: Sequence[_Compared]) -> str:
    """Whether the most faithful method is shown to be ahead of the next, on the same examples."""
    if len(compared) < 2:
        return ""
    best, following = compared[:2]
    sample, name = best.sample, following.weighed.method
    # The random orders are the same and cancel: a difference of two scores remains.
    lead = np.clip(best.advantage(0).values - following.advantage(0).values, -1.0, 1.0)
    # The two were chosen by what they earned here, among all ordered pairs.
    pairs = len(compared) * (len(compared) - 1)
    alpha = context.confidence.claim_alpha / pairs
    interval = ExampleValues("", "", lead, sample).interval(alpha)
    assert interval.lower is not None
    shown = interval.lower > 0 and len(sample) >= sample.least
    return (
        f"The most faithful of the {len(compared)} methods here, "
        f"{'shown' if shown else 'not shown'} to be ahead of {name}, the next: "
        f"{float(lead.mean()):+.3f} ({interval.lower:+.3f} to {interval.upper:+.3f}, paired, "
        "allowing for all pairs)."
    )


def _charts(compared: Sequence[_Compared]) -> tuple[Evidence, ...]:
    chart = Estimates(
        title="Comprehensiveness above that of random orders",
        rows=tuple(drawn_mean(one.weighed.method, one.advantage(0)) for one in compared),
        level=WHISKER_LEVEL,
        method=compared[0].advantage(0).method,
        reference=0.0,
        reference_label="random orders",
        of="method",
    )
    return (chart, _metrics_table(compared), *_curve_tables(compared))


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
    sides = [(one.weighed.method, one.own) for one in ranked]
    sides.append(("random orders", ranked[0].control))
    for title, named in (
        ("Mean score after a share of the words is taken out",
         [(name, side.deletion) for name, side in sides]),
        ("Mean score with a share of the words alone",
         [(name, side.insertion) for name, side in sides]),
    ):  # fmt: skip
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
