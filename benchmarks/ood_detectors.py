"""Scores of the detectors of `ood.detection` against those of pytorch-ood on the same numbers.

    python benchmarks/ood_detectors.py [--model FOLDER --texts FILE.csv --column text]

Needs pytorch-ood (`pip install --no-deps pytorch-ood`). Without a model the embeddings and the head
are drawn at random, 256 wide. The largest difference is printed for each detector, relative to the
spread of its scores. pytorch-ood halves the Mahalanobis distance and sums covariances instead of
averaging them, which is undone here, and adds 1e-6 to the diagonal of the sum; its ViM computes in
single precision. Both are also compared without that, and only then have to agree. Its
entropy takes no probability for less than 1e-7: only rows without such have to agree in it.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

from auditkit.metrics.detectors import (
    Reference,
    _principal_dimensions,
    log_sum_exp,
    logit_scores,
)
from auditkit.model import Head

NEAR = 1e-6
CLIPPED = 1e-7
RIDGE = 1e-6
ABSENT = ("torchvision", *(
    f"torchvision.{name}" for name in (
        "transforms", "transforms.functional", "datasets", "datasets.utils", "datasets.vision",
        "models", "models._utils", "models.resnet",
    )
))  # fmt: skip
ROWS = 1_500


class _Absent(types.ModuleType):
    """Stands in for torchvision, which pytorch-ood imports for images and which is not used."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self.__name__}.{name}")

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (object,)

    def __call__(self, *_: Any, **__: Any) -> _Absent:
        return self


def detectors() -> Any:
    """The module of pytorch-ood's detectors."""
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError):
        for name in ABSENT:
            sys.modules[name] = _Absent(name)
    return importlib.import_module("pytorch_ood.detector")


def drawn(width: int = 256, classes: int = 4) -> tuple[np.ndarray, Head]:
    rng = np.random.default_rng(0)
    mixing = np.linalg.qr(rng.normal(size=(width, width)))[0] * rng.uniform(0.3, 3, width)
    centres = 2 * rng.normal(size=(classes, width))
    vectors = rng.normal(size=(ROWS, width)) + centres[rng.integers(0, classes, ROWS)]
    return vectors @ mixing, Head(rng.normal(size=(classes, width)) / 10, rng.normal(size=classes))


def of_model(folder: Path, file: Path, column: str) -> tuple[np.ndarray, Head]:
    from auditkit.config import ModelConfig
    from auditkit.models.transformers_text import load_transformers
    from auditkit.predictor import SharedPredictor

    with file.open(newline="", encoding="utf-8") as lines:
        texts = [row[column] for row in csv.DictReader(lines)][:ROWS]
    predictor = SharedPredictor(load_transformers(ModelConfig(path=str(folder)), online=False))
    return predictor.embed(texts).astype(np.float64), predictor.head()


def theirs(
    found: Any, known: np.ndarray, labels: np.ndarray, head: Head, asked: np.ndarray
) -> dict[str, np.ndarray]:
    """Scores by pytorch-ood, by the name that they have here."""
    import torch

    torch.set_default_dtype(torch.float64)
    z, x, y = torch.tensor(known), torch.tensor(asked), torch.tensor(labels)
    w, b = torch.tensor(head.weights), torch.tensor(head.bias)
    logits, width = x @ w.T + b, _principal_dimensions(known.shape[1])
    gaussians = found.Mahalanobis(None).fit_features(z, y)
    plain = {
        "msp": 1 + found.MaxSoftmax(None).predict_logits(logits),
        "max-logit": found.MaxLogit(None).predict_logits(logits),
        "energy": found.EnergyBased(None).predict_logits(logits),
        "entropy": found.Entropy(None).predict_logits(logits),
        "mahalanobis": 2 * len(z) * gaussians.predict_features(x),
        "knn": found.KNN(None, k=50).fit_features(z, y).predict_features(x),
        "vim": found.ViM(None, width, w, b).fit_features(z, y).predict_features(x),
    }
    ridge = RIDGE * torch.eye(known.shape[1])
    gaussians.precision = torch.linalg.pinv(gaussians.cov - ridge, hermitian=True)
    plain["mahalanobis, no ridge"] = 2 * len(z) * gaussians.predict_features(x)
    single = torch.Tensor.float
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    try:
        double = found.ViM(None, width, w, b).fit_features(z, y).predict_features(x)
    finally:
        torch.Tensor.float = single  # type: ignore[method-assign]
    return {name: np.asarray(one) for name, one in (plain | {"vim, double": double}).items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--column", default="text")
    given = parser.parse_args()
    vectors, head = drawn()
    if given.model is not None:
        vectors, head = of_model(given.model, given.texts, given.column)
    known, asked = vectors[: 2 * len(vectors) // 3], vectors[2 * len(vectors) // 3 :]
    labels = np.unique(head.logits(known).argmax(axis=1), return_inverse=True)[1]
    ours = logit_scores(head.logits(asked)) | Reference(known, labels, head, 50).scores(asked)
    far = []
    for name, other in theirs(detectors(), known, labels, head, asked).items():
        own, scores = ours[name.partition(",")[0]], other
        if name == "entropy":
            logits = head.logits(asked)
            plain = (logits - log_sum_exp(logits)[:, None]).min(axis=1) > np.log(CLIPPED)
            own, scores = own[plain], scores[plain]
        off = float(np.abs(scores - own).max())
        spread = float(np.abs(own).max())
        print(f"{name:<21} largest difference {off:.1e}, of the largest score {off / spread:.1e}")
        far += (
            [name] if name not in {"vim", "mahalanobis"} and off > NEAR * max(spread, 1.0) else []
        )
    if far:
        sys.exit(f"further apart than allowed: {', '.join(far)}")


if __name__ == "__main__":
    main()
