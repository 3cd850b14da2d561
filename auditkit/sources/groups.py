"""Reads sensitive attributes and factors, and never merges groups on its own."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from auditkit.data import Attribute
from auditkit.errors import DataError
from auditkit.sources.table import SourceTable

MAX_LEVELS = 200
"""Most groups of one attribute; beyond it the column is an id or a measured number."""


class Groups(NamedTuple):
    """A sensitive attribute, and what the reader should know about it."""

    attribute: Attribute
    warnings: tuple[str, ...]


def read_groups(
    table: SourceTable, name: str, missing: Sequence[str], *, factor: bool = False
) -> Groups:
    """The sensitive attribute or factor in column `name`; its values are kept as written.

    Args:
        table: The data.
        name: Column of the attribute.
        missing: Values that mean "not known".
        factor: Whether groups are compared within its values, not by them.

    Raises:
        DataError: There is no such column, no value in it, or more than `MAX_LEVELS` values.
    """
    values = [None if value in missing else value for value in table.column(name)]
    attribute = Attribute.from_values(name, values)
    if not attribute.levels:
        raise DataError(
            f"{table.name}: column {name!r} has no value in any of {table.n} rows.",
            "Name another column in data.sensitive, or check the file that was joined.",
        )
    if len(attribute.levels) > MAX_LEVELS:
        raise DataError(
            f"{table.name}: column {name!r} has {len(attribute.levels)} different values; it looks "
            "like an id or a number, not like groups.",
            "Put the values into a few groups first (age bands, regions).",
        )
    return Groups(attribute, tuple(_warnings(attribute, table.n, factor)))


def _warnings(attribute: Attribute, n: int, factor: bool) -> list[str]:
    said = []
    if attribute.missing:
        meaning = (
            "comparisons within it leave them out."
            if factor
            else "gaps and ratios of rates are bounded for whatever group of it they are of, other "
            "checks leave them out."
        )
        said.append(f"{attribute.name!r} is missing in {attribute.missing} of {n} rows; {meaning}")
    if len(attribute.levels) == 1:
        said.append(
            f"{attribute.name!r} has a single value, {attribute.levels[0]!r}: nothing to compare."
        )
    said.extend(
        f"{attribute.name!r} has the groups {' and '.join(map(repr, alike))}, which differ only in "
        "case, space or Unicode form; they are counted apart."
        for alike in _lookalikes(attribute.levels)
    )
    return said


def _lookalikes(levels: Sequence[str]) -> list[list[str]]:
    alike: dict[str, list[str]] = {}
    for level in levels:
        folded = " ".join(unicodedata.normalize("NFC", level).casefold().split())
        alike.setdefault(folded, []).append(level)
    return [same for same in alike.values() if len(same) > 1]
