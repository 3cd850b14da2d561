"""What is said of planted variants, on a clock that moves only when told to."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from auditkit.check import Confidence
from auditkit.data import Attribute
from auditkit.errors import ModelError
from auditkit.finding import Estimates, Outcome, Table
from auditkit.latency.asking import Asker
from auditkit.latency.scenarios import Length, Turn, rounds
from auditkit.latency.simulated import FakeClock, Sleeper, simulated_bench, simulated_variants
from auditkit.metrics.latency_ratio import median_ratio
from auditkit.metrics.variants import each_input
from auditkit.model import Predictions
from auditkit.registry import load_registry
from auditkit.testing import findings_in, tiny_context, tiny_data

CHECK = load_registry().checks["latency.variants"]
MS = 1e6
TEXTS = tuple(f"the film number {i} was a very {'long ' * (i % 5)}story" for i in range(200))
LABELS = np.arange(len(TEXTS)) % 2


def number(text):
    return next(int(word) for word in text.split() if word.isdigit())


def right(text):
    """What the audited model answers: the truth, except for every tenth text."""
    label = number(text) % 2 if number(text) % 10 else 1 - number(text) % 2
    return (0.3, 0.7) if label else (0.7, 0.3)


def flipped(share):
    """Other labels for the first so many of a hundred texts, all of which were right."""

    def answer(text):
        return right(text)[::-1] if 1 <= number(text) % 100 <= share else right(text)

    return answer


def lasting(factor=1.0, seed=0, base=5.0):
    """Milliseconds by the length of the text, with a noise whose median is 1."""
    rng = np.random.default_rng(seed)

    def takes(batch):
        words = sum(len(text.split()) for text in batch)
        return MS * factor * (base + words / 10) * float(np.exp(rng.normal(0.0, 0.15)))

    return takes


def bench_with(planted, takes=None, **settings):
    bench = simulated_bench(takes or lasting(seed=9), right)
    bench.variants = simulated_variants(bench.clock, planted, **settings)
    return bench


def context_of(bench, groups=None, texts=TEXTS, answer=right, clusters=None):
    data = dataclasses.replace(tiny_data(np.arange(len(texts)) % 2), inputs=texts)
    if groups is not None:
        data = dataclasses.replace(data, groups={"side": Attribute.from_values("side", groups)})
    if clusters is not None:
        data = dataclasses.replace(data, clusters=clusters)
    scores = np.array([answer(text) for text in texts])
    answers = Predictions.from_probabilities(scores)
    context = tiny_context(data, answers)
    return dataclasses.replace(context, predictor=_Always(answers), timing=bench)


@dataclasses.dataclass
class _Always:
    answers: Predictions

    def predict(self, inputs):
        assert len(list(inputs)) == len(self.answers)
        return self.answers


def found(planted, limits=None, context=None, bench=None, **params):
    """Findings by measurement and variant, and the table's rows by variant."""
    params.setdefault("variants", tuple(planted))
    context = context or context_of(bench or bench_with(planted))
    made = findings_in(CHECK, context, CHECK.params(**params), limits)
    crashed = [f.message for f in made if f.outcome is Outcome.ERROR]
    assert not crashed, crashed
    findings = {(f.measurement.name, f.measurement.slice): f for f in made}
    return findings, table_of(findings)


def table_of(findings):
    evidence = [one for f in findings.values() for one in f.measurement.evidence]
    tables = [one for one in evidence if isinstance(one, Table) and one.columns[0] == "variant"]
    assert len(tables) <= 1
    if not tables:
        return {}
    columns = tables[0].columns
    return {row[0]: dict(zip(columns, row, strict=True)) for row in tables[0].rows}


def test_planted_ratios_lie_inside_the_bounds_in_95_percent_of_500_runs():
    truths, runs, requests = (0.5, 1.0, 3.0), 500, 25
    clock, rng, held = FakeClock(), np.random.default_rng(0), dict.fromkeys((0.5, 1.0, 3.0), 0)
    askers = [
        Asker(Sleeper(clock, lasting(factor, seed), right), TEXTS, clock)
        for seed, factor in enumerate((1.0, *truths))
    ]
    for _ in range(runs):
        own, *others = rounds([Turn(one) for one in askers], Length(1e-9, requests), rng)
        assert len(own) == requests
        for truth, its in zip(truths, others, strict=True):
            pairs = each_input(its) / each_input(own)
            _, bounds = median_ratio(pairs, Confidence(0.975))
            held[truth] += bounds.claim.holds(truth)
    # Bounds of a two-sided 95 %: fewer than 456 hits come up once in 10,000 such tests.
    assert all(count >= 456 for count in held.values()), held


