"""The same rows answered by two models, and what is recomputed of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auditkit.data import Attribute, AuditData
from auditkit.finding import Interval
from auditkit.metrics.group_choice import GroupParams, chosen_attributes
from auditkit.model import Predictions


@dataclass(frozen=True, slots=True, eq=False)
class Twice:
    """The audited rows and what both models answer to them."""

    data: AuditData
    before: Predictions
    after: Predictions


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
