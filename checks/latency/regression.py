"""Whether the model is slower than the baseline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.latency.asking import Asker, Timings
from auditkit.latency.scenarios import in_turn, warm_up
from auditkit.metrics.latency import bench_of
from auditkit.metrics.latency_ratio import ratios
from auditkit.model import Capability

from ._timed import MOST, TimedParams, length_of, timed


@check(
    "latency.regression",
    title="The model is not much slower than the baseline",
    severity=Severity.LOW,
    needs={Capability.TIMED, Capability.BASELINE},
    params=TimedParams,
    limits=(
        Limit("ratio", "max", None, highest=MOST, means="a ratio of latencies"),
        Limit("p99_ratio", "max", None, highest=MOST, means="a ratio of 99 % quantiles"),
    ),
)
def regression(context: Context, params: TimedParams) -> Iterator[Measurement]:
    """Ratio of the model's latency to the baseline's, both asked in turn.

    What it measures:
        Each request, drawn from the audited texts, is put to both models, one right after the
        other, in random order. `ratio` is the median over requests of the model's latency over the
        baseline's; `p99_ratio` is the ratio of their 99 % quantiles. Both count tokenising.

    Why it matters:
        Two runs at different times measure the machine as much as the models. What is asked in turn
        has the same neighbours, the same heat and the same texts.

    How to read it:
        1 is as fast as the baseline, 1.2 takes a fifth longer. Unlike a limit in milliseconds, a
        limit on the ratio means much the same on another machine of the same kind.

    What to do:
        Look at what differs: layers, width, precision, the longest text that is read. Where the new
        model is larger on purpose, set the limit to what that may cost.

    Limits of this check:
        Each model finds the caches of the processor as the other left them, so both are a little
        slower than alone. Only their latencies are compared; that the model answers as it is
        audited is checked, that the baseline does is not.

    References:
        Conover 1999, 3.2 (order statistics); Kalibera & Jones 2013 (ratios in turn).
    """
    bench, inputs = bench_of(context), context.data.inputs
    other = bench.baseline_asker(inputs)
    length = length_of(params, context)
    warm_up(other, params.warm_up_seconds)
    baseline: list[Timings] = []

    def scenario(asker: Asker) -> Timings:
        own, its = in_turn((asker, other), length, context.rng, context.advance)
        baseline.append(its)
        return own

    run = timed(context, bench, params, scenario)
    made = ratios(run.timings.latency, baseline[0].latency, context.confidence, run.withheld())
    for place, measured in enumerate(made):
        yield replace(measured, evidence=() if place else (run.machine(),))
