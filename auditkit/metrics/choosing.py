"""What robustness remedies choose their parameters by."""

from __future__ import annotations

from typing import Any

from auditkit.check import Predictor
from auditkit.data import AuditData
from auditkit.noise import NOISES, noisy
from auditkit.remedy import accuracy

_NOISES = ("keyboard", "letter-drop", "homoglyph")


def clean_and_noisy(predictor: Predictor, data: AuditData, _: Any = None) -> float:
    """Mean of the accuracy on the texts as written and of that under some everyday noises.

    Accuracy alone would choose the mildest remedy.
    """
    under = []
    for name in _NOISES:
        texts = tuple(noisy(NOISES[name], "mild", str(text), 0) for text in data.inputs)
        right = predictor.predict(texts).labels == data.labels
        under.append(float(right.mean()))
    return (accuracy(predictor, data) + sum(under) / len(under)) / 2
