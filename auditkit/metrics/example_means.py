"""The mean of a value of each example, as a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.finding import WHISKER_ALPHA, Bounds, Interval, Measurement
from auditkit.stats.intervals import mean_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Examples of which each has a value, n of them.

    Attributes:
        ids: What each is called in `Measurement.units`.
        clusters: Shape (n,), or None when examples are independent.
        least: Examples below which nothing is decided.
    """

    ids: tuple[str, ...]
    clusters: NDArray[np.int64] | None
    least: int

    def __len__(self) -> int:
        return len(self.ids)

    def only(self, positions: Sequence[int]) -> Sample:
        """The examples at these positions."""
        return Sample(
            tuple(self.ids[position] for position in positions),
            None if self.clusters is None else self.clusters[list(positions)],
            self.least,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ExampleValues:
    """What was measured on each example.

    Attributes:
        name: Name of the measurement.
        slice: As the report names the part it is about.
        values: Shape (n,).
        sample: The examples.
        support: Smallest and largest value possible.
    """

    name: str
    slice: str
    values: Floats
    sample: Sample
    support: tuple[float, float] = (-1.0, 1.0)

    def interval(self, alpha: float = WHISKER_ALPHA) -> Interval:
        """t interval of the mean, each end with this error; that of a chart by default."""
        return mean_interval(self.values, alpha, self.sample.clusters, self.support)

    @property
    def method(self) -> str:
        """Name of the interval, for the reader."""
        return "t" if self.sample.clusters is None else "cluster-robust t"


def mean_measurement(
    context: Context, values: ExampleValues, comparisons: int, none_because: str
) -> Measurement:
    """The mean with its bounds; without bounds, and so without a verdict, of too few examples.

    Args:
        context: The levels.
        values: One of each example.
        comparisons: Slices that the limit judges.
        none_because: The note when there is no example at all.
    """
    n, least = len(values.sample), values.sample.least
    if n == 0:
        return Measurement(
            values.name, None, 0, None, values.slice, none_because, counted="examples"
        )
    confidence = context.confidence
    bounds = None
    if n >= least:
        bounds = Bounds(
            values.interval(confidence.claim_alpha),
            values.interval(confidence.corrected_alpha(comparisons)),
            values.method,
            comparisons,
        )
    return Measurement(
        name=values.name,
        value=float(values.values.mean()),
        n=n,
        bounds=bounds,
        slice=values.slice,
        least_n=least if n < least else None,
        units=dict(zip(values.sample.ids, values.values.tolist(), strict=True)),
        counted="examples",
    )
