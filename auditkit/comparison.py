"""Two audits of the same rows side by side: what has improved, what has worsened, what is open.

A word is said only of an interval of the paired difference that excludes 0. The intervals hold
together: their error is shared by all measurements that are compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from auditkit.content import content_digest, content_key
from auditkit.data import AuditData
from auditkit.finding import Finding, Interval, Measurement
from auditkit.metrics.answered_twice import Twice, Which
from auditkit.metrics.changes import KNOWN, recompute
from auditkit.result import AuditResult
from auditkit.stats.bootstrap import RowDesign, bootstrap_rows
from auditkit.stats.intervals import mean_interval
from auditkit.stats.paired import mcnemar, paired_gap

Word = Literal[
    "improved", "worsened", "no difference shown", "not compared pairwise", "before only",
    "after only",
]  # fmt: skip
_ROUNDING = 1e-9
FEWEST_UNITS = 20
"""Common examples below which the difference of two means is not compared."""
COPIES = 0.02
"""Most that the mean over distinct examples may differ from one over rows, copies included."""


@dataclass(frozen=True, slots=True)
class Side:
    """A measurement of one of the two models."""

    value: float | None
    interval: Interval | None
    """What its verdict was read from."""
    outcome: str
    n: int


@dataclass(frozen=True, slots=True)
class Change:
    """One measurement before and after."""

    check: str
    name: str
    slice: str
    direction: Literal["max", "min"]
    """Whether smaller ("max") or larger ("min") is better."""
    limit: float | None
    before: Side | None
    after: Side | None
    word: Word
    difference: float | None = None
    """After less before, over what both have in common."""
    interval: Interval | None = None
    """Of the difference; see `Comparison.level`."""
    n: int = 0
    """Rows or examples compared."""
    method: str = ""
    note: str = ""
    meant: bool = False
    """Whether the remedy is meant to improve it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every measurement of two audits."""

    changes: tuple[Change, ...]
    level: float
    """Two-sided confidence of each interval of a difference; all of them hold together with the
    confidence of the audit."""
    compared: int
    """Intervals that share the error."""
    mended: int
    """Rows answered wrongly before and rightly after; 0 without labels."""
    broken: int
    """Rows answered rightly before and wrongly after."""
    answers_changed: int
    mcnemar: float | None
    """Two-sided p that both are right equally often; None without labels or with clusters."""

    def of(self, word: Word) -> tuple[Change, ...]:
        """The changes with this word."""
        return tuple(change for change in self.changes if change.word == word)


def compare(
    before: AuditResult,
    after: AuditResult,
    twice: Twice,
    meant: Callable[[str], bool] = lambda _: False,
) -> Comparison:
    """Compare two audits of the same rows under the same suite.

    Args:
        before: The audit of the first model.
        after: The audit of the second.
        twice: The audited rows, and what both answer to them.
        meant: Whether a check is one that is meant to improve.

    Raises:
        ValueError: The audits are of other rows or another suite.
    """
    if before.subject.data_digest != after.subject.data_digest:
        raise ValueError("the two audits are of different data")
    if before.suite_digest != after.suite_digest:
        raise ValueError("the two audits are under different suites")
    pairs = _pairs(before, after)
    params = {check.id: check.params for check in before.suite.checks}
    counted = [pair for pair in pairs if _is_comparable(*pair)]
    compared = len(counted) + (twice.data.labels is not None)
    # Both ends of every interval.
    alpha = (1.0 - before.suite.confidence) / (2 * max(compared, 1))
    judge = _Comparing(twice, alpha, params, before.seed)
    changes = [judge.change(*pair) for pair in pairs]
    accuracy = [judge.accuracy()] if twice.data.labels is not None else []
    mended, broken = _flips(twice)
    paired = twice.data.labels is not None and twice.data.clusters is None
    return Comparison(
        changes=tuple(_marked(change, meant) for change in [*accuracy, *changes]),
        level=1.0 - 2 * alpha,
        compared=compared,
        mended=mended,
        broken=broken,
        answers_changed=int((twice.before.labels != twice.after.labels).sum()),
        mcnemar=mcnemar(mended, broken) if paired else None,
    )


Pair = tuple[Finding | None, Finding | None]


def _pairs(before: AuditResult, after: AuditResult) -> list[Pair]:
    first = {_key(f): f for f in before.findings if f.measurement is not None}
    second = {_key(f): f for f in after.findings if f.measurement is not None}
    return [(first.get(key), second.get(key)) for key in dict.fromkeys([*first, *second])]


def _key(finding: Finding) -> tuple[str, str, str]:
    assert finding.measurement is not None
    return finding.check, finding.measurement.name, finding.measurement.slice


def _is_comparable(first: Finding | None, second: Finding | None) -> bool:
    if first is None or second is None:
        return False
    one, other = first.measurement, second.measurement
    assert one is not None
    assert other is not None
    if one.value is None or other.value is None:
        return False
    return bool(one.units and other.units) or (first.check, one.name) in KNOWN


def _marked(change: Change, meant: Callable[[str], bool]) -> Change:
    return replace(change, meant=bool(change.check) and meant(change.check))


def _flips(twice: Twice) -> tuple[int, int]:
    labels = twice.data.labels
    if labels is None:
        return 0, 0
    right, still = twice.before.labels == labels, twice.after.labels == labels
    return int((still & ~right).sum()), int((right & ~still).sum())


@dataclass(frozen=True, slots=True)
class _Difference:
    value: float
    interval: Interval
    n: int
    method: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Comparing:
    """Compares pairs of measurements at one level."""

    twice: Twice
    alpha: float
    params: Mapping[str, Mapping[str, object]]
    seed: int

    def change(self, first: Finding | None, second: Finding | None) -> Change:
        """One measurement before and after."""
        known = first or second
        assert known is not None
        assert known.measurement is not None
        assert known.direction is not None
        difference, note = None, ""
        if first is not None and second is not None:
            difference, note = self._difference(first, second)
        word = _word(first, second, difference, known.direction)
        return Change(
            check=known.check,
            name=known.measurement.name,
            slice=known.measurement.slice,
            direction=known.direction,
            limit=known.limit,
            before=_side(first),
            after=_side(second),
            word=word,
            difference=None if difference is None else difference.value,
            interval=None if difference is None else difference.interval,
            n=0 if difference is None else difference.n,
            method="" if difference is None else difference.method,
            note=note if difference is None else difference.note,
        )

    def accuracy(self) -> Change:
        """The share of audited rows answered rightly."""
        labels, clusters = self.twice.data.labels, self.twice.data.clusters
        assert labels is not None
        mended, broken = _flips(self.twice)
        n = len(labels)
        shares = [float((a.labels == labels).mean()) for a in (self.twice.before, self.twice.after)]
        if clusters is None:
            interval, method = paired_gap(mended, broken, n, self.alpha), "Tango, paired"
        else:
            gain = (self.twice.after.labels == labels).astype(float)
            gain -= self.twice.before.labels == labels
            interval = mean_interval(gain, self.alpha, clusters, support=(-1.0, 1.0))
            method = "paired, cluster-robust t"
        difference = _Difference((mended - broken) / n, interval, n, method)
        before, after = (Side(share, None, "reported", n) for share in shares)
        return Change(
            "", "accuracy", "", "min", None, before, after, _said(interval, "min"),
            difference.value, interval, n, method,
            f"{mended} rows mended, {broken} broken.",
        )  # fmt: skip

    def _difference(self, first: Finding, second: Finding) -> tuple[_Difference | None, str]:
        one, other = first.measurement, second.measurement
        assert one is not None
        assert other is not None
        if one.value is None or other.value is None:
            return None, "undefined for one of the two"
        if one.units and other.units:
            return self._of_units(one, other)
        if (first.check, one.name) not in KNOWN:
            return None, ""
        which = Which(first.check, one.name, one.slice, self.params.get(first.check, {}))
        entropy = hashlib.sha256(repr(_key(first)).encode("utf-8", "surrogatepass")).digest()[:8]
        rng = np.random.default_rng([self.seed, int.from_bytes(entropy, "little")])
        found = recompute(which, self.twice, self.alpha, rng)
        if found is None:
            return None, ""
        if abs(found.before - one.value) > _ROUNDING or abs(found.after - other.value) > _ROUNDING:
            return None, "recomputed otherwise than the check measured it"
        difference = other.value - one.value
        return _Difference(difference, found.interval, min(one.n, other.n), found.method), ""

    def _of_units(self, one: Measurement, other: Measurement) -> tuple[_Difference | None, str]:
        """The difference of two means over the examples that both have."""
        for side in (one, other):
            mean = float(np.mean(list(side.units.values())))
            if side.value is None or abs(mean - side.value) > COPIES:
                return None, "the examples' values do not have the measured mean"
        common = sorted(one.units.keys() & other.units.keys())
        n = len(common)
        if n < FEWEST_UNITS:
            return None, f"only {n} examples in common"
        first = np.array([one.units[name] for name in common])
        second = np.array([other.units[name] for name in common])
        gains = second - first
        clusters = _clusters_of(common, self.twice.data)
        if self.twice.data.clusters is not None and clusters is None:
            return None, "which examples belong together is not known"
        interval, method = self._interval(first, second, clusters)
        short = n < max(len(one.units), len(other.units))
        note = f"Over the {n} examples both have." if short else ""
        return _Difference(float(gains.mean()), interval, n, method, note), ""

    def _interval(
        self, first: np.ndarray, second: np.ndarray, clusters: np.ndarray | None
    ) -> tuple[Interval, str]:
        gains, both = second - first, np.concatenate([first, second])
        support = (-1.0, 1.0) if both.min() >= 0 and both.max() <= 1 else None
        if clusters is not None:
            return mean_interval(gains, self.alpha, clusters, support), "paired, cluster-robust t"
        if (gains == gains[0]).all():
            return mean_interval(gains, self.alpha, None, support), "paired"
        if np.isin(both, (0.0, 1.0)).all():
            won, lost = int((gains > 0).sum()), int((gains < 0).sum())
            return paired_gap(won, lost, len(gains), self.alpha), "Tango, paired"
        replicates = bootstrap_rows(
            lambda rows: gains[rows].mean(axis=1),
            RowDesign(len(gains)),
            self.alpha,
            np.random.default_rng(self.seed),
        )
        interval, changed = replicates.interval(self.alpha), np.count_nonzero(gains)
        if 0.5**changed > self.alpha:
            # No sign test rejects with so few changes, while resampling them may never meet zero.
            interval = _with_zero(interval)
        return interval, "paired BCa bootstrap"


def _with_zero(interval: Interval) -> Interval:
    lower, upper = interval.lower, interval.upper
    return Interval(
        None if lower is None else min(lower, 0.0), None if upper is None else max(upper, 0.0)
    )


def _clusters_of(names: list[str], data: AuditData) -> np.ndarray | None:
    """Cluster of each named example; None when a name is that of no row, or there are none."""
    if data.clusters is None:
        return None
    digests = (content_digest(content_key(value)).hex()[:16] for value in data.inputs)
    known = dict(zip(digests, data.clusters.tolist(), strict=True))
    if any(name not in known for name in names):
        return None
    return np.array([known[name] for name in names])


def _side(finding: Finding | None) -> Side | None:
    if finding is None or finding.measurement is None:
        return None
    measured = finding.measurement
    return Side(measured.value, finding.interval, finding.outcome.value, measured.n)


def _word(
    first: Finding | None,
    second: Finding | None,
    difference: _Difference | None,
    direction: Literal["max", "min"],
) -> Word:
    if first is None:
        return "after only"
    if second is None:
        return "before only"
    return "not compared pairwise" if difference is None else _said(difference.interval, direction)


def _said(interval: Interval, direction: Literal["max", "min"]) -> Word:
    rises = interval.lower is not None and interval.lower > 0
    falls = interval.upper is not None and interval.upper < 0
    if not (rises or falls):
        return "no difference shown"
    return "improved" if falls == (direction == "max") else "worsened"
