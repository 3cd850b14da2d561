"""Whether explanations depend on what the model has learnt (Adebayo et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.finding import Cell, Curve, Evidence, Measurement, Table
from auditkit.metrics.example_means import ExampleValues, Sample, mean_measurement
from auditkit.stats.ranks import spearman

Floats = NDArray[np.float64]
Maps = Sequence["Floats | None"]
"""The weights of the words of each example; None where it is not explained."""

_CERTAIN = 1e-6
"""Probabilities nearer to 0 or 1 are taken for this near: single precision tells no more."""


@dataclass(frozen=True, slots=True, eq=False)
class Randomized:
    """What one method says by the model under audit, and by copies with random weights.

    Attributes:
        method: Its name.
        real: By the model under audit, n examples.
        copies: By copies, one or several by the number of their random layers, counted from the
            head; n examples each. The largest number stands for all layers.
        sample: The n examples.
    """

    method: str
    real: Maps
    copies: Mapping[int, Sequence[Maps]]
    sample: Sample

    @property
    def explained(self) -> list[int]:
        """Positions of the examples that are explained by the model and by every copy."""
        everyone = [self.real, *(maps for some in self.copies.values() for maps in some)]
        return [
            place
            for place in range(len(self.real))
            if all(maps[place] is not None for maps in everyone)
        ]

    @property
    def depths(self) -> list[int]:
        """Numbers of random layers, ascending."""
        return sorted(self.copies)

    def values(self, name: str, layers: int) -> ExampleValues:
        """A comparison of `COMPARISONS` with the copies of so many random layers, their mean."""
        compare, explained = COMPARISONS[name], self.explained
        found = []
        for place in explained:
            real = self.real[place]
            others = [maps[place] for maps in self.copies[layers]]
            assert real is not None
            found.append(float(np.mean([compare(real, one) for one in others if one is not None])))
        return ExampleValues(name, self.method, np.array(found), self.sample.only(explained))


def alike(one: Floats, other: Floats) -> float:
    """Rank correlation of two explanations of one text, -1 to 1.

    Two that prefer no word are the same, 1; one that does is nothing like one that does not, 0.
    """
    found = spearman(one, other)
    if found is not None:
        return found
    return float(bool(np.ptp(one) == 0) and bool(np.ptp(other) == 0))


def complexity(weights: Floats) -> float:
    """How evenly the sizes of two weights or more are spread, from 0 (one word has it all) to 1.

    Their entropy over that of equal ones; 1 where all are 0.
    """
    sizes = np.abs(weights)
    if not sizes.any():
        return 1.0
    # Divided by the largest first: the sum of huge weights would be infinite.
    shares = sizes / sizes.max()
    shares = shares[shares > 0] / shares.sum()
    return min(max(float(-(shares * np.log(shares)).sum()) / math.log(len(weights)), 0.0), 1.0)


def _alike_in_size(one: Floats, other: Floats) -> float:
    return alike(np.abs(one), np.abs(other))


def _rise(real: Floats, copy: Floats) -> float:
    return complexity(copy) - complexity(real)


COMPARISONS = {
    "similarity": _alike_in_size,
    "signed_similarity": alike,
    "complexity_rise": _rise,
}
"""Measurements by name: from the weights by the model and by a copy to a number in -1..1."""


def random_share(scores: tuple[Floats, Floats], copies: Sequence[tuple[Floats, Floats]]) -> Floats:
    """The part of a model's response to each text that random weights give as well, (n,), 0..1.

    The response is the change of the log odds of a class when all words are taken out. With a by
    the model and c by a copy, the mean over copies, the part is c / (a + c): near 0 for a model
    that has learnt to read, 0.5 for one as random as the copies, 1 for one that does not respond.

    Args:
        scores: Probabilities of the class, of the texts and of the same without words, (n,) each.
        copies: As much by each copy, at least one.
    """
    own = response(*scores)
    theirs = np.mean([response(*one) for one in copies], axis=0)
    whole = own + theirs
    return np.where(whole > 0, theirs / np.where(whole > 0, whole, 1.0), 0.5)


def response(full: Floats, empty: Floats) -> Floats:
    """By how much the log odds of two sets of probabilities differ, either way."""
    return np.asarray(np.abs(_log_odds(full) - _log_odds(empty)))


def _log_odds(scores: Floats) -> Floats:
    clipped = np.clip(scores, _CERTAIN, 1 - _CERTAIN)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def response_measurement(
    context: Context,
    sample: Sample,
    scores: tuple[Floats, Floats],
    copies: Sequence[tuple[Floats, Floats]],
) -> Measurement:
    """Whether the model answers to its texts as if its weights were random."""
    shares = random_share(scores, copies)
    values = ExampleValues("random_response", "", shares, sample, (0.0, 1.0))
    measured = mean_measurement(context, values, 1, "no text has enough words")
    if measured.value is None:
        return measured
    own = float(response(*scores).mean())
    each = [float(response(*one).mean()) for one in copies]
    rows = [("the model under audit", own)]
    rows += [(f"random copy {number}", size) for number, size in enumerate(each, start=1)]
    note = (
        f"Without its words the log odds of an answer change by {own:.3g} on average, those of "
        f"copies with random weights by {float(np.mean(each)):.3g}."
    )
    title = "Mean change of the log odds when all words are taken out"
    table = Table(title, ("weights", "change"), tuple(rows))
    return replace(measured, note=note, evidence=(table,))


def randomization_measurements(
    context: Context, methods: Sequence[Randomized], layers: Sequence[str]
) -> Iterator[Measurement]:
    """How alike the explanations by the model and by copies of random weights are, by method.

    Args:
        context: The levels.
        methods: What each says.
        layers: Names of the model's layers from the head down.
    """
    evidence: tuple[Evidence, ...] = (_table(methods, layers),)
    for name in COMPARISONS:
        for one in methods:
            values = one.values(name, one.depths[-1])
            measured = mean_measurement(
                context, values, len(methods), "no text with enough words is explained"
            )
            if name == "similarity" and measured.value is not None:
                measured = replace(measured, note=_note(one), evidence=(_curve(one, len(layers)),))
            yield replace(measured, evidence=(*measured.evidence, *evidence))
            evidence = ()


def _note(one: Randomized) -> str:
    copies = len(one.copies[one.depths[-1]])
    said = f"Mean over {copies} copies in which every layer is random."
    left = len(one.real) - len(one.explained)
    if left:
        said += f" {left:,} more texts are not explained by all; they do not count."
    return said


def _curve(one: Randomized, layers: int) -> Curve:
    values = [one.values("similarity", depth).values for depth in one.depths]
    return Curve(
        title=f"{one.method}: explanations as layers are made random, from the head down",
        x_label="share of the layers that are random",
        y_label="similarity to the model's own",
        x=(0.0, *(depth / layers for depth in one.depths)),
        y=(1.0, *(float(found.mean()) for found in values)),
        sizes=(len(one.explained),) * (len(values) + 1),
    )


def _table(methods: Sequence[Randomized], layers: Sequence[str]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for one in methods:
        if not one.explained:
            continue
        for depth in one.depths:
            row: list[Cell] = [one.method, depth, layers[depth - 1], len(one.copies[depth])]
            for name in COMPARISONS:
                values = one.values(name, depth)
                interval = values.interval()
                row += [float(values.values.mean()), interval.lower, interval.upper]
            rows.append(tuple(row))
    columns = ["method", "random layers", "down to", "copies"]
    for name in COMPARISONS:
        columns += [name.replace("_", " "), "95 % from", "to"]
    title = "Explanations by copies with random layers, beside the model's own"
    return Table(title, tuple(columns), tuple(rows))
