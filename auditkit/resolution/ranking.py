"""Drops of a group's AUC below that of all rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Confidence
from auditkit.data import Attribute, AuditData
from auditkit.metrics.group_choice import GroupChoice, chosen_attributes
from auditkit.metrics.identity_auc import FEWEST
from auditkit.plan import PlannedCheck
from auditkit.resolution.resolved import ASSUMED_RATE, POWER, Resolution
from auditkit.resolution.rows import counted_rows
from auditkit.stats.intervals import critical_value
from auditkit.stats.power import auc_variance

_NORMAL = NormalDist()
ASSUMED_AUC = _NORMAL.cdf(math.sqrt(2) * _NORMAL.inv_cdf(ASSUMED_RATE))
"""AUC of normal scores of equal spread that recognise both classes at `ASSUMED_RATE`: 0.883."""
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class _Part:
    """One AUC of one group: the rows it is made of, and all rows."""

    group: int
    kind: str
    class_name: str
    positives: float
    negatives: float
    all_positives: float
    all_negatives: float

    @property
    def name(self) -> str:
        """For the reader."""
        return f"{self.kind} AUC of class {self.class_name}"

    @property
    def fewest(self) -> float:
        """Rows of its rarer class."""
        return min(self.positives, self.negatives)

    def error(self, drop: float = 0.0) -> float:
        """Standard error of the AUC of all rows less this one, which is lower by `drop`.

        Rows of the part are rows of the whole, so their covariance is the variance of the whole
        (DeLong's components, summed over the shared rows) and the difference has what is left.
        """
        part = auc_variance(ASSUMED_AUC - drop, self.positives, self.negatives)
        whole = auc_variance(ASSUMED_AUC, self.all_positives, self.all_negatives)
        return math.sqrt(max(part - whole, 0.0))

    def detectable(self, alpha: float) -> float | None:
        """The smallest drop found; None when not even an AUC of 0.5 would be."""
        distance = critical_value(alpha) + critical_value(1 - POWER)
        high = ASSUMED_AUC - 0.5
        if high < distance * self.error(high):
            return None
        return crossing(lambda drop: drop - distance * self.error(drop), 0.0, high)

    def pass_chance(self, limit: float, alpha: float) -> float:
        """Chance that the upper bound of the drop is at most `limit` when there is none.

        The bound is the wider the lower the AUC came out, by its error there.
        """
        z, spread = critical_value(alpha), self.error()

        def beyond(drop: float) -> float:
            return drop + z * self.error(drop) - limit

        if spread == 0:
            return float(limit >= 0)
        lowest = ASSUMED_AUC - 0.999
        if beyond(lowest) > 0:
            return 0.0
        highest = ASSUMED_AUC - 0.5
        most = highest if beyond(highest) <= 0 else crossing(beyond, lowest, highest)
        return _NORMAL.cdf(most / spread)

    def grown(self, share: float) -> _Part:
        """The same with so many times the rows."""
        counts = (self.positives, self.negatives, self.all_positives, self.all_negatives)
        return _Part(self.group, self.kind, self.class_name, *(share * n for n in counts))


def crossing(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function that is below 0 at `low` and not at `high` reaches 0."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) >= 0 else (middle, high)
    return high


def auc_told(
    positives: int, negatives: int, levels: tuple[float, float]
) -> tuple[float, float | None]:
    """Margin of the AUC of a probe that tells nothing, and the lowest AUC that is found.

    Args:
        positives: Rows of one kind that the probe is judged on.
        negatives: Rows of the other.
        levels: Errors of the claim and corrected.
    """
    margin = critical_value(levels[0]) * math.sqrt(auc_variance(0.5, positives, negatives))
    distance = critical_value(levels[1]) + critical_value(1 - POWER)

    def beyond(above: float) -> float:
        return above - distance * math.sqrt(auc_variance(0.5 + above, positives, negatives))

    most = 0.499
    return margin, 0.5 + crossing(beyond, 0.0, most) if beyond(most) >= 0 else None


def auc_resolutions(
    entry: PlannedCheck, data: AuditData, confidence: Confidence
) -> Iterator[Resolution]:
    """What a check of drops in AUC can show, one entry per attribute.

    Raises:
        AuditkitError: The check's parameters name attributes that cannot be compared.
    """
    params = entry.params
    assert isinstance(params, GroupChoice)
    attributes = chosen_attributes(data, params)
    classes = data.viewed_classes()
    comparisons = 3 * len(classes) * sum(len(a.levels) for a in attributes)
    levels = confidence.claim_alpha, confidence.corrected_alpha(comparisons)
    for attribute in attributes:
        parts = [part for index in classes for part in _parts(data, attribute, index)]
        if len(attribute.levels) > 1 and parts:
            yield _resolution(entry, data, attribute, parts, levels)


def _parts(data: AuditData, attribute: Attribute, index: int) -> Iterator[_Part]:
    assert data.labels is not None
    positives = counted_rows(attribute, data, data.labels == index)
    negatives = counted_rows(attribute, data, data.labels != index)
    everything = int(positives.sum()), int(negatives.sum())
    for group, (own_pos, own_neg) in enumerate(zip(positives, negatives, strict=True)):
        other_pos, other_neg = everything[0] - int(own_pos), everything[1] - int(own_neg)
        for kind, counts in (
            ("subgroup", (int(own_pos), int(own_neg))),
            ("BPSN", (other_pos, int(own_neg))),
            ("BNSP", (int(own_pos), other_neg)),
        ):
            yield _Part(group, kind, data.class_names[index], *counts, *everything)


def _different(parts: list[_Part], groups: int) -> list[_Part]:
    """Each AUC once: of two groups, one's positives against the other's negatives are both's."""
    if groups != 2:
        return parts
    return [part for part in parts if part.group == 0 or part.kind == "subgroup"]


def _resolution(
    entry: PlannedCheck,
    data: AuditData,
    attribute: Attribute,
    everything: list[_Part],
    levels: tuple[float, float],
) -> Resolution:
    parts = _different(everything, len(attribute.levels))
    claim, corrected = levels
    rows = counted_rows(attribute, data)
    small = _small(everything, rows, entry.params.minimum_group_size)
    usable = [part for part in parts if part.fewest >= 1]
    hardest = max(usable, key=_Part.error) if len(usable) == len(parts) else None
    limit = entry.limits["drop"].value
    least = hardest or min(parts, key=lambda part: part.fewest)
    needed, total = _needed(least, parts, len(data), limit, claim) if hardest else (None, None)
    chance = None
    if limit is not None:
        chance = 0.0 if small else _chance(usable, limit, claim)
    return Resolution(
        check=entry.check.id, measure="drop", attribute=attribute.name, rate=least.name,
        assumed=ASSUMED_AUC, smallest=round(least.fewest),
        smallest_group=attribute.levels[least.group],
        margin=critical_value(claim) * hardest.error() if hardest else None,
        detectable=hardest.detectable(corrected) if hardest else None, limit=limit,
        pass_chance=chance, needed=needed, needed_total=total,
        small=tuple(attribute.levels[i] for i in small),
    )  # fmt: skip


def _small(parts: list[_Part], rows: NDArray[np.int64], minimum: int) -> list[int]:
    few = {part.group for part in parts if part.fewest < FEWEST}
    return sorted(few.union(np.flatnonzero(rows < minimum).tolist()))


def _chance(parts: list[_Part], limit: float, alpha: float) -> float:
    """Chance that every bound lies inside the limit, as if they were independent."""
    return math.prod(part.pass_chance(limit, alpha) for part in parts)


def _needed(
    hardest: _Part, parts: list[_Part], rows: int, limit: float | None, alpha: float
) -> tuple[int | None, int | None]:
    """Rows of the hardest AUC's rarer class, and in all, with which all pass often enough."""
    if not limit or limit < 0:
        return None, None
    wanted = 1 - (1 - POWER) / len(parts)  # every part has to pass
    low, high = 0.0, 1.0
    while hardest.grown(high).pass_chance(limit, alpha) < wanted:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        grown = hardest.grown(middle)
        enough = grown.fewest >= 1 and grown.pass_chance(limit, alpha) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    share = max(high, FEWEST / hardest.fewest)
    return math.ceil(share * hardest.fewest), math.ceil(share * rows)
