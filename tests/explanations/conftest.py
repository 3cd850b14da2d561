"""A tiny transformer to explain, and texts in its words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from auditkit.config import ModelConfig
from auditkit.explanations.explaining import TextExplainer
from auditkit.models.transformers_text import TransformersText, load_transformers
from auditkit.predictor import SharedPredictor

TEXTS = (
    "the film was not very good and the ending was awful",
    "a warm and funny story but the music is loud loud loud",
    "the actor is sad",
    "good",
    "a long quiet scene is fine but the plot was dull and cold and the movie was short",
)


@pytest.fixture(scope="session")
def tiny(save_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    save_model(folder)
    return folder


@pytest.fixture
def model(tiny: Path) -> TransformersText:
    return load_transformers(ModelConfig(path=str(tiny), workers=1), online=False)


@pytest.fixture
def explainer(model: TransformersText) -> TextExplainer:
    return TextExplainer(SharedPredictor(model), model)
