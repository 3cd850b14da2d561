"""Texts and their contrasts: the same text changed on purpose, so that the label changes or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from auditkit.check import Context
from auditkit.data import AuditData, Shift, unit_id
from auditkit.errors import NotApplicable
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Estimate,
    Estimates,
    Interval,
    Measurement,
)
from auditkit.metrics.shifted import Flags, Rows, share_interval
from auditkit.stats.intervals import Floats, mean_interval
from auditkit.stats.paired import paired_gap


@dataclass(frozen=True, slots=True, eq=False)
class Contrasts:
    """n texts, each with its contrasts.

    Attributes:
        first: Whether the text itself is answered rightly, shape (n,).
        others: Share of its contrasts that are answered rightly, shape (n,).
        sizes: How many contrasts each has, shape (n,).
        clusters: Cluster of each text; None when the rows have none.
        units: What each is called in `Measurement.units`; None when the inputs are no texts.
        relabelled: How many of the texts have a contrast of another class.
    """

    first: Flags
    others: Floats
    sizes: Rows
    clusters: Rows | None
    units: tuple[str, ...] | None
    relabelled: int

    def __len__(self) -> int:
        return len(self.first)

    @property
    def consistent(self) -> Flags:
        """Whether the text and all its contrasts are answered rightly, shape (n,)."""
        return np.asarray(self.first & (self.others >= 1.0))


def contrasts(context: Context) -> Contrasts:
    """Every text that has a contrast, in the audited rows and the sets together.

    The first member of a pair is the one that comes first: in the audited rows, then in the sets in
    the order of the configuration. An id with one row only is left out.

    Raises:
        NotApplicable: No two labelled rows share an id.
    """
    return _answered(context, tied_rows(context.data, context.shifts))


def tied_rows(audited: AuditData, shifts: Mapping[str, Shift]) -> list[list[tuple[AuditData, int]]]:
    """The rows of every pair id that two labelled rows share, the first of them first.

    Raises:
        NotApplicable: There is no such id.
    """
    members: dict[str, list[tuple[AuditData, int]]] = {}
    # A row of a set that is an audited row, or was made from one, is there already.
    own = {name: np.flatnonzero(shift.origin < 0) for name, shift in shifts.items()}
    parts = [(audited, np.arange(len(audited)))]
    parts += [(shift.data, own[name]) for name, shift in shifts.items()]
    for data, rows in parts:
        if data.pairs is None or data.labels is None:
            continue
        for row in rows.tolist():
            pair = data.pairs[row]
            if pair is not None:
                members.setdefault(pair, []).append((data, row))
    tied = [found for found in members.values() if len(found) > 1]
    if not tied:
        raise NotApplicable("no two labelled rows have the same pair id.")
    return tied


def _answered(context: Context, tied: Sequence[Sequence[tuple[AuditData, int]]]) -> Contrasts:
    flat = [member for found in tied for member in found]
    inputs = [data.inputs[row] for data, row in flat]
    labels = np.array([_label(data, row) for data, row in flat], dtype=np.int64)
    right = context.predictor.predict(inputs).labels == labels
    sizes = np.array([len(found) for found in tied], dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    total = np.add.reduceat(right.astype(np.float64), starts)
    first = right[starts]
    clusters = None
    if all(data.clusters is not None for data, _ in flat):
        clusters = np.array([_cluster(*found[0]) for found in tied], dtype=np.int64)
    units = None
    if all(isinstance(text, str) for text in inputs):
        ends = zip(starts.tolist(), (starts + sizes).tolist(), strict=True)
        units = tuple(unit_id("\0".join(inputs[start:end])) for start, end in ends)
    moved = [any(_label(*member) != _label(*found[0]) for member in found[1:]) for found in tied]
    return Contrasts(first, (total - first) / (sizes - 1), sizes - 1, clusters, units, sum(moved))


def _label(data: AuditData, row: int) -> int:
    assert data.labels is not None
    return int(data.labels[row])


def _cluster(data: AuditData, row: int) -> int:
    assert data.clusters is not None
    return int(data.clusters[row])


def contrast_measurements(context: Context) -> Iterator[Measurement]:
    """Accuracy lost from a text to its contrasts, and how often all of them are right."""
    found = contrasts(context)
    drop = found.first - found.others
    levels = context.confidence.claim_alpha, context.confidence.corrected_alpha(1)
    claim, corrected = (_drop_interval(found, alpha) for alpha in levels)
    paired = "paired, cluster-robust t"
    if found.clusters is None:
        paired = "Tango, paired" if (found.sizes == 1).all() else "paired t"
    yield Measurement(
        "drop",
        float(drop.mean()),
        len(found),
        Bounds(claim, corrected, paired),
        note=f"Accuracy {found.first.mean():.4g} on the texts, {found.others.mean():.4g} on their "
        f"contrasts; {found.relabelled:,} of {len(found):,} have a contrast of another class.",
        evidence=(_accuracies(found),),
        units=_units(found, drop),
    )
    claim, corrected = (share_interval(found.consistent, found.clusters, a) for a in levels)
    yield Measurement(
        "consistency",
        float(found.consistent.mean()),
        len(found),
        Bounds(claim, corrected, _share_method(found)),
        note=f"{int(found.consistent.sum()):,} of {len(found):,} texts are answered rightly with "
        "all their contrasts.",
        units=_units(found, found.consistent.astype(np.float64)),
    )


def _drop_interval(found: Contrasts, alpha: float) -> Interval:
    if found.clusters is None and (found.sizes == 1).all():
        lost = int((found.first & (found.others < 1)).sum())
        won = int((~found.first & (found.others == 1)).sum())
        return paired_gap(lost, won, len(found), alpha)
    return mean_interval(found.first - found.others, alpha, found.clusters, support=(-1.0, 1.0))


def _units(found: Contrasts, values: Floats) -> dict[str, float]:
    if found.units is None:
        return {}
    return dict(zip(found.units, values.tolist(), strict=True))


def _share_method(found: Contrasts) -> str:
    return "Clopper-Pearson" + ("" if found.clusters is None else " on effective counts")


def _accuracies(found: Contrasts) -> Estimates:
    rows = []
    for name, flags in (
        ("the texts", found.first),
        ("all contrasts of a text", found.others >= 1.0),
        ("both", found.consistent),
    ):
        hits, n = int(flags.sum()), len(found)
        whisker = share_interval(np.asarray(flags), found.clusters, WHISKER_ALPHA)
        rows.append(Estimate(name, n, hits / n, whisker, hits))
    return Estimates("Answered rightly", tuple(rows), WHISKER_LEVEL, _share_method(found))
