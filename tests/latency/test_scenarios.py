"""Clocks, scenarios and what they record, on a clock that moves only when told to."""

import itertools
import time

import numpy as np
import pytest

from auditkit.errors import AuditkitError
from auditkit.latency.asking import Asker
from auditkit.latency.bench import FreshStart
from auditkit.latency.clock import HostClock
from auditkit.latency.scenarios import (
    SECOND,
    Length,
    arrivals,
    offline,
    server,
    single_stream,
    warm_up,
)
from auditkit.latency.simulated import (
    FakeClock,
    FakeDevice,
    Sleeper,
    TokenSleeper,
    simulated_bench,
)
from auditkit.model import Predictions, TokenModel

MS = 1_000_000
TEXTS = ("a", "b c", "d e f")


def asker(takes, inputs=TEXTS, model=Sleeper, **settings):
    clock = FakeClock(time=123)
    return Asker(model(clock, takes, **settings), inputs, clock)


def rng():
    return np.random.default_rng(0)


def test_a_single_stream_asks_again_when_it_is_answered():
    took = itertools.cycle([3 * MS, 5 * MS])
    found = single_stream(asker(lambda _: next(took)), Length(1.0), rng())
    assert found.latency[:4].tolist() == [3 * MS, 5 * MS, 3 * MS, 5 * MS]
    assert (found.scheduled[1:] == found.finished[:-1]).all()
    assert len(found) == 250
    assert set(found.rows.tolist()) == {0, 1, 2}


def test_a_single_stream_goes_on_until_there_are_enough_requests_but_not_for_ever():
    assert len(single_stream(asker(lambda _: SECOND), Length(2.0, 7), rng())) == 7
    assert len(single_stream(asker(lambda _: SECOND), Length(2.0, 7, 5.0), rng())) == 5


def test_tokenising_is_told_apart():
    one = asker(lambda _: 4 * MS, model=TokenSleeper, per_token=MS)
    assert isinstance(one.model, TokenModel)
    found = single_stream(one, Length(1.0), rng())
    assert (found.tokens == found.rows + 1).all()
    assert (found.tokenized - found.started == found.tokens * MS).all()
    assert set(found.model_only.tolist()) == {4 * MS}
    assert (found.latency == (4 + found.tokens) * MS).all()


def test_a_stall_makes_the_requests_behind_it_late():
    took = iter([1 * MS, 1 * MS, 50 * MS, *[1 * MS] * 200])
    due = iter([10 * MS * i for i in range(1, 300)])
    found = server(asker(lambda _: next(took)), due, Length(0.2), rng())
    late = found.latency / MS
    assert late[:8].tolist() == [1, 1, 50, 41, 32, 23, 14, 5]
    assert set(late[8:].tolist()) == {1}
    assert (np.diff(found.scheduled) == 10 * MS).all()


def test_one_that_asks_only_when_answered_would_have_missed_them():
    took = iter([1 * MS, 1 * MS, 50 * MS, *[1 * MS] * 200])
    found = single_stream(asker(lambda _: next(took)), Length(0.1), rng())
    assert (found.latency > MS).sum() == 1


def test_requests_that_wait_are_answered_together_up_to_the_batch():
    took = itertools.chain([45 * MS], itertools.repeat(MS))
    due = iter([10 * MS * i for i in range(1, 300)])
    found = server(asker(lambda _: next(took)), due, Length(0.1), rng(), 3)
    assert found.batch[:5].tolist() == [1, 3, 3, 3, 1]
    assert (found.latency[1:4] / MS).tolist() == [36, 26, 16]


def test_requests_that_are_never_served_are_counted():
    due = iter([10 * MS * i for i in range(1, 300)])
    found = server(asker(lambda _: 100 * MS), due, Length(1.0), rng())
    assert len(found) + len(found.unserved) == 99
    assert len(found.unserved) == 79
    assert found.ended - 123 >= 2 * SECOND
    assert found.unserved.min() > found.scheduled.max()


def test_arrivals_are_a_poisson_process():
    from scipy.stats import kstest

    coming = itertools.islice(arrivals(200.0, Length(100.0), rng()), 20_000)
    gaps = np.diff([0, *coming]) / SECOND
    assert gaps.mean() == pytest.approx(1 / 200, rel=0.03)
    assert kstest(gaps, "expon", (0, 1 / 200)).pvalue > 0.01


def test_a_rate_that_cannot_bring_enough_requests_is_refused():
    with pytest.raises(AuditkitError, match="most_seconds"):
        next(arrivals(0.1, Length(60.0, 299, 600.0), rng()))


def test_waiting_in_a_queue_follows_the_known_law():
    """Mean waiting time of M/D/1: rho / (2 mu (1 - rho))."""
    one = asker(lambda _: 5 * MS)
    coming = arrivals(100.0, Length(150.0), rng())
    found = server(one, coming, Length(150.0), rng())
    waited = (found.started - found.scheduled).mean() / SECOND
    assert waited == pytest.approx(0.5 * 0.005 / (2 * 0.5), rel=0.05)