def test_a_faster_variant_passes_and_a_slower_one_fails():
    planted = {"bf16": (lasting(1.5, 1), right), "onnx": (lasting(0.5, 2), right)}
    findings, table = found(planted, {"ratio": 1.0})
    slow, fast = findings["ratio", "bf16"], findings["ratio", "onnx"]
    assert (slow.outcome, fast.outcome) == (Outcome.FAIL, Outcome.PASS)
    assert slow.measurement.value == pytest.approx(1.5, rel=0.02)
    assert fast.measurement.value == pytest.approx(0.5, rel=0.02)
    assert fast.measurement.bounds.comparisons == 2
    assert list(table) == ["as audited", "bf16", "onnx"]
    assert table["onnx"]["ratio"] == fast.measurement.value
    assert table["onnx"]["requests"] == table["as audited"]["requests"] > 100
    ms = {name: row["median ms of an input"] for name, row in table.items()}
    assert ms["onnx"] < ms["as audited"] < ms["bf16"]
    chart = next(
        e for f in findings.values() for e in f.measurement.evidence if isinstance(e, Estimates)
    )
    assert [row.label for row in chart.rows] == ["bf16", "onnx"]
    assert all(row.interval.lower < row.value < row.interval.upper for row in chart.rows)


def test_without_limits_everything_is_reported_and_nothing_judged():
    findings, _ = found({"bf16": (lasting(1.5, 1), flipped(30))})
    assert {f.outcome for f in findings.values()} == {Outcome.NOT_APPLICABLE}
    assert all(f.measurement.value is not None for f in findings.values())


def test_a_variant_that_labels_texts_otherwise_is_no_error_and_is_told():
    planted = {"int8": (lasting(0.5, 1), flipped(30)), "onnx": (lasting(0.5, 2), right)}
    findings, table = found(planted, {"disagreement": 0.05})
    other, same = findings["disagreement", "int8"], findings["disagreement", "onnx"]
    assert (other.outcome, same.outcome) == (Outcome.FAIL, Outcome.PASS)
    assert other.measurement.value == pytest.approx(0.3)
    assert (other.measurement.n, sum(other.measurement.units.values())) == (200, 60)
    row = table["int8"]
    assert row["labels that agree"] == pytest.approx(0.7)
    assert row["largest change of a probability"] == pytest.approx(0.4)
    wrong = {i for i in range(200) if i % 10 == 0} ^ {i for i in range(200) if 1 <= i % 100 <= 30}
    assert row["accuracy"] == pytest.approx(1 - len(wrong) / 200)
    # 27 of 30 flipped answers were right, so accuracy falls by 2 * (27 - 3) of 200.
    assert row["less the audited model's"].startswith("-0.24 (-0.")
    assert table["onnx"]["less the audited model's"].startswith("+0 (")
    assert table["onnx"]["largest change of a probability"] == 0


def test_the_change_of_the_fairness_gap_is_in_the_table():
    def favours(text):
        return (0.3, 0.7) if number(text) < 100 else (0.7, 0.3)

    groups = ["a" if i < 100 else "b" for i in range(len(TEXTS))]
    planted = {"int8": (lasting(0.5, 1), favours), "onnx": (lasting(0.5, 2), right)}
    bench = bench_with(planted)
    _, table = found(planted, context=context_of(bench, groups))
    moved, same = (table[name]["change of the fairness gap"] for name in planted)
    assert moved.startswith("side: +1 (+")
    assert same.startswith("side: +0 (-")
    _, plain = found(planted)
    assert plain["int8"]["change of the fairness gap"] is None


def test_rows_of_the_same_person_count_less():
    planted = {"int8": (lasting(0.5, 1), flipped(30))}
    alone, _ = found(planted)
    people = np.arange(len(TEXTS)) % 100 // 10
    bench = bench_with(planted)
    shared, _ = found(planted, context=context_of(bench, clusters=people))
    key = ("disagreement", "int8")
    widths = [
        one[key].measurement.bounds.claim.upper - one[key].measurement.bounds.claim.lower
        for one in (alone, shared)
    ]
    assert widths[1] > 2 * widths[0]


def test_too_few_requests_decide_nothing_and_say_how_many_would():
    planted = {"onnx": (lambda _: 10e9, right)}
    bench = bench_with(planted, takes=lambda _: 20e9)
    findings, _ = found(planted, {"ratio": 1.0}, bench=bench, most_seconds=100.0, texts=4)
    ratio = findings["ratio", "onnx"]
    assert ratio.outcome is Outcome.INCONCLUSIVE
    assert ratio.measurement.value == 0.5
    assert (ratio.measurement.n, ratio.needed_n) == (4, 5)


