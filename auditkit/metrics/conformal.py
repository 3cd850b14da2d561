"""Sets of classes that hold the true one as often as promised: split conformal prediction."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from auditkit.check import Context
from auditkit.data import MISSING, Attribute, AuditData, unit_id
from auditkit.errors import NotApplicable, nearest
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
from auditkit.metrics.shifted import (
    Flags,
    Rows,
    Side,
    guarded,
    halves,
    share_interval,
    sides,
)
from auditkit.stats.gaps import Comparison, combine_max
from auditkit.stats.intervals import Floats

MOST_UNITS = 5_000

Score = Literal["lac", "aps"]


@dataclass(frozen=True, slots=True)
class ConformalParams:
    """How the sets are made."""

    level: float = 0.9
    """Share of rows whose set is to hold the true class."""
    score: Score = "lac"
    """lac: classes of at least some probability, the smallest sets. aps: the most probable classes
    until their probabilities sum to some share, more even over easy and hard rows."""
    within: str = ""
    """A sensitive attribute for each of whose groups the sets are calibrated separately; their
    coverage then holds in each group. Empty calibrates once for all rows."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.level < 1:
            raise ValueError(f"level must lie between 0.5 and 1, not {self.level}")


def class_scores(probabilities: Floats, score: Score) -> Floats:
    """How badly each class fits each row, shape (n, k); a set holds those up to a threshold.

    lac is 1 - p (Sadinle, Lei & Wasserman 2019). aps is the sum of the probabilities of all classes
    at least as probable (Romano, Sesia & Candes 2020), without randomisation.
    """
    if score == "lac":
        return 1.0 - probabilities
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, axis=1)
    sums = np.cumsum(ordered, axis=1)
    found = np.empty_like(sums)
    np.put_along_axis(found, order, sums, axis=1)
    return found


def threshold(scores: Floats, level: float) -> float:
    """The ceil((n + 1) level)-th smallest score; infinite when there are not so many.

    A further, exchangeable score is at most this with probability at least `level`, and at most
    level + 1/(n + 1) without ties (Vovk, Gammerman & Shafer 2005).
    """
    rank = math.ceil((len(scores) + 1) * level - 1e-9)
    return math.inf if rank > len(scores) else float(np.sort(scores)[rank - 1])


@dataclass(frozen=True, slots=True, eq=False)
class Thresholds:
    """One threshold for all rows, or one for each group.

    Attributes:
        overall: For every row whose group has none.
        attribute: What `groups` are of; empty when there are none.
        groups: By name of the group.
    """

    overall: float
    attribute: str
    groups: dict[str, float]

    @classmethod
    def of(cls, scores: Floats, level: float, attribute: Attribute | None = None) -> Thresholds:
        """Calibrate on the scores of the true classes of n rows, shape (n,)."""
        if attribute is None:
            return cls(threshold(scores, level), "", {})
        groups = {
            name: threshold(scores[attribute.codes == code], level)
            for code, name in enumerate(attribute.levels)
        }
        return cls(threshold(scores, level), attribute.name, groups)

    def for_rows(self, data: AuditData) -> Floats:
        """The threshold of each row, shape (n,)."""
        found = np.full(len(data), self.overall)
        attribute = data.groups.get(self.attribute)
        if attribute is not None:
            for code, name in enumerate(attribute.levels):
                if name in self.groups:
                    found[attribute.codes == code] = self.groups[name]
        return found


def true_scores(scores: Floats, labels: Rows) -> Floats:
    """The score of each row's true class, shape (n,)."""
    return np.asarray(scores[np.arange(len(labels)), labels])


def conformal_measurements(context: Context, params: ConformalParams) -> Iterator[Measurement]:
    """Coverage promised less coverage reached: over all rows, in each group, on each set."""
    inside, sets = sides(context)
    chosen, judged = halves(inside.data)
    first, second = inside.rows(chosen), inside.rows(judged)
    attribute = _attribute(first.data, params.within)
    scores = true_scores(class_scores(first.probabilities, params.score), first.labels)
    thresholds = Thresholds.of(scores, params.level, attribute)
    if not len(second):
        raise NotApplicable("no row in distribution is left to judge by.")
    covered = {one.name: _covered(one, thresholds, params) for one in (second, *sets)}
    overall = _shortfall(context, "shortfall", second, covered[second.name], params.level, 1)
    yield replace(overall, evidence=(_sizes((second, *sets), thresholds, params),))
    for groups in second.data.groups.values():
        measured = _of_groups(context, second, covered[second.name], groups, params.level)
        if measured is not None:
            yield measured
    for one in sets:
        hits = covered[one.name]
        yield _shortfall(context, "shift_shortfall", one, hits, params.level, len(sets))


