"""How many rows can be audited in a given time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.content import content_key
from auditkit.data import AuditData
from auditkit.errors import ConfigError
from auditkit.forecast.expected import Forecast
from auditkit.forecast.model_cost import Seconds
from auditkit.resolution import Resolution
from auditkit.sampling import draw

FEWEST_ROWS = 50
"""A budget that pays for fewer is refused: nothing could be said of so few."""
_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Budgeted:
    """The sample that fits a budget.

    Attributes:
        budget: Seconds allowed.
        rows: Rows to audit; all of them when they fit.
        seconds: What auditing them is expected to take.
        resolutions: What the checks can show on them.
        note: How they are drawn.
    """

    budget: float
    rows: int
    seconds: float
    resolutions: tuple[Resolution, ...]
    note: str


class SampleCosts:
    """What auditing a sample of the rows costs: answers that are in the cache cost nothing.

    Args:
        audited: All rows.
        seconds: Seconds of each distinct input, in the order they first occur in.
        expected: The audit of all rows.
        starting: Seconds before anything is asked about a sample.
        seed: By which it is drawn.
    """

    def __init__(
        self,
        audited: AuditData,
        seconds: Seconds,
        expected: Forecast,
        starting: float,
        seed: int,
    ) -> None:
        self._audited = audited
        self._seconds = seconds
        self._inputs = _numbered(audited.inputs)
        self._expected = expected
        self._starting = starting
        self._seed = seed

    def of(self, rows: int) -> float:
        """Seconds of a sample of `rows`."""
        expected = self._expected
        if rows >= expected.rows:
            return expected.seconds
        share = rows / expected.rows
        asked = self._asked(rows) if self._uneven else share * float(self._seconds.sum())
        steady = share * (expected.model.total - float(self._seconds.sum()))
        return self._starting + steady + asked + expected.checking(share)

    def most_rows(self, budget: float) -> int:
        """The most rows whose audit is expected to take no longer than `budget` seconds.

        Raises:
            ConfigError: Not even `FEWEST_ROWS` fit.
        """
        expected = self._expected
        if expected.seconds <= budget:
            return expected.rows
        fits, too_many = 0, expected.rows
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if self.of(middle) <= budget:
                fits = middle
            else:
                too_many = middle
        if fits < FEWEST_ROWS:
            raise ConfigError(
                f"a budget of {budget:g} s is too small: loading and starting take "
                f"{self.of(0):.1f} s, and all {expected.rows:,} rows {expected.seconds:.1f} s.",
                "Give it more time, or leave checks out with --only.",
            )
        return fits

    @property
    def _uneven(self) -> bool:
        """Whether rows differ in what they cost: some are in the cache, or copies."""
        model = self._expected.model
        return 0 < model.cached < model.distinct or model.distinct < self._expected.rows

    def _asked(self, rows: int) -> float:
        sample = draw(self._audited, rows, self._seed).rows
        return float(self._seconds[np.unique(self._inputs[sample])].sum())


def parse_budget(text: str) -> float:
    """Seconds from "30s", "10m" or "1.5h".

    Raises:
        ConfigError: It is none of these, or not above 0.
    """
    number, unit = text.strip()[:-1], text.strip()[-1:].lower()
    try:
        seconds = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"--budget {text!r} is no length of time.", "For example 30s, 10m or 1h.")
    return seconds


def _numbered(inputs: Sequence[Any]) -> NDArray[np.int64]:
    """The number of each input among the distinct ones, in the order they first occur in."""
    numbers: dict[Any, int] = {}
    keys = map(content_key, inputs)
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
