"""For authors of checks and remedies: small data, fixed answers, and the contracts to keep."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Attribution, Effort, words_of
from auditkit.check import HEADINGS, Check, Confidence, Context, Predictor
from auditkit.data import Attribute, AuditData, Shift
from auditkit.finding import Finding, Outcome
from auditkit.latency.bench import Bench, FreshStart
from auditkit.latency.simulated import simulated_bench, simulated_variants
from auditkit.measuring import run_check
from auditkit.model import Capability, Head, Predictions
from auditkit.plan import PlannedCheck
from auditkit.remedy import HEADINGS as REMEDY_HEADINGS
from auditkit.remedy import Remedy
from auditkit.result import SuiteLimit


@dataclass(frozen=True, slots=True, eq=False)
class FixedAnswers:
    """A predictor that answers for input i with row i of its predictions and embeddings."""

    predictions: Predictions
    embeddings: NDArray[Any] | None = None
    """Shape (n, width); None when no check asks for them."""
    layer: Head | None = None
    """What makes logits of the embeddings."""

    def predict(self, inputs: Iterable[Any]) -> Predictions:
        """The rows named by `inputs`, which are row numbers."""
        return self.predictions.take(np.array(list(inputs), dtype=np.int64))

    def embed(self, inputs: Iterable[Any]) -> NDArray[np.float32]:
        """The embeddings of the rows named by `inputs`."""
        assert self.embeddings is not None, "this check asks for embeddings; give some"
        rows = np.array(list(inputs), dtype=np.int64)
        return np.asarray(self.embeddings[rows], dtype=np.float32)

    def head(self) -> Head:
        """The head; all zeros, which tells nothing, when none was given."""
        assert self.embeddings is not None, "this check asks for embeddings; give some"
        if self.layer is not None:
            return self.layer
        scores = self.predictions.probabilities
        classes = 2 if scores is None else scores.shape[1]
        return Head(np.zeros((classes, self.embeddings.shape[1])), np.zeros(classes))


@dataclass(frozen=True, slots=True)
class FakeModel:
    """A model that answers from a function of the input; every input it is asked is counted."""

    answer: Any
    """Callable from an input to a row of probabilities."""
    class_names: tuple[str, ...] = ("negative", "positive")
    name: str = "fake"
    digest: str = "fake"
    capabilities: frozenset[Capability] = frozenset(
        {Capability.PROBABILITIES, Capability.NEW_INPUTS}
    )
    assumptions: dict[str, str] = dataclasses.field(default_factory=dict)
    asked: list[Any] = dataclasses.field(default_factory=list)
    embedding: Any = None
    """Callable from an input to its embedding; without it the model gives none."""
    embedding_width: int = 0
    """Numbers that `embedding` returns."""
    layer: Head | None = None
    """What makes logits of the embeddings."""

    def __post_init__(self) -> None:
        if self.embedding is not None:
            offered = self.capabilities | {Capability.EMBEDDINGS}
            object.__setattr__(self, "capabilities", offered)

    def predict(self, batch: Sequence[Any]) -> Predictions:
        """Answers of the function."""
        self.asked.extend(batch)
        return Predictions.from_probabilities(
            np.array([self.answer(one) for one in batch], dtype=float)
        )

    def embed(self, batch: Sequence[Any]) -> NDArray[np.float32]:
        """Embeddings by the function."""
        return np.array([self.embedding(one) for one in batch], dtype=np.float32)

    def head(self) -> Head:
        """The head that was given; the embedding's first numbers are the logits otherwise."""
        classes = len(self.class_names)
        return self.layer or Head(np.eye(classes, self.embedding_width), np.zeros(classes))


@dataclass(frozen=True, slots=True)
class PlantedExplainer:
    """An explainer whose weights are known.

    Attributes:
        weigh: From a method, a text, a class and a seed to the weight of each of `words_of(text)`.
        predictor: Answers.
        seed: As the audit's.
        totals: From a method, a text and a class to what the weights should sum to, or None.
        blocked: Why a method cannot be used, by its name.
        layers: As the model's.
        untrained: Explains the model with as many random layers; None makes `randomized` fail.
    """

    weigh: Callable[[str, str, int, int], Sequence[float]]
    predictor: Predictor
    seed: int = 0
    totals: Callable[[str, str, int], float | None] = lambda *_: None
    blocked: Mapping[str, str] = dataclasses.field(default_factory=dict)
    layers: tuple[str, ...] = ()
    untrained: Callable[[int], PlantedExplainer] | None = None

    def obstacle(self, method: str) -> str:
        """Why this method cannot be used."""
        return self.blocked.get(method, "")

    def explain(
        self, method: str, texts: Sequence[str], labels: Sequence[int], effort: Effort
    ) -> Iterator[tuple[int, Attribution]]:
        """The planted weights, last text first."""
        for position in reversed(range(len(texts))):
            text, label = texts[position], labels[position]
            weights = np.array(self.weigh(method, text, label, effort.seed), dtype=float)
            features = tuple((span,) for span in words_of(text))
            total = self.totals(method, text, label)
            yield position, Attribution(method, text, label, features, weights, total)

    def randomized(self, layers: int, seed: int) -> PlantedExplainer:  # noqa: ARG002 - planted
        """The planted explainer of the model with random weights."""
        assert self.untrained is not None, "no model with random weights was planted"
        return self.untrained(layers)

    def predict(self, texts: Sequence[str]) -> Predictions:
        """Answers of the predictor."""
        return self.predictor.predict(texts)


