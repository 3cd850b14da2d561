"""What an audit says: measurements, their evidence, and the findings judged from them."""

from __future__ import annotations

import enum
import hashlib
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Cell = str | int | float | None

WHISKER_LEVEL = 0.95
"""Two-sided level of the intervals drawn in charts. No verdict is read from them."""
WHISKER_ALPHA = (1 - WHISKER_LEVEL) / 2
"""The one-sided error of such an interval's ends."""

_ROUNDING = 1e-9


class Outcome(enum.StrEnum):
    """The five things a check can come to. None of the last three ever counts as a pass."""

    PASS = "pass"  # noqa: S105 - an outcome
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not_applicable"
    ERROR = "error"


class Severity(enum.StrEnum):
    """How much a failure matters, lowest first; the policy says from where on it blocks."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for LOW up to 3 for CRITICAL."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval. An end of None is no bound at all on that side."""

    lower: float | None
    upper: float | None

    def __post_init__(self) -> None:
        for end in (self.lower, self.upper):
            if end is not None and not math.isfinite(end):
                raise ValueError(f"an interval's end must be finite or None, not {end}")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"interval upside down: {self.lower} > {self.upper}")

    def holds(self, value: float) -> bool:
        """Whether the value lies in the interval, give or take rounding."""
        below = self.lower is not None and value < self.lower - _ROUNDING
        above = self.upper is not None and value > self.upper + _ROUNDING
        return not below and not above


@dataclass(frozen=True, slots=True)
class Bounds:
    """One-sided confidence bounds of a measurement, at the two levels a verdict needs.

    A PASS must be shown at the claim level (95 %) and needs no correction, because every
    comparison has to hold (intersection-union test, Berger 1982). A FAIL is claimed as soon as
    one comparison of the whole suite is over its limit, so its bound is corrected for all of them.
    """

    claim: Interval
    """Each end is a one-sided bound at the claim level."""
    corrected: Interval
    """Each end is a one-sided bound at the level corrected for every comparison of the suite."""
    method: str
    """Name of the interval method, for the reader: "Wilson", "Newcombe", "DeLong"."""
    comparisons: int = 1
    """Comparisons inside this measurement (pairs of groups, classes) that were corrected for."""


@dataclass(frozen=True, slots=True)
class Table:
    """A plain table."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    kind: Literal["table"] = "table"


@dataclass(frozen=True, slots=True)
class Estimate:
    """One named quantity with its interval; `count` of `n` rows for a rate."""

    label: str
    n: int
    value: float | None
    interval: Interval | None
    count: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Estimates:
    """Quantities of one kind side by side (a rate per group), drawn as dots with whiskers."""

    title: str
    rows: tuple[Estimate, ...]
    level: float
    """Two-sided confidence level of the rows' intervals, e.g. 0.95."""
    method: str
    reference: float | None = None
    """A value to draw across the chart, e.g. the overall rate."""
    reference_label: str = ""
    of: str = "group"
    """What a row is: a group, a set, a detector."""
    kind: Literal["estimates"] = "estimates"


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one curve, e.g. a reliability curve; `sizes` are the rows behind each point."""

    title: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    sizes: tuple[int, ...]
    diagonal: bool = False
    """Draw y = x, where a perfect curve lies."""
    kind: Literal["curve"] = "curve"


@dataclass(frozen=True, slots=True)
class Example:
    """One text before and after a change, and what the model says to each."""

    before: str
    after: str
    before_label: str
    after_label: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts that were changed, shown with the changed words marked."""

    title: str
    rows: tuple[Example, ...]
    kind: Literal["examples"] = "examples"


