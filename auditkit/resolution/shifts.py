"""What lies out of distribution, was trained on, or is tied: rates and AUCs of rows that are known.

Rows are counted as everywhere here, and answers are assumed; the sets, splits and pairs themselves
are there before any answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from auditkit.check import Confidence
from auditkit.data import Attribute, AuditData, Shift, in_distribution
from auditkit.metrics.contrast import tied_rows
from auditkit.metrics.shifted import FEWEST, halves
from auditkit.plan import PlannedCheck
from auditkit.resolution.ranking import ASSUMED_AUC, auc_told, crossing
from auditkit.resolution.resolved import ASSUMED_RATE, POWER, Resolution
from auditkit.resolution.rows import counted_rows, units
from auditkit.stats.differences import difference_bounds
from auditkit.stats.intervals import critical_value, rate
from auditkit.stats.paired import paired_gap
from auditkit.stats.power import (
    auc_variance,
    smallest_detectable_drop,
    smallest_detectable_gap,
    smallest_detectable_paired,
)

_DRAWS, _SEED = 400, 23
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, eq=False)
class Audited:
    """The rows under audit, and those that are looked at beside them.

    Attributes:
        data: The audited rows.
        shifts: The sets out of distribution.
        training: Rows the model was trained on, where they are read.
        held_out: Splits neither audited nor trained on.
    """

    data: AuditData
    shifts: Mapping[str, Shift] = field(default_factory=dict)
    training: AuditData | None = None
    held_out: Mapping[str, AuditData] = field(default_factory=dict)

    @property
    def inside(self) -> AuditData:
        """The audited rows that no set has taken."""
        return self.data.rows(in_distribution(len(self.data), self.shifts))

    @property
    def labelled(self) -> dict[str, AuditData]:
        """The sets whose rows have labels."""
        return {
            name: shift.data
            for name, shift in self.shifts.items()
            if shift.data.labels is not None and len(shift.data)
        }


def drop_resolutions(
    entry: PlannedCheck, audited: Audited, confidence: Confidence
) -> Iterator[Resolution]:
    """What the drop in accuracy to each set can show."""
    sets, here = audited.labelled, units(audited.inside)
    levels = confidence.claim_alpha, confidence.corrected_alpha(len(sets))
    limit = entry.limits["drop"].value
    for name, data in sets.items():
        there = units(data)
        if min(here, there) < 1:
            continue
        small = (name,) if min(len(audited.inside), len(data)) < FEWEST else ()
        error = math.sqrt(ASSUMED_RATE * (1 - ASSUMED_RATE) * (1 / here + 1 / there))
        needed = total = chance = None
        if limit is not None:
            chance = 0.0 if small else _drop_chance(here, there, limit, levels[0])
        if limit is not None and limit > 0:
            share = ((critical_value(levels[0]) + critical_value(1 - POWER)) * error / limit) ** 2
            share = max(share, FEWEST / min(here, there))
            needed, total = math.ceil(share * there), math.ceil(share * len(audited.data))
        _, upper = difference_bounds(
            ASSUMED_RATE * here, here, ASSUMED_RATE * there, there, levels[0]
        )
        yield Resolution(
            check=entry.check.id, measure="drop", attribute=name, rate="accuracy on the set",
            assumed=ASSUMED_RATE, smallest=there, smallest_group=name, margin=float(upper),
            detectable=smallest_detectable_gap(here, there, ASSUMED_RATE, levels[1], POWER),
            limit=limit, pass_chance=chance, needed=needed, needed_total=total, small=small,
        )  # fmt: skip


def _drop_chance(here: int, there: int, limit: float, alpha: float) -> float:
    """Chance that equal accuracies are shown to drop by no more than the limit, by simulation."""
    hits = np.random.default_rng(_SEED).binomial([here, there], ASSUMED_RATE, size=(_DRAWS, 2))
    _, upper = difference_bounds(hits[:, 0], here, hits[:, 1], there, alpha)
    return float((upper <= limit).mean())


def coverage_resolutions(
    entry: PlannedCheck, audited: Audited, confidence: Confidence
) -> Iterator[Resolution]:
    """What the shortfall of coverage can show: of all rows, in the smallest groups, on the sets."""
    chosen, judged = halves(audited.inside)
    first, second = audited.inside.rows(chosen), audited.inside.rows(judged)
    sets = audited.labelled
    if not len(second) or not sets:
        return
    coverage = _Coverage(entry, confidence, units(first))
    yield coverage.of("shortfall", "", "", second, 1)
    for name, attribute in second.groups.items():
        yield from coverage.in_groups(name, attribute, second)
    for name, data in sets.items():
        yield coverage.of("shift_shortfall", name, name, data, len(sets))


@dataclass(frozen=True, slots=True)
class _Coverage:
    """Sets of classes that are calibrated on so many rows."""

    entry: PlannedCheck
    confidence: Confidence
    calibrated: int

    def in_groups(self, name: str, attribute: Attribute, data: AuditData) -> Iterator[Resolution]:
        """Of the group with the fewest rows that has any."""
        sizes = counted_rows(attribute, data)
        present = np.flatnonzero(sizes)
        if len(present):
            least = int(present[sizes[present].argmin()])
            rows = data.rows(np.flatnonzero(attribute.codes == least))
            group = attribute.levels[least]
            yield self.of("group_shortfall", name, group, rows, len(present))

    def of(
        self, measure: str, attribute: str, group: str, data: AuditData, comparisons: int
    ) -> Resolution:
        """Of these rows, if as many sets hold the true class as promised."""
        n, level = units(data), self.entry.params.level
        claim, corrected = self.confidence.claim_alpha, self.confidence.corrected_alpha(comparisons)
        limit = self.entry.limits[measure].value
        few = measure != "group_shortfall" and len(data) < FEWEST
        chance = None
        if limit is not None and not comparisons > 1:
            chance = 0.0 if few else self._chance(n, level - limit, claim)
        lower = rate(level * n, n, claim).lower
        assert lower is not None
        return Resolution(
            check=self.entry.check.id, measure=measure, attribute=attribute, rate="coverage",
            assumed=level, smallest=n, smallest_group=group, margin=level - lower,
            detectable=smallest_detectable_drop(n, level, corrected, POWER), limit=limit,
            pass_chance=chance, small=(group or "all rows",) if few else (),
        )  # fmt: skip

    def _chance(self, n: int, least: float, alpha: float) -> float:
        """Chance that coverage is shown to be at least so much.

        The coverage of sets that are calibrated on m rows has a beta distribution (Vovk 2012).
        """
        from scipy.stats import betabinom

        level, m = self.entry.params.level, self.calibrated
        rank = math.ceil((m + 1) * level - 1e-9)
        fewest = fewest_hits(n, lambda k: (rate(k, n, alpha).lower or 0.0) >= least)
        if rank > m or fewest is None:
            return float(fewest is not None)
        return float(betabinom.sf(fewest - 1, n, rank, m + 1 - rank))


def fewest_hits(n: int, enough: Callable[[int], bool]) -> int | None:
    """The fewest of n hits that are enough, where more are, too; None when not even all are."""
    if not enough(n):
        return None
    low, high = -1, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def contrast_resolutions(
    entry: PlannedCheck, audited: Audited, confidence: Confidence
) -> Iterator[Resolution]:
    """What the pairs can show, if a text and its contrast are right independently of one another.

    Raises:
        NotApplicable: No two labelled rows share an id.
    """
    tied = tied_rows(audited.data, audited.shifts)
    clusters = {
        int(data.clusters[row]) if data.clusters is not None else (number,)
        for number, ((data, row), *_) in enumerate(tied)
    }
    n, levels = len(clusters), (confidence.claim_alpha, confidence.corrected_alpha(1))
    apart = 2 * ASSUMED_RATE * (1 - ASSUMED_RATE)
    upper = paired_gap(apart * n / 2, apart * n / 2, n, levels[0]).upper
    yield Resolution(
        check=entry.check.id, measure="drop", attribute="", rate="accuracy on the contrasts",
        assumed=ASSUMED_RATE, smallest=n, smallest_group="", margin=upper,
        detectable=smallest_detectable_paired(n, apart, levels[1], POWER),
        limit=entry.limits["drop"].value,
    )  # fmt: skip
    limit = entry.limits["consistency"].value
    lower = rate(ASSUMED_RATE * n, n, levels[0]).lower
    assert lower is not None
    chance = None
    if limit is not None:
        chance = _rate_chance(n, lambda k: (rate(k, n, levels[0]).lower or 0.0) >= limit)
    yield Resolution(
        check=entry.check.id, measure="consistency", attribute="", rate="consistency",
        assumed=ASSUMED_RATE, smallest=n, smallest_group="", margin=ASSUMED_RATE - lower,
        detectable=smallest_detectable_drop(
            n, ASSUMED_RATE if limit is None else limit, levels[1], POWER
        ),
        limit=limit, pass_chance=chance,
    )  # fmt: skip


def _rate_chance(n: int, enough: Callable[[int], bool]) -> float:
    from scipy.stats import binom

    fewest = fewest_hits(n, enough)
    return 0.0 if fewest is None else float(binom.sf(fewest - 1, n, ASSUMED_RATE))


def detection_resolutions(
    entry: PlannedCheck, audited: Audited, confidence: Confidence
) -> Iterator[Resolution]:
    """What the AUROC of telling each set can show."""
    most, limit = entry.params.most_rows, entry.limits["auroc"].value
    here, sets = min(units(audited.inside), most), audited.shifts
    claim, corrected = confidence.claim_alpha, confidence.corrected_alpha(len(sets))
    for name, shift in sets.items():
        there = min(units(shift.data), most)
        if min(here, there) < 1:
            continue
        error = math.sqrt(auc_variance(ASSUMED_AUC, there, here))
        chance = None
        if limit is not None:
            chance = _NORMAL.cdf((ASSUMED_AUC - limit) / error - critical_value(claim))
        start = ASSUMED_AUC if limit is None else limit
        yield Resolution(
            check=entry.check.id, measure="auroc", attribute=name, rate="AUROC of telling the set",
            assumed=ASSUMED_AUC, smallest=min(here, there), smallest_group=name,
            margin=critical_value(claim) * error,
            detectable=_auroc_drop(start, there, here, corrected), limit=limit, pass_chance=chance,
        )  # fmt: skip


def _auroc_drop(start: float, positives: int, negatives: int, alpha: float) -> float | None:
    """The smallest drop below `start` that is found; None when not even one to 0.01 is."""
    distance = critical_value(alpha) + critical_value(1 - POWER)

    def beyond(drop: float) -> float:
        return drop - distance * math.sqrt(auc_variance(start - drop, positives, negatives))

    most = start - 0.01
    return crossing(beyond, 1e-9, most) if most > 0 and beyond(most) >= 0 else None


def drift_resolutions(
    entry: PlannedCheck, audited: Audited, confidence: Confidence
) -> Iterator[Resolution]:
    """What the AUC of telling audited rows from training rows can show."""
    training, limit = audited.training, entry.limits["auc"].value
    if training is None:
        return
    most = entry.params.most_rows
    # Half of the rows are learnt from.
    here, known = (min(units(data), most) // 2 for data in (audited.inside, training))
    if min(here, known) < 1:
        return
    levels = confidence.claim_alpha, confidence.corrected_alpha(1)
    margin, detectable = auc_told(here, known, levels)
    few = min(here, known) < FEWEST // 2
    chance = None
    if limit is not None:
        error = margin / critical_value(levels[0])
        chance = 0.0 if few else _NORMAL.cdf((limit - 0.5 - margin) / error)
    yield Resolution(
        check=entry.check.id, measure="auc", attribute="", rate="AUC of telling training rows",
        assumed=0.5, smallest=min(here, known), smallest_group="", margin=margin,
        detectable=detectable, limit=limit, pass_chance=chance,
        small=("the audited or the training rows",) if few else (),
    )  # fmt: skip


def noise_resolutions(
    entry: PlannedCheck, audited: Audited, confidence: Confidence
) -> Iterator[Resolution]:
    """What the share of labels that look wrong can show, if none does."""
    levels = confidence.claim_alpha, confidence.corrected_alpha(1)
    yield from _faults(entry, "flagged", ("", "labels that look wrong"), audited.data, levels)


def leakage_resolutions(
    entry: PlannedCheck, audited: Audited, confidence: Confidence
) -> Iterator[Resolution]:
    """What the share of leaked rows can show in each part, if none has leaked."""
    parts = {"": audited.inside} | {name: one.data for name, one in audited.shifts.items()}
    parts |= {f"split {name!r}": data for name, data in audited.held_out.items()}
    levels = confidence.claim_alpha, confidence.corrected_alpha(len(parts))
    for name, data in parts.items():
        yield from _faults(entry, "leaked", (name, "leaked rows"), data, levels)


def _faults(
    entry: PlannedCheck,
    measure: str,
    named: tuple[str, str],
    data: AuditData,
    levels: tuple[float, float],
) -> Iterator[Resolution]:
    """A share of rows that has to stay below a limit, if no row is counted.

    Found is what lies above the limit by so much.
    """
    n, limit = units(data), entry.limits[measure].value
    if n < 1:
        return
    margin = rate(0, n, levels[0]).upper
    assert margin is not None
    chance = needed = total = None
    if limit is not None:
        chance = float(margin <= limit)
    if limit is not None and 0 < limit < 1:
        # Clopper and Pearson's bound of none of n is 1 - alpha ** (1 / n).
        needed = math.ceil(math.log(levels[0]) / math.log1p(-limit))
        total = math.ceil(len(data) * needed / n)
    yield Resolution(
        check=entry.check.id, measure=measure, attribute=named[0], rate=f"share of {named[1]}",
        assumed=0.0, smallest=n, smallest_group=named[0], margin=margin,
        detectable=smallest_detectable_drop(n, 1 - (limit or 0.0), levels[1], POWER)
        if limit
        else None,
        limit=limit, pass_chance=chance, needed=needed, needed_total=total,
    )  # fmt: skip
