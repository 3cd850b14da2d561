"""The heat maps that a check of explanations shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Attribution
from auditkit.check import Context
from auditkit.finding import Evidence, ScoredTexts
from auditkit.metrics.shown_examples import examples_to_show, heat_map

from ._explaining import Explained


def is_right(context: Context, explained: Explained) -> NDArray[np.bool_] | None:
    """Whether the answer to each example is right, shape (n,); None without labels."""
    truth = context.data.labels
    return None if truth is None else np.asarray(explained.labels == truth[explained.rows])


def heat_maps(
    context: Context,
    explained: Explained,
    found: Sequence[Sequence[Attribution]],
    title: str,
    show: int,
) -> tuple[Evidence, ...]:
    """Some of the examples as heat maps, chosen by `examples_to_show`; nothing when `show` is 0.

    Args:
        context: Data.
        explained: The examples.
        found: By method, the attribution of each example.
        title: What the examples are.
        show: Most examples.
    """
    names, truth = context.data.class_names, context.data.labels
    groups = {name: one.rows(explained.rows) for name, one in context.data.groups.items()}
    rows = []
    for position, why in examples_to_show(
        explained.scores, is_right(context, explained), groups, show
    ):
        answer = names[explained.labels[position]]
        said = f"{why[0].upper()}{why[1:]}. Answer: {answer} ({explained.scores[position]:.2f})"
        if truth is not None:
            said += f", truth: {names[truth[explained.rows[position]]]}"
        rows.append(heat_map(said, [one[position] for one in found], answer))
    return (ScoredTexts(title, tuple(rows)),) if rows else ()
