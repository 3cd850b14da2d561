"""Answering only what one is sure of: risk against coverage, and a threshold with a guarantee."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import unit_id
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Curve,
    Estimate,
    Estimates,
    Interval,
    Measurement,
)
from auditkit.metrics.shifted import Flags, Rows, Side, guarded, halves, share_interval, sides
from auditkit.stats.intervals import Floats, clopper_pearson_bounds, effective_counts
from auditkit.stats.jackknife import JackknifeEstimate, jackknife

POINTS = 20
START = 0.1
"""Share of the rows that the first threshold tested accepts."""
METHOD = "delete-a-group jackknife"
GROUPS = 100
"""Parts the rows are dealt into for the interval of an area."""
MOST_UNITS = 5_000
GRID = 1.0 - np.geomspace(1e-6, 1.0, 400)
"""Thresholds that are tried, strictest first. Fixed beforehand: none follows from the data."""


@dataclass(frozen=True, slots=True)
class SelectiveParams:
    """Which risk is promised, and how surely."""

    target_risk: float = 0.1
    """Share of the answers given that may be wrong."""
    delta: float = 0.05
    """Chance that the threshold chosen does not keep to it in distribution."""

    def __post_init__(self) -> None:
        for name in ("target_risk", "delta"):
            if not 0 < getattr(self, name) < 0.5:
                raise ValueError(f"{name} must lie between 0 and 0.5, not {getattr(self, name)}")


class RiskCoverage(NamedTuple):
    """Answers given to the most confident 1, 2, ... n rows, both shape (n,)."""

    coverage: Floats
    risk: Floats


def risk_coverage(confidence: Floats, wrong: Flags) -> RiskCoverage:
    """Share of wrong answers among the most confident rows, for every number of them.

    Rows of equal confidence come in random order; the share is the expected one.
    """
    n = len(confidence)
    levels, number = np.unique(-confidence, return_inverse=True)
    rows = np.bincount(number, minlength=len(levels)).astype(np.float64)
    errors = np.bincount(number, weights=wrong, minlength=len(levels))
    before = np.concatenate([[0.0], np.cumsum(errors)[:-1]])
    starts = np.concatenate([[0.0], np.cumsum(rows)[:-1]])
    level = np.repeat(np.arange(len(levels)), rows.astype(np.int64))
    place = np.arange(1, n + 1)
    expected = before[level] + errors[level] * (place - starts[level]) / rows[level]
    return RiskCoverage(place / n, expected / place)


def aurc(confidence: Floats, wrong: Flags) -> float:
    """Area under the risk-coverage curve: the mean risk over all coverages, 0..1.

    Geifman, Uziel & El-Yaniv 2019. NaN without a row.
    """
    return float(risk_coverage(confidence, wrong).risk.mean()) if len(confidence) else math.nan


def fewest_accepted(target: float, delta: float) -> int:
    """Rows that must be accepted, all answered rightly, to show a risk of at most `target`."""
    return math.ceil(math.log(delta) / math.log1p(-target))


def certified_threshold(
    confidence: Floats, wrong: Flags, clusters: Rows | None, params: SelectiveParams
) -> float | None:
    """The lowest confidence from which on answers keep to the risk, or None.

    Learn then test (Angelopoulos et al. 2021): the thresholds of a fixed grid are tested one after
    the other, strictest first, each at level `delta` against the risk being above the target
    (exact binomial test); the last one before the first that cannot be shown is taken. With
    probability 1 - delta over the rows chosen by, the risk among the answers it accepts is at most
    the target. The first one tested is the strictest that accepts a tenth of the rows, and as
    many as could show the target: fewer show little, and one failed test ends the search.
    """
    units = np.arange(len(confidence)) if clusters is None else clusters
    least = max(fewest_accepted(params.target_risk, params.delta), START * len(np.unique(units)))
    chosen = None
    for threshold in GRID.tolist():
        accepted = confidence >= threshold
        if len(np.unique(units[accepted])) < least:
            continue
        k, n = float(wrong[accepted].sum()), float(accepted.sum())
        if clusters is not None:
            k, n = effective_counts(wrong[accepted], clusters[accepted], params.delta)
        if clopper_pearson_bounds(k, n, params.delta)[1] > params.target_risk:
            break
        chosen = threshold
    return chosen


def selective_measurements(context: Context, params: SelectiveParams) -> Iterator[Measurement]:
    """Risk, coverage and area, in distribution and on each set."""
    inside, sets = sides(context)
    chosen, judged = halves(inside.data)
    first = inside.rows(chosen)
    threshold = certified_threshold(_confidence(first), ~first.right, first.data.clusters, params)
    here = inside.rows(judged)
    yield _area(context, here, sets)
    for side in (here, *sets):
        yield _coverage(context, side, threshold, 1 + len(sets))
        yield _excess_risk(context, side, threshold, params, 1 + len(sets))


def _confidence(side: Side) -> Floats:
    return np.asarray(side.probabilities.max(axis=1))


def _area(context: Context, here: Side, sets: Sequence[Side]) -> Measurement:
    """The area in distribution, with those of the sets and all curves beside it."""
    shown = [side for side in (here, *sets) if len(side)]
    if not len(here):
        return Measurement("aurc", None, 0, None, "", "no row is left to judge by")
    found = [_jackknifed(side, context.rng) for side in shown]
    levels = context.confidence.claim_alpha, context.confidence.corrected_alpha(1)
    claim, corrected = (_clipped(found[0].interval(alpha)) for alpha in levels)
    areas = Estimates(
        "Area under the risk-coverage curve",
        tuple(
            Estimate(side.name, len(side), one.value, _clipped(one.interval(WHISKER_ALPHA)))
            for side, one in zip(shown, found, strict=True)
        ),
        WHISKER_LEVEL,
        METHOD,
        found[0].value,
        here.name,
        "set",
    )
    return Measurement(
        "aurc",
        found[0].value,
        len(here),
        Bounds(claim, corrected, METHOD),
        evidence=(areas, *(_curve(side) for side in shown)),
    )


def _jackknifed(side: Side, rng: np.random.Generator) -> JackknifeEstimate:
    """The area of a side, with its error over rows or clusters."""
    confidence, wrong = _confidence(side), ~side.right
    members: list[NDArray[np.intp]] = [np.array([row]) for row in range(len(side))]
    if side.data.clusters is not None:
        members = [np.flatnonzero(side.data.clusters == c) for c in np.unique(side.data.clusters)]

    def area(units: NDArray[np.intp]) -> float:
        rows = np.concatenate([members[unit] for unit in units])
        return aurc(confidence[rows], wrong[rows])

    if len(members) < 2:
        return JackknifeEstimate(aurc(confidence, wrong), None, len(members))
    return jackknife(area, len(members), GROUPS, rng)


def _clipped(interval: Interval) -> Interval:
    return Interval(
        None if interval.lower is None else max(interval.lower, 0.0),
        None if interval.upper is None else min(interval.upper, 1.0),
    )


def _curve(side: Side) -> Curve:
    found = risk_coverage(_confidence(side), ~side.right)
    n = len(side)
    place = np.unique(np.ceil(np.linspace(0, n, POINTS + 1)[1:]).astype(np.int64)) - 1
    return Curve(
        f"Risk against coverage, {side.name}",
        "share of rows that are answered, the surest first",
        "share of these that are wrong",
        tuple(found.coverage[place].tolist()),
        tuple(found.risk[place].tolist()),
        tuple((place + 1).tolist()),
    )


def _coverage(
    context: Context, side: Side, threshold: float | None, comparisons: int
) -> Measurement:
    if threshold is None or not len(side):
        return Measurement("coverage", None, len(side), None, side.slice, _nothing(threshold))
    accepted = _confidence(side) >= threshold
    units = {}
    if all(isinstance(text, str) for text in side.data.inputs):
        pairs = zip(side.data.inputs, accepted.tolist(), strict=True)
        units = {unit_id(text): float(one) for text, one in pairs}
    return Measurement(
        "coverage",
        float(accepted.mean()),
        len(side),
        _bounds(context, accepted, side.data.clusters, comparisons),
        side.slice,
        f"Answers from a confidence of {threshold:.4g} on.",
        units=units if len(units) <= MOST_UNITS else {},
    )


def _excess_risk(
    context: Context,
    side: Side,
    threshold: float | None,
    params: SelectiveParams,
    comparisons: int,
) -> Measurement:
    accepted = np.zeros(len(side), dtype=bool)
    if threshold is not None and len(side):
        accepted = _confidence(side) >= threshold
    if threshold is None or not accepted.any():
        said = _nothing(threshold)
        return Measurement("excess_risk", None, len(side), None, side.slice, said)
    wrong = ~side.right[accepted]
    clusters = None if side.data.clusters is None else side.data.clusters[accepted]
    found = _bounds(context, wrong, clusters, comparisons)
    target = params.target_risk
    claim, corrected = (
        Interval((one.lower or 0.0) - target, (1.0 if one.upper is None else one.upper) - target)
        for one in (found.claim, found.corrected)
    )
    measured = Measurement(
        "excess_risk",
        float(wrong.mean()) - target,
        int(accepted.sum()),
        Bounds(claim, corrected, found.method, comparisons),
        side.slice,
        f"{int(wrong.sum())} of {int(accepted.sum())} answers given are wrong; at most "
        f"{target:.0%} were promised.",
    )
    return guarded(measured, int(accepted.sum()))


def _bounds(context: Context, flags: Flags, clusters: Rows | None, comparisons: int) -> Bounds:
    levels = context.confidence.claim_alpha, context.confidence.corrected_alpha(comparisons)
    claim, corrected = (share_interval(flags, clusters, alpha) for alpha in levels)
    method = "Clopper-Pearson" + ("" if clusters is None else " on effective counts")
    return Bounds(claim, corrected, method, comparisons)


def _nothing(threshold: float | None) -> str:
    if threshold is None:
        return "no threshold can be shown to keep to the risk on the rows chosen by"
    return "no answer is that sure"
