"""What a check is: a function with a claim, limits and parameters."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Attribution, Effort
from auditkit.data import AuditData, Shift, in_distribution
from auditkit.finding import Measurement, Severity
from auditkit.latency.bench import Bench
from auditkit.model import Capability, Head, Predictions
from auditkit.resources import Resource

HEADINGS = (
    "What it measures",
    "Why it matters",
    "How to read it",
    "What to do",
    "Limits of this check",
    "References",
)
"""Headings every check's docstring has, in this order."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound on one of a check's measurements.

    Attributes:
        name: Name of the measurements it judges.
        direction: "max" when larger is worse, "min" when smaller is worse.
        value: The default limit; None reports the measurement without gating it.
        lowest: Smallest value the quantity can have; a limit below it is refused.
        highest: Largest value the quantity can have.
        means: One line for the reference and the config schema.
    """

    name: str
    direction: Literal["max", "min"]
    value: float | None
    lowest: float = 0.0
    highest: float = 1.0
    means: str = ""

    def __post_init__(self) -> None:
        if self.value is not None and not self.lowest <= self.value <= self.highest:
            raise ValueError(
                f"limit {self.name} = {self.value} is outside [{self.lowest}, {self.highest}]"
            )
        if math.isnan(self.lowest) or math.isnan(self.highest):
            raise ValueError(f"limit {self.name} has no valid range")


@dataclass(frozen=True, slots=True)
class Confidence:
    """The two error levels every verdict uses (DESIGN: a PASS is uncorrected, a FAIL corrected).

    Attributes:
        level: Confidence of one claim, one-sided; 0.95 means a false PASS in at most 5 % of runs.
        family: Gated limits of the whole suite, over which the chance of any false FAIL is shared.
    """

    level: float = 0.95
    family: int = 1

    @property
    def claim_alpha(self) -> float:
        """One-sided error of a bound that a PASS is read from."""
        return 1.0 - self.level

    def corrected_alpha(self, comparisons: int) -> float:
        """One-sided error of a bound that a FAIL is read from, Bonferroni over all comparisons.

        Args:
            comparisons: Comparisons this limit makes in this check (slices × pairs × classes).
        """
        return self.claim_alpha / (max(self.family, 1) * max(comparisons, 1))


class Predictor(Protocol):
    """The shared way to ask the model (see `auditkit.predictor`)."""

    def predict(self, inputs: Iterable[Any]) -> Predictions:
        """Answers for the inputs, in their order; each distinct input reaches the model once."""

    def embed(self, inputs: Iterable[Any]) -> NDArray[np.float32]:
        """Embeddings of the inputs (see `EmbeddingModel`), in their order, shape (n, width).

        For checks that need `Capability.EMBEDDINGS`. Each distinct input is embedded once.
        """

    def head(self) -> Head:
        """The head that makes the logits of an embedding, for checks that need embeddings."""


class Explainer(Protocol):
    """Attributes the model's scores to parts of texts (see `auditkit.explanations`).

    All that methods ask goes through the predictor; what was explained before is remembered.
    """

    @property
    def seed(self) -> int:
        """The audit's seed: checks that draw by it explain the same examples."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The model's layers with weights, from the head down to the embeddings; empty where they
        are not shown."""

    def obstacle(self, method: str) -> str:
        """Why this method cannot be used on this model here; empty when it can.

        Raises:
            ValueError: There is no such method; the message names those that there are.
        """

    def explain(
        self, method: str, texts: Sequence[str], labels: Sequence[int], effort: Effort
    ) -> Iterator[tuple[int, Attribution]]:
        """Explain the score of class `labels[i]` for `texts[i]`; yield positions with what was
        found, in the order they are finished.

        A text that cannot be explained has an attribution without features, and a note.

        Raises:
            ModelError: The model cannot be asked.
        """

    def randomized(self, layers: int, seed: int) -> Explainer:
        """Explains a copy of the model whose first `layers` layers, counted from the head, have
        random weights.

        Raises:
            ModelError: The model's layers are not shown.
        """

    def predict(self, texts: Sequence[str]) -> Predictions:
        """Answers of the model that is explained, which may be such a copy."""


class Kept(Protocol):
    """Finished parts of one check, from which a run that was cut off goes on.

    Parts of the same check on the same inputs only: when anything a measurement depends on has
    changed, nothing is found.
    """

    def get(self, name: str) -> Any | None:
        """What was put under this name; None when there is nothing."""

    def put(self, name: str, content: Any) -> None:
        """Keep a part, as JSON values. It is on the disk when this returns.

        Raises:
            StoreError: It cannot be written.
        """


class KeptInMemory:
    """Parts of a check in a run that writes nothing."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def get(self, name: str) -> Any | None:
        """What was put under this name."""
        return self._parts.get(name)

    def put(self, name: str, content: Any) -> None:
        """Keep a part until the process ends."""
        self._parts[name] = content


