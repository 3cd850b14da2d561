"""What the data can show before the model is asked: detectable gaps, PASS chances, rows needed.

No answer of the model is looked at. Rates that only the answers would tell are assumed, and said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Confidence
from auditkit.data import Attribute, AuditData
from auditkit.errors import NotApplicable
from auditkit.metrics.disparity import GroupParams, chosen_attributes
from auditkit.plan import PlannedCheck
from auditkit.stats.differences import difference_bounds
from auditkit.stats.gaps import ordered_pairs
from auditkit.stats.power import needed_n_equivalence, smallest_detectable_gap

ASSUMED_RATE = 0.8
"""Assumed share of right answers: the true positive rate, the precision and the accuracy. The
false positive rate is assumed to be 1 - this."""
POWER = 0.8
"""Chance of a verdict that "detectable" and "rows needed" refer to."""
_DRAWS = 400
_SEED = 20
_RATES = {
    "fairness.demographic-parity": ("selection rate",),
    "fairness.equalized-odds": ("true positive rate", "false positive rate"),
    "fairness.predictive-parity": ("precision",),
    "quality.group-quality": ("accuracy",),
}


@dataclass(frozen=True, slots=True)
class GroupRows:
    """The rows of one group.

    Attributes:
        name: The group.
        n: Its rows.
        positives: Rows of each looked-at class, by class name; empty without labels.
    """

    name: str
    n: int
    positives: dict[str, int]


@dataclass(frozen=True, slots=True)
class AttributeRows:
    """The groups of one attribute or intersection."""

    name: str
    groups: tuple[GroupRows, ...]
    missing: int


@dataclass(frozen=True, slots=True)
class Resolution:
    """What one gap-type check can show on one attribute, at its hardest rate.

    Attributes:
        check: Id of the check.
        attribute: Attribute or intersection.
        rate: The rate that is hardest to tell apart here, with its class.
        assumed: The rate assumed for every group.
        smallest: Rows that count for it in the smallest group.
        smallest_group: That group.
        detectable: Smallest gap found with a chance of `POWER` at the corrected level, between
            the two smallest groups; None when there is none.
        limit: The check's limit; None when not gated.
        pass_chance: Chance that a perfectly fair model passes; None when not gated.
        needed: Rows each group needs for a fair model to pass with a chance of `POWER`.
        needed_total: Rows like these that bring the smallest group there; None when it has none.
        small: Groups below the check's minimum, which rule a PASS out.
    """

    check: str
    attribute: str
    rate: str
    assumed: float
    smallest: int
    smallest_group: str
    detectable: float | None
    limit: float | None
    pass_chance: float | None
    needed: int | None
    needed_total: int | None
    small: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """A rate before any answer: what it would be, and how many rows of each group count."""

    name: str
    assumed: float
    sizes: NDArray[np.int64]


def attribute_rows(data: AuditData) -> tuple[AttributeRows, ...]:
    """The groups of every sensitive attribute and every two crossed, with their classes."""
    found = []
    for attribute in chosen_attributes(data, GroupParams()):
        classes = {} if data.labels is None else _by_class(attribute, data)
        groups = tuple(
            GroupRows(level, int(n), {name: int(counts[i]) for name, counts in classes.items()})
            for i, (level, n) in enumerate(zip(attribute.levels, attribute.sizes(), strict=True))
        )
        found.append(AttributeRows(attribute.name, groups, attribute.missing))
    return tuple(found)


def resolutions(
    checks: Iterable[PlannedCheck], data: AuditData, confidence: Confidence
) -> tuple[Resolution, ...]:
    """What every applicable check of a largest gap can show, one entry per attribute."""
    return tuple(
        found
        for entry in checks
        if not entry.obstacle and _rate_names(entry)
        for found in _of_check(entry, data, confidence)
    )


def pass_chance(
    sizes: Sequence[int], rate: float, limit: float, alpha: float, minimum: int
) -> float:
    """Chance that groups of these sizes are shown to differ by no more than `limit`.

    By simulation of a model with one `rate` in every group, judged as the checks judge.
    """
    counts = np.asarray(sizes, dtype=np.int64)
    if counts.size < 2 or counts.min() < max(minimum, 1):
        return 0.0
    rng = np.random.default_rng(_SEED)
    hits = rng.binomial(counts, rate, size=(_DRAWS, counts.size))
    first, second = np.triu_indices(counts.size, 1)
    lower, upper = difference_bounds(
        hits[:, first], counts[first], hits[:, second], counts[second], alpha
    )
    return float(((lower >= -limit) & (upper <= limit)).all(axis=1).mean())


def _rate_names(entry: PlannedCheck) -> tuple[str, ...]:
    if getattr(entry.params, "metric", "accuracy") != "accuracy":
        return ()  # the gap of a metric that is no rate
    return _RATES.get(entry.check.id, ())


def _of_check(entry: PlannedCheck, data: AuditData, confidence: Confidence) -> Iterator[Resolution]:
    params = entry.params
    assert isinstance(params, GroupParams)
    try:
        attributes = chosen_attributes(data, params)
    except NotApplicable:
        return
    tables = [list(_counted(entry, data, attribute)) for attribute in attributes]
    comparisons = sum(
        ordered_pairs(len(a.levels)) * len(t) for a, t in zip(attributes, tables, strict=True)
    )
    corrected = confidence.corrected_alpha(comparisons)
    for attribute, counted in zip(attributes, tables, strict=True):
        hardest = max(counted, key=lambda one: _hardness(one, corrected))
        yield _resolution(entry, attribute, counted, hardest, (confidence.claim_alpha, corrected))


def _hardness(counted: _Counted, alpha: float) -> tuple[float, int]:
    gap = _detectable(counted, alpha)
    return (math.inf if gap is None else gap, -int(counted.sizes.min()))


def _detectable(counted: _Counted, alpha: float) -> float | None:
    low, next_low = np.sort(counted.sizes)[:2].tolist()
    return smallest_detectable_gap(low, next_low, counted.assumed, alpha, POWER)


def _resolution(
    entry: PlannedCheck,
    attribute: Attribute,
    counted: Sequence[_Counted],
    hardest: _Counted,
    alphas: tuple[float, float],
) -> Resolution:
    claim, corrected = alphas
    limit, minimum = entry.limits["gap"].value, entry.params.minimum_group_size
    least = int(hardest.sizes.argmin())
    smallest = int(hardest.sizes[least])
    chance = needed = total = None
    if limit is not None:
        # Each of several rates has to pass; they are about different rows or nearly so.
        chances = [pass_chance(c.sizes.tolist(), c.assumed, limit, claim, minimum) for c in counted]
        chance = math.prod(chances)
    if limit:
        pairs = ordered_pairs(len(attribute.levels)) // 2
        power = 1 - (1 - POWER) / pairs  # every pair has to pass
        needed = max(needed_n_equivalence(hardest.assumed, limit, claim, power=power), minimum)
        known = int(attribute.sizes().sum())
        total = math.ceil(known * needed / smallest) if smallest else None
    small = {i for c in counted for i in np.flatnonzero(c.sizes < minimum).tolist()}
    return Resolution(
        check=entry.check.id, attribute=attribute.name, rate=hardest.name,
        assumed=hardest.assumed, smallest=smallest, smallest_group=attribute.levels[least],
        detectable=_detectable(hardest, corrected), limit=limit, pass_chance=chance,
        needed=needed, needed_total=total,
        small=tuple(attribute.levels[i] for i in sorted(small)),
    )  # fmt: skip


def _counted(entry: PlannedCheck, data: AuditData, attribute: Attribute) -> Iterator[_Counted]:
    for rate in _rate_names(entry):
        if rate == "accuracy":
            yield _Counted(rate, ASSUMED_RATE, _rows(attribute, data, None))
            continue
        for index in data.viewed_classes():
            name = f"{rate} of class {data.class_names[index]}"
            truth = None if data.labels is None else data.labels == index
            yield _Counted(name, *_of_class(rate, truth, attribute, data))


def _of_class(
    rate: str, truth: NDArray[np.bool_] | None, attribute: Attribute, data: AuditData
) -> tuple[float, NDArray[np.int64]]:
    if rate == "selection rate" or truth is None:
        share = 0.5 if truth is None else float(truth.mean())
        return share, _rows(attribute, data, None)
    if rate == "false positive rate":
        return 1 - ASSUMED_RATE, _rows(attribute, data, ~truth)
    # The precision counts rows answered so; as many as truly are of the class, it is assumed.
    return ASSUMED_RATE, _rows(attribute, data, truth)


def _rows(
    attribute: Attribute, data: AuditData, eligible: NDArray[np.bool_] | None
) -> NDArray[np.int64]:
    """Rows of each group that count; of clustered rows the clusters, the least they are worth."""
    counts = (attribute.codes >= 0) & (True if eligible is None else eligible)
    codes = attribute.codes[counts]
    if data.clusters is not None:
        codes = np.unique(np.column_stack([codes, data.clusters[counts]]), axis=0)[:, 0]
    return np.bincount(codes, minlength=len(attribute.levels)).astype(np.int64)


def _by_class(attribute: Attribute, data: AuditData) -> dict[str, NDArray[np.int64]]:
    assert data.labels is not None
    known = attribute.codes >= 0
    return {
        data.class_names[index]: np.bincount(
            attribute.codes[known & (data.labels == index)], minlength=len(attribute.levels)
        )
        for index in data.viewed_classes()
    }
