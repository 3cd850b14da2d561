"""What makes two runs the same run, and a measurement still valid: digests of all it depends on."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import inspect
import json
import platform
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from auditkit import __version__
from auditkit.check import Check
from auditkit.config import AuditConfig
from auditkit.model import Capability, Model, Predictions, TokenModel
from auditkit.plan import Plan
from auditkit.preflight import Prepared
from auditkit.remedy import Remedy
from auditkit.timing import timed_on

MEASURING_PACKAGES = (
    "numpy", "scipy", "statsmodels", "scikit-learn", "fairlearn", "torch", "transformers",
    "tokenizers", "evaluate", "textattack", "nltk", "lime", "shap", "captum",
)  # fmt: skip
"""Packages whose version may change a measurement."""


@dataclass(frozen=True, slots=True)
class RunInputs:
    """Digests of what goes into a run."""

    model: str
    data: str
    split: str
    """Name of the audited split, and the size of the sample if there is one."""
    suite: str
    seed: int
    measuring: str
    """Over the keys of all checks: code, library versions, parameters, error levels."""

    def differences(self, earlier: RunInputs) -> list[str]:
        """What differs in model, data, split, suite or seed: "model 1a2b… → 3c4d…"."""
        return [
            f"{name} {_short(getattr(earlier, name))} → {_short(getattr(self, name))}"
            for name in ("model", "data", "split", "suite", "seed")
            if getattr(earlier, name) != getattr(self, name)
        ]

    def differs_only_in_seed(self, other: RunInputs) -> bool:
        """True for another try at the same question."""
        return self.seed != other.seed and all(
            getattr(self, field.name) == getattr(other, field.name)
            for field in fields(self)
            if field.name not in {"seed", "measuring"}
        )

    @property
    def digest(self) -> str:
        """SHA-256 over all of it."""
        return _sha256([getattr(self, field.name) for field in fields(self)])


def is_opaque(model: Model) -> bool:
    """True when the digest of a model cannot cover all its answers depend on: a function's."""
    return Capability.NEW_INPUTS in model.capabilities and not isinstance(model, TokenModel)


class Answered(NamedTuple):
    """What models whose digests say too little answer for the audited rows; None for others."""

    model: Predictions | None
    baseline: Predictions | None


def check_keys(
    config: AuditConfig, prepared: Prepared, plan: Plan, answered: Answered
) -> dict[str, str]:
    """Digest of everything the measurements of each check depend on, by check id.

    Limits, severity and policy are not part of it: judging is done again anyway.

    Args:
        config: The configuration.
        prepared: Model and data.
        plan: The planned checks.
        answered: What models say about the audited rows, where their digests say too little.
    """
    shared = [
        __version__,
        own_source(),
        _versions(),
        prepared.model.digest,
        prepared.model.assumptions,
        None if answered.model is None else _answers(answered.model),
        prepared.data.digest,
        dict(prepared.shift_digests),
        config.data.evaluate if config.data.split else None,
        config.data.sample,
        [config.model.batch_tokens, config.model.device],
        [plan.suite.confidence, plan.suite.family],
        config.seed,
        config.online,
    ]
    params = {check.id: check.params for check in plan.suite.checks}
    training = None
    if prepared.training is not None:
        others = {name: data.digest for name, data in prepared.held_out.items()}
        training = [prepared.training.digest, others]
    validation = None if prepared.validation is None else prepared.validation.digest
    baseline = _of_baseline(config, prepared, answered.baseline)
    return {
        entry.check.id: _sha256(
            [
                *shared,
                entry.check.id,
                source_digest(entry.check),
                params[entry.check.id],
                entry.obstacle,
                dict(entry.lacking),
                sorted(entry.limits),
                [resource.content_digest() for resource in entry.check.resources(entry.params)],
                training if entry.is_given(Capability.TRAINING_ROWS) else None,
                validation if entry.is_given(Capability.VALIDATION_ROWS) else None,
                baseline if entry.is_given(Capability.BASELINE) else None,
                timed_on(config, prepared.model) if entry.is_given(Capability.TIMED) else None,
            ]
        )
        for entry in plan.checks
    }


def _of_baseline(
    config: AuditConfig, prepared: Prepared, answers: Predictions | None
) -> list[Any] | None:
    if prepared.baseline is None or config.baseline is None:
        return None
    model = prepared.baseline.model
    return [
        model.digest,
        model.assumptions,
        None if answers is None else _answers(answers),
        prepared.baseline.order.tolist(),
        [config.baseline.batch_tokens, config.baseline.device],
    ]


def run_inputs(
    config: AuditConfig, prepared: Prepared, plan: Plan, keys: dict[str, str]
) -> RunInputs:
    """The digests of a run; `keys` are those of `check_keys`."""
    split = config.data.evaluate if config.data.split else "all rows"
    if config.data.sample is not None:
        split += f", a sample of {config.data.sample}"
    return RunInputs(
        model=prepared.model.digest,
        data=prepared.data_digest,
        split=split,
        suite=plan.suite.digest,
        seed=config.seed,
        measuring=_sha256([keys, [left_out.check for left_out in plan.not_run]]),
    )


@cache
def own_source() -> str:
    """SHA-256 over auditkit's own source files, those of the checks apart."""
    root = Path(__file__).parent
    files = [p for p in root.rglob("*.py") if p.relative_to(root).parts[0] != "checks"]
    return _files_digest(files, root)


def source_digest(entry: Check | Remedy) -> str:
    """SHA-256 of the source a check or remedy is made of.

    That is its file and the private modules beside it; for a check of an installed package, all
    Python files of the package.
    """
    function = entry.measure if isinstance(entry, Check) else entry.apply
    top = entry.module.partition(".")[0]
    if "." in entry.module and top != "auditkit":
        folders = [Path(p) for p in importlib.import_module(top).__path__]
        return _sha256([_files_digest(folder.rglob("*.py"), folder) for folder in folders])
    try:
        source = inspect.getsourcefile(function)
    except TypeError:
        source = None
    if source is None or not Path(source).is_file():
        return "unknown"
    file = Path(source)
    return _files_digest([file, *file.parent.glob("_*.py")], file.parent)


def _files_digest(files: Iterable[Path], root: Path) -> str:
    return _sha256(
        [
            (file.relative_to(root).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest())
            for file in sorted(set(files))
        ]
    )


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = [("python", platform.python_version()), ("machine", platform.machine())]
    for package in MEASURING_PACKAGES:
        try:
            found.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return tuple(found)


def _answers(answers: Predictions) -> str:
    digest = hashlib.sha256(answers.labels.tobytes())
    if answers.probabilities is not None:
        digest.update(answers.probabilities.tobytes())
    return digest.hexdigest()


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:8]}…" if len(text) == 64 else text
