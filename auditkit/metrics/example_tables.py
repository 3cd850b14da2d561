"""Values of examples, some of which may be undefined: means in charts and tables, differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from auditkit.finding import Estimate
from auditkit.metrics.example_means import ExampleValues, Sample

Values = Sequence[float | None]
"""One value for each example, None where it is undefined."""
SHARE = (0.0, 1.0)
CORRELATION = (-1.0, 1.0)


def defined(
    name: str, part: str, values: Values, sample: Sample, support: tuple[float, float]
) -> ExampleValues:
    """The values of those examples that have one.

    Args:
        name: Name of the measurement.
        part: Slice, as the report names it.
        values: One for each example.
        sample: The examples.
        support: Smallest and largest value possible.
    """
    places = [place for place, value in enumerate(values) if value is not None]
    there = np.array([value for value in values if value is not None], dtype=np.float64)
    return ExampleValues(name, part, there, sample.only(places), support)


def difference(first: Values, second: Values) -> list[float | None]:
    """The first less the second, example by example; None where one is undefined."""
    return [
        None if one is None or other is None else one - other
        for one, other in zip(first, second, strict=True)
    ]


def mean_of(values: Values) -> float | None:
    """The mean of what is defined; None when nothing is."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def drawn_mean(label: str, values: ExampleValues) -> Estimate:
    """The mean as a dot with whiskers."""
    n = len(values.sample)
    if not n:
        return Estimate(label, 0, None, None, note="no example has a value")
    return Estimate(label, n, float(values.values.mean()), values.interval())


def written_mean(values: ExampleValues) -> str:
    """The mean with its 95 % interval as a cell of a table: "0.61 (0.55 to 0.67)"."""
    if not len(values.sample):
        return "undefined"
    interval = values.interval()
    lower, upper = (
        "no bound" if end is None else f"{end:.2f}" for end in (interval.lower, interval.upper)
    )
    return f"{values.values.mean():.2f} ({lower} to {upper})"
