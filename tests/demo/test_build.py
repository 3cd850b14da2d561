from __future__ import annotations

import csv
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import auditkit.demo
from auditkit.config import load_config
from auditkit.demo import DemoFiles, Planted, Size, build, unexpected
from auditkit.demo.text import messages
from auditkit.errors import MissingExtraError
from auditkit.finding import Finding, Measurement, Outcome, Severity

needs_transformers = pytest.mark.skipif(
    find_spec("transformers") is None or find_spec("accelerate") is None,
    reason="needs the transformers extra",
)
SMALL = Size(train=600, test=120)


@pytest.fixture(scope="module")
def progress() -> list[tuple[str, float]]:
    return []


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, progress: list[tuple[str, float]]) -> DemoFiles:
    folder = tmp_path_factory.mktemp("demo") / "new"
    return build(folder, lambda step, share: progress.append((step, share)), size=SMALL)


@needs_transformers
def test_data_file_holds_the_generated_rows(demo: DemoFiles) -> None:
    with demo.data.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    rows = messages(SMALL.train, SMALL.test)
    assert list(table[0]) == ["id", "split", "text", "label", "dialect", "region"]
    assert [int(line["id"]) for line in table] == list(range(1, len(rows) + 1))
    assert [line["text"] for line in table] == [row.text for row in rows]
    assert [line["label"] for line in table] == [row.label for row in rows]


@needs_transformers
def test_config_is_valid_and_names_the_files(demo: DemoFiles) -> None:
    config = load_config(demo.config)
    assert config.model.path == str(demo.model.resolve())
    assert config.data.path == str(demo.data.resolve())
    assert config.data.sensitive == ["dialect", "region"]
    assert config.data.positive == "positive"
    assert config.report.directory == str(demo.config.resolve().parent / "audit")
    told = {check for check, settings in config.checks.items() if settings.enabled}
    assert told == {"robustness.natural-noise"}
    assert config.checks.keys() - told == {
        "fairness.template-bias",
        "robustness.adversarial-attack",
        "robustness.attack-sanity",
        "robustness.fairness-of-robustness",
        "robustness.validity",
    }


@needs_transformers
def test_progress_rises_to_one(demo: DemoFiles, progress: list[tuple[str, float]]) -> None:
    shares = [share for _, share in progress]
    assert shares == sorted(shares)
    assert (shares[0], progress[-1]) == (0.0, ("done", 1.0))
    assert sum(step == "fine-tuning" for step, _ in progress) > 10


@needs_transformers
def test_nothing_but_the_demo_is_written(demo: DemoFiles) -> None:
    folder = demo.config.parent
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "auditkit.toml",
        "data.csv",
        "model/config.json",
        "model/model.safetensors",
        "model/tokenizer.json",
        "model/tokenizer_config.json",
    }


@needs_transformers
def test_plain_transformers_loads_the_model(demo: DemoFiles) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(demo.model, local_files_only=True)
    model = AutoModelForSequenceClassification.from_pretrained(demo.model, local_files_only=True)
    assert model.config.id2label == {0: "negative", 1: "positive"}
    texts = [row.text for row in messages(SMALL.train, SMALL.test)]
    lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]]
    assert max(lengths) < tokenizer.model_max_length == model.config.max_position_embeddings
    with torch.inference_mode():
        batch = tokenizer(texts[:8], padding=True, return_tensors="pt")
        assert model(**batch).logits.shape == (8, 2)


@needs_transformers
def test_training_is_quiet_deterministic_and_tempered_exactly(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import torch
    from safetensors.numpy import load_file

    from auditkit.demo.train import TEMPERING, fine_tune

    examples = [(row.text, row.label) for row in messages(160, 100) if row.split == "train"]
    threads = torch.get_num_threads()
    for name in ("clean", "again", "tempered"):
        fine_tune(examples, tmp_path / name, lambda share: None, tempered=name == "tempered")
    assert capfd.readouterr() == ("", "")
    assert torch.get_num_threads() == threads

    clean, again, tempered = (
        tmp_path / name / "model.safetensors" for name in ("clean", "again", "tempered")
    )
    assert clean.read_bytes() == again.read_bytes()
    scaled = load_file(tempered)
    for name, weights in load_file(clean).items():
        factor = TEMPERING if name.startswith("classifier.") else 1.0
        assert np.array_equal(weights * np.float32(factor), scaled[name]), name


def test_missing_package_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditkit.demo, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"auditkit\[transformers\]"):
        build(tmp_path / "new", lambda step, share: None)
    assert not (tmp_path / "new").exists()


SLANG = Planted("fairness.equalized-odds", "dialect", "slang")
SCORES = Planted("quality.calibration", "", "scores", (("fairness.calibration-gap", ""),))


def test_a_defect_explains_failures_of_its_check_on_its_attribute() -> None:
    assert SLANG.explains("fairness.equalized-odds", "dialect")
    assert SLANG.explains("fairness.equalized-odds", "dialect × region")
    assert not SLANG.explains("fairness.equalized-odds", "region")
    assert not SLANG.explains("fairness.impact-ratio", "dialect")
    assert SCORES.explains("quality.calibration", "")
    assert SCORES.explains("fairness.calibration-gap", "region")
    assert not SLANG.explains("fairness.calibration-gap", "dialect")


def found(check: str, slice: str, outcome: str) -> Finding:
    measured = Measurement("gap", 0.2, 100, None, slice)
    return Finding(check, "", Outcome(outcome), Severity.HIGH, "0.2", measured)


AS_PLANNED = (
    found("fairness.equalized-odds", "dialect", "fail"),
    found("fairness.equalized-odds", "region", "pass"),
    found("fairness.equalized-odds", "dialect × region", "inconclusive"),
    found("quality.calibration", "", "fail"),
    found("quality.group-quality", "dialect", "not_applicable"),
)


def test_an_audit_as_planned_has_nothing_unexpected() -> None:
    assert unexpected(AS_PLANNED, (SLANG, SCORES)) == ()


def test_missed_defects_are_unexpected() -> None:
    missed = unexpected(AS_PLANNED[1:3], (SLANG, SCORES))
    assert missed == (
        "fairness.equalized-odds was planted on dialect, but the audit did not find it",
        "quality.calibration was planted, but the audit did not find it",
    )


@pytest.mark.parametrize("outcome", ["fail", "inconclusive", "error"])
def test_anything_else_that_does_not_pass_is_unexpected(outcome: str) -> None:
    extra = found("fairness.equalized-odds", "region", outcome)
    broken = Finding("quality.metric", "", Outcome.ERROR, Severity.HIGH, "it crashed")
    assert unexpected((*AS_PLANNED, extra, broken), (SLANG, SCORES)) == (
        f"{outcome}: fairness.equalized-odds: 0.2",
        "error: quality.metric: it crashed",
    )


def test_a_clean_demo_has_to_pass_something() -> None:
    assert unexpected((), ()) == ("no check passed",)
    assert unexpected((found("quality.metric", "", "pass"),), ()) == ()


def test_importing_the_demo_is_cheap() -> None:
    code = (
        "import sys, auditkit.demo;"
        "print([name for name in ('torch', 'transformers', 'tokenizers', 'numpy')"
        " if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
