"""A decision rule beside a model: from which score on a row counts as positive, by its group.

The rule is a JSON file in the model's folder. The model itself is not changed by it: a program that
loads the folder without reading the file gets the model's own answers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import ModelError
from auditkit.model import Predictions

FILE_NAME = "auditkit-thresholds.json"
NEVER = float(np.nextafter(1.0, 2.0))
"""A threshold that no probability reaches."""
_VERSION = 1
_RULE = (
    "A row of a group named under thresholds is given the positive class if the model's "
    "probability of that class is at least the group's threshold, else the most probable of the "
    "other classes. A row of any other or no known group gets the model's most probable class. "
    "The group has to be known when a decision is made; check that the law allows to use it."
)


@dataclass(frozen=True, slots=True)
class GroupThresholds:
    """A threshold of one class's probability for each group of one attribute.

    Attributes:
        attribute: Name of the attribute, as the data's column is called.
        positive: Name of the class that is decided about.
        thresholds: Threshold of each group, 0 (always) to just above 1 (never).
        model: Digest of the model whose scores they were chosen on.
    """

    attribute: str
    positive: str
    thresholds: Mapping[str, float]
    model: str

    def decide(
        self, probabilities: NDArray[np.float64], positive: int, groups: Sequence[str | None]
    ) -> Predictions:
        """Answers with the model's probabilities and the labels that follow from the rule.

        Args:
            probabilities: Shape (n, k).
            positive: Index of the positive class.
            groups: Group of each row; None where it is not known.
        """
        own = np.array([self.thresholds.get(g, np.nan) if g is not None else np.nan
                        for g in groups], dtype=np.float64)  # fmt: skip
        ruled = np.isfinite(own)
        chosen = probabilities[:, positive] >= np.where(ruled, own, 0.0)
        labels = np.where(
            ruled,
            np.where(chosen, positive, other_class(probabilities, positive)),
            probabilities.argmax(axis=1),
        )
        return Predictions(labels.astype(np.int64), probabilities)

    def to_json(self) -> str:
        """The file's text."""
        document = {
            "version": _VERSION,
            "rule": _RULE,
            "attribute": self.attribute,
            "positive": self.positive,
            "thresholds": dict(self.thresholds),
            "otherwise": "the model's most probable class",
            "model": self.model,
        }
        return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def read(cls, file: Path) -> GroupThresholds:
        """The rule in a file.

        Raises:
            ModelError: It cannot be read, or is no such rule.
        """
        try:
            document = json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise ModelError(f"{file}: not a file of thresholds: {error}.") from None
        problem = _problem(document)
        if problem:
            raise ModelError(f"{file}: not a file of thresholds: {problem}.")
        thresholds = {name: float(value) for name, value in document["thresholds"].items()}
        return cls(document["attribute"], document["positive"], thresholds, document["model"])


def digest_with(model: str, file: Path) -> str:
    """Digest of a model with digest `model` together with a file of thresholds."""
    return hashlib.sha256(model.encode() + file.read_bytes()).hexdigest()


def other_class(probabilities: NDArray[np.float64], positive: int) -> NDArray[np.int64]:
    """The most probable class besides the positive one, shape (n,)."""
    rest = probabilities.copy()
    rest[:, positive] = -1.0
    best: NDArray[np.int64] = rest.argmax(axis=1)
    return best


def _problem(document: Any) -> str:
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        return f"it has no version {_VERSION}"
    for name in ("attribute", "positive", "model"):
        if not isinstance(document.get(name), str):
            return f"{name} is no text"
    thresholds = document.get("thresholds")
    if not isinstance(thresholds, dict) or not thresholds:
        return "thresholds names no group"
    for name, value in thresholds.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= NEVER:
            return f"the threshold of {name!r} is {value!r}, not a number from 0 to 1"
    return ""
