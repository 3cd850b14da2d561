"""Accuracy by the length of a text, and by other properties of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from auditkit.check import Context
from auditkit.data import Attribute, AuditData
from auditkit.errors import NotApplicable
from auditkit.finding import WHISKER_ALPHA, WHISKER_LEVEL, Bounds, Estimate, Estimates, Measurement
from auditkit.metrics.shifted import Flags, Rows, share_interval
from auditkit.metrics.slice_features import are_texts, features_of
from auditkit.metrics.validity import words_of
from auditkit.stats.gaps import GroupBounds, pairwise_difference_bounds
from auditkit.stats.intervals import effective_counts

LEAST = 20
"""Rows that have a property, and rows that lack it, below which it is not shown."""


@dataclass(frozen=True, slots=True)
class LengthParams:
    """How texts are put into bands of length."""

    bands: int = 5
    """Bands of about equally many texts, by their number of words."""
    minimum_rows: int = 30
    """Rows of a band below which nothing is claimed of it."""

    def __post_init__(self) -> None:
        if not 2 <= self.bands <= 20:
            raise ValueError(f"bands must lie between 2 and 20, not {self.bands}")
        if self.minimum_rows < 1:
            raise ValueError(f"minimum_rows must be at least 1, not {self.minimum_rows}")


def length_bands(data: AuditData, bands: int) -> Attribute:
    """Which band of length each row is in, shortest first; fewer bands where lengths are tied.

    Raises:
        NotApplicable: The inputs are no texts, or all about equally long.
    """
    if not are_texts(data):
        raise NotApplicable("the inputs are no texts whose length could be told.")
    lengths = np.array([len(words_of(text)) for text in data.inputs], dtype=np.int64)
    shares = np.arange(1, bands) / bands
    ends = np.unique(np.quantile(lengths, shares, method="lower")).astype(np.int64)
    ends = ends[ends < lengths.max()]
    if not len(ends):
        raise NotApplicable("nearly all texts have the same number of words.")
    lows, highs = [0, *(ends + 1).tolist()], [*ends.tolist(), int(lengths.max())]
    levels = tuple(
        f"{low} words" if low == high else f"{low} to {high} words"
        for low, high in zip([int(lengths.min()), *lows[1:]], highs, strict=True)
    )
    return Attribute("length", levels, np.searchsorted(ends, lengths).astype(np.int64))


def length_measurements(context: Context, params: LengthParams) -> Iterator[Measurement]:
    """The largest difference of accuracy between two bands of length."""
    data = context.data
    bands = length_bands(data, params.bands)
    right = np.asarray(context.predictor.predict(data.inputs).labels == data.labels)
    found = _largest_gap(context, right, bands, params)
    widest = ""
    if found.pair is not None:
        best, worst = (bands.levels[code] for code in found.pair)
        widest = f"{best} against {worst}."
    yield Measurement(
        "gap",
        found.value,
        len(data),
        Bounds(found.claim, found.corrected, found.method, found.comparisons),
        note=widest or "there are fewer than two bands.",
        least_n=params.minimum_rows * len(bands.levels) if found.small else None,
        evidence=(_by_length(right, bands, data), _by_property(right, data)),
    )


def _largest_gap(
    context: Context, right: Flags, bands: Attribute, params: LengthParams
) -> GroupBounds:
    clusters, confidence = context.data.clusters, context.confidence
    comparisons = len(bands.levels) * (len(bands.levels) - 1)
    alpha = confidence.corrected_alpha(comparisons)
    counts = [
        _counts(right[bands.codes == code], None, alpha)
        if clusters is None
        else _counts(right[bands.codes == code], clusters[bands.codes == code], alpha)
        for code in range(len(bands.levels))
    ]
    hits, sizes = (np.array(column) for column in zip(*counts, strict=True))
    return pairwise_difference_bounds(
        hits, sizes, confidence.claim_alpha, alpha, params.minimum_rows
    )


def _counts(right: Flags, clusters: Rows | None, alpha: float) -> tuple[float, float]:
    if clusters is None:
        return float(right.sum()), float(len(right))
    return effective_counts(right, clusters, alpha)


def _by_length(right: Flags, bands: Attribute, data: AuditData) -> Estimates:
    rows = [
        _estimate(level, right, bands.codes == code, data)
        for code, level in enumerate(bands.levels)
    ]
    return _estimates("Accuracy by length", rows, right, data)


def _by_property(right: Flags, data: AuditData) -> Estimates:
    features = features_of(data, (), 0, LEAST)
    rows = [
        _estimate(feature.words, right, features.member[:, place], data)
        for place, feature in enumerate(features.each)
        if feature.kind != "length"
    ]
    return _estimates("Accuracy by property of the text", rows, right, data)


def _estimate(name: str, right: Flags, member: Flags, data: AuditData) -> Estimate:
    own = None if data.clusters is None else data.clusters[member]
    hits, n = int(right[member].sum()), int(member.sum())
    whisker = share_interval(right[member], own, WHISKER_ALPHA)
    return Estimate(name, n, hits / n if n else None, whisker, hits, "" if n else "no row")


def _estimates(title: str, rows: list[Estimate], right: Flags, data: AuditData) -> Estimates:
    method = "Clopper-Pearson" + ("" if data.clusters is None else " on effective counts")
    return Estimates(title, tuple(rows), WHISKER_LEVEL, method, float(right.mean()), "all rows")
