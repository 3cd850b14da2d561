"""How likely a text is to a causal language model of the user's."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from auditkit.attacks.loading import load_part

MAX_TOKENS = 512

Perplexity = Callable[[str], float | None]


@lru_cache(maxsize=1)
def perplexity_of(folder: Path) -> Perplexity:
    """A function from a text to its perplexity (1 and more), None where there is none to tell.

    The model is loaded offline, from safetensors, without running code of the folder. A text is
    started with the model's own start token if it has one, and cut after 512 tokens.

    Raises:
        UnsafeModelError: Loading the folder could run code.
        ModelError: It is damaged.
    """
    import torch
    import transformers

    model = load_part(transformers.AutoModelForCausalLM, folder).eval()
    tokenizer = load_part(transformers.AutoTokenizer, folder)
    longest = min(tokenizer.model_max_length, MAX_TOKENS)
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]

    def perplexity(text: str) -> float | None:
        pieces = tokenizer(text, add_special_tokens=False)["input_ids"]
        tokens = torch.tensor([[*start, *pieces][:longest]])
        if tokens.shape[1] < 2:
            return None
        with torch.inference_mode():
            scores = model(input_ids=tokens).logits[0, :-1].double()
        surprise = torch.nn.functional.cross_entropy(scores, tokens[0, 1:])
        found = math.exp(min(float(surprise), 700.0))
        return found if math.isfinite(found) else None

    return perplexity
