"""Any Python function as the model under audit."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.config import ModelConfig
from auditkit.errors import ConfigError, ModelError, nearest
from auditkit.model import Capability, Predictions
from auditkit.models.answer_key import key_of


def load_callable(config: ModelConfig) -> CallableModel:
    """Import `module:function`, from the current folder or installed. Its module's code is run.

    Raises:
        ConfigError: The name is not of that form.
        ModelError: It cannot be imported, is not callable, or has no source to identify it by.
    """
    spec = config.callable or ""
    module_name, _, function_name = spec.partition(":")
    if not module_name or not function_name:
        raise ConfigError(f"model.callable = {spec!r} is not of the form module:function.")
    module = _import(spec, module_name)
    function = getattr(module, function_name, None)
    if function is None:
        known = [name for name, value in vars(module).items() if callable(value)]
        raise ModelError(
            f"{spec}: module {module_name!r} has no {function_name!r}.",
            nearest(function_name, known),
        )
    if not callable(function):
        raise ModelError(f"{spec} is not a function but {type(function).__name__}.")
    names = tuple(config.class_names) if config.class_names else None
    digest = _source_digest(spec, module)
    key = None
    if config.depends_on is not None:
        digest = _with_files(spec, digest, config.depends_on)
        settings = {"kind": "callable", "model": digest, "names": repr(names)}
        key = key_of(settings, ("numpy", "torch", "transformers", "tokenizers", "scikit-learn"))
    return CallableModel(spec, function, digest, names, key)


def _import(spec: str, module_name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Otherwise it is a module that this one imports.
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise ModelError(f"{spec}: importing it failed: {error}.") from error
        raise ModelError(
            f"{spec}: there is no module {module_name!r} in {here} or among the installed packages."
        ) from None
    except Exception as error:
        raise ModelError(f"{spec}: importing it failed: {_said(error)}") from error


def _source_digest(spec: str, module: Any) -> str:
    try:
        source = Path(inspect.getsourcefile(module) or "").read_bytes()
    except (OSError, TypeError):
        raise ModelError(
            f"{spec}: the module has no Python source by which to tell one version from another.",
            "Wrap the function in a Python file.",
        ) from None
    return hashlib.sha256(spec.encode() + b"\0" + source).hexdigest()


def _with_files(spec: str, digest: str, named: Sequence[str]) -> str:
    """The digest of the module together with the content of files, and of folders' files."""
    whole = hashlib.sha256(digest.encode())
    try:
        for path in map(Path, named):
            if not path.exists():
                raise ConfigError(f"model.depends_on: {path}: no such file or folder.")
            files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
            for file in files:
                inside = str(file.relative_to(path)) if path.is_dir() else file.name
                with file.open("rb") as stream:
                    content = hashlib.file_digest(stream, "sha256").hexdigest()
                whole.update(f"{len(inside)}:{inside}:{content}\n".encode("utf-8", "replace"))
    except OSError as error:
        raise ModelError(f"{spec}: {error.filename} cannot be read ({error.strerror}).") from None
    return whole.hexdigest()


