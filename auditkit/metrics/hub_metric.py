"""Metrics of Hugging Face evaluate, from the hub or a local folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import AuditkitError, MissingExtraError, nearest

Compute = Callable[[NDArray[np.int64], NDArray[np.int64]], float]


def hub_metric(reference: str, arguments: Mapping[str, Any], key: str) -> Compute:
    """A function of predicted and true classes, both (n,), that returns the metric.

    Args:
        reference: A folder that holds the metric's script, which is run, or a hub id.
        arguments: Passed on to the metric's compute.
        key: Which of the returned numbers; empty when there is one.

    Raises:
        AuditkitError: The metric cannot be loaded; offline, only folders can.
        MissingExtraError: The package evaluate is not installed.
    """
    try:
        import evaluate
    except ImportError:
        raise MissingExtraError(f"the metric {reference!r}", "evaluate") from None
    try:
        metric = evaluate.load(reference)
    except Exception as error:  # noqa: BLE001 - a metric's script may raise anything
        hint = (
            "" if Path(reference).exists() else "A hub id needs --online; a folder works offline."
        )
        raise AuditkitError(f"the metric {reference!r} cannot be loaded: {error}.", hint) from None

    def compute(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
        answer = metric.compute(predictions=predicted, references=labels, **arguments)
        return _number(answer, reference, key)

    return compute


def _number(answer: Any, reference: str, key: str) -> float:
    if not isinstance(answer, Mapping) or not answer:
        raise AuditkitError(f"the metric {reference!r} returned {answer!r}, not named numbers.")
    if key and key not in answer:
        raise AuditkitError(f"the metric {reference!r} returns no {key!r}.", nearest(key, answer))
    if not key and len(answer) > 1:
        names = ", ".join(answer)
        raise AuditkitError(
            f"the metric {reference!r} returns several numbers.",
            f"Set params.key to one of: {names}",
        )
    value = answer[key or next(iter(answer))]
    if np.ndim(value) or value is None:
        raise AuditkitError(f"the metric {reference!r} returned {value!r}, not a number.")
    return float(value)
