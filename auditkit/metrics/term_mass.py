"""How much of an explanation's weight lies on the words that name a group of people."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Attribution, words_of
from auditkit.check import Context
from auditkit.data import Attribute
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Cell,
    Estimate,
    Estimates,
    Evidence,
    Interval,
    Measurement,
    Table,
)
from auditkit.identity.swapping import NamedGroup
from auditkit.stats.bounded import signed_mean
from auditkit.stats.gaps import Comparison, combine_max, independent_difference

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

METHOD = "exact bounds"
TERMS = 15
"""Terms in the table."""


@dataclass(frozen=True, slots=True, eq=False)
class TermSample:
    """Explained texts that have a term, n of them.

    Attributes:
        texts: The texts.
        ids: What each is called in `Measurement.units`.
        named: The places of each text that name a group.
        right: Whether the answer is right, shape (n,); None without labels.
        groups: Sensitive attributes of the n examples, by name.
        clusters: Shape (n,), or None.
        minimum: Examples below which nothing is decided.
    """

    texts: tuple[str, ...]
    ids: tuple[str, ...]
    named: tuple[tuple[NamedGroup, ...], ...]
    right: Mask | None
    groups: Mapping[str, Attribute]
    clusters: NDArray[np.int64] | None
    minimum: int


@dataclass(frozen=True, slots=True, eq=False)
class TermMass:
    """Where the weight of one method's explanations lies, for the n of them that have any.

    Attributes:
        method: Name of the method.
        rows: Positions of these examples in the sample, shape (n,).
        mass: Share of the absolute weight that is on terms, shape (n,), 0..1.
        chance: Share of the words that are terms: what weights put anywhere would give, (n,).
        by_term: Mean share of each term over the texts that have it, and how many these are.
    """

    method: str
    rows: NDArray[np.int64]
    mass: Floats
    chance: Floats
    by_term: Mapping[tuple[str, str, str], tuple[float, int]]


def on_terms(words: Sequence[tuple[int, int]], named: Sequence[NamedGroup]) -> Mask:
    """Which words overlap a place that names a group, shape (words,)."""
    found = [any(a < one.end and one.start < b for one in named) for a, b in words]
    return np.array(found, dtype=bool)


def term_mass(sample: TermSample, method: str, attributions: Sequence[Attribution]) -> TermMass:
    """The share of each explanation's absolute weight that lies on terms.

    Args:
        sample: The examples.
        method: Name of the method.
        attributions: One of each example, in their order. One without any weight is left out.
    """
    rows, mass, chance = [], [], []
    shares: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for position, attribution in enumerate(attributions):
        words = words_of(sample.texts[position])
        weights = np.abs(attribution.of_words(words))
        total = float(weights.sum())
        if total <= 0:
            continue
        named = sample.named[position]
        term = on_terms(words, named)
        rows.append(position)
        mass.append(min(float(weights[term].sum()) / total, 1.0))
        chance.append(float(term.mean()))
        for key, places in _by_term(named).items():
            shares[key].append(float(weights[on_terms(words, places)].sum()) / total)
    return TermMass(
        method,
        np.array(rows, dtype=np.int64),
        np.array(mass),
        np.array(chance),
        {key: (float(np.mean(found)), len(found)) for key, found in shares.items()},
    )


def _by_term(named: Sequence[NamedGroup]) -> dict[tuple[str, str, str], list[NamedGroup]]:
    found: defaultdict[tuple[str, str, str], list[NamedGroup]] = defaultdict(list)
    for one in named:
        found[one.term.text.lower(), one.term.attribute, one.term.group].append(one)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Some of the examples of one method: all, the errors, or those of a group."""

    values: Floats
    clusters: NDArray[np.int64] | None
    lowest: float = 0.0

    def interval(self, alpha: float) -> Interval:
        return signed_mean(self.values, alpha, self.clusters, lowest=self.lowest)

    def bounds(self, context: Context, comparisons: int) -> Bounds:
        confidence = context.confidence
        return Bounds(
            self.interval(confidence.claim_alpha),
            self.interval(confidence.corrected_alpha(comparisons)),
            METHOD,
            comparisons,
        )

    def estimate(self, label: str) -> Estimate:
        if not len(self.values):
            return Estimate(label, 0, None, None)
        mean = float(self.values.mean())
        return Estimate(label, len(self.values), mean, self.interval(WHISKER_ALPHA))


def mass_measurements(
    context: Context,
    sample: TermSample,
    masses: Sequence[TermMass],
    found: str,
    evidence: tuple[Evidence, ...] = (),
) -> Iterator[Measurement]:
    """Excess over chance, mass, mass on errors and the largest gap between groups, by method.

    Args:
        context: Confidence.
        sample: The examples.
        masses: One of each method.
        found: How many rows have a term, as a sentence.
        evidence: Shown with the first measurement that is defined, after its chart.
    """
    for place, one in enumerate(masses):
        if not len(one.mass):
            note = f"no explanation has any weight. {found}"
            yield Measurement("excess", None, 0, None, one.method, note, counted="examples")
            continue
        note = _note(sample, one, found)
        shown = (_chart(sample, one), _table(one), *(evidence if place == 0 else ()))
        everywhere = np.ones(len(one.mass), dtype=bool)
        excess = _Part(one.mass - one.chance, _clusters(sample, one, everywhere), -1.0)
        yield _mean(context, sample, ("excess", one, len(masses)), excess, note, shown)
        whole = _part(sample, one, everywhere)
        yield _mean(context, sample, ("mass", one, len(masses)), whole, note)
        if sample.right is not None:
            yield _on_errors(context, sample, one, len(masses))
        for attribute in sample.groups.values():
            yield from _gap(context, sample, one, attribute, len(masses) * len(sample.groups))


