"""Rates by group within the strata of a factor, so that like is compared with like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.data import MISSING, Attribute
from auditkit.errors import AuditkitError
from auditkit.finding import Cell, Table
from auditkit.metrics.rates import Mask, Placed, Rate, counted_rows, place_rows
from auditkit.stats.intervals import Floats, critical_t
from auditkit.stats.stratified import (
    Cells,
    StratifiedExtremes,
    mantel_haenszel_weights,
    shared_rows,
)

MOST_CELLS = 4_000
"""Groups times strata: every two groups are compared in every stratum."""


@dataclass(frozen=True, slots=True, eq=False)
class StratifiedRates:
    """A rate by group and stratum.

    Attributes:
        groups: Names of the groups.
        strata: Names of the strata.
        hits: Rows of the numerator, shape (groups, strata).
        sizes: Rows of the denominator.
        cells: Effective counts of the known rows.
        extremes: Those with the rows of unknown group; None without any.
        left_out: Eligible rows whose stratum is not known.
    """

    groups: tuple[str, ...]
    strata: tuple[str, ...]
    hits: NDArray[np.int64]
    sizes: NDArray[np.int64]
    cells: Cells
    extremes: StratifiedExtremes | None
    left_out: int

    @property
    def weights(self) -> Floats:
        """Of each stratum for each two groups, shape (groups, groups, strata)."""
        return mantel_haenszel_weights(self.sizes)

    @property
    def fewest(self) -> NDArray[np.int64]:
        """Rows of each group that some other group can be compared with, at least."""
        shared = shared_rows(self.cells.n, self.weights)
        np.fill_diagonal(shared, np.inf)
        least = shared.min(axis=1, initial=np.inf)
        return np.where(np.isfinite(least), least, 0).astype(np.int64)

    def unshared(self, first: int, second: int) -> tuple[int, int]:
        """Strata with rows of one of two groups only, and those rows."""
        alone = (self.sizes[first] > 0) != (self.sizes[second] > 0)
        return int(alone.sum()), int(self.sizes[[first, second]][:, alone].sum())


def by_stratum(
    rate: Rate,
    attribute: Attribute,
    factor: Attribute,
    clusters: NDArray[np.int64] | None = None,
    alpha: float | None = None,
    *,
    bounded: bool = False,
) -> StratifiedRates:
    """Count a rate in every group and stratum; arguments as in `rates.by_group`.

    Raises:
        AuditkitError: There are too many groups and strata.
    """
    groups, strata = len(attribute.levels), len(factor.levels)
    if groups * strata > MOST_CELLS:
        raise AuditkitError(
            f"{attribute.name} given {factor.name} has {groups:,} × {strata:,} cells, more than "
            f"the {MOST_CELLS:,} that can be compared.",
            "Put the factor's values into a few bands first.",
        )
    stratum_known = np.flatnonzero(factor.codes != MISSING)
    left_out = int((rate.eligible & (factor.codes == MISSING)).sum())
    rate, attribute = rate.rows(stratum_known), attribute.rows(stratum_known)
    factor = factor.rows(stratum_known)
    clusters = None if clusters is None else clusters[stratum_known]
    placed = place_rows(rate, stratum_cells(attribute, factor), bounded=bounded)
    counting = _Counting(rate.hit, clusters, alpha, (groups, strata))
    extremes = None
    if placed.highest is not None and placed.lowest is not None:
        extremes = StratifiedExtremes(counting.of(placed.highest), counting.of(placed.lowest))
    return StratifiedRates(
        attribute.levels, factor.levels, *_plain(rate.hit, placed, (groups, strata)),
        counting.of(placed.known), extremes, left_out,
    )  # fmt: skip


def strata_table(rate: Rate, table: StratifiedRates, attribute: str, factor: str) -> Table:
    """The rate of every group in every stratum."""
    rows: list[tuple[Cell, ...]] = []
    for s, stratum in enumerate(table.strata):
        for g, group in enumerate(table.groups):
            k, n = int(table.hits[g, s]), int(table.sizes[g, s])
            rows.append((stratum, group, k, n, k / n if n else None))
    return Table(
        title=f"{rate.name[0].upper()}{rate.name[1:]} by {attribute} and {factor}",
        columns=(factor, attribute, "hits", "rows", "rate"),
        rows=tuple(rows),
    )


def stratum_cells(attribute: Attribute, factor: Attribute) -> Attribute:
    """Every combination of group and stratum as one group, those without a row included."""
    groups, strata = len(attribute.levels), len(factor.levels)
    known = (attribute.codes != MISSING) & (factor.codes != MISSING)
    codes = np.where(known, attribute.codes * strata + factor.codes, MISSING).astype(np.int64)
    part_codes = np.stack(np.divmod(np.arange(groups * strata), strata), axis=1)
    names = tuple(f"{g} × {s}" for g in attribute.levels for s in factor.levels)
    return Attribute(
        f"{attribute.name} × {factor.name}", names, codes, (attribute, factor),
        part_codes.astype(np.int64),
    )  # fmt: skip


def _plain(
    hit: Mask, placed: Placed, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    hits = np.array([hit[rows].sum() for rows in placed.known], dtype=np.int64)
    sizes = np.array([len(rows) for rows in placed.known], dtype=np.int64)
    return hits.reshape(shape), sizes.reshape(shape)


@dataclass(frozen=True, slots=True, eq=False)
class _Counting:
    """Effective counts of cells, and how their rates vary together within a group."""

    hit: Mask
    clusters: NDArray[np.int64] | None
    alpha: float | None
    shape: tuple[int, int]

    def of(self, members: Sequence[NDArray[np.int64]]) -> Cells:
        counts = counted_rows(self.hit, members, self.clusters, self.alpha)
        groups, strata = self.shape
        covariance = None
        if self.clusters is not None:
            covariance = np.stack(
                [self._covariance(members[g * strata : (g + 1) * strata]) for g in range(groups)]
            )
        return Cells(counts.k.reshape(self.shape), counts.n.reshape(self.shape), covariance)

    def _covariance(self, cells: Sequence[NDArray[np.int64]]) -> Floats:
        """Of one group's rates between strata, from the sums of its clusters."""
        assert self.clusters is not None
        rows = np.concatenate(cells)
        members, number = np.unique(self.clusters[rows], return_inverse=True)
        count, strata = len(members), len(cells)
        if count < 2:
            return np.zeros((strata, strata))
        sizes = np.array([len(cell) for cell in cells])
        stratum = np.repeat(np.arange(strata), sizes)
        hit = self.hit[rows].astype(np.float64)
        rates = np.bincount(stratum, weights=hit, minlength=strata) / np.maximum(sizes, 1)
        deviation = (hit - rates[stratum]) / sizes[stratum]
        sums = np.bincount(number * strata + stratum, weights=deviation, minlength=count * strata)
        sums = sums.reshape(count, strata)
        allowance = count / (count - 1)
        if self.alpha is not None:
            allowance *= (
                critical_t(self.alpha, count - 1) / critical_t(self.alpha, max(len(rows) - 1, 1))
            ) ** 2
        found: Floats = allowance * sums.T @ sums
        return found
