"""What remedies for groups share: which attribute, which class, and what models are chosen by."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from auditkit.check import Predictor
from auditkit.data import MISSING, Attribute, AuditData
from auditkit.errors import nearest
from auditkit.metrics.group_training import widest_gap
from auditkit.remedy import RemedyError, accuracy


def attribute_of(data: AuditData, name: str) -> Attribute:
    """The named attribute, or the only one; with at least two groups.

    Raises:
        RemedyError: There is none, several, no such one, or one group only.
    """
    if name and name not in data.groups:
        raise RemedyError(
            f"params.attribute: no sensitive attribute is called {name!r}.",
            nearest(name, data.groups),
        )
    if not name and len(data.groups) != 1:
        raise RemedyError(
            f"there are {len(data.groups)} sensitive attributes ({', '.join(data.groups)}), and "
            "this remedy repairs one.",
            "Name it in params.attribute.",
        )
    attribute = data.groups[name] if name else next(iter(data.groups.values()))
    if len(np.unique(attribute.codes[attribute.codes != MISSING])) < 2:
        raise RemedyError(
            f"the rows to choose by are of one group of {attribute.name!r} only; there is nothing "
            "to compare."
        )
    return attribute


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


class OneAttribute(Protocol):
    """Parameters of a remedy that repairs for one attribute."""

    @property
    def attribute(self) -> str:
        """Its name; empty for the only one."""

    @property
    def constraint(self) -> str:
        """The gap that is to close, a name in `auditkit.metrics.group_training.RATES`."""


def accuracy_less_gap(predictor: Predictor, data: AuditData, params: OneAttribute) -> float:
    """What parameters are chosen by: accuracy less the gap that is to close."""
    assert data.labels is not None
    labels = predictor.predict(data.inputs).labels
    attribute, classes = attribute_of(data, params.attribute), data.viewed_classes()
    gap = widest_gap(labels, data.labels, attribute, classes, params.constraint)
    return accuracy(predictor, data) - gap
