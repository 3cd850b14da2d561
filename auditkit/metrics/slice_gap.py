"""The largest confirmed gap of the worst slices, as a measurement."""

from __future__ import annotations

from collections.abc import Sequence

from auditkit.check import Context
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Estimate,
    Estimates,
    Interval,
    Measurement,
    Table,
)
from auditkit.metrics.slices import FEWEST, Found, Judged, SliceParams, find_slices
from auditkit.stats.gaps import Comparison, combine_max
from auditkit.stats.intervals import wilson
from auditkit.stats.power import smallest_detectable_gap


def slice_gap(context: Context, params: SliceParams) -> Measurement:
    """How much less accurate the worst slices are than the rest, on rows that were not searched.

    Raises:
        AuditkitError: As `find_slices`.
    """
    answers = context.predictor.predict(context.data.inputs)
    corrected = context.confidence.corrected_alpha(params.candidates)
    found = find_slices(context.data, answers, params, corrected)
    n = len(context.data)
    if not found.judged:
        least = 4 * params.minimum_rows
        return Measurement(
            "gap", None, n, None,
            note=f"no property splits both halves into parts of {params.minimum_rows} rows or more",
            least_n=least if n < least else None,
        )  # fmt: skip
    claim = context.confidence.claim_alpha
    compared = [one.comparison(claim, corrected) for one in found.judged]
    largest = combine_max(compared, both_ways=False)
    smallest = min(found.judged, key=lambda one: min(one.effective[0].n, one.effective[1].n))
    return Measurement(
        name="gap",
        value=largest.value,
        n=n,
        bounds=Bounds(largest.claim, largest.corrected, "Newcombe", params.candidates),
        note=_note(found, params.minimum_rows),
        detectable=_detectable(smallest, corrected),
        evidence=(_table(found, compared), _chart(found)),
    )


def _note(found: Found, least: int) -> str:
    widest = max(found.judged, key=lambda one: one.gap)
    searched, n = int(found.half.sum()), len(found.half)
    share = f"{least / max(searched, 1):.0%}"
    said = [
        f"Widest where {widest.slice.words}: {widest.right[0]:,} of {widest.sizes[0]:,} right, of "
        f"the rest {widest.right[1]:,} of {widest.sizes[1]:,}.",
        f"Searched on {searched:,} rows, judged on the other {n - searched:,}; slices of fewer "
        f"than {least:,} rows in either ({share} of them) were not looked at.",
    ]
    small = sum(min(one.effective[0].n, one.effective[1].n) < FEWEST for one in found.judged)
    if small:
        said.append(f"Too few independent rows for a pass: {small} slices.")
    return " ".join(said)


def _detectable(one: Judged, alpha: float) -> float | None:
    inside, outside = (int(counts.n) for counts in one.effective)
    return smallest_detectable_gap(inside, outside, sum(one.right) / sum(one.sizes), alpha)


def _table(found: Found, compared: Sequence[Comparison]) -> Table:
    return Table(
        "Worst slices of the searched half, and what became of them on the other",
        ("slice", "slices like it", "rows searched", "accuracy searched", "rows judged",
         "accuracy judged", "accuracy of the rest", "gap", "at least (corrected)", "at most"),
        tuple(
            (
                one.slice.words, one.slice.alike, int((one.slice.rows & found.half).sum()),
                float(found.right[one.slice.rows & found.half].mean()), one.sizes[0],
                one.right[0] / one.sizes[0], one.right[1] / one.sizes[1], one.gap,
                gap.corrected.lower, gap.claim.upper,
            )
            for one, gap in zip(found.judged, compared, strict=True)
        ),
    )  # fmt: skip


def _chart(found: Found) -> Estimates:
    judged = ~found.half
    return Estimates(
        title="Accuracy of the slices on the half that was not searched",
        rows=tuple(_estimate(one) for one in found.judged),
        level=WHISKER_LEVEL,
        method="Wilson",
        reference=float(found.right[judged].mean()),
        reference_label="all rows judged",
    )


def _estimate(one: Judged) -> Estimate:
    k, n, effective = one.right[0], one.sizes[0], one.effective[0]
    interval: Interval = wilson(effective.k, effective.n, WHISKER_ALPHA)
    return Estimate(one.slice.words, n, k / n, interval, k)
