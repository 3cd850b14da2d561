"""Checks are timed on samples with made-up answers; the time here is made up as well."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import pytest

from auditkit.check import Confidence, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.forecast.check_cost import CheckCost, Trial, check_costs
from auditkit.forecast.model_cost import ModelTimer
from auditkit.model import Capability, Predictions
from auditkit.plan import PlannedCheck
from auditkit.preflight import Prepared
from auditkit.schedule import rng_of
from auditkit.testing import FakeModel, tiny_data

ROWS = 10_000


class Ticking:
    """A clock that checks and models move."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class TokenModel(FakeModel):
    """Takes a millisecond for every token; each input has ten."""

    def tokenize(self, inputs):
        return [[crc32(repr(one).encode()) >> 1] * 10 for one in inputs]

    def predict_tokens(self, batch):
        CLOCK.now += 0.01 * len(batch)
        return Predictions.from_probabilities([[0.5, 0.5]] * len(batch))


CLOCK = Ticking()


def planned(work, obstacle="", needs=(Capability.NEW_INPUTS,)):
    @check(
        "own.mine", title="t", severity=Severity.LOW, needs=needs, limits=(Limit("x", "max", 1.0),)
    )
    def mine(context, params):
        "One line."
        work(context)
        yield Measurement("x", 0.5, 1, None)

    limits = {"x": mine.limits[0]}
    return PlannedCheck(mine, Severity.LOW, limits, None, required=False, obstacle=obstacle)


def trial(rows=ROWS):
    data = tiny_data([0, 1] * (rows // 2))
    prepared = Prepared(TokenModel(lambda _: [0.5, 0.5]), data, data, {}, (), "data")
    timer = ModelTimer(prepared, 1000, CLOCK)
    timer.cost(data.inputs)
    return Trial(prepared, timer, Confidence(), 0, CLOCK)


def cost_of(work, rows=ROWS, needs=(Capability.NEW_INPUTS,)) -> CheckCost:
    return trial(rows).cost_of(planned(work, needs=needs))


def takes(per_check, per_row, once=0.0):
    """Work that takes so many seconds, `once` of them only in its first run."""
    runs = []

    def work(context):
        runs.append(len(context.data))
        context.predictor.predict(context.data.inputs)
        CLOCK.now += per_check + per_row * len(context.data) + (once if len(runs) == 1 else 0)

    work.runs = runs
    return work


@pytest.mark.parametrize("per_row", [1e-6, 1e-4, 1e-2])
def test_own_time_is_what_the_check_takes_on_all_rows(per_row):
    cost = cost_of(takes(0.02, per_row, once=3.0))
    assert cost.once == pytest.approx(3.02)
    assert cost.seconds == pytest.approx(per_row * ROWS)
    assert cost.total == pytest.approx(3.02 + per_row * ROWS)


def test_a_quick_check_is_timed_on_all_rows_and_a_slow_one_is_not():
    quick, slow, slowest = takes(0.0, 1e-5), takes(0.0, 3e-4), takes(0.0, 1e-2)
    for work in (quick, slow, slowest):
        cost_of(work, needs=())
    assert (max(quick.runs), max(slow.runs), max(slowest.runs)) == (ROWS, 2000, 500)
    assert sum(slowest.runs) == 500 + 500 + 125


def test_a_check_that_asks_more_is_tried_on_all_rows_for_longer():
    work = takes(0.0, 1e-3)
    cost_of(work)
    assert max(work.runs) == ROWS


def test_what_does_not_grow_in_a_straight_line_is_measured_where_it_is_quick():
    def work(context):
        CLOCK.now += 1e-9 * len(context.data) ** 2

    assert cost_of(work).total == pytest.approx(1e-9 * ROWS**2)


def test_new_inputs_that_do_not_depend_on_the_answers_are_counted_and_charged():
    def work(context):
        context.predictor.predict([("noise", one) for one in context.data.inputs])
        context.predictor.predict([("noise", one) for one in context.data.inputs])

    cost = cost_of(work)
    assert (cost.asked.distinct, cost.asked.cached, cost.asked.tokens) == (ROWS, 0, 10 * ROWS)
    assert cost.total == pytest.approx(0.01 * ROWS, rel=0.02)


def test_a_fixed_number_of_new_inputs_does_not_grow_with_the_rows():
    def work(context):
        CLOCK.now += 1e-1 * len(context.data)  # so slow that only samples are tried
        context.predictor.predict([("noise", one) for one in range(300)])

    cost = cost_of(work)
    assert (cost.asked.distinct, cost.steady) == (300, 1.0)
    assert cost.at(0.5)[0] == cost.at(1.0)[0] == pytest.approx(cost.asked.seconds)


def test_new_inputs_are_batched_request_by_request_as_they_will_be():
    def work(context):
        for start in range(0, len(context.data), 30):
            part = context.data.inputs[start : start + 30]
            context.predictor.predict([("noise", one) for one in part])

    assert cost_of(work, rows=300).asked.batches == 10  # 100 inputs of ten tokens fit one


def test_a_check_that_asks_more_without_saying_so_is_not_estimated():
    """In the audit it fails."""
    cost = cost_of(lambda c: c.predictor.predict(["never seen"]), needs=())
    assert cost.total is None


def test_what_an_earlier_check_asked_is_not_new():
    bench = trial()
    work = planned(lambda c: c.predictor.predict([("noise", one) for one in c.data.inputs]))
    assert bench.cost_of(work).asked.distinct == ROWS
    assert bench.cost_of(work).asked.distinct == 0


def test_what_depends_on_the_answers_is_not_estimated():
    def attack(context):
        answers = context.predictor.predict(context.data.inputs)
        wrong = np.flatnonzero(answers.labels != context.data.labels)
        context.predictor.predict([("attack", int(row)) for row in wrong])

    def search(context):
        first = context.predictor.predict([("start", 0), ("start", 1), ("start", 2)])
        context.predictor.predict([("next", first.labels.tolist())] + [("next", one) for one in
            np.round(first.probabilities[:, 0], 9).tolist()])  # fmt: skip

    for work in (attack, search):
        cost = cost_of(work)
        assert (cost.asked, cost.seconds, cost.total) == (None, None, None)


def test_a_check_that_fails_on_made_up_answers_is_not_estimated():
    def work(context):
        raise RuntimeError("no")

    assert cost_of(work).total is None


def test_checks_that_do_not_run_cost_nothing_and_are_not_tried():
    work = takes(1.0, 0.0)
    stopped, finished = planned(work, obstacle="no labels"), planned(work)
    costs = list(check_costs([stopped, finished], frozenset({"own.mine"}), trial()))
    assert [(c.obstacle, c.recalled, c.total) for c in costs] == [
        ("no labels", False, 0.0), ("", True, 0.0),
    ]  # fmt: skip
    assert work.runs == []


def test_a_check_sees_every_split_and_its_own_random_numbers():
    seen = []

    def work(context):
        seen.append((sorted(context.splits), context.rng.random()))

    data = tiny_data([0, 1] * 50)
    whole = tiny_data([0, 1] * 100)
    whole.splits.update(train=np.arange(100), test=np.arange(100, 200))
    prepared = Prepared(FakeModel(lambda _: [0.5, 0.5]), whole, data, {}, (), "data")
    Trial(prepared, ModelTimer(prepared, 1000, CLOCK), Confidence(), 7, CLOCK).cost_of(
        planned(work)
    )
    assert set(map(str, seen)) == {str((["test", "train"], rng_of("own.mine", 7).random()))}
