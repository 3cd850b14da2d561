"""How well a score tells two kinds of rows apart where one of them is to be kept.

The score is larger the further out a row is: rows inside should score low and be kept, rows outside
high and be turned away.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditkit.finding import Interval
from auditkit.stats.auc import AucEstimate
from auditkit.stats.intervals import Floats, clopper_pearson
from auditkit.stats.quantiles import order_statistic_ranks

KEPT = 0.95
"""Share of the rows inside that is kept: the true positive rate of "FPR at 95 % TPR"."""


def kept_outside(inside: ArrayLike, outside: ArrayLike, kept: float = KEPT) -> float | None:
    """Share of `outside` (m,) kept by the lowest threshold that keeps `kept` of `inside` (n,).

    The false positive rate at a true positive rate, with the rows inside as positives. None when
    either is empty.
    """
    low, high = np.sort(np.asarray(inside, np.float64)), np.asarray(outside, np.float64)
    if not low.size or not high.size:
        return None
    # Rounding must not ask for one row more than the share does.
    rank = max(math.ceil(kept * low.size - 1e-9), 1)
    return float((high <= low[rank - 1]).mean())


def kept_outside_interval(
    inside: ArrayLike,
    outside: ArrayLike,
    alpha: float,
    kept: float = KEPT,
    effective: tuple[float, float] | None = None,
) -> Interval:
    """Interval of `kept_outside` that allows for the threshold being estimated, too.

    The true threshold lies between two order statistics of `inside` (Conover 1999, 3.2), but for an
    error of alpha/2; the share of `outside` kept at either is bounded exactly (Clopper & Pearson
    1934) with the other half. Holds at every n and for every distribution. With fewer than 72
    rows inside nothing bounds the 95 % quantile from above at alpha = 5 %, and the upper end is 1.

    Args:
        inside: Scores of the rows to keep, shape (n,).
        outside: Scores of the others, shape (m,).
        alpha: One-sided error of each end.
        kept: Share of `inside` to keep.
        effective: Independent rows that both say as much as; by default n and m.
    """
    low, high = np.sort(np.asarray(inside, np.float64)), np.asarray(outside, np.float64)
    if not low.size or not high.size:
        return Interval(0.0, 1.0)
    n, m = effective or (low.size, high.size)
    ranks = order_statistic_ranks(int(n), kept, alpha / 2)
    stretch = low.size / max(int(n), 1)
    lower, upper = 0.0, 1.0
    if ranks.lower is not None:
        place = max(math.floor(ranks.lower * stretch), 1)
        share = float((high <= low[place - 1]).mean())
        lower = clopper_pearson(share * m, m, alpha / 2).lower or 0.0
    if ranks.upper is not None:
        place = min(math.ceil(ranks.upper * stretch), low.size)
        share = float((high <= low[place - 1]).mean())
        found = clopper_pearson(share * m, m, alpha / 2).upper
        upper = 1.0 if found is None else found
    return Interval(lower, upper)


def average_precision(
    scores: ArrayLike, positive_mask: ArrayLike, negative_mask: ArrayLike
) -> AucEstimate:
    """Average precision (the area under the precision-recall curve), with every row's influence.

    The mean over positives of the precision at their score, ties included, as scikit-learn's
    `average_precision_score`. The influence values are those of the delta method at the observed
    numbers of positives and negatives; `auditkit.stats.auc.auc_interval` makes an interval of them,
    on the logit scale (Boyd, Eng & Page 2013). Its floor for separated classes holds here, too: a
    positive's precision is 0 at least.

    Args:
        scores: Shape (n_rows,); positives should score higher.
        positive_mask: Shape (n_rows,).
        negative_mask: Shape (n_rows,); rows under neither mask take no part.
    """
    values = np.asarray(scores, dtype=np.float64)
    positive = np.asarray(positive_mask, dtype=np.bool_)
    negative = np.asarray(negative_mask, dtype=np.bool_)
    if not np.isfinite(values[positive | negative]).all():
        raise ValueError("scores must be finite")
    influence = np.zeros(values.size)
    above, below = values[positive], values[negative]
    if not above.size or not below.size:
        return AucEstimate(None, influence, positive, negative)
    hits, alarms = _share_at_least(above, above), _share_at_least(above, below)
    weight = above.size * hits + below.size * alarms
    precision = above.size * hits / weight
    value = float(precision.mean())
    by_hits = above.size * below.size * alarms / weight**2
    by_alarms = -above.size * below.size * hits / weight**2
    own = precision - value + _spread(by_hits, hits, above, above)
    influence[positive] = own / above.size
    influence[negative] = _spread(by_alarms, alarms, above, below) / below.size
    return AucEstimate(value, influence, positive, negative)


def _share_at_least(values: Floats, others: Floats) -> Floats:
    """For each of `values` the share of `others` that is as high or higher."""
    ordered = np.sort(others)
    return 1.0 - np.searchsorted(ordered, values, side="left") / others.size


def _spread(slopes: Floats, shares: Floats, at: Floats, rows: Floats) -> NDArray[np.float64]:
    """Mean over the points `at` of slope × (whether a row is as high − the share that is)."""
    order = np.argsort(at)
    total = np.concatenate([[0.0], np.cumsum(slopes[order])])
    reached = total[np.searchsorted(at[order], rows, side="right")]
    spread: NDArray[np.float64] = (reached - float(slopes @ shares)) / at.size
    return spread