def test_offline_passes_answer_everything():
    one = asker(lambda batch: 10 * MS * len(batch))
    found, passes = offline(one, [np.array([2, 0]), np.array([1])], Length(0.1, 4))
    assert passes == [30 * MS] * 4
    assert found.rows.tolist() == [2, 0, 1] * 4
    assert found.batch.tolist() == [2, 2, 1] * 4


def test_a_warm_up_ends_when_three_windows_agree():
    took = itertools.chain(
        [900 * MS], (n * MS for n in range(90, 10, -1)), itertools.repeat(10 * MS)
    )
    found = warm_up(asker(lambda _: next(took)), 30.0)
    assert found.first == 900 * MS
    assert found.agreed
    assert max(found.windows[-3:]) <= 1.05 * min(found.windows[-3:])
    assert max(found.windows) > 1.05 * min(found.windows)


def test_a_warm_up_gives_up_on_a_machine_that_is_never_quiet():
    took = itertools.cycle([*[10 * MS] * 60, *[30 * MS] * 60])
    found = warm_up(asker(lambda _: next(took)), 5.0)
    assert not found.agreed
    assert "not quiet" in found.sentence()


def test_the_time_on_the_device_is_by_its_own_marks():
    clock = FakeClock()
    device = FakeDevice(clock)
    model = TokenSleeper(clock, lambda _: 7 * MS, device=device, launch=2 * MS, per_token=MS)
    found = single_stream(Asker(model, TEXTS, clock, device), Length(0.09), rng())
    assert found.executed is not None
    # It is idle while the host launches, and that is between the marks.
    assert set(found.executed.tolist()) == {9 * MS}
    assert (found.latency == (9 + found.tokens) * MS).all()


def test_work_that_is_queued_on_the_device_already_is_not_execution():
    clock = FakeClock()
    device = FakeDevice(clock)
    device.compute(100 * MS)  # somebody else's
    model = Sleeper(clock, lambda _: 7 * MS, device=device)
    found = single_stream(Asker(model, TEXTS, clock, device), Length(0.001), rng())
    assert found.executed is not None
    assert (found.executed[0], found.latency[0]) == (7 * MS, 107 * MS)


def test_other_answers_than_the_audited_ones_void_the_timing():
    one = asker(lambda _: MS, answer=lambda text: (0.2, 0.8) if text == "a" else (0.9, 0.1))
    found = single_stream(one, Length(0.1), rng())
    scores = np.array([[0.2, 0.8], [0.9, 0.1], [0.9, 0.1]])
    assert "All 100 answers" in found.compared(Predictions.from_probabilities(scores))
    wrong = np.array([[0.205, 0.795], [0.9, 0.1], [0.9, 0.1]])
    with pytest.raises(AuditkitError, match="not what is audited"):
        found.compared(Predictions.from_probabilities(wrong))
    with pytest.raises(AuditkitError, match=r"of 100 requests"):
        found.compared(Predictions(np.array([0, 0, 0]), None))


def test_a_model_that_does_not_answer_everything_is_refused():
    class Lazy(Sleeper):
        def predict(self, batch):
            return super().predict(batch[:1])

    with pytest.raises(AuditkitError, match="asked about 2 inputs and answered 1"):
        offline(asker(lambda _: MS, model=Lazy), [np.array([0, 1])], Length(0.001))


@pytest.mark.parametrize("seconds", [0.0, -1.0, 700.0, float("nan")])
def test_an_impossible_length_is_refused(seconds):
    with pytest.raises(ValueError, match="seconds"):
        Length(seconds)


def test_the_clock_of_the_host_waits_until_the_moment():
    clock = HostClock()
    moment = clock.now() + 3 * MS
    clock.wait_until(moment)
    assert clock.now() >= moment
    before = time.perf_counter()
    clock.wait_until(moment - 100 * SECOND)
    assert time.perf_counter() - before < 50


def test_making_predictions_of_logits_is_not_part_of_a_request():
    class Logits(TokenSleeper):
        def logits_of_tokens(self, batch):
            return np.log(self.predict(batch).probabilities)

        def predict_tokens(self, batch):
            raise AssertionError("its logits are enough")

    found = single_stream(asker(lambda _: 4 * MS, model=Logits, per_token=MS), Length(0.1), rng())
    assert set(found.model_only.tolist()) == {4 * MS}
    assert np.allclose(found.answers.probabilities, [0.6, 0.4])


def test_starts_are_shared_by_equal_inputs_and_by_no_others():
    bench = simulated_bench(
        lambda _: MS, starts=lambda i: FreshStart(float(i), 0.1, 0.1, 0.1, 0.1, 1, 1, 1)
    )
    ready = [[one.ready for one in bench.starts(texts, 1, 2)] for texts in ("ab", "ab", "ac")]
    assert ready == [[0, 1], [0, 1], [2, 3]]
