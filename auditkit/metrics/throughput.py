"""What passes over many inputs say: inputs a second, joules, and the price of a million."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Confidence
from auditkit.finding import Bounds, Interval, Measurement
from auditkit.stats.intervals import mean_interval

METHOD = "t of the passes"
FEWEST_PASSES = 10
"""Passes that are timed at least."""


@dataclass(frozen=True, slots=True, eq=False)
class Passes:
    """Passes over the same inputs, one after the other.

    Attributes:
        inputs: Inputs of a pass.
        seconds: Of each pass, shape (k,).
        joules: Of each pass by the name of the meter, each of shape (k,).
    """

    inputs: int
    seconds: NDArray[np.float64]
    joules: Mapping[str, NDArray[np.float64]]


def throughput(passes: Passes, confidence: Confidence, withheld: str) -> Measurement:
    """Inputs a second: those of all passes over the time of all passes."""
    return Measurement(
        "throughput",
        passes.inputs / float(passes.seconds.mean()),
        len(passes.seconds),
        _bounds(passes.seconds, confidence, lambda mean: passes.inputs / mean, turned=True),
        note=f"{passes.inputs:,} inputs in each pass.",
        counted="passes",
        withheld=withheld,
    )


def price(
    passes: Passes, confidence: Confidence, hourly: float | None, currency: str, withheld: str
) -> Measurement:
    """Price of a million requests on a machine that costs so much an hour and is never idle."""
    if hourly is None:
        why = "the price of an hour of this machine is not given ([timing] hourly_price)."
        return Measurement("price", None, len(passes.seconds), None, note=why)

    def of(mean: float) -> float:
        return mean / passes.inputs * 1e6 / 3600 * hourly

    return Measurement(
        "price",
        of(float(passes.seconds.mean())),
        len(passes.seconds),
        _bounds(passes.seconds, confidence, of),
        note=f"{currency} for a million requests at {hourly:g} an hour, the machine never idle.",
        counted="passes",
        withheld=withheld,
    )


def energy(passes: Passes, confidence: Confidence, withheld: str) -> Iterator[Measurement]:
    """Joules of a thousand requests, by every meter."""
    if not passes.joules:
        why = "no energy meter of this machine can be read (RAPL, NVML)."
        yield Measurement("energy", None, len(passes.seconds), None, note=why)
    for name, used in passes.joules.items():
        yield Measurement(
            "energy",
            _per_thousand(float(used.mean()), passes),
            len(used),
            _bounds(used, confidence, lambda mean: _per_thousand(mean, passes)),
            slice=name,
            note="Joules of a thousand requests, of everything that runs there.",
            counted="passes",
            withheld=withheld,
        )


def _per_thousand(joules: float, passes: Passes) -> float:
    return joules / passes.inputs * 1000


def _bounds(
    values: NDArray[np.float64],
    confidence: Confidence,
    of: Callable[[float], float],
    turned: bool = False,
) -> Bounds:
    """Bounds of a function of the mean of positive values; `turned` when it falls as they rise."""

    def bounded(alpha: float) -> Interval:
        found = mean_interval(values, alpha, support=None)
        # A mean of positive values has no bound at or below 0.
        ends: Sequence[float | None] = [
            None if end is None or end <= 0 else of(end) for end in (found.lower, found.upper)
        ]
        return Interval(*(ends[::-1] if turned else ends))

    return Bounds(bounded(confidence.claim_alpha), bounded(confidence.corrected_alpha(1)), METHOD)
