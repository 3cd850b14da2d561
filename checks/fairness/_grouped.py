"""What remedies for groups share: which attribute, which class, and how far its rates differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Predictor
from auditkit.data import MISSING, Attribute, AuditData
from auditkit.errors import nearest
from auditkit.metrics.rates import MetricName, Rate, by_group
from auditkit.remedy import RemedyError

RATES: dict[str, tuple[MetricName, ...]] = {
    "demographic-parity": ("selection_rate",),
    "true-positive-rate": ("true_positive_rate",),
    "false-positive-rate": ("false_positive_rate",),
    "equalized-odds": ("true_positive_rate", "false_positive_rate"),
    "error-rate": ("accuracy",),
}
"""The rates that a constraint compares."""
_FEWEST = 20


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


def accurate_and_even(predictor: Predictor, data: AuditData) -> float:
    """Accuracy less the largest gap of a true or false positive rate between groups of 20 rows."""
    labels = predictor.predict(data.inputs).labels
    assert data.labels is not None
    gaps = [
        rate_gap(labels == index, data.labels == index, attribute, "equalized-odds", _FEWEST)
        for index in data.viewed_classes()
        for attribute in data.groups.values()
    ]
    return float((labels == data.labels).mean()) - max(gaps, default=0.0)


def rate_gap(
    chosen: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    attribute: Attribute,
    constraint: str,
    minimum: int = 1,
) -> float:
    """The largest difference of a constrained rate between two groups.

    Args:
        chosen: Whether each row is given the positive class, shape (n,).
        truth: Whether each row truly is positive.
        attribute: The groups.
        constraint: A name in `RATES`.
        minimum: Rows below which a group is left out.
    """
    sizes = attribute.sizes()
    gaps = [0.0]
    for metric in RATES[constraint]:
        values = by_group(Rate(metric, metric, truth, chosen), attribute).values
        known = [v for v, n in zip(values, sizes, strict=True) if v is not None and n >= minimum]
        gaps.append(max(known) - min(known) if known else 0.0)
    return max(gaps)
