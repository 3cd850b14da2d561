"""A classifier that misses the positives of one group, and rows that show it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from auditkit.data import Attribute, AuditData
from auditkit.remedy import TrainingParams, TrainingRows

from .conftest import NAMES, QUICK, opened, sentences

MARKS = {"f": "quiet", "m": "loud"}


def grouped(rows: int, seed: int, name: str = "") -> tuple[list[str], np.ndarray, list[str]]:
    """Texts that tell their class and their group, with a word that keeps splits apart."""
    texts, labels = sentences(rows, seed)
    groups = ["fm"[i % 2] for i in range(rows)]
    marked = [f"{MARKS[g]} {text} {name} {i}" for i, (g, text) in enumerate(zip(groups, texts))]  # noqa: B905
    return marked, labels, groups


def data_of_groups(rows: int, seed: int) -> AuditData:
    texts, labels, groups = grouped(rows, seed)
    attribute = Attribute.from_values("gender", groups)
    return AuditData(tuple(texts), labels, NAMES, 1, {"gender": attribute})


def biased_model(folder: Path, start: Path, flipped: float) -> Path:
    """Trained on labels in which a share of one group's positives is called negative."""
    texts, labels, groups = grouped(384, 11)
    rng = np.random.default_rng(0)
    is_f = np.array(groups) == "f"
    labels = np.where(is_f & (labels == 1) & (rng.random(len(labels)) < flipped), 0, labels)
    params = TrainingParams(epochs=4, patience=0, **QUICK)
    shop = opened(folder, start, validation=data_of_groups(40, 12))
    return shop.fine_tune(TrainingRows(tuple(texts), labels), params)