def _note(sample: TermSample, one: TermMass, found: str) -> str:
    said = (
        f"Terms hold {one.mass.mean():.1%} of the absolute weight and are "
        f"{one.chance.mean():.1%} of the words. {found}"
    )
    empty = len(sample.texts) - len(one.mass)
    return f"{said} {empty:,} explanations without any weight are left out." if empty else said


def _clusters(sample: TermSample, one: TermMass, which: Mask) -> NDArray[np.int64] | None:
    return None if sample.clusters is None else sample.clusters[one.rows[which]]


def _part(sample: TermSample, one: TermMass, which: Mask) -> _Part:
    return _Part(one.mass[which], _clusters(sample, one, which))


def _withheld(sample: TermSample, n: int) -> str:
    return f"fewer than {sample.minimum} examples" if n < sample.minimum else ""


def _mean(
    context: Context,
    sample: TermSample,
    named: tuple[str, TermMass, int],
    part: _Part,
    note: str,
    evidence: tuple[Evidence, ...] = (),
) -> Measurement:
    name, one, methods = named
    n = len(part.values)
    ids = [sample.ids[row] for row in one.rows.tolist()]
    return Measurement(
        name=name,
        value=float(part.values.mean()),
        n=n,
        bounds=part.bounds(context, methods),
        slice=one.method,
        note=note,
        least_n=sample.minimum if n < sample.minimum else None,
        evidence=evidence,
        units=dict(zip(ids, part.values.tolist(), strict=True)),
        counted="examples",
        withheld=_withheld(sample, n),
    )


def _on_errors(context: Context, sample: TermSample, one: TermMass, methods: int) -> Measurement:
    assert sample.right is not None
    wrong = ~sample.right[one.rows]
    if not wrong.any():
        note = "the model is right on every example"
        return Measurement("mass_on_errors", None, 0, None, one.method, note, counted="errors")
    part, n = _part(sample, one, wrong), int(wrong.sum())
    note = "Where the model is right there is no example."
    if not wrong.all():
        note = f"Where the model is right it is {one.mass[~wrong].mean():.1%}."
    return Measurement(
        name="mass_on_errors",
        value=float(part.values.mean()),
        n=n,
        bounds=part.bounds(context, methods),
        slice=one.method,
        note=note,
        counted="errors",
        withheld=_withheld(sample, n),
    )


def _gap(
    context: Context, sample: TermSample, one: TermMass, attribute: Attribute, comparisons: int
) -> Iterator[Measurement]:
    """The largest difference of the mass between two groups with enough examples."""
    codes = attribute.codes[one.rows]
    levels = [k for k in range(len(attribute.levels)) if (codes == k).sum() >= sample.minimum]
    where = f"{one.method}, {attribute.name}"
    if len(levels) < 2:
        note = f"fewer than two groups have {sample.minimum} examples"
        yield Measurement("gap", None, 0, None, where, note, counted="examples")
        return
    parts = {level: _part(sample, one, codes == level) for level in levels}
    pairs = [*itertools.combinations(levels, 2)]
    comparisons *= 2 * len(pairs)
    alphas = context.confidence.claim_alpha, context.confidence.corrected_alpha(comparisons)
    compared = []
    for first, second in pairs:
        a, b = (float(parts[level].values.mean()) for level in (first, second))
        ends = [
            independent_difference(
                a, parts[first].interval(alpha), b, parts[second].interval(alpha)
            )
            for alpha in alphas
        ]
        compared.append(Comparison(a - b, *ends))
    largest = combine_max(compared)
    assert largest.widest is not None
    names = sorted(pairs[largest.widest], key=lambda level: -parts[level].values.mean())
    high, low = (f"{attribute.levels[k]} ({parts[k].values.mean():.1%})" for k in names)
    left = len(attribute.levels) - len(levels)
    rest = f" {left:,} groups have fewer than {sample.minimum} examples." if left else ""
    yield Measurement(
        name="gap",
        value=largest.value,
        n=sum(len(part.values) for part in parts.values()),
        bounds=Bounds(largest.claim, largest.corrected, METHOD, comparisons),
        slice=where,
        note=f"Highest for {high}, lowest for {low}.{rest}",
        counted="examples",
    )


def _chart(sample: TermSample, one: TermMass) -> Estimates:
    everywhere = np.ones(len(one.mass), dtype=bool)
    rows = [_part(sample, one, everywhere).estimate("all examples")]
    if sample.right is not None:
        right = sample.right[one.rows]
        rows.append(_part(sample, one, ~right).estimate("errors"))
        rows.append(_part(sample, one, right).estimate("right answers"))
    for attribute in sample.groups.values():
        codes = attribute.codes[one.rows]
        for level, name in enumerate(attribute.levels):
            rows.append(_part(sample, one, codes == level).estimate(f"{attribute.name}: {name}"))
    return Estimates(
        f"Share of the weight on terms, by {one.method}",
        tuple(rows),
        WHISKER_LEVEL,
        METHOD,
        float(one.chance.mean()),
        "share of the words",
        "examples",
    )


def _table(one: TermMass) -> Table:
    """The terms with the largest share in the texts they stand in."""
    order = sorted(one.by_term.items(), key=lambda item: (-item[1][0] * item[1][1], item[0]))
    rows: list[tuple[Cell, ...]] = [
        (term, attribute, group, n, share) for (term, attribute, group), (share, n) in order[:TERMS]
    ]
    columns = ("term", "attribute", "group", "examples", "share of the weight there")
    return Table(f"Terms with the most weight, by {one.method}", columns, tuple(rows))
