"""The same rows answered by two models, and what is recomputed of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.data import Attribute, AuditData
from auditkit.finding import Interval
from auditkit.metrics.group_choice import GroupParams, chosen_attributes
from auditkit.model import Predictions


@dataclass(frozen=True, slots=True, eq=False)
class Twice:
    """Rows and what both models answer to them.

    Attributes:
        data: The rows under audit.
        before: Answers of the first model.
        after: Answers of the second.
        shifts: The same of each set out of distribution, by name.
        inside: The same of the rows in distribution; None where there is no such set.
        chosen_apart: Whether what is fitted in distribution is fitted to rows of another split, so
            that all of `inside` is judged.
    """

    data: AuditData
    before: Predictions
    after: Predictions
    shifts: Mapping[str, Twice] = field(default_factory=dict)
    inside: Twice | None = None
    chosen_apart: bool = False

    def rows(self, index: NDArray[np.int64]) -> Twice:
        """Some of the rows."""
        return Twice(self.data.rows(index), self.before.take(index), self.after.take(index))


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A measurement of both models, and the interval of after less before."""

    before: float
    after: float
    interval: Interval
    method: str


@dataclass(frozen=True, slots=True)
class Which:
    """Which measurement: of which check, under which name, on which slice, with which params."""

    check: str
    name: str
    slice: str
    params: Mapping[str, Any]


def params_of(which: Which) -> GroupParams:
    """Which groups the measurement's check compared."""
    return GroupParams(
        attributes=tuple(which.params["attributes"]),
        intersections=which.params["intersections"],
        minimum_group_size=which.params["minimum_group_size"],
        given=which.params.get("given", ""),
    )


def attribute_of(which: Which, data: AuditData) -> Attribute | None:
    """The attribute of the measurement's slice; None for a slice that is no attribute."""
    params = params_of(which)
    named = {attribute.name: attribute for attribute in chosen_attributes(data, params)}
    return named.get(which.slice)
