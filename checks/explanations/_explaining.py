"""What the checks of explanations have in common: examples, and attributions that are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Attribution, Effort, Samples
from auditkit.check import Context, Explainer
from auditkit.data import unit_id
from auditkit.errors import NotApplicable
from auditkit.explanations.methods import method_named
from auditkit.finding import Measurement

USUAL = ("lime", "shap", "integrated-gradients", "occlusion")
"""Methods that are audited unless the configuration names others."""

DRAWING = frozenset({"lime", "kernel-shap", "random"})
"""Methods that draw random numbers: another seed gives another explanation."""

Span = tuple[float, float]
"""Shares of a check that are done before and after a part of it."""


@dataclass(frozen=True, slots=True)
class ExplanationParams:
    """Which answers are explained, and how."""

    methods: tuple[str, ...] = ()
    """Methods of explanation: lime, shap, kernel-shap, integrated-gradients, gradient-x-input,
    attention-rollout, occlusion, random. Empty for lime, shap, integrated-gradients and occlusion,
    as far as they can be used on the model."""
    examples: int = 50
    """Texts whose answers are explained, drawn by the audit's seed: every check of explanations
    with as many examples has the same."""
    minimum_examples: int = 20
    """Examples below which nothing is decided."""
    samples: Samples = "auto"
    """Texts that LIME asks about per example. "auto" stops when its five most important words no
    longer change, with 95 % confidence."""
    steps: int = 50
    """Points between baseline and text, for integrated gradients."""
    show: int = 6
    """Examples shown in the report. 0 keeps the texts of the data out of the run directory."""

    def __post_init__(self) -> None:
        if min(self.examples, self.minimum_examples) < 1:
            raise ValueError("examples and minimum_examples must be at least 1")
        if self.show < 0:
            raise ValueError("show must be at least 0")
        if len(set(self.methods)) < len(self.methods):
            raise ValueError("methods must name none twice")
        for name in self.methods:
            method_named(name)
        self.effort()

    def effort(self, seed: int = 0) -> Effort:
        """What each explanation may cost."""
        return Effort(samples=self.samples, steps=self.steps, seed=seed)


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """Examples whose answers are explained, n of them.

    Attributes:
        rows: Rows of the audited data, shape (n,), ascending.
        texts: Their texts, all different.
        labels: The class the model answers, whose score is explained, shape (n,).
        scores: Its probability, shape (n,).
        ids: What each example is called in `Measurement.units`.
        clusters: Shape (n,), or None when examples are independent.
    """

    rows: NDArray[np.int64]
    texts: tuple[str, ...]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    ids: tuple[str, ...]
    clusters: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.texts)


def explainer_of(context: Context) -> Explainer:
    """The explainer, for inputs that can be explained.

    Raises:
        NotApplicable: They are not texts, or there is none.
    """
    if not len(context.data):
        raise NotApplicable("there are no rows.")
    if not all(isinstance(text, str) for text in context.data.inputs):
        raise NotApplicable("the inputs are not texts.")
    assert context.explainer is not None, "the check needs Capability.EXPLANATIONS"
    return context.explainer


def usable(context: Context, methods: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Of these methods, or of the usual ones when there are none, those that can be used.

    Returns:
        The methods; and why the others cannot be used, by name.

    Raises:
        NotApplicable: None can.
    """
    explainer = explainer_of(context)
    wanted = tuple(methods) or USUAL
    obstacles = {name: explainer.obstacle(name) for name in wanted}
    blocked = {name: why for name, why in obstacles.items() if why}
    if len(blocked) == len(wanted):
        raise NotApplicable("; ".join(f"{name}: {why}" for name, why in blocked.items()) + ".")
    return tuple(name for name in wanted if name not in blocked), blocked


def drawn_examples(
    context: Context, wanted: int, among: NDArray[np.int64] | None = None
) -> Explained:
    """So many audited rows with distinct texts that are not blank, the same for every check.

    Args:
        context: Rows, model and seed.
        wanted: How many, at most.
        among: The rows to draw from, ascending; by default all.
    """
    explainer, inputs = explainer_of(context), context.data.inputs
    first: dict[str, int] = {}
    for row in range(len(inputs)) if among is None else among.tolist():
        if inputs[row].strip():
            first.setdefault(inputs[row], row)
    rng = np.random.default_rng([explainer.seed, 7])
    rows = np.sort(rng.permutation(np.array([*first.values()], dtype=np.int64))[:wanted])
    texts = tuple(inputs[row] for row in rows)
    answers = context.predictor.predict(texts)
    assert answers.probabilities is not None, "the check needs Capability.EXPLANATIONS"
    return Explained(
        rows=rows,
        texts=texts,
        labels=answers.labels,
        scores=answers.probabilities[np.arange(len(rows)), answers.labels],
        ids=tuple(map(unit_id, texts)),
        clusters=None if context.data.clusters is None else context.data.clusters[rows],
    )


