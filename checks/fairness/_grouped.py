"""What remedies for groups share: which attribute, which class, and what models are chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Protocol

from auditkit.check import Predictor
from auditkit.data import Attribute, AuditData
from auditkit.errors import nearest
from auditkit.metrics.group_training import widest_gap
from auditkit.remedy import RemedyError, accuracy


def attribute_of(
    data: AuditData, names: Sequence[str], parameter: str = "params.attributes"
) -> Attribute:
    """The sensitive attribute to repair for: those named, crossed, or the only one.

    Args:
        data: The rows.
        names: Of attributes; empty for the only one.
        parameter: Where they are named.

    Raises:
        RemedyError: The data have none, not those named, or several of which none is named.
    """
    there = ", ".join(data.groups)
    for name in names:
        if name not in data.groups:
            raise RemedyError(
                f"the rows have no sensitive attribute {name!r} "
                f"({parameter}; there is: {there or 'none'}).",
                nearest(name, data.groups) or "Name its column in data.sensitive.",
            )
    if not names and len(data.groups) != 1:
        raise RemedyError(
            f"the rows have {len(data.groups)} sensitive attributes "
            f"({there or 'none is named in data.sensitive'}), and a remedy repairs for one.",
            f"Name it in {parameter}.",
        )
    return reduce(Attribute.cross, [data.groups[name] for name in names or data.groups])


def levels_of(attribute: Attribute, rows: str) -> tuple[str, ...]:
    """The groups that have rows, at least two.

    Args:
        attribute: Groups of the rows.
        rows: What the rows are for: "train on" or "choose by".

    Raises:
        RemedyError: All rows are of one group.
    """
    sizes = attribute.sizes().tolist()
    levels = tuple(level for level, size in zip(attribute.levels, sizes, strict=True) if size)
    if len(levels) < 2:
        raise RemedyError(
            f"all rows to {rows} are in one group of {attribute.name} "
            f"({''.join(levels) or 'an unknown one'}); there is nothing to compare.",
            "Add rows of other groups.",
        )
    return levels


def positive_of(data: AuditData) -> int:
    """The positive class.

    Raises:
        RemedyError: There are more than two classes and none is the positive one.
    """
    if data.positive is None:
        raise RemedyError(
            f"none of the {len(data.class_names)} classes is named as the positive one.",
            "Set data.positive; it is then compared with all others together.",
        )
    return data.positive


class ClosesGap(Protocol):
    """Parameters of a remedy that is about one gap between groups."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of sensitive attributes, as `attribute_of` takes them."""

    @property
    def constraint(self) -> str:
        """The gap that is to close, a name in `auditkit.metrics.group_training.RATES`."""


def accuracy_less_gap(predictor: Predictor, data: AuditData, params: ClosesGap) -> float:
    """What parameters are chosen by: accuracy less the gap that is to close."""
    assert data.labels is not None
    labels = predictor.predict(data.inputs).labels
    attribute, classes = attribute_of(data, params.attributes), data.viewed_classes()
    gap = widest_gap(labels, data.labels, attribute, classes, params.constraint)
    return accuracy(predictor, data) - gap
