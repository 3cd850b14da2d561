"""Geometry of charts: from values to positions in per cent of the plot. Pure.

Positions are percentages, so that a chart fills any width while its text and strokes keep their
size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from auditkit.judge import number

_LARGEST = 8e307


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled position on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear scale from values to 0..100."""

    lowest: float
    highest: float

    def at(self, value: float) -> float:
        """Position of a value in per cent, held to the plot, rounded to hundredths."""
        # Halved first: the difference of two large numbers may not be one.
        width = self.highest / 2 - self.lowest / 2
        share = (value / 2 - self.lowest / 2) / width if width > 0 else 0.5
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def ticks(self, about: int = 5) -> tuple[Tick, ...]:
        """About that many round values inside the scale, each with a label of its own."""
        values = _round_values(self.lowest, self.highest, about)
        labels = [number(value) for value in values]
        if len(set(labels)) < len(labels):
            labels = [f"{value:.12g}" for value in values]
        return tuple(
            Tick(self.at(value), label) for value, label in zip(values, labels, strict=True)
        )


def scale_around(values: Iterable[float | None], margin: float = 0.12) -> Scale:
    """A scale that holds all values with a margin.

    Values of 0 and above keep a scale from 0 up, and shares a scale up to 1.
    """
    known = [min(max(v, -_LARGEST), _LARGEST) for v in values if v is not None and math.isfinite(v)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    width = high - low
    # A point, or values too close for floats to tell apart, get room by their own size.
    width = (
        width if width > 1e-9 * max(abs(low), abs(high)) else max(abs(high), abs(low)) * 0.2 or 1.0
    )
    padded_low, padded_high = low - margin * width, high + margin * width
    if low >= 0:
        padded_low = max(padded_low, 0.0)
        # A scale that starts almost at 0 starts at 0.
        padded_low = 0.0 if low < 0.5 * high else padded_low
    if low >= 0 and high <= 1:
        padded_high = min(padded_high, 1.0)
    if padded_low >= padded_high:
        padded_low, padded_high = low - width, high + width
    return Scale(padded_low, padded_high)


def _round_values(lowest: float, highest: float, about: int) -> tuple[float, ...]:
    step = _round_step((highest / about) - (lowest / about))
    if step <= 0 or not math.isfinite(step):
        return (lowest, highest)
    first = math.ceil(lowest / step - 1e-9)
    last = math.floor(highest / step + 1e-9)
    if last - first > 50:
        return (lowest, highest)
    # Multiples of the step, never sums of it; adding 0.0 turns -0.0 into 0.0.
    return tuple(float(f"{k * step:.12g}") + 0.0 for k in range(first, last + 1))


def _round_step(raw: float) -> float:
    """The smallest of 1, 2, 2.5, 5 × a power of ten that is not below `raw`."""
    if raw <= 0 or not math.isfinite(raw):
        return 0.0
    power = math.floor(math.log10(raw))
    for factor in (1.0, 2.0, 2.5, 5.0, 10.0):
        step = float(f"{factor}e{power}")
        if step >= raw * (1 - 1e-9):
            return step
    return raw
