"""What tests of explanations have in common: films, a model that counts words, an explainer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from auditkit.attribution import words_of
from auditkit.check import Check, Confidence, Context
from auditkit.data import AuditData
from auditkit.finding import Finding
from auditkit.predictor import SharedPredictor
from auditkit.testing import FakeModel, PlantedExplainer, findings_in

NAMES = ("negative", "positive")
GOOD, BAD = ("lovely", "brilliant", "moving"), ("dreadful", "boring", "clumsy")
PLAIN = (
    "actor", "camera", "scene", "river", "music", "street", "winter", "garden", "window", "dinner",
    "story", "brother", "minute", "ticket", "village", "ending",
)  # fmt: skip
ODD = ("", "   ", "😀", "😀 😀 😀", "فيلم جميل جدا", "\u202eabc def", "no no no no no no", "x")

Weigh = Callable[[str, str, int, int], "list[float]"]


def films(rows: int = 60) -> AuditData:
    """Texts of ten plain words and two that tell, whose characters people marked."""
    rng = np.random.default_rng(1)
    texts, labels, rationales = [], [], []
    for row in range(rows):
        label = row % 2
        telling = rng.choice((BAD, GOOD)[label], 2, replace=False).tolist()
        words = [*rng.choice(PLAIN, 10, replace=False).tolist(), str(row)]
        at = int(rng.integers(0, len(words)))
        words[at:at] = telling
        text = " ".join(words)
        start = len(" ".join(words[:at])) + bool(at)
        rationales.append(((start, start + len(" ".join(telling))),))
        texts.append(text)
        labels.append(label)
    return AuditData(tuple(texts), np.array(labels), NAMES, 1, rationales=tuple(rationales))


def counting(text: str) -> list[float]:
    """Probabilities by the words that tell."""
    words = text.lower().split()
    score = sum(word in GOOD for word in words) - sum(word in BAD for word in words)
    share = 1 / (1 + np.exp(-2 * score))
    return [1 - share, share]


def words_in(text: str) -> list[str]:
    return [text[start:end] for start, end in words_of(text)]


def telling(_method: str, text: str, label: int, _seed: int) -> list[float]:
    """The weights of a true explanation, and a little for every other word, by its letters."""
    sign = 1 if label else -1
    return [
        sign * ((word.lower() in GOOD) - (word.lower() in BAD)) + small(word.lower())
        for word in words_in(text)
    ]


def small(word: str) -> float:
    return 1e-3 * (sum(map(ord, word)) % 97)


def random(method: str, text: str, label: int, seed: int) -> list[float]:
    """Weights that depend on everything but the model."""
    told = np.frombuffer(f"{method}{text}{label}{seed}".encode()[:4000], dtype=np.uint8)
    return np.random.default_rng(told).normal(size=len(words_in(text))).tolist()


def findings(  # noqa: PLR0917 - what a test varies
    check: Check,
    weigh: Weigh,
    data: AuditData | None = None,
    params: dict | None = None,
    answer=counting,
    blocked: dict[str, str] | None = None,
    seed: int = 0,
    **limits: float | None,
) -> list[Finding]:
    """What the check finds of explanations with these weights."""
    predictor = SharedPredictor(FakeModel(answer, class_names=NAMES))
    explainer = PlantedExplainer(weigh, predictor, seed=seed, blocked=blocked or {})
    context = Context(
        predictor=predictor,
        data=films() if data is None else data,
        splits={},
        confidence=Confidence(),
        rng=np.random.default_rng(0),
        advance=lambda _: None,
        explainer=explainer,
    )
    return findings_in(check, context, check.params(**(params or {})), limits)


def named(found: list[Finding], name: str) -> dict[str, Finding]:
    """The findings of one measurement by their slice."""
    return {f.measurement.slice: f for f in found if f.measurement and f.measurement.name == name}


def odd(data: AuditData) -> AuditData:
    """The rows with odd texts among them, in each of which the first characters are marked."""
    marks = tuple(((0, min(2, len(text))),) if text else () for text in ODD)
    return replace(
        data,
        inputs=(*data.inputs, *ODD),
        labels=np.concatenate([data.labels, np.zeros(len(ODD), dtype=np.int64)]),
        rationales=(*data.rationales, *marks),
    )
