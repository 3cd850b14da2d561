"""BCa bootstrap intervals of statistics that have no interval of their own.

Three ways to resample: `bootstrap_rows` draws row indices, plain, within strata, or whole
clusters, for any statistic of rows; `bootstrap_tables` draws the same rows but only counts them,
for metrics of a contingency table; `bootstrap_counts` draws the table's cells themselves, in a
thousandth of the time, where rows are independent.

Never hand these an absolute gap or a max - min: see `auditkit.stats.gaps`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditkit.finding import Interval
from auditkit.stats.intervals import Floats, critical_value

Indices = NDArray[np.intp]
RowStatistic = Callable[[Indices], Floats]
"""(b, length) row indices in, (b,) values out; NaN where the statistic is undefined. The length
differs from the number of rows for clusters of unequal size and for the jackknife."""
CountStatistic = Callable[[Floats], Floats]
"""(b, cells) counts, not always whole, in; (b,) values out; NaN where undefined."""

FEWEST_RESAMPLES = 2_000
MOST_RESAMPLES = 200_000
_IN_TAIL = 20
"""Replicates wanted beyond each end: their quantile then has a relative error of about 1/5."""
_CHUNK = 1 << 22
"""Indices or counts drawn at once: 32 MiB."""
_JACKKNIFE_GROUPS = 200
_TIED = 0.2
"""Share of replicates equal to the value itself from which on a table is too near a corner: about
the chance that a Poisson count of 3 comes out as 3 again."""


@dataclass(frozen=True, slots=True, eq=False)
class RowDesign:
    """How the rows came to be: `n` of them, drawn within `strata`, in `clusters`."""

    n: int
    strata: ArrayLike | None = None
    """(n,) labels of what was fixed beforehand, e.g. class x group; constant within a cluster."""
    clusters: ArrayLike | None = None
    """(n,) labels of what was drawn as a whole: people, documents."""


@dataclass(frozen=True, slots=True, eq=False)
class Replicates:
    """A bootstrap distribution; ask it for as many intervals as needed."""

    value: float | None
    """The statistic of the sample itself; None when undefined."""
    draws: Floats
    """(B,) sorted, NaN last."""
    acceleration: float
    smoothed: Floats | None = None
    """(B,) sorted draws from the Dirichlet posterior, where the table is too near a corner."""

    def interval(self, alpha: float) -> Interval:
        """BCa interval (Efron 1987; Davison & Hinkley 1997, 5.3.2).

        An undefined replicate counts as beyond either end, so a statistic that is often
        undefined loses the bound. No bounds when the value is undefined, or when the
        replicates do not vary and nothing else is known.
        """
        critical_value(alpha)
        if self.value is None:
            return Interval(None, None)
        defined = self.draws[~np.isnan(self.draws)]
        lower, upper = -math.inf, math.inf
        if defined.size and defined[0] < defined[-1]:
            bias = self._bias(defined, self.value)
            lower = self._end(bias, alpha)
            upper = -_mirrored(self)._end(-bias, alpha)
        elif self.smoothed is not None:
            lower = upper = self.value
        if self.smoothed is not None:
            lower = min(lower, _order_statistic(self.smoothed, alpha))
            upper = max(upper, -_order_statistic(-self.smoothed[::-1], alpha))
        return Interval(*(end if math.isfinite(end) else None for end in (lower, upper)))

    def _bias(self, defined: Floats, value: float) -> float:
        near = 1e-12 * max(1.0, abs(value))
        below = float(np.searchsorted(defined, value - near))
        at_most = float(np.searchsorted(defined, value + near))
        share = (below + at_most) / (2.0 * defined.size)
        edge = 0.5 / defined.size
        return NormalDist().inv_cdf(min(max(share, edge), 1.0 - edge))

    def _end(self, bias: float, alpha: float) -> float:
        shifted = bias - critical_value(alpha)
        scale = 1.0 - self.acceleration * shifted
        level = NormalDist().cdf(bias + shifted / scale) if scale > 0 else 0.0
        return _order_statistic(np.where(np.isnan(self.draws), -np.inf, self.draws), level)


def needed_resamples(alpha: float) -> int:
    """Resamples for an end with error `alpha`: 20 beyond it, at least 2,000, at most 200,000."""
    critical_value(alpha)
    return min(MOST_RESAMPLES, max(FEWEST_RESAMPLES, math.ceil(_IN_TAIL / alpha)))


def bootstrap_rows(
    statistic: RowStatistic, design: RowDesign, alpha: float, rng: np.random.Generator
) -> Replicates:
    """Bootstrap distribution of a statistic of rows.

    `alpha` is the smallest error the intervals will be asked for; it sets the number of
    resamples. Acceleration comes from the jackknife over rows, or clusters, dealt at random
    into 200 groups when there are more. Raises ValueError for no rows, labels of another
    length, or a cluster that spans strata.
    """
    units = _Units(design)
    value = float(statistic(np.arange(design.n)[None, :])[0])
    everything = np.arange(len(units.members))

    def without(parts: list[Indices]) -> Floats:
        left = (units.rows_of(np.delete(everything, part))[None, :] for part in parts)
        return _evaluate(statistic, left)

    resamples = needed_resamples(alpha)
    draws = _evaluate(statistic, units.resampled(resamples, rng))
    return Replicates(
        value=value if math.isfinite(value) else None,
        draws=np.sort(draws),
        acceleration=_row_acceleration(without, units, rng),
    )


def bootstrap_tables(
    codes: ArrayLike,
    cells: int,
    statistic: CountStatistic,
    design: RowDesign,
    alpha: float,
    rng: np.random.Generator,
) -> Replicates:
    """As `bootstrap_rows`, draw for draw, for a statistic of how many rows are in which cell.

    `codes` (n,) is the cell of each row, from 0 to `cells` - 1. A cluster's rows are counted once
    and for all, so that a resample costs one product of weights and counts.
    """
    units, of_row = _Units(design), np.asarray(codes, dtype=np.intp)
    number = np.empty(design.n, dtype=np.intp)
    number[np.concatenate(units.members)] = np.repeat(
        np.arange(len(units.members)), [unit.size for unit in units.members]
    )
    tables = np.bincount(number * cells + of_row, minlength=len(units.members) * cells)
    tables = tables.reshape(-1, cells).astype(np.float64)
    draws = [
        statistic(counted(drawn, len(tables)) @ tables)
        for drawn in units.drawn(needed_resamples(alpha), rng)
    ]
    total = tables.sum(axis=0)

    def without(parts: list[Indices]) -> Floats:
        return statistic(np.stack([total - tables[part].sum(axis=0) for part in parts]))

    value = float(statistic(total[None, :])[0])
    return Replicates(
        value=value if math.isfinite(value) else None,
        draws=np.sort(np.concatenate(draws).astype(np.float64)),
        acceleration=_row_acceleration(without, units, rng),
    )


def counted(codes: Indices, cells: int) -> Floats:
    """How often each of `cells` codes occurs in each row of `codes` (b, length): (b, cells)."""
    offsets = np.arange(len(codes))[:, None] * cells
    counts = np.bincount((codes + offsets).ravel(), minlength=len(codes) * cells)
    return counts.reshape(len(codes), cells).astype(np.float64)


def bootstrap_counts(
    counts: ArrayLike,
    statistic: CountStatistic,
    alpha: float,
    rng: np.random.Generator,
    strata: ArrayLike | None = None,
) -> Replicates:
    """Bootstrap distribution of a metric of a contingency table.

    `counts` (cells,) is the table flattened; `strata` (cells,) labels the cells whose sum was
    fixed beforehand (the rows of a confusion matrix, for each group); without it only the total
    is. Same as resampling rows, drawn as multinomials. The jackknife is exact: leaving out any
    row of a cell gives the same table.

    With almost no errors in the table a bootstrap repeats the table. Where a fifth of the
    replicates equal the value, the interval is widened to the ends of the Dirichlet posterior
    with a prior of two rows per stratum, spread evenly, which for a count of 0 gives about
    Clopper and Pearson's bound. Raises ValueError unless the counts are finite, >= 0 and not all 0.
    """
    cells = np.asarray(counts, dtype=np.float64)
    labels = np.zeros(cells.shape, dtype=np.intp) if strata is None else np.asarray(strata)
    if cells.ndim != 1 or labels.shape != cells.shape:
        raise ValueError("counts and strata must be vectors of one length")
    if not (np.isfinite(cells).all() and (cells >= 0).all() and cells.any()):
        raise ValueError("counts must be finite, at least 0, and not all 0")
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    members = [cell for cell in members if cells[cell].sum() > 0]
    resamples = needed_resamples(alpha)
    sizes = _chunks(resamples, cells.size)
    drawn = [statistic(_multinomials(cells, members, size, rng)) for size in sizes]
    draws = np.sort(np.concatenate(drawn).astype(np.float64))
    value = float(statistic(cells[None, :])[0])
    smoothed = None
    if math.isfinite(value) and np.mean(np.abs(draws - value) < 1e-12) > _TIED:
        posterior = [statistic(_dirichlets(cells, members, size, rng)) for size in sizes]
        smoothed = np.sort(np.concatenate(posterior).astype(np.float64))
    return Replicates(
        value=value if math.isfinite(value) else None,
        draws=draws,
        acceleration=_count_acceleration(statistic, cells, members),
        smoothed=smoothed,
    )


class _Units:
    """The rows dealt into what is drawn as one (a row or a cluster), and those into strata."""

    def __init__(self, design: RowDesign) -> None:
        if design.n < 1:
            raise ValueError("there are no rows to resample")
        self.rows = design.n
        clusters = _labels(design.clusters, design.n, np.arange(design.n))
        strata = _labels(design.strata, design.n, np.zeros(design.n, dtype=np.intp))
        order = np.argsort(clusters, kind="stable")
        starts = np.flatnonzero(np.diff(clusters[order], prepend=-1))
        self.members: list[Indices] = np.split(order, starts[1:])
        self.single = design.clusters is None
        of_unit = strata[order][starts]
        if not np.array_equal(
            np.repeat(of_unit, [unit.size for unit in self.members]), strata[order]
        ):
            raise ValueError("a cluster spans strata")
        self.strata = [np.flatnonzero(of_unit == label) for label in np.unique(of_unit)]

    def drawn(self, times: int, rng: np.random.Generator) -> Iterator[Indices]:
        """(b, units) numbers of the units of `times` resamples in all."""
        for size in _chunks(times, len(self.members)):
            drawn = [unit[rng.integers(unit.size, size=(size, unit.size))] for unit in self.strata]
            yield np.concatenate(drawn, axis=1)

    def resampled(self, times: int, rng: np.random.Generator) -> Iterator[Indices]:
        """(b, length) row indices of `times` resamples in all."""
        for units in self.drawn(times, rng):
            if self.single:
                yield units
            else:
                yield from (self.rows_of(chosen)[None, :] for chosen in units)

    def rows_of(self, units: Indices) -> Indices:
        """Row indices of these units, one after the other."""
        return units if self.single else np.concatenate([self.members[unit] for unit in units])


def _labels(labels: ArrayLike | None, n: int, default: Indices) -> Indices:
    if labels is None:
        return default
    given = np.asarray(labels)
    if given.shape != (n,):
        raise ValueError(f"{given.size} labels for {n} rows")
    return np.unique(given, return_inverse=True)[1].astype(np.intp)


def _chunks(times: int, width: int) -> list[int]:
    size = max(1, _CHUNK // max(width, 1))
    return [min(size, times - start) for start in range(0, times, size)]


def _evaluate(statistic: RowStatistic, samples: Iterable[Indices]) -> Floats:
    return np.concatenate([np.asarray(statistic(rows), dtype=np.float64) for rows in samples])


def _row_acceleration(
    without: Callable[[list[Indices]], Floats], units: _Units, rng: np.random.Generator
) -> float:
    """From the values without each of some parts of the units."""
    total = len(units.members)
    cubes = squares = 0.0
    for stratum in units.strata:
        if stratum.size < 2:
            continue
        groups = min(stratum.size, max(2, round(_JACKKNIFE_GROUPS * stratum.size / total)))
        parts = np.array_split(rng.permutation(stratum), groups)
        cube, square = _influence_moments(without(parts), np.ones(groups))
        cubes, squares = cubes + cube, squares + square
    return cubes / (6.0 * squares**1.5) if squares > 0 else 0.0


def _count_acceleration(statistic: CountStatistic, cells: Floats, members: list[Indices]) -> float:
    cubes = squares = 0.0
    for stratum in members:
        filled = stratum[cells[stratum] >= 1]
        if not filled.size or cells[stratum].sum() < 2:
            continue
        tables = np.repeat(cells[None, :], filled.size, axis=0)
        tables[np.arange(filled.size), filled] -= 1
        values = np.asarray(statistic(tables), dtype=np.float64)
        cube, square = _influence_moments(values, cells[filled])
        cubes, squares = cubes + cube, squares + square
    return cubes / (6.0 * squares**1.5) if squares > 0 else 0.0


def _influence_moments(left: Floats, weights: Floats) -> tuple[float, float]:
    """Sums of the third and second powers of a stratum's influence values, each over its n."""
    usable = np.isfinite(left)
    if not usable.any():
        return 0.0, 0.0
    left, weights = left[usable], weights[usable]
    n = float(weights.sum())
    influence = (n - 1) * (np.average(left, weights=weights) - left) / n
    return float(weights @ influence**3), float(weights @ influence**2)


def _multinomials(
    cells: Floats, members: list[Indices], size: int, rng: np.random.Generator
) -> Floats:
    tables = np.zeros((size, cells.size))
    for stratum in members:
        total = cells[stratum].sum()
        drawn = rng.multinomial(round(total), cells[stratum] / total, size=size)
        tables[:, stratum] = drawn
    return tables


def _dirichlets(
    cells: Floats, members: list[Indices], size: int, rng: np.random.Generator
) -> Floats:
    tables = np.zeros((size, cells.size))
    for stratum in members:
        total = cells[stratum].sum()
        tables[:, stratum] = total * rng.dirichlet(cells[stratum] + 2.0 / stratum.size, size=size)
    return tables


def _mirrored(replicates: Replicates) -> Replicates:
    return Replicates(None, -replicates.draws[::-1], -replicates.acceleration)


def _order_statistic(draws: Floats, level: float) -> float:
    """The draw that a share of about `level` lies below, rounded outwards; NaN counts as -inf."""
    ordered = np.sort(np.where(np.isnan(draws), -np.inf, draws))
    rank = math.floor(level * (ordered.size + 1))
    return float(ordered[min(max(rank, 1), ordered.size) - 1])