class CallableModel:
    """A function from a list of inputs to one answer each.

    The answers are either probabilities, shape (n, k), or integer class indices, shape (n,). Which
    of them shows with the first answer, and stays: until then the model offers no probabilities.
    """

    def __init__(
        self,
        spec: str,
        function: Callable[[list[Any]], Any],
        digest: str,
        class_names: tuple[str, ...] | None = None,
        answer_key: str | None = None,
    ) -> None:
        self.name = spec
        self.digest = digest
        self.answer_key = answer_key
        self._function = function
        self._names = class_names
        self._gives_probabilities: bool | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """As configured, else "0" to "k-1"; none before the first answer shows how many."""
        return self._names or ()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """New inputs, and probabilities if the first answer had them."""
        offered = {Capability.NEW_INPUTS}
        return frozenset(
            offered | {Capability.PROBABILITIES} if self._gives_probabilities else offered
        )

    @property
    def assumptions(self) -> dict[str, str]:
        """What the function answers, and how it is identified."""
        kind = "a probability per class" if self._gives_probabilities else "class indices"
        if self.answer_key is not None:
            return {
                "model": f"{self.name} answers {kind}. Its digest covers the source file of its "
                "module and what model.depends_on names."
            }
        return {
            "model": f"{self.name} answers {kind}. Its digest covers the source file of its "
            "module, not files or modules that this one loads.",
            "cache": "Its answers are not kept for the next audit: model.depends_on does not say "
            "which files they depend on.",
        }

    def predict(self, batch: Sequence[Any]) -> Predictions:
        """Answers of the function for one batch.

        Raises:
            ModelError: The function raised, or did not answer every input with a valid answer.
        """
        try:
            raw = self._function(list(batch))
        except (Exception, SystemExit) as error:
            raise ModelError(f"{self.name} raised {_said(error)}") from error
        answer = self._array(raw)
        if answer.ndim == 0 or len(answer) != len(batch):
            got = f"{len(answer)} answers" if answer.ndim else _kind(raw)
            raise ModelError(f"{self.name} was asked about {len(batch)} inputs and returned {got}.")
        if answer.ndim == 1 and answer.dtype.kind in "iub":
            return self._from_classes(answer)
        if answer.ndim == 2 and answer.dtype.kind in "fiu":
            return self._from_probabilities(answer)
        raise self._refused(f"an array of shape {answer.shape} and type {answer.dtype}")

    def _array(self, raw: Any) -> NDArray[Any]:
        if hasattr(raw, "detach"):
            # bfloat16 has no numpy type; class indices must stay integers.
            raw = raw.detach().cpu()
            raw = raw.float().numpy() if raw.is_floating_point() else raw.numpy()
        if not isinstance(raw, np.ndarray) and not hasattr(raw, "__array__") and not _is_list(raw):
            raise self._refused(_kind(raw))
        try:
            return np.asarray(raw)
        except ValueError:
            raise self._refused(f"a {_kind(raw)} whose rows differ in length") from None

    def _refused(self, what: str) -> ModelError:
        return ModelError(
            f"{self.name} returned {what}.",
            "Return an array of probabilities, shape (inputs, classes), or of integer class "
            "indices, shape (inputs,).",
        )

    def _from_classes(self, answer: NDArray[Any]) -> Predictions:
        self._settle(probabilities=False)
        if self._names is None:
            raise ModelError(
                f"{self.name} does not say how many classes there are.", "Set model.class_names."
            )
        k = len(self._names)
        outside = (answer < 0) | (answer >= k)
        if outside.any():
            row = int(np.argmax(outside))
            raise ModelError(
                f"{self.name} answered class {int(answer[row])} for input {row}; "
                f"the {k} classes are numbered 0 to {k - 1}."
            )
        return Predictions(answer.astype(np.int64), None)

    def _from_probabilities(self, answer: NDArray[Any]) -> Predictions:
        self._settle(probabilities=True)
        k = answer.shape[1]
        if self._names is None:
            self._names = tuple(str(i) for i in range(k))
        if k != len(self._names) or k < 2:
            raise ModelError(
                f"{self.name} returned {k} probabilities per input for {len(self._names)} classes."
            )
        try:
            return Predictions.from_probabilities(answer)
        except ModelError as error:
            raise ModelError(f"{self.name}: {error.message}", error.hint) from None

    def _settle(self, *, probabilities: bool) -> None:
        if self._gives_probabilities is None:
            self._gives_probabilities = probabilities
        if self._gives_probabilities is not probabilities:
            raise ModelError(
                f"{self.name} answers sometimes with probabilities, sometimes with classes."
            )


def _is_list(raw: Any) -> bool:
    return isinstance(raw, Sequence) and not isinstance(raw, str | bytes)


def _kind(raw: Any) -> str:
    return "None" if raw is None else type(raw).__name__


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
