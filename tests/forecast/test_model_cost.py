"""What the model costs is extrapolated from a few batches; here the time is made up."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest

from auditkit.data import AuditData
from auditkit.forecast.model_cost import TIMED_BATCHES, ModelTimer
from auditkit.model import Capability, Predictions
from auditkit.prediction_store import PredictionStore
from auditkit.predictor import SharedPredictor
from auditkit.preflight import Prepared
from auditkit.testing import FakeModel, tiny_data

KEY = "ab" * 32


class Ticking:
    """A clock that the model moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


CLOCK = Ticking()
LOCK = threading.Lock()


class SlowModel(FakeModel):
    """Takes 2 s a batch and 0.01 s a row, on the clock it is given."""

    def predict(self, batch):
        CLOCK.now += 2.0 + 0.01 * len(batch)
        return super().predict(batch)


class TokenModelOnClock(FakeModel):
    """Takes a millisecond for every padded token."""

    def tokenize(self, inputs):
        return [[one] * (1 + one % 40) for one in inputs]

    def predict_tokens(self, batch):
        with LOCK:
            CLOCK.now += 0.001 * len(batch) * max(map(len, batch))
        return Predictions.from_probabilities([[0.5, 0.5]] * len(batch))


class KeptTokens(TokenModelOnClock):
    """Its answers may be kept."""

    @property
    def answer_key(self):
        return KEY


class LateModel(TokenModelOnClock):
    """Takes 7 s to get ready when it is first asked anything."""

    def tokenize(self, inputs):
        if not self.asked:
            CLOCK.now += 7.0
            self.asked.append("weights")
        return super().tokenize(inputs)


class ManyWorkers(TokenModelOnClock):
    """Asked several batches at once."""

    workers = 3
    inside = False

    @contextmanager
    def asking(self):
        ManyWorkers.inside = True
        yield
        ManyWorkers.inside = False

    def predict_tokens(self, batch):
        assert ManyWorkers.inside
        self.asked.append(threading.current_thread().name)
        return super().predict_tokens(batch)


def even(_):
    return [0.5, 0.5]


def prepared(model, rows=3000, kept=None):
    data = tiny_data([0, 1] * (rows // 2))
    return Prepared(model, data, data, {}, (), "data", kept=kept)


def cost_of(model, data: AuditData | None = None):
    known = prepared(model)
    timer = ModelTimer(known, 1024, CLOCK)
    return timer.cost((data or known.audited).inputs), timer


def test_a_model_without_tokens_is_extrapolated_by_batches_and_rows():
    cost, timer = cost_of(SlowModel(even))
    assert (cost.distinct, cost.batches, cost.tokens) == (3000, 12, 0)
    assert cost.seconds == pytest.approx(12 * 2.0 + 30.0)
    assert timer.probe(prepared(SlowModel(even))) == pytest.approx(2 * (2.0 + 0.32))


def test_a_model_with_tokens_is_extrapolated_by_padded_tokens():
    model = TokenModelOnClock(even)
    cost, timer = cost_of(model)
    padded = sum(len(tokens) for tokens in model.tokenize(range(3000)))
    assert cost.tokens == padded
    assert cost.seconds == pytest.approx(0.001 * padded, rel=0.05)
    assert timer.timed == TIMED_BATCHES


def test_slow_models_are_not_asked_for_long():
    model = SlowModel(even)
    cost_of(model)
    assert len(model.asked) < 100


def test_copies_cost_nothing():
    data = replace(tiny_data([0, 1] * 50), inputs=("one", "two") * 50)
    assert cost_of(SlowModel(even), data)[0].distinct == 2


def test_a_model_that_loads_late_is_charged_once_for_loading():
    cost, timer = cost_of(LateModel(even))
    assert timer.load == pytest.approx(7.0)
    assert cost.tokenize == 0.0
    timer.cost(range(9000, 9100))
    assert timer.load == pytest.approx(7.0)


def test_a_model_with_workers_is_timed_as_the_audit_asks_it():
    model = ManyWorkers(even)
    cost, timer = cost_of(model)
    assert {name.rpartition("_")[0] for name in model.asked} == {"auditkit-plan"}
    assert timer.timed >= 3
    assert cost.seconds == pytest.approx(0.001 * cost.tokens, rel=0.1)


def test_later_inputs_are_estimated_without_asking_again():
    model = TokenModelOnClock(even)
    timer = ModelTimer(prepared(model), 1024, CLOCK)
    timer.cost(range(3000))
    before = CLOCK.now
    cost = timer.cost(range(5000, 5040))
    assert CLOCK.now == before
    assert cost.seconds == pytest.approx(0.001 * sum(range(1, 41)), rel=0.2)


@pytest.fixture
def store(tmp_path):
    with PredictionStore(tmp_path / "cache") as opened:
        yield opened


@pytest.mark.parametrize("known", [range(1000), range(500, 2000, 2), range(2999)])
def test_what_the_cache_answers_costs_nothing_and_the_rest_is_batched_as_it_will_be(store, known):
    SharedPredictor(KeptTokens(even), batch_tokens=256, store=store).predict(list(known))
    timer = ModelTimer(prepared(KeptTokens(even), kept=store.of(KEY)), 256, CLOCK)
    cost = timer.cost(range(3000))
    predictor = SharedPredictor(KeptTokens(even), batch_tokens=256, store=store)
    predictor.predict(range(3000))
    actual = predictor.statistics
    assert (cost.distinct, cost.cached, cost.tokens, cost.batches) == (
        actual.distinct, actual.cached, actual.tokens, actual.batches,
    )  # fmt: skip
    assert cost.seconds == pytest.approx(0.001 * (actual.tokens + actual.padding), rel=0.1)


def test_a_model_whose_answers_are_all_kept_is_asked_nothing(store):
    class Untouchable(KeptTokens):
        def tokenize(self, inputs):
            raise AssertionError("it was asked")

    SharedPredictor(KeptTokens(even), store=store).predict(range(3000))
    known = prepared(Untouchable(even), kept=store.of(KEY))
    timer = ModelTimer(known, 1024, CLOCK)
    cost = timer.cost(known.audited.inputs)
    assert (cost.cached, cost.asked, cost.seconds, cost.batches) == (3000, 0, 0.0, 0)
    assert (timer.timed, timer.load) == (0, 0.0)
    assert timer.kept_answers(known.audited.inputs).labels.tolist() == [0] * 3000
    assert timer.kept_answers([5, 9999]) is None


def test_seconds_by_input_add_up_and_are_zero_for_what_is_kept(store):
    SharedPredictor(KeptTokens(even), store=store).predict(range(0, 3000, 3))
    timer = ModelTimer(prepared(KeptTokens(even), kept=store.of(KEY)), 1024, CLOCK)
    cost, seconds = timer.cost_by_input(range(3000))
    assert seconds.sum() == pytest.approx(cost.seconds)
    assert (seconds[::3] == 0).all()
    assert (seconds[1::3] > 0).all()


def test_nothing_is_asked_twice_where_nothing_can_be_asked():
    model = FakeModel(even, capabilities=frozenset({Capability.PROBABILITIES}))
    assert ModelTimer(prepared(model), 1024, CLOCK).probe(prepared(model)) == 0.0
