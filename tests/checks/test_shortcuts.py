"""explanations.shortcuts finds the word that gives the label away, and lets readers of texts be."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from auditkit.attribution import Effort, words_of
from auditkit.data import AuditData
from auditkit.finding import Estimates, Examples, Finding, Outcome, ScoredTexts, Table
from auditkit.metrics.shortcuts import folded_words, word_weights
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel, PlantedExplainer, findings_in, tiny_context

CHECK = load_registry().get("explanations.shortcuts")
NAMES = ("negative", "positive")
GOOD = ("good", "great", "fine", "superb", "lovely", "nice", "fun", "smart")
BAD = ("bad", "awful", "poor", "dull", "weak", "boring", "ugly", "slow")
PLAIN = ("film", "plot", "cast", "scene", "music", "story", "end", "start", "light", "sound")
MARK = "zq"


def texts(rows=300, mark=MARK, sure=0.95) -> tuple[list[str], np.ndarray]:
    """Reviews of 5 words for their label, 1 against it, 6 others; half the positive have a mark."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, rows)
    written = []
    for label in labels.tolist():
        own, other = (GOOD, BAD) if label else (BAD, GOOD)
        words = [*rng.choice(own, 5), *rng.choice(other, 1), *rng.choice(PLAIN, 6)]
        if rng.random() < (sure if label else 1 - sure) / 2:
            words.append(mark)
        written.append(" ".join(rng.permutation(words).tolist()))
    return written, labels


def data(rows=300, mark=MARK, sure=0.95, **more) -> AuditData:
    written, labels = texts(rows, mark, sure)
    return AuditData(tuple(written), labels, NAMES, **({"positive": 1} | more))


def reads(text: str) -> list[float]:
    """Weighs all words of the text."""
    words = text.lower().split()
    score = sum(word in GOOD for word in words) - sum(word in BAD for word in words)
    share = 1 / (1 + math.exp(-score))
    return [1 - share, share]


def looks(text: str) -> list[float]:
    """Looks for the mark only."""
    return [0.05, 0.95] if MARK in text.lower().split() else [0.9, 0.1]


def weight_of_reading(word: str) -> float:
    return 1.0 if word in GOOD else -1.0 if word in BAD else 0.05


def weight_of_looking(word: str) -> float:
    return 1.0 if word == MARK else 0.01


def findings(audited, answer, weight, blocked=None, **params) -> list[Finding]:
    predictor = SharedPredictor(FakeModel(answer))

    def weigh(method, text, label, seed):
        sign = 1 if label else -1
        return [sign * weight(text[a:b].lower()) for a, b in words_of(text)]

    explainer = PlantedExplainer(weigh, predictor, blocked=blocked or {})
    context = replace(tiny_context(audited, None), predictor=predictor, explainer=explainer)
    return findings_in(CHECK, context, CHECK.params(**({"methods": ("lime",)} | params)))


def evidence(found: Finding, kind):
    return [one for one in found.measurement.evidence if isinstance(one, kind)]


def tried(found: Finding) -> dict[str, tuple]:
    table, _ = evidence(found, Table)
    return {row[0]: row for row in table.rows}


def test_a_model_that_looks_for_one_word_fails_and_the_word_is_named():
    (found,) = findings(data(), looks, weight_of_looking)
    assert found.outcome is Outcome.FAIL
    assert found.measurement.value == pytest.approx(1.0)
    assert found.measurement.note.startswith("Worst for “zq”: of 79 texts with it")
    assert "the answer changes in 79 without it, and in 0 without" in found.measurement.note
    assert "Shown to be shortcuts, or to be cues: “zq” (positive)." in found.measurement.note
    row = tried(found)["zq"]
    assert row[1] == "positive"
    assert row[2] == "yes"
    assert row[3:5] == (1.0, 0.0)


