"""Which groups a check looks at, and what is said where there is nothing to compare."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditkit.data import Attribute, AuditData
from auditkit.errors import AuditkitError, nearest

MOST_GROUPS = 200
"""Groups of crossed attributes: all their pairs are compared, 40,000 of them."""


@dataclass(frozen=True, slots=True)
class GroupChoice:
    """Which groups a check looks at."""

    attributes: tuple[str, ...] = ()
    """Sensitive attributes to look at; empty for all."""
    intersections: bool = True
    """Also look at every two attributes crossed."""
    minimum_group_size: int = 20
    """Eligible rows below which a group can never be part of a pass."""

    def __post_init__(self) -> None:
        if self.minimum_group_size < 1:
            raise ValueError(
                f"minimum_group_size must be at least 1, not {self.minimum_group_size}"
            )


@dataclass(frozen=True, slots=True)
class GroupParams(GroupChoice):
    """Which groups a check of rates compares, and how."""

    unknown: Literal["bounded", "left-out"] = "bounded"
    """Rows whose group is missing: "bounded" takes the worst of all groups they may be of,
    "left-out" takes them as missing at random."""
    given: str = ""
    """A factor (data.factors) or another sensitive attribute: groups are compared within each of
    its values, and the differences averaged by Mantel-Haenszel weights. Empty for all rows."""


def chosen_attributes(data: AuditData, params: GroupChoice) -> list[Attribute]:
    """The attributes to compare groups of, intersections included when wanted.

    An attribute with one group is kept, so that the report says it could not be compared. The one
    that groups are compared within is left out.

    Raises:
        AuditkitError: `params` names an attribute the data does not have, or two attributes cross
            into too many groups.
    """
    for name in params.attributes:
        if name not in data.groups:
            raise AuditkitError(
                f"no sensitive attribute is called {name!r}.", nearest(name, data.groups)
            )
    within = params.given if isinstance(params, GroupParams) else ""
    names = [name for name in params.attributes or data.groups if name != within]
    if not names and data.groups:
        raise AuditkitError(
            f"groups of {within!r} cannot be compared given {within!r}.",
            "Name another factor in params.given, or another attribute in params.attributes.",
        )
    singles = [data.groups[name] for name in names]
    if not params.intersections:
        return singles
    crossed = [a.cross(b) for a, b in combinations(singles, 2)]
    for attribute in crossed:
        if len(attribute.levels) > MOST_GROUPS:
            raise AuditkitError(
                f"{attribute.name} has {len(attribute.levels):,} groups, more than the "
                f"{MOST_GROUPS} that can be compared.",
                "Group values together, or set params.intersections = false.",
            )
    return singles + [attribute for attribute in crossed if len(attribute.levels) > 1]


def chosen_factor(data: AuditData, params: GroupParams) -> Attribute | None:
    """What groups are compared within; None for all rows together.

    Raises:
        AuditkitError: `params.given` names neither a factor nor a sensitive attribute.
    """
    if not params.given:
        return None
    known = {**data.groups, **data.factors}
    if params.given not in known:
        raise AuditkitError(
            f"params.given: no factor and no sensitive attribute is called {params.given!r}.",
            nearest(params.given, known) or "Name its column in data.factors.",
        )
    return known[params.given]


def nothing_to_compare(attribute: Attribute, otherwise: str) -> str:
    """Why there is no gap: one group only, or another reason."""
    if len(attribute.levels) < 2:
        return f"all rows are in one group, {''.join(attribute.levels) or 'an unknown one'}"
    return otherwise


def least_rows(sizes: NDArray[np.int64], minimum: int, rows: int | None = None) -> int | None:
    """Rows like these that would bring the smallest group that has any to the minimum.

    Args:
        sizes: Rows of each group that count, shape (groups,).
        minimum: Rows that a group must have.
        rows: All rows; by default those of the groups.
    """
    known = sizes[sizes > 0]
    if not len(known) or known.min() >= minimum:
        return None
    return math.ceil(int(known.sum() if rows is None else rows) * minimum / int(known.min()))


def missing_rows(attribute: Attribute) -> list[str]:
    """A sentence counting rows of no known group, or nothing."""
    if not attribute.missing:
        return []
    return [
        f"{attribute.missing:,} rows of unknown {attribute.name} are in no group: they are left "
        "out, as if they were missing at random."
    ]
