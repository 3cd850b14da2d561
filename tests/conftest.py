"""Shared by all tests: nothing reaches the network, and one tiny classifier to ask."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

for name in (
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_DATASETS_OFFLINE",
    "HF_EVALUATE_OFFLINE",
):
    os.environ[name] = "1"

# No audit of a test finds the answers of another, or touches the user's.
CACHES = tempfile.TemporaryDirectory(prefix="auditkit-tests-")
_numbers = itertools.count()
os.environ["AUDITKIT_CACHE"] = str(Path(CACHES.name, "shared"))

WORDS = (
    "a", "the", "film", "movie", "is", "was", "good", "bad", "fine", "dull", "warm", "cold", "and",
    "but", "not", "very", "story", "plot", "actor", "ending", "music", "scene", "great", "awful",
    "funny", "sad", "quiet", "loud", "long", "short",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDITKIT_CACHE", str(Path(CACHES.name, str(next(_numbers)))))


@pytest.fixture(scope="session")
def save_model() -> Callable[..., Path]:
    """A function that saves a random two-layer BERT with a word tokenizer."""

    def save(
        folder: Path,
        *,
        labels: int = 2,
        seed: int = 0,
        dtype: str = "float32",
        spread: float = 0.4,
    ) -> Path:
        torch = pytest.importorskip("torch")
        transformers = pytest.importorskip("transformers")
        tokenizers = pytest.importorskip("tokenizers")
        specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        vocabulary = {word: i for i, word in enumerate([*specials, *WORDS])}
        raw = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
        raw.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        raw.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=raw,
            model_max_length=48,
            pad_token="[PAD]",
            unk_token="[UNK]",
            cls_token="[CLS]",
            sep_token="[SEP]",
            mask_token="[MASK]",
        ).save_pretrained(folder)
        torch.manual_seed(seed)
        names = ["negative", "positive"] if labels == 2 else [f"c{i}" for i in range(labels)]
        config = transformers.BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=64,
            initializer_range=spread,
            num_labels=labels,
            id2label=dict(enumerate(names)),
            label2id={name: i for i, name in enumerate(names)},
        )
        model = transformers.BertForSequenceClassification(config)
        model.to(getattr(torch, dtype)).save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def tiny_model(save_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny classifier with the classes "negative" and "positive". Do not change it."""
    return save_model(tmp_path_factory.mktemp("models") / "tiny")
