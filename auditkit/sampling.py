"""A sample of the audited rows: seeded, stratified by class and groups, small groups kept whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.data import AuditData

WHOLE_GROUP = 400
"""Rows up to which a group is kept whole where possible; about what finding a gap of 0.1 takes."""
WHOLE_SHARE = 0.25
"""Most of a sample that groups kept whole may fill, so that the rest still looks like the data."""

_STREAM = 0x5A3D1E


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Rows drawn from the audited split.

    Attributes:
        rows: Row numbers, ascending.
        whole: Groups of which every row was drawn on purpose, as "attribute: group".
        note: What the reader of a report has to know, in a sentence or two.
    """

    rows: NDArray[np.int64]
    whole: tuple[str, ...]
    note: str


def draw(data: AuditData, size: int, seed: int) -> Sample:
    """Draw `size` rows, or all when there are no more.

    Groups of at most `WHOLE_GROUP` rows are kept whole, smallest first, while together they fill
    no more than `WHOLE_SHARE` of the sample. The other rows are drawn in proportion from every
    combination of class and groups. The same data, size and seed give the same rows.
    """
    n = len(data)
    if size >= n:
        return Sample(np.arange(n), (), f"All {n:,} rows; the sample asked for is no smaller.")
    kept, whole = _whole_groups(data, size)
    rest = np.flatnonzero(~kept)
    drawn = rest[_proportional(data.strata()[rest], size - int(kept.sum()), seed)]
    rows = np.sort(np.concatenate([np.flatnonzero(kept), drawn])).astype(np.int64)
    note = f"{size:,} of {n:,} rows, drawn with the seed {seed} in proportion to class and groups."
    if whole:
        note += (
            f" Kept whole: {', '.join(whole[:5])}{', …' if len(whole) > 5 else ''}; numbers over "
            "all rows give these rows more weight than the data do."
        )
    return Sample(rows, whole, note)


def _whole_groups(data: AuditData, size: int) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    kept = np.zeros(len(data), dtype=bool)
    whole: list[str] = []
    groups = [
        (int(count), attribute.name, code)
        for attribute in data.groups.values()
        for code, count in enumerate(attribute.sizes())
        if 0 < count <= WHOLE_GROUP
    ]
    for _, name, code in sorted(groups):
        attribute = data.groups[name]
        grown = kept | (attribute.codes == code)
        if grown.sum() > WHOLE_SHARE * size:
            break
        kept = grown
        whole.append(f"{name}: {attribute.levels[code]}")
    return kept, tuple(whole)


def _proportional(strata: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """Positions of `size` rows, from every stratum its share by largest remainder."""
    names, strata = np.unique(strata, return_inverse=True)
    counts = np.bincount(strata, minlength=len(names))
    exact = counts * size / counts.sum()
    share = np.floor(exact).astype(np.int64)
    order = np.argsort(share - exact, kind="stable")  # the largest remainder first
    share[order[: size - int(share.sum())]] += 1
    shuffled = np.random.default_rng([seed, _STREAM]).permutation(len(strata))
    grouped = shuffled[np.argsort(strata[shuffled], kind="stable")]
    starts = np.cumsum(counts) - counts
    rank = np.arange(len(strata)) - starts[strata[grouped]]
    return np.sort(grouped[rank < share[strata[grouped]]])
