"""The methods of explanation by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, TypeAlias

from auditkit.attribution import Effort
from auditkit.errors import nearest
from auditkit.explanations.lime_method import lime
from auditkit.explanations.shap_methods import ExplainText, kernel_shap, partition_shap
from auditkit.explanations.word_methods import occlusion, random_weights
from auditkit.model import TokenScores, WhiteBox

IN_FLIGHT = 256
"""Examples explained at once by a method that asks a few texts at a time: the more, the fuller the
batches, and the more texts in memory."""
_FEW = 4
"""The same for a method that asks hundreds of texts at a time, and holds what it drew for them."""
_TOGETHER = 32
"""The examples whose thousands of texts such a method may leave in memory."""

LookInside: TypeAlias = "Callable[[WhiteBox, str, int, Effort], TokenScores]"


@dataclass(frozen=True, slots=True)
class Method:
    """A way to explain an answer.

    Attributes:
        by_asking: From a tokenizer, if the model has one, to what explains by asking about texts.
        inside: Explains by looking inside the model. Exactly one of the two is given.
        packages: What it needs, by the name under which it is imported.
        in_flight: Examples explained at once.
        together: Examples whose masked texts are in memory at once; then they are forgotten.
    """

    by_asking: Callable[[Any | None], ExplainText] | None = None
    inside: LookInside | None = None
    packages: tuple[str, ...] = ()
    in_flight: int = IN_FLIGHT
    together: int = IN_FLIGHT

    def missing(self) -> str:
        """What must be installed first; empty when all is there."""
        return next((name for name in self.packages if find_spec(name) is None), "")


METHODS: Mapping[str, Method] = {
    "lime": Method(
        lambda _: lime,
        packages=("lime", "sklearn", "greenlet"),
        in_flight=_FEW,
        together=_TOGETHER,
    ),
    "shap": Method(partition_shap, packages=("shap", "greenlet")),
    "kernel-shap": Method(
        lambda _: kernel_shap,
        packages=("shap", "greenlet"),
        in_flight=_FEW,
        together=_TOGETHER,
    ),
    "integrated-gradients": Method(
        inside=lambda box, text, label, effort: box.integrated_gradients(text, label, effort.steps),
        packages=("captum", "matplotlib"),
    ),
    "gradient-x-input": Method(
        inside=lambda box, text, label, _: box.gradient_x_input(text, label),
        packages=("captum", "matplotlib"),
    ),
    "attention-rollout": Method(inside=lambda box, text, *_: box.attention_rollout(text)),
    "occlusion": Method(lambda _: occlusion, packages=("greenlet",)),
    "random": Method(lambda _: random_weights, packages=("greenlet",)),
}


def method_named(name: str) -> Method:
    """The method of this name.

    Raises:
        ValueError: There is none; the message names those that there are.
    """
    if name not in METHODS:
        known = ", ".join(METHODS)
        raise ValueError(f"there is no method {name!r}, only {known}. {nearest(name, METHODS)}")
    return METHODS[name]
