"""Which checks an audit will run, with which limits and parameters, and why not the others."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auditkit.check import Check, Limit
from auditkit.config import AuditConfig, CheckConfig, RemedyConfig, names_file, names_folder
from auditkit.errors import ConfigError, nearest
from auditkit.finding import Severity
from auditkit.model import Capability
from auditkit.registry import Registry
from auditkit.remedy import Remedy
from auditkit.resources import Resource
from auditkit.result import NotRun, Suite, SuiteCheck, SuiteLimit

MOST_CHOICES = 50
"""Combinations of parameters of one remedy: each is a training."""

_UNASKED = {
    Capability.TIMED: "it times the model, which takes minutes on a quiet machine: name it, or add "
    "[timing]",
    Capability.EXPLANATIONS: "it asks about hundreds of texts for each example it explains: name "
    "it, or add [explanations]",
}
"""Why a check that needs this does not run unless the configuration asks for it."""
_LACKING = {
    Capability.PROBABILITIES: "the model gives no probabilities, only labels",
    Capability.NEW_INPUTS: "only the data's own rows have an answer: predictions on file, or "
    "thresholds for a row's group",
    Capability.TOKENS: "the model does not expose its tokenizer",
    Capability.EMBEDDINGS: "the model gives no embeddings of its inputs, or not with this backend",
    Capability.WHITE_BOX: "the model shows no gradients: it is no transformers text model on torch",
    Capability.EXPLANATIONS: "an explanation asks about new texts and follows the probabilities, "
    "and the model gives no answers, or only labels",
    Capability.RATIONALES: "the data has no human rationales ([data] rationale)",
    Capability.LABELS: "the data has no true labels ([data] label)",
    Capability.GROUPS: "the data has no sensitive attribute ([data] sensitive)",
    Capability.SHIFTS: "no set of rows out of distribution is named ([data.ood.NAME])",
    Capability.PAIRS: "nothing ties texts to their contrasts ([data] pair)",
    Capability.TIMED: "there is no model to ask again: predictions on file, or thresholds for a "
    "row's group",
    Capability.TRAINING_ROWS: "nothing says which rows the model was trained on: [training] path, "
    "or a split of the data",
    Capability.VALIDATION_ROWS: "no split is there to choose by ([training] validation)",
    Capability.BASELINE: "there is no model to compare with ([baseline])",
}


@dataclass(frozen=True, slots=True)
class PlannedCheck:
    """A check with its settings for this audit."""

    check: Check
    severity: Severity
    limits: dict[str, SuiteLimit]
    params: Any
    """Instance of `check.params`."""
    required: bool
    obstacle: str
    """Why it cannot run on this model and data; empty when it can."""
    lacking: Mapping[Capability, str] = field(default_factory=dict)
    """What it uses and does without, and why."""

    def is_given(self, capability: Capability) -> bool:
        """Whether it runs and is given what this capability stands for."""
        asked = capability in self.check.asks_for
        return asked and not self.obstacle and capability not in self.lacking


@dataclass(frozen=True, slots=True)
class Plan:
    """The checks of an audit in the order they run, and those left out on purpose."""

    checks: tuple[PlannedCheck, ...]
    not_run: tuple[NotRun, ...]
    suite: Suite


def make_plan(config: AuditConfig, registry: Registry, capabilities: frozenset[Capability]) -> Plan:
    """Resolve the configuration against the known checks and what model and data offer.

    Raises:
        ConfigError: The configuration names an unknown check, remedy, limit or parameter, a limit
            that the quantity can never reach, or a file in a parameter that cannot be read.
        RegistryError: `only` names an unknown check.
    """
    for check_id in config.checks:
        if check_id not in registry.checks:
            raise ConfigError(
                f'[checks."{check_id}"]: there is no such check.',
                nearest(check_id, registry.checks),
            )
    for remedy_id in config.remedies:
        if remedy_id not in registry.remedies:
            raise ConfigError(
                f'[remedies."{remedy_id}"]: there is no such remedy.',
                nearest(remedy_id, registry.remedies),
            )
        remedy_params(config, registry.remedies[remedy_id])
    only = (
        {registry.get(check_id).id for check_id in config.only} if config.only is not None else None
    )
    planned, left_out = [], []
    for check in registry.checks.values():
        settings = config.checks.get(check.id, CheckConfig())
        if only is not None and check.id not in only:
            left_out.append(NotRun(check.id, check.title, "not in `only`"))
        elif not settings.enabled:
            left_out.append(NotRun(check.id, check.title, "switched off in the configuration"))
        elif why := _unasked(check, config):
            left_out.append(NotRun(check.id, check.title, why))
        else:
            named = check.id in config.checks or only is not None
            settings = _with_shared(check, settings, config)
            planned.append(_planned(check, settings, named, capabilities))
    return Plan(tuple(planned), tuple(left_out), _suite(planned, config))


def _unasked(check: Check, config: AuditConfig) -> str:
    """Why a check is left out that would take long though nobody asked for it; empty when not."""
    if check.id in config.checks or config.only is not None:
        return ""
    tables = {
        Capability.TIMED: config.timing,
        Capability.EXPLANATIONS: config.explanations,
    }
    return next(
        (_UNASKED[n] for n, table in tables.items() if n in check.needs and table is None), ""
    )


def _with_shared(check: Check, settings: CheckConfig, config: AuditConfig) -> CheckConfig:
    """The settings, with what [explanations] says for all checks that explain."""
    if config.explanations is None or Capability.EXPLANATIONS not in check.needs:
        return settings
    said = config.explanations.model_dump(exclude_unset=True)
    known = {field.name for field in dataclasses.fields(check.params)}
    shared = {name: value for name, value in said.items() if name in known}
    return settings.model_copy(update={"params": shared | settings.params})


def _suite(planned: list[PlannedCheck], config: AuditConfig) -> Suite:
    gated = [
        limit
        for entry in planned
        if not entry.obstacle
        for limit in entry.limits.values()
        if limit.value is not None
    ]
    checks = tuple(
        SuiteCheck(
            id=entry.check.id,
            title=entry.check.title,
            severity=entry.severity,
            limits=entry.limits,
            params=_recorded_params(entry),
            required=entry.required,
        )
        for entry in planned
    )
    return Suite(checks, config.confidence, max(len(gated), 1))


def _recorded_params(entry: PlannedCheck) -> dict[str, Any]:
    """The parameters as the suite's digest covers them: a file by its name and its content."""
    params: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(entry.params)))
    for name, value in [*params.items()]:
        if names_file(name, value):
            where = f'[checks."{entry.check.id}"] params.{name}'
            params[name] = Path(value).name
            params[f"{name}_sha256"] = _file_digest(Path(value), where)
        elif names_folder(name, value):
            params[name] = Path(value).name
            params[f"{name}_sha256"] = Resource(name, "", (value,)).content_digest()
    return params


