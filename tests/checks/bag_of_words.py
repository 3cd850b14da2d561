"""A model that adds up its words' weights, so that the true explanation of an answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from auditkit.attribution import words_of
from auditkit.check import Check, Confidence, Context
from auditkit.data import AuditData, unit_id
from auditkit.finding import Finding, Outcome
from auditkit.predictor import SharedPredictor
from auditkit.testing import FakeModel, PlantedExplainer, findings_in

VOCABULARY = tuple(f"{first}{second}" for first in "bdfgklmnp" for second in ("ami", "oru", "est"))
STRENGTH = dict(
    zip(VOCABULARY, np.random.default_rng(5).normal(0, 1.2, len(VOCABULARY)).tolist(), strict=True)
)
"""What each word adds to the log odds of the second class."""

Weigh = Callable[[str, str, int, int], Sequence[float]]


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in words_of(text)]


def log_odds(text: str, strength: Mapping[str, float] = STRENGTH) -> float:
    return sum(strength.get(word, 0.0) for word in split(text))


def answer(text: str) -> list[float]:
    score = 1 / (1 + math.exp(-log_odds(text)))
    return [1 - score, score]


def texts(rows: int, words: int = 12, seed: int = 0) -> tuple[str, ...]:
    rng = np.random.default_rng(seed)
    return tuple(" ".join(rng.choice(VOCABULARY, words, replace=False)) for _ in range(rows))


def data_of(inputs: Sequence[Any], **more: Any) -> AuditData:
    return AuditData(tuple(inputs), None, ("bad", "good"), 1, **more)


def noise(*parts: object) -> np.random.Generator:
    return np.random.default_rng(int(unit_id(repr(parts)), 16))


def true_weights(_method: str, text: str, label: int, _seed: int) -> list[float]:
    sign = 1 if label == 1 else -1
    return [sign * STRENGTH.get(word, 0.0) for word in split(text)]


def random_weights(method: str, text: str, label: int, seed: int) -> list[float]:
    return noise(method, text, label, seed).normal(size=len(words_of(text))).tolist()


def by_method(**methods: Weigh) -> Weigh:
    """Each method weighs as its function does."""
    return lambda method, *rest: methods[method](method, *rest)


def explaining(weigh: Weigh, answers: Any = answer, **more: Any) -> PlantedExplainer:
    return PlantedExplainer(weigh, SharedPredictor(FakeModel(answers)), **more)


def findings(
    check: Check, data: AuditData, explainer: PlantedExplainer, params: Any, **limits: float | None
) -> list[Finding]:
    context = Context(
        predictor=explainer.predictor,
        data=data,
        splits={},
        confidence=Confidence(),
        rng=np.random.default_rng(0),
        advance=lambda _: None,
        explainer=explainer,
    )
    found = findings_in(check, context, params, limits or None)
    crashed = [one.message for one in found if one.outcome is Outcome.ERROR]
    assert not crashed, crashed[0]
    return found


def named(found: Sequence[Finding], name: str) -> dict[str, Finding]:
    return {
        one.measurement.slice: one
        for one in found
        if one.measurement and one.measurement.name == name
    }


def judged(found: Sequence[Finding]) -> set[Outcome]:
    return {one.outcome for one in found if one.limit is not None}
