"""Texts to token ids: by transformers, or by the tokenizer inside it without loading it."""

from __future__ import annotations

from typing import Any

from auditkit.errors import ModelError


class LoadedTokens:
    """A tokenizer of transformers."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def ids(self, texts: list[str], max_length: int | None) -> list[list[int]]:
        """Token ids of each text, special tokens included, cut after `max_length`."""
        encoded = self.tokenizer(
            texts,
            truncation=max_length is not None,
            max_length=max_length,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        tokens: list[list[int]] = encoded["input_ids"]
        return tokens

    def spans(self, text: str, max_length: int | None) -> list[tuple[int, int]]:
        """Characters [start, end) of each token of `ids`; none for special tokens.

        Raises:
            ModelError: The tokenizer does not tell.
        """
        if not self.tokenizer.is_fast:
            raise ModelError("the tokenizer does not tell which characters a token stands for.")
        encoded = self.tokenizer(
            text,
            truncation=max_length is not None,
            max_length=max_length,
            return_offsets_mapping=True,
            verbose=False,
        )
        return [(int(start), int(end)) for start, end in encoded["offset_mapping"]]


class BareTokens:
    """The tokenizer inside a fast tokenizer of transformers, which loads in milliseconds.

    Args:
        written: What `written_tokenizer` returned.
    """

    def __init__(self, written: dict[str, str]) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(written["tokenizer"])
        self._tokenizer.no_padding()
        self._side = written["side"]

    def ids(self, texts: list[str], max_length: int | None) -> list[list[int]]:
        """Token ids of each text, special tokens included, cut after `max_length`."""
        if max_length is None:
            self._tokenizer.no_truncation()
        else:
            self._tokenizer.enable_truncation(max_length, direction=self._side)
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]

    def spans(self, text: str, max_length: int | None) -> list[tuple[int, int]]:
        """Characters [start, end) of each token of `ids`; none for special tokens."""
        if max_length is None:
            self._tokenizer.no_truncation()
        else:
            self._tokenizer.enable_truncation(max_length, direction=self._side)
        return list(self._tokenizer.encode(text).offsets)


def written_tokenizer(tokenizer: Any) -> dict[str, str] | None:
    """What `BareTokens` needs of a tokenizer of transformers; None where it would not do."""
    if not tokenizer.is_fast or tokenizer.split_special_tokens:
        return None
    return {
        "tokenizer": tokenizer.backend_tokenizer.to_str(),
        "side": tokenizer.truncation_side,
    }