def _attribute(data: AuditData, name: str) -> Attribute | None:
    if name and name not in data.groups:
        raise NotApplicable(
            f"params.within: no sensitive attribute is called {name!r}. "
            f"{nearest(name, data.groups)}".strip()
        )
    return data.groups[name] if name else None


def _covered(side: Side, thresholds: Thresholds, params: ConformalParams) -> Flags:
    scores = true_scores(class_scores(side.probabilities, params.score), side.labels)
    return np.asarray(scores <= thresholds.for_rows(side.data))


def _shortfall(
    context: Context,
    name: str,
    side: Side,
    covered: Flags,
    level: float,
    comparisons: int,
) -> Measurement:
    found = _compared(context, covered, side.data.clusters, level, comparisons)
    units = {}
    if all(isinstance(text, str) for text in side.data.inputs):
        rows = zip(side.data.inputs, covered.tolist(), strict=True)
        units = {unit_id(text): level - one for text, one in rows}
    measured = Measurement(
        name,
        found.value,
        len(side),
        Bounds(found.claim, found.corrected, _method(side), comparisons),
        side.slice,
        f"{int(covered.sum()):,} of {len(side):,} sets hold the true class; {level:.0%} were "
        "promised.",
        units=units if len(units) <= MOST_UNITS else {},
    )
    return guarded(measured, len(side))


def _method(side: Side) -> str:
    return "Clopper-Pearson" + ("" if side.data.clusters is None else " on effective counts")


def _compared(
    context: Context, covered: Flags, clusters: Rows | None, level: float, comparisons: int
) -> Comparison:
    levels = context.confidence.claim_alpha, context.confidence.corrected_alpha(comparisons)
    ends = []
    for alpha in levels:
        share = share_interval(covered, clusters, alpha)
        assert share.lower is not None
        assert share.upper is not None
        ends.append(Interval(level - share.upper, level - share.lower))
    value = level - float(covered.mean()) if len(covered) else None
    return Comparison(value, *ends)


def _of_groups(
    context: Context, side: Side, covered: Flags, groups: Attribute, level: float
) -> Measurement | None:
    """The largest shortfall of a group; None where no group has a row."""
    present = [code for code in range(len(groups.levels)) if (groups.codes == code).any()]
    clusters = side.data.clusters
    found, rows = [], []
    for code in present:
        member = groups.codes == code
        own = None if clusters is None else clusters[member]
        found.append(_compared(context, covered[member], own, level, len(present)))
        hits, n = int(covered[member].sum()), int(member.sum())
        whisker = share_interval(covered[member], own, WHISKER_ALPHA)
        rows.append(Estimate(groups.levels[code], n, hits / n, whisker, hits))
    worst = combine_max(found, both_ways=False)
    if worst.value is None or worst.widest is None:
        return None
    unknown = int((groups.codes == MISSING).sum())
    said = f" {unknown} rows of unknown group are left out." if unknown else ""
    return Measurement(
        "group_shortfall",
        worst.value,
        int((groups.codes != MISSING).sum()),
        Bounds(worst.claim, worst.corrected, _method(side), len(present)),
        groups.name,
        f"Largest for {groups.levels[present[worst.widest]]}.{said}",
        evidence=(
            Estimates(
                f"Coverage by {groups.name}",
                tuple(rows),
                WHISKER_LEVEL,
                _method(side),
                level,
                "promised",
            ),
        ),
    )


def _sizes(all_sides: tuple[Side, ...], thresholds: Thresholds, params: ConformalParams) -> Table:
    rows = []
    for side in all_sides:
        scores = class_scores(side.probabilities, params.score)
        sizes = (scores <= thresholds.for_rows(side.data)[:, None]).sum(axis=1)
        single, empty = int((sizes == 1).sum()), int((sizes == 0).sum())
        rows.append((side.name, len(side), float(sizes.mean()), single, empty))
    return Table(
        "How many classes a set holds",
        ("rows", "n", "classes, mean", "sets of one class", "empty sets"),
        tuple(rows),
    )
