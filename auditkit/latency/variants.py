"""Variants of the model under audit: the same weights computed in another way."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from auditkit.errors import nearest
from auditkit.model import Model

KINDS = {
    "fp32": "weights and numbers of 32 bits; of a model that has them it is a plain copy, whose "
    "ratio shows how exact the others are",
    "bf16": "bfloat16",
    "fp16": "float16",
    "compile": "torch.compile, with lengths left open",
    "sdpa": "attention by torch's scaled_dot_product_attention",
    "eager": "attention in single steps",
    "threads-N": "N threads for each request, on the CPU",
    "batch-N": "N inputs in a request; the time is that of one of them",
    "onnx": "ONNX Runtime in float32, on the CPU",
    "int8": "linear layers in 8-bit integers by torch, on the CPU",
    "onnx-int8": "linear layers in 8-bit integers by ONNX Runtime, on the CPU",
    "half-layers": "every second encoder layer dropped, and nothing trained to make up for it: its "
    "time is of interest, its answers are not",
    "tf32": "32-bit numbers multiplied with 10 bits of precision, on a GPU",
    "cuda-graphs": "torch.compile with CUDA graphs, on a GPU",
}
"""What can be asked for, with N from 1 to 1,024, and what it is."""

_NUMBERED = re.compile(r"(threads|batch)-([1-9]\d{0,3})")
_MOST = 1024


@dataclass(frozen=True, slots=True)
class Variant:
    """A model that can be asked beside the audited one.

    Attributes:
        model: What is asked.
        batch: Inputs of a request; None for as many as the audited model is asked.
        within: What holds while it is asked.
        note: What a reader must know.
    """

    model: Model
    batch: int | None = None
    within: Callable[[], AbstractContextManager[None]] = nullcontext
    note: str = ""


MakeVariant = Callable[[str], AbstractContextManager[Variant]]
"""From a name to a variant, which is gone when the context is left. What cannot be made raises
NotApplicable or AuditkitError, which say why."""


def number_in(name: str) -> tuple[str, int] | None:
    """The kind and the number of a name that has one: ("threads", 4). None of any other."""
    match = _NUMBERED.fullmatch(name)
    return (match[1], int(match[2])) if match and int(match[2]) <= _MOST else None


def check_names(names: tuple[str, ...]) -> None:
    """Refuse names that stand for nothing.

    Raises:
        ValueError: There is no such variant, or one is named twice.
    """
    for name in names:
        if number_in(name) is None and (name not in KINDS or name.endswith("-N")):
            hint = "N is a number from 1 to 1,024." if name in KINDS else nearest(name, KINDS)
            raise ValueError(f"there is no variant {name!r}. {hint}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"the variant {twice!r} is named twice")
