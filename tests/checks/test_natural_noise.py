"""robustness.natural-noise finds the noise that a model cannot stand, and only that one."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from auditkit.content import content_digest
from auditkit.data import AuditData
from auditkit.finding import Finding, Outcome, Table
from auditkit.metrics.noise import CHUNK, NoiseParams
from auditkit.noise import NOISES, STRENGTHS, noisy
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel, findings_on

CHECK = load_registry().get("robustness.natural-noise")
SUBJECTS = ("The colour", "My seat", "Their service", "The harbour", "Our organised tour")
VERBS = ("doesn't seem", "was not", "wasn't", "is not", "felt")
ENDS = ("very good today", "so bad after lunch", "rather plain", "what Anna promised us")


def texts(rows: int) -> tuple[list[str], np.ndarray]:
    """Sentences, and a label that stands in each as a number of its own: 1 or 2."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, rows)
    written = [
        f"{rng.choice(SUBJECTS)} {i + 10} says {label} and {rng.choice(VERBS)} {rng.choice(ENDS)}."
        for i, label in enumerate(labels + 1)
    ]
    return written, labels


def reading(text: str) -> list[float]:
    """Reads the label and nothing else, which no noise touches."""
    found = re.search(r"(?<!\S)[12](?= \w|\s)", text)
    return [0.1, 0.9] if found and found[0] == "2" else [0.9, 0.1]


def flipped_by(pattern: str):
    """A model that answers the contrary wherever it sees the pattern."""

    def answer(text: str) -> list[float]:
        scores = reading(text)
        return scores[::-1] if re.search(pattern, text) else scores

    return answer


def some_data(rows: int = 600, **more) -> AuditData:
    written, labels = texts(rows)
    return AuditData(tuple(written), labels, ("one", "two"), 1, **more)


def findings(answer, data: AuditData, **params) -> list[Finding]:
    predictor = answer if hasattr(answer, "predict") else SharedPredictor(FakeModel(answer))
    return findings_on(CHECK, data, predictor, NoiseParams(**{"rows": 250} | params))


def failing(found: list[Finding]) -> set[str]:
    return {f.measurement.slice for f in found if f.outcome is Outcome.FAIL}


def named(found: list[Finding], name: str) -> dict[str, Finding]:
    return {f.measurement.slice: f for f in found if f.measurement.name == name}


def test_a_model_that_no_noise_reaches_passes():
    found = findings(reading, some_data())
    judged = Counter(f.outcome for f in found if f.limit is not None)
    assert judged == {Outcome.PASS: 2 * len(NOISES)}
    assert named(found, "strong_accuracy_drop")["strong"].measurement.value == 0.0


@pytest.mark.parametrize(
    ("pattern", "culprits"),
    [
        ("[\u00ad\u200b-\u200d\u2060\ufeff]", {"zero-width/mild"}),
        ("^[a-z]|^[^a-z]+$", {"case/mild"}),
        (r"[а-яА-Я]", {"homoglyph/mild"}),
        ("://|@", {"address/mild"}),
        (r"\s\s", {"whitespace/mild"}),
        (r"[^.]$", {"punctuation/mild", "address/mild", "whitespace/mild"}),
    ],
)
def test_a_planted_weakness_fails_under_its_noise_and_no_other(pattern, culprits):
    found = findings(flipped_by(pattern), some_data())
    failed = failing(found)
    assert failed
    assert failed <= culprits
    name = next(iter(sorted(failed)))
    assert name in {s for s, f in named(found, "invariance").items() if f.outcome is Outcome.FAIL}
    worst = named(found, "strong_invariance")["strong"].measurement
    assert any(one.partition("/")[0] in worst.note for one in culprits)


def test_a_weakness_in_accuracy_and_in_invariance_are_both_found():
    found = findings(flipped_by("^[a-z]"), some_data())
    drop = named(found, "accuracy_drop")["case/mild"]
    assert drop.measurement.value == pytest.approx(1.0)
    assert drop.outcome is Outcome.FAIL
    assert named(found, "invariance")["case/mild"].measurement.value == 0.0


@pytest.mark.parametrize("answer", [reading, lambda text: reading(text + " ")])
def test_twenty_rows_decide_nothing(answer):
    found = findings(answer, some_data(20))
    judged = {f.outcome for f in found if f.limit is not None}
    assert judged == {Outcome.INCONCLUSIVE}


def test_a_slight_weakness_is_undecided_in_few_rows_and_found_in_many():
    slight = flipped_by(r"^The colour.*://|^@\S+ The colour")
    few = named(findings(slight, some_data(20)), "accuracy_drop")["address/mild"]
    assert few.outcome is Outcome.INCONCLUSIVE
    many = named(findings(slight, some_data(600)), "accuracy_drop")["address/mild"]
    assert many.outcome is Outcome.FAIL


def test_without_labels_only_invariance_is_measured():
    data = replace(some_data(), labels=None)
    found = findings(flipped_by("@"), data)
    assert {f.measurement.name for f in found} == {"invariance", "strong_invariance"}
    assert failing(found) == {"address/mild"}


