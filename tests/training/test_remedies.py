"""Each remedy on a model with a planted weakness it must repair."""

from __future__ import annotations

import dataclasses
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit.config import ModelConfig
from auditkit.data import AuditData
from auditkit.models.transformers_text import load_transformers
from auditkit.noise import NOISES, noisy
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.remedy import RemedyContext, RemedyError, TrainingParams, TrainingRows
from auditkit.testing import assert_remedy_contract
from auditkit.training.repair import KeptInFolder

from .conftest import QUICK, data_of, opened, sentences

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

REMEDIES = load_registry().remedies


def loaded(folder: Path) -> Any:
    return load_transformers(ModelConfig(path=str(folder), device="cpu"), online=False)


def context(folder: Path, model: Path, train: AuditData, **changed: Any) -> RemedyContext:
    shop = opened(folder, model)
    settings: dict[str, Any] = {
        "model": model,
        "train": train,
        "validation": shop.validation,
        "predictor": SharedPredictor(loaded(model)),
        "ask": lambda path: SharedPredictor(loaded(path)),
        "fine_tune": shop.fine_tune,
        "seed": 0,
        "rng": np.random.default_rng(0),
        "work": folder / "made",
        "kept": KeptInFolder(folder / "kept"),
    }
    return RemedyContext(**(settings | changed))


def params(remedy: str, **chosen: Any) -> Any:
    return REMEDIES[remedy].params(**(QUICK | chosen))


def answers(folder: Path, texts: tuple[str, ...]) -> np.ndarray:
    return loaded(folder).predict(texts).labels


@pytest.mark.parametrize("remedy_id", REMEDIES)
def test_the_remedy_keeps_the_contract(remedy_id):
    assert_remedy_contract(REMEDIES[remedy_id])


def under_moves(folder: Path, radius: float, steps: int = 10) -> float:
    """Accuracy when the embeddings of every text are moved to where the loss is highest."""
    from auditkit.checks.robustness.embedding_pgd import WithinBalls

    texts, labels = sentences(100, 99)
    model = loaded(folder)
    network, truth = model._loaded.forward.model, torch.tensor(labels)
    tokens = model.tokenize(texts)
    ids = torch.zeros(len(tokens), max(map(len, tokens)), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, one in enumerate(tokens):
        ids[row, : len(one)] = torch.tensor(one)
        mask[row, : len(one)] = 1
    table, balls = network.get_input_embeddings(), WithinBalls(radius, steps)
    embeddings = table(ids).detach()
    torch.manual_seed(0)
    move, right = balls.start(embeddings, mask), 0.0
    for _ in range(steps + 1):
        move = move.detach().requires_grad_()
        hook = table.register_forward_hook(lambda _, __, out, move=move: out + move)
        logits = network(input_ids=ids, attention_mask=mask).logits
        hook.remove()
        right = float((logits.argmax(dim=1) == truth).float().mean())
        (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, truth), move)
        move = balls.ascend(move.detach(), slope, embeddings, mask)
    return right


def test_embedding_pgd_makes_small_moves_of_words_harmless(learnt, tmp_path):
    assert under_moves(learnt, 0.5) < 0.3
    train = data_of(256, 31)
    settings = {"epochs": 4, "patience": 0, "learning_rate": 2e-3, "batch": 16}
    chosen = params("robustness.embedding-pgd", radius=1.0, **settings)
    repaired = REMEDIES["robustness.embedding-pgd"].apply(
        context(tmp_path / "pgd", learnt, train), chosen
    )
    assert under_moves(repaired, 0.5) > 0.9
    plain = TrainingParams(**settings)
    further = opened(tmp_path / "plain", learnt).fine_tune(TrainingRows.of(train), plain)
    assert under_moves(repaired, 1.0) > under_moves(further, 1.0) + 0.2


def test_the_moves_stay_within_their_balls_and_leave_padding_alone():
    from auditkit.checks.robustness.embedding_pgd import WithinBalls

    torch.manual_seed(0)
    embeddings = torch.randn(3, 5, 8)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
    balls = WithinBalls(radius=0.3, steps=3)
    lengths = embeddings.norm(dim=-1) * mask
    reach = 0.3 * lengths.sum(dim=1) / mask.sum(dim=1)
    move = balls.start(embeddings, mask)
    for _ in range(5):
        assert (move.norm(dim=-1) <= reach[:, None] * 1.0001).all()
        assert (move[mask == 0] == 0).all()
        move = balls.ascend(move, torch.randn_like(move) * 100, embeddings, mask)
    still = balls.ascend(move, torch.zeros_like(move), embeddings, mask)
    assert torch.allclose(still, move, atol=1e-6)


