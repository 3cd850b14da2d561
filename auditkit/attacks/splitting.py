"""TextAttack splits the same words again and again; here each is split once."""

from __future__ import annotations

import contextlib
import importlib.util
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from auditkit.attacks.nltk_folders import replaced

MOST = 100_000
"""Texts remembered; then all are forgotten."""

_CHINESE = re.compile("[\u4e00-\u9fff]")
"""Where TextAttack itself looks for Chinese."""

Split = Callable[..., list[str]]


@contextlib.contextmanager
def splitting_once(textattack: Any) -> Iterator[None]:
    """TextAttack's `words_from_text` remembers what it has answered.

    It splits every word of a text anew for each candidate, 40 times per query, which is most of
    what TextAttack costs beside the model. It is a function of its arguments, so that nothing
    but the time changes.
    """
    shared = textattack.shared
    holders = (shared.attacked_text, shared.utils.strings, shared.utils)
    with contextlib.ExitStack() as stack:
        for holder in holders:
            original = vars(holder)["words_from_text"]
            stack.enter_context(replaced(holder, "words_from_text", remembering(original)))
        yield


def refuse_unsplittable(text: str) -> None:
    """Refuse Chinese without jieba. TextAttack would take each sentence for one long word.

    Raises:
        ModuleNotFoundError: jieba is not installed.
    """
    if _CHINESE.search(text) and importlib.util.find_spec("jieba") is None:
        raise ModuleNotFoundError("splitting Chinese text into words needs the package jieba")


_known: dict[str, tuple[str, ...]] = {}


def remembering(split: Split) -> Split:
    """The function with a memory that lasts as long as the process."""

    def words_from_text(s: str, words_to_ignore: Sequence[str] = ()) -> list[str]:
        if words_to_ignore:
            return split(s, list(words_to_ignore))
        words = _known.get(s)
        if words is None:
            if len(_known) >= MOST:
                _known.clear()
            words = _known[s] = tuple(split(s))
        return list(words)

    return words_from_text
