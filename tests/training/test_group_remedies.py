"""Remedies for groups that leave the encoder alone: a planted gap is closed, a fair model kept."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from auditkit.cli import main
from auditkit.data import MISSING, Attribute
from auditkit.errors import ConfigError, ModelError
from auditkit.group_thresholds import FILE_NAME, GroupThresholds
from auditkit.mitigation import Mitigation
from auditkit.model import Predictions
from auditkit.predictor import SharedPredictor
from auditkit.remedy import RemedyError
from auditkit.result import AuditResult
from auditkit.testing import tiny_data
from auditkit.training.linear_head import OpenedHead
from auditkit.training.repair import decisions_of

from .conftest import NAMES
from .test_remedies import REMEDIES, context, loaded
from .test_rows import write
from .unfair import biased_model, data_of_groups, grouped

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("fairlearn")

THRESHOLDS = REMEDIES["fairness.threshold-optimizer"]
GRADIENT = REMEDIES["fairness.exponentiated-gradient"]
BOTH = (THRESHOLDS, GRADIENT)


@pytest.fixture(scope="module")
def unfair(learnt, tmp_path_factory) -> Path:
    return biased_model(tmp_path_factory.mktemp("unfair"), learnt, 0.9)


@pytest.fixture(scope="module")
def fair(learnt, tmp_path_factory) -> Path:
    return biased_model(tmp_path_factory.mktemp("fair"), learnt, 0.0)


def repairing(folder, model, **changed):
    from auditkit.config import ModelConfig

    settings = {
        "validation": data_of_groups(200, 22),
        "work": folder / "made",
        "digest": loaded(model).digest,
        "head": lambda: OpenedHead(ModelConfig(path=str(model), device="cpu"), folder / "head"),
    }
    return context(folder, model, data_of_groups(300, 21), **(settings | changed))


def rates(folder: Path, model: Path) -> tuple[float, float]:
    """Accuracy and gap of the true positive rate on rows that no remedy has seen."""
    from auditkit.config import ModelConfig

    data = data_of_groups(400, 23)
    predictor, rows = decisions_of(ModelConfig(path=str(model), device="cpu"), folder, data)
    labels = predictor.predict(rows.inputs).labels
    codes = data.groups["gender"].codes
    recalls = [(labels[(data.labels == 1) & (codes == code)] == 1).mean() for code in (0, 1)]
    return float((labels == data.labels).mean()), float(abs(recalls[0] - recalls[1]))


@pytest.fixture(scope="module")
def repaired(unfair, tmp_path_factory):
    """The unfair model's folder as each remedy makes it, and what it notes. Do not change them."""
    found = {}
    for remedy in BOTH:
        notes, folder = [], tmp_path_factory.mktemp("repaired")
        made = remedy.apply(repairing(folder, unfair, note=notes.append), remedy.params())
        found[remedy.id] = made, notes
    return found


@pytest.mark.parametrize("remedy", BOTH, ids=lambda one: one.id)
def test_a_planted_gap_is_closed_and_accuracy_rises(unfair, repaired, remedy):
    before = rates(unfair, unfair)
    assert before[1] > 0.3
    made, notes = repaired[remedy.id]
    after = rates(made, unfair)
    assert after[1] < 0.1
    assert after[0] > before[0]
    assert any("validation rows" in note for note in notes)


@pytest.mark.parametrize("remedy", BOTH, ids=lambda one: one.id)
def test_a_fair_model_loses_nothing(fair, tmp_path, remedy):
    before = rates(fair, fair)
    made = remedy.apply(repairing(tmp_path, fair), remedy.params())
    after = rates(made, fair)
    assert after[0] > before[0] - 0.02
    assert after[1] < before[1] + 0.05


def test_the_refitted_layer_answers_the_same_in_plain_transformers(repaired, plain):
    made, _ = repaired[GRADIENT.id]
    texts = data_of_groups(64, 24).inputs
    assert (plain(made, texts).argmax(axis=1) == loaded(made).predict(texts).labels).all()
    assert not list(made.glob("*.bin"))