def invariance(folder: Path) -> float:
    texts, _ = sentences(200, 99)
    with_typos = tuple(noisy(NOISES["keyboard"], "mild", text, 3) for text in texts)
    return float((answers(folder, texts) == answers(folder, with_typos)).mean())


def test_augmentation_teaches_the_model_to_ignore_typing_errors(flipped_by_typos, tmp_path):
    assert invariance(flipped_by_typos) < 0.6
    chosen = params("robustness.augmentation", epochs=2, synonyms=0.0)
    repaired = REMEDIES["robustness.augmentation"].apply(
        context(tmp_path, flipped_by_typos, data_of(256, 31)), chosen
    )
    assert invariance(repaired) > 0.85
    texts, labels = sentences(200, 99)
    assert (answers(repaired, texts) == labels).mean() > 0.95


def test_augmentation_without_wordnet_says_so(learnt, tmp_path, monkeypatch):
    monkeypatch.setenv("AUDITKIT_RESOURCES", str(tmp_path / "nothing"))
    said: list[str] = []
    seen: list[TrainingRows] = []

    def fine_tune(rows, *_, **__):
        seen.append(rows)
        return learnt

    made = context(tmp_path, learnt, data_of(64, 31), fine_tune=fine_tune, note=said.append)
    REMEDIES["robustness.augmentation"].apply(made, params("robustness.augmentation", copies=2))
    assert any("No synonyms" in text for text in said)
    assert 64 < len(seen[0]) <= 3 * 64
    original = dict(zip(made.train.inputs, made.train.labels.tolist(), strict=True))
    assert seen[0].texts[:64] == made.train.inputs
    assert not set(seen[0].texts[64:]) & set(original)


def test_augmentation_exchanges_words_for_synonyms(learnt, tmp_path, monkeypatch, wordnet):
    monkeypatch.setenv("AUDITKIT_RESOURCES", str(wordnet))
    seen: list[TrainingRows] = []

    def fine_tune(rows, *_, **__):
        seen.append(rows)
        return learnt

    made = context(tmp_path, learnt, data_of(64, 31), fine_tune=fine_tune)
    chosen = params("robustness.augmentation", synonyms=1.0, noises=("whitespace",))
    REMEDIES["robustness.augmentation"].apply(made, chosen)
    added = [word for text in seen[0].texts[64:] for word in text.split()]
    assert "flick" in added
    assert "pic" in added


QUIET = pytest.mark.filterwarnings("ignore::DeprecationWarning")
"""TextAttack warns of its own age."""


@pytest.fixture
def attackable(monkeypatch, tmp_path):
    if find_spec("textattack") is None or find_spec("greenlet") is None:
        pytest.skip("TextAttack is not installed")
    monkeypatch.setenv("AUDITKIT_RESOURCES", str(tmp_path / "resources"))


@QUIET
def test_adversarial_training_makes_an_attack_fail_more_often(
    flipped_by_typos, tmp_path, attackable
):
    from auditkit.attacks import AttackSettings, Status, attack

    def holding(folder: Path) -> float:
        texts, labels = sentences(40, 99, telling=3)
        ask = SharedPredictor(loaded(folder)).predict
        outcomes = list(attack(texts, labels.tolist(), ask, "pruthi", AttackSettings(budget=200)))
        return sum(one.status is Status.FAILED for one in outcomes) / len(outcomes)

    said: list[str] = []
    chosen = params(
        "robustness.adversarial-training",
        recipes=("deepwordbug",), rounds=2, examples=48, epochs=2, budget=200,
    )  # fmt: skip
    made = context(tmp_path, flipped_by_typos, data_of(128, 31, telling=3), note=said.append)
    repaired = REMEDIES["robustness.adversarial-training"].apply(made, chosen)
    assert len(said) == 2
    assert said[0].startswith("Round 1: ")
    assert holding(flipped_by_typos) < 0.7
    assert holding(repaired) > 0.9