@dataclass(frozen=True, slots=True)
class Context:
    """Everything a check may use.

    Attributes:
        predictor: Asks the model.
        data: The rows under audit.
        splits: Every named split, the audited one included.
        confidence: The levels for bounds.
        rng: Random numbers of this check alone; the same seed gives the same stream.
        advance: Report that a share (0..1) of the check is done.
        kept: Finished parts of a long check.
        shifts: The sets of rows that are out of distribution, by name.
        training: The rows that the model was trained on; None unless the check needs or uses
            `Capability.TRAINING_ROWS`.
        validation: Labelled rows to choose by, none of which is audited, in a set or trained on;
            None unless the check needs or uses `Capability.VALIDATION_ROWS`, or where there are
            none.
        lacking: What the check uses and model or data do not offer, and why not.
        held_out: The named splits that are neither audited nor trained on, such as that for
            validation; empty unless the check needs these rows.
        baseline: Asks the baseline about the same inputs, with the classes numbered as the model's;
            None when there is none, or the check does not say that it uses `Capability.BASELINE`.
        explainer: Explains single answers; None unless the check needs
            `Capability.EXPLANATIONS`.
        timing: Times the model itself, past the predictor's memory; None unless the check needs
            `Capability.TIMED`, and in a plan.
    """

    predictor: Predictor
    data: AuditData
    splits: dict[str, AuditData]
    confidence: Confidence
    rng: np.random.Generator
    advance: Callable[[float], None]
    kept: Kept = field(default_factory=KeptInMemory)
    shifts: Mapping[str, Shift] = field(default_factory=dict)
    training: AuditData | None = None
    validation: AuditData | None = None
    lacking: Mapping[Capability, str] = field(default_factory=dict)
    held_out: Mapping[str, AuditData] = field(default_factory=dict)
    baseline: Predictor | None = None
    timing: Bench | None = None
    explainer: Explainer | None = None

    def in_distribution(self) -> NDArray[np.int64]:
        """The rows under audit that no set of `shifts` has taken, ascending."""
        return in_distribution(len(self.data), self.shifts)


Measure = Callable[[Context, Any], Iterable[Measurement]]
Needed = Callable[[Any], Iterable[Resource]]


def no_resources(_: Any) -> Iterable[Resource]:
    """What most checks read besides model and data."""
    return ()


@dataclass(frozen=True, slots=True)
class NoParams:
    """Parameters of a check that has none."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check as the registry holds it. Made by the `check` decorator."""

    id: str
    """`family.kebab-name`, equal to the path of its file below the checks folder."""
    title: str
    """A sentence that is true or false of a model."""
    severity: Severity
    needs: frozenset[Capability]
    params: type[Any]
    """Frozen dataclass of the parameters, with defaults."""
    limits: tuple[Limit, ...]
    measure: Measure
    doc: str
    """The docstring: What it measures, Why it matters, How to read it, What to do, ..."""
    module: str
    extras: tuple[str, ...] = ()
    """Importable packages the check needs beyond the core's."""
    resources: Needed = no_resources
    """From the parameters to the files the check reads that do not come with auditkit."""
    uses: frozenset[Capability] = frozenset()
    """What it measures more with, and does without; see `Context.lacking`."""
    grows_with: str = ""
    """The parameter its questions grow in proportion to, a number of examples drawn from the rows;
    for a check whose questions depend on the model's answers. Empty for others."""
    related: tuple[str, ...] = ()
    """Ids of checks whose findings this one helps to understand; a report links them both ways."""

    @property
    def family(self) -> str:
        """First part of the id."""
        return self.id.partition(".")[0]

    @property
    def asks_for(self) -> frozenset[Capability]:
        """What it needs, and what it uses where it is there."""
        return self.needs | self.uses

    @property
    def sections(self) -> dict[str, str]:
        """The docstring's parts by heading; the text before the first heading under ""."""
        return docstring_sections(self.doc, HEADINGS)


def docstring_sections(doc: str, headings: Sequence[str]) -> dict[str, str]:
    """The parts of a docstring by heading; the text before the first heading under ""."""
    parts: dict[str, list[str]] = {"": []}
    current = ""
    for line in inspect.cleandoc(doc).splitlines():
        heading = line.rstrip().removesuffix(":")
        if heading in headings and not line.startswith(" "):
            current = heading
            parts[current] = []
        else:
            parts[current].append(line.strip())
    return {name: "\n".join(lines).strip() for name, lines in parts.items()}


def check(  # noqa: PLR0913 - these are the fields of a check, each given by name
    id: str,
    *,
    title: str,
    severity: Severity,
    needs: Iterable[Capability] = (),
    uses: Iterable[Capability] = (),
    params: type[Any] = NoParams,
    limits: tuple[Limit, ...],
    extras: tuple[str, ...] = (),
    resources: Needed = no_resources,
    grows_with: str = "",
    related: tuple[str, ...] = (),
) -> Callable[[Measure], Check]:
    """Turn a measuring function into a `Check`. Registers nothing, and needs no base class.

    Raises:
        ValueError: The function has no docstring, two limits share a name, or `grows_with` is no
            parameter.
    """

    def wrap(measure: Measure) -> Check:
        if not measure.__doc__:
            raise ValueError(
                f"{id}: a check's function needs a docstring; it is the reference page"
            )
        names = [limit.name for limit in limits]
        if len(set(names)) != len(names):
            raise ValueError(f"{id}: two limits share a name: {names}")
        if grows_with and grows_with not in params.__dataclass_fields__:
            raise ValueError(f"{id}: grows_with names no parameter: {grows_with!r}")
        return Check(
            id=id,
            title=title,
            severity=severity,
            needs=frozenset(needs),
            uses=frozenset(uses),
            params=params,
            limits=limits,
            measure=measure,
            doc=measure.__doc__,
            module=measure.__module__,
            extras=extras,
            resources=resources,
            grows_with=grows_with,
            related=related,
        )

    return wrap
