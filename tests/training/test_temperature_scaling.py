"""Temperature scaling on a model that knows the rule and is far too sure of itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from auditkit.cli import main
from auditkit.config import ModelConfig
from auditkit.data import AuditData
from auditkit.metrics.calibration import ece_change, reliability
from auditkit.mitigation import Mitigation
from auditkit.models.transformers_text import load_transformers
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.remedy import RemedyContext, RemedyError
from auditkit.training.linear_head import OpenedHead

from .conftest import data_of, opened

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

REMEDY = load_registry().remedies["ood.temperature-scaling"]
WRONG = 0.2
"""Share of labels that no model can know."""


def noisy_data(rows: int, seed: int) -> AuditData:
    data = data_of(rows, seed)
    flip = np.random.default_rng(seed).random(rows) < WRONG
    return AuditData(data.inputs, np.where(flip, 1 - data.labels, data.labels), data.class_names, 1)


def predictor(folder: Path) -> SharedPredictor:
    return SharedPredictor(
        load_transformers(ModelConfig(path=str(folder), device="cpu"), online=False)
    )


@pytest.fixture(scope="session")
def too_sure(learnt: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier that knows the rule, with logits five times as large."""
    folder = tmp_path_factory.mktemp("sure")
    head = OpenedHead(ModelConfig(path=str(learnt), device="cpu"), folder)
    return head.replaced(5 * head.weight, 5 * head.bias)


@pytest.fixture
def context(too_sure: Path, tmp_path: Path) -> Callable[..., RemedyContext]:
    def made(model: Path = too_sure, **changed: object) -> RemedyContext:
        settings: dict[str, object] = {
            "model": model,
            "train": noisy_data(60, 1),
            "validation": noisy_data(300, 2),
            "predictor": predictor(model),
            "ask": predictor,
            "fine_tune": opened(tmp_path / "work", model).fine_tune,
            "seed": 0,
            "rng": np.random.default_rng(0),
            "work": tmp_path / "made",
            "head": lambda: OpenedHead(
                ModelConfig(path=str(model), device="cpu"), tmp_path / "head"
            ),
        }
        return RemedyContext(**(settings | changed))

    return made


def test_the_calibration_error_falls_and_no_label_changes(context, too_sure):
    notes: list[str] = []
    folder = REMEDY.apply(context(note=notes.append), REMEDY.params())
    audited = noisy_data(600, 3)
    before, after = (predictor(one).predict(audited.inputs) for one in (too_sure, folder))
    assert (before.labels == after.labels).all()
    tables = [reliability(one.probabilities, audited.labels, 15) for one in (before, after)]
    interval = ece_change(*tables, None, 0.025, np.random.default_rng(0))
    assert interval.upper < -0.05
    assert tables[1].ece < 0.1
    assert "No label of theirs has changed" in notes[0]


def test_plain_transformers_loads_the_folder_and_gives_the_logits_divided(context, too_sure):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    notes: list[str] = []
    folder = REMEDY.apply(context(note=notes.append), REMEDY.params())
    temperature = float(notes[0].split()[1].strip(","))
    logits = []
    for one in (too_sure, folder):
        model = AutoModelForSequenceClassification.from_pretrained(one).eval()
        tokens = AutoTokenizer.from_pretrained(one)("the film was good", return_tensors="pt")
        with torch.no_grad():
            logits.append(model(tokens["input_ids"]).logits.numpy())
    assert logits[0] / temperature == pytest.approx(logits[1], rel=1e-3)


def test_too_few_rows_and_rows_without_a_mistake_are_refused(context, too_sure):
    with pytest.raises(RemedyError, match="needs 50"):
        REMEDY.apply(context(validation=noisy_data(20, 2)), REMEDY.params())
    known = data_of(300, 2)
    said = predictor(too_sure).predict(known.inputs).labels
    perfect = AuditData(known.inputs, said, known.class_names, 1)
    with pytest.raises(RemedyError, match="makes no mistake"):
        REMEDY.apply(context(validation=perfect), REMEDY.params())


def test_mitigate_compares_the_sets_out_of_distribution_in_pairs(too_sure, tmp_path, monkeypatch):
    shutil.copytree(too_sure, tmp_path / "model")
    lines = ["text,label,split"]
    for split, rows, seed in (("train", 60, 1), ("validation", 200, 2), ("test", 900, 3)):
        data = noisy_data(rows, seed)
        lines += [
            f"{text},{data.class_names[label]},{split}"
            for text, label in zip(dict.fromkeys(data.inputs), data.labels, strict=False)
        ]
    seen: set[str] = set()
    kept = [
        line for line in lines if not (line.split(",")[0] in seen or seen.add(line.split(",")[0]))
    ]
    (tmp_path / "d.csv").write_text("\n".join(kept))
    config = {
        "model": {"path": str(tmp_path / "model"), "device": "cpu"},
        "data": {
            "path": str(tmp_path / "d.csv"), "text": "text", "label": "label", "split": "split",
            "ood": {"long": {"shift": "length", "share": 0.3}},
        },
        "only": ["ood.calibration-shift", "ood.accuracy-drop", "quality.calibration"],
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text(toml(config))
    main(["mitigate", "a.toml", "--remedy", "ood.temperature-scaling"])
    record = Mitigation.from_json(Path("mitigation/mitigation.json").read_bytes())
    changes = {(c.check, c.name, c.slice): c for c in record.repairs[0].comparison.changes}
    assert changes["quality.calibration", "calibration_error", ""].word == "improved"
    assert changes["quality.calibration", "calibration_error", ""].meant
    assert changes["ood.accuracy-drop", "drop", "long"].word == "no difference shown"
    assert changes["ood.accuracy-drop", "drop", "long"].difference == 0
    for name in ("ece_rise", "brier_rise"):
        change = changes["ood.calibration-shift", name, "long"]
        assert change.interval is not None
        assert change.method.endswith("both sides")
    assert record.repairs[0].comparison.answers_changed == 0


def toml(table: dict, prefix: str = "") -> str:
    """Nested tables as dotted keys."""
    lines = []
    for key, value in table.items():
        name = f"{prefix}{key}"
        lines.append(
            toml(value, f"{name}.") if isinstance(value, dict) else f"{name} = {json.dumps(value)}"
        )
    return "\n".join(lines)
