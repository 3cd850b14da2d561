"""Quantities of all rows: the headline metric, and the calibration error."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Confidence
from auditkit.data import AuditData
from auditkit.plan import PlannedCheck
from auditkit.resolution.resolved import ASSUMED_RATE, POWER, Resolution
from auditkit.resolution.rows import units
from auditkit.stats.bounded import bernstein_margin
from auditkit.stats.intervals import critical_t, critical_value, rate
from auditkit.stats.paired import paired_difference
from auditkit.stats.power import smallest_detectable_drop, smallest_detectable_paired

_DRAWS, _SEED = 400, 21
_MOST_ROWS = 10_000_000


def metric_resolutions(
    entry: PlannedCheck, data: AuditData, confidence: Confidence
) -> Iterator[Resolution]:
    """What accuracy, or balanced accuracy, and its gain over a constant answer can show."""
    assert data.labels is not None
    alphas = confidence.claim_alpha, confidence.corrected_alpha(1)
    metric = entry.params.metric
    n = units(data) if metric == "accuracy" else _worth(data)
    if n < 1:
        return
    limit = entry.limits["value"].value
    yield Resolution(
        check=entry.check.id, measure="value", attribute="", rate=metric, assumed=ASSUMED_RATE,
        smallest=n, smallest_group="", margin=_margin(n, alphas[0]),
        detectable=smallest_detectable_drop(
            n, ASSUMED_RATE if limit is None else limit, alphas[1], POWER
        ),
        limit=limit,
    )  # fmt: skip
    if metric == "accuracy":
        yield _gain(entry, data, n, alphas)


def calibration_resolutions(
    entry: PlannedCheck, data: AuditData, confidence: Confidence
) -> Iterator[Resolution]:
    """What the calibration error can show.

    Assumed is a perfectly calibrated model that is as often sure as not: its probabilities of the
    predicted class lie evenly between chance and 1.
    """
    claim, corrected = confidence.claim_alpha, confidence.corrected_alpha(1)
    n, limit = units(data), entry.limits["calibration_error"].value
    if n < 2:
        return
    sure = _evenly_sure(len(data.class_names), entry.params.bins)
    variance = float((sure * (1 - sure)).mean())
    clustered = data.clusters is not None
    found = _ece_margin(n, variance, corrected, clustered)
    found += critical_value(1 - POWER) * math.sqrt(variance / n)
    chance = needed = total = None
    if limit is not None:
        chance = _calibrated_chance(n, sure, limit, claim, clustered)
        needed = _rows_to_pass(sure, limit, claim, clustered)
        total = None if needed is None else math.ceil(len(data) * needed / n)
    yield Resolution(
        check=entry.check.id, measure="calibration_error", attribute="",
        rate="calibration error", assumed=0.0, smallest=n, smallest_group="",
        margin=_ece_margin(n, variance, claim, clustered),
        detectable=found if found <= 1 else None, limit=limit, pass_chance=chance, needed=needed,
        needed_total=total,
    )  # fmt: skip


def _worth(data: AuditData) -> int:
    """Rows of one rate that say as much as the mean of the classes' recalls does."""
    assert data.labels is not None
    sizes = [units(data, data.labels == index) for index in np.unique(data.labels)]
    return math.floor(len(sizes) ** 2 / sum(1 / size for size in sizes)) if sizes else 0


def _margin(n: int, alpha: float) -> float:
    lower = rate(ASSUMED_RATE * n, n, alpha).lower
    assert lower is not None
    return ASSUMED_RATE - lower


def _gain(entry: PlannedCheck, data: AuditData, n: int, alphas: tuple[float, float]) -> Resolution:
    """Over always answering the most frequent class, if the model is as often right in each."""
    assert data.labels is not None
    most = float(np.bincount(data.labels).max() / len(data))
    only_model, only_constant = ASSUMED_RATE * (1 - most), (1 - ASSUMED_RATE) * most
    lower = paired_difference(only_model * n, only_constant * n, n, alphas[0]).lower
    assert lower is not None
    return Resolution(
        check=entry.check.id, measure="gain", attribute="", rate="gain in accuracy",
        assumed=only_model - only_constant, smallest=n, smallest_group="",
        margin=only_model - only_constant - lower,
        detectable=smallest_detectable_paired(n, only_model + only_constant, alphas[1], POWER),
        limit=entry.limits["gain"].value,
    )  # fmt: skip


def _evenly_sure(classes: int, bins: int) -> NDArray[np.float64]:
    """The middle of every bin of probabilities that the predicted class can have."""
    middles = (np.arange(bins) + 0.5) / bins
    return middles[middles >= 1 / max(classes, 2)]


def _ece_margin(n: int, variance: float, alpha: float, clustered: bool) -> float:
    """How far the bound of a calibration error lies from it, as `ece_bounds` has it."""
    if clustered:
        return critical_t(alpha, n - 1) * math.sqrt(variance / n)
    return bernstein_margin(n, variance, 2.0, alpha)


def _calibrated_chance(
    n: int,
    sure: NDArray[np.float64],
    limit: float,
    alpha: float,
    clustered: bool,
) -> float:
    """Chance that a perfectly calibrated model passes, by simulation of its bins."""
    rng = np.random.default_rng(_SEED)
    sizes = np.full(len(sure), n // len(sure))
    sizes[: n % len(sure)] += 1
    right = rng.binomial(sizes, sure, size=(_DRAWS, len(sure)))
    measured = np.abs(sizes * sure - right).sum(axis=1) / n
    margin = _ece_margin(n, float((sure * (1 - sure)).mean()), alpha, clustered)
    return float((measured + margin <= limit).mean())


def _rows_to_pass(
    sure: NDArray[np.float64], limit: float, alpha: float, clustered: bool
) -> int | None:
    low, high = 1, 2
    while _calibrated_chance(high, sure, limit, alpha, clustered) < POWER:
        low, high = high, 2 * high
        if high > _MOST_ROWS:
            return None
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        enough = _calibrated_chance(middle, sure, limit, alpha, clustered) >= POWER
        low, high = (low, middle) if enough else (middle, high)
    return high