def _file_digest(path: Path, where: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            f"{where}: {path} cannot be read ({error.strerror}).",
            "A relative path is taken from the configuration file's folder.",
        ) from None


def _planned(
    check: Check, settings: CheckConfig, named: bool, capabilities: frozenset[Capability]
) -> PlannedCheck:
    params = parse_params(check, settings.params)
    return PlannedCheck(
        check=check,
        severity=settings.severity or check.severity,
        limits=_limits(check, settings.limits),
        params=params,
        required=named,
        obstacle=obstacle_of(check, params, capabilities),
        lacking={one: _LACKING[one] for one in sorted(check.uses - capabilities)},
    )


def obstacle_of(check: Check, params: Any, capabilities: frozenset[Capability]) -> str:
    """Why a check cannot run with these capabilities; empty when it can."""
    lacking = [_LACKING[need] for need in sorted(check.needs - capabilities)]
    absent = [name for name in check.extras if importlib.util.find_spec(name) is None]
    lacking += [f"the package {name} is not installed" for name in absent]
    needed = (resource for resource in check.resources(params) if not resource.optional)
    lacking += filter(None, (resource.obstacle() for resource in needed))
    return "; ".join(lacking)


def _limits(check: Check, chosen: Mapping[str, float | bool]) -> dict[str, SuiteLimit]:
    known = {limit.name: limit for limit in check.limits}
    for name, value in chosen.items():
        where = f'[checks."{check.id}"] limits.{name}'
        if name not in known:
            raise ConfigError(f"{where}: the check has no such limit.", nearest(name, known))
        limit = known[name]
        if value is not False and not limit.lowest <= value <= limit.highest:
            raise ConfigError(
                f"{where} = {value}: impossible, {limit.means or name} lies between "
                f"{limit.lowest:g} and {limit.highest:g}."
            )
    return {
        name: SuiteLimit(limit.direction, _value(limit, chosen)) for name, limit in known.items()
    }


def _value(limit: Limit, chosen: Mapping[str, float | bool]) -> float | None:
    value = chosen.get(limit.name, limit.value)
    return None if value is False or value is None else float(value)


def remedy_params(config: AuditConfig, remedy: Remedy) -> list[tuple[dict[str, Any], Any]]:
    """The parameters of a remedy: one pair for each combination of the values to choose among.

    A pair is the values chosen among, and the parameters with them.

    Raises:
        ConfigError: As `parse_params`, or there are too many combinations.
    """
    settings = config.remedies.get(remedy.id, RemedyConfig())
    where = f'[remedies."{remedy.id}"]'
    both = settings.params.keys() & settings.choices.keys()
    if both:
        raise ConfigError(f"{where}: {min(both)} is both in params and in choices.")
    if math.prod(map(len, settings.choices.values())) > MOST_CHOICES:
        raise ConfigError(f"{where} choices: more than {MOST_CHOICES} combinations.")
    combinations = [
        dict(zip(settings.choices, values, strict=True))
        for values in itertools.product(*settings.choices.values())
    ]
    return [
        (values, parse_params(remedy, settings.params | values, "remedies"))
        for values in combinations
    ]


def parse_params(owner: Check | Remedy, values: Mapping[str, Any], table: str = "checks") -> Any:
    """An instance of a check's or remedy's parameters from the configuration's values.

    Raises:
        ConfigError: A name is unknown or a value has the wrong type or range.
    """
    from pydantic import TypeAdapter, ValidationError

    known = [field.name for field in dataclasses.fields(owner.params)]
    where = f'[{table}."{owner.id}"] params'
    for name in values:
        if name not in known:
            raise ConfigError(f"{where}.{name}: there is no such parameter.", nearest(name, known))
    try:
        # As JSON, because there strict still lets a list be a tuple.
        return TypeAdapter(owner.params).validate_json(json.dumps(dict(values)), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if not name:  # the parameters refused themselves, and say which
            raise ConfigError(f"{where}: {message}.") from None
        raise ConfigError(f"{where}.{name}: {message}, not {first['input']!r}.") from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}.") from None
