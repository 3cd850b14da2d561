"""Thresholds per group that cost the least accuracy while the groups' rates stay close.

The deterministic part of Hardt, Price & Srebro 2016, Equality of opportunity in supervised
learning: thresholds are chosen among all that differ, and none is randomised. The search is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.group_thresholds import NEVER
from auditkit.metrics.group_training import ThresholdConstraint

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """What each threshold of one group comes to, from none chosen to all chosen.

    Attributes:
        thresholds: Shape (m,), falling.
        right: Rows answered rightly with each, shape (m,).
        rates: The constrained rates with each, shape (r, m), each rising.
    """

    thresholds: Floats
    right: Ints
    rates: Floats


@dataclass(frozen=True, slots=True)
class Chosen:
    """Thresholds in the order of the curves, and what they come to on the same rows."""

    thresholds: tuple[float, ...]
    right: int
    gap: float


def curve(
    scores: Floats,
    truth: NDArray[np.bool_],
    otherwise: NDArray[np.bool_],
    constraint: ThresholdConstraint,
) -> Curve | None:
    """The curve of one group; None when a constrained rate has no row in it.

    Args:
        scores: Probability of the positive class, shape (n,).
        truth: Whether each row truly is positive.
        otherwise: Whether each row is answered rightly when it is not chosen.
        constraint: Which rates the groups are to share.
    """
    positives, n = int(truth.sum()), len(scores)
    sizes = {"demographic-parity": (n,), "true-positive-rate": (positives,),
             "false-positive-rate": (n - positives,),
             "equalized-odds": (positives, n - positives)}[constraint]  # fmt: skip
    if min(sizes) == 0:
        return None
    distinct, place = np.unique(-scores, return_inverse=True)
    levels = -distinct
    true_chosen = _counted(place, truth, len(levels))
    chosen = _counted(place, np.ones(n, dtype=bool), len(levels))
    kept_right = int(otherwise.sum()) - _counted(place, otherwise, len(levels))
    false_chosen = chosen - true_chosen
    counts = {"demographic-parity": (chosen,), "true-positive-rate": (true_chosen,),
              "false-positive-rate": (false_chosen,),
              "equalized-odds": (true_chosen, false_chosen)}[constraint]  # fmt: skip
    between = (levels[:-1] + levels[1:]) / 2
    # Halfway between neighbouring floats may be the lower one.
    between = np.where(between > levels[1:], between, levels[:-1])
    return Curve(
        thresholds=np.concatenate([[NEVER], between, [0.0]]),
        right=true_chosen + kept_right,
        rates=np.stack([count / size for count, size in zip(counts, sizes, strict=True)]),
    )


def choose(curves: Sequence[Curve], slack: float) -> Chosen:
    """The thresholds with the most right answers, no rate differing by more than the slack.

    Args:
        curves: One for each group, at least one, all of the same rates.
        slack: Largest difference of a rate between two groups.

    Within the groups' rates [a, a + slack] the best threshold of each group can be looked up; some
    group's rate is the smallest, so trying each group's rates as a is enough. Of two rates both
    windows are tried, first those that could bring most.
    """
    tables = [_Highest(one.right) for one in curves]
    windows = [_windows(curves, which, slack) for which in range(len(curves[0].rates))]
    first = windows[0]
    reachable = _most(tables, first.start, first.stop)
    best, picked = -1.0, np.zeros(len(curves), dtype=np.int64)
    for at in np.argsort(-reachable, kind="stable"):
        if reachable[at] <= best:
            break
        start = np.broadcast_to(first.start[:, at, None], (len(curves), 1))
        stop = np.broadcast_to(first.stop[:, at, None], (len(curves), 1))
        for more in windows[1:]:
            start = np.maximum(start, more.start)
            stop = np.minimum(stop, more.stop)
        totals = _most(tables, start, stop)
        top = int(np.argmax(totals))
        if totals[top] > best:
            best = float(totals[top])
            picked = np.array([table.at(start[g, top : top + 1], stop[g, top : top + 1])[0]
                               for g, table in enumerate(tables)])  # fmt: skip
    rates = np.stack([one.rates[:, p] for one, p in zip(curves, picked, strict=True)])
    return Chosen(
        tuple(float(one.thresholds[p]) for one, p in zip(curves, picked, strict=True)),
        int(best),
        float((rates.max(axis=0) - rates.min(axis=0)).max()),
    )


def _most(tables: Sequence[_Highest], start: Ints, stop: Ints) -> Floats:
    """Most right answers of all groups with each window, shape (windows,)."""
    found: Floats = np.sum(
        [one.value(a, b) for one, a, b in zip(tables, start, stop, strict=True)], axis=0
    )
    return found


def _counted(place: Ints, rows: NDArray[np.bool_], levels: int) -> Ints:
    """How many of the rows are chosen by each threshold, shape (levels + 1,)."""
    counts = np.bincount(place[rows], minlength=levels)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Windows:
    """For each group and lowest rate, the thresholds whose rate is within: [start, stop)."""

    start: Ints
    stop: Ints


def _windows(curves: Sequence[Curve], which: int, slack: float) -> _Windows:
    lowest = np.unique(np.concatenate([one.rates[which] for one in curves]))
    return _Windows(
        np.stack([np.searchsorted(c.rates[which], lowest - _ROUNDING, "left") for c in curves]),
        np.stack(
            [np.searchsorted(c.rates[which], lowest + slack + _ROUNDING, "right") for c in curves]
        ),
    )


class _Highest:
    """The highest of any stretch of numbers, looked up in a table of stretches of 2^k."""

    def __init__(self, values: Ints) -> None:
        self._values = values
        rows = [np.arange(len(values))]
        while (half := 1 << (len(rows) - 1)) * 2 <= len(values):
            left, right = rows[-1][:-half], rows[-1][half:]
            rows.append(np.where(values[left] >= values[right], left, right))
        self._table = np.zeros((len(rows), len(values)), dtype=np.int64)
        for level, row in enumerate(rows):
            self._table[level, : len(row)] = row

    def at(self, start: Ints, stop: Ints) -> Ints:
        """Position of the highest in each [start, stop); anything where that is empty."""
        length = np.maximum(stop - start, 1)
        level = np.frexp(length.astype(np.float64))[1] - 1
        start = np.minimum(start, len(self._values) - 1)
        last = np.maximum(np.minimum(stop, len(self._values)) - (1 << level), 0)
        left, right = self._table[level, start], self._table[level, last]
        found: Ints = np.where(self._values[left] >= self._values[right], left, right)
        return found

    def value(self, start: Ints, stop: Ints) -> Floats:
        """The highest of each stretch; minus infinity where it is empty."""
        values = self._values[self.at(start, stop)].astype(np.float64)
        return np.where(stop > start, values, -np.inf)
