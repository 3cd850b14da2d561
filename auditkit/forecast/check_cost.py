"""What the checks will cost, from running each on growing samples of the rows.

The answers are made up. A check that asks about new inputs is given made-up answers too, twice
different ones: where it asks the same all the same, what it asks does not depend on the answers and
can be counted. A check that says what its questions grow with is tried by a pilot on a few rows
instead; see `auditkit.forecast.pilot`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Confidence, Context
from auditkit.content import content_digest, content_key
from auditkit.explanations.explaining import TextExplainer
from auditkit.finding import Finding, Outcome
from auditkit.forecast.baseline_cost import BaselineTimer
from auditkit.forecast.model_cost import Clock, ModelCost, ModelTimer, line
from auditkit.forecast.pilot import Noted, Pilot, is_embedding, not_applicable
from auditkit.measuring import run_check
from auditkit.model import Capability, Head, Predictions
from auditkit.ood_sets import sampled
from auditkit.plan import PlannedCheck
from auditkit.preflight import Prepared
from auditkit.sampling import draw
from auditkit.schedule import asks_more, is_timed, rng_of

FEWEST_ROWS = 500
"""Rows of the smallest sample a check is timed on."""
GROWTH = 4
"""How many times as many rows the next one has, until it is all of them."""
CHECK_SECONDS = 2.0
"""No larger sample is timed than is expected to bring the runs of a check above this."""
ASKING_SECONDS = 20.0
"""The same for a check that asks about new inputs: how many they are is worth knowing."""
_WRONG = 0.2
"""Share of made-up answers that are drawn from all classes instead of being the label."""
_STEADY_SECONDS, _STEADY_RUNS = 0.1, 3
"""What takes less time than this in all is run so many times, for the median."""


@dataclass(frozen=True, slots=True)
class CheckCost:
    """What one check is expected to cost.

    Attributes:
        id: The check.
        obstacle: Why it will not run; empty when it will.
        recalled: Whether it is finished already, so that the store answers for it.
        asks: Whether it may ask about new inputs; the other checks run beside those that do.
        asked: What asking about its new inputs costs: those that neither the audited rows nor an
            earlier check have; None when that depends on the model's answers.
        steady: Share of `asked` that does not depend on the number of rows.
        until: Share of the rows from which on its costs no longer grow with them.
        once: Seconds of its own, whatever the number of rows: imports, mostly.
        seconds: Seconds of its own that grow with the rows; None when not estimated.
    """

    id: str
    obstacle: str = ""
    recalled: bool = False
    asks: bool = False
    asked: ModelCost | None = field(default_factory=ModelCost)
    steady: float = 0.0
    until: float = 1.0
    once: float = 0.0
    seconds: float | None = 0.0

    @property
    def total(self) -> float | None:
        """All of its seconds, those in the model included; None when not estimated."""
        if self.seconds is None or self.asked is None:
            return None
        return self.once + self.seconds + self.asked.total

    def at(self, share: float) -> tuple[float, float]:
        """Its seconds in the model and elsewhere on a share of the rows, if they are estimated."""
        if self.seconds is None or self.asked is None:
            return 0.0, 0.0
        share = min(share / self.until, 1.0)
        asked = self.steady + (1 - self.steady) * share
        beside_model = self.asked.tokenize + self.asked.lookup
        return asked * self.asked.seconds, self.once + share * self.seconds + asked * beside_model


def check_costs(
    checks: Iterable[PlannedCheck],
    recalled: frozenset[str],
    trial: Trial,
) -> Iterator[CheckCost]:
    """Time every check that will run, in the audit's order."""
    for entry in checks:
        check_id = entry.check.id
        if entry.obstacle:
            yield CheckCost(check_id, entry.obstacle)
        elif check_id in recalled:
            yield CheckCost(check_id, recalled=True)
        else:
            yield trial.cost_of(entry)


_Requests = dict[Hashable, Any]


