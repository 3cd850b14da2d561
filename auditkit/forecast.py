"""What an audit will cost: model calls and seconds, from a short calibration on this machine.

The model is timed on some of the very batches the audit will ask, spread over the lengths of the
inputs. Every check is timed on small samples of the rows with made-up answers, so that no answer
of the model is looked at before the audit. What cannot be known so is not estimated.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Confidence, Context
from auditkit.config import AuditConfig
from auditkit.engine import capabilities_of, run_check
from auditkit.errors import AuditkitError, ConfigError
from auditkit.finding import Outcome
from auditkit.model import Capability, Model, Predictions, TokenModel
from auditkit.network import settle_network
from auditkit.plan import Plan, PlannedCheck, make_plan
from auditkit.predictor import BATCH_ROWS, batches_by_length, content_key
from auditkit.preflight import PROBED_ROWS, Prepared, prepare
from auditkit.registry import load_registry
from auditkit.resolution import AttributeRows, Resolution, attribute_rows, resolutions
from auditkit.result import AuditResult
from auditkit.sampling import draw

Clock = Callable[[], float]

TIMED_BATCHES = 12
"""Batches the model is timed on."""
BUSY_SPREAD = 3.0
"""Spread of the timed batches from which on the reader is told not to trust the estimate."""
TIMED_SECONDS = 10.0
"""No further batch is timed once they have taken as long as this."""
CHECK_ROWS = (500, 2000)
"""Rows of the two samples a check is timed on."""
FEWEST_ROWS = 50
"""A budget that pays for fewer is refused: nothing could be said of so few."""
_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class CheckCost:
    """What one check is expected to cost.

    Attributes:
        id: The check.
        obstacle: Why it will not run; empty when it will.
        calls: Distinct inputs it is the first to ask about; None when not estimated.
        once: Seconds whatever the number of rows: imports, mostly.
        seconds: Seconds of its own work; None when not estimated.
    """

    id: str
    obstacle: str
    calls: int | None = 0
    once: float = 0.0
    seconds: float | None = 0.0

    @property
    def total(self) -> float | None:
        """All of its seconds; None when not estimated."""
        return None if self.seconds is None else self.once + self.seconds


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What asking about the audited rows is expected to cost.

    Attributes:
        distinct: Distinct inputs.
        tokens: Their tokens; 0 when the model has no tokenizer.
        batches: Batches they are asked in.
        seconds: Seconds in the model.
        tokenize: Seconds in the tokenizer.
        probe: Seconds of asking some rows twice, to see whether the model is deterministic.
        timed: Batches the estimate rests on.
        spread: How many times longer a token took in slow batches than in fast ones; far above 1
            when the machine has other things to do.
    """

    distinct: int
    tokens: int
    batches: int
    seconds: float
    tokenize: float
    probe: float
    timed: int
    spread: float = 1.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """An audit before it runs.

    Attributes:
        model_name: The model.
        data_name: The data.
        rows: Rows to audit.
        recorded: Whether there are only recorded predictions, so that nothing is asked.
        load: Seconds to read the data and load the model, as just measured.
        model: Cost of the answers for the audited rows.
        checks: Cost of every check, in their order.
        left_out: Checks left out on purpose, with the reason.
        attributes: Groups and their rows.
        resolutions: What the gap-type checks can show.
        clustered: Whether rows come in clusters, which are then what is counted.
    """

    model_name: str
    data_name: str
    rows: int
    recorded: bool
    load: float
    model: ModelCost
    checks: tuple[CheckCost, ...]
    left_out: tuple[tuple[str, str], ...]
    attributes: tuple[AttributeRows, ...]
    resolutions: tuple[Resolution, ...]
    clustered: bool

    @property
    def fixed(self) -> float:
        """Seconds that do not depend on the number of rows."""
        return self.load + self.model.probe + sum(c.once for c in self.checks)

    @property
    def variable(self) -> float:
        """Seconds that grow with the rows."""
        own = sum(c.seconds or 0.0 for c in self.checks)
        return self.model.seconds + self.model.tokenize + own

    @property
    def seconds(self) -> float:
        """All that is estimated."""
        return self.fixed + self.variable