@dataclass(frozen=True, slots=True)
class Scores:
    """What one method says of the parts of a text.

    Attributes:
        by: Name of the method, or of whoever scored.
        of: What a positive score speaks for: the name of a class.
        spans: Characters [start, end) of each scored part, in their order, none overlapping.
        scores: As many; the sign says for or against.
        note: What must be known, e.g. that the text was cut.
    """

    by: str
    of: str
    spans: tuple[tuple[int, int], ...]
    scores: tuple[float, ...]
    note: str = ""

    def __post_init__(self) -> None:
        if len(self.spans) != len(self.scores):
            raise ValueError(f"{len(self.spans)} spans but {len(self.scores)} scores")
        if not all(map(math.isfinite, self.scores)):
            raise ValueError("a score must be finite")
        ends = [0, *(end for span in self.spans for end in span)]
        if any(before > after for before, after in itertools.pairwise(ends)):
            raise ValueError("spans must be in order and must not overlap")


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A text, what is said of it, and the scores of its parts by one method or several."""

    text: str
    said: str
    scores: tuple[Scores, ...]


@dataclass(frozen=True, slots=True)
class ScoredTexts:
    """Texts drawn as heat maps; the scores of one text stand beside each other."""

    title: str
    rows: tuple[ScoredText, ...]
    kind: Literal["scored_texts"] = "scored_texts"


Evidence = Table | Estimates | Curve | Examples | ScoredTexts


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number a check measured, without a verdict.

    `name` is the name of the check's limit it is judged against ("gap"); `slice` says on which
    part of the data or attribute ("dialect", "sex × race"), empty for all rows.
    """

    name: str
    value: float | None
    """None when it is undefined here (no positives, say); the note then says why."""
    n: int
    """Rows behind the number."""
    bounds: Bounds | None
    slice: str = ""
    note: str = ""
    detectable: float | None = None
    """Smallest true gap that this run would have told from none 4 times in 5, corrected."""
    least_n: int | None = None
    """Rows like these below which a group is too small for a verdict; None when none is."""
    evidence: tuple[Evidence, ...] = ()
    region: Interval | None = None
    """What the number may be, depending on facts the data lack (of which group some rows are); the
    bounds hold for all of it. None when it depends on nothing of the kind."""
    units: dict[str, float] = field(default_factory=dict)
    """The values the number is the mean of, by the id of their example, where a check gives them.
    Two runs on the same examples can then be compared pairwise."""
    counted: str = "rows"
    """What `n` counts, in the plural."""
    withheld: str = ""
    """Why no verdict may be read from the number, whatever its bounds; empty when one may."""

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.name}: a measurement is finite or None, not {self.value}")
        if self.value is not None and self.bounds is not None:
            for interval in (self.bounds.claim, self.bounds.corrected):
                if not interval.holds(self.value):
                    raise ValueError(f"{self.name}: {self.value} lies outside its own {interval}")
        if self.value is None and not self.note:
            raise ValueError(f"{self.name}: an undefined measurement needs a note saying why")


@dataclass(frozen=True, slots=True)
class Finding:
    """One judged statement of the audit."""

    check: str
    """Id of the check, or "plugin:<source>" for a plug-in that could not be loaded."""
    title: str
    """The check's claim, a sentence that is true when the outcome is a pass."""
    outcome: Outcome
    severity: Severity
    message: str
    """Why the outcome is what it is, in one sentence with the numbers."""
    measurement: Measurement | None = None
    limit: float | None = None
    direction: Literal["max", "min"] | None = None
    """Whether the limit is the largest or the smallest value allowed."""
    interval: Interval | None = None
    """What the verdict was read from: inside the limit passes, outside fails, across is neither."""
    needed_n: int | None = None
    """About how many rows like these would decide an inconclusive finding."""
    required: bool = False
    """True when the configuration names this check: not being able to run is then a defect."""

    @property
    def fingerprint(self) -> str:
        """16 hex digits naming check, measurement and slice: stable from run to run."""
        name, part = (
            (self.measurement.name, self.measurement.slice) if self.measurement else ("", "")
        )
        return hashlib.sha256(
            "\0".join((self.check, name, part)).encode("utf-8", "surrogatepass")
        ).hexdigest()[:16]


def worst_outcome(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome that stands for several: fail, error, inconclusive, pass, then not applicable."""
    order = (
        Outcome.FAIL,
        Outcome.ERROR,
        Outcome.INCONCLUSIVE,
        Outcome.PASS,
        Outcome.NOT_APPLICABLE,
    )
    return min(outcomes, key=order.index, default=Outcome.NOT_APPLICABLE)