def tiny_data(
    labels: Sequence[int] | NDArray[np.int64],
    groups: Mapping[str, Sequence[str | None]] | None = None,
    classes: int = 2,
    clusters: Sequence[int] | None = None,
) -> AuditData:
    """Data whose inputs are row numbers; the last class of two is the positive one."""
    named = {
        name: Attribute.from_values(name, list(values)) for name, values in (groups or {}).items()
    }
    return AuditData(
        inputs=tuple(range(len(labels))),
        labels=np.asarray(labels, dtype=np.int64),
        class_names=tuple(f"class {i}" for i in range(classes)),
        positive=1 if classes == 2 else None,
        groups=named,
        clusters=None if clusters is None else np.asarray(clusters, dtype=np.int64),
    )


def tiny_context(
    data: AuditData,
    predictions: Predictions,
    family: int = 1,
    seed: int = 0,
    embeddings: NDArray[Any] | None = None,
) -> Context:
    """A context in which the model's answers on `data` are `predictions`."""
    return Context(
        predictor=FixedAnswers(predictions, embeddings),
        data=data,
        splits={},
        confidence=Confidence(family=family),
        rng=np.random.default_rng(seed),
        advance=lambda _: None,
    )


def shifted(data: AuditData, **sets: Sequence[int] | NDArray[np.int64]) -> dict[str, Shift]:
    """Sets out of distribution that take these rows of the data, by name."""
    made = {}
    for name, rows in sets.items():
        taken = np.sort(np.asarray(rows, dtype=np.int64))
        made[name] = Shift(data.rows(taken), taken, taken, f"{len(taken)} rows.")
    return made


def findings_in(
    check: Check,
    context: Context,
    params: Any = None,
    limits: Mapping[str, float | None] | None = None,
) -> list[Finding]:
    """Run one check in a context, which may have sets out of distribution and training rows."""
    entry = planned(check, params, limits)
    confidence = Confidence(context.confidence.level, _gated(entry))
    return run_check(entry, dataclasses.replace(context, confidence=confidence))


def findings_of(
    check: Check,
    data: AuditData,
    predictions: Predictions,
    params: Any = None,
    limits: Mapping[str, float | None] | None = None,
    embeddings: NDArray[Any] | None = None,
) -> list[Finding]:
    """Run one check on fixed answers, with its own limits or the ones given."""
    context = tiny_context(data, predictions, embeddings=embeddings)
    return findings_in(check, context, params, limits)


def findings_on(
    check: Check,
    data: AuditData,
    predictor: Predictor,
    params: Any = None,
    limits: Mapping[str, float | None] | None = None,
) -> list[Finding]:
    """Run one check with a predictor that answers what is not in the data, too.

    Ask a model with `SharedPredictor(FakeModel(answer))`.
    """
    context = Context(
        predictor=predictor,
        data=data,
        splits={},
        confidence=Confidence(),
        rng=np.random.default_rng(0),
        advance=lambda _: None,
    )
    return findings_in(check, context, params, limits)


def planned(
    check: Check, params: Any = None, limits: Mapping[str, float | None] | None = None
) -> PlannedCheck:
    """A check as an audit with these parameters and limits plans it."""
    return PlannedCheck(
        check=check,
        severity=check.severity,
        limits={
            limit.name: SuiteLimit(limit.direction, (limits or {}).get(limit.name, limit.value))
            for limit in check.limits
        },
        params=params if params is not None else check.params(),
        required=False,
        obstacle="",
    )


def _gated(entry: PlannedCheck) -> int:
    return max(sum(limit.value is not None for limit in entry.limits.values()), 1)


def assert_check_contract(check: Check) -> None:
    """Assert what every check owes its users.

    Documented under the fixed headings; the same answers give the same findings; odd data (no row,
    one row, one class, one group, many groups, hostile names) neither crashes it nor makes it pass
    what it cannot know; data and answers are left as they were; findings survive JSON.
    """
    _assert_documented(check)
    for name, (data, predictions) in odd_cases().items():
        before = data.digest
        vectors = np.random.default_rng(2).normal(size=(len(data), 8))
        first, again = (findings_in(check, _odd(data, predictions, vectors)) for _ in "12")
        assert first == again, f"{check.id}: {name}: not deterministic"
        assert data.digest == before, f"{check.id}: {name}: changed the data"
        crashed = [f.message for f in first if f.outcome is Outcome.ERROR]
        assert not crashed, f"{check.id}: {name}: {crashed[0]}"
        _assert_serialisable(check, name, first)
        unknowable = {"no row", "one row"}
        if Capability.GROUPS in check.needs:
            unknowable |= {"one group", "a group of one"}
        if name in unknowable:
            passed = [f.message for f in first if f.outcome is Outcome.PASS]
            assert not passed, f"{check.id}: {name} passes: {passed[0]}"


