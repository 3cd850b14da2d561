"""Percentile bootstrap intervals of rates per group, as fairlearn's MetricFrame gives them.

For looking at, and for comparing with published tables. No verdict is read from them: see
`auditkit.stats.gaps`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditkit.data import MISSING, Attribute
from auditkit.metrics.rates import MetricName
from auditkit.stats.bootstrap import Indices, counted
from auditkit.stats.intervals import Floats

METRICS: tuple[MetricName, ...] = (
    "selection_rate", "true_positive_rate", "false_positive_rate", "precision", "accuracy",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class GroupIntervals:
    """Rates per group with their bootstrap distribution.

    Attributes:
        levels: Names of the groups.
        metrics: Names of the rates.
        values: Shape (metrics, groups), NaN where no row of the group counts.
        draws: Shape (resamples, metrics, groups), the same of every resample.
    """

    levels: tuple[str, ...]
    metrics: tuple[MetricName, ...]
    values: Floats
    draws: Floats

    def by_group(self, quantiles: Sequence[float] = (0.025, 0.975)) -> Floats:
        """Quantiles of every rate of every group, shape (quantiles, metrics, groups)."""
        return _quantiles(self.draws, quantiles)

    def between_groups(self, quantiles: Sequence[float] = (0.025, 0.975)) -> Floats:
        """Quantiles of the largest less the smallest rate, shape (quantiles, metrics).

        As fairlearn's `difference_ci`, and as little a test as that: the resampled difference is
        never negative and biased upwards, so that groups alike are hardly ever covered.
        """
        return _quantiles(np.nanmax(self.draws, axis=2) - np.nanmin(self.draws, axis=2), quantiles)


def group_intervals(
    truth: ArrayLike,
    chosen: ArrayLike,
    attribute: Attribute,
    *,
    metrics: Sequence[MetricName] = METRICS,
    resamples: int = 2_000,
    seed: int = 0,
) -> GroupIntervals:
    """Rates per group of a binary classifier, with percentile bootstrap intervals (Efron 1979).

    Draws the rows that `fairlearn.metrics.MetricFrame(n_boot=resamples, random_state=seed)` draws
    and gives its intervals, from counts: each row is one integer of group, truth and answer, and a
    resample is the number of times each occurs. Rows are taken to be independent.

    Args:
        truth: Whether each row truly is of the class, shape (n,).
        chosen: Whether it was predicted to be, shape (n,).
        attribute: The groups; `Attribute.cross` gives those of two attributes.
        metrics: Which rates.
        resamples: How many resamples.
        seed: Says which ones.

    Raises:
        ValueError: There is no row, or the shapes differ.
    """
    positive, said = np.asarray(truth, dtype=bool), np.asarray(chosen, dtype=bool)
    n, groups = len(attribute.codes), len(attribute.levels)
    if not n or positive.shape != (n,) or said.shape != (n,):
        raise ValueError(
            f"truth and chosen must have one value for each of {n} rows, at least one, not shapes "
            f"{positive.shape} and {said.shape}"
        )
    # Rows of no known group are drawn, too, and counted in a group of their own.
    member = np.where(attribute.codes == MISSING, groups, attribute.codes)
    codes, cells = member * 4 + positive * 2 + said, (groups + 1) * 4
    tables = np.concatenate(
        [counted(codes[rows][None, :], cells) for rows in _resampled(n, resamples, seed)]
    )
    own = counted(codes[None, :], cells)
    shares = [
        _rates(counts.reshape(-1, groups + 1, 2, 2)[:, :-1], metrics) for counts in (own, tables)
    ]
    return GroupIntervals(attribute.levels, tuple(metrics), shares[0][0], shares[1])


def _resampled(n: int, times: int, seed: int) -> Iterator[Indices]:
    """The rows that fairlearn 0.13 to 0.15 draws: `DataFrame.sample` with a seed each."""
    most = np.iinfo(np.uint32).max
    for one in np.random.default_rng(seed).integers(0, most, times, dtype=np.uint32).tolist():
        yield np.random.RandomState(one).randint(0, n, n)


def _rates(tables: Floats, metrics: Sequence[MetricName]) -> Floats:
    """(b, groups, truth, chosen) counts to (b, metrics, groups) rates."""
    (right_no, false), (missed, hit) = np.moveaxis(tables, (2, 3), (0, 1))
    total = right_no + false + missed + hit
    counts: dict[MetricName, tuple[NDArray[np.float64], NDArray[np.float64]]] = {
        "selection_rate": (false + hit, total),
        "true_positive_rate": (hit, missed + hit),
        "false_positive_rate": (false, right_no + false),
        "precision": (hit, false + hit),
        "accuracy": (right_no + hit, total),
    }
    found = []
    for metric in metrics:
        top, bottom = counts[metric]
        found.append(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0))
    return np.stack(found, axis=1)


def _quantiles(draws: Floats, quantiles: Sequence[float]) -> Floats:
    return np.asarray(np.nanquantile(draws, quantiles, axis=0), dtype=np.float64)
