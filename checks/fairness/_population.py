"""Reads the shares that groups have in a population."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from auditkit.errors import DataError

COLUMNS = ("attribute", "group", "share")
_ROUNDED = 0.01
"""How far the shares of an attribute may be from 1 together, for those given with two digits."""


def read_shares(path: str) -> dict[str, dict[str, float]]:
    """Share of each group, by attribute; those of an attribute are scaled to add up to 1.

    Raises:
        DataError: The file is no csv with the columns attribute, group and share, names a group
            twice, or an attribute's shares do not add up to 1.
    """
    name = Path(path).name
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise DataError(f"{name}: the columns must be {', '.join(COLUMNS)}.")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{name}: cannot be read ({error}).") from None
    shares: dict[str, dict[str, float]] = {}
    for number, row in enumerate(rows, start=2):
        groups = shares.setdefault(row["attribute"] or "", {})
        group = row["group"] or ""
        if group in groups:
            raise DataError(f"{name}: line {number} names {group!r} a second time.")
        groups[group] = _share(row["share"], f"{name}: line {number}")
    for attribute, groups in shares.items():
        total = sum(groups.values())
        if abs(total - 1.0) > _ROUNDED:
            raise DataError(f"{name}: the shares of {attribute!r} add up to {total:.4g}, not to 1.")
        shares[attribute] = {group: share / total for group, share in groups.items()}
    return shares


def _share(text: str | None, where: str) -> float:
    try:
        share = float(text or "")
    except ValueError:
        share = math.nan
    if not 0.0 <= share <= 1.0:
        raise DataError(f"{where}: a share is a number between 0 and 1, not {text!r}.")
    return share
