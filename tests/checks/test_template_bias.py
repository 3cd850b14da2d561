"""fairness.template-bias finds terms that make errors by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.data import AuditData
from auditkit.finding import Finding, Outcome, Table
from auditkit.identity import read_templates, read_terms
from auditkit.metrics.template_bias import TemplateParams
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel, findings_on

CHECK = load_registry().get("fairness.template-bias")
NAMES = ("fine", "toxic")
BAD = ("hate", "stupid", "filthy", "idiot", "moron", "scum", "disgusting", "kill", "trash")
DATA = AuditData(("a", "b"), np.array([0, 1]), NAMES, positive=1)


def knows(text: str) -> float:
    """A score that only depends on the sentence, from its letters, hostile ones higher."""
    spread = sum(map(ord, text.split(maxsplit=1)[0])) % 7 / 70
    return 0.2 + spread + 0.6 * any(word in text.lower() for word in BAD)


def fair(text: str) -> list[float]:
    return [1 - knows(text), knows(text)]


def afraid(text: str) -> list[float]:
    share = max(knows(text), 0.85 * (" gay " in f" {text.lower().rstrip('.')} "))
    return [1 - share, share]


def findings(answer, audited=DATA, **params) -> dict[str, Finding]:
    predictor = SharedPredictor(FakeModel(answer, class_names=audited.class_names))
    found = findings_on(
        CHECK, audited, predictor, TemplateParams(attributes=("religion", "orientation"), **params)
    )
    return {f.measurement.name if f.measurement else "": f for f in found}


def table(finding: Finding) -> dict[str, float]:
    (shown,) = [e for e in finding.measurement.evidence if isinstance(e, Table)]
    return {row[0]: row[2] for row in shown.rows}


def test_a_model_that_takes_one_term_for_toxic_fails():
    found = findings(afraid)
    assert found["fpr_deviation"].outcome is Outcome.FAIL
    assert "gay" in found["fpr_deviation"].measurement.note
    assert found["auc_drop"].outcome is Outcome.FAIL
    assert "gay" in found["auc_drop"].measurement.note
    assert found["disagreement"].measurement.value > 0.01


def test_a_model_blind_to_the_terms_passes_though_it_errs():
    found = findings(fair)
    assert found["fpr_deviation"].outcome is Outcome.PASS
    assert found["fnr_deviation"].outcome is Outcome.PASS
    assert table(found["fnr_deviation"])["all terms"] > 0.3
    assert found["fnr_deviation"].measurement.value == 0
    assert found["disagreement"].measurement.value == 0


def test_a_term_that_hides_hostility_fails_by_its_false_negatives():
    sentences = read_templates("", read_terms().adjectives()).rows
    hostile = {one.text for one in sentences if one.label == "hostile"}

    def answer(text: str) -> list[float]:
        share = 0.1 if "Muslim" in text or text not in hostile else 0.9
        return [1 - share, share]

    found = findings(answer)
    assert found["fnr_deviation"].outcome is Outcome.FAIL
    assert "Muslim" in found["fnr_deviation"].measurement.note


def test_few_templates_decide_nothing(tmp_path):
    path = tmp_path / "few.csv"
    path.write_text("text,label\nI am {identity}.,0\nI hate {identity} people.,1\n")
    found = findings(fair, templates_file=str(path))
    assert found["fpr_deviation"].outcome is Outcome.INCONCLUSIVE
    assert found["fnr_deviation"].outcome is Outcome.INCONCLUSIVE


def test_rates_by_hand_and_dixons_equality_difference(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"text": "a red hat", "label": 0, "identity": "red"}\n'
        '{"text": "a blue hat", "label": 0, "identity": "blue"}\n'
        '{"text": "a red coat", "label": 0, "identity": "red"}\n'
        '{"text": "a blue coat", "label": 0, "identity": "blue"}\n'
        '{"text": "a red rag", "label": 1, "identity": "red"}\n'
        '{"text": "a blue rag", "label": 1, "identity": "blue"}\n'
        '{"text": "nobody", "label": 1, "identity": ""}\n'
    )
    found = findings(lambda t: [0.1, 0.9] if "red h" in t else [0.9, 0.1], templates_file=str(path))
    rates = table(found["fpr_deviation"])
    assert (rates["red"], rates["blue"], rates["all terms"]) == (0.5, 0.0, 0.25)
    assert rates["FPED, the sum of distances to it"] == pytest.approx(0.5)
    assert found["fpr_deviation"].measurement.value == pytest.approx(0.25)
    assert table(found["fnr_deviation"])["all terms"] == 1.0
    # One of three templates is split, half and half.
    assert found["disagreement"].measurement.value == pytest.approx(0.5 / 3)


def test_which_class_is_the_loaded_one():
    def classes(names, positive=None):
        return AuditData(("a", "b"), np.array([0, 1]), names, positive)

    sentiment = findings(lambda t: fair(t)[::-1], classes(("negative", "positive"), 1))
    assert "Loaded class: negative" in sentiment["fpr_deviation"].measurement.note
    unknown = findings(fair, classes(("sport", "politics"), 1))
    assert unknown[""].outcome is Outcome.NOT_APPLICABLE
    assert "params.positive" in unknown[""].message
    told = findings(fair, classes(("sport", "politics"), 1), positive="politics")
    assert told["fpr_deviation"].outcome is Outcome.PASS
    wrong = findings(fair, positive="toxik")
    assert wrong[""].outcome is Outcome.ERROR
    assert "toxic" in wrong[""].message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text,label\nno gap,0\n", "t.csv:2: the text has no {identity}"),
        ("text,lable\nI am {identity},0\n", "t.csv:2: unknown column 'lable'"),
        ("text,label\n,0\n", "t.csv:2: no text"),
        ("text,label\nI am {identity},maybe\n", "'maybe' of the templates is no class"),
        ("text,label\n", "t.csv: the file has no rows"),
        ('text,label\n"I am {identity},0\n', "t.csv:2"),
    ],
)
def test_a_broken_file_is_an_error_with_the_line(tmp_path, content, said):
    path = tmp_path / "t.csv"
    path.write_text(content)
    found = findings(fair, templates_file=str(path))
    assert found[""].outcome is Outcome.ERROR
    assert said in found[""].message


def test_labels_alone_give_no_auc():
    class Labels:
        def predict(self, inputs):
            answers = SharedPredictor(FakeModel(fair)).predict(inputs)
            return type(answers)(answers.labels, None)

    found = findings_on(CHECK, DATA, Labels(), TemplateParams(attributes=("age",)))
    assert {f.measurement.name for f in found} == {
        "fpr_deviation", "fnr_deviation", "disagreement"
    }  # fmt: skip
