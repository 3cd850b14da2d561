"""Makes variants of a loaded classifier, each on a copy: the model under audit is not touched."""

from __future__ import annotations

import copy
import gc
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from auditkit.config import ModelConfig
from auditkit.errors import AuditkitError, ModelError, NotApplicable
from auditkit.latency.variants import Variant, number_in
from auditkit.model import Capability, Predictions
from auditkit.models.forward import Arrays, Parts, TorchForward
from auditkit.models.head_input import HeadInput
from auditkit.models.model_folder import ModelFolder
from auditkit.models.transformers_loading import load_parts

if TYPE_CHECKING:
    from auditkit.models.transformers_text import TransformersText

_PROBES = ("a", "a b c", "a b c d e f g")
"""What a variant is asked to see that it answers at all."""
_PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
_BACKENDS = {"onnx": "onnx", "int8": "int8", "onnx-int8": "onnx-int8"}
"""What `ModelConfig.backend` calls them."""
_ON_GPU = frozenset({"tf32", "cuda-graphs"})
_PLAIN = "a plain copy, which shows how exact the ratios are"


@dataclass(frozen=True, slots=True)
class VariantMaker:
    """Makes variants of a model; see `auditkit.latency.variants.MakeVariant`.

    Attributes:
        model: The model under audit.
        parts: What it answers with.
        folder: Where it lies.
        config: How it was loaded.
    """

    model: TransformersText
    parts: Callable[[], Parts]
    folder: ModelFolder
    config: ModelConfig

    @contextmanager
    def __call__(self, name: str) -> Iterator[Variant]:
        """The variant of this name, as long as this lasts.

        Raises:
            NotApplicable: It is not for this machine or this model.
            AuditkitError: It cannot be made, or does not answer.
        """
        try:
            with ExitStack() as kept:
                yield self._tried(name, kept)
        finally:
            gc.collect()  # a copy of a model is large, and its parts point at each other

    def _tried(self, name: str, kept: ExitStack) -> Variant:
        """The variant, once it has answered something."""
        try:
            variant = self._made(name, kept)
            with variant.within():
                for text in _PROBES:
                    variant.model.predict([text])
        except (AuditkitError, NotApplicable):
            raise
        except Exception as error:
            raise ModelError(_first_line(error)) from error
        return variant

    def _made(self, name: str, kept: ExitStack) -> Variant:
        numbered = number_in(name)
        if numbered is not None:
            return self._numbered(*numbered)
        if name in _BACKENDS:
            return Variant(self._backend(name), note=self._where(name))
        if name in _ON_GPU and not self._on_gpu():
            raise NotApplicable("no GPU.")
        if name == "tf32":
            return Variant(self.model, within=_tf32)
        if name in {"compile", "cuda-graphs"}:
            kept.enter_context(_compiling())
            graphs = "reduce-overhead" if name == "cuda-graphs" else None
            return Variant(self._text(name, partial(CompiledForward, mode=graphs)))
        return self._copied(name)

    def _copied(self, name: str) -> Variant:
        """A variant that is a copy with something changed."""
        import torch

        copied, note = self._copy(), ""
        if name in _PRECISIONS:
            wanted = getattr(torch, _PRECISIONS[name])
            note = _PLAIN * (copied.dtype == wanted)
            copied.to(wanted)
        elif name in {"sdpa", "eager"}:
            same = copied.config._attn_implementation == name
            note = _PLAIN * same
            copied.set_attn_implementation(name)
        elif name == "half-layers":
            kept, depth = _halve(copied)
            note = f"{kept} of {depth} layers, untrained: read its time, not its answers"
        else:
            raise NotApplicable("there is no such variant.")
        return Variant(self._text(name, TorchForward, copied), note=note)

    def _numbered(self, kind: str, number: int) -> Variant:
        """A variant that is the audited model itself, asked in another way."""
        if kind == "batch":
            return Variant(self.model, number)
        if self._on_gpu() or not isinstance(self.parts().forward, TorchForward):
            raise NotApplicable("only torch on the CPU is told how many threads to use.")
        return Variant(self.model, within=partial(_threads, number))

    def _backend(self, name: str) -> TransformersText:
        """The model loaded anew with another backend."""
        from pydantic import ValidationError

        from auditkit.models.transformers_text import load_transformers

        changed = {
            "path": str(self.folder.path), "revision": None, "device": "cpu",
            "backend": _BACKENDS[name],
        }  # fmt: skip
        try:
            config = ModelConfig(**{**self.config.model_dump(), **changed})
        except ValidationError:
            raise NotApplicable(f"there is no backend {name!r}.") from None
        return load_transformers(config, online=False)

    def _text(
        self, name: str, forward: Callable[[Any, str], TorchForward], copied: Any = None
    ) -> TextVariant:
        title = f"{self.model.name}, {name}"
        made = forward(self._copy() if copied is None else copied, title)
        return TextVariant(title, replace(self.parts(), forward=made), self.model)

    def _copy(self) -> Any:
        """The torch model once more, without what auditkit hung into it.

        It is loaded anew where the audited model answers by something else than torch.
        """
        forward = self.parts().forward
        if not isinstance(forward, TorchForward):
            return load_parts(self.folder, self.config).model
        copied: Any = copy.deepcopy(forward.model)
        for module in copied.modules():
            hooks = module._forward_pre_hooks
            for key, hook in list(hooks.items()):
                if isinstance(getattr(hook, "__self__", None), HeadInput):
                    del hooks[key]
        return copied

    def _on_gpu(self) -> bool:
        forward = self.parts().forward
        return isinstance(forward, TorchForward) and forward.model.device.type == "cuda"

    def _where(self, name: str) -> str:
        cores = "on one core" if name.startswith("onnx") else ""
        place = "on the CPU, unlike what is audited" if self._on_gpu() else ""
        return ", ".join(filter(None, (cores, place)))


