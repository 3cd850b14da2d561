"""What the latency checks say of planted models, on a clock that moves only when told to."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from auditkit.check import Confidence
from auditkit.finding import Curve, Outcome, Table
from auditkit.latency.asking import Asker
from auditkit.latency.bench import FreshStart
from auditkit.latency.scenarios import Length, single_stream
from auditkit.latency.simulated import FakeClock, FakeDevice, Sleeper, TokenSleeper, simulated_bench
from auditkit.metrics.latency import Latencies, drift, percentiles
from auditkit.model import Predictions
from auditkit.registry import load_registry
from auditkit.testing import findings_in, tiny_context, tiny_data

CHECKS = load_registry().checks
MS = 1e6
ROWS = 40
TEXTS = tuple(f"the film number {i} was a very {'long ' * (i % 5)}story" for i in range(ROWS))


def sleeping(takes, seed=0):
    """A bench whose model takes these milliseconds, drawn by a function of a generator."""
    rng = np.random.default_rng(seed)
    return simulated_bench(lambda batch: MS * takes(rng) * len(batch))


def exponential(rng):
    return 4 + rng.exponential(2.0)


def context(bench, family=1, texts=TEXTS):
    data = dataclasses.replace(tiny_data([0] * len(texts)), inputs=texts)
    answers = Predictions.from_probabilities(np.tile([0.6, 0.4], (len(texts), 1)))
    context = tiny_context(data, answers, family=family)
    return dataclasses.replace(context, predictor=_Always(answers), timing=bench)


@dataclasses.dataclass
class _Always:
    answers: Predictions

    def predict(self, inputs):
        return self.answers.take(np.zeros(len(list(inputs)), dtype=np.int64))


def found(check, bench, limits=None, texts=TEXTS, **params):
    check = CHECKS[f"latency.{check}"]
    made = findings_in(check, context(bench, texts=texts), check.params(**params), limits)
    crashed = [f.message for f in made if f.outcome is Outcome.ERROR]
    assert not crashed, crashed
    return {(f.measurement.name, f.measurement.slice) if f.measurement.slice else
            f.measurement.name: f for f in made}  # fmt: skip


def test_percentiles_lie_inside_their_bounds_in_95_percent_of_1000_runs():
    truth = {"p50": 4 + 2 * np.log(2), "p90": 4 + 2 * np.log(10), "p99": 4 + 2 * np.log(100)}
    runs, requests, held = 1000, 320, dict.fromkeys(truth, 0)
    rng = np.random.default_rng(0)
    clock = FakeClock()
    drawn = iter([])

    def takes(_):
        return next(drawn)

    asker = Asker(Sleeper(clock, takes), ("a",), clock)
    for _ in range(runs):
        drawn = iter((MS * (4 + rng.exponential(2.0, requests + 1))).tolist())
        timings = single_stream(asker, Length(1e-9, requests), rng)
        assert len(timings) == requests
        both = Confidence(0.975)
        for one in percentiles(Latencies.of(timings), both, "", ""):
            claim = one.bounds.claim
            assert claim.holds(one.value)
            held[one.name] += claim.holds(truth[one.name])
    # Bounds of a two-sided 95 %: fewer than 925 hits come up once in 10,000 such tests.
    assert all(count >= 925 for count in held.values()), held


def test_a_stall_in_a_hundred_moves_p99_and_not_p50():
    def stalled(share):
        rng = np.random.default_rng(1)
        return sleeping(lambda one: 5 * (10 if rng.random() < share else 1) * one.uniform(0.9, 1.1))

    runs = [found("single-stream", stalled(share)) for share in (0.0, 0.01, 0.015)]
    p50, p99 = ([run[name].measurement for run in runs] for name in ("p50", "p99"))
    assert p50[1].value == pytest.approx(p50[0].value, rel=0.02)
    assert p50[2].value == pytest.approx(p50[0].value, rel=0.02)
    # At exactly one in a hundred, p99 lies between the slowest of the rest and the stalls.
    assert p99[1].bounds.claim.upper > 8 * p99[0].bounds.claim.upper
    assert p99[2].value > 8 * p99[0].value


def test_a_limit_is_passed_and_failed_by_the_bounds():
    limits = {"p50": 6.0, "p90": 8.0, "p99": 20.0}
    outcomes = {n: f.outcome for n, f in found("single-stream", sleeping(exponential),
                                               limits).items()}  # fmt: skip
    assert outcomes["p50"] is Outcome.PASS
    assert outcomes["p90"] is Outcome.FAIL
    assert outcomes["p99"] is Outcome.PASS
    assert outcomes["drift"] is Outcome.NOT_APPLICABLE


def test_too_few_requests_say_how_many_are_needed():
    slow = simulated_bench(lambda _: 1e9)
    p99 = found("single-stream", slow, {"p99": 2000.0}, seconds=60.0, most_seconds=100.0)["p99"]
    assert p99.outcome is Outcome.INCONCLUSIVE
    assert p99.needed_n == 299
    assert "about 299 requests like these would decide" in p99.message


def test_the_run_goes_on_until_p99_can_be_bounded():
    slow = simulated_bench(lambda _: 1e9)
    p99 = found("single-stream", slow, {"p99": 2000.0})["p99"]
    assert (p99.outcome, p99.measurement.n) == (Outcome.PASS, 299)


def test_a_quick_look_gives_no_verdict():
    p50 = found("single-stream", sleeping(exponential), {"p50": 100.0}, seconds=10.0)["p50"]
    assert p50.outcome is Outcome.INCONCLUSIVE
    assert "a verdict needs 60 s" in p50.message


def test_a_first_request_that_comes_late_makes_no_quick_look_of_a_server():
    p50 = found("server", sleeping(lambda _: 10.0), {"p50": 100.0}, rate=5.1)["p50"]
    assert p50.outcome is Outcome.PASS
    short = found("server", sleeping(lambda _: 10.0), {"p50": 100.0}, rate=20.0, seconds=20.0)
    assert short["p50"].outcome is Outcome.INCONCLUSIVE


def test_a_limit_set_on_other_hardware_gives_no_verdict():
    bench = sleeping(exponential)
    bench.limits_from = "0123456789ab"
    p50 = found("single-stream", bench, {"p50": 100.0})["p50"]
    assert p50.outcome is Outcome.INCONCLUSIVE
    assert "set on hardware 0123456789ab" in p50.message
    bench.limits_from = bench.hardware.fingerprint
    assert found("single-stream", bench, {"p50": 100.0})["p50"].outcome is Outcome.PASS


def test_a_model_that_slows_down_over_the_run_drifts():
    clock_of = []

    def takes(rng):
        late = clock_of[0].clock.now() > 30e9
        return (8 if late else 4) * rng.uniform(0.9, 1.1)

    bench = sleeping(takes)
    clock_of.append(bench)
    risen = found("single-stream", bench, {"drift": 0.2})["drift"]
    assert risen.outcome is Outcome.FAIL
    assert "slower" in risen.measurement.note
    steady = found("single-stream", sleeping(exponential), {"drift": 0.2})["drift"]
    assert steady.outcome is Outcome.PASS
    assert "No rise" in steady.measurement.note


def test_a_drift_is_the_ratio_of_medians():
    series = np.r_[np.full(300, 2.0), np.full(300, 5.0)]
    measured = drift(series, Confidence(), "")
    assert measured.value == 1.5
    assert measured.bounds.claim.lower == measured.bounds.claim.upper == 1.5


def test_a_model_that_remembers_its_answers_is_told():
    known = set()

    def takes(batch):
        fresh = [one for one in batch if one not in known]
        known.update(batch)
        return MS * (5 if fresh else 1)

    made = found("single-stream", simulated_bench(takes), {"p50": 100.0, "repeat_gain": 0.1})
    assert made["repeat_gain"].outcome is Outcome.FAIL
    assert made["repeat_gain"].measurement.value == pytest.approx(0.8)
    assert made["p50"].outcome is Outcome.INCONCLUSIVE
    assert "cached" in made["p50"].message
    honest = found("single-stream", sleeping(exponential), {"repeat_gain": 0.3})
    assert honest["repeat_gain"].outcome is Outcome.PASS


def test_inputs_that_are_no_texts_cannot_be_made_anew():
    gain = found("single-stream", sleeping(exponential), texts=tuple(range(ROWS)))["repeat_gain"]
    assert gain.measurement.value is None


def test_latency_rises_with_the_length_of_the_text():
    clock = FakeClock()
    model = TokenSleeper(clock, lambda batch: MS * sum(len(one) for one in batch), per_token=MS / 4)
    bench = dataclasses.replace(simulated_bench(lambda _: 0), model=model, clock=clock)
    made = found("single-stream", bench)
    evidence = made["p99"].measurement.evidence
    curve = next(one for one in evidence if isinstance(one, Curve))
    assert curve.x_label == "tokens"
    assert list(curve.y) == sorted(curve.y)
    assert curve.y == pytest.approx([1.25 * x for x in curve.x])
    parts = next(one for one in evidence if isinstance(one, Table) and "request" in one.title)
    means = {row[0]: row[-1] for row in parts.rows}
    whole = means["from due to answered"]
    assert means["tokenising"] + means["model, tokens given"] == pytest.approx(whole)
    without = found("single-stream", bench, tokenizing=False)["p50"].measurement.value
    assert without == pytest.approx(made["p50"].measurement.value / 1.25)


def test_a_server_that_is_nearly_full_is_late_and_one_that_is_too_full_never_ends():
    few, many, too_many = (
        found("server", sleeping(lambda _: 10.0), {"p99": 60.0}, rate=rate)
        for rate in (10.0, 85.0, 140.0)
    )
    assert few["p99"].outcome is Outcome.PASS
    assert many["p99"].outcome is Outcome.FAIL
    late = too_many["p99"]
    assert late.outcome is Outcome.FAIL
    assert late.measurement.bounds.claim.lower > 10_000
    assert too_many["drift"].measurement.bounds.claim.lower > 0.5
    batched = found("server", simulated_bench(lambda _: 10 * MS), {"p99": 60.0}, rate=140.0,
                    batch=8)  # fmt: skip
    assert batched["p99"].outcome is Outcome.PASS


def test_percentiles_of_requests_that_were_never_served_have_no_upper_bound():
    served, waited = np.full(900, 5.0), np.full(100, 500.0)
    latencies = Latencies(np.r_[served, waited], 100)
    made = {one.name: one for one in percentiles(latencies, Confidence(), "", "")}
    assert made["p50"].bounds.claim.upper == 5.0
    assert made["p99"].bounds.claim.upper is None
    assert made["p99"].bounds.claim.lower == 500.0


def test_a_server_without_a_rate_is_not_applicable():
    check = CHECKS["latency.server"]
    made = findings_in(check, context(sleeping(exponential)))
    assert [f.outcome for f in made] == [Outcome.NOT_APPLICABLE]
    assert "params.rate" in made[0].message


def test_throughput_energy_and_price():
    class Meter:
        name = "processor"

        def __init__(self, bench):
            self.bench = bench

        def joules(self):
            return 3e-9 * self.bench.clock.now()  # 3 watts

    bench = sleeping(lambda rng: rng.uniform(1.9, 2.1))
    bench.meters, bench.hourly_price, bench.currency = [Meter(bench)], 3.6, "EUR"
    limits = {"throughput": 450.0, "price": 1.0, "energy": 7.0}
    made = found("throughput", bench, limits)
    assert made["throughput"].outcome is Outcome.PASS
    assert made["throughput"].measurement.value == pytest.approx(500, rel=0.01)
    assert made["price"].measurement.value == pytest.approx(2.0, rel=0.01)
    assert made["price"].outcome is Outcome.FAIL
    energy = made["energy", "processor"]
    assert energy.measurement.value == pytest.approx(6.0, rel=0.01)
    assert energy.outcome is Outcome.PASS


def test_without_a_price_or_a_meter_there_is_a_reason():
    made = found("throughput", sleeping(lambda rng: rng.uniform(1.9, 2.1)))
    assert "hourly_price" in made["price"].measurement.note
    assert "RAPL" in made["energy"].measurement.note
    assert {made[name].outcome for name in ("price", "energy")} == {Outcome.NOT_APPLICABLE}


def starting(device=None):
    def start(i):
        return FreshStart(
            2.0 + i / 10, 1.0, 0.8, 0.2, 0.1, 10 * 10**6, 50 * 10**6, (80 + i) * 10**6, device
        )

    return simulated_bench(lambda _: MS, starts=start)


def test_a_cold_start_is_the_median_of_several():
    made = found("cold-start", starting(), {"ready": 2.5})
    assert made["ready"].measurement.value == pytest.approx(2.2)
    assert made["ready"].measurement.n == 5
    assert made["ready"].outcome is Outcome.PASS
    assert found("cold-start", starting(), {"ready": 1.9})["ready"].outcome is Outcome.FAIL
    few = found("cold-start", starting(), {"ready": 2.5}, starts=3)["ready"]
    assert few.outcome is Outcome.INCONCLUSIVE
    assert few.needed_n == 5


def test_two_limits_take_more_starts():
    made = found("cold-start", starting(), {"ready": 2.5, "first_request": 300.0})
    assert made["ready"].measurement.n == 6


def test_memory_of_the_host_and_of_a_device():
    made = found("memory", starting(), {"host": 90.0})
    assert made["host"].measurement.value == pytest.approx(82.0)
    assert made["host"].outcome is Outcome.PASS
    assert made["device"].outcome is Outcome.NOT_APPLICABLE
    assert made["device"].measurement.note == "no GPU."
    made = found("memory", starting(300 * 10**6), {"device": 200.0})
    assert made["device"].outcome is Outcome.FAIL


def test_two_checks_share_the_processes_they_start():
    bench = starting()
    first = found("cold-start", bench)["ready"].measurement.n
    found("memory", bench)
    assert len(bench.starts([None] * ROWS, 32, 1)) == 1
    assert first == 5
    assert next(iter(bench._starts.values()))[-1].ready == pytest.approx(2.4)


def test_times_on_a_device_are_in_the_table():
    clock = FakeClock()
    device = FakeDevice(clock)
    model = Sleeper(clock, lambda _: 7 * MS, device=device)
    bench = dataclasses.replace(
        simulated_bench(lambda _: 0), model=model, clock=clock, device=device
    )
    evidence = found("single-stream", bench)["p99"].measurement.evidence
    parts = next(one for one in evidence if isinstance(one, Table) and "request" in one.title)
    assert {row[0]: row[1] for row in parts.rows}["on the device, by its events"] == 7.0


def test_a_model_that_answers_otherwise_when_timed_is_an_error():
    flip = itertools.cycle([(0.6, 0.4), (0.4, 0.6)])
    bench = simulated_bench(lambda _: MS, lambda _: next(flip))
    made = findings_in(CHECKS["latency.single-stream"], context(bench))
    assert [f.outcome for f in made] == [Outcome.ERROR]
    assert "not what is audited" in made[0].message


def test_nothing_is_timed_in_a_plan():
    made = findings_in(CHECKS["latency.single-stream"], context(None))
    assert [f.outcome for f in made] == [Outcome.NOT_APPLICABLE]


def compared(own, other, limits=None, **params):
    rng = np.random.default_rng(0)
    bench = simulated_bench(lambda _: MS * own(rng), baseline=lambda _: MS * other(rng))
    return found("regression", bench, limits, **params)


def test_a_model_that_takes_a_third_longer_than_the_baseline_is_a_regression():
    limits = {"ratio": 1.1, "p99_ratio": 2.0}
    made = compared(lambda rng: 4 * exponential(rng) / 3, exponential, limits)
    assert made["ratio"].outcome is Outcome.FAIL
    assert made["ratio"].measurement.value == pytest.approx(4 / 3, rel=0.05)
    assert made["p99_ratio"].outcome is Outcome.PASS
    assert made["p99_ratio"].measurement.value == pytest.approx(4 / 3, rel=0.15)
    same = compared(exponential, exponential, limits)
    assert {f.outcome for f in same.values()} == {Outcome.PASS}


def test_stalls_of_the_model_alone_show_in_the_ratio_of_p99_and_not_in_the_median():
    made = compared(lambda rng: 5 * (10 if rng.random() < 0.02 else 1), lambda _: 5.0)
    assert made["ratio"].measurement.value == 1.0
    assert made["p99_ratio"].measurement.value == 10.0


def test_what_slows_the_machine_slows_both_models():
    bench = simulated_bench(lambda _: 0, baseline=lambda _: 0)
    slow = lambda _: MS * (5 if bench.clock.now() < 30e9 else 20)  # noqa: E731
    bench.model.takes = bench.baseline.takes = slow
    made = found("regression", bench, {"ratio": 1.05})
    assert made["ratio"].outcome is Outcome.PASS


def test_a_baseline_on_file_cannot_be_timed():
    made = findings_in(CHECKS["latency.regression"], context(sleeping(exponential)))
    assert [f.outcome for f in made] == [Outcome.NOT_APPLICABLE]
    assert "on file" in made[0].message
