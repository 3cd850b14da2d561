"""Calibration in and out of distribution, with and without a temperature fitted in distribution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from auditkit.check import Context
from auditkit.errors import NotApplicable
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Cell,
    Estimate,
    Estimates,
    Interval,
    Measurement,
    Table,
)
from auditkit.metrics.calibration import (
    Reliability,
    bounded_mean,
    brier_scores,
    crossed_errors,
    ece_bounds,
    ece_change,
    own_errors,
    reliability,
)
from auditkit.metrics.shifted import INSIDE, Side, can_choose, guarded, halves, rise, sides
from auditkit.metrics.temperature import fit_temperature, log_probabilities, scaled
from auditkit.stats.gaps import independent_difference
from auditkit.stats.intervals import Floats
from auditkit.stats.shared_clusters import Clusters, mean_difference, share_clusters, wider

PAIRED = "paired Bayesian bootstrap"


@dataclass(frozen=True, slots=True)
class CalibrationShiftParams:
    """How the calibration error is binned."""

    bins: int = 15
    """Bins of equal width over 0..1 for the calibration error."""

    def __post_init__(self) -> None:
        if not 2 <= self.bins <= 100:
            raise ValueError(f"bins must lie between 2 and 100, not {self.bins}")


@dataclass(frozen=True, slots=True, eq=False)
class _Calibrated:
    """A side, its rows in bins, and its Brier scores; as answered, and at the temperature."""

    side: Side
    plain: Reliability
    warm: Reliability
    brier: Floats
    warm_brier: Floats


def calibration_shift_measurements(
    context: Context, params: CalibrationShiftParams
) -> Iterator[Measurement]:
    """How much worse calibrated each set is, and what the temperature mends."""
    inside, sets = sides(context)
    first, judged = _fitted_and_judged(context, inside)
    temperature = fit_temperature(log_probabilities(first.probabilities), first.labels)
    here, *there = (_calibrated(side, temperature, params.bins) for side in (judged, *sets))
    seed = int(context.rng.integers(2**32))
    yield _gain(context, [here, *there], (temperature, first), seed)
    for one in there:
        yield _error_rise(context, here, one, (len(sets), seed))
        yield _brier_rise(context, here, one, len(sets))


def _fitted_and_judged(context: Context, inside: Side) -> tuple[Side, Side]:
    """The rows that the temperature is fitted to, and those in distribution that are judged."""
    validation = context.validation
    if validation is not None and can_choose(validation):
        answers = context.predictor.predict(validation.inputs)
        return Side("the validation split", validation, answers), inside
    chosen, judged = halves(inside.data)
    if not len(chosen) or not len(judged):
        raise NotApplicable("there are too few rows in distribution for two halves.")
    return replace(inside.rows(chosen), name="half of the rows in distribution"), inside.rows(
        judged
    )


def _calibrated(side: Side, temperature: float, bins: int) -> _Calibrated:
    warm = scaled(log_probabilities(side.probabilities), temperature)
    return _Calibrated(
        side,
        reliability(side.probabilities, side.labels, bins),
        reliability(warm, side.labels, bins),
        brier_scores(side.probabilities, side.labels),
        brier_scores(warm, side.labels),
    )


def _method(side: Side) -> str:
    return "empirical Bernstein" if side.data.clusters is None else "cluster-robust t"


def _error_rise(
    context: Context,
    here: _Calibrated,
    there: _Calibrated,
    family: tuple[int, int],
) -> Measurement:
    comparisons, seed = family
    shared = share_clusters(*_clusters(here, there))

    def bounds(alpha: float) -> Interval:
        inside, outside = (_error_bounds(one, alpha, seed) for one in (here, there))
        found = rise(here.plain.ece, inside, there.plain.ece, outside)
        return wider(found, _shared_rise(here, there, alpha, seed)) if shared else found

    levels = context.confidence.claim_alpha, context.confidence.corrected_alpha(comparisons)
    claim, corrected = (bounds(alpha) for alpha in levels)
    measured = Measurement(
        "ece_rise",
        there.plain.ece - here.plain.ece,
        len(here.side) + len(there.side),
        Bounds(claim, corrected, f"{_method(here.side)}, cross-fitted", comparisons),
        there.side.name,
        f"Expected calibration error {there.plain.ece:.4g}, in distribution {here.plain.ece:.4g}.",
    )
    return guarded(measured, min(len(here.side), len(there.side)))


def _error_bounds(one: _Calibrated, alpha: float, seed: int) -> Interval:
    # One seed for every level, so that a corrected bound can never be the narrower one.
    found = ece_bounds(one.plain, alpha, np.random.default_rng(seed), one.side.data.clusters)
    assert found.lower is not None
    assert found.upper is not None
    return Interval(min(found.lower, one.plain.ece), max(found.upper, one.plain.ece))


def _brier_rise(
    context: Context, here: _Calibrated, there: _Calibrated, comparisons: int
) -> Measurement:
    means = [float(one.brier.mean()) for one in (here, there)]
    briers, clusters = (there.brier, here.brier), _clusters(here, there)
    shared = share_clusters(*clusters)

    def bounds(alpha: float) -> Interval:
        inside, outside = (
            bounded_mean(one.brier, (0.0, 2.0), alpha, one.side.data.clusters)
            for one in (here, there)
        )
        found = independent_difference(means[1], outside, means[0], inside)
        return wider(found, mean_difference(*briers, clusters, alpha)) if shared else found

    levels = context.confidence.claim_alpha, context.confidence.corrected_alpha(comparisons)
    claim, corrected = (bounds(alpha) for alpha in levels)
    return Measurement(
        "brier_rise",
        means[1] - means[0],
        len(here.side) + len(there.side),
        Bounds(claim, corrected, _method(here.side), comparisons),
        there.side.name,
        f"Brier score {means[1]:.4g}, in distribution {means[0]:.4g}.",
    )


def _shared_rise(here: _Calibrated, there: _Calibrated, alpha: float, seed: int) -> Interval:
    """Bounds that allow for clusters on both sides, as `ece_bounds` makes them of one.

    Signs of the rows themselves overshoot an error and crossed ones fall short of it, so that the
    first on the set and the second in distribution bound the rise from above, and the other way
    round from below.
    """
    clusters = _clusters(here, there)
    # One seed for every level, as for the bounds of one side.
    inside, outside = (
        crossed_errors(one.plain, np.random.default_rng(seed), one.side.data.clusters)
        for one in (here, there)
    )
    upper = mean_difference(own_errors(there.plain), inside, clusters, alpha / 2).upper
    lower = mean_difference(outside, own_errors(here.plain), clusters, alpha / 2).lower
    return Interval(
        None if lower is None else max(lower, -1.0), None if upper is None else min(upper, 1.0)
    )


def _clusters(here: _Calibrated, there: _Calibrated) -> tuple[Clusters, Clusters]:
    return there.side.data.clusters, here.side.data.clusters


def _gain(
    context: Context, found: Sequence[_Calibrated], fitted: tuple[float, Side], seed: int
) -> Measurement:
    """What the temperature mends in distribution, with everything else beside it."""
    here, (temperature, by) = found[0], fitted
    levels = context.confidence.claim_alpha, context.confidence.corrected_alpha(1)
    claim, corrected = (_mended(here, alpha, seed) for alpha in levels)
    gains = Estimates(
        "What the temperature takes off the calibration error",
        tuple(
            Estimate(
                one.side.name,
                len(one.side),
                one.plain.ece - one.warm.ece,
                _mended(one, WHISKER_ALPHA, seed),
            )
            for one in found
        ),
        WHISKER_LEVEL,
        PAIRED,
        0.0,
        "nothing",
        "set",
    )
    return Measurement(
        "scaling_gain",
        here.plain.ece - here.warm.ece,
        len(here.side),
        Bounds(claim, corrected, PAIRED),
        here.side.slice,
        f"Temperature {temperature:.3g}: calibration error {here.plain.ece:.4g} as answered, "
        f"{here.warm.ece:.4g} scaled. Fitted to {len(by):,} rows: {by.name}.",
        evidence=(_errors(found, seed), gains, _table(found, temperature)),
    )


def _mended(one: _Calibrated, alpha: float, seed: int) -> Interval:
    rng = np.random.default_rng(seed)
    return ece_change(one.warm, one.plain, one.side.data.clusters, alpha, rng)


def _errors(found: Sequence[_Calibrated], seed: int) -> Estimates:
    rows = tuple(
        Estimate(
            one.side.name,
            len(one.side),
            one.plain.ece,
            _error_bounds(one, WHISKER_ALPHA, seed),
        )
        for one in found
    )
    return Estimates(
        "Expected calibration error in distribution and on each set",
        rows,
        WHISKER_LEVEL,
        f"{_method(found[0].side)}, cross-fitted",
        found[0].plain.ece,
        INSIDE,
        "set",
    )


def _table(found: Sequence[_Calibrated], temperature: float) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            one.side.name,
            len(one.side),
            float(one.side.right.mean()),
            float(one.side.probabilities.max(axis=1).mean()),
            one.plain.ece,
            one.warm.ece,
            float(one.brier.mean()),
            float(one.warm_brier.mean()),
        )
        for one in found
    ]
    return Table(
        f"As answered, and at the temperature {temperature:.3g} fitted in distribution",
        (
            "rows", "n", "accuracy", "confidence, mean", "ECE", "ECE, scaled", "Brier",
            "Brier, scaled",
        ),
        tuple(rows),
    )  # fmt: skip
