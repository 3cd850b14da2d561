"""`auditkit mitigate`: audit, repair, audit again, compare.

DIR/before/        the audit of the model as it is
DIR/REMEDY/model/  the repaired model
DIR/REMEDY/audit/  its audit, under the same suite on the same rows
DIR/mitigation.json, mitigation.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from auditkit.api import run
from auditkit.comparison import compare
from auditkit.config import AuditConfig, load_config, parse_config
from auditkit.data import AuditData, in_distribution
from auditkit.engine import environment
from auditkit.errors import AuditkitError, ConfigError, MissingExtraError, ResultError
from auditkit.group_thresholds import FILE_NAME as THRESHOLDS
from auditkit.interruption import raise_if_requested
from auditkit.metrics.answered_twice import Twice
from auditkit.metrics.shifted import can_choose
from auditkit.mitigation import Failure, Mitigation, Repair, Verdict
from auditkit.model import Capability, Predictions
from auditkit.models.thresholded import ThresholdedModel
from auditkit.models.transformers_loading import as_run, in_folder, local_folder
from auditkit.network import settle_network
from auditkit.observer import Observer, Silent
from auditkit.plan import make_plan, remedy_params
from auditkit.prediction_store import PredictionStore, open_store
from auditkit.predictor import SharedPredictor
from auditkit.preflight import Prepared, prepare
from auditkit.registry import Registry, load_registry
from auditkit.remedy import Need, Remedy, RemedyError
from auditkit.render.mitigation_page import render
from auditkit.result import AuditResult
from auditkit.run_as import FILE_NAME as RUN_AS
from auditkit.run_as import QUANTIZED, RunAs
from auditkit.run_store import HISTORY_NAME, read_state
from auditkit.side_by_side import Judged, SideBySide
from auditkit.store import StoreError, write_atomic
from auditkit.training import (
    Candidate,
    Order,
    RemedyRows,
    Repaired,
    Told,
    choose,
    remedy_rows,
    require,
)
from auditkit.training.rows import (
    names_training_rows,
    names_validation_rows,
    no_rows,
    validated_on,
)

RECORD_NAME, PAGE_NAME = "mitigation.json", "mitigation.html"
_REGRESSION = "latency.regression"
_AUDIT, _BEFORE = "audit", "before"


def mitigate(
    config: str | Path | Mapping[str, Any] | AuditConfig,
    remedies: Sequence[str],
    observer: Observer | None = None,
    *,
    out: str | Path,
    allow_same_attack: bool = False,
) -> Mitigation:
    """Repair a model with each of the remedies, and judge every repaired model as the first.

    Called again after it was cut off, it goes on where it stopped.

    Args:
        config: Path of an `auditkit.toml`, or the same as nested dictionaries, or an `AuditConfig`.
        remedies: Ids of remedies. Each is applied to the model as it is.
        observer: Told about progress; silent by default.
        out: Folder for everything; see above.
        allow_same_attack: Go on although a remedy trains against what the audit judges by.

    Where a remedy is meant to make the model faster and `latency.regression` is asked for, the
    model before is the baseline of every audit, unless the configuration names another.

    Raises:
        AuditkitError: Configuration, data, model or a remedy are unusable, or training failed.
            What was in the folder before is still there.
    """
    settings = _settings(config)
    settle_network(online=settings.online)
    folder = Path(out)
    registry = load_registry([Path(plugin) for plugin in settings.plugins])
    chosen = [_chosen(settings, registry, id, allow_same_attack) for id in _distinct(remedies)]
    _refuse_run_otherwise(settings)
    settings = _against_the_model_before(settings, chosen)
    cache = open_store(settings.cache)
    with cache or nullcontext():
        bench = _Bench(settings, folder, observer or Silent(), cache)
        bench.observer.stage("Reading the rows to train on")
        prepared = prepare(settings, cache)
        if isinstance(prepared.model, ThresholdedModel):
            raise RemedyError(
                f"{settings.model.path} decides by thresholds that were chosen for its scores.",
                f"Copy the folder without {THRESHOLDS}, and repair that.",
            )
        rows = _rows(chosen, settings, prepared)
        able, failures = _able(chosen, rows)
        before = run(settings, observer, out=folder / _BEFORE).result
        made, failed = bench.all_repaired(able, rows, prepared, before)
        record = _record(settings, before, rows, made, folder)
        record = replace(record, failures=(*failures, *failed))
        source = local_folder(settings.model, settings.online)
        judged = [Judged(before, bench.answers(prepared), source), *(one.judged for one in made)]
        beside = SideBySide(settings, prepared.audited, rows.validation, bench.observer, cache)
        record = beside.compared(record, judged)
    write_atomic(folder / RECORD_NAME, record.to_json() + "\n")
    write_atomic(folder / PAGE_NAME, render(Mitigation.from_json(record.to_json())))
    return record


@dataclass(frozen=True, slots=True, eq=False)
class _Chosen:
    """A remedy with its parameters."""

    remedy: Remedy
    combinations: list[tuple[dict[str, Any], Any]]
    """Values chosen among, and the parameters with them; see `remedy_params`."""
    warnings: tuple[str, ...]


def _settings(config: str | Path | Mapping[str, Any] | AuditConfig) -> AuditConfig:
    if isinstance(config, Mapping):
        config = parse_config(config)
    settings = config if isinstance(config, AuditConfig) else load_config(Path(config))
    if settings.model.path is None:
        raise RemedyError(
            "a remedy trains the weights of a transformers model, and model.path names none."
        )
    return settings


def _refuse_run_otherwise(settings: AuditConfig) -> None:
    """Refuse a model whose answers are not those of the weights that a remedy would change."""
    folder = local_folder(settings.model, settings.online)
    if RunAs.of(folder) is not None:
        raise RemedyError(
            f"{RUN_AS} in {folder} says how that very model is run.",
            "Copy the folder without that file and without its graphs, and repair that.",
        )
    backend = as_run(settings.model, settings.online).backend
    if backend in QUANTIZED:
        raise RemedyError(
            f'model.backend = "{backend}" audits another model than the saved weights, which a '
            "remedy would change.",
            "Leave it out, and quantize the repaired model with latency.quantize-dynamic.",
        )


def _against_the_model_before(settings: AuditConfig, chosen: Sequence[_Chosen]) -> AuditConfig:
    """With the model before as the baseline, where speed is at stake and asked for.

    Two audits at different times measure the machine as much as the models; `latency.regression`
    asks both in turn. A baseline that the configuration names stays.
    """
    named = _REGRESSION in settings.checks and settings.checks[_REGRESSION].enabled
    asked = settings.timing is not None or named
    if settings.only is not None:
        asked = _REGRESSION in settings.only
    faster = any(one.remedy.is_meant_for(_REGRESSION) for one in chosen)
    if settings.baseline is not None or not (asked and faster):
        return settings
    return settings.model_copy(update={"baseline": settings.model})


def _rows(chosen: Sequence[_Chosen], settings: AuditConfig, prepared: Prepared) -> RemedyRows:
    """What the remedies may see; nothing where none is named and none of them needs any."""
    needed = any(Need.TRAINING_ROWS in one.remedy.needs for one in chosen)
    labelled = prepared.data.labels is not None
    if needed or (labelled and names_training_rows(settings, prepared)):
        return remedy_rows(settings, prepared)
    return no_rows(prepared)


def _distinct(remedies: Sequence[str]) -> list[str]:
    if not remedies:
        raise ConfigError("no remedy is named.", "List them with: auditkit checks")
    return list(dict.fromkeys(remedies))


def _chosen(settings: AuditConfig, registry: Registry, id: str, allowed: bool) -> _Chosen:
    """The remedy, if it can run and the audit can judge it."""
    remedy = registry.get_remedy(id)
    absent = [name for name in remedy.extras if find_spec(name) is None]
    if absent:
        raise MissingExtraError(f"{id} ({', '.join(absent)})", "all")
    combinations = remedy_params(settings, remedy)
    plan = make_plan(settings, registry, frozenset(Capability))
    suite = {check.id: check.params for check in plan.suite.checks}
    conflicts = []
    for _, params in combinations:
        obstacles = [said for one in remedy.resources(params) if (said := one.obstacle())]
        if obstacles:
            raise ConfigError(f"{id}: {'; '.join(obstacles)}.")
        conflicts.append(remedy.conflict(params, suite))
    conflict = next(filter(None, conflicts), "")
    if conflict and not allowed:
        raise RemedyError(
            f"{id}: {conflict}",
            "What a model was trained against says little about what it withstands. Train or "
            "judge with another; or compare all the same with --allow-same-attack.",
        )
    return _Chosen(remedy, combinations, (conflict,) if conflict else ())


def _able(chosen: Sequence[_Chosen], rows: RemedyRows) -> tuple[list[_Chosen], list[Failure]]:
    """The remedies that can work on the rows, and why the others cannot.

    Raises:
        RemedyError: None can.
    """
    able, failures, errors = [], [], []
    for one in chosen:
        try:
            require(one.remedy, rows)
            _require_choice(one, rows)
            able.append(one)
        except RemedyError as error:
            errors.append(error)
            failures.append(_failure(one, error))
    if not able:
        raise errors[0]
    return able, failures


def _require_choice(chosen: _Chosen, rows: RemedyRows) -> None:
    """Refuse a choice among parameters where nothing is there to choose by."""
    if len(chosen.combinations) > 1 and not len(rows.validation):
        raise RemedyError(
            f"{chosen.remedy.id}: there is no row to choose its parameters by.",
            "Name rows in [training], or leave out its choices.",
        )


def _failure(chosen: _Chosen, error: AuditkitError) -> Failure:
    reason = f"{error} {error.hint}" if error.hint else str(error)
    return Failure(chosen.remedy.id, chosen.remedy.title, reason)


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """A repair, and what it takes to measure its model further."""

    repair: Repair
    judged: Judged


@dataclass(frozen=True, slots=True, eq=False)
class _Bench:
    """Where repairs are made and judged."""

    settings: AuditConfig
    folder: Path
    observer: Observer
    cache: PredictionStore | None

    def all_repaired(
        self, chosen: Sequence[_Chosen], rows: RemedyRows, prepared: Prepared, before: AuditResult
    ) -> tuple[list[_Made], list[Failure]]:
        """Apply every remedy; one that fails does not keep the others from it.

        Raises:
            AuditkitError: None made a model that could be judged, or the disk is at fault.
        """
        made: list[_Made] = []
        failures: list[Failure] = []
        errors: list[AuditkitError] = []
        for one in chosen:
            try:
                made.append(self.repaired(one, rows, prepared, before))
            except StoreError:
                raise
            except AuditkitError as error:
                raise_if_requested()
                errors.append(error)
                failures.append(_failure(one, error))
                if len(chosen) > 1:
                    self.observer.note(f"{one.remedy.id} failed: {error}")
        if not made:
            raise errors[0]
        return made, failures

    def repaired(
        self, chosen: _Chosen, rows: RemedyRows, prepared: Prepared, before: AuditResult
    ) -> _Made:
        """Apply one remedy, audit what it made, and compare."""
        id, place = chosen.remedy.id, self.folder / chosen.remedy.id
        made, tried = self._made(chosen, rows, prepared, place)
        settings = self.settings.model_copy(
            update={"model": in_folder(self.settings.model, made.model)}
        )
        after = run(settings, self.observer, out=place / _AUDIT).result
        self.observer.stage("Comparing")
        again = prepare(settings, self.cache)
        twice = self.twice(prepared, again)
        repair = Repair(
            remedy=id,
            title=chosen.remedy.title,
            improves=chosen.remedy.improves,
            params=made.record.params,
            tried=tried,
            model=f"{id}/model",
            audit=f"{id}/{_AUDIT}",
            verdict=_verdict(after),
            trainings=made.record.trainings,
            notes=made.record.notes,
            comparison=compare(before, after, twice, chosen.remedy.is_meant_for),
            warnings=chosen.warnings,
            seconds=made.record.seconds,
        )
        return _Made(repair, Judged(after, twice.after, made.model))

    def _made(
        self, chosen: _Chosen, rows: RemedyRows, prepared: Prepared, place: Path
    ) -> tuple[Repaired, tuple[Candidate, ...]]:
        predictor = SharedPredictor(
            prepared.model,
            batch_tokens=self.settings.model.batch_tokens,
            advance=self.observer.asked,
            store=self.cache,
        )
        source = local_folder(self.settings.model, self.settings.online)
        update = {"path": str(source), "revision": None}
        settings = self.settings.model_copy(
            update={"model": self.settings.model.model_copy(update=update)}
        )
        orders = [
            Order(chosen.remedy, params, rows, settings, predictor)
            for _, params in chosen.combinations
        ]
        self.observer.stage(f"Training: {chosen.remedy.id}")
        self.observer.check_started(chosen.remedy.id, 1, 1)
        told = Told(self.observer.advanced, self.observer.note)
        there = (place / "model").exists()
        made, tried = choose(orders, [values for values, _ in chosen.combinations], place, told)
        if there and not made.again:
            self.observer.note(f"{made.model} was made from the same before; it is judged again.")
        return made, tried

    def answers(self, prepared: Prepared) -> Predictions:
        """What a model answers to the audited rows."""
        return self._predictor(prepared).predict(prepared.audited.inputs)

    def twice(self, before: Prepared, after: Prepared) -> Twice:
        """What both models answer to the audited rows, and to the sets out of distribution."""
        first, second = self._predictor(before), self._predictor(after)

        def both(data: AuditData, same: AuditData) -> Twice:
            return Twice(data, first.predict(data.inputs), second.predict(same.inputs))

        audited = both(before.audited, after.audited)
        if not before.shifts:
            return audited
        shifts = {
            name: both(shift.data, after.shifts[name].data) for name, shift in before.shifts.items()
        }
        inside = in_distribution(len(before.audited), before.shifts)
        validation = None
        if names_validation_rows(self.settings, before):
            validation = validated_on(self.settings, before)
        return replace(
            audited,
            shifts=shifts,
            inside=audited.rows(inside),
            chosen_apart=can_choose(validation),
        )

    def _predictor(self, prepared: Prepared) -> SharedPredictor:
        return SharedPredictor(
            prepared.model, batch_tokens=self.settings.model.batch_tokens, store=self.cache
        )


def _verdict(result: AuditResult) -> Verdict:
    decision = result.decision
    return Verdict(
        model=result.subject.model,
        model_digest=result.subject.model_digest,
        exit_code=decision.exit_code,
        passed=decision.passed,
        reason=decision.reason,
    )


def _record(
    settings: AuditConfig,
    before: AuditResult,
    rows: RemedyRows,
    made: Sequence[_Made],
    folder: Path,
) -> Mitigation:
    subject = before.subject
    return Mitigation(
        title=settings.report.title or subject.model,
        before=_verdict(before),
        audit=_BEFORE,
        data=subject.data,
        data_digest=subject.data_digest,
        split=subject.split,
        rows=subject.rows,
        suite_digest=before.suite_digest,
        seed=settings.seed,
        confidence=settings.confidence,
        training_rows=rows.said,
        repairs=tuple(one.repair for one in made),
        judged=_judged(folder, subject.data_digest, subject.split),
        environment=environment(),
    )


def _judged(folder: Path, data: str, split: str) -> int:
    """Distinct repaired models that were audited on these rows in this folder."""
    runs = [*folder.glob(f"*/{_AUDIT}"), *folder.glob(f"*/{_AUDIT}/{HISTORY_NAME}/*")]
    models = set()
    for place in runs:
        with suppress(ResultError):
            state = read_state(place)
            if state is not None and (state.inputs.data, state.inputs.split) == (data, split):
                models.add(state.inputs.model)
    return len(models)