class TextVariant:
    """A variant of a text model that answers with other parts.

    Args:
        name: What errors call it.
        parts: What it answers with.
        original: The model under audit, which also makes the tokens.
    """

    capabilities = frozenset({Capability.PROBABILITIES, Capability.NEW_INPUTS, Capability.TOKENS})

    def __init__(self, name: str, parts: Parts, original: TransformersText) -> None:
        self.name = name
        self.digest = f"{original.digest}/{name}"
        self.class_names = original.class_names
        self.assumptions: dict[str, str] = {}
        self._parts, self._original = parts, original

    def predict(self, batch: Sequence[Any]) -> Predictions:
        """Answers for texts."""
        return self.predict_tokens(self.tokenize(batch))

    def tokenize(self, inputs: Sequence[Any]) -> list[list[int]]:
        """Token ids as the audited model reads them."""
        return self._original.tokenize(inputs)

    def predict_tokens(self, batch: Sequence[Sequence[int]]) -> Predictions:
        """Answers for tokenised texts.

        Raises:
            ModelError: It answers NaN or infinity.
        """
        return Predictions.from_logits(self.logits_of_tokens(batch))

    def logits_of_tokens(self, batch: Sequence[Sequence[int]]) -> NDArray[Any]:
        """Logits of tokenised texts, padded to the longest of this batch."""
        return self._parts.logits(batch)


class CompiledForward(TorchForward):
    """The forward pass of a torch model, compiled.

    Args:
        model: A sequence classifier, in evaluation mode.
        name: What errors call it.
        mode: A mode of torch.compile.
    """

    def __init__(self, model: Any, name: str, mode: str | None = None) -> None:
        import torch

        super().__init__(model, name)
        self._compiled: Any = torch.compile(model, dynamic=True, mode=mode)

    def _computed(self, arrays: Arrays) -> Any:
        self.assert_eval()
        return self._compiled(**self.tensors(arrays)).logits


@contextmanager
def _compiling() -> Iterator[None]:
    """A folder for compiled code for this alone, in one process; all is forgotten afterwards.

    Torch's own place for it has a name that everyone on the machine knows, and what lies there is
    run.
    """
    import torch
    from torch._inductor import config
    from torch._inductor.utils import fresh_cache

    with (
        tempfile.TemporaryDirectory(prefix="auditkit-compiled-") as folder,
        fresh_cache(dir=folder),
        config.patch(compile_threads=1),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # torch's own
        try:
            yield
        finally:
            torch.compiler.reset()


@contextmanager
def _threads(number: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _tf32() -> Iterator[None]:
    import torch

    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _halve(model: Any) -> tuple[int, int]:
    """Drop every second encoder layer; how many are left, and how many there were."""
    import torch

    depth = int(getattr(model.config, "num_hidden_layers", 0) or 0)
    found = [
        (module, name, part)
        for module in model.modules()
        for name, part in module.named_children()
        if isinstance(part, torch.nn.ModuleList) and len(part) == depth
    ]
    if depth < 2 or not found:
        raise NotApplicable("it has no list of two encoder layers or more.")
    for module, name, part in found:
        setattr(module, name, torch.nn.ModuleList(list(part)[::2]).eval())
    model.config.num_hidden_layers = (depth + 1) // 2
    return (depth + 1) // 2, depth


def _first_line(error: Exception) -> str:
    said = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {said[:200]}" if said else type(error).__name__
