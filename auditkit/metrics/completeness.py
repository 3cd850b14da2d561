"""Whether weights add up to what they promise to explain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Attribution
from auditkit.check import Context
from auditkit.finding import Bounds, Cell, Evidence, Interval, Measurement, Table
from auditkit.metrics.example_means import ExampleValues, Sample, mean_measurement
from auditkit.stats.intervals import effective_counts, rate
from auditkit.stats.quantiles import quantile

SMALLEST = 0.01
"""The least difference of two scores, as a probability or as log odds, that an error is related to.
Where the text says as good as what an empty one does, the relative error would be rounding alone.
"""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What the weights of m examples add up to, and what they should.

    Attributes:
        method: Name of the method.
        sums: Shape (m,).
        totals: Shape (m,).
        sample: The examples.
        unpromised: Further examples for which the method promises no sum, or explains nothing.
    """

    method: str
    sums: Floats
    totals: Floats
    sample: Sample
    unpromised: int

    @property
    def errors(self) -> Floats:
        """What is missing or too much, as a share of what is to be explained, shape (m,), 0..1.

        Errors of more than the whole count as the whole.
        """
        whole = np.maximum(np.abs(self.totals), SMALLEST)
        return np.asarray(np.minimum(np.abs(self.sums - self.totals) / whole, 1.0))


def sums_of(method: str, said: Sequence[Attribution], sample: Sample) -> Sums:
    """The sums of one method's weights, where it promises any."""
    kept = [place for place, one in enumerate(said) if one.total is not None and one.features]
    return Sums(
        method=method,
        sums=np.array([said[place].weights.sum() for place in kept], dtype=np.float64),
        totals=np.array([said[place].total for place in kept], dtype=np.float64),
        sample=sample.only(kept),
        unpromised=len(said) - len(kept),
    )


def completeness_measurements(
    context: Context, methods: Sequence[Sums], tolerance: float
) -> Iterator[Measurement]:
    """Share of examples whose weights do not add up, and the mean error, of each method.

    Args:
        context: The levels.
        methods: Those that promise a sum.
        tolerance: Largest error that an example may have, as a share of what is to be explained.
    """
    evidence: tuple[Evidence, ...] = (_table(methods, tolerance),)
    for sums in methods:
        yield replace(_incomplete(context, sums, tolerance, len(methods)), evidence=evidence)
        evidence = ()
    for sums in methods:
        values = ExampleValues("error", sums.method, sums.errors, sums.sample, (0.0, 1.0))
        yield mean_measurement(context, values, len(methods), _nothing(sums))


def _incomplete(context: Context, sums: Sums, tolerance: float, comparisons: int) -> Measurement:
    n, least = len(sums.sample), sums.sample.least
    if n == 0:
        return Measurement(
            "incomplete", None, 0, None, sums.method, _nothing(sums), counted="examples"
        )
    over = (sums.errors > tolerance).astype(np.float64)
    confidence = context.confidence

    def interval(alpha: float) -> Interval:
        if sums.sample.clusters is None:
            return rate(float(over.sum()), n, alpha)
        return rate(*effective_counts(over, sums.sample.clusters, alpha), alpha)

    bounds = None
    if n >= least:
        bounds = Bounds(
            interval(confidence.claim_alpha),
            interval(confidence.corrected_alpha(comparisons)),
            "Clopper-Pearson",
            comparisons,
        )
    note = f"{int(over.sum()):,} of {n:,} miss their sum by more than {tolerance:.0%} of it."
    if sums.unpromised:
        note += f" {sums.unpromised:,} more texts are not explained; they do not count."
    return Measurement(
        name="incomplete",
        value=float(over.mean()),
        n=n,
        bounds=bounds,
        slice=sums.method,
        note=note,
        least_n=least if n < least else None,
        units=dict(zip(sums.sample.ids, over.tolist(), strict=True)),
        counted="examples",
    )


def _nothing(sums: Sums) -> str:
    return f"none of the texts is explained ({sums.unpromised:,} were tried)"


def _table(methods: Sequence[Sums], tolerance: float) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for sums in methods:
        if not len(sums.sample):
            continue
        missing = np.abs(sums.sums - sums.totals)
        rows.append(
            (
                sums.method,
                len(sums.sample),
                int((sums.errors > tolerance).sum()),
                float(np.abs(sums.totals).mean()),
                float(missing.mean()),
                float(missing.max()),
                float(sums.errors.mean()),
                quantile(np.sort(sums.errors), 0.95),
                float(sums.errors.max()),
            )
        )
    columns = (
        "method",
        "examples",
        f"off by more than {tolerance:.0%}",
        "mean size of the sum",
        "mean error",
        "largest error",
        "mean relative error",
        "95 % of the relative errors up to",
        "largest relative error",
    )
    return Table("What the weights add up to, beside what they should", columns, tuple(rows))
