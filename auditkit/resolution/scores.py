"""Differences between groups that are read from scores or embeddings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Confidence
from auditkit.data import Attribute, AuditData
from auditkit.metrics.group_choice import chosen_attributes
from auditkit.metrics.group_pairs import count_comparisons
from auditkit.metrics.identity_auc import FEWEST
from auditkit.plan import PlannedCheck
from auditkit.resolution.ranking import ASSUMED_AUC, auc_told, crossing
from auditkit.resolution.resolved import POWER, Resolution
from auditkit.resolution.rows import counted_rows
from auditkit.stats.distances import kolmogorov_smirnov_interval, wasserstein_interval
from auditkit.stats.gaps import ordered_pairs
from auditkit.stats.intervals import critical_value
from auditkit.stats.power import auc_variance
from auditkit.stats.roc import Sample

_DRAWS, _SEED = 400, 22
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """Positives and negatives of each group, of which an AUC is made."""

    name: str
    positives: Counts
    negatives: Counts

    @property
    def fewest(self) -> Counts:
        """Rows of the rarer class of each group."""
        return np.minimum(self.positives, self.negatives)

    def variances(self, auc: float) -> NDArray[np.float64]:
        """Of each group's AUC; infinite without positives or negatives."""
        counts = zip(self.positives.tolist(), self.negatives.tolist(), strict=True)
        return np.array([auc_variance(auc, *pair) if min(pair) else math.inf for pair in counts])


def ranking_gap_resolutions(
    entry: PlannedCheck, data: AuditData, confidence: Confidence
) -> Iterator[Resolution]:
    """What the gap of AUCs can show, one entry per attribute.

    Raises:
        AuditkitError: The check's parameters name attributes that cannot be compared.
    """
    attributes, classes = chosen_attributes(data, entry.params), data.viewed_classes()
    comparisons = count_comparisons(attributes, len(classes))
    levels = confidence.claim_alpha, confidence.corrected_alpha(comparisons)
    for attribute in attributes:
        if len(attribute.levels) > 1:
            ranked = [_of_class(attribute, data, index) for index in classes]
            yield _ranking_gap(entry, data, attribute, ranked, levels)


def _of_class(attribute: Attribute, data: AuditData, index: int) -> _Ranked:
    assert data.labels is not None
    truth = data.labels == index
    return _Ranked(
        f"AUC of class {data.class_names[index]}",
        counted_rows(attribute, data, truth),
        counted_rows(attribute, data, ~truth),
    )