@dataclass(frozen=True, slots=True)
class Budgeted:
    """The sample that fits a budget.

    Attributes:
        budget: Seconds allowed.
        rows: Rows to audit; all of them when they fit.
        seconds: What auditing them is expected to take.
        resolutions: What the gap-type checks can show on them.
        note: How they are drawn.
    """

    budget: float
    rows: int
    seconds: float
    resolutions: tuple[Resolution, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Compared:
    """One predicted number beside the actual one; None where there is none."""

    name: str
    predicted: float | None
    actual: float | None
    is_time: bool = True

    @property
    def ratio(self) -> float | None:
        """Predicted over actual."""
        if self.predicted is None or not self.actual:
            return None
        return self.predicted / self.actual


def forecast(
    config: AuditConfig, budget: float | None = None, clock: Clock = time.perf_counter
) -> tuple[Forecast, Budgeted | None]:
    """Estimate what the configured audit costs and can show; with a budget, also what fits it.

    With a budget the configuration's own `sample` is ignored. Runs no check on real answers.

    Raises:
        AuditkitError: Configuration, data or model are unusable, or the budget is too small.
    """
    if budget is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"sample": None})})
    settle_network(online=config.online)
    began = clock()
    registry = load_registry([Path(folder) for folder in config.plugins])
    prepared = prepare(config)
    plan = make_plan(config, registry, capabilities_of(prepared))
    load = clock() - began
    confidence = Confidence(config.confidence, plan.suite.family)
    audited = prepared.audited
    expected = Forecast(
        model_name=prepared.model.name,
        data_name=prepared.name,
        rows=len(audited),
        recorded=Capability.NEW_INPUTS not in prepared.model.capabilities,
        load=load,
        model=model_cost(prepared, config.model.batch_tokens, clock),
        checks=tuple(check_costs(plan, prepared, confidence, config.seed, clock)),
        left_out=tuple((one.check, one.reason) for one in plan.not_run),
        attributes=attribute_rows(audited),
        resolutions=resolutions(plan.checks, audited, confidence),
        clustered=audited.clusters is not None,
    )
    if budget is None:
        return expected, None
    rows = rows_within(expected, budget)
    sample = draw(audited, rows, config.seed)
    shown = resolutions(plan.checks, audited.rows(sample.rows), confidence)
    seconds = expected.fixed + expected.variable * rows / max(expected.rows, 1)
    return expected, Budgeted(budget, rows, seconds, shown, sample.note)


def rows_within(expected: Forecast, budget: float) -> int:
    """The most rows whose audit is expected to take no longer than `budget` seconds.

    Raises:
        ConfigError: Not even `FEWEST_ROWS` fit.
    """
    if expected.seconds <= budget:
        return expected.rows
    rows = math.floor((budget - expected.fixed) * expected.rows / expected.variable)
    if rows < FEWEST_ROWS:
        raise ConfigError(
            f"a budget of {budget:g} s is too small: loading and starting take "
            f"{expected.fixed:.1f} s, and all {expected.rows:,} rows {expected.seconds:.1f} s.",
            "Give it more time, or leave checks out with --only.",
        )
    return rows


def parse_budget(text: str) -> float:
    """Seconds from "30s", "10m" or "1.5h".

    Raises:
        ConfigError: It is none of these, or not above 0.
    """
    number, unit = text.strip()[:-1], text.strip()[-1:].lower()
    try:
        seconds = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"--budget {text!r} is no length of time.", "For example 30s, 10m or 1h.")
    return seconds


def model_cost(
    prepared: Prepared, batch_tokens: int, clock: Clock = time.perf_counter
) -> ModelCost:
    """Time the model on some of the batches the audit will ask, and extrapolate.

    Tokenised inputs: batches spread over all lengths; the time per padded token is interpolated
    between them. Others: growing batches, a straight line through their rows and seconds.
    """
    inputs = list({_key(one): one for one in prepared.audited.inputs}.values())
    model = prepared.model
    if not inputs:
        return ModelCost(0, 0, 0, 0.0, 0.0, 0.0, 0)
    if isinstance(model, TokenModel):
        return _cost_by_tokens(model, inputs, batch_tokens, clock)
    return _cost_by_rows(model, inputs, clock)


