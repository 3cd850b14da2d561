"""Quantities of groups compared pair by pair, and the largest comparison as a measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Confidence
from auditkit.data import MISSING, Attribute, AuditData
from auditkit.finding import (
    WHISKER_LEVEL,
    Bounds,
    Estimate,
    Estimates,
    Evidence,
    Interval,
    Measurement,
)
from auditkit.metrics.group_choice import least_rows, missing_rows, nothing_to_compare
from auditkit.stats.gaps import (
    Comparison,
    combine_max,
    dependent_difference,
    independent_difference,
    ordered_pairs,
)

VACUOUS = Interval(-1.0, 1.0)
"""What is known of a difference of two quantities between 0 and 1 without looking."""


class Levels(NamedTuple):
    """One-sided errors of the two kinds of bounds."""

    claim: float
    corrected: float

    @classmethod
    def of(cls, confidence: Confidence, comparisons: int) -> Levels:
        """The levels of so many comparisons."""
        return cls(confidence.claim_alpha, confidence.corrected_alpha(comparisons))

    def bounds(
        self, interval: Callable[[float], Interval], method: str, comparisons: int = 1
    ) -> Bounds:
        """What an interval is at both levels."""
        return Bounds(interval(self.claim), interval(self.corrected), method, comparisons)


@dataclass(frozen=True, slots=True)
class GroupValue:
    """A quantity of one group, with an interval at both levels and one to draw."""

    value: float | None
    n: int
    claim: Interval
    corrected: Interval
    whisker: Interval


class Pair(NamedTuple):
    """Two groups compared in one respect."""

    first: int
    second: int
    of: str
    """What is compared: a class. Empty when there is only one thing."""
    comparison: Comparison


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The groups of one attribute in the audited data.

    Attributes:
        attribute: The groups.
        rows: Row numbers of each group.
        units: Rows of each group, or clusters where rows come in clusters.
        minimum: Units below which nothing is claimed of a group.
    """

    attribute: Attribute
    rows: tuple[NDArray[np.intp], ...]
    units: NDArray[np.int64]
    minimum: int

    @classmethod
    def of(cls, attribute: Attribute, data: AuditData, minimum: int) -> Groups:
        """Find the rows of each group."""
        rows = tuple(np.flatnonzero(attribute.codes == g) for g in range(len(attribute.levels)))
        units = np.array([units_of(data, one) for one in rows], dtype=np.int64)
        return cls(attribute, rows, units, minimum)

    @property
    def small(self) -> frozenset[int]:
        """Groups below the minimum, empty ones among them."""
        return frozenset(np.flatnonzero(self.units < self.minimum).tolist())

    def pairs(self) -> list[tuple[int, int]]:
        """Every two groups, once."""
        return list(combinations(range(len(self.rows)), 2))

    def missing(self) -> list[str]:
        """A sentence about rows of no known group, or nothing."""
        return missing_rows(self.attribute)

    def said(self) -> list[str]:
        """Sentences about what is missing, for a note."""
        named = sorted(self.small, key=lambda g: int(self.units[g]))
        shown = ", ".join(f"{self.attribute.levels[g]} ({self.units[g]})" for g in named[:5])
        more = f" and {len(named) - 5} more" if len(named) > 5 else ""
        few = [f"Too few rows for a pass: {shown}{more}."] if named else []
        return few + self.missing()


def units_of(data: AuditData, rows: NDArray[np.intp]) -> int:
    """Independent units among some rows: clusters, or the rows where there are none."""
    return len(rows) if data.clusters is None else len(np.unique(data.clusters[rows]))


def members(data: AuditData, rows: NDArray[np.intp]) -> NDArray[np.int64] | None:
    """Cluster of each of some rows; None where rows are independent."""
    return None if data.clusters is None else data.clusters[rows]


def count_comparisons(attributes: Iterable[Attribute], each: int) -> int:
    """Signed comparisons of every two groups, in so many respects each."""
    return max(sum(ordered_pairs(len(a.levels)) for a in attributes) * each, 1)


def gaps(
    groups: Groups,
    values: Sequence[GroupValue],
    of: str,
    *,
    dependent: bool,
    most: float = 1.0,
) -> list[Pair]:
    """The difference between every two groups; nothing is claimed of a small one.

    Args:
        groups: The groups.
        values: What is compared, by group.
        of: The class it is of.
        dependent: Whether clusters may tie two groups together. The values' intervals must then be
            for half the error.
        most: Largest difference possible.
    """
    found, small, vacuous = [], groups.small, Interval(-most, most)
    for a, b in groups.pairs():
        comparison = _difference(values[a], values[b], dependent, vacuous)
        if {a, b} & small:
            comparison = comparison._replace(claim=vacuous)
        found.append(Pair(a, b, of, comparison))
    return found


def _difference(
    first: GroupValue, second: GroupValue, dependent: bool, within: Interval
) -> Comparison:
    if first.value is None or second.value is None:
        return Comparison(None, within, within)
    if dependent:
        claim = dependent_difference(first.claim, second.claim)
        corrected = dependent_difference(first.corrected, second.corrected)
    else:
        claim, corrected = (
            independent_difference(first.value, one, second.value, other)
            for one, other in (
                (first.claim, second.claim),
                (first.corrected, second.corrected),
            )
        )
    return Comparison(
        first.value - second.value, _clipped(claim, within), _clipped(corrected, within)
    )


def _clipped(interval: Interval, within: Interval) -> Interval:
    ends = (interval.lower, interval.upper, within.lower, within.upper)
    if None in ends:
        return within
    lower, upper, least, most = (float(end) for end in ends if end is not None)
    return Interval(max(lower, least), min(upper, most))


@dataclass(frozen=True, slots=True)
class Said:
    """How a measurement is named and explained."""

    name: str
    method: str
    comparisons: int
    notes: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    both_ways: bool = True
    """Whether a comparison also stands for its mirror image: False for distances."""


def largest(groups: Groups, pairs: Sequence[Pair], said: Said) -> Measurement:
    """The largest comparison between two groups; see `combine_max`."""
    found = combine_max([pair.comparison for pair in pairs], both_ways=said.both_ways)
    attribute = groups.attribute
    n = int((attribute.codes != MISSING).sum())
    notes = list(said.notes)
    if found.widest is None or len(attribute.levels) < 2:
        otherwise = " ".join(notes) or "no two groups have the rows it takes"
        note = nothing_to_compare(attribute, otherwise)
        return Measurement(
            said.name, None, n, None, attribute.name, note, evidence=said.evidence
        )  # fmt: skip
    widest = pairs[found.widest]
    between = f"{attribute.levels[widest.first]} and {attribute.levels[widest.second]}"
    notes.insert(0, f"Widest between {between}{f', class {widest.of}' if widest.of else ''}.")
    return Measurement(
        name=said.name,
        value=found.value,
        n=n,
        bounds=Bounds(found.claim, found.corrected, said.method, said.comparisons),
        slice=attribute.name,
        note=" ".join(notes),
        least_n=least_rows(groups.units, groups.minimum),
        evidence=said.evidence,
    )


def chart(
    title: str, groups: Groups, values: Sequence[GroupValue], method: str, overall: float | None
) -> Estimates:
    """The value of every group with its interval."""
    rows = [
        Estimate(level, one.n, one.value, None if one.value is None else one.whisker)
        for level, one in zip(groups.attribute.levels, values, strict=True)
    ]
    return Estimates(title, tuple(rows), WHISKER_LEVEL, method, overall, "all rows")