def _odd(data: AuditData, predictions: Predictions, vectors: NDArray[Any]) -> Context:
    """A context with a third of the rows out of distribution, and a third trained on."""
    rows = np.arange(len(data))
    return dataclasses.replace(
        tiny_context(data, predictions, embeddings=vectors),
        timing=_simulated(predictions),
        shifts=shifted(data, odd=rows[::3]) if len(rows) else {},
        training=data.rows(rows[1::3]),
        held_out={"validation": data.rows(rows[1::2])},
        baseline=FixedAnswers(predictions.take(rows[::-1]), vectors),
    )


def _simulated(predictions: Predictions) -> Bench:
    """A bench for a model that answers this, and takes 0.1 to 0.2 seconds for each input."""
    scores = predictions.probabilities
    assert scores is not None
    bench = simulated_bench(
        lambda batch: sum(1e8 * (1 + one % 11 / 10) for one in batch),
        lambda one: scores[one],
        lambda i: FreshStart(2.0 + i, 1.0, 0.5, 0.2, 0.1, 10**6, 2 * 10**6, 3 * 10**6),
        lambda batch: sum(1e8 * (1 + one % 7 / 10) for one in batch),
    )
    bench.variants = simulated_variants(
        bench.clock, {"bf16": (lambda batch: 1e8 * len(batch), lambda one: scores[one - 1])}
    )
    return bench


def odd_cases(rows: int = 400) -> dict[str, tuple[AuditData, Predictions]]:
    """Data that checks tend to crash on, with answers."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, rows)
    groups = rng.choice(["a", "b"], rows).tolist()
    hostile = ['<img src=x onerror="alert(1)">', "a/../../b", "née", "née", "\u202eabc", " "]
    many = [f"group {i}" for i in rng.integers(0, 60, rows)]

    def case(
        labels: NDArray[np.int64], groups: Sequence[str | None], classes: int = 2
    ) -> tuple[AuditData, Predictions]:
        data = tiny_data(labels, {"attribute": groups}, classes)
        scores = np.random.default_rng(1).dirichlet(np.ones(classes), len(labels))
        return data, Predictions.from_probabilities(scores)

    return {
        "no row": case(labels[:0], []),
        "one row": case(labels[:1], ["a"]),
        "one class": case(np.ones(rows, dtype=np.int64), groups),
        "one group": case(labels, ["a"] * rows),
        "a group of one": case(labels, ["rare", *groups[1:]]),
        "unknown groups": case(labels, [None if i % 3 else g for i, g in enumerate(groups)]),
        "hostile names": case(labels, rng.choice(hostile, rows).tolist()),
        "many groups": case(labels, many),
        "four classes": case(rng.integers(0, 4, rows), groups, classes=4),
    }


def _assert_documented(check: Check) -> None:
    parts = check.sections
    missing = [heading for heading in HEADINGS if not parts.get(heading)]
    assert not missing, f"{check.id}: the docstring lacks {missing}"
    assert parts[""], f"{check.id}: the docstring lacks a first sentence"
    assert dataclasses.is_dataclass(check.params), f"{check.id}: params is no dataclass"
    assert getattr(check.params, "__dataclass_params__").frozen, f"{check.id}: params is not frozen"  # noqa: B009


def _assert_serialisable(check: Check, name: str, findings: list[Finding]) -> None:
    import json

    from pydantic import TypeAdapter

    adapter = TypeAdapter(list[Finding])
    document = json.dumps(adapter.dump_python(findings, mode="json"), allow_nan=False)
    assert adapter.validate_json(document) == findings, f"{check.id}: {name}: changed by JSON"


def assert_remedy_contract(remedy: Remedy) -> None:
    """Assert what every remedy owes its users.

    Documented under the fixed headings; parameters are a frozen dataclass whose defaults are
    possible and survive JSON; it is meant for something; an empty suite is no conflict.
    """
    import json

    from pydantic import TypeAdapter

    parts = remedy.sections
    missing = [heading for heading in REMEDY_HEADINGS if not parts.get(heading)]
    assert not missing, f"{remedy.id}: the docstring lacks {missing}"
    assert parts[""], f"{remedy.id}: the docstring lacks a first sentence"
    assert remedy.improves, f"{remedy.id}: it is meant to improve nothing"
    assert dataclasses.is_dataclass(remedy.params), f"{remedy.id}: params is no dataclass"
    assert getattr(remedy.params, "__dataclass_params__").frozen, (  # noqa: B009
        f"{remedy.id}: params is not frozen"
    )
    defaults = remedy.params()
    written = json.dumps(dataclasses.asdict(defaults), allow_nan=False)
    read = TypeAdapter(remedy.params).validate_json(written, strict=True)
    assert read == defaults, f"{remedy.id}: the parameters are changed by JSON"
    assert remedy.conflict(defaults, {}) == "", f"{remedy.id}: conflicts with an empty suite"
