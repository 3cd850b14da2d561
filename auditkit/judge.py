"""From a measurement and a limit to an outcome. Pure: no data, no model, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from auditkit.finding import Interval, Measurement, Outcome

Direction = Literal["max", "min"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a measurement means under a limit.

    Attributes:
        outcome: PASS when the whole interval is inside the limit, FAIL when it is outside,
            INCONCLUSIVE when it lies across, NOT_APPLICABLE when there is no limit.
        message: The reason in one sentence with the numbers.
        interval: What the outcome was read from; its end on the allowed side is the corrected
            bound a FAIL needs, its other end the uncorrected bound a PASS needs.
        needed_n: About how many rows like these would decide; None when decided or unknowable.
    """

    outcome: Outcome
    message: str
    interval: Interval | None = None
    needed_n: int | None = None


def judge(measurement: Measurement, limit: float | None, direction: Direction) -> Verdict:
    """Judge one measurement.

    Args:
        measurement: The number with its bounds.
        limit: The largest ("max") or smallest ("min") value allowed; None only reports.
        direction: Which of the two the limit is.
    """
    interval = _decision_interval(measurement, direction)
    if limit is None:
        return Verdict(
            Outcome.NOT_APPLICABLE,
            f"{_shown(measurement, interval)}: reported, no limit is set",
            interval,
        )
    if measurement.value is None:
        return Verdict(Outcome.INCONCLUSIVE, f"undefined: {measurement.note}")
    if interval is None:
        return Verdict(
            Outcome.INCONCLUSIVE,
            f"{_shown(measurement, None)} has no interval, so it decides nothing",
        )
    if measurement.withheld:
        return Verdict(
            Outcome.INCONCLUSIVE,
            f"{_shown(measurement, interval)}: no verdict, {measurement.withheld}",
            interval,
        )
    outcome = _outcome(interval, limit, direction)
    relation = {
        Outcome.PASS: "is within",
        Outcome.FAIL: "is beyond",
        Outcome.INCONCLUSIVE: "cannot be told from",
    }[outcome]
    side = "at most" if direction == "max" else "at least"
    message = f"{_shown(measurement, interval)} {relation} the limit ({side} {number(limit)})"
    needed = None
    if outcome is Outcome.INCONCLUSIVE:
        needed = _needed_n(measurement, limit, interval, direction)
        if needed:
            message += f"; about {needed:,} {measurement.counted} like these would decide"
        elif _settled(measurement, limit, direction) is None:
            message += "; more rows would not decide while so many are of unknown group"
    return Verdict(outcome, message, interval, needed)


def number(value: float) -> str:
    """A number for a sentence or a table: four significant digits, no exponent in common ranges."""
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def _decision_interval(measurement: Measurement, direction: Direction) -> Interval | None:
    bounds = measurement.bounds
    if bounds is None:
        return None
    if direction == "max":
        return Interval(bounds.corrected.lower, bounds.claim.upper)
    return Interval(bounds.claim.lower, bounds.corrected.upper)


def _outcome(interval: Interval, limit: float, direction: Direction) -> Outcome:
    lower, upper = interval.lower, interval.upper
    if direction == "max":
        inside = upper is not None and upper <= limit
        outside = lower is not None and lower > limit
    else:
        inside = lower is not None and lower >= limit
        outside = upper is not None and upper < limit
    if inside:
        return Outcome.PASS
    return Outcome.FAIL if outside else Outcome.INCONCLUSIVE


def _needed_n(
    measurement: Measurement, limit: float, interval: Interval, direction: Direction
) -> int | None:
    """The bound that would have decided, drawn in by more rows until it reaches the limit."""
    from auditkit.stats.power import needed_n_from_interval

    value = _settled(measurement, limit, direction)
    if value is None:
        return None
    within = value <= limit if direction == "max" else value >= limit
    bound = interval.upper if within == (direction == "max") else interval.lower
    if bound is None:
        return measurement.least_n
    needed = needed_n_from_interval(measurement.n, value, bound, limit)
    return None if needed is None else max(needed, measurement.least_n or 0)


def _settled(measurement: Measurement, limit: float, direction: Direction) -> float | None:
    """The value that any number of rows would leave to be judged: the end of the region nearest
    to the limit. None when the limit lies inside the region, where no number of rows decides."""
    region = measurement.region
    if region is None or region.lower is None or region.upper is None:
        return measurement.value
    allowed, forbidden = (
        (region.upper, region.lower) if direction == "max" else (region.lower, region.upper)
    )
    if allowed <= limit if direction == "max" else allowed >= limit:
        return allowed
    if forbidden > limit if direction == "max" else forbidden < limit:
        return forbidden
    return None


_ABBREVIATIONS = {
    "auc": "AUC", "auroc": "AUROC", "aurc": "AURC", "ece": "ECE", "fpr95": "FPR95", "ks": "KS",
}  # fmt: skip
"""Words of names that are written in capitals."""


def _shown(measurement: Measurement, interval: Interval | None) -> str:
    first, *rest = measurement.name.split("_")
    name = " ".join([_ABBREVIATIONS.get(first, first.capitalize()), *rest])
    where = f" on {measurement.slice}" if measurement.slice else ""
    value = "undefined" if measurement.value is None else number(measurement.value)
    if interval is None:
        return f"{name}{where} {value} (n={measurement.n:,})"
    ends = ["no bound" if end is None else number(end) for end in (interval.lower, interval.upper)]
    return f"{name}{where} {value} ({ends[0]} to {ends[1]}, n={measurement.n:,})"
