"""Methods that look at one word at a time."""

from __future__ import annotations

import numpy as np

from auditkit.attribution import Attribution, Effort, without, words_of
from auditkit.explanations.asking import Ask
from auditkit.random_streams import seed_of


def occlusion(text: str, label: int, ask: Ask, effort: Effort) -> Attribution:  # noqa: ARG001
    """What the score loses when a word is left out (Zeiler & Fergus 2014, Li et al. 2016)."""
    spans = words_of(text)
    scores = ask([text, *(without(text, [span]) for span in spans)])[:, label]
    features = tuple((span,) for span in spans)
    return Attribution(
        "occlusion", text, label, features, scores[0] - scores[1:], asked=len(scores)
    )


def random_weights(text: str, label: int, ask: Ask, effort: Effort) -> Attribution:  # noqa: ARG001
    """Normal random weights, drawn by the text: what any method has to be better than."""
    features = tuple((span,) for span in words_of(text))
    rng = np.random.default_rng(seed_of(effort.seed, "random", text))
    return Attribution("random", text, label, features, rng.standard_normal(len(features)))
