"""The fairness remedies on a model that has learnt a mark of the group in place of the label."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit.config import parse_config
from auditkit.data import Attribute, AuditData
from auditkit.metrics.group_training import widest_gap
from auditkit.predictor import SharedPredictor, content_digest
from auditkit.remedy import RemedyError, TrainingParams, TrainingRows
from auditkit.stats.paired import paired_gap
from auditkit.training import Order, RemedyRows, repair
from auditkit.training.checkpoint import checkpoints

from .conftest import BAD, GOOD, NAMES, NEUTRAL, QUICK, opened
from .test_fine_tune import same
from .test_remedies import REMEDIES, answers, context, loaded

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

MARKS = ("quiet", "loud")
"""Words that members of group a, and of group b, write."""
BIASED = (0.8, 0.2)
"""Share of positives in the groups, where the mark of a group tells a label."""
FAIR = (0.5, 0.5)
CHOSEN: dict[str, dict[str, Any]] = {
    "fairness.reweighing": {},
    "fairness.group-dro": {"step_size": 0.05},
    "fairness.constrained-loss": {},
    "fairness.adversarial-debiasing": {"adversary_learning_rate": 1e-2},
}


def marked(
    rows: int, seed: int, positives: tuple[float, float] = FAIR, told: float = 0.65
) -> AuditData:
    """Texts with the mark of their group, of which a share holds a word that tells the label."""
    rng = np.random.default_rng(seed)
    texts, labels, groups = [], [], []
    for _ in range(rows):
        group = int(rng.integers(2))
        label = int(rng.random() < positives[group])
        words = [str(word) for word in rng.choice(NEUTRAL, size=int(rng.integers(3, 7)))]
        words.insert(int(rng.integers(len(words) + 1)), MARKS[group])
        if rng.random() < told:
            words.insert(int(rng.integers(len(words) + 1)), str(rng.choice((BAD, GOOD)[label])))
        texts.append(" ".join(words))
        labels.append(label)
        groups.append("ab"[group])
    attribute = Attribute.from_values("dialect", groups)
    return AuditData(
        tuple(texts), np.array(labels), NAMES, positive=1, groups={"dialect": attribute}
    )


TRAIN, VALIDATION, FRESH = marked(640, 1, BIASED), marked(200, 2, BIASED), marked(1000, 99)


def params(remedy: str, **chosen: Any) -> Any:
    return REMEDIES[remedy].params(**(QUICK | {"epochs": 4} | CHOSEN[remedy] | chosen))


def trained(folder: Path, model: Path, rows: AuditData) -> Path:
    shop = opened(folder, model, validation=VALIDATION)
    return shop.fine_tune(TrainingRows.of(rows), TrainingParams(epochs=5, patience=0, **QUICK))


@pytest.fixture(scope="session")
def biased(untrained, tmp_path_factory) -> Path:
    """A classifier that answers by the mark where no word tells the label. Do not change it."""
    return trained(tmp_path_factory.mktemp("biased"), untrained, TRAIN)


def odds_gap(model: Path, data: AuditData = FRESH) -> float:
    predicted = answers(model, data.inputs)
    return widest_gap(predicted, data.labels, data.groups["dialect"], (1,), "equalized-odds")


def accuracy(model: Path) -> float:
    return float((answers(model, FRESH.inputs) == FRESH.labels).mean())


def applied(remedy: str, folder: Path, model: Path, train: AuditData = TRAIN, **given: Any) -> Path:
    settings = {"validation": VALIDATION} | given.pop("context", {})
    made = context(folder, model, train, **settings)
    if "fine_tune" not in settings:
        shop = opened(folder, model, validation=made.validation)
        made = dataclasses.replace(made, fine_tune=shop.fine_tune)
    return REMEDIES[remedy].apply(made, params(remedy, **given))


@pytest.mark.parametrize("remedy", CHOSEN)
def test_the_gap_between_groups_closes_which_plain_training_leaves(remedy, biased, tmp_path):
    assert odds_gap(biased) > 0.3
    assert odds_gap(trained(tmp_path / "plain", biased, TRAIN)) > 0.3
    repaired = applied(remedy, tmp_path, biased)
    print(remedy, odds_gap(biased), odds_gap(repaired), accuracy(biased), accuracy(repaired))
    assert odds_gap(repaired) < odds_gap(biased) - 0.2
    assert accuracy(repaired) > accuracy(biased) - 0.02