def attributions(
    context: Context,
    method: str,
    explained: Explained,
    effort: Effort,
    span: Span = (0.0, 1.0),
    part: str = "",
) -> list[Attribution]:
    """One attribution of each example, in their order; finished ones are from an earlier try.

    Args:
        context: Explainer and kept parts.
        method: One that can be used.
        explained: The examples.
        effort: What each may cost.
        span: Shares of the check done before and after.
        part: Name of this part of the check, where it explains an example twice.
    """
    explainer = explainer_of(context)
    found: dict[int, Attribution] = {}
    for position, text in enumerate(explained.texts):
        record = context.kept.get(_name(part, method, effort, explained.ids[position]))
        if record is not None:
            found[position] = _restored(record, method, text, int(explained.labels[position]))
    left = [position for position in range(len(explained)) if position not in found]
    texts = [explained.texts[position] for position in left]
    labels = [int(explained.labels[position]) for position in left]
    for index, attribution in explainer.explain(method, texts, labels, effort):
        position = left[index]
        found[position] = attribution
        name = _name(part, method, effort, explained.ids[position])
        context.kept.put(name, _record(attribution))
        context.advance(span[0] + len(found) / len(explained) * (span[1] - span[0]))
    return [found[position] for position in range(len(explained))]


def explained_by(
    methods: Sequence[str],
    context: Context,
    params: ExplanationParams,
    explained: Explained,
    share: float = 1.0,
) -> dict[str, list[Attribution]]:
    """What each method says of the examples, drawn by the audit's seed; see `attributions`.

    Args:
        methods: Those that can be used.
        context: Explainer and kept parts.
        params: What each explanation may cost.
        explained: The examples.
        share: The share of the check that is done afterwards.
    """
    effort, found = params.effort(explainer_of(context).seed), {}
    for done, method in enumerate(methods):
        span = (share * done / len(methods), share * (done + 1) / len(methods))
        found[method] = attributions(context, method, explained, effort, span)
    return found


def _name(part: str, method: str, effort: Effort, example: str) -> str:
    return f"{part}/{method}/{effort.seed}/{example}"


def _record(attribution: Attribution) -> dict[str, Any]:
    """What is kept of an attribution; the text is in the data."""
    margins = attribution.margins
    return {
        "features": [[list(span) for span in spans] for spans in attribution.features],
        "weights": attribution.weights.tolist(),
        "total": attribution.total,
        "margins": None if margins is None else margins.tolist(),
        "asked": attribution.asked,
        "note": attribution.note,
    }


def _restored(record: Mapping[str, Any], method: str, text: str, label: int) -> Attribution:
    margins = record["margins"]
    return Attribution(
        method=method,
        text=text,
        label=label,
        features=tuple(
            tuple((int(start), int(end)) for start, end in spans) for spans in record["features"]
        ),
        weights=np.array(record["weights"], dtype=np.float64),
        total=record["total"],
        margins=None if margins is None else np.array(margins, dtype=np.float64),
        asked=record["asked"],
        note=record["note"],
    )


def said_of(context: Context, explained: Explained) -> tuple[str, ...]:
    """What the model says of each example, for the report: "positive, 0.93"."""
    names = context.data.class_names
    return tuple(
        f"{names[label]}, {score:.2f}"
        for label, score in zip(explained.labels.tolist(), explained.scores.tolist(), strict=True)
    )


def left_out(params: ExplanationParams, blocked: Mapping[str, str]) -> str:
    """Names the usual methods that cannot be used, for a note; empty where the methods are named.

    A method that the configuration names is not left out but a finding: see `unusable`.
    """
    if params.methods or not blocked:
        return ""
    return "Left out: " + "; ".join(f"{name}, {why}" for name, why in blocked.items()) + "."


def unusable(
    measurement: str, params: ExplanationParams, blocked: Mapping[str, str]
) -> Iterator[Measurement]:
    """The measurement of each method that the configuration names and that cannot be used."""
    if params.methods:
        for name, why in blocked.items():
            yield Measurement(measurement, None, 0, None, name, why, counted="examples")
