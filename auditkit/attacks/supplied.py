"""Gives TextAttack its files from the resource folder, and keeps it from the network.

TextAttack's parts look for their data in a cache of their own, on the hub or in NLTK's folders, and
download what they do not find. While `in_use` holds, they find it in the resource folder, and any
attempt to connect fails.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from auditkit.attacks.loading import load_part
from auditkit.attacks.nltk_folders import nltk_data, replaced
from auditkit.errors import ConfigError
from auditkit.network import no_connections
from auditkit.resources import (
    BERT,
    COUNTER_FITTED,
    GPT2,
    HOMOGLYPHS,
    UNIVERSAL_ENCODER,
    resource_folder,
)

_HUB = {"bert-base-uncased": BERT, "gpt2": GPT2}
_LOADERS = ("AutoModelForMaskedLM", "AutoTokenizer", "GPT2LMHeadModel", "GPT2Tokenizer")


@contextlib.contextmanager
def in_use(textattack: Any) -> Iterator[None]:
    """TextAttack's parts read from the resource folder, and nothing connects to anything."""
    import transformers

    utils = textattack.shared.utils
    swaps = textattack.transformations.word_swaps
    encoders = textattack.constraints.semantics.sentence_encoders
    encoder = encoders.universal_sentence_encoder.universal_sentence_encoder
    loaders = [getattr(transformers, name) for name in _LOADERS]
    with contextlib.ExitStack() as stack:
        stack.enter_context(no_connections())
        stack.enter_context(nltk_data())
        for holder, name, value in (
            (utils, "download_from_s3", _textattack_file),
            (swaps.word_swap_homoglyph_swap, "open", _open_homoglyphs),
            (encoder, "hub", SimpleNamespace(load=_universal_encoder)),
            (
                textattack.shared.WordEmbedding,
                "counterfitted_GLOVE_embedding",
                staticmethod(_counter_fitted),
            ),
            *((loader, "from_pretrained", _local(loader)) for loader in loaders),
        ):
            stack.enter_context(replaced(holder, name, value))
        yield


def _textattack_file(name: str, skip_if_cached: bool = True) -> str:  # noqa: ARG001 - as it is called
    """Path of a file that TextAttack would download to its cache."""
    place = resource_folder() / "textattack" / name
    if not place.exists():
        raise ConfigError(
            f"TextAttack needs its file {name!r}, which is not at {place}.",
            "auditkit resources lists what each recipe needs and where it goes.",
        )
    return str(place)


def _open_homoglyphs(*_: Any, **__: Any) -> io.StringIO:
    """The list that TextAttack's package lacks."""
    return io.StringIO(HOMOGLYPHS.place().read_text(encoding="utf-8-sig"))


def _universal_encoder(_: str) -> Any:
    import tensorflow_hub

    return tensorflow_hub.load(str(UNIVERSAL_ENCODER.place()))


def _local(loader: Any) -> Any:
    """The `from_pretrained` of a class, for the hub names TextAttack's recipes use and folders."""
    original = loader.from_pretrained

    def from_pretrained(name: str, **options: Any) -> Any:
        if Path(name).is_absolute():
            return original(name, **options)
        if name not in _HUB:
            raise ConfigError(f"TextAttack asks for the hub model {name!r}, which is not allowed.")
        return load_part(loader, _HUB[name].place())

    return from_pretrained


def _counter_fitted() -> Any:
    """TextAttack's word vectors. Its own loader unpickles files; this one does not.

    The two tables of known distances are left out: distances are computed when needed.
    """
    from auditkit.attacks.vectors import counter_fitted

    return counter_fitted(COUNTER_FITTED.place())
