"""What the checks that ask the model again and again have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from auditkit.check import Context, Limit
from auditkit.latency.asking import Asker, Timings
from auditkit.latency.bench import Bench
from auditkit.latency.scenarios import Length, warm_up
from auditkit.metrics.latency import PERCENTILES, TimedRun
from auditkit.stats.quantiles import needed_to_bound

MOST = 1e9
"""Highest limit of a time, a size or a price."""


@dataclass(frozen=True, slots=True)
class TimedParams:
    """How long a model is timed."""

    seconds: float = 60.0
    """Seconds at least; a shorter run than 60 is a quick look from which no verdict is read."""
    most_seconds: float = 600.0
    """Seconds at most, if there are too few requests for the bounds of p99 before."""
    warm_up_seconds: float = 30.0
    """Most seconds of warm-up, which ends as soon as three windows take equally long."""

    def __post_init__(self) -> None:
        Length(self.seconds, 1, self.most_seconds)
        if not 0 < self.warm_up_seconds <= 3600:
            raise ValueError(
                f"warm_up_seconds must lie between 0 and 3600, not {self.warm_up_seconds}"
            )


def percentile_limits() -> tuple[Limit, ...]:
    """Limits in milliseconds, none of which has a default: only the user knows."""
    return tuple(
        Limit(name, "max", None, highest=MOST, means="milliseconds") for name in PERCENTILES
    )


def drift_limit() -> Limit:
    """The limit of a rise over the run."""
    return Limit(
        "drift", "max", None, lowest=-1.0, highest=MOST, means="a rise over the run, as a share"
    )


def length_of(params: TimedParams, context: Context) -> Length:
    """As long as configured, and until p99 can be bounded from above for a pass."""
    needed = needed_to_bound(PERCENTILES["p99"], context.confidence.claim_alpha)
    return Length(params.seconds, needed, params.most_seconds)


def timed(
    context: Context, bench: Bench, params: TimedParams, scenario: Callable[[Asker], Timings]
) -> TimedRun:
    """Warm up, run a scenario, and see that the answers are the audited ones."""
    inputs = context.data.inputs
    asker = bench.asker(inputs)
    warm = warm_up(asker, params.warm_up_seconds)
    before = bench.busy()
    timings = scenario(asker)
    after = bench.busy()
    agreement = timings.compared(context.predictor.predict(inputs))
    return TimedRun(bench, timings, warm, before, after, agreement, params.seconds)
