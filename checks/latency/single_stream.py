"""Latency of one request after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.latency.repeats import repeated_and_new
from auditkit.latency.scenarios import single_stream as one_after_the_other
from auditkit.metrics.latency import (
    Latencies,
    bench_of,
    caching,
    drift,
    evidence_of,
    percentiles,
    repeat_gain,
)
from auditkit.model import Capability

from ._timed import TimedParams, drift_limit, length_of, percentile_limits, timed


@dataclass(frozen=True, slots=True)
class Params(TimedParams):
    """Parameters of `latency.single-stream`."""

    tokenizing: bool = True
    """Whether tokenising counts in the judged percentiles; the table has both."""


@check(
    "latency.single-stream",
    title="A request by itself is answered in time",
    severity=Severity.MEDIUM,
    needs={Capability.TIMED},
    params=Params,
    limits=(
        *percentile_limits(),
        drift_limit(),
        Limit("repeat_gain", "max", None, lowest=-1e9, means="a share of the time of a new text"),
    ),
)
def single_stream(context: Context, params: Params) -> Iterator[Measurement]:
    """Percentiles of the latency of single requests.

    What it measures:
        One request after the other, a batch of one, drawn at random from the audited texts, so the
        lengths are yours. `p50`, `p90` and `p99` in milliseconds, from the text to the answer, with
        bounds by order statistics. `drift` is how much slower the second half of the run is than
        the first. `repeat_gain` is how much faster a text is answered that was asked before than
        new texts of the same words in another order.

    Why it matters:
        A mean hides the slow requests, and a percentile of too few requests is a guess: a hundred
        requests say nothing about the slowest hundredth.

    How to read it:
        A limit on p99 passes when the upper bound is below it. Below 299 requests there is none at
        95 %. Every limit is yours to set; without one the number is reported. A limit holds for the
        machine it was set on: name its fingerprint in [timing], and on another machine the outcome
        is inconclusive.

    What to do:
        If the chart shows that long texts are slow, cut them or sort them. If tokenising takes a
        large part, use a fast tokenizer. A rise over the run is mostly heat or another program.

    Limits of this check:
        Requests that wait for each other are those of `latency.server`. Times on a shared machine
        are those of its neighbours too; the table shows what they took. If answers are cached, the
        verdict is withheld, since requests repeat texts. Slow requests that come in bursts count
        less than single ones, but a burst longer than a twenty-fifth of the run is hardly seen.

    References:
        Reddi et al. 2020, MLPerf Inference, and its LoadGen; Conover 1999, 3.2 (order statistics);
        Schmeiser 1982 (blocks).
    """
    bench, inputs = bench_of(context), context.data.inputs
    length = length_of(params, context)
    run = timed(
        context, bench, params,
        lambda asker: one_after_the_other(asker, length, context.rng, context.advance),
    )  # fmt: skip
    gain = repeat_gain(repeated_and_new(bench, inputs, context.rng), context.confidence)
    withheld = run.withheld(caching(gain))
    latencies = Latencies.of(run.timings, params.tokenizing)
    note = "" if params.tokenizing else "Without tokenising."
    for measured in percentiles(latencies, context.confidence, note, withheld):
        is_last = measured.name == "p99"
        shown = evidence_of(run, inputs, waiting=False) if is_last else ()
        yield replace(measured, evidence=shown)
    yield drift(latencies.series, context.confidence, run.withheld())
    yield gain