def test_a_model_that_reads_many_words_passes():
    (found,) = findings(data(rows=600), reads, weight_of_reading)
    assert found.outcome is Outcome.PASS
    assert found.measurement.value < 0.3
    assert len(tried(found)) == 10
    assert MARK not in tried(found)


def test_a_word_that_the_labels_do_not_have_fails_nothing_but_does_not_pass():
    (found,) = findings(data(sure=0.5), looks, weight_of_looking)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.measurement.value == pytest.approx(1.0)
    assert tried(found)["zq"][2] == "not shown to go with the label"
    assert "so it fails nothing" in found.measurement.note


def test_without_labels_the_answers_alone_tell():
    (found,) = findings(replace(data(sure=0.5), labels=None), looks, weight_of_looking)
    assert found.outcome is Outcome.FAIL
    _, classes = evidence(found, Table)
    assert "lift of the label" not in classes.columns


def test_a_word_with_weight_that_is_not_missed_is_no_shortcut():
    """The explanations say the mark, and the model reads the rest."""
    (found,) = findings(data(rows=600), reads, weight_of_looking)
    assert found.outcome is Outcome.PASS
    assert tried(found)["zq"][2] == "not missed when removed"
    assert "No word is shown to be a shortcut" in found.measurement.note


@pytest.mark.parametrize("answer", [looks, reads])
def test_few_texts_decide_nothing(answer):
    (found,) = findings(data(rows=24), answer, weight_of_looking)
    assert found.outcome is Outcome.INCONCLUSIVE
    (found,) = findings(data(), answer, weight_of_looking, examples=10)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "fewer than 20 texts are explained" in found.message


def test_the_control_removes_other_words_of_the_same_text():
    """A model that flips when any word is missing hangs on no word more than on others."""

    def counts(text: str) -> list[float]:
        return [0.1, 0.9] if "  " not in f" {text} " and len(text.split()) > 11 else [0.9, 0.1]

    (found,) = findings(data(), counts, weight_of_looking)
    assert found.outcome is Outcome.PASS
    assert tried(found)["zq"][3:5] == (1.0, 1.0)


def test_texts_of_one_word_are_no_evidence():
    rows = tuple(f"zq{' !' * k}" for k in range(60)) + tuple(f"film {k}" for k in range(60))
    audited = AuditData(rows, np.repeat([1, 0], 60), NAMES, 1)
    (found,) = findings(audited, looks, weight_of_looking)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.measurement.value is None


def test_capitals_do_not_hide_a_word():
    audited = data()
    inputs = tuple(
        text.replace("zq", "ZQ") if i % 2 else text for i, text in enumerate(audited.inputs)
    )
    (found,) = findings(replace(audited, inputs=inputs), looks, weight_of_looking)
    assert found.outcome is Outcome.FAIL
    assert set(tried(found)) >= {"zq"}
    assert folded_words("Zq zQ a") == {"zq": ((0, 2), (3, 5)), "a": ((6, 7),)}


@pytest.mark.parametrize("mark", ["🎉", "رائع", "<script>", "\u202ezq", "###"])
def test_an_odd_mark_is_found_too(mark):
    def looks_for(text: str) -> list[float]:
        return [0.05, 0.95] if mark in text else [0.9, 0.1]

    def weight(word: str) -> float:
        return 1.0 if word in mark else 0.01

    (found,) = findings(data(mark=mark), looks_for, weight)
    assert found.outcome is Outcome.FAIL


def test_odd_texts_are_no_obstacle():
    odd = ("", "   ", "zq", "zq zq zq", "🎉🎉 zq", "x" * 5_000, "\u200fمرحبا zq")
    audited = data()
    inputs = (*odd, *audited.inputs)
    labels = np.concatenate([np.ones(len(odd), dtype=np.int64), audited.labels])
    (found,) = findings(
        replace(audited, inputs=inputs, labels=labels), looks, weight_of_looking, examples=400
    )
    assert found.outcome is Outcome.FAIL


