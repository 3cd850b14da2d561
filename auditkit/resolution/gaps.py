"""Gaps and ratios of rates between groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Confidence
from auditkit.data import Attribute, AuditData
from auditkit.metrics.group_choice import GroupParams, chosen_attributes
from auditkit.metrics.text_length import length_bands
from auditkit.plan import PlannedCheck
from auditkit.resolution.resolved import ASSUMED_RATE, POWER, Resolution
from auditkit.resolution.rows import counted_rows
from auditkit.stats.differences import difference_bounds
from auditkit.stats.gaps import ordered_pairs
from auditkit.stats.power import (
    largest_detectable_ratio,
    needed_n_equivalence,
    needed_n_ratio,
    smallest_detectable_gap,
)
from auditkit.stats.ratios import ratio_bounds

_DRAWS, _FEWEST_DRAWS = 400, 40
_PAIRS_DRAWN = 400_000
"""Pairs of groups that are compared in a simulation; many groups are drawn less often."""
_SEED = 20
_Counts = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""Hits and rows of one group of each pair, then of the other."""


@dataclass(frozen=True, slots=True)
class Comparing:
    """How a check compares rates.

    Attributes:
        measure: Name of the measurement.
        rates: Names of the rates.
        minimum: Parameter with the rows of a group below which nothing is claimed of it.
    """

    measure: str
    rates: tuple[str, ...]
    minimum: str = "minimum_group_size"

    @property
    def by_ratio(self) -> bool:
        """Whether groups are compared by the ratio of their rates."""
        return self.measure == "ratio"


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """A rate before any answer: what it would be, and how many rows of each group count."""

    name: str
    assumed: float
    sizes: NDArray[np.int64]

    @property
    def two_smallest(self) -> tuple[int, int]:
        """Rows of the two smallest groups: the hardest pair."""
        first, second = np.sort(self.sizes)[:2].tolist()
        return first, second


def gap_resolutions(
    entry: PlannedCheck, comparing: Comparing, data: AuditData, confidence: Confidence
) -> Iterator[Resolution]:
    """What a check of gaps or ratios can show, one entry per attribute.

    Raises:
        AuditkitError: The check's parameters name attributes that cannot be compared.
    """
    params = entry.params
    assert isinstance(params, GroupParams)
    attributes = chosen_attributes(data, params)
    thresholds = len(getattr(params, "thresholds", "1"))
    tables = [list(_counted(comparing, data, attribute, thresholds)) for attribute in attributes]
    comparisons = sum(
        ordered_pairs(len(a.levels)) * len(t) for a, t in zip(attributes, tables, strict=True)
    )
    levels = confidence.claim_alpha, confidence.corrected_alpha(comparisons)
    for attribute, counted in zip(attributes, tables, strict=True):
        if len(attribute.levels) > 1:
            yield _resolution(entry, comparing, attribute, counted, levels)


def band_resolutions(
    entry: PlannedCheck, data: AuditData, confidence: Confidence
) -> Iterator[Resolution]:
    """What the gap in accuracy between bands of length can show.

    Raises:
        NotApplicable: The inputs are no texts, or all about equally long.
    """
    bands = length_bands(data, entry.params.bands)
    comparing = Comparing("gap", ("accuracy",), "minimum_rows")
    counted = list(_counted(comparing, data, bands, 1))
    comparisons = ordered_pairs(len(bands.levels))
    levels = confidence.claim_alpha, confidence.corrected_alpha(comparisons)
    yield _resolution(entry, comparing, bands, counted, levels)


def pass_chance(
    sizes: Sequence[int], rate: float, limit: float, alpha: float, minimum: int
) -> float:
    """Chance that groups of these sizes are shown to differ by no more than `limit`.

    By simulation of a model with one `rate` in every group, judged as the checks judge.
    """

    def passes(counts: _Counts) -> NDArray[np.bool_]:
        lower, upper = difference_bounds(*counts, alpha)
        return (lower >= -limit) & (upper <= limit)

    return _simulated(sizes, rate, minimum, passes)


def ratio_pass_chance(
    sizes: Sequence[int], rate: float, limit: float, alpha: float, minimum: int
) -> float:
    """As `pass_chance`, that no group's rate is shown below `limit` times another's."""

    def passes(counts: _Counts) -> NDArray[np.bool_]:
        lower, upper = ratio_bounds(*counts, alpha)
        return (lower >= limit) & (upper * limit <= 1)

    return _simulated(sizes, rate, minimum, passes)


