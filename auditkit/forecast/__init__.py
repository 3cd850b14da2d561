"""An audit before it runs: what it will cost, and what it can show.

Checks are tried with made-up answers. Only one whose questions depend on the model's answers is run
on a few rows with real ones, to see what it costs; none of them, and no outcome, is shown or kept.
What cannot be known so is not estimated.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from auditkit.check import Confidence
from auditkit.config import AuditConfig
from auditkit.cores import available_cores
from auditkit.engine import asks_a_model, with_plan
from auditkit.forecast.baseline_cost import BaselineTimer
from auditkit.forecast.budget import Budgeted, SampleCosts
from auditkit.forecast.check_cost import Trial, check_costs
from auditkit.forecast.expected import Forecast
from auditkit.forecast.model_cost import Clock, ModelCost, ModelTimer, Seconds
from auditkit.found_run import FoundRun, find_run, holds_a_run
from auditkit.model import Capability, answer_key
from auditkit.network import settle_network
from auditkit.ood_sets import sampled
from auditkit.prediction_store import PredictionStore, open_store
from auditkit.preflight import Prepared, prepare
from auditkit.registry import load_registry
from auditkit.resolution import Audited, attribute_rows, resolutions
from auditkit.run_identity import Answered, check_keys, is_opaque, run_inputs
from auditkit.sampling import draw


def forecast(
    config: AuditConfig,
    budget: float | None = None,
    *,
    fresh: bool = False,
    clock: Clock = time.perf_counter,
) -> tuple[Forecast, Budgeted | None]:
    """Estimate what the configured audit costs and can show; with a budget, also what fits it.

    Writes nothing: neither into the run directory nor into the cache.

    Args:
        config: The configuration. With a budget its own `sample` is ignored.
        budget: Seconds the audit may take.
        fresh: Forecast an audit that measures everything anew, as `auditkit run --fresh` does.
            So it is with a budget: no earlier run was about that sample.
        clock: Tells seconds.

    Raises:
        AuditkitError: Configuration, data or model are unusable, or the budget is too small.
    """
    if budget is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"sample": None})})
    store = open_store(config.cache, read_only=True) if asks_a_model(config) else None
    with store or nullcontext():
        settle_network(online=config.online)
        began = clock()
        ahead = _Ahead(config, store, clock)
        found = ahead.found(fresh=fresh or budget is not None)
        expected, seconds = ahead.expected(found, began)
        return expected, None if budget is None else ahead.budgeted(expected, seconds, budget)


class _Ahead:
    """An audit that is prepared as if it were about to begin."""

    def __init__(self, config: AuditConfig, store: PredictionStore | None, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        registry = load_registry([Path(folder) for folder in config.plugins])
        self.prepared, self.plan = with_plan(config, registry, prepare(config, store), store)
        self.confidence = Confidence(config.confidence, self.plan.suite.family)
        self.timer = ModelTimer(self.prepared, config.model.batch_tokens, clock)
        self.baseline = BaselineTimer.of(self.prepared, config, clock)

    def found(self, *, fresh: bool) -> FoundRun:
        """What the run directory holds of this audit; nothing that counts when it is to be fresh.

        The digests are taken in any case, as the audit does.
        """
        folder, prepared = Path(self.config.report.directory), self.prepared
        answered, inputs = Answered(None, None), prepared.audited.inputs
        if is_opaque(prepared.model):
            answered = answered._replace(model=self.timer.kept_answers(inputs))
            if answered.model is None:
                return _hidden(folder, prepared.model.name, fresh)
        if self.baseline is not None and is_opaque(self.baseline.model):
            answered = answered._replace(baseline=self.baseline.kept_answers(inputs))
            if answered.baseline is None:
                return _hidden(folder, self.baseline.model.name, fresh)
        keys = check_keys(self.config, prepared, self.plan, answered)
        run = run_inputs(self.config, prepared, self.plan, keys)
        return FoundRun() if fresh else find_run(folder, run, keys)

    def expected(self, found: FoundRun, began: float) -> tuple[Forecast, Seconds]:
        """The forecast for all rows, and the seconds of each distinct input."""
        prepared, plan, timer = self.prepared, self.plan, self.timer
        load = self.clock() - began
        audited = prepared.audited
        inputs = () if found.stored else audited.inputs
        model, seconds = timer.cost_by_input(inputs)
        probe = 0.0 if found.stored else timer.probe(prepared)
        seed = self.config.seed
        trial = Trial(prepared, timer, self.confidence, seed, self.clock, self.baseline)
        checks = tuple(check_costs(plan.checks, found.recalled, trial))
        around = Audited(audited, prepared.shifts, prepared.training, prepared.held_out)
        shown, unresolved = resolutions(plan.checks, around, self.confidence)
        return Forecast(
            model_name=prepared.model.name,
            data_name=prepared.name,
            rows=len(audited),
            recorded=_recorded(prepared),
            load=load + timer.load + (0.0 if self.baseline is None else self.baseline.load),
            model=model,
            probe=probe,
            timed=timer.timed,
            spread=timer.spread,
            workers=timer.workers,
            cores=available_cores(),
            cache=_without_cache(self.config, prepared),
            directory=self.config.report.directory,
            found=found,
            checks=checks,
            left_out=tuple((one.check, one.reason) for one in plan.not_run),
            attributes=attribute_rows(audited),
            resolutions=shown,
            unresolved=unresolved,
            clustered=audited.clusters is not None,
        ), seconds

    def budgeted(self, expected: Forecast, seconds: Seconds, budget: float) -> Budgeted:
        """The largest sample that fits the budget, and what it can show."""
        audited, seed = self.prepared.audited, self.config.seed
        starting = expected.load + expected.probe
        if expected.seconds > budget and not expected.probe:
            # No audit has asked just these rows twice yet, even if their answers are in the cache.
            loaded = self.timer.load
            starting += self.timer.probe(replace(self.prepared, kept=None))
            starting += self.timer.load - loaded
        costs = SampleCosts(audited, seconds, expected, starting, seed)
        rows = costs.most_rows(budget)
        sample = draw(audited, rows, seed)
        prepared = self.prepared
        shifts = sampled(prepared.shifts, sample.rows, rows, seed)
        around = Audited(audited.rows(sample.rows), shifts, prepared.training, prepared.held_out)
        shown, _ = resolutions(self.plan.checks, around, self.confidence)
        return Budgeted(budget, rows, costs.of(rows), shown, sample.note)


def _hidden(folder: Path, model: str, fresh: bool) -> FoundRun:
    """What can be said of a run directory before a model has answered that no digest covers."""
    if fresh or not holds_a_run(folder):
        return FoundRun()
    return FoundRun(
        note=f"Which checks are finished in {folder} shows only once {model} has answered, since "
        "its digest cannot say that it is the same."
    )


def _recorded(prepared: Prepared) -> bool:
    return Capability.NEW_INPUTS not in prepared.model.capabilities


def _without_cache(config: AuditConfig, prepared: Prepared) -> str:
    if _recorded(prepared):
        return ""
    if not config.cache.enabled:
        return "The cache is switched off: the model is asked everything again."
    if answer_key(prepared.model) is None:
        return (
            f"Answers of {prepared.model.name} are not kept in the cache: model.depends_on does "
            "not say which files they depend on."
        )
    return ""


__all__ = ["Budgeted", "Forecast", "ModelCost", "forecast"]