def test_the_model_behind_the_thresholds_is_unchanged_in_plain_transformers(
    unfair, repaired, plain
):
    made, _ = repaired[THRESHOLDS.id]
    assert {file.name for file in made.iterdir()} == {
        FILE_NAME, *(file.name for file in unfair.iterdir()),
    }  # fmt: skip
    for file in unfair.iterdir():
        assert (made / file.name).read_bytes() == file.read_bytes()
    texts = data_of_groups(64, 24).inputs
    assert (plain(made, texts).argmax(axis=1) == loaded(unfair).predict(texts).labels).all()


def test_only_the_last_layer_is_another(unfair, repaired):
    from safetensors.numpy import load_file

    made, _ = repaired[GRADIENT.id]
    old, new = (load_file(folder / "model.safetensors") for folder in (unfair, made))
    changed = {name for name in old if not np.array_equal(old[name], new[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_the_note_says_what_was_chosen_and_how_the_mixture_differed(repaired):
    _, notes = repaired[GRADIENT.id]
    assert "Of a mixture of" in notes[0]
    assert "agrees with the chosen head" in notes[0]


def test_parameters_are_chosen_by_what_the_thresholds_decide_not_by_accuracy_alone(bench):
    (bench / "auditkit.toml").write_text(
        CONFIG + f'[remedies."{THRESHOLDS.id}"]\nchoices.slack = [0.5, 0.02]\n'
    )
    mitigate(THRESHOLDS.id)
    record = Mitigation.from_json((bench / "mitigation" / "mitigation.json").read_bytes())
    assert len(record.repairs[0].tried) == 2
    # The model's own answers would score below 0: all in one group's positives are missed.
    assert all(one.score > 0.8 for one in record.repairs[0].tried)


def test_the_score_takes_the_gap_off_the_accuracy():
    class Fixed:
        def __init__(self, labels):
            self.labels = labels

        def predict(self, inputs):
            return Predictions(self.labels, None)

    data = tiny_data(np.array([0, 1] * 100), {"g": ["a", "a", "b", "b"] * 50}, 2)
    truth = data.labels
    unfair = truth.copy()
    unfair[np.flatnonzero((truth == 1) & (data.groups["g"].codes == 1))[:10]] = 0
    assert THRESHOLDS.score(Fixed(truth), data, THRESHOLDS.params()) == 1.0
    assert GRADIENT.score(Fixed(unfair), data, GRADIENT.params()) == pytest.approx(0.95 - 0.2)


def one_group(data):
    return replace(data, groups={"gender": Attribute.from_values("gender", ["f"] * len(data))})


def no_attribute(data):
    return replace(data, groups={})


def two_attributes(data):
    return replace(data, groups={**data.groups, "age": data.groups["gender"]})


@pytest.mark.parametrize("remedy", BOTH, ids=lambda one: one.id)
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (one_group, "in one group"),
        (no_attribute, "0 sensitive attributes"),
        (two_attributes, r"2 sensitive attributes \(gender, age\)"),
        (lambda data: replace(data, positive=None), "named as the positive one"),
    ],
)
def test_rows_without_groups_to_compare_are_refused(unfair, tmp_path, remedy, spoil, said):
    changed = repairing(tmp_path, unfair)
    changed = replace(changed, train=spoil(changed.train), validation=spoil(changed.validation))
    with pytest.raises(RemedyError, match=said):
        remedy.apply(changed, remedy.params())
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("which", ["train", "validation"])
def test_rows_of_one_group_are_named_by_what_they_are_for(unfair, tmp_path, which):
    settings = repairing(tmp_path, unfair)
    settings = replace(settings, **{which: one_group(getattr(settings, which))})
    purpose = {"train": "train on", "validation": "choose by"}[which]
    with pytest.raises(RemedyError, match=f"all rows to {purpose} are in one group"):
        GRADIENT.apply(settings, GRADIENT.params())


def test_groups_too_small_for_a_threshold_keep_the_model_s_answer(unfair, tmp_path):
    data = data_of_groups(200, 22)
    groups = data.groups["gender"].values()
    groups[:6] = ["x"] * 6
    groups[6] = None
    data = replace(data, groups={"gender": Attribute.from_values("gender", groups)})
    notes = []
    made = THRESHOLDS.apply(
        repairing(tmp_path, unfair, validation=data, note=notes.append), THRESHOLDS.params()
    )
    rule = GroupThresholds.read(made / FILE_NAME)
    assert set(rule.thresholds) == {"f", "m"}
    assert any("stays for rows of x" in note for note in notes)
    with pytest.raises(RemedyError, match="fewer than two groups"):
        THRESHOLDS.apply(repairing(tmp_path, unfair), THRESHOLDS.params(minimum_group_size=101))


def test_the_rule_decides_by_group_and_leaves_unknown_groups_to_the_model():
    rule = GroupThresholds("g", "b", {"x": 0.3, "y": 0.8}, "digest")
    scores = np.array([[0.1, 0.4, 0.5], [0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.1, 0.8, 0.1],
                       [0.2, 0.35, 0.45], [0.2, 0.35, 0.45]])  # fmt: skip
    found = rule.decide(scores, 1, ["x", "y", "x", "y", "z", None])
    assert found.labels.tolist() == [1, 2, 1, 1, 2, 2]
    assert (found.probabilities == scores).all()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 1, "attribute": "g", "positive": "b", "model": "d"}',
     '{"version": 1, "attribute": "g", "positive": "b", "model": "d", "thresholds": {"x": 2}}',
     '{"version": 1, "attribute": "g", "positive": "b", "model": "d", "thresholds": {"x": NaN}}',
     '{"version": 1, "attribute": "g", "positive": "b", "model": "d", "thresholds": {"x": true}}'],
)  # fmt: skip
def test_what_is_no_rule_is_refused(tmp_path, text):
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(ModelError, match="not a file of thresholds"):
        GroupThresholds.read(tmp_path / FILE_NAME)


