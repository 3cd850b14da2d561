"""What one check can show, as a value."""

from __future__ import annotations

from dataclasses import dataclass

ASSUMED_RATE = 0.8
"""Assumed share of right answers: the true positive rate, the precision and the accuracy. The
false positive rate is assumed to be 1 - this."""
POWER = 0.8
"""Chance of a verdict that "detectable" and "rows needed" refer to."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What one check can show in one quantity, on one attribute at its hardest rate.

    Attributes:
        check: Id of the check.
        measure: Name of the measurements it is about.
        attribute: Attribute or intersection, set out of distribution or split; empty for all rows.
        rate: The quantity that is hardest to tell here, with its class.
        assumed: The value assumed for it.
        smallest: Rows that count for it in the smallest group.
        smallest_group: That group; empty for all rows.
        margin: Distance from the assumed value to the bound a PASS is read from, when the model
            is as assumed.
        detectable: What is found with a chance of `POWER` at the corrected level: the smallest gap
            between the two smallest groups, their largest ratio below 1, the smallest drop of a
            group's AUC, of the metric or of accuracy on a set, the smallest shortfall of coverage,
            calibration error, distance of scores or excess over a limit, or the lowest AUC of a
            probe; None when nothing is.
        limit: The check's limit; None when not gated.
        pass_chance: Chance that a model without any fault of this kind passes; None when not gated
            or not estimated.
        needed: Rows of the smallest group that let it pass with a chance of `POWER`; None when not
            gated or not estimated.
        needed_total: Rows like these that bring the smallest group there; None when it has none.
        small: Groups below the check's minimum, which rule a PASS out.
    """

    check: str
    measure: str
    attribute: str
    rate: str
    assumed: float
    smallest: int
    smallest_group: str
    margin: float | None
    detectable: float | None
    limit: float | None
    pass_chance: float | None = None
    needed: int | None = None
    needed_total: int | None = None
    small: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A check of which it is not estimated what it can show, and why."""

    check: str
    reason: str
