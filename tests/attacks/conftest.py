"""A tiny classifier of characters, sentences, and TextAttack's own loop to compare with."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit.attacks import AttackOutcome, Recipe
from auditkit.config import ModelConfig
from auditkit.models.transformers_text import load_transformers
from auditkit.predictor import SharedPredictor

if any(find_spec(package) is None for package in ("textattack", "greenlet")):
    collect_ignore_glob = ["test_*.py"]

WORDS = (
    "film", "movie", "good", "bad", "fine", "dull", "warm", "cold", "very", "story", "plot",
    "actor", "ending", "music", "scene", "great", "awful", "funny", "quiet", "loud", "long",
    "short", "the", "and", "was",
)  # fmt: skip


@pytest.fixture(scope="session")
def character_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer BERT that reads characters.

    No two texts look the same to it, so that the last bit of a tie never decides between two
    candidates, as it would with a tokenizer to which every misspelt word is unknown.
    """
    import string

    import tokenizers
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("characters")
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    known = [*specials, *string.ascii_letters, *string.digits, *" -'[]"]
    vocabulary = {one: i for i, one in enumerate(dict.fromkeys(known))}
    raw = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    raw.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), specials, strict=False))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, model_max_length=80, **names
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=96, initializer_range=0.4,
        id2label={0: "negative", 1: "positive"},
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def model(character_model: Path) -> Any:
    return load_transformers(ModelConfig(path=str(character_model), device="cpu"), online=False)


@pytest.fixture
def predictor(model: Any) -> SharedPredictor:
    return SharedPredictor(model)


@pytest.fixture(scope="session")
def examples(model: Any) -> tuple[list[str], list[int]]:
    """24 sentences; the label is the model's own answer, but for every sixth."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(4, 9))) for _ in range(24)]
    labels = SharedPredictor(model).predict(texts).labels.tolist()
    return texts, [1 - y if i % 6 == 5 else y for i, y in enumerate(labels)]


@pytest.fixture(scope="session")
def theirs(character_model: Path) -> Callable[..., tuple[str, str, int]]:
    """What TextAttack's own `Attack.attack` with its own wrapper makes of an outcome's example."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from auditkit.attacks.library import load_textattack
    from auditkit.attacks.supplied import in_use

    textattack = load_textattack()
    wrapper = textattack.models.wrappers.HuggingFaceModelWrapper(
        AutoModelForSequenceClassification.from_pretrained(character_model).eval(),
        AutoTokenizer.from_pretrained(character_model),
    )

    def attacked(
        outcome: AttackOutcome, recipe: Recipe, budget: int | None = None
    ) -> tuple[str, str, int]:
        with in_use(textattack):
            own = recipe.build(textattack, wrapper, **recipe.options)
            if budget is not None:
                own.goal_function.query_budget = budget
            textattack.shared.utils.set_seed(outcome.seed)
            result = own.attack(outcome.original, outcome.label)
        kind = type(result).__name__.removesuffix("AttackResult").lower()
        after = result.perturbed_result.attacked_text.text
        return kind.replace("successful", "succeeded"), after, result.num_queries

    return attacked