def test_thresholds_beside_another_model_are_refused(unfair, fair, tmp_path):
    from auditkit.config import ModelConfig

    made = THRESHOLDS.apply(repairing(tmp_path, unfair), THRESHOLDS.params())
    other = tmp_path / "other"
    shutil.copytree(fair, other)
    shutil.copy(made / FILE_NAME, other)
    with pytest.raises(ModelError, match="chosen for another model"):
        decisions_of(ModelConfig(device="cpu", path=str(other)), other, data_of_groups(8, 1))
    with pytest.raises(ConfigError, match="does not name the attribute 'gender'"):
        decisions_of(ModelConfig(device="cpu", path=str(made)), made,
                     no_attribute(data_of_groups(8, 1)))  # fmt: skip


CONFIG = """
only = ["quality.metric", "quality.calibration", "fairness.equalized-odds",
  "robustness.natural-noise"]

[model]
path = "model"
device = "cpu"

[data]
path = "d.csv"
text = "text"
label = "label"
split = "split"
sensitive = ["gender"]
"""


@pytest.fixture(scope="module")
def mitigated(unfair, tmp_path_factory) -> Path:
    """A folder in which thresholds were chosen and audited. Do not change it."""
    folder = tmp_path_factory.mktemp("bench")
    shutil.copytree(unfair, folder / "model")
    rows = []
    for split, size, seed in (("train", 200, 31), ("validation", 160, 32), ("test", 300, 33)):
        texts, labels, groups = grouped(size, seed, split)
        rows += [
            (text, NAMES[label], split, group, text)
            for text, label, group in zip(texts, labels, groups, strict=True)
        ]
    write(folder / "d.csv", rows)
    (folder / "auditkit.toml").write_text(CONFIG)
    with contextlib.chdir(folder):
        mitigate(THRESHOLDS.id)
    return folder


@pytest.fixture
def bench(mitigated, tmp_path, monkeypatch) -> Path:
    """A copy of that folder, to work in."""
    monkeypatch.chdir(shutil.copytree(mitigated, tmp_path / "bench"))
    return Path.cwd()


def mitigate(*remedies: str) -> int:
    return main(["mitigate", "auditkit.toml", *(f"--remedy={one}" for one in remedies)])


