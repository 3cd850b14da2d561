"""Shares of the groups among the audited rows, against a population's or another split's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import MISSING, Attribute, AuditData
from auditkit.errors import DataError, NotApplicable, nearest
from auditkit.finding import Bounds, Interval, Measurement, Table
from auditkit.metrics.group_choice import GroupChoice, chosen_attributes
from auditkit.stats.differences import difference
from auditkit.stats.gaps import Comparison, combine_max
from auditkit.stats.intervals import clopper_pearson, effective_counts

Unknown = Literal["bounded", "left-out"]
Shares = Mapping[str, Mapping[str, float]]
"""Share of each group of a population, by attribute."""


@dataclass(frozen=True, slots=True)
class ShareParams:
    """Which groups a check of shares looks at."""

    attributes: tuple[str, ...] = ()
    """Sensitive attributes to look at; empty for all."""
    intersections: bool = True
    """Also look at every two attributes crossed."""
    unknown: Unknown = "bounded"
    """Rows whose group is missing: "bounded" takes the worst of all groups they may be of,
    "left-out" takes them as missing at random."""

    def chosen(self, data: AuditData) -> list[Attribute]:
        """The attributes, intersections included when wanted."""
        return chosen_attributes(data, GroupChoice(self.attributes, self.intersections))


class _Count(NamedTuple):
    """Rows of a group out of all rows, as effective counts."""

    k: float
    n: float

    @property
    def share(self) -> float:
        return self.k / self.n if self.n else 0.0


class _Share(NamedTuple):
    """A group among some rows: the known ones, and with the unknown ones at most and at least."""

    rows: int
    known: _Count
    highest: _Count
    lowest: _Count


class _Compared(NamedTuple):
    """A group's share less its share in the reference."""

    group: str
    rows: int
    share: float
    reference: float
    claim: Interval
    corrected: Interval
    region: tuple[float, float]


def shares_against_population(
    context: Context, population: Shares, params: ShareParams
) -> Iterator[Measurement]:
    """Largest difference of a share from that in a population whose shares are exact.

    Raises:
        DataError: The population names an attribute the data lack, or lacks a group they have.
        NotApplicable: It names none of the attributes looked at.
    """
    chosen = params.chosen(context.data)
    _check_names(context.data, population)
    attributes = [_with_groups(a, population[a.name]) for a in chosen if a.name in population]
    if not attributes:
        raise NotApplicable("params.shares_file has no shares of the attributes looked at.")
    comparisons = 2 * sum(len(a.levels) for a in attributes)
    levels = _levels(context, comparisons)
    for attribute in attributes:
        rows = [
            _from_exact(level, share, population[attribute.name].get(level, 0.0), levels)
            for level, share in _shares(context.data, attribute, params, levels[1]).items()
        ]
        yield _measured(attribute, rows, comparisons, "Clopper-Pearson", params)


def shares_against_rows(
    context: Context, reference: AuditData, params: ShareParams
) -> Iterator[Measurement]:
    """Largest difference of a share from that among other rows, which are a sample, too."""
    others = {a.name: a for a in params.chosen(reference)}
    attributes = [
        _with_groups(a, others[a.name].levels if a.name in others else ())
        for a in params.chosen(context.data)
    ]
    comparisons = 2 * sum(len(a.levels) for a in attributes)
    levels = _levels(context, comparisons)
    for attribute in attributes:
        other = others.get(attribute.name)
        if other is None:
            continue
        there = _shares(reference, _with_groups(other, attribute.levels), params, levels[1])
        rows = [
            _from_rows(level, share, there[level], levels)
            for level, share in _shares(context.data, attribute, params, levels[1]).items()
        ]
        yield _measured(attribute, rows, comparisons, "Newcombe, wider where sparse", params)


def _levels(context: Context, comparisons: int) -> tuple[float, float]:
    return context.confidence.claim_alpha, context.confidence.corrected_alpha(comparisons)


def _from_exact(group: str, own: _Share, share: float, levels: tuple[float, float]) -> _Compared:
    def interval(alpha: float) -> Interval:
        lower, upper = clopper_pearson(*own.lowest, alpha), clopper_pearson(*own.highest, alpha)
        assert lower.lower is not None
        assert upper.upper is not None
        return Interval(lower.lower - share, upper.upper - share)

    claim, corrected = map(interval, levels)
    region = own.lowest.share - share, own.highest.share - share
    return _Compared(group, own.rows, own.known.share, share, claim, corrected, region)


def _from_rows(group: str, own: _Share, other: _Share, levels: tuple[float, float]) -> _Compared:
    def interval(alpha: float) -> Interval:
        upper = difference(*own.highest, *other.lowest, alpha).upper
        return Interval(difference(*own.lowest, *other.highest, alpha).lower, upper)

    claim, corrected = map(interval, levels)
    region = own.lowest.share - other.highest.share, own.highest.share - other.lowest.share
    shares = own.known.share, other.known.share
    return _Compared(group, own.rows, *shares, claim, corrected, region)


