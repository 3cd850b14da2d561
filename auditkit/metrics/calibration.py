"""Calibration of the most probable class: does 80 % sure mean right 80 times in 100?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.finding import Interval
from auditkit.stats.bounded import empirical_bernstein
from auditkit.stats.changes import weight_draws
from auditkit.stats.intervals import critical_t, critical_value, mean_interval

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Rows sorted into bins by the probability of their predicted class, or of a given one.

    Attributes:
        bins: Bin of each row, shape (n,).
        excess: Probability of that class minus whether it was right, shape (n,), -1..1.
        sizes: Rows per bin.
        confidence: Mean probability per bin, 0 where the bin is empty.
        accuracy: Share that was right per bin, 0 where the bin is empty.
    """

    bins: NDArray[np.int64]
    excess: Values
    sizes: NDArray[np.int64]
    confidence: Values
    accuracy: Values

    @property
    def ece(self) -> float:
        """Expected calibration error, 0..1 (Naeini 2015; Guo 2017)."""
        gaps = np.abs(self.confidence - self.accuracy)
        return float((self.sizes * gaps).sum() / self.sizes.sum())


def reliability(probabilities: Values, labels: NDArray[np.int64], bins: int) -> Reliability:
    """Sort rows into `bins` bins of equal width by the probability of the most probable class.

    Args:
        probabilities: Shape (n, k), rows summing to 1.
        labels: True classes, shape (n,).
        bins: Number of bins over 0..1.
    """
    return class_reliability(
        probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, bins
    )


def class_reliability(scores: Values, truth: NDArray[np.bool_], bins: int) -> Reliability:
    """Sort rows into `bins` bins of equal width by the score of a class, or of the predicted one.

    Args:
        scores: Probability that the class is the true one, shape (n,).
        truth: Whether it is, shape (n,).
        bins: Number of bins over 0..1.
    """
    right = truth.astype(np.float64)
    # Bins are half-open to the left, as in Guo et al.: a probability of 0.5 is in (0.4, 0.5].
    code = np.clip(np.ceil(scores * bins).astype(np.int64) - 1, 0, bins - 1)
    sizes = np.bincount(code, minlength=bins).astype(np.int64)
    filled = np.maximum(sizes, 1)
    return Reliability(
        bins=code,
        excess=scores - right,
        sizes=sizes,
        confidence=np.bincount(code, weights=scores, minlength=bins) / filled,
        accuracy=np.bincount(code, weights=right, minlength=bins) / filled,
    )


def ece_bounds(
    table: Reliability,
    alpha: float,
    rng: np.random.Generator,
    clusters: NDArray[np.int64] | None = None,
) -> Interval:
    """One-sided bounds of the expected calibration error, valid although it cannot be negative.

    The error is a mean of excesses whose signs are the true over- or under-confidence of their
    bins. With signs learnt on one half of the rows and applied to the other, the mean can only fall
    short of the error, so its lower bound is a lower bound of the error. With the signs of the rows
    themselves it can only overshoot, so its upper bound is an upper bound. A bootstrap of the error
    itself has neither property: near perfect calibration it is biased upwards.

    Args:
        table: Rows in bins.
        alpha: One-sided error of each end.
        rng: Draws the halves.
        clusters: Cluster of each row; a cluster is never split between the halves.
    """
    own, crossed = own_errors(table), crossed_errors(table, rng, clusters)
    # The halves share their signs, so the crossed rows are not quite independent. Bernstein's
    # bound absorbs that; a t interval of clusters gets half the error.
    strict = alpha if clusters is None else alpha / 2
    upper = bounded_mean(own, (-1.0, 1.0), alpha, clusters).upper
    lower = bounded_mean(crossed, (-1.0, 1.0), strict, clusters).lower
    assert upper is not None
    assert lower is not None
    return Interval(min(max(lower, 0.0), 1.0), min(max(upper, 0.0), 1.0))


def own_errors(table: Reliability) -> Values:
    """Excess of each row (n,) with the sign of its bin: their mean is the calibration error."""
    whole = np.ones(len(table.bins), dtype=bool)
    return np.asarray(_signs(table, whole)[table.bins] * table.excess)


def crossed_errors(
    table: Reliability, rng: np.random.Generator, clusters: NDArray[np.int64] | None = None
) -> Values:
    """As `own_errors`, with signs learnt on the other half of the rows; of whole clusters."""
    units = np.arange(len(table.bins)) if clusters is None else clusters
    members = np.unique(units)
    half = np.isin(units, rng.permutation(members)[: len(members) // 2])
    return np.where(
        half,
        _signs(table, ~half)[table.bins] * table.excess,
        _signs(table, half)[table.bins] * table.excess,
    )


def ece_change(
    before: Reliability,
    after: Reliability,
    clusters: NDArray[np.int64] | None,
    alpha: float,
    rng: np.random.Generator,
) -> Interval:
    """Interval of the second calibration error less the first, of the same rows.

    From the spread over a Bayesian bootstrap of the rows, or clusters.

    Args:
        before: The rows in bins by one set of probabilities.
        after: The same rows by another; as many bins.
        clusters: Cluster of each row.
        alpha: One-sided error of each end.
        rng: Random numbers.
    """
    number, units = np.arange(len(before.bins)), len(before.bins)
    if clusters is not None:
        members, place = np.unique(clusters, return_inverse=True)
        number, units = place.astype(np.int64), len(members)
    rows = np.bincount(number, minlength=units)

    def error(weights: Values, table: Reliability) -> Values:
        cells = np.zeros((units, len(table.sizes)))
        np.add.at(cells, (number, table.bins), table.excess)
        return np.asarray(np.abs(weights @ cells).sum(axis=1) / (weights @ rows))

    drawn = [error(w, after) - error(w, before) for w in weight_draws(units, rng)]
    change = after.ece - before.ece
    reach = critical_value(alpha) if clusters is None else critical_t(alpha, max(units - 1, 1))
    half = float(np.concatenate(drawn).std()) * reach
    return Interval(max(change - half, -1.0), min(change + half, 1.0))


def _signs(table: Reliability, rows: NDArray[np.bool_]) -> Values:
    """+1 for bins over-confident on these rows, -1 for under-confident ones."""
    total = np.bincount(table.bins[rows], weights=table.excess[rows], minlength=len(table.sizes))
    return np.where(total >= 0, 1.0, -1.0)


def bounded_mean(
    values: Values,
    support: tuple[float, float],
    alpha: float,
    clusters: NDArray[np.int64] | None = None,
) -> Interval:
    """Bounds of a mean of values within `support`: guaranteed for independent rows, else robust."""
    if clusters is None:
        return empirical_bernstein(values, *support, alpha)
    return mean_interval(values, alpha, clusters, support=support)


def brier_scores(probabilities: Values, labels: NDArray[np.int64]) -> Values:
    """Brier score of each row, 0..2: squared distance to the true class (Brier 1950).

    For two classes this is twice the score of the positive class alone.
    """
    truth = np.zeros_like(probabilities)
    truth[np.arange(len(labels)), labels] = 1.0
    return np.asarray(((probabilities - truth) ** 2).sum(axis=1))