def test_the_audit_judges_what_the_thresholds_decide(mitigated):
    place = mitigated / "mitigation"
    (repair,) = Mitigation.from_json((place / "mitigation.json").read_bytes()).repairs
    gap = next(c for c in repair.comparison.changes if c.check == "fairness.equalized-odds")
    assert gap.word == "improved"
    assert gap.before.value > 0.3
    assert gap.after.value < 0.15
    result = AuditResult.from_json((place / THRESHOLDS.id / "audit" / "result.json").read_bytes())
    noise = [f for f in result.findings if f.check == "robustness.natural-noise"]
    reasons = [f.message for f in noise] + [n.reason for n in result.not_run]
    assert any("thresholds for a row's group" in reason for reason in reasons)
    assert any("has to be known when a decision is made" in one for one in result.subject.warnings)
    assert any("law" in note for note in repair.notes)
    calibration = [c for c in repair.comparison.changes if c.check == "quality.calibration"]
    assert {c.word for c in calibration} <= {"no difference shown", "not compared pairwise",
                                             "worsened", "improved"}  # fmt: skip
    html = (place / THRESHOLDS.id / "audit" / "report.html").read_text(encoding="utf-8")
    assert "has to be known when a decision is made" in html


def test_the_folder_is_audited_with_its_thresholds_wherever_it_is(bench, capsys):
    made = bench / "mitigation" / THRESHOLDS.id
    shutil.copytree(made / "model", bench / "released")
    text = CONFIG.replace('path = "model"', 'path = "released"')
    (bench / "again.toml").write_text(text)
    main(["run", "again.toml", "--out", "again"])
    (bench / "first.toml").write_text(
        CONFIG.replace('path = "model"', f"path = {str(made / 'model')!r}")
    )
    main(["run", "first.toml", "--no-cache", "--out", "first"])
    judged, first, again = (
        AuditResult.from_json((folder / "result.json").read_bytes())
        for folder in (made / "audit", bench / "first", bench / "again")
    )
    assert again.subject.model_digest == first.subject.model_digest == judged.subject.model_digest
    assert [f.measurement.value for f in again.findings if f.measurement] == [
        f.measurement.value for f in first.findings if f.measurement
    ]
    assert [f.outcome for f in again.findings] == [f.outcome for f in judged.findings]
    assert main(["plan", "again.toml"]) == 0
    (bench / "again.toml").write_text(text.replace('sensitive = ["gender"]', ""))
    capsys.readouterr()
    assert main(["run", "again.toml", "--out", "third"]) == 2
    assert "does not name the attribute 'gender'" in capsys.readouterr().err
    assert main(["mitigate", "again.toml", "--remedy", GRADIENT.id]) == 2


def test_a_changed_threshold_is_another_model(bench):
    file = bench / "mitigation" / THRESHOLDS.id / "model" / FILE_NAME
    before = Mitigation.from_json((bench / "mitigation" / "mitigation.json").read_bytes())
    whole = file.read_bytes()
    document = json.loads(whole)
    document["thresholds"]["f"] = 0.99
    file.write_text(json.dumps(document))
    mitigate(THRESHOLDS.id)
    after = Mitigation.from_json((bench / "mitigation" / "mitigation.json").read_bytes())
    assert file.read_bytes() == whole
    assert after.repairs[0].verdict.model_digest == before.repairs[0].verdict.model_digest


def test_the_features_are_what_the_last_layer_is_given(unfair, tmp_path):
    from auditkit.config import ModelConfig

    head = OpenedHead(ModelConfig(path=str(unfair), device="cpu"), tmp_path)
    texts = data_of_groups(30, 5).inputs
    logits = head.features(texts) @ head.weight.T + head.bias
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = loaded(unfair).predict(texts).probabilities
    assert np.allclose(shifted / shifted.sum(axis=1, keepdims=True), expected, atol=1e-5)


def test_three_classes_are_refused_by_the_one_and_decided_by_the_other(save_model, tmp_path):
    model = save_model(tmp_path / "three", labels=3, spread=0.05)
    rng = np.random.default_rng(0)
    texts, _, groups = grouped(120, 3)
    data = tiny_data(rng.integers(0, 3, 120), {"gender": groups}, 3)
    names = loaded(model).class_names
    data = replace(data, inputs=tuple(texts), class_names=names, positive=1)
    settings = repairing(tmp_path, model, validation=data)
    settings = replace(settings, train=data, predictor=SharedPredictor(loaded(model)))
    with pytest.raises(RemedyError, match="3 classes; this remedy is for two"):
        GRADIENT.apply(settings, GRADIENT.params())
    made = THRESHOLDS.apply(settings, THRESHOLDS.params(constraint="demographic-parity"))
    rule = GroupThresholds.read(made / FILE_NAME)
    assert rule.positive == "c1"
    assert MISSING not in rule.thresholds