def _cost_by_tokens(model: TokenModel, inputs: list[Any], budget: int, clock: Clock) -> ModelCost:
    began = clock()
    tokens = model.tokenize(inputs)
    tokenize = clock() - began
    batches = list(batches_by_length(tokens, budget))
    padded = np.array([len(tokens[batch[0]]) * len(batch) for batch in batches], dtype=float)
    model.predict_tokens([tokens[i] for i in batches[-1]])  # warm-up
    positions, seconds, spent = [], [], 0.0
    for position in _spread(len(batches)):
        batch = [tokens[i] for i in batches[position]]
        began = clock()
        model.predict_tokens(batch)
        seconds.append(clock() - began)
        positions.append(position)
        spent += seconds[-1]
        if spent > TIMED_SECONDS and len(positions) > 1:
            break
    order = np.argsort(positions)
    timed = np.array(positions)[order]
    per_token = np.array(seconds)[order] / padded[timed]
    spread = float(np.quantile(per_token, 0.9) / max(np.quantile(per_token, 0.1), 1e-12))
    per_token = _without_jolts(per_token)
    total = float(np.interp(np.arange(len(batches)), timed, per_token) @ padded)
    probe = 2 * total * min(PROBED_ROWS, len(inputs)) / len(inputs)
    used = sum(map(len, tokens))
    return ModelCost(len(inputs), used, len(batches), total, tokenize, probe, len(timed), spread)


