"""A function of the user's is believed only when its answers are well formed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from auditkit.config import ModelConfig
from auditkit.errors import ConfigError, ModelError
from auditkit.model import Capability, Model
from auditkit.models.python_callable import CallableModel, load_callable

ASKED = ["a", "b", "c"]


def model(answer: object, names: tuple[str, ...] | None = ("no", "yes")) -> CallableModel:
    function: Callable = answer if callable(answer) else lambda texts: answer
    return CallableModel("my:model", function, "digest", names)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a module into the current folder; return its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    names = []

    def write(source: str, name: str = "mine") -> str:
        (tmp_path / f"{name}.py").write_text(source)
        sys.modules.pop(name, None)
        names.append(name)
        return name

    yield write
    for name in names:
        sys.modules.pop(name, None)


def load(spec: str, **settings: object) -> CallableModel:
    return load_callable(ModelConfig(callable=spec, **settings))


def test_a_function_in_the_current_folder_is_found(module) -> None:
    module("def f(texts):\n    return [[0.2, 0.8]] * len(texts)\n")
    found = load("mine:f")
    assert isinstance(found, Model)
    assert found.predict(ASKED).labels.tolist() == [1, 1, 1]
    assert found.class_names == ("0", "1")
    assert Capability.PROBABILITIES in found.capabilities
    assert "mine:f answers a probability per class" in found.assumptions["model"]


def test_the_digest_follows_the_source_and_the_name(module) -> None:
    module("def f(texts): ...\ndef g(texts): ...\n")
    first, other = load("mine:f").digest, load("mine:g").digest
    module("def f(texts): ...  # edited\ndef g(texts): ...\n")
    assert len({first, other, load("mine:f").digest}) == 3


@pytest.mark.parametrize(
    ("source", "spec", "message"),
    [
        ("", "mine", "not of the form module:function"),
        ("", "absent_module:f", "there is no module 'absent_module'"),
        ("", "mine.sub:f", "there is no module 'mine.sub'"),
        ("import no_such_dependency", "mine:f", "No module named 'no_such_dependency'"),
        ("1 / 0", "mine:f", "importing it failed: ZeroDivisionError: division by zero"),
        ("def predict(texts): ...", "mine:predcit", "no 'predcit'.\nDid you mean 'predict'?"),
        ("f = 3", "mine:f", "not a function but int"),
    ],
)
def test_what_cannot_be_imported_is_explained(module, source, spec, message) -> None:
    module(source)
    with pytest.raises((ConfigError, ModelError)) as error:
        load(spec)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "answer",
    [
        [[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]],
        np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]], dtype=np.float32),
        [np.array([0.9, 0.1]), np.array([0.5, 0.5]), np.array([0.2, 0.8])],
        ([1, 0], [1, 0], [0, 1]),
    ],
)
def test_probabilities_are_taken_in_any_array_form(answer) -> None:
    answered = model(answer).predict(ASKED)
    assert answered.labels.tolist() == [0, 0, 1]
    assert answered.probabilities.shape == (3, 2)


@pytest.mark.parametrize("answer", [[0, 1, 1], np.array([0, 1, 1], dtype=np.uint8)])
def test_class_indices_offer_no_probabilities(answer) -> None:
    asked = model(answer)
    assert asked.predict(ASKED).labels.tolist() == [0, 1, 1]
    assert asked.predict(ASKED).probabilities is None
    assert asked.capabilities == {Capability.NEW_INPUTS}


def test_torch_tensors_are_taken_even_with_gradients_and_in_bfloat16() -> None:
    torch = pytest.importorskip("torch")
    answer = torch.tensor([[0.25, 0.75]] * 3, requires_grad=True, dtype=torch.bfloat16)
    assert model(answer).predict(ASKED).labels.tolist() == [1, 1, 1]
    assert model(torch.tensor([0, 1, 1])).predict(ASKED).probabilities is None


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([[0.5, 0.5]] * 2, "was asked about 3 inputs and returned 2 answers"),
        ([[0.5, 0.5]] * 4, "was asked about 3 inputs and returned 4 answers"),
        (None, "returned None"),
        ((row for row in [[0.5, 0.5]] * 3), "returned generator"),
        ({"label": "yes"}, "returned dict"),
        ("yes", "returned str"),
        (0.5, "returned float"),
        ([0.5, 0.5, 0.9], "shape (3,) and type float64"),
        (["no", "yes", "yes"], "shape (3,) and type <U3"),
        (np.zeros((3, 1, 2)), "shape (3, 1, 2)"),
        ([[0.5, 0.5], [1.0], [0.5, 0.5]], "rows differ in length"),
        ([[0.5, 0.5], [float("nan"), 0.5], [0.5, 0.5]], "input 1 is NaN or infinite"),
        ([[0.5, 0.5], [0.5, 0.5], [2.0, -1.0]], "input 2 are not probabilities"),
        ([[0.5, 0.6]] * 3, "not probabilities"),
        ([[0.2, 0.3, 0.5]] * 3, "3 probabilities per input for 2 classes"),
        ([0, 1, 2], "answered class 2 for input 2; the 2 classes are numbered 0 to 1"),
        ([0, -1, 0], "answered class -1 for input 1"),
    ],
)
def test_a_malformed_answer_is_refused_by_name_and_shape(answer, message) -> None:
    with pytest.raises(ModelError) as error:
        model(answer).predict(ASKED)
    assert "my:model" in str(error.value)
    assert message in str(error.value)


def test_an_exception_in_the_function_is_told_without_its_traceback() -> None:
    def broken(texts):
        raise KeyError("vocabulary")

    with pytest.raises(ModelError, match=r"^my:model raised KeyError: 'vocabulary'$"):
        model(broken).predict(ASKED)


def test_changing_from_probabilities_to_classes_is_refused() -> None:
    answers = iter([[[0.5, 0.5]] * 3, [0, 1, 1]])
    asked = model(lambda texts: next(answers))
    asked.predict(ASKED)
    with pytest.raises(ModelError, match="sometimes with probabilities, sometimes with classes"):
        asked.predict(ASKED)


def test_class_indices_need_class_names() -> None:
    with pytest.raises(ModelError, match=r"how many classes.*\nSet model\.class_names"):
        model([0, 1, 1], names=None).predict(ASKED)