def _simulated(
    sizes: Sequence[int],
    rate: float,
    minimum: int,
    passes: Callable[[_Counts], NDArray[np.bool_]],
) -> float:
    counts = np.asarray(sizes, dtype=np.int64)
    if counts.size < 2 or counts.min() < max(minimum, 1):
        return 0.0
    first, second = np.triu_indices(counts.size, 1)
    draws = max(_FEWEST_DRAWS, min(_DRAWS, _PAIRS_DRAWN // len(first)))
    hits = np.random.default_rng(_SEED).binomial(counts, rate, size=(draws, counts.size))
    every_pair = passes((hits[:, first], counts[first], hits[:, second], counts[second]))
    return float(every_pair.all(axis=1).mean())


def _detectable(comparing: Comparing, counted: _Counted, alpha: float) -> float | None:
    find = largest_detectable_ratio if comparing.by_ratio else smallest_detectable_gap
    return find(*counted.two_smallest, counted.assumed, alpha, POWER)


def _hardness(comparing: Comparing, counted: _Counted, alpha: float) -> tuple[float, int]:
    found = _detectable(comparing, counted, alpha)
    if found is None:
        return math.inf, -int(counted.sizes.min())
    return -found if comparing.by_ratio else found, -int(counted.sizes.min())


def _margin(comparing: Comparing, counted: _Counted, alpha: float) -> float | None:
    """Of the two smallest groups, if both rates come out as assumed."""
    small, large = counted.two_smallest
    if not small:
        return None
    rate = counted.assumed
    bounds = ratio_bounds if comparing.by_ratio else difference_bounds
    lower, _ = bounds(rate * small, small, rate * large, large, alpha)
    return (1.0 if comparing.by_ratio else 0.0) - float(lower)


def _resolution(
    entry: PlannedCheck,
    comparing: Comparing,
    attribute: Attribute,
    counted: Sequence[_Counted],
    levels: tuple[float, float],
) -> Resolution:
    claim, corrected = levels
    hardest = max(counted, key=lambda one: _hardness(comparing, one, corrected))
    limit, minimum = entry.limits[comparing.measure].value, getattr(entry.params, comparing.minimum)
    least = int(hardest.sizes.argmin())
    smallest = int(hardest.sizes[least])
    needed = total = None
    if limit:
        pairs = ordered_pairs(len(attribute.levels)) // 2
        power = 1 - (1 - POWER) / pairs  # every pair has to pass
        needed = _needed(comparing, hardest.assumed, limit, claim, power)
    if needed is not None:
        needed = max(needed, minimum)
        known = int(attribute.sizes().sum())
        total = math.ceil(known * needed / smallest) if smallest else None
    small = {i for c in counted for i in np.flatnonzero(c.sizes < minimum).tolist()}
    return Resolution(
        check=entry.check.id, measure=comparing.measure, attribute=attribute.name,
        rate=hardest.name, assumed=hardest.assumed, smallest=smallest,
        smallest_group=attribute.levels[least], margin=_margin(comparing, hardest, claim),
        detectable=_detectable(comparing, hardest, corrected), limit=limit,
        pass_chance=_chance(comparing, counted, limit, claim, minimum), needed=needed,
        needed_total=total, small=tuple(attribute.levels[i] for i in sorted(small)),
    )  # fmt: skip


def _chance(
    comparing: Comparing,
    counted: Sequence[_Counted],
    limit: float | None,
    alpha: float,
    minimum: int,
) -> float | None:
    if limit is None:
        return None
    chance = ratio_pass_chance if comparing.by_ratio else pass_chance
    # Each of several rates has to pass; they are about different rows or nearly so.
    return math.prod(chance(c.sizes.tolist(), c.assumed, limit, alpha, minimum) for c in counted)


def _needed(
    comparing: Comparing, rate: float, limit: float, alpha: float, power: float
) -> int | None:
    if not comparing.by_ratio:
        return needed_n_equivalence(rate, limit, alpha, power=power)
    return needed_n_ratio(rate, limit, alpha, power) if 0 < rate <= 1 and limit < 1 else None


def _counted(
    comparing: Comparing, data: AuditData, attribute: Attribute, thresholds: int
) -> Iterator[_Counted]:
    for rate in comparing.rates:
        if rate == "accuracy":
            yield _Counted(rate, ASSUMED_RATE, counted_rows(attribute, data))
            continue
        for index in data.viewed_classes():
            name = f"{rate} of class {data.class_names[index]}"
            truth = None if data.labels is None else data.labels == index
            # At each of several thresholds the rate is another, about the same rows: taken as if
            # they were independent, they pass less often than they will.
            for _ in range(thresholds):
                yield _Counted(name, *_of_class(rate, truth, attribute, data))


def _of_class(
    rate: str, truth: NDArray[np.bool_] | None, attribute: Attribute, data: AuditData
) -> tuple[float, NDArray[np.int64]]:
    if rate in {"selection rate", "share labelled"} or truth is None:
        share = 0.5 if truth is None else float(truth.mean())
        return share, counted_rows(attribute, data)
    if rate == "false positive rate":
        return 1 - ASSUMED_RATE, counted_rows(attribute, data, ~truth)
    if rate == "false negative rate":
        return 1 - ASSUMED_RATE, counted_rows(attribute, data, truth)
    # The precision counts rows answered so; as many as truly are of the class, it is assumed.
    return ASSUMED_RATE, counted_rows(attribute, data, truth)