def _ranking_gap(
    entry: PlannedCheck,
    data: AuditData,
    attribute: Attribute,
    ranked: Sequence[_Ranked],
    levels: tuple[float, float],
) -> Resolution:
    claim, corrected = levels
    hardest = max(ranked, key=lambda one: np.sort(one.variances(ASSUMED_AUC))[-2:].sum())
    lesser, least = np.argsort(hardest.variances(ASSUMED_AUC))[-2:].tolist()
    fewest, limit = int(hardest.fewest[least]), entry.limits["gap"].value
    rows = counted_rows(attribute, data)
    few = np.min([one.fewest for one in ranked], axis=0) < FEWEST
    small = np.flatnonzero(few | (rows < entry.params.minimum_group_size)).tolist()
    margin = detectable = needed = total = None
    if fewest:
        error = math.sqrt(hardest.variances(ASSUMED_AUC)[[lesser, least]].sum())
        margin = critical_value(claim) * error
        detectable = _smallest_gap(hardest, least, lesser, corrected)
        if limit:
            power = 1 - (1 - POWER) / (ordered_pairs(len(attribute.levels)) // 2)
            # Without a gap either end may fail, each with half of the chance.
            reach = critical_value(claim) + critical_value((1 - power) / 2)
            share = max((reach * error / limit) ** 2, FEWEST / fewest)
            needed, total = math.ceil(share * fewest), math.ceil(share * int(rows.sum()))
    return Resolution(
        check=entry.check.id, measure="gap", attribute=attribute.name, rate=hardest.name,
        assumed=ASSUMED_AUC, smallest=fewest, smallest_group=attribute.levels[least],
        margin=margin, detectable=detectable, limit=limit,
        pass_chance=None if limit is None else 0.0 if small else math.prod(
            _all_near(one, limit, claim) for one in ranked),
        needed=needed, needed_total=total, small=tuple(attribute.levels[i] for i in small),
    )  # fmt: skip


def _smallest_gap(ranked: _Ranked, least: int, other: int, alpha: float) -> float | None:
    """The gap that is found where the least group's AUC is the lower one."""
    distance = critical_value(alpha) + critical_value(1 - POWER)
    fixed = float(ranked.variances(ASSUMED_AUC)[other])

    def beyond(gap: float) -> float:
        return gap - distance * math.sqrt(ranked.variances(ASSUMED_AUC - gap)[least] + fixed)

    most = ASSUMED_AUC - 0.5
    return crossing(beyond, 0.0, most) if beyond(most) >= 0 else None


def _all_near(ranked: _Ranked, limit: float, alpha: float) -> float:
    """Chance that every pair's bound lies inside the limit when all groups rank as well."""
    variances = ranked.variances(ASSUMED_AUC)
    aucs = np.random.default_rng(_SEED).normal(0.0, np.sqrt(variances), (_DRAWS, len(variances)))
    first, second = np.triu_indices(len(variances), 1)
    widths = critical_value(alpha) * np.sqrt(variances[first] + variances[second])
    inside = np.abs(aucs[:, first] - aucs[:, second]) + widths <= limit
    return float(inside.all(axis=1).mean())


def distribution_resolutions(
    entry: PlannedCheck, data: AuditData, confidence: Confidence
) -> Iterator[Resolution]:
    """What the distances of score distributions can show, one entry per attribute and distance.

    Raises:
        AuditkitError: The check's parameters name attributes that cannot be compared.
    """
    attributes, classes = chosen_attributes(data, entry.params), data.viewed_classes()
    comparisons = max(count_comparisons(attributes, len(classes)) // 2, 1)
    levels = confidence.claim_alpha, confidence.corrected_alpha(comparisons)
    for attribute in attributes:
        rows = counted_rows(attribute, data)
        if len(rows) < 2 or np.sort(rows)[-2] < 1:
            continue
        for measure in ("ks", "wasserstein"):
            yield _distance(entry, attribute, rows, measure, levels)


def _distance(
    entry: PlannedCheck,
    attribute: Attribute,
    rows: Counts,
    measure: str,
    levels: tuple[float, float],
) -> Resolution:
    interval = kolmogorov_smirnov_interval if measure == "ks" else wasserstein_interval
    least, other = np.argsort(rows, kind="stable")[:2].tolist()
    minimum, limit = entry.params.minimum_group_size, entry.limits[measure].value
    small = tuple(attribute.levels[i] for i in np.flatnonzero(rows < max(minimum, 1)))
    margin = detectable = chance = needed = total = None
    if rows[least]:
        samples = Sample(int(rows[least])), Sample(int(rows[other]))
        margin = interval(0.0, *samples, levels[0]).upper
        below = interval(1.0, *samples, levels[1]).lower or 0.0
        found = (1.0 - below) + (interval(0.0, *samples, 1 - POWER).upper or 0.0)
        detectable = found if found <= 1.0 else None
    if limit and measure == "ks":
        pairs = ordered_pairs(len(rows)) // 2
        chance = 0.0 if small else _all_alike(rows, limit, levels[0])
        needed = max(_rows_alike(limit, levels[0], 1 - (1 - POWER) / pairs), minimum)
        total = math.ceil(int(rows.sum()) * needed / int(rows[least])) if rows[least] else None
    return Resolution(
        check=entry.check.id, measure=measure, attribute=attribute.name,
        rate=f"{measure} distance of scores", assumed=0.0, smallest=int(rows[least]),
        smallest_group=attribute.levels[least], margin=margin, detectable=detectable, limit=limit,
        pass_chance=chance, needed=needed, needed_total=total, small=small,
    )  # fmt: skip


def _all_alike(rows: Counts, limit: float, alpha: float) -> float:
    """Chance that every pair passes when all scores are of one distribution (Smirnov 1939)."""
    from scipy.stats import kstwobign

    first, second = np.triu_indices(len(rows), 1)
    chance = 1.0
    for a, b in zip(rows[first].tolist(), rows[second].tolist(), strict=True):
        room = limit - (kolmogorov_smirnov_interval(0.0, Sample(a), Sample(b), alpha).upper or 0.0)
        chance *= float(kstwobign.cdf(max(room, 0.0) * math.sqrt(a * b / (a + b))))
    return chance


def _rows_alike(limit: float, alpha: float, power: float) -> int:
    """Rows of each of two groups that pass with a chance of `power` when they are alike."""
    from scipy.stats import kstwobign

    reach = float(kstwobign.ppf(power)) + math.sqrt(math.log(4.0 / alpha))
    return math.ceil(2.0 * (reach / limit) ** 2)


def probe_resolutions(
    entry: PlannedCheck, data: AuditData, confidence: Confidence
) -> Iterator[Resolution]:
    """What the AUC of telling a group by its embeddings can show, one entry per attribute.

    Raises:
        AuditkitError: The check's parameters name attributes that cannot be compared.
    """
    attributes = chosen_attributes(data, entry.params)
    comparisons = max(sum(len(a.levels) for a in attributes), 1)
    levels = confidence.claim_alpha, confidence.corrected_alpha(comparisons)
    for attribute in attributes:
        rows = counted_rows(attribute, data)
        if np.count_nonzero(rows) > 1:
            yield _probe(entry, attribute, rows, levels)


def _probe(
    entry: PlannedCheck, attribute: Attribute, rows: Counts, levels: tuple[float, float]
) -> Resolution:
    # Half of the rows are learnt from.
    told = _Ranked("AUC of telling the group", rows // 2, (rows.sum() - rows) // 2)
    least, limit = int(told.fewest.argmin()), entry.limits["auc"].value
    few = (told.fewest < FEWEST) | (rows < entry.params.minimum_group_size)
    small = np.flatnonzero(few).tolist()
    margin = detectable = None
    if told.fewest[least]:
        margin, detectable = auc_told(
            int(told.positives[least]), int(told.negatives[least]), levels
        )
    return Resolution(
        check=entry.check.id, measure="auc", attribute=attribute.name, rate=told.name,
        assumed=0.5, smallest=int(told.fewest[least]), smallest_group=attribute.levels[least],
        margin=margin, detectable=detectable, limit=limit,
        small=tuple(attribute.levels[i] for i in small),
    )  # fmt: skip
