"""Lets NLTK find its data in the resource folder, and the stop words that come with auditkit."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from auditkit.attacks.stop_words import ENGLISH
from auditkit.resources import resource_folder


@contextlib.contextmanager
def nltk_data() -> Iterator[None]:
    """NLTK looks into the resource folder first, then at our stop words; it downloads nothing."""
    import nltk

    ours = [str(resource_folder() / "nltk_data"), private_folder()]
    with (
        replaced(nltk.data, "path", [*ours, *nltk.data.path]),
        replaced(nltk, "download", lambda *_, **__: False),
    ):
        yield


@contextlib.contextmanager
def replaced(holder: Any, name: str, value: Any) -> Iterator[None]:
    """A module or class has another value under this name."""
    own = vars(holder)
    had, before = name in own, own.get(name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        if had:
            setattr(holder, name, before)
        else:
            delattr(holder, name)


def private_folder() -> str:
    """A folder of this process that nobody else can write to; removed when it ends."""
    return _packaged_data().name


@cache
def _packaged_data() -> tempfile.TemporaryDirectory[str]:
    """An NLTK data folder with the stop words; removed when the process ends.

    Written anew rather than shipped as a file, because NLTK refuses to read from a folder that
    its group may write to, as a checkout's often is.
    """
    folder = tempfile.TemporaryDirectory(prefix="auditkit-nltk-")
    words = Path(folder.name, "corpora", "stopwords", "english")
    for parent in (words.parent.parent, words.parent):
        parent.mkdir()
        parent.chmod(0o700)
    words.write_text("\n".join(ENGLISH) + "\n", encoding="utf-8")
    words.chmod(0o600)
    return folder
