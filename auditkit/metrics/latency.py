"""What timings say: percentiles with order-statistic bounds, drift, caching, parts of a request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Confidence, Context
from auditkit.errors import NotApplicable
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Cell,
    Curve,
    Estimate,
    Estimates,
    Evidence,
    Interval,
    Measurement,
    Table,
)
from auditkit.latency.asking import Timings
from auditkit.latency.bench import Bench
from auditkit.latency.hardware import Busy, torch_threads
from auditkit.latency.scenarios import WarmUp
from auditkit.stats.quantiles import (
    early_stopping_estimate,
    independent_values,
    needed_to_bound,
    quantile,
    quantile_interval,
)

Series = NDArray[np.float64]

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
VERDICT_SECONDS = 60.0
"""A shorter run is a quick look from which no verdict is read."""
CACHED = 0.1
"""How much faster a repeated input may be answered before it is taken for cached (MLPerf's
TEST04)."""
METHOD = "order statistics"
_MLPERF_ALPHA = 0.01
_BANDS = 8
_MS = 1e6


def bench_of(context: Context) -> Bench:
    """What the check times with.

    Raises:
        NotApplicable: This is no audit but a plan of one, where nothing is timed.
    """
    if context.timing is None:
        raise NotApplicable("nothing is timed before the audit.")
    return context.timing


@dataclass(frozen=True, slots=True, eq=False)
class TimedRun:
    """A scenario that was run.

    Attributes:
        bench: What it was timed with.
        timings: Its requests.
        warm: What came before.
        before: Who used the machine when it began.
        after: The same when it ended.
        agreement: How the answers compare with those that are audited.
        asked_seconds: How long it was to last at least.
    """

    bench: Bench
    timings: Timings
    warm: WarmUp
    before: Busy
    after: Busy
    agreement: str
    asked_seconds: float

    @property
    def seconds(self) -> float:
        """From the first request that was due to the end."""
        return float(self.timings.ended - self.timings.scheduled[0]) / 1e9

    def withheld(self, *others: str) -> str:
        """Why no verdict is read from it; empty when one is."""
        short = ""
        longest = max(self.asked_seconds, self.seconds)
        if longest < VERDICT_SECONDS:
            short = (
                f"{longest:.3g} s are a quick look and a verdict needs "
                f"{VERDICT_SECONDS:g} s (params.seconds)"
            )
        return "; ".join(filter(None, (self.bench.elsewhere, short, *others)))

    def machine(self) -> Table:
        """The machine and what else it did."""
        return machine_table(self.bench, self.before, self.after, (
            ("warm-up", self.warm.sentence()),
            ("first request", f"{self.warm.first / _MS:,.4g} ms, not counted"),
            ("answers", self.agreement),
        ))  # fmt: skip


def machine_table(
    bench: Bench, before: Busy, after: Busy, more: Sequence[tuple[str, str]] = ()
) -> Table:
    """What the timings are true of: the hardware, and who else used it meanwhile."""
    rows: list[tuple[Cell, ...]] = [("fingerprint", bench.hardware.fingerprint)]
    rows += [*bench.hardware.said.items(), *torch_threads().items(), *more]
    if before.load is not None and after.load is not None:
        rows.append(("load before and after", f"{before.load:.2f}, {after.load:.2f}"))
    others = after.others_since(before)
    if others is not None:
        rows.append(("cores taken by other programs", f"{others:.2f} on average"))
    if before.hottest is not None and after.hottest is not None:
        rows.append(("hottest sensor", f"{before.hottest:.0f} °C, then {after.hottest:.0f} °C"))
    return Table("The machine", ("", ""), tuple(rows))


@dataclass(frozen=True, slots=True, eq=False)
class Latencies:
    """Latencies in milliseconds, in the order of the requests.

    Attributes:
        series: Shape (n,); of a request that was never served, how long it had waited.
        unserved: How many of them, the last ones, were never served.
    """

    series: Series
    unserved: int = 0

    @classmethod
    def of(cls, timings: Timings, tokenize: bool = True) -> Latencies:
        """From a scenario, with or without the time the tokenizer took."""
        served = timings.latency if tokenize else timings.latency - _tokenizing(timings)
        waited = timings.ended - timings.unserved
        return cls(np.concatenate([served, waited]) / _MS, len(waited))

    def interval(self, p: float, alpha: float, worth: float) -> Interval:
        """Bounds of the `p` quantile; none from above where that may be of an unserved request."""
        ordered = np.sort(self.series)
        found = quantile_interval(ordered, p, alpha, worth)
        if not self.unserved or found.upper is None:
            return found
        late = self.series.copy()
        late[-self.unserved :] = np.finfo(np.float64).max
        upper = quantile_interval(np.sort(late), p, alpha, worth).upper
        known = upper is not None and upper < np.finfo(np.float64).max
        return Interval(found.lower, upper if known else None)


def percentiles(
    latencies: Latencies, confidence: Confidence, note: str, withheld: str
) -> Iterator[Measurement]:
    """Percentiles in milliseconds, one measurement each."""
    series, n = latencies.series, len(latencies.series)
    ordered = np.sort(series)
    for name, p in PERCENTILES.items():
        worth = independent_values(series, p)
        needed = int(np.ceil(needed_to_bound(p, confidence.claim_alpha) * n / worth))
        stopping = early_stopping_estimate(ordered, p, _MLPERF_ALPHA)
        said = [note]
        if worth < n:
            said.append(f"Slow requests come in bursts: {n:,} are worth {worth:,.0f}.")
        if latencies.unserved:
            said.append(f"{latencies.unserved:,} of them were never served, at least so late.")
        if stopping is not None:
            said.append(f"MLPerf's early-stopping estimate at 99 % confidence: {stopping:,.4g} ms.")
        yield Measurement(
            name,
            quantile(ordered, p),
            n,
            Bounds(
                latencies.interval(p, confidence.claim_alpha, worth),
                latencies.interval(p, confidence.corrected_alpha(1), worth),
                METHOD,
            ),
            note=" ".join(filter(None, said)),
            least_n=needed if needed > n else None,
            counted="requests",
            withheld=withheld,
        )


def drift(series: Series, confidence: Confidence, withheld: str) -> Measurement:
    """How much the median of the second half of a run lies above that of the first, as a share.

    Its bounds are those of the two medians, each with half of the error.
    """
    halves = np.array_split(series, 2)
    if not len(halves[1]) or series.min() <= 0:
        why = "a single request, or one that takes no time, has no trend."
        return Measurement("drift", None, len(series), None, note=why)
    (first, one), (second, two) = ((np.sort(h), independent_values(h, 0.5)) for h in halves)

    def bounds(alpha: float) -> Interval:
        before = quantile_interval(first, 0.5, alpha / 2, one)
        after = quantile_interval(second, 0.5, alpha / 2, two)
        return Interval(_rise(before.upper, after.lower), _rise(before.lower, after.upper))

    claim, corrected = bounds(confidence.claim_alpha), bounds(confidence.corrected_alpha(1))
    risen = claim.lower is not None and claim.lower > 0
    return Measurement(
        "drift",
        quantile(second, 0.5) / quantile(first, 0.5) - 1.0,
        len(series),
        Bounds(claim, corrected, METHOD),
        note="The second half of the run is slower than the first."
        if risen
        else "No rise from the first half of the run to the second is shown.",
        counted="requests",
        withheld=withheld,
    )


def repeat_gain(took: NDArray[np.int64] | None, confidence: Confidence) -> Measurement:
    """By what share a repeated text is answered faster than new ones, from pairs (n, 2)."""
    if took is None or (took <= 0).any():
        why = "the inputs are no texts of enough words to make new ones of the same length."
        return Measurement("repeat_gain", None, 0, None, note=why)
    gains = np.sort(1 - took[:, 0] / took[:, 1])
    claim, corrected = (
        quantile_interval(gains, 0.5, alpha)
        for alpha in (confidence.claim_alpha, confidence.corrected_alpha(1))
    )
    return Measurement(
        "repeat_gain", quantile(gains, 0.5), len(gains), Bounds(claim, corrected, METHOD),
        note="The median over pairs of a repeated and a new text of the same words.",
        counted="pairs",
    )  # fmt: skip


def caching(gain: Measurement) -> str:
    """Why latencies of repeated inputs say nothing of new ones; empty when they do."""
    if gain.bounds is None or gain.bounds.claim.lower is None or gain.bounds.claim.lower <= CACHED:
        return ""
    return (
        f"a repeated text is answered {gain.value:.0%} faster than a new one, so answers are "
        "cached and the requests, which repeat texts, say nothing of new ones"
    )


def parts_table(timings: Timings, *, waiting: bool = False) -> Table:
    """Where the time of a request goes: percentiles of its parts, in milliseconds."""
    parts = {"from due to answered": timings.latency}
    if waiting:
        parts["waiting for the model"] = timings.started - timings.scheduled
    if timings.tokens.any():
        parts["tokenising"] = _tokenizing(timings)
        parts["model, tokens given"] = timings.model_only
    if timings.executed is not None:
        parts["on the device, by its events"] = timings.executed
        parts["before and after it"] = timings.model_only - timings.executed
    rows: list[tuple[Cell, ...]] = []
    for name, values in parts.items():
        ordered = np.sort(values) / _MS
        shares = (quantile(ordered, p) for p in PERCENTILES.values())
        rows.append((name, *shares, float(ordered.mean())))
    return Table("Milliseconds of a request", ("part", *PERCENTILES, "mean"), tuple(rows))


def percentile_chart(latencies: Latencies) -> Estimates:
    """Percentiles with 95 % intervals, to be drawn."""
    ordered, rows = np.sort(latencies.series), []
    for name, p in PERCENTILES.items():
        worth = independent_values(latencies.series, p)
        whisker = latencies.interval(p, WHISKER_ALPHA, worth)
        needed = needed_to_bound(p, WHISKER_ALPHA)
        few = "" if len(ordered) >= needed else f"{needed:,} requests bound it from above"
        rows.append(Estimate(name, len(ordered), quantile(ordered, p), whisker, note=few))
    return Estimates("Latency in milliseconds", tuple(rows), WHISKER_LEVEL, METHOD)


def length_curve(timings: Timings, lengths: NDArray[np.int64], unit: str) -> Curve | None:
    """Median latency by length of the input, in bands of about equally many requests.

    Args:
        timings: The requests.
        lengths: Length of the input of each, shape (n,).
        unit: What it counts.
    """
    ends = np.unique(np.quantile(lengths, np.arange(1, _BANDS) / _BANDS, method="lower"))
    band = np.searchsorted(ends, lengths)
    latency = timings.latency / _MS
    members = [band == one for one in np.unique(band)]
    if len(members) < 2:
        return None
    return Curve(
        "Latency by length of the input",
        unit,
        "median milliseconds",
        tuple(float(lengths[m].mean()) for m in members),
        tuple(float(np.median(latency[m])) for m in members),
        tuple(int(m.sum()) for m in members),
    )


def lengths_of(timings: Timings, inputs: Sequence[object]) -> tuple[NDArray[np.int64], str] | None:
    """Length of the input of each request: tokens, else characters; None of inputs without."""
    if timings.tokens.any():
        return timings.tokens, "tokens"
    if not all(isinstance(one, str) for one in inputs):
        return None
    counts = np.array([len(str(one)) for one in inputs], dtype=np.int64)
    return counts[timings.rows], "characters"


def evidence_of(run: TimedRun, inputs: Sequence[object], *, waiting: bool) -> tuple[Evidence, ...]:
    """Everything that explains the percentiles of a run."""
    lengths = lengths_of(run.timings, inputs)
    curve = None if lengths is None else length_curve(run.timings, *lengths)
    shown = (
        percentile_chart(Latencies.of(run.timings)),
        parts_table(run.timings, waiting=waiting),
        curve,
        run.machine(),
    )
    return tuple(one for one in shown if one is not None)


def _tokenizing(timings: Timings) -> NDArray[np.int64]:
    return timings.tokenized - timings.started


def _rise(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after / before - 1.0