@QUIET
def test_adversarial_training_that_was_cut_off_does_not_attack_again(
    flipped_by_typos, tmp_path, attackable
):
    asked: list[int] = []

    class Counting:
        def __init__(self, path: Path) -> None:
            self.inner = SharedPredictor(loaded(path))

        def predict(self, inputs):
            asked.append(len(inputs))
            return self.inner.predict(inputs)

    def stop(*_, **__):
        raise KeyboardInterrupt

    chosen = params(
        "robustness.adversarial-training",
        recipes=("deepwordbug",), rounds=1, examples=12, epochs=1, budget=100,
    )  # fmt: skip
    apply = REMEDIES["robustness.adversarial-training"].apply
    settings = {"predictor": Counting(flipped_by_typos), "ask": Counting}
    data = data_of(64, 31)
    with pytest.raises(KeyboardInterrupt):
        apply(context(tmp_path, flipped_by_typos, data, fine_tune=stop, **settings), chosen)
    assert asked
    asked.clear()
    rows: list[TrainingRows] = []

    def keep(given, *_, **__):
        rows.append(given)
        return flipped_by_typos

    apply(context(tmp_path, flipped_by_typos, data, fine_tune=keep, **settings), chosen)
    assert asked == []
    assert 64 < len(rows[0]) <= 64 + 12


@QUIET
def test_a_model_that_no_attack_fools_leaves_nothing_to_train_on(learnt, tmp_path, attackable):
    class Deaf:
        def predict(self, inputs):
            from auditkit.model import Predictions

            right = np.array([[0.0, 1.0]] * len(list(inputs)))
            return Predictions.from_probabilities(right)

    data = data_of(64, 31)
    positive = data.rows(np.flatnonzero(data.labels == 1))
    chosen = params("robustness.adversarial-training", recipes=("deepwordbug",), examples=4)
    with pytest.raises(RemedyError, match="nothing to train on"):
        REMEDIES["robustness.adversarial-training"].apply(
            context(tmp_path, learnt, positive, predictor=Deaf()), chosen
        )


def test_by_default_nothing_conflicts_with_what_judges_by_default():
    registry = load_registry()
    suite = {id: dataclasses.asdict(check.params()) for id, check in registry.checks.items()}
    for one in registry.remedies.values():
        assert one.conflict(one.params(), suite) == ""


@pytest.mark.parametrize(
    ("remedy", "wrong", "said"),
    [
        ("robustness.embedding-pgd", {"radius": 0.0}, "radius"),
        ("robustness.embedding-pgd", {"steps": 0}, "steps"),
        ("robustness.embedding-pgd", {"epochs": 0}, "epochs"),
        ("robustness.embedding-pgd", {"learning_rate": 2.0}, "learning_rate"),
        ("robustness.embedding-pgd", {"warmup": 1.0}, "warmup"),
        ("robustness.embedding-pgd", {"lora_rank": -1}, "lora_rank"),
        ("robustness.augmentation", {"copies": 0}, "copies"),
        ("robustness.augmentation", {"noises": ("keybord",)}, "keyboard"),
        ("robustness.augmentation", {"synonyms": 1.5}, "synonyms"),
        ("robustness.adversarial-training", {"recipes": ()}, "at least one"),
        ("robustness.adversarial-training", {"recipes": ("deepwordbugg",)}, "deepwordbug"),
        ("robustness.adversarial-training", {"recipes": ("input-reduction",)}, "does not try"),
        ("robustness.adversarial-training", {"rounds": 0}, "rounds"),
    ],
)
def test_impossible_parameters_are_refused(remedy, wrong, said):
    with pytest.raises(ValueError, match=said):
        REMEDIES[remedy].params(**wrong)


def test_training_against_what_judges_is_a_conflict_and_against_another_is_not():
    remedy = REMEDIES["robustness.adversarial-training"]
    suite = {"robustness.adversarial-attack": {"recipes": ["deepwordbug", "pruthi"]}}
    same = dataclasses.replace(remedy.params(), recipes=("pwws", "pruthi"))
    assert "pruthi" in remedy.conflict(same, suite)
    other = dataclasses.replace(remedy.params(), recipes=("pwws",))
    assert remedy.conflict(other, suite) == ""
    assert remedy.conflict(same, {}) == ""