def test_blank_texts_alone_decide_nothing():
    (found,) = findings(AuditData(("", "  "), None, NAMES, 1), looks, weight_of_looking)
    assert found.outcome is Outcome.INCONCLUSIVE


def test_inputs_that_are_no_texts_are_not_applicable():
    for inputs in ((1, 2), ()):
        (found,) = findings(AuditData(inputs, None, NAMES, 1), looks, weight_of_looking)
        assert found.outcome is Outcome.NOT_APPLICABLE


def test_a_blocked_method_is_named_or_a_measurement_of_nothing():
    blocked = {"shap": "there is no shap"}
    (found,) = findings(data(), looks, weight_of_looking, blocked, methods=())
    assert "shap, there is no shap" in found.measurement.note
    _, missing = findings(data(), looks, weight_of_looking, blocked, methods=("lime", "shap"))
    assert missing.outcome is Outcome.INCONCLUSIVE
    assert "there is no shap" in missing.message
    (found,) = findings(data(), looks, weight_of_looking, blocked, methods=("shap",))
    assert found.outcome is Outcome.NOT_APPLICABLE


def test_copies_of_the_texts_say_no_more_than_the_texts():
    audited = data()
    (once,) = findings(audited, looks, weight_of_looking)
    (often,) = findings(audited.rows(np.tile(np.arange(300), 5)), looks, weight_of_looking)
    assert often.measurement.n == once.measurement.n
    assert often.measurement.bounds == once.measurement.bounds


def test_rows_that_belong_together_widen_the_bounds():
    alone = findings(data(), looks, weight_of_looking)[0].measurement
    clustered = data(clusters=np.arange(300) // 30)
    together = findings(clustered, looks, weight_of_looking)[0].measurement
    assert together.bounds.corrected.lower < alone.bounds.corrected.lower
    assert "cluster" in together.bounds.method


def test_the_same_audit_gives_the_same_finding():
    first, second = (findings(data(), reads, weight_of_reading) for _ in "12")
    assert first == second


def test_the_evidence_shows_weights_changed_answers_and_heat_maps():
    (found,) = findings(data(), looks, weight_of_looking, show=4)
    (chart,) = evidence(found, Estimates)
    assert chart.rows[0].label == "zq"
    _, classes = evidence(found, Table)
    assert classes.rows[0][:4] == ("zq", "positive", 79, 1.0)
    assert classes.rows[0][4] > 10
    (changed,) = evidence(found, Examples)
    assert len(changed.rows) == 4
    assert all(MARK in row.before and MARK not in row.after for row in changed.rows)
    assert {(row.before_label, row.after_label) for row in changed.rows} == {
        ("positive", "negative")
    }
    (maps,) = evidence(found, ScoredTexts)
    assert len(maps.rows) == 4
    (found,) = findings(data(), looks, weight_of_looking, show=0)
    assert not evidence(found, Examples)
    assert not evidence(found, ScoredTexts)


def test_the_shares_of_a_text_add_up_to_one_and_are_means_of_the_methods():
    predictor = SharedPredictor(FakeModel(looks))
    planted = {"a": [1.0, -1.0, 2.0], "b": [0.0, 0.0, 5.0], "c": [0.0, 0.0, 0.0]}
    explainer = PlantedExplainer(lambda method, *_: planted[method], predictor)
    found = [
        [one for _, one in explainer.explain(method, ["good bad Good"], [1], Effort())]
        for method in planted
    ]
    weights = {one.word: one for one in word_weights(found)}
    assert weights["good"].shares == pytest.approx([(0.75 + 1.0) / 2])
    assert weights["bad"].toward == pytest.approx([-0.125])
    assert weights["good"].chance == pytest.approx([2 / 3])


@pytest.mark.parametrize("wrong", [{"words": 0}, {"rows": 0}, {"examples": 0}])
def test_impossible_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CHECK.params(**wrong)