def _keys(requests: Iterable[_Requests]) -> frozenset[Hashable]:
    return frozenset(key for request in requests for key in request)


@dataclass(frozen=True, slots=True)
class _Run:
    """A check run on a sample."""

    rows: int
    seconds: float
    findings: list[Finding]
    requests: tuple[_Requests, ...]
    """Inputs it asked about that are not among the audited rows, by key; those of each request
    that no request before it had."""
    of_baseline: tuple[_Requests, ...]
    """The same of the baseline, which has answered nothing before."""

    @property
    def new(self) -> frozenset[Hashable]:
        """Keys of all that the model was asked about."""
        return _keys(self.requests)


class Trial:
    """Runs checks on samples of the audited rows.

    Args:
        prepared: Model and data.
        timer: Estimates what their new inputs cost.
        confidence: As the audit's.
        seed: As the audit's.
        clock: Tells seconds.
        baseline: Estimates what is asked of the baseline; None without one.
    """

    def __init__(
        self,
        prepared: Prepared,
        timer: ModelTimer,
        confidence: Confidence,
        seed: int,
        clock: Clock,
        baseline: BaselineTimer | None = None,
    ) -> None:
        self._baseline_timer = baseline
        self._data, self._model = prepared.audited, prepared.model
        self._shifts, self._training = prepared.shifts, prepared.training
        self._validation = prepared.validation
        self._held_out = prepared.held_out
        self._splits = {n: prepared.data.rows(rows) for n, rows in prepared.data.splits.items()}
        rows = {content_key(one): row for row, one in enumerate(prepared.audited.inputs)}
        self._answers = tuple(Noted(MadeUp(prepared, rows, seed), rows) for seed in (0, 1))
        self._baselines = tuple(Noted(MadeUp(prepared, rows, seed), {}) for seed in (0, 1))
        self._pilot = Pilot(prepared, timer, rows, seed, clock)
        self._timer = timer
        self._confidence = confidence
        self._seed = seed
        self._clock = clock
        self._asked_before: dict[Hashable, float] = {}
        """The chance that an earlier check will have asked about an input, by its key."""
        self._asked_of_baseline: dict[Hashable, float] = {}

    def cost_of(self, entry: PlannedCheck) -> CheckCost:
        """Run a check on samples: with made-up answers, or as a pilot where it says it can be."""
        if is_timed(entry):
            return _timed_cost(entry)
        if entry.check.grows_with and asks_more(entry):
            return self._piloted(entry)
        return self._tried(entry)

    def _piloted(self, entry: PlannedCheck) -> CheckCost:
        """Scale up what a pilot cost."""
        check_id = entry.check.id
        seen = self._pilot.of(entry, partial(self._context, entry, self._pilot.rows))
        if isinstance(seen, str):
            return CheckCost(check_id, seen)
        if seen is None:
            return CheckCost(check_id, asks=True, asked=None, seconds=None)
        chances = {key: self._asked_before.get(key, 0.0) for key in seen.new}
        self._asked_before.update(
            (key, 1 - (1 - chance) * (1 - seen.again)) for key, chance in chances.items()
        )
        unasked = [one for key, one in seen.new.items() if chances[key] < 1]
        share = sum(1 - chance for chance in chances.values()) / max(len(unasked), 1)
        return CheckCost(
            check_id, asks=True, asked=self._timer.cost(unasked).times(seen.scale * share),
            until=seen.until, once=seen.once, seconds=seen.scale * seen.seconds,
        )  # fmt: skip

    def _tried(self, entry: PlannedCheck) -> CheckCost:
        """Run a check on the smallest sample twice, with different answers, then on larger ones."""
        n, check_id, asks = len(self._data), entry.check.id, asks_more(entry)
        size = min(FEWEST_ROWS, n)
        first = self._run(entry, size, 0, cold=True)
        if reason := not_applicable(first.findings):
            return CheckCost(check_id, reason)
        runs = [self._run(entry, size, 1)]
        crashed = any(f.outcome is Outcome.ERROR for f in first.findings)
        depends = first.new != runs[0].new or _keys(first.of_baseline) != _keys(runs[0].of_baseline)
        if crashed or depends or (first.new and not asks):
            return CheckCost(check_id, asks=asks, asked=None, seconds=None)
        once = max(first.seconds - runs[0].seconds, 0.0)
        if runs[0].seconds > CHECK_SECONDS and size < n:
            runs.insert(0, self._run(entry, size // GROWTH, 0))
        self._grow(entry, runs, once)
        per_check, per_row = _through(runs, [run.seconds for run in runs])
        asked, steady = self._asked(runs)
        return CheckCost(
            check_id, asks=asks, asked=asked, steady=steady, once=once + per_check,
            seconds=per_row * n,
        )  # fmt: skip

    def _grow(self, entry: PlannedCheck, runs: list[_Run], once: float) -> None:
        """Run the check on larger samples, up to all rows, as far as there is time for it."""
        n, most = len(self._data), ASKING_SECONDS if asks_more(entry) else CHECK_SECONDS
        spent = once
        while (size := runs[-1].rows) < n:
            last = runs[-1].seconds
            spent += last
            larger = n if spent + last * n / size <= most + once else min(GROWTH * size, n)
            if len(runs) > 1 and spent + last * larger / size > most + once:
                return
            runs.append(self._run(entry, larger, 0))

    def _asked(self, runs: list[_Run]) -> tuple[ModelCost, float]:
        """What the new inputs cost on all rows, from those of the largest sample.

        Also the share of them that does not depend on the number of rows.
        """
        asked = [run.requests for run in runs]
        cost, steady = self._charged(runs, asked, self._timer, self._asked_before)
        if self._baseline_timer is None:
            return cost, steady
        asked = [run.of_baseline for run in runs]
        other, share = self._charged(runs, asked, self._baseline_timer, self._asked_of_baseline)
        seconds = cost.seconds + other.seconds
        if seconds > 0:
            steady = (steady * cost.seconds + share * other.seconds) / seconds
        return cost + other, steady

    def _charged(
        self,
        runs: list[_Run],
        asked: Sequence[tuple[_Requests, ...]],
        timer: ModelTimer | BaselineTimer,
        before: dict[Hashable, float],
    ) -> tuple[ModelCost, float]:
        """As `_asked`, of one model, from what each run asked it."""
        cost = ModelCost()
        for request in asked[-1]:
            new = {k: one for k, one in request.items() if before.get(k, 0.0) < 1}
            before |= dict.fromkeys(new, 1.0)
            cost += timer.cost(list(new.values()), embedding=any(map(is_embedding, new)))
        counts = [len(_keys(requests)) for requests in asked]
        per_check, per_row = _through(runs, [float(count) for count in counts])
        everything = per_check + per_row * len(self._data)
        if not cost.distinct:
            return cost, 0.0
        return cost.times(everything / counts[-1]), per_check / everything

    def _run(self, entry: PlannedCheck, size: int, which: int, *, cold: bool = False) -> _Run:
        sample = draw(self._data, size, self._seed).rows
        answers, baseline = self._answers[which], self._baselines[which]
        seconds: list[float] = []
        while not seconds or (
            not cold and len(seconds) < _STEADY_RUNS and sum(seconds) < _STEADY_SECONDS
        ):
            context = self._context(entry, sample, answers, lambda _: None)
            if self._baseline_timer is not None and entry.is_given(Capability.BASELINE):
                context = replace(context, baseline=baseline)
            answers.forget()
            baseline.forget()
            began = self._clock()
            findings = run_check(entry, context)
            seconds.append(self._clock() - began)
        asked = tuple(answers.requests), tuple(baseline.requests)
        return _Run(size, median(seconds), findings, *asked)

    def _context(
        self,
        entry: PlannedCheck,
        sample: NDArray[np.int64],
        answers: Noted,
        advance: Callable[[float], None],
    ) -> Context:
        trained = entry.is_given(Capability.TRAINING_ROWS)
        validated = entry.is_given(Capability.VALIDATION_ROWS)
        return Context(
            answers,
            self._data.rows(sample),
            self._splits,
            self._confidence,
            rng_of(entry.check.id, self._seed),
            advance,
            shifts=sampled(self._shifts, sample, len(sample), self._seed),
            training=self._training if trained else None,
            validation=self._validation if validated else None,
            lacking=entry.lacking,
            held_out=self._held_out if trained else {},
            explainer=TextExplainer(answers, self._model, self._seed),
        )


class MadeUp:
    """Answers without the model: for the audited rows mostly the label, else anything.

    Args:
        prepared: Model and data.
        rows: Row of each audited input, by its key.
        seed: Other seeds give other answers.
    """

    def __init__(self, prepared: Prepared, rows: dict[Hashable, int], seed: int) -> None:
        data, classes = prepared.audited, max(len(prepared.audited.class_names), 2)
        self._classes = classes
        self._seed = seed.to_bytes(1, "little")
        rng = np.random.default_rng(seed)
        labels: NDArray[np.int64] = rng.integers(0, classes, len(data))
        if data.labels is not None:
            labels = np.where(rng.random(len(data)) < _WRONG, labels, data.labels)
        scores = rng.dirichlet(np.full(classes, 0.5), len(data))
        scores[np.arange(len(data)), labels] += 1.0
        self._width = getattr(prepared.model, "embedding_width", 0)
        self._answers = Predictions(labels, scores / scores.sum(axis=1, keepdims=True))
        if Capability.PROBABILITIES not in prepared.model.capabilities:
            self._answers = replace(self._answers, probabilities=None)
        self._rows = rows

    def predict(self, inputs: Iterable[Any]) -> Predictions:
        """The answers of the rows; for anything else those of a row its content picks."""
        keys = map(content_key, inputs)
        rows = [self._rows[key] if key in self._rows else self._picked(key) for key in keys]
        return self._answers.take(np.array(rows, dtype=np.int64))

    def embed(self, inputs: Iterable[Any]) -> NDArray[np.float32]:
        """Made-up embeddings: those of the row whose answer is given."""
        keys = map(content_key, inputs)
        rows = [self._rows[key] if key in self._rows else self._picked(key) for key in keys]
        return self._embeddings[np.array(rows, dtype=np.int64)]

    def head(self) -> Head:
        """A made-up head."""
        rng, classes = np.random.default_rng(list(self._seed)), self._classes
        return Head(rng.standard_normal((classes, self._width)), np.zeros(classes))

    @cached_property
    def _embeddings(self) -> NDArray[np.float32]:
        rng = np.random.default_rng(list(self._seed))
        return rng.standard_normal((len(self._answers), self._width), dtype=np.float32)

    def _picked(self, key: Hashable) -> int:
        digest = hashlib.blake2b(content_digest(key), key=self._seed, digest_size=8).digest()
        return int.from_bytes(digest, "little") % len(self._answers)


def _timed_cost(entry: PlannedCheck) -> CheckCost:
    """It takes as long as it is told to, where it is told that; nothing is timed to find out."""
    seconds: float | None = getattr(entry.params, "seconds", None)
    if seconds is None:
        return CheckCost(entry.check.id, seconds=None, asked=None)
    return CheckCost(entry.check.id, once=seconds)


def _through(runs: list[_Run], values: list[float]) -> tuple[float, float]:
    """What is paid once and what each row costs, by the two largest samples."""
    if len(runs) == 1:
        return 0.0, values[0] / max(runs[0].rows, 1)
    return line((runs[-2].rows, runs[-1].rows), (values[-2], values[-1]))
