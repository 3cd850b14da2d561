"""Latency of requests that come at random times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from auditkit.check import Context, check
from auditkit.errors import NotApplicable
from auditkit.finding import Measurement, Severity
from auditkit.latency.scenarios import arrivals
from auditkit.latency.scenarios import server as served
from auditkit.metrics.latency import Latencies, bench_of, drift, evidence_of, percentiles
from auditkit.model import Capability

from ._timed import TimedParams, drift_limit, length_of, percentile_limits, timed


@dataclass(frozen=True, slots=True)
class Params(TimedParams):
    """Parameters of `latency.server`."""

    rate: float = 0.0
    """Requests a second on average; the check does not run without it."""
    batch: int = 1
    """Most waiting requests that are answered together."""

    def __post_init__(self) -> None:
        TimedParams.__post_init__(self)
        if not 0 <= self.rate <= 1e6:
            raise ValueError(f"rate must lie between 0 and 1e6, not {self.rate}")
        if not 1 <= self.batch <= 10_000:
            raise ValueError(f"batch must lie between 1 and 10,000, not {self.batch}")


@check(
    "latency.server",
    title="Requests at the expected rate are answered in time",
    severity=Severity.MEDIUM,
    needs={Capability.TIMED},
    params=Params,
    limits=(*percentile_limits(), drift_limit()),
)
def server(context: Context, params: Params) -> Iterator[Measurement]:
    """Percentiles of the latency of requests that arrive at a given rate.

    What it measures:
        Requests about the audited texts arrive as a Poisson process of `params.rate` a second. One
        worker answers them in turn, up to `params.batch` of those that wait at once. The latency of
        a request counts from its arrival, so a stall makes those behind it late, too.

    Why it matters:
        A model that answers in 10 ms by itself can take seconds when requests queue up. A client
        that waits for each answer before it asks again would never see that (coordinated
        omission).

    How to read it:
        As `latency.single-stream`. The table tells the time a request waited from the time the
        model took. A `drift` far above 0 means that the queue grows: the rate is more than the
        model can answer. Requests that were never served count with the time they had waited, and
        where a percentile may be one of them there is no upper bound.

    What to do:
        Answer in batches (`params.batch`), start more workers, or make the model faster; the
        throughput of `latency.throughput` is the most that any rate can be.

    Limits of this check:
        One worker in this process; a real server adds its network and its own queue. Latencies in a
        queue depend on each other: where slow requests come in bursts they count less.

    References:
        Reddi et al. 2020, MLPerf Inference, server scenario; Tene 2013, How not to measure latency.
    """
    if not params.rate:
        raise NotApplicable("params.rate does not say how many requests come in a second.")
    bench, inputs = bench_of(context), context.data.inputs
    length, rng = length_of(params, context), context.rng
    coming = arrivals(params.rate, length, rng)
    run = timed(
        context, bench, params,
        lambda asker: served(
            asker, coming, length, rng, params.batch, advance=context.advance
        ),
    )  # fmt: skip
    latencies, withheld = Latencies.of(run.timings), run.withheld()
    note = f"At {params.rate:g} requests a second."
    for measured in percentiles(latencies, context.confidence, note, withheld):
        shown = evidence_of(run, inputs, waiting=True) if measured.name == "p99" else ()
        yield replace(measured, evidence=shown)
    yield drift(latencies.series, context.confidence, withheld)
