"""Sentence embeddings by the encoder in the resource folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from auditkit.attacks.loading import load_part
from auditkit.resources import SENTENCE_ENCODER

MAX_TOKENS = 512

Encode = Callable[[Sequence[str]], Any]


def meaning_similarity(first: str, second: str, folder: Path | None = None) -> float:
    """Cosine of two texts' embeddings, -1..1, by the encoder in a folder.

    Args:
        first: A text.
        second: Another.
        folder: Of the encoder; by default the one in the resource folder.

    Raises:
        ConfigError: There is no encoder in the resource folder.
        UnsafeModelError: Loading it could run code.
    """
    import torch

    embeddings = (sentence_encoder() if folder is None else _loaded(folder))([first, second])
    return float(torch.nn.functional.cosine_similarity(embeddings[0], embeddings[1], dim=0))


def sentence_encoder() -> Encode:
    """A function from n texts to a tensor of shape (n, width): mean last hidden states.

    Raises:
        ConfigError: There is no encoder in the resource folder.
        UnsafeModelError: Loading it could run code.
    """
    return _loaded(SENTENCE_ENCODER.place())


@lru_cache(maxsize=1)
def _loaded(folder: Path) -> Encode:
    import torch
    import transformers

    encoder = load_part(transformers.AutoModel, folder).eval()
    tokenizer = load_part(transformers.AutoTokenizer, folder)
    longest = min(tokenizer.model_max_length, MAX_TOKENS)

    def encode(texts: Sequence[str]) -> Any:
        tokens = tokenizer(
            list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt"
        )
        with torch.inference_mode():
            states = encoder(**tokens).last_hidden_state
        seen = tokens["attention_mask"].unsqueeze(-1)
        return (states * seen).sum(dim=1) / seen.sum(dim=1)

    return encode