def _measured(
    attribute: Attribute,
    rows: Sequence[_Compared],
    comparisons: int,
    method: str,
    params: ShareParams,
) -> Measurement:
    n = sum(row.rows for row in rows)
    table = Table(
        title=f"Shares by {attribute.name}",
        columns=("group", "rows", "share", "reference", "difference", "lower", "upper"),
        rows=tuple(
            (r.group, r.rows, r.share, r.reference, r.share - r.reference, r.claim.lower,
             r.claim.upper)
            for r in rows
        ),
    )  # fmt: skip
    if n == 0:
        return Measurement(
            "share_difference", None, 0, None, attribute.name, "no row is of a known group",
            evidence=(table,),
        )  # fmt: skip
    largest = combine_max([Comparison(r.share - r.reference, r.claim, r.corrected) for r in rows])
    assert largest.widest is not None
    widest = rows[largest.widest]
    bounded = attribute.missing > 0 and params.unknown == "bounded"
    region = _region(rows) if bounded else None
    return Measurement(
        name="share_difference",
        value=largest.value,
        n=n,
        bounds=Bounds(largest.claim, largest.corrected, method, comparisons),
        slice=attribute.name,
        note=_note(widest, attribute, region),
        evidence=(table,),
        region=region,
    )


def _note(widest: _Compared, attribute: Attribute, region: Interval | None) -> str:
    said = (
        f"Largest for {widest.group}: {widest.share:.1%} of these rows, {widest.reference:.1%} of "
        "the reference."
    )
    if not attribute.missing:
        return said
    said += f" {attribute.missing:,} rows of unknown {attribute.name}"
    if region is None:
        return said + " are left out, as if they were missing at random."
    return said + (
        f": depending on their groups, the difference is between {region.lower:.4g} and "
        f"{region.upper:.4g}."
    )


def _region(rows: Sequence[_Compared]) -> Interval:
    best = max(max(r.region[0], -r.region[1], 0.0) for r in rows)
    return Interval(best, max(max(r.region[1], -r.region[0]) for r in rows))


def _shares(
    data: AuditData, attribute: Attribute, params: ShareParams, alpha: float
) -> dict[str, _Share]:
    """Every group's count out of all rows it could be of."""
    found = {}
    known = attribute.codes != MISSING
    bounded = params.unknown == "bounded" and attribute.missing > 0
    everyone = np.ones(len(known), dtype=bool)
    for code, level in enumerate(attribute.levels):
        own = attribute.codes == code
        count = _counted(data, own, known, alpha)
        highest = lowest = count
        if bounded:
            highest = _counted(data, own | attribute.could_be(code), everyone, alpha)
            lowest = _counted(data, own, everyone, alpha)
        found[level] = _Share(int(own.sum()), count, highest, lowest)
    return found


def _counted(
    data: AuditData, member: NDArray[np.bool_], among: NDArray[np.bool_], alpha: float
) -> _Count:
    if data.clusters is None:
        return _Count(float(member.sum()), float(among.sum()))
    return _Count(*effective_counts(member[among], data.clusters[among], alpha))


def _with_groups(attribute: Attribute, names: Iterable[str]) -> Attribute:
    """The attribute with these groups, too, of which it has no row."""
    more = sorted(set(names) - set(attribute.levels))
    if not more:
        return attribute
    part_codes = attribute.part_codes
    if part_codes is not None:
        part_codes = np.concatenate([part_codes, _codes_of(attribute, more)])
    return replace(attribute, levels=(*attribute.levels, *more), part_codes=part_codes)


def _codes_of(attribute: Attribute, names: Sequence[str]) -> NDArray[np.int64]:
    """Codes in the parts of combinations named "f × x"; one that is in no part has none."""
    first, second = attribute.parts
    known = {f"{a} × {b}": (i, j) for i, a in enumerate(first.levels)
             for j, b in enumerate(second.levels)}  # fmt: skip
    nowhere = (len(first.levels), len(second.levels))
    return np.array([known.get(name, nowhere) for name in names], dtype=np.int64)


def _check_names(data: AuditData, population: Shares) -> None:
    crossed = (a.cross(b) for a, b in combinations(data.groups.values(), 2))
    known = {a.name: a for a in (*data.groups.values(), *crossed)}
    for name, shares in population.items():
        if name not in known:
            raise DataError(
                f"params.shares_file: no sensitive attribute is called {name!r}.",
                nearest(name, known),
            )
        lacking = [level for level in known[name].levels if level not in shares]
        if lacking:
            raise DataError(
                f"params.shares_file has no share for {lacking[0]!r} of {name!r}.",
                nearest(lacking[0], shares) or "A group outside the population has the share 0.",
            )