@pytest.mark.parametrize("inputs", [(0, 1, 2), (None,), ("text", 0)])
def test_inputs_that_are_no_texts_are_not_applicable(inputs):
    data = AuditData(inputs, None, ("one", "two"), 1)
    found = findings(reading, data)
    assert [f.outcome for f in found] == [Outcome.NOT_APPLICABLE]
    assert "no texts" in found[0].message


def test_texts_without_anything_to_change_are_not_applicable():
    found = findings(reading, AuditData(("", " "), None, ("one", "two"), 1))
    assert [f.outcome for f in found] == [Outcome.NOT_APPLICABLE]


def coverage(found: list[Finding]) -> dict[tuple[str, str], tuple]:
    tables = [e for f in found for e in f.measurement.evidence if isinstance(e, Table)]
    table = next(t for t in tables if "changed" in t.columns)
    return {(row[0], row[1]): row for row in table.rows}


def test_texts_a_noise_leaves_alone_are_counted_and_never_in_the_share():
    data = some_data(300)
    inputs = tuple(
        text if i % 2 else re.sub("n't| not|colour|harbour|organised", "", text)
        for i, text in enumerate(data.inputs)
    )
    found = findings(reading, replace(data, inputs=inputs), rows=300)
    table = coverage(found)
    for (name, strength), row in table.items():
        changed = sum(noisy(NOISES[name], strength, text, 0) != text for text in inputs)
        assert row[3:5] == (300, changed)
    measured = named(found, "invariance")["contraction/mild"].measurement
    assert measured.n == table["contraction", "mild"][4] < 150


def test_a_noise_that_hardly_occurs_is_named_and_not_judged():
    plain = tuple(f"{text} nothing here is spelt otherwise" for text in ("a", "b") * 300)
    found = findings(reading, AuditData(plain, np.zeros(600, dtype=np.int64), ("one", "two"), 1))
    assert "spelling-variant/mild" not in named(found, "invariance")
    assert coverage(found)["spelling-variant", "mild"][4:] == (
        0,
        "no, these texts offer too little",
    )


def test_more_rows_are_looked_through_for_a_rare_noise():
    inputs = tuple(f"row {i} was{' honoured' if i % 12 == 0 else ''} here" for i in range(2000))
    found = findings(reading, AuditData(inputs, None, ("one", "two"), 1), rows=110)
    measured = named(found, "invariance")
    assert measured["spelling-variant/mild"].measurement.n == 110
    assert measured["keyboard/mild"].measurement.n == 110
    tried = coverage(found)["spelling-variant", "mild"][3]
    assert 1000 < tried < 2000


def test_the_units_are_the_rows_values_under_the_ids_of_the_predictor():
    data = some_data(400)
    found = findings(flipped_by("@"), data, rows=100)
    measured = named(found, "noisy_accuracy")["mild"].measurement
    ids = {content_digest(text).hex()[:16] for text in data.inputs}
    assert len(measured.units) == measured.n == 100
    assert set(measured.units) <= ids
    assert np.mean(list(measured.units.values())) == pytest.approx(measured.value)
    assert 0.9 < measured.value < 1.0


def test_other_rows_and_their_order_change_nothing_for_a_row():
    data = some_data(200)
    model = flipped_by("@|[xqz]")
    order = np.random.default_rng(3).permutation(200)
    first, second = findings(model, data), findings(model, data.rows(order))
    for name in ("accuracy_drop", "invariance"):
        values = {s: f.measurement.value for s, f in named(first, name).items()}
        assert values == {s: f.measurement.value for s, f in named(second, name).items()}
    units = named(first, "noisy_accuracy")["mild"].measurement.units
    assert units == named(second, "noisy_accuracy")["mild"].measurement.units


def test_the_model_is_asked_about_all_noisy_texts_together():
    class Counting:
        def __init__(self) -> None:
            self.sizes: list[int] = []
            self.inner = SharedPredictor(FakeModel(reading))

        def predict(self, inputs):
            self.sizes.append(len(inputs))
            return self.inner.predict(inputs)

    counting = Counting()
    found = findings(counting, some_data(600), rows=400)
    changed = sum(row[4] for row in coverage(found).values())
    assert counting.sizes[0] == 600
    assert sum(counting.sizes[1:]) == changed
    assert len(counting.sizes) == 1 + -(-changed // CHUNK)
    assert changed <= 400 * len(NOISES) * len(STRENGTHS)


def test_copies_of_the_same_rows_decide_no_more_than_the_rows():
    data = some_data(20)
    index = np.tile(np.arange(20), 30)
    copied = replace(data.rows(index), clusters=index)
    judged = {f.outcome for f in findings(reading, copied) if f.limit is not None}
    assert judged == {Outcome.INCONCLUSIVE}


def test_chosen_noises_alone_are_tried():
    found = findings(reading, some_data(), noises=("case", "ocr"))
    assert set(named(found, "invariance")) == {"case/mild", "ocr/mild"}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"rows": 0}, "at least 1"),
        ({"noises": ("keybord",)}, "'keyboard'"),
        ({"noises": ("case", "case")}, "twice"),
    ],
)
def test_impossible_parameters_are_refused(params, said):
    with pytest.raises(ValueError, match=said):
        NoiseParams(**params)
