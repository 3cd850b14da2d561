"""How many inputs the model answers in a second when all are there at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.latency.asking import Asker, Timings
from auditkit.latency.energy import Readings
from auditkit.latency.scenarios import Length, offline
from auditkit.metrics.latency import bench_of
from auditkit.metrics.throughput import (
    FEWEST_PASSES,
    Passes,
    energy,
    price,
)
from auditkit.metrics.throughput import throughput as inputs_a_second
from auditkit.model import Capability

from ._timed import MOST, TimedParams, timed


@dataclass(frozen=True, slots=True)
class Params(TimedParams):
    """Parameters of `latency.throughput`."""

    texts: int = 512
    """Texts of a pass, drawn from the audited ones."""
    batch: int = 32
    """Texts of a batch."""

    def __post_init__(self) -> None:
        TimedParams.__post_init__(self)
        if not (1 <= self.texts <= 1_000_000 and 1 <= self.batch <= 10_000):
            raise ValueError("texts must lie between 1 and 1,000,000, and batch up to 10,000")


@check(
    "latency.throughput",
    title="The model answers enough inputs a second",
    severity=Severity.LOW,
    needs={Capability.TIMED},
    params=Params,
    limits=(
        Limit("throughput", "min", None, highest=MOST, means="inputs a second"),
        Limit("energy", "max", None, highest=MOST, means="joules of a thousand requests"),
        Limit("price", "max", None, highest=MOST, means="the price of a million requests"),
    ),
)
def throughput(context: Context, params: Params) -> Iterator[Measurement]:
    """Inputs a second in full batches, their energy, and their price.

    What it measures:
        A sample of the audited texts, sorted by length, is answered in batches of `params.batch`,
        in passes until time is up. `throughput` is inputs a second, tokenising included. `energy`
        is joules of a thousand requests, by each meter of the machine that may be read (RAPL for
        the processor, NVML for a GPU). `price` is that of a million requests, from the price of an
        hour that you give in [timing].

    Why it matters:
        It says how many machines a load needs, and what they cost.

    How to read it:
        It is the most the model can do, and no server keeps up with it: at a rate near it requests
        queue without end (`latency.server`). Energy counts everything that runs there, so it means
        something only on a machine that does nothing else.

    What to do:
        Try other batch sizes; on a CPU a few hundred tokens in a batch are enough. Half precision
        helps on a GPU and hurts on a CPU without support for it.

    Limits of this check:
        One process and its threads; several processes may get more out of many cores. The bounds
        take passes for independent of each other. The price is that of a machine that is never
        idle.

    References:
        Reddi et al. 2020, MLPerf Inference, offline scenario.
    """
    bench, inputs = bench_of(context), context.data.inputs
    size = min(params.texts, len(inputs))
    rows = context.rng.choice(len(inputs), size, replace=False)
    rows = rows[np.argsort([-len(str(inputs[row])) for row in rows], kind="stable")]
    batches = [rows[start : start + params.batch] for start in range(0, size, params.batch)]
    length = Length(params.seconds, FEWEST_PASSES, params.most_seconds)
    meters = Readings(bench.meters)
    took: list[int] = []

    def scenario(asker: Asker) -> Timings:
        meters.read()
        timings, passes = offline(asker, batches, length, meters.told(context.advance))
        took.extend(passes)
        return timings

    run = timed(context, bench, params, scenario)
    passes = Passes(size, np.array(took) / 1e9, meters.joules())
    withheld = run.withheld()
    measured = inputs_a_second(passes, context.confidence, withheld)
    yield replace(measured, evidence=(run.machine(),))
    yield from energy(passes, context.confidence, withheld)
    yield price(passes, context.confidence, bench.hourly_price, bench.currency, withheld)
