"""What new processes say: seconds to the first answer, and memory."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from auditkit.check import Confidence
from auditkit.finding import Bounds, Cell, Measurement, Table
from auditkit.latency.bench import FreshStart
from auditkit.metrics.latency import METHOD
from auditkit.stats.quantiles import needed_to_bound, quantile, quantile_interval

MEGABYTE = 1e6
MOST_STARTS = 50


def starts_needed(confidence: Confidence) -> int:
    """Fewest starts that bound their median at both levels a verdict is read from."""
    return max(
        needed_to_bound(0.5, alpha)
        for alpha in (confidence.claim_alpha, confidence.corrected_alpha(1))
    )


def median_of_starts(
    name: str, values: Sequence[float], confidence: Confidence, note: str, withheld: str
) -> Measurement:
    """The median over starts, with bounds by order statistics."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    needed = starts_needed(confidence)
    return Measurement(
        name,
        quantile(ordered, 0.5),
        len(ordered),
        Bounds(
            quantile_interval(ordered, 0.5, confidence.claim_alpha),
            quantile_interval(ordered, 0.5, confidence.corrected_alpha(1)),
            METHOD,
        ),
        note=note,
        least_n=needed if len(ordered) < needed else None,
        counted="starts",
        withheld=withheld,
    )


def time_table(starts: Sequence[FreshStart]) -> Table:
    """Seconds of each part of a start: the fastest, the median, the slowest."""
    parts = {
        "to the first answer": [one.ready for one in starts],
        "Python and imports": [one.imported for one in starts],
        "loading the model": [one.loaded for one in starts],
        "the first request": [one.first for one in starts],
        "the same request again": [one.second for one in starts],
    }
    return _table("Seconds of a start", parts, 1.0)


def memory_table(starts: Sequence[FreshStart]) -> Table:
    """Megabytes at each stage of a start: the least, the median, the most."""
    parts = {
        "before the model is loaded": [one.host_start for one in starts],
        "once it is loaded": [one.host_loaded for one in starts],
        "while it answers": [one.host_peak for one in starts],
    }
    on_device = [one.device_peak for one in starts if one.device_peak is not None]
    if on_device:
        parts["on the device"] = on_device
    return _table("Most memory in megabytes", parts, MEGABYTE)


def _table(title: str, parts: dict[str, list[float]] | dict[str, list[int]], unit: float) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, values in parts.items():
        ordered = np.sort(np.asarray(values, dtype=np.float64)) / unit
        middle = ordered[ceil(len(ordered) / 2) - 1]
        rows.append((name, float(ordered[0]), float(middle), float(ordered[-1])))
    return Table(title, ("", "least", "median", "most"), tuple(rows))
