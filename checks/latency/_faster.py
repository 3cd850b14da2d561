"""What the remedies that make a model faster have in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from auditkit.remedy import RemedyContext


def tell_moved(context: RemedyContext, folder: Path) -> None:
    """Say how far the answers to the validation rows move, if there are any."""
    texts = context.validation.inputs
    if not texts:
        context.note("No rows to choose by were given, so nothing was asked before the audit.")
        return
    before, after = context.predictor.predict(texts), context.ask(folder).predict(texts)
    said = f"{int((before.labels != after.labels).sum())} of {len(texts)} validation rows get "
    said += "another label"
    if before.probabilities is not None and after.probabilities is not None:
        moved = np.abs(before.probabilities - after.probabilities).max(axis=1)
        said += f", and a probability moves by up to {moved.max():.2g}"
    context.note(f"{said}.")