def _without_jolts(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median of each value and its neighbours: one batch that was held up says nothing."""
    if len(values) < 3:
        return values
    padded = np.concatenate([values[1:2], values, values[-2:-1]])
    smooth: NDArray[np.float64] = np.median([padded[:-2], padded[1:-1], padded[2:]], axis=0)
    return smooth


def _spread(batches: int) -> list[int]:
    """Positions of the batches to time, those that say most first: the middle, then the ends."""
    chosen = np.unique(np.linspace(0, batches - 1, min(batches, TIMED_BATCHES)).round()).astype(int)
    middle = (batches - 1) / 2
    near, far = sorted(chosen.tolist(), key=lambda p: abs(p - middle)), []
    while near:
        far.append(near.pop(0))
        if near:
            far.append(near.pop())
    return far


def _cost_by_rows(model: Model, inputs: list[Any], clock: Clock) -> ModelCost:
    n = len(inputs)
    batches = math.ceil(n / BATCH_ROWS)
    model.predict(inputs[:1])  # warm-up
    sizes, seconds, size = [], [], 1
    while True:
        chosen = np.unique(np.linspace(0, n - 1, min(size, n, BATCH_ROWS)).astype(int))
        began = clock()
        model.predict([inputs[i] for i in chosen])
        seconds.append(clock() - began)
        sizes.append(len(chosen))
        # Four times the rows may take four times as long; two sizes tell batches from rows.
        costly = len(sizes) > 1 and sum(seconds) + 4 * seconds[-1] > TIMED_SECONDS
        if size >= min(n, BATCH_ROWS) or costly:
            break
        size *= 2 if size == 1 else 4
    per_batch, per_row = _line(sizes, seconds)
    probe = 2 * (per_batch + per_row * min(n, PROBED_ROWS))
    recorded = Capability.NEW_INPUTS not in model.capabilities
    total = per_batch * batches + per_row * n
    return ModelCost(n, 0, batches, total, 0.0, 0.0 if recorded else probe, len(sizes))


def _line(sizes: Sequence[int], seconds: Sequence[float]) -> tuple[float, float]:
    """Seconds of a batch and of a row, neither below 0, from the smallest and the largest."""
    if sizes[-1] == sizes[0]:
        return 0.0, seconds[-1] / sizes[-1]
    per_row = (seconds[-1] - seconds[0]) / (sizes[-1] - sizes[0])
    per_row = min(max(per_row, 0.0), seconds[-1] / sizes[-1])
    return seconds[-1] - per_row * sizes[-1], per_row


def check_costs(
    plan: Plan,
    prepared: Prepared,
    confidence: Confidence,
    seed: int,
    clock: Clock = time.perf_counter,
) -> Iterable[CheckCost]:
    """Time every check on two small samples with made-up answers, in the audit's order."""
    answers = _MadeUp(prepared)
    for entry in plan.checks:
        if entry.obstacle:
            yield CheckCost(entry.check.id, entry.obstacle)
        else:
            yield _check_cost(entry, answers, confidence, seed, clock)


def _check_cost(
    entry: PlannedCheck, answers: _MadeUp, confidence: Confidence, seed: int, clock: Clock
) -> CheckCost:
    data = answers.audited
    samples = [data.rows(draw(data, size, seed).rows) for size in CHECK_ROWS]
    samples = samples[:1] if len(samples[0]) == len(data) else samples
    seconds: list[float] = []
    for sample in (samples[0], *samples):  # the first run also imports
        context = Context(
            answers, sample, {}, confidence, np.random.default_rng(seed), lambda _: None
        )
        began = clock()
        findings = run_check(entry, context)
        seconds.append(clock() - began)
        reasons = [f.message for f in findings if f.outcome is Outcome.NOT_APPLICABLE]
        if findings and all(f.measurement is None for f in findings) and reasons:
            return CheckCost(entry.check.id, reasons[0])
        if any(f.outcome is Outcome.ERROR for f in findings) or answers.strange:
            answers.strange = False
            return CheckCost(entry.check.id, "", None, 0.0, None)
    per_check, per_row = _line([len(sample) for sample in samples], seconds[1:])
    once = max(seconds[0] - seconds[1], 0.0)
    if len(samples) > 1:
        once += per_check
    return CheckCost(entry.check.id, "", 0, once, per_row * len(data))


class _MadeUp:
    """Answers for the audited rows without the model: mostly the label, else the first class.

    Sets `strange` when asked about anything else: what that costs depends on the model.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.audited = prepared.audited
        self.strange = False
        data, classes = prepared.audited, max(len(prepared.audited.class_names), 2)
        rng = np.random.default_rng(0)
        labels: NDArray[np.int64] = rng.integers(0, classes, len(data))
        if data.labels is not None:
            labels = np.where(rng.random(len(data)) < 0.1, labels, data.labels)
        scores = rng.dirichlet(np.full(classes, 0.5), len(data))
        scores[np.arange(len(data)), labels] += 1.0
        self._answers = Predictions(labels, scores / scores.sum(axis=1, keepdims=True))
        if Capability.PROBABILITIES not in prepared.model.capabilities:
            self._answers = replace(self._answers, probabilities=None)
        self._rows = {_key(one): row for row, one in enumerate(data.inputs)}

    def predict(self, inputs: Iterable[Any]) -> Predictions:
        """Answers of the rows; of the first for anything unknown."""
        rows = [self._rows.get(_key(one), -1) for one in inputs]
        if -1 in rows:
            self.strange = True
        return self._answers.take(np.maximum(np.array(rows, dtype=np.int64), 0))


def compare(expected: Forecast, actual: AuditResult) -> tuple[Compared, ...]:
    """Predicted against actual time and calls of an audit that has run.

    Raises:
        AuditkitError: The run audited another model, or another number of rows.
    """
    subject, timing, asked = actual.subject, actual.timing, actual.predictor
    if (subject.model, subject.rows) != (expected.model_name, expected.rows):
        raise AuditkitError(
            f"that run audited {subject.rows:,} rows of {subject.data} with {subject.model}; this "
            f"plan is for {expected.rows:,} rows of {expected.data_name} with "
            f"{expected.model_name}.",
            "Give --against the folder of a run of this configuration.",
        )
    own = sum(timing.checks.values())
    rest = expected.load + expected.model.probe + expected.model.tokenize
    rows = [
        Compared("loading, tokenising, probing", rest,
                 max(timing.seconds - timing.model_seconds - own, 0.0)),
        Compared("model", expected.model.seconds, timing.model_seconds),
    ]  # fmt: skip
    rows += [
        Compared(c.id, c.total, timing.checks.get(c.id)) for c in expected.checks if not c.obstacle
    ]
    return (
        *rows,
        Compared("total time", expected.seconds, timing.seconds),
        Compared("distinct inputs", expected.model.distinct, asked.distinct, is_time=False),
        Compared("tokens", expected.model.tokens, asked.tokens, is_time=False),
        Compared("batches", expected.model.batches, asked.batches, is_time=False),
    )


def _key(value: Any) -> Hashable:
    return value if type(value) is str else content_key(value)
