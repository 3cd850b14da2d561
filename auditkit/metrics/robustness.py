"""What is left of a model's accuracy when somebody changes its inputs on purpose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Cell,
    Estimate,
    Estimates,
    Examples,
    Interval,
    Measurement,
    Table,
)
from auditkit.stats.intervals import effective_counts, mean_interval, rate, wilson
from auditkit.stats.paired import mcnemar, paired_gap

Flags = NDArray[np.bool_]

WORST = "all attacks together"


@dataclass(frozen=True, slots=True, eq=False)
class Attacked:
    """What one attack did to the n sampled examples.

    Attributes:
        name: The attack.
        broken: Shape (n,): the answer was right and the attack made it wrong.
        unknown: Shape (n,): it was right and nobody knows: the attack timed out or crashed.
        endings: How many examples ended how, in words.
        queries: Texts asked about per attacked example.
        cost: What breaking took, per broken example, by name: `changed_words` and `similarity`
            are reported as numbers of their own, the others in a table.
        examples: Broken examples to show.
    """

    name: str
    broken: Flags
    unknown: Flags
    endings: dict[str, int]
    queries: tuple[float, ...] = ()
    cost: dict[str, tuple[float, ...]] = field(default_factory=dict)
    examples: Examples | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """The examples that were attacked.

    Attributes:
        ids: Name of each example.
        right: Shape (n,): the model was right before the attack.
        clusters: Shape (n,), or None when examples are independent.
        least: Examples from which on an interval is given.
    """

    ids: tuple[str, ...]
    right: Flags
    clusters: NDArray[Any] | None
    least: int

    def only(self, rows: Flags) -> Sampled:
        """The examples of these rows, shape (n,)."""
        return Sampled(
            tuple(name for name, kept in zip(self.ids, rows, strict=True) if kept),
            self.right[rows],
            None if self.clusters is None else self.clusters[rows],
            self.least,
        )


def together(attacks: Sequence[Attacked]) -> Attacked:
    """The worst of several attacks: an example is broken when any of them breaks it."""
    broken = reduce(np.logical_or, (attack.broken for attack in attacks))
    unknown = reduce(np.logical_or, (attack.unknown for attack in attacks)) & ~broken
    return Attacked(WORST, broken, unknown, {})


def attack_measurements(
    context: Context, sample: Sampled, attacks: Sequence[Attacked]
) -> Iterator[Measurement]:
    """Accuracy under each attack and under all of them, success rates, and what they cost.

    Examples whose attack did not finish count against either side: as broken for the bound a PASS
    is read from, as held for the one a FAIL is read from.
    """
    views = [*attacks, together(attacks)] if len(attacks) > 1 else list(attacks)
    for attack in views:
        yield _accuracy(context, sample, attack, attacks, len(views))
    for attack in views:
        yield _success(context, sample, attack, len(views))
    yield _drop(context, sample, views[-1])
    for attack in attacks:
        yield _mean(context, "queries", attack.name, attack.queries, len(attacks))
        for name in ("changed_words", "similarity"):
            yield _mean(context, name, attack.name, attack.cost.get(name, ()), len(attacks))


def _accuracy(
    context: Context,
    sample: Sampled,
    attack: Attacked,
    attacks: Sequence[Attacked],
    comparisons: int,
) -> Measurement:
    held = sample.right & ~attack.broken & ~attack.unknown
    known = ~attack.unknown
    evidence: list[Any] = []
    if attack.endings:
        rows: tuple[tuple[Cell, ...], ...] = tuple(attack.endings.items())
        evidence.append(Table("How the attacks ended", ("ending", "examples"), rows))
        evidence.append(_costs(attack))
    elif len(attacks) > 1:
        evidence.append(_chart(sample, [*attacks, attack]))
    if attack.examples is not None and attack.examples.rows:
        evidence.append(attack.examples)
    return Measurement(
        name="accuracy_under_attack",
        value=_share(held, known),
        n=len(held),
        bounds=rate_bounds(context, sample, (held, held | attack.unknown), comparisons),
        slice=attack.name,
        note=_note(sample, attack, int(held.sum())),
        least_n=sample.least if len(held) < sample.least else None,
        evidence=tuple(evidence),
        units={
            name: float(hit)
            for name, hit, sure in zip(sample.ids, held, known, strict=True)
            if sure
        },
    )


def _note(sample: Sampled, attack: Attacked, held: int) -> str:
    n, right = len(sample.right), int(sample.right.sum())
    said = f"{right:,} of {n:,} examples were right before, {held:,} stayed so."
    unsure = int(attack.unknown.sum())
    if unsure:
        said += (
            f" On {unsure:,} the attack did not finish; the value leaves them out, the interval "
            "counts them against either side."
        )
    return said


def _success(context: Context, sample: Sampled, attack: Attacked, comparisons: int) -> Measurement:
    attacked = sample.right
    if not attacked.any():
        return Measurement(
            "success_rate", None, 0, None, attack.name, "the model was wrong on every example"
        )
    some = sample.only(attacked)
    broken, unknown = attack.broken[attacked], attack.unknown[attacked]
    return Measurement(
        name="success_rate",
        value=_share(broken, ~unknown),
        n=len(broken),
        bounds=rate_bounds(context, some, (broken, broken | unknown), comparisons),
        slice=attack.name,
        note="Of the examples that were right before.",
        least_n=some.least if len(broken) < some.least else None,
    )


def _drop(context: Context, sample: Sampled, attack: Attacked) -> Measurement:
    """Clean accuracy less accuracy under attack, on the same examples."""
    n, broken, unknown = len(sample.right), int(attack.broken.sum()), int(attack.unknown.sum())
    p = mcnemar(broken, 0)

    def interval(alpha: float) -> Interval:
        # An attack makes right answers wrong and never the reverse: only one kind is discordant.
        sure, possible = attack.broken, attack.broken | attack.unknown
        lower = paired_gap(*_discordant(sure, sample, alpha), alpha).lower
        upper = paired_gap(*_discordant(possible, sample, alpha), alpha).upper
        return Interval(lower, upper)

    return Measurement(
        name="accuracy_drop",
        value=broken / (n - unknown) if n > unknown else None,
        n=n,
        bounds=both_levels(context, interval, "Tango, Clopper-Pearson", 1)
        if n >= sample.least
        else None,
        slice=attack.name,
        note=f"Same examples before and after; McNemar p = {p:.2g}."
        if n > unknown
        else "no attack was finished",
    )


def _discordant(flags: Flags, sample: Sampled, alpha: float) -> tuple[float, float, float]:
    hits, rows = _counts(flags, sample, alpha)
    return hits, 0.0, rows


def _mean(
    context: Context, name: str, slice_: str, values: Sequence[float], comparisons: int
) -> Measurement:
    if not values:
        return Measurement(name, None, 0, None, slice_, "no example was broken")
    found = np.array(values)
    support = None if name == "queries" else (0.0, 1.0)
    return Measurement(
        name=name,
        value=float(found.mean()),
        n=len(found),
        bounds=both_levels(
            context, lambda alpha: mean_interval(found, alpha, support=support), "t", comparisons
        )
        if len(found) > 1
        else None,
        slice=slice_,
        note="Mean over the attacked examples."
        if name == "queries"
        else "Mean over the broken examples.",
    )


def _costs(attack: Attacked) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, values in {"queries of every attack": attack.queries, **attack.cost}.items():
        if values:
            found = np.quantile(values, (0.5, 0.0, 1.0))
            row = (float(np.mean(values)), *map(float, found))
            rows.append((name.replace("_", " "), len(values), *row))
    columns = ("per broken example", "examples", "mean", "median", "smallest", "largest")
    return Table("What it took", columns, tuple(rows))


def _chart(sample: Sampled, attacks: Sequence[Attacked]) -> Estimates:
    n = len(sample.right)
    rows = []
    for attack in attacks:
        held = int((sample.right & ~attack.broken & ~attack.unknown).sum())
        sure = n - int(attack.unknown.sum())
        share = held / sure if sure else None
        rows.append(Estimate(attack.name, sure, share, wilson(held, sure, WHISKER_ALPHA), held))
    return Estimates(
        "Accuracy under each attack",
        tuple(rows),
        WHISKER_LEVEL,
        "Wilson",
        float(sample.right.mean()),
        "without an attack",
    )


def _share(hits: Flags, known: Flags) -> float | None:
    return float(hits.sum() / known.sum()) if known.any() else None


def rate_bounds(
    context: Context, sample: Sampled, hits: tuple[Flags, Flags], comparisons: int
) -> Bounds | None:
    """Bounds of a rate of which the hits are only known to lie between two sets.

    None with fewer than `sample.least` examples.
    """
    if len(hits[0]) < sample.least:
        return None

    def interval(alpha: float) -> Interval:
        lower = rate(*_counts(hits[0], sample, alpha), alpha).lower
        upper = rate(*_counts(hits[1], sample, alpha), alpha).upper
        return Interval(lower, upper)

    return both_levels(context, interval, "Clopper-Pearson", comparisons)


def _counts(flags: Flags, sample: Sampled, alpha: float) -> tuple[float, float]:
    if sample.clusters is None:
        return float(flags.sum()), float(len(flags))
    return effective_counts(flags.astype(np.float64), sample.clusters, alpha)


def both_levels(context: Context, interval: Any, method: str, comparisons: int) -> Bounds:
    """An interval, as a function of alpha, at the two levels a verdict needs."""
    confidence = context.confidence
    return Bounds(
        interval(confidence.claim_alpha),
        interval(confidence.corrected_alpha(comparisons)),
        method,
        comparisons,
    )
