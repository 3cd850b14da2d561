"""The rows of each group, as far as they count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.data import Attribute, AuditData
from auditkit.errors import AuditkitError
from auditkit.metrics.group_choice import GroupParams, chosen_attributes


@dataclass(frozen=True, slots=True)
class GroupRows:
    """The rows of one group.

    Attributes:
        name: The group.
        n: Its rows.
        positives: Rows of each looked-at class, by class name; empty without labels.
    """

    name: str
    n: int
    positives: dict[str, int]


@dataclass(frozen=True, slots=True)
class AttributeRows:
    """The groups of one attribute or intersection."""

    name: str
    groups: tuple[GroupRows, ...]
    missing: int


def attribute_rows(data: AuditData) -> tuple[AttributeRows, ...]:
    """The groups of every sensitive attribute and every two crossed, with their classes.

    Without the crossed ones where those are too many to be compared.
    """
    try:
        attributes = chosen_attributes(data, GroupParams())
    except AuditkitError:
        attributes = list(data.groups.values())
    found = []
    for attribute in attributes:
        classes = {} if data.labels is None else _by_class(attribute, data)
        groups = tuple(
            GroupRows(level, int(n), {name: int(counts[i]) for name, counts in classes.items()})
            for i, (level, n) in enumerate(zip(attribute.levels, attribute.sizes(), strict=True))
        )
        found.append(AttributeRows(attribute.name, groups, attribute.missing))
    return tuple(found)


def counted_rows(
    attribute: Attribute, data: AuditData, eligible: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Rows of each group that count; of clustered rows the clusters, the least they are worth."""
    counts = (attribute.codes >= 0) & (True if eligible is None else eligible)
    codes = attribute.codes[counts]
    if data.clusters is not None:
        codes = np.unique(np.column_stack([codes, data.clusters[counts]]), axis=0)[:, 0]
    return np.bincount(codes, minlength=len(attribute.levels)).astype(np.int64)


def units(data: AuditData, eligible: NDArray[np.bool_] | None = None) -> int:
    """Independent rows among the eligible ones: of clustered rows the clusters."""
    if data.clusters is None:
        return len(data) if eligible is None else int(eligible.sum())
    members = data.clusters if eligible is None else data.clusters[eligible]
    return len(np.unique(members))


def _by_class(attribute: Attribute, data: AuditData) -> dict[str, NDArray[np.int64]]:
    assert data.labels is not None
    known = attribute.codes >= 0
    return {
        data.class_names[index]: np.bincount(
            attribute.codes[known & (data.labels == index)], minlength=len(attribute.levels)
        )
        for index in data.viewed_classes()
    }
