"""What the checks that time a model are given: the model, this machine, and new processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from auditkit.config import AuditConfig, TimingConfig
from auditkit.cores import available_cores
from auditkit.fresh_start import start_fresh
from auditkit.latency.bench import Bench, FreshStart
from auditkit.latency.clock import CudaDevice
from auditkit.latency.energy import Meter, nvml, rapl
from auditkit.latency.hardware import Hardware, host
from auditkit.model import Capability, Model
from auditkit.models.answer_key import device_class
from auditkit.models.transformers_loading import as_run
from auditkit.models.transformers_text import TransformersText
from auditkit.plan import Plan
from auditkit.preflight import Prepared

_RUN_AS = ("precision", "attention")
"""What loading says of a model that its times depend on."""


def has_timed(plan: Plan) -> bool:
    """Whether an audit times the model."""
    return any(entry.is_given(Capability.TIMED) for entry in plan.checks)


def bench_for(config: AuditConfig, prepared: Prepared) -> Bench:
    """What the model is timed with on this machine, and the baseline if it can be asked."""
    model, baseline = prepared.model, None
    if prepared.baseline is not None:
        other = prepared.baseline.model
        baseline = other if Capability.NEW_INPUTS in other.capabilities else None
    settings = config.timing or TimingConfig()
    on_cuda = _device(config).startswith("cuda")
    meters: list[Meter | None] = [rapl(), nvml() if on_cuda else None]

    def start(inputs: Sequence[Any], batch: int) -> FreshStart:
        return start_fresh(config.model, inputs, batch, online=config.online)

    return Bench(
        model,
        hardware(config, model),
        device=CudaDevice() if on_cuda else None,
        start=start,
        meters=[meter for meter in meters if meter is not None],
        baseline=baseline,
        variants=model.variants() if isinstance(model, TransformersText) else None,
        limits_from=settings.hardware or "",
        hourly_price=settings.hourly_price,
        currency=settings.currency,
    )


def hardware(config: AuditConfig, model: Model) -> Hardware:
    """The machine, and how the model runs on it. Does not load the model."""
    said = host(cores=available_cores())
    backend = as_run(config.model, config.online).backend
    said |= {"device": _device(config), "backend": backend}
    said |= {topic: model.assumptions[topic] for topic in _RUN_AS if topic in model.assumptions}
    return Hardware(said)


def timed_on(config: AuditConfig, model: Model) -> list[str]:
    """What a timing depends on besides what every measurement does."""
    settings = config.timing or TimingConfig()
    return [hardware(config, model).fingerprint, json.dumps(settings.model_dump())]


def _device(config: AuditConfig) -> str:
    if config.model.path is None:
        return "that of the function"
    if as_run(config.model, config.online).backend != "torch":
        return "cpu"
    return device_class(config.model.device)
