"""A metric of Hugging Face evaluate, from a local folder."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.errors import AuditkitError
from auditkit.finding import Outcome
from auditkit.metrics.hub_metric import hub_metric
from auditkit.model import Predictions
from auditkit.registry import load_registry
from auditkit.testing import findings_of, tiny_data

pytest.importorskip("evaluate")
pytestmark = pytest.mark.filterwarnings("ignore")  # evaluate's own

SCRIPT = """
import datasets
import evaluate


class {name}(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="",
            features=datasets.Features(
                predictions=datasets.Value("int64"), references=datasets.Value("int64")
            ),
        )

    def _compute(self, predictions, references, scale=1.0):
        right = sum(p == r for p, r in zip(predictions, references)) / len(references)
        return {answer}
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """Where evaluate copies the scripts it runs: one place, because it is imported once."""
    return str(tmp_path_factory.mktemp("modules"))


@pytest.fixture
def folder(tmp_path, modules, monkeypatch):
    monkeypatch.setattr("evaluate.config.HF_MODULES_CACHE", modules)

    def write(name: str, answer: str):
        (tmp_path / name).mkdir()
        text = SCRIPT.format(name=name.capitalize(), answer=answer)
        (tmp_path / name / f"{name}.py").write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_a_metric_from_a_folder_is_judged_by_a_jackknife(folder):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 500)
    predicted = np.where(rng.random(500) < 0.9, labels, 1 - labels)
    check = load_registry().get("quality.metric")
    path = folder("share", '{"share": right}')
    params = check.params(metric=f"evaluate:{path}", higher_is_better=True)
    data = tiny_data(labels)
    found = findings_of(check, data, Predictions(predicted, None), params, {"value": 0.8})
    by_name = {f.measurement.name: f for f in found}
    assert by_name["value"].measurement.value == pytest.approx((labels == predicted).mean())
    assert by_name["value"].outcome is Outcome.PASS
    assert by_name["gain"].outcome is Outcome.PASS
    interval = by_name["value"].measurement.bounds.claim
    expected = 1.66 * np.sqrt(0.9 * 0.1 / 500)  # a rate's own standard error
    assert (interval.upper - interval.lower) / 2 == pytest.approx(expected, rel=0.3)


def test_a_metric_of_which_less_is_better_is_gated_the_other_way(folder):
    rng = np.random.default_rng(0)
    labels = (rng.random(500) < 0.1).astype(int)
    wrong_in_three_of_ten = np.where(rng.random(500) < 0.7, labels, 1 - labels)
    check = load_registry().get("quality.metric")
    path = folder("errors", '{"errors": 1 - right}')
    with pytest.raises(ValueError, match="higher_is_better"):
        check.params(metric=f"evaluate:{path}")
    params = check.params(metric=f"evaluate:{path}", higher_is_better=False)
    found = findings_of(
        check, tiny_data(labels), Predictions(wrong_in_three_of_ten, None), params, {"error": 0.2}
    )
    assert {f.measurement.name: f.outcome for f in found} == {
        "error": Outcome.FAIL,
        "gain": Outcome.FAIL,
    }


def test_one_of_several_numbers_must_be_named(folder):
    path = str(folder("several", '{"a": right, "b": scale}'))
    answers = np.array([0, 1]), np.array([0, 1])
    with pytest.raises(AuditkitError, match="several numbers"):
        hub_metric(path, {}, "")(*answers)
    with pytest.raises(AuditkitError, match="returns no 'c'"):
        hub_metric(path, {}, "c")(*answers)
    assert hub_metric(path, {"scale": 3.0}, "b")(*answers) == 3.0


@pytest.mark.parametrize("answer", ["[right]", '{"a": [right]}', '{"a": None}', "{}"])
def test_an_answer_that_is_no_number_is_refused(folder, answer):
    metric = hub_metric(str(folder("odd", answer)), {}, "")
    with pytest.raises(AuditkitError, match="returned"):
        metric(np.array([0, 1]), np.array([0, 1]))


def test_a_hub_id_offline_says_what_would_work(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_EVALUATE_OFFLINE", "1")
    with pytest.raises(AuditkitError, match="a folder works offline"):
        hub_metric("no-such-metric-anywhere", {}, "")
