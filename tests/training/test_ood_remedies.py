"""Remedies for what lies out of distribution: losses by hand, and a weakness they must repair."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from auditkit.checks.ood.augmentation import _Mixing
from auditkit.checks.ood.outlier_exposure import _Exposing
from scipy.special import log_softmax, logsumexp

import auditkit
from auditkit.config import ModelConfig
from auditkit.data import AuditData
from auditkit.errors import DataError
from auditkit.metrics.detectors import logit_scores
from auditkit.models.transformers_text import load_transformers
from auditkit.predictor import SharedPredictor, content_digest
from auditkit.registry import load_registry
from auditkit.remedy import RemedyContext, RemedyError, TrainingParams, TrainingRows
from auditkit.stats.auc import auc
from auditkit.training.linear_head import OpenedHead

from .conftest import QUICK, data_of, opened

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

REMEDIES = load_registry().remedies
FAR = ("quiet", "loud", "long", "short", "cold", "fine")
"""Words that no training row has."""


def far_texts(rows: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(FAR, size=int(rng.integers(3, 9)))) for _ in range(rows)]


def loaded(folder: Path) -> SharedPredictor:
    model = load_transformers(ModelConfig(path=str(folder), device="cpu"), online=False)
    return SharedPredictor(model)


def scores(folder: Path, texts: Any) -> dict[str, np.ndarray]:
    predictor = loaded(folder)
    return logit_scores(predictor.head().logits(predictor.embed(texts)))


def told(folder: Path, detector: str, data: AuditData, far: list[str]) -> float:
    """AUROC of telling far texts from rows in distribution."""
    found = auc(scores(folder, far)[detector], scores(folder, data.inputs)[detector])
    assert found is not None
    return found


def context(folder: Path, model: Path, train: AuditData, **shop: Any) -> RemedyContext:
    bench = opened(folder, model, **shop)
    config = ModelConfig(path=str(model), device="cpu")
    notes: list[str] = []
    return RemedyContext(
        model=model,
        train=train,
        validation=bench.validation,
        predictor=loaded(model),
        ask=loaded,
        fine_tune=bench.fine_tune,
        seed=0,
        rng=np.random.default_rng(0),
        work=folder / "made",
        head=lambda: OpenedHead(config, folder),
        note=notes.append,
    )


@pytest.fixture(scope="module")
def plain(untrained: Path, tmp_path_factory) -> Path:
    """A model trained on the training rows alone."""
    shop = opened(tmp_path_factory.mktemp("plain"), untrained)
    params = TrainingParams(epochs=4, rows_at_once=16, **QUICK)
    return shop.fine_tune(TrainingRows.of(data_of(160, 1, telling=2)), params)


@pytest.fixture
def outliers(tmp_path: Path) -> str:
    file = tmp_path / "far.jsonl"
    file.write_text("\n".join(json.dumps({"text": text}) for text in far_texts(200, 5)))
    return str(file)


def test_the_gain_of_a_repair_is_compared_pair_by_pair(plain, outliers, tmp_path):
    shutil.copytree(plain, tmp_path / "model")
    rows = [(data_of(160, 1, telling=2), "train"), (data_of(200, 11, telling=2), "test")]
    with (tmp_path / "d.csv").open("w") as file:
        file.write("text,label,split\n")
        for data, split in rows:
            for text, label in zip(data.inputs, data.labels, strict=True):
                file.write(f"{text},{data.class_names[label]},{split}\n")
    (tmp_path / "far.csv").write_text("text\n" + "\n".join(far_texts(200, 12)) + "\n")
    config = {
        "only": ["ood.detection"],
        "model": {"path": str(tmp_path / "model"), "device": "cpu"},
        "data": {
            "path": str(tmp_path / "d.csv"), "text": "text", "label": "label", "split": "split",
            "ood": {"far": {"path": str(tmp_path / "far.csv")}},
        },
        "checks": {"ood.detection": {"params": {"judged": "energy"}}},
        "remedies": {
            "ood.outlier-exposure": {
                "params": {"auxiliary_file": outliers, "strength": 0.5, "epochs": 2, **QUICK}
            }
        },
        "report": {"directory": str(tmp_path / "audit")},
    }  # fmt: skip
    record = auditkit.mitigate(config, ["ood.outlier-exposure"], out=tmp_path / "repairs")
    changes = record.repairs[0].comparison.changes
    area = next(one for one in changes if (one.name, one.slice) == ("auroc", "far"))
    assert area.word == "improved"
    assert area.meant
    assert area.before.value + area.difference == pytest.approx(area.after.value, abs=0.02)
    assert 0 < area.interval.lower < area.difference < area.interval.upper


def test_even_probabilities_make_texts_out_of_distribution_tell(plain, outliers, tmp_path):
    test, far = data_of(100, 11, telling=2), far_texts(100, 12)
    params = REMEDIES["ood.outlier-exposure"].params(
        auxiliary_file=outliers, loss="uniform", strength=0.5, epochs=2, rows_at_once=16, **QUICK
    )
    repaired = REMEDIES["ood.outlier-exposure"].apply(
        context(tmp_path / "work", plain, data_of(160, 1, telling=2)), params
    )
    before, after = (told(folder, "msp", test, far) for folder in (plain, repaired))
    assert after >= 0.98
    assert after > before + 0.02
    assert (loaded(repaired).predict(test.inputs).labels == test.labels).mean() >= 0.95


def test_mixing_trains_a_model_that_is_right(plain, tmp_path):
    test = data_of(100, 11, telling=2)
    params = REMEDIES["ood.augmentation"].params(epochs=1, rows_at_once=16, **QUICK)
    repaired = REMEDIES["ood.augmentation"].apply(
        context(tmp_path / "work", plain, data_of(160, 1, telling=2)), params
    )
    assert (loaded(repaired).predict(test.inputs).labels == test.labels).mean() >= 0.95


def test_mixing_keeps_a_layer_from_growing_sure_between_its_classes():
    torch.manual_seed(0)
    labels = torch.arange(64) % 2
    reads = torch.randn(64, 4) + 4 * labels[:, None] - 2
    sure = {}
    for name, loss in (
        ("plain", lambda z, b: torch.nn.functional.cross_entropy(z, b["labels"])),
        ("mixed", _Mixing(1.0)),
    ):
        layer = torch.nn.Linear(4, 2)
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
        for _ in range(300):
            optimizer.zero_grad()
            loss(layer(reads), {"labels": labels}).backward()
            optimizer.step()
        with torch.no_grad():
            between = layer(reads * 0.3).softmax(dim=1).max(dim=1).values
            assert bool((layer(reads).argmax(dim=1) == labels).all())
        sure[name] = float(between.mean())
    assert sure["mixed"] < sure["plain"] - 0.05


def test_the_exposure_losses_by_hand():
    logits = np.array([[2.0, -1.0], [0.5, 0.2], [1.0, 1.5]])
    batch = {"labels": torch.tensor([0, 1, 0]), "outlier": torch.tensor([0.0, 0.0, 1.0])}
    energies = -logsumexp(logits, axis=1)
    entropy = -(log_softmax(logits, axis=1)[[0, 1], [0, 1]]).mean()
    kind = REMEDIES["ood.outlier-exposure"].params
    energy = _Exposing(kind(margin=2.0, strength=0.1), mean=-1.5)
    hinges = (np.maximum(energies[:2] + 1.5, 0) ** 2).mean()
    hinges += max(-1.5 + 2.0 - energies[2], 0) ** 2
    found = float(energy(torch.tensor(logits), batch))
    assert found == pytest.approx(entropy + 0.1 * hinges)
    uniform = _Exposing(kind(loss="uniform", strength=0.5), mean=0.0)
    even = -log_softmax(logits[2]).mean()
    assert float(uniform(torch.tensor(logits), batch)) == pytest.approx(entropy + 0.5 * even)


@pytest.mark.parametrize("outlier", [[0.0, 0.0], [1.0, 1.0]])
@pytest.mark.parametrize("loss", ["energy", "uniform"])
def test_a_batch_of_one_kind_has_a_loss_and_a_gradient(loss, outlier):
    params = REMEDIES["ood.outlier-exposure"].params(loss=loss)
    logits = torch.tensor([[1.0, 0.0], [0.0, 3.0]], requires_grad=True)
    batch = {"labels": torch.tensor([0, 1]), "outlier": torch.tensor(outlier)}
    _Exposing(params, -1.0)(logits, batch).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0


def test_mixing_logits_is_mixing_what_a_linear_layer_reads():
    torch.manual_seed(0)
    layer, reads = torch.nn.Linear(5, 3), torch.randn(8, 5)
    labels = torch.arange(8) % 3
    found = _Mixing(0.7)
    torch.manual_seed(1)
    ours = found(layer(reads), {"labels": labels})
    torch.manual_seed(1)
    partner = torch.randperm(8)
    share = torch.distributions.Beta(0.7, 0.7).sample((8,))[:, None]
    truth = torch.nn.functional.one_hot(labels, 3).float()
    target = share * truth + (1 - share) * truth[partner]
    mixed = layer(share * reads + (1 - share) * reads[partner])
    expected = -(target * mixed.log_softmax(dim=1)).sum(dim=1).mean()
    assert float(ours.detach()) == pytest.approx(float(expected.detach()), abs=1e-6)


def test_texts_that_are_judged_by_or_trained_on_are_not_shown(plain, tmp_path):
    train, far = data_of(60, 1), far_texts(30, 5)
    file = tmp_path / "far.csv"
    file.write_text("text\n" + "\n".join([*far, train.inputs[0]]) + "\n")
    judged = frozenset({content_digest(far[0])})
    work = context(tmp_path / "work", plain, train, audited=judged)
    seen = []

    def fine_tune(rows, params, **given):
        seen.append(rows)
        return work.fine_tune(rows, params, **given)

    params = REMEDIES["ood.outlier-exposure"].params(auxiliary_file=str(file), epochs=1, **QUICK)
    changed = RemedyContext(
        **{f: getattr(work, f) for f in work.__slots__} | {"fine_tune": fine_tune}
    )
    REMEDIES["ood.outlier-exposure"].apply(changed, params)
    assert len(seen[0]) == 60 + len(set(far))
    assert seen[0].texts.count(train.inputs[0]) == train.inputs.count(train.inputs[0])
    report = json.loads(next((tmp_path / "work").rglob("training.json")).read_text())
    assert report["left_out"] >= 1


def test_without_auxiliary_texts_there_is_an_error_that_says_what_to_do(plain, tmp_path):
    train = data_of(60, 1)
    work = context(tmp_path / "work", plain, train)
    kind, apply = REMEDIES["ood.outlier-exposure"].params, REMEDIES["ood.outlier-exposure"].apply
    with pytest.raises(RemedyError, match="no auxiliary texts"):
        apply(work, kind())
    file = tmp_path / "same.csv"
    file.write_text(f"text\n{train.inputs[0]}\n")
    with pytest.raises(RemedyError, match="also one of the training"):
        apply(work, kind(auxiliary_file=str(file)))
    file.write_text("words\na b\n")
    with pytest.raises(DataError, match="unknown column"):
        apply(work, kind(auxiliary_file=str(file)))


@pytest.mark.parametrize(
    ("remedy", "params"),
    [
        ("ood.outlier-exposure", {"strength": 0.0}),
        ("ood.outlier-exposure", {"margin": -1.0}),
        ("ood.outlier-exposure", {"most_outliers": 0}),
        ("ood.augmentation", {"alpha": 0.0}),
    ],
)
def test_impossible_parameters_are_refused(remedy, params):
    with pytest.raises(ValueError, match="must"):
        REMEDIES[remedy].params(**params)