def test_a_quick_look_and_other_hardware_give_no_verdict():
    planted = {"onnx": (lasting(0.5, 1), right)}
    quick, _ = found(planted, {"ratio": 1.0}, seconds=10.0)
    assert quick["ratio", "onnx"].outcome is Outcome.INCONCLUSIVE
    assert "a verdict needs 60 s" in quick["ratio", "onnx"].message
    bench = bench_with(planted)
    bench.limits_from = "0123456789ab"
    other, _ = found(planted, {"ratio": 1.0, "disagreement": 0.05}, bench=bench)
    assert other["ratio", "onnx"].outcome is Outcome.INCONCLUSIVE
    assert "set on hardware 0123456789ab" in other["ratio", "onnx"].message
    # What it answers does not depend on the machine.
    assert other["disagreement", "onnx"].outcome is Outcome.PASS


def test_what_cannot_be_made_is_named_beside_what_can():
    planted = {"onnx": (lasting(0.5, 1), right)}
    findings, table = found(planted, {"ratio": 1.0}, variants=("int8", "onnx"))
    lacking = findings["ratio", "int8"]
    assert lacking.outcome is Outcome.INCONCLUSIVE
    assert lacking.measurement.value is None
    assert "cannot be made here: it was not planted." in lacking.message
    assert "it was not planted" in table["int8"]["note"]
    assert table["int8"]["ratio"] is None
    assert findings["ratio", "onnx"].outcome is Outcome.PASS


def test_where_none_can_be_made_nothing_is_timed():
    bench = bench_with({})
    findings, table = found({}, bench=bench, variants=("int8", "fp16"))
    assert {f.outcome for f in findings.values()} == {Outcome.NOT_APPLICABLE}
    assert set(findings) == {("ratio", "int8"), ("ratio", "fp16")}
    assert table == {}
    assert bench.clock.now() == 0


def test_a_variant_that_answers_nonsense_is_named_and_the_others_are_timed():
    def broken(_):
        raise ModelError("the model's score for input 0 is NaN or infinite.")

    planted = {"fp16": (lasting(0.5, 1), broken), "onnx": (lasting(0.5, 2), right)}
    findings, table = found(planted, {"ratio": 1.0})
    assert "NaN or infinite" in findings["ratio", "fp16"].measurement.note
    assert "NaN or infinite" in table["fp16"]["note"]
    assert ("disagreement", "fp16") not in findings
    assert findings["ratio", "onnx"].outcome is Outcome.PASS


def test_a_variant_that_is_far_slower_leaves_after_30_requests():
    planted = {"bf16": (lasting(90.0, 1), right), "eager": (lasting(5.0, 2), right)}
    bench = bench_with(planted)
    findings, table = found(planted, {"ratio": 2.0}, bench=bench, texts=20)
    slow = findings["ratio", "bf16"]
    assert (slow.outcome, slow.measurement.n) == (Outcome.FAIL, 30)
    assert slow.measurement.bounds.claim.holds(90.0)
    assert "asked no more after 30 requests" in table["bf16"]["note"]
    assert findings["ratio", "eager"].measurement.n > 500
    assert bench.clock.now() < 200e9


def test_one_that_is_far_slower_still_leaves_sooner_where_30_requests_take_too_long():
    planted = {"bf16": (lasting(900.0, 1), right)}
    findings, _ = found(planted, {"ratio": 2.0}, texts=2, most_seconds=200.0, warm_up_seconds=1.0)
    slow = findings["ratio", "bf16"].measurement
    assert 5 <= slow.n < 30
    assert slow.bounds.claim.lower > 500


def test_answers_are_compared_on_what_a_slow_variant_answers_in_time():
    planted = {"bf16": (lambda batch: 1e9 * len(batch), flipped(30))}
    findings, table = found(planted, answer_seconds=40.0)
    assert 40 <= findings["disagreement", "bf16"].measurement.n <= 42
    assert "too slow to answer all texts in time" in table["bf16"]["note"]


def test_answers_are_compared_on_a_sample_of_many_texts():
    planted = {"int8": (lasting(0.5, 1), flipped(30))}
    findings, table = found(planted, texts=50)
    measured = findings["disagreement", "int8"].measurement
    assert measured.n == table["int8"]["texts compared"] == 50
    assert measured.bounds.claim.holds(0.3)
    assert table["int8"]["note"] == ""


def test_a_variant_that_remembers_its_answers_gets_no_verdict():
    known = set()

    def takes(batch):
        fresh = any(one not in known for one in batch)
        known.update(batch)
        return MS * (5 if fresh else 1)

    planted = {"compile": (takes, right), "onnx": (lasting(0.5, 2), right)}
    findings, table = found(planted, {"ratio": 1.0})
    assert findings["ratio", "compile"].outcome is Outcome.INCONCLUSIVE
    assert "cached" in findings["ratio", "compile"].message
    assert "cached" in table["compile"]["note"]
    assert findings["ratio", "onnx"].outcome is Outcome.PASS


