"""How much slower one model is than another, asked in turn about the same inputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Confidence
from auditkit.finding import Bounds, Interval, Measurement
from auditkit.metrics.latency import METHOD, PERCENTILES, Series
from auditkit.stats.quantiles import (
    independent_values,
    needed_to_bound,
    quantile,
    quantile_interval,
)


def ratios(
    own: NDArray[np.int64], other: NDArray[np.int64], confidence: Confidence, withheld: str
) -> Iterator[Measurement]:
    """The median ratio over pairs, and the ratio of the two 99 % quantiles.

    Args:
        own: Nanoseconds of the model under audit, shape (n,).
        other: Those of the baseline for the same requests, all above 0.
        confidence: The levels of the bounds.
        withheld: Why no verdict may be read from them.
    """
    if not len(own) or min(own.min(), other.min()) <= 0:
        yield Measurement("ratio", None, len(own), None, note="the requests took no time.")
        return
    pairs = own / other
    yield _measured("ratio", pairs, confidence, withheld)
    yield _of_quantiles(own / 1e6, other / 1e6, confidence, withheld)


def median_ratio(
    pairs: Series, confidence: Confidence, comparisons: int = 1
) -> tuple[float, Bounds]:
    """The median of ratios over pairs, in the order of the requests, shape (n,), n > 0.

    Its bounds are order statistics; ratios that come in bursts count less.
    """
    ordered, worth = np.sort(pairs), independent_values(pairs, 0.5)
    claim, corrected = (
        quantile_interval(ordered, 0.5, alpha, worth)
        for alpha in (confidence.claim_alpha, confidence.corrected_alpha(comparisons))
    )
    return quantile(ordered, 0.5), Bounds(claim, corrected, METHOD, comparisons)


def _measured(name: str, pairs: Series, confidence: Confidence, withheld: str) -> Measurement:
    value, bounds = median_ratio(pairs, confidence)
    return Measurement(
        name,
        value,
        len(pairs),
        bounds,
        note="The median over requests that both models were asked in turn.",
        counted="requests",
        withheld=withheld,
    )


def _of_quantiles(own: Series, other: Series, confidence: Confidence, withheld: str) -> Measurement:
    """Each of the two quantiles is bounded with half of the error."""
    p = PERCENTILES["p99"]
    sides = [(np.sort(one), independent_values(one, p)) for one in (own, other)]

    def bounds(alpha: float) -> Interval:
        (top, bottom) = (quantile_interval(one, p, alpha / 2, worth) for one, worth in sides)
        return Interval(_ratio(top.lower, bottom.upper), _ratio(top.upper, bottom.lower))

    values = [quantile(one, p) for one, _ in sides]
    needed = needed_to_bound(p, confidence.claim_alpha / 2)
    return Measurement(
        "p99_ratio",
        values[0] / values[1],
        len(own),
        Bounds(bounds(confidence.claim_alpha), bounds(confidence.corrected_alpha(1)), METHOD),
        note=f"{values[0]:,.4g} ms over {values[1]:,.4g} ms of the baseline.",
        least_n=needed if len(own) < needed else None,
        counted="requests",
        withheld=withheld,
    )


def _ratio(top: float | None, bottom: float | None) -> float | None:
    return None if top is None or bottom is None else top / bottom
