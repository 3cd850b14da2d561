"""Confident learning: which labels are likely wrong, and what that means for the accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import AuditData
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Estimate,
    Estimates,
    Evidence,
    Measurement,
    Table,
)
from auditkit.metrics.group_pairs import Levels
from auditkit.metrics.shifted import share_interval

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

_SLACK, _LEAST = 1e-6, 2e-6
"""What a probability may fall short of a threshold, and the lowest threshold, as in cleanlab."""
_SHOWN, _LETTERS = 20, 200
"""Rows shown, and letters of each text."""


@dataclass(frozen=True, slots=True, eq=False)
class Suspects:
    """Which labels confident learning doubts.

    Attributes:
        flagged: Shape (n,).
        suggested: Class that the probabilities speak for, shape (n,); the given one elsewhere.
        thresholds: Mean probability of each class among the rows labelled so, shape (classes,);
            infinite for a class that no row is labelled.
    """

    flagged: NDArray[np.bool_]
    suggested: Labels
    thresholds: Floats


def suspect_labels(labels: Labels, probabilities: Floats) -> Suspects:
    """The rows in the off-diagonal cells of the confident joint (Northcutt, Jiang & Chuang 2021).

    A row is counted under the class whose probability reaches that class's threshold, the most
    probable class if several do, and none if none does. It is flagged if that is not its label, and
    if the most probable class is not its label either. The same rows as cleanlab's
    `find_label_issues(..., filter_by="confident_learning")`.

    Args:
        labels: Given classes, shape (n,).
        probabilities: Out-of-sample probabilities, shape (n, classes).
    """
    classes = probabilities.shape[1]
    sizes = np.bincount(labels, minlength=classes)
    own = probabilities[np.arange(len(labels)), labels]
    thresholds = np.full(classes, np.inf)
    sums = np.bincount(labels, weights=own, minlength=classes)
    np.divide(sums, sizes, out=thresholds, where=sizes > 0)
    confident = probabilities >= np.maximum(thresholds, _LEAST) - _SLACK
    likeliest = probabilities.argmax(axis=1)
    several, counted = confident.sum(axis=1) > 1, confident.any(axis=1)
    guess = np.where(several, likeliest, confident.argmax(axis=1))
    flagged = counted & (guess != labels) & (likeliest != labels)
    return Suspects(flagged, np.where(flagged, guess, labels).astype(np.int64), thresholds)


def label_noise_measurements(context: Context) -> Iterator[Measurement]:
    """The share of labels that are likely wrong, and by how much accuracy would be higher."""
    data = context.data
    answers = context.predictor.predict(data.inputs)
    assert data.labels is not None
    assert answers.probabilities is not None
    if not len(data):
        yield Measurement("flagged", None, 0, None, note="there is no row")
        return
    found = suspect_labels(data.labels, answers.probabilities)
    right = answers.labels == data.labels
    mended = found.flagged & (answers.labels == found.suggested)
    levels = Levels.of(context.confidence, 1)
    accuracies = (
        ("as labelled", right),
        ("if every flagged label is wrong", right | mended),
        ("without the flagged rows", right[~found.flagged]),
    )
    for name, hit in (("flagged", found.flagged), ("effect", mended)):
        yield Measurement(
            name,
            float(hit.mean()),
            len(data),
            levels.bounds(partial(share_interval, hit, data.clusters), "Clopper-Pearson"),
            note=f"{int(hit.sum()):,} of {len(data):,} rows. Accuracy is {right.mean():.4f} as "
            f"labelled and {(right | mended).mean():.4f} if every flagged label is wrong.",
            evidence=_evidence(data, answers.probabilities, found, accuracies)
            if name == "flagged"
            else (),
        )


def _evidence(
    data: AuditData,
    probabilities: Floats,
    found: Suspects,
    accuracies: tuple[tuple[str, NDArray[np.bool_]], ...],
) -> tuple[Evidence, ...]:
    clusters = data.clusters
    kept = None if clusters is None else clusters[~found.flagged]
    rows = [
        Estimate(
            label,
            len(hit),
            float(hit.mean()) if len(hit) else None,
            share_interval(hit, clusters if len(hit) == len(data) else kept, WHISKER_ALPHA)
            if len(hit)
            else None,
            int(hit.sum()),
        )
        for label, hit in accuracies
    ]
    chart = Estimates("Accuracy", tuple(rows), WHISKER_LEVEL, "Clopper-Pearson")
    if not found.flagged.any():
        return (chart,)
    return chart, _by_class(data, found), _likeliest(data, probabilities, found)


def _by_class(data: AuditData, found: Suspects) -> Table:
    assert data.labels is not None
    k = len(data.class_names)
    cells = np.bincount((data.labels * k + found.suggested)[found.flagged], minlength=k * k)
    order = [place for place in np.argsort(-cells, kind="stable").tolist() if cells[place]]
    rows = [
        (data.class_names[place // k], data.class_names[place % k], int(cells[place]))
        for place in order[:_SHOWN]
    ]
    return Table("Flagged labels by class", ("labelled", "suggested", "rows"), tuple(rows))


def _likeliest(data: AuditData, probabilities: Floats, found: Suspects) -> Table:
    assert data.labels is not None
    flagged = np.flatnonzero(found.flagged)
    own = probabilities[flagged, data.labels[flagged]]
    order = flagged[np.argsort(own, kind="stable")[:_SHOWN]].tolist()
    rows = [
        (
            row + 1,
            str(data.inputs[row])[:_LETTERS],
            data.class_names[data.labels[row]],
            data.class_names[found.suggested[row]],
            f"{probabilities[row, data.labels[row]]:.4f}",
        )
        for row in order
    ]
    return Table(
        "Labels most likely to be wrong",
        ("audited row", "text", "labelled", "suggested", "probability of the label"),
        tuple(rows),
    )