def test_a_ratio_that_moves_over_the_run_gets_no_verdict():
    bench = bench_with({})
    clock = bench.clock

    def heated(batch):
        return lasting(0.4 if clock.now() < 38e9 else 0.8, clock.now())(batch)

    bench.variants = simulated_variants(
        clock, {"compile": (heated, right), "onnx": (lasting(0.5, 2), right)}
    )
    findings, _ = found({}, {"ratio": 1.0}, bench=bench, variants=("compile", "onnx"))
    moved = findings["ratio", "compile"]
    assert moved.outcome is Outcome.INCONCLUSIVE
    assert "the ratio moved by +" in moved.message
    assert findings["ratio", "onnx"].outcome is Outcome.PASS


def test_a_machine_that_slows_down_moves_no_ratio():
    """Both are slower at the same time, which is what asking in turn is for."""
    bench = bench_with({})
    clock = bench.clock

    def slowing(factor, seed):
        plain = lasting(factor, seed)
        return lambda batch: plain(batch) * (1 if clock.now() < 40e9 else 3)

    bench.model.takes = slowing(1.0, 1)
    bench.variants = simulated_variants(clock, {"onnx": (slowing(0.5, 2), right)})
    findings, _ = found({}, {"ratio": 0.6}, bench=bench, variants=("onnx",))
    assert findings["ratio", "onnx"].outcome is Outcome.PASS
    assert findings["ratio", "onnx"].measurement.value == pytest.approx(0.5, rel=0.03)


def test_requests_of_several_texts_count_by_text():
    def takes(batch):
        return MS * (4 + len(batch))

    planted = {"batch-8": (takes, right)}
    bench = bench_with(planted, takes=takes, batch=8)
    findings, table = found(planted, bench=bench)
    assert findings["ratio", "batch-8"].measurement.value == pytest.approx(1.5 / 5)
    assert table["batch-8"]["median ms of an input"] == pytest.approx(1.5)
    same, _ = found({"onnx": (takes, right)}, bench=bench_with({"onnx": (takes, right)}, takes),
                    batch=8)  # fmt: skip
    assert same["ratio", "onnx"].measurement.value == 1.0
    assert same["disagreement", "onnx"].measurement.n == 200


def test_the_time_to_make_a_variant_is_apart_from_its_ratio():
    planted = {"compile": (lambda _: 5 * MS, right)}
    bench = bench_with(planted, takes=lambda _: 5 * MS, seconds=42.0)
    findings, table = found(planted, bench=bench)
    assert table["compile"]["seconds to make"] == pytest.approx(42.005)
    assert findings["ratio", "compile"].measurement.value == 1.0


def test_odd_texts_are_asked_like_others():
    odd = (
        "",
        "   ",
        "\U0001f600\U0001f600",
        "שלום עולם",
        "film film film film film film",
        "a\ud800",
    )
    bench = simulated_bench(lambda batch: MS * len(batch), lambda _: (0.6, 0.4))
    bench.variants = simulated_variants(
        bench.clock, {"onnx": (lambda batch: MS * len(batch), lambda _: (0.6, 0.4))}
    )
    context = context_of(bench, texts=odd, answer=lambda _: (0.6, 0.4))
    findings, _ = found({}, context=context, variants=("onnx",))
    assert findings["ratio", "onnx"].measurement.value == 1.0
    assert findings["disagreement", "onnx"].measurement.value == 0.0


def test_the_audited_model_must_answer_as_it_is_audited():
    bench = bench_with({"onnx": (lasting(0.5, 1), right)})
    context = context_of(bench, answer=flipped(30))
    params = CHECK.params(variants=("onnx",))
    made = findings_in(CHECK, context, params)
    assert [f.outcome for f in made] == [Outcome.ERROR]
    assert "not what is audited" in made[0].message


def test_a_model_without_variants_is_not_applicable():
    bench = simulated_bench(lasting(), right)
    made = findings_in(CHECK, context_of(bench))
    assert [f.outcome for f in made] == [Outcome.NOT_APPLICABLE]
    assert "has no variants" in made[0].message


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("bf17",), "there is no variant 'bf17'. Did you mean 'bf16'"),
        (("threads-N",), "there is no variant 'threads-N'"),
        (("threads-0",), "there is no variant 'threads-0'"),
        (("batch-4000",), "there is no variant 'batch-4000'"),
        (("onnx", "onnx"), "named twice"),
        ((), "at least one"),
    ],
)
def test_names_that_stand_for_nothing_are_refused(names, said):
    with pytest.raises(ValueError, match=said):
        CHECK.params(variants=names)


def test_every_variant_that_is_listed_can_be_named():
    CHECK.params(variants=("fp32", "bf16", "fp16", "compile", "sdpa", "eager", "threads-1",
                           "batch-32", "onnx", "int8", "onnx-int8", "half-layers", "tf32",
                           "cuda-graphs"))  # fmt: skip
