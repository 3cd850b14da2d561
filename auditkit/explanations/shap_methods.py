"""SHAP: what a part of a text adds to the score, averaged over what else is there."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Attribution, Effort, Span, without, words_of
from auditkit.explanations.asking import Ask

ExplainText = Callable[[str, int, Ask, Effort], Attribution]
_MOST_DENSE = 512
"""Tokens of a text up to which its masks are an array: of 512 tokens, half a megabyte."""


def partition_shap(tokenizer: Any | None) -> ExplainText:
    """Partition SHAP (Owen values; Lundberg & Lee 2017) of tokens.

    Values are those of `shap.PartitionExplainer(f, shap.maskers.Text(tokenizer))` after
    `numpy.random.seed(effort.seed)`, with its own batch size: it decides what is asked next.

    Args:
        tokenizer: The model's, of transformers; without one, words are masked.
    """

    def explain(text: str, label: int, ask: Ask, effort: Effort) -> Attribution:
        shap = load_shap()
        masker = shap.maskers.Text(tokenizer)
        question, spans = _Question(text, label, ask), _spans(masker.tokenizer, text)
        if len(spans) < 2:  # shap cannot cluster a single token
            score, base = question.scores([text, masker.mask_token])
            return question.answered("shap", spans, np.array([score - base]), base)
        explainer = _partition_explainer()(question, masker)
        said = explainer([text], max_evals=effort.evaluations, silent=True)
        values, base = said.values[0][:, label], float(said.base_values[0][label])
        return question.answered("shap", spans, values, base)

    return explain


@cache
def _partition_explainer() -> Any:
    """`shap.PartitionExplainer` in less time of its own; what it asks and computes is the same.

    The masks of clusters are an array, not rows of a sparse matrix, and `MaskedText` masks.
    """

    class QuickPartition(load_shap().PartitionExplainer):  # type: ignore[misc]
        @property
        def _mask_matrix(self) -> Any:
            return self._masks

        @_mask_matrix.setter
        def _mask_matrix(self, masks: Any) -> None:
            self._masks = masks.toarray() if masks.shape[1] <= _MOST_DENSE else masks

        def owen(self, masked_model: Any, *how: Any) -> Any:
            return super().owen(MaskedText(masked_model), *how)

    return QuickPartition


class MaskedText:
    """A `shap.utils.MaskedModel` of one text and a `shap.maskers.Text`, called with masks.

    Theirs writes each masked text, and takes the mean of its one answer, in dozens of calls of
    numpy: nearly half of the time that SHAP took for itself.
    """

    def __init__(self, masked_model: Any) -> None:
        from shap.utils import safe_isinstance
        from shap.utils.transformers import SENTENCEPIECE_TOKENIZERS, getattr_silent

        masker, (text,) = masked_model.masker, masked_model.args
        self._model = masked_model.model
        self._varies = ~masker.invariants(text)[0]
        separator = getattr_silent(masker.tokenizer, "sep_token")
        first, after = masker.keep_prefix, len(masked_model) - masker.keep_suffix
        self._segments = [
            (segment, segment == separator or not first <= place < after)
            for place, segment in enumerate(np.array(masker.token_segments(text)[0]).tolist())
        ]
        self._mask = " " + masker.mask_token
        self._collapse = masker.collapse_mask_token
        self._sentencepiece = safe_isinstance(masker.tokenizer, SENTENCEPIECE_TOKENIZERS)

    def __len__(self) -> int:
        return len(self._segments)

    def __call__(self, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Answers, shape (masks, classes). A mask that hides nothing else has the answer before."""
        asked = np.ones(len(masks), dtype=np.bool_)
        asked[1:] = ((masks[1:] != masks[:-1]) & self._varies).any(axis=1)
        answers = self._model(np.array([self.written(mask) for mask in masks[asked].tolist()]))
        found: NDArray[np.float64] = answers[np.cumsum(asked) - 1]
        return found

    def written(self, mask: Sequence[bool]) -> str:
        """The text with what is False in the mask replaced by the mask token."""
        parts, masked = [], False
        for shown, (segment, always) in zip(mask, self._segments, strict=True):
            if shown or always:
                parts.append(segment)
                masked = False
            elif not (masked and self._collapse):
                parts.append(self._mask)
                masked = True
        whole = "".join(parts)
        return " ".join((whole.replace("▁", " ") if self._sentencepiece else whole).split())


def kernel_shap(text: str, label: int, ask: Ask, effort: Effort) -> Attribution:
    """Kernel SHAP (Lundberg & Lee 2017) of words, which are left out of the text.

    Values are those of `shap.KernelExplainer(f, zeros).shap_values(ones, nsamples=effort.samples,
    l1_reg=False)` after `numpy.random.seed(effort.seed)`, where f leaves out the words marked 0.
    """
    shap = load_shap()
    question, spans = _Question(text, label, ask), words_of(text)

    def with_only(kept: NDArray[np.float64]) -> str:
        return without(text, [span for span, keep in zip(spans, kept, strict=True) if not keep])

    explainer = shap.KernelExplainer(
        lambda rows: question([with_only(row) for row in rows]), np.zeros((1, len(spans)))
    )
    values = explainer.shap_values(
        np.ones((1, len(spans))), nsamples=effort.samples, l1_reg=False, silent=True
    )
    base = float(explainer.expected_value[label])
    found = question.answered("kernel-shap", spans, values[0][:, label], base)
    if effort.samples != "auto" and effort.samples < 2 * len(spans):
        return replace(found, note=f"{effort.samples} samples are few for {len(spans)} words.")
    return found


def load_shap() -> Any:
    """The library, without compiling what it would compile for 10 seconds in every process.

    As plain Python these functions take no longer than as compiled code: a text has few tokens.
    """
    if "shap" not in sys.modules:
        import numba

        settings: Any = numba.config
        before, settings.DISABLE_JIT = settings.DISABLE_JIT, True
        try:
            import shap  # noqa: F401
        finally:
            settings.DISABLE_JIT = before
    return importlib.import_module("shap")


class _Question:
    """What is explained; asks the model, and counts the texts."""

    def __init__(self, text: str, label: int, ask: Ask) -> None:
        self._text, self._label, self._ask = text, label, ask
        self._asked = 0

    def __call__(self, texts: Sequence[Any]) -> NDArray[np.float64]:
        """Probabilities of all classes."""
        self._asked += len(texts)
        return self._ask([str(text) for text in texts])

    def scores(self, texts: Sequence[str]) -> list[float]:
        """Probabilities of the class that is explained."""
        found: list[float] = self(texts)[:, self._label].tolist()
        return found

    def answered(
        self, method: str, spans: Sequence[Span], values: NDArray[Any], base: float
    ) -> Attribution:
        """The attribution. Special tokens stand nowhere, and are left out with their weight of 0.

        The total is the score of the text as it stands, not as the library writes it anew.
        """
        inked = [index for index, (start, end) in enumerate(spans) if start < end]
        (score,) = self.scores([self._text])
        return Attribution(
            method,
            self._text,
            self._label,
            tuple((spans[index],) for index in inked),
            np.asarray(values, dtype=np.float64)[inked],
            total=score - base,
            asked=self._asked,
        )


def _spans(tokenizer: Any, text: str) -> list[Span]:
    offsets = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    return [(0, 0) if one is None else (int(one[0]), int(one[1])) for one in offsets]
