"""Explains answers by any method, many examples at once, through the shared predictor."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Attribution, Effort, words_of
from auditkit.check import Predictor
from auditkit.errors import AuditkitError, ModelError
from auditkit.explanations.methods import Method, method_named
from auditkit.explanations.shap_methods import ExplainText
from auditkit.interleaving import Interleaving, Task, ask_from_task
from auditkit.model import (
    Capability,
    Model,
    Predictions,
    ReadingModel,
    TokenScores,
    WhiteBox,
    WhiteBoxModel,
)
from auditkit.predictor import SharedPredictor
from auditkit.random_streams import RandomStreams, untouched_randomness

REMEMBERED = 20_000
"""Attributions that are kept in memory for the next check."""
MOST_CHARACTERS = 64_000
"""Characters of the texts that are explained at once: each is asked about masked, hundreds of times
or more, and few long texts fill the batches as well as many short ones."""
_LONGEST_REASON = 200


class TextExplainer:
    """Explains the answers of one model; an `auditkit.check.Explainer`.

    What was explained is remembered, so that checks that look at the same examples explain them
    once. Nothing depends on how many are explained at once.

    Args:
        predictor: Asks the model. What a method asks about is soon forgotten, if it can forget.
        model: The model, for methods that look inside it or use its tokenizer.
        seed: The audit's.
    """

    def __init__(self, predictor: Predictor, model: Model, seed: int = 0) -> None:
        self.seed = seed
        self._predictor = predictor
        self._model = model
        self._known: dict[tuple[str, str, int, Effort], Attribution] = {}

    @property
    def layers(self) -> tuple[str, ...]:
        """The model's layers with weights, from the head down; empty where they are not shown."""
        return self._box().layers if self._shows() else ()

    def obstacle(self, method: str) -> str:
        """Why this method cannot be used; see `auditkit.check.Explainer`."""
        known = method_named(method)
        if missing := known.missing():
            return f"{missing} is not installed (pip install 'auditkit[explanations]')"
        if known.inside is not None and not self._shows():
            return "the model shows no gradients and no attention"
        return ""

    def predict(self, texts: Sequence[str]) -> Predictions:
        """Answers of the model that is explained."""
        return self._predictor.predict(texts)

    def randomized(self, layers: int, seed: int) -> TextExplainer:
        """Explains a copy of the model with random layers; see `auditkit.check.Explainer`."""
        if not self._shows():
            raise ModelError(f"{self._model.name} does not show its layers.")
        other = self._box().randomized(layers, seed)
        return TextExplainer(SharedPredictor(other), other, self.seed)

    def explain(
        self, method: str, texts: Sequence[str], labels: Sequence[int], effort: Effort
    ) -> Iterator[tuple[int, Attribution]]:
        """Explain these scores; see `auditkit.check.Explainer`.

        Raises:
            AuditkitError: The method crashed on more than half of the texts.
        """
        jobs: list[_Job] = []
        for row, (text, label) in enumerate(zip(texts, labels, strict=True)):
            before = self._known.get((method, text, label, effort))
            if before is not None:
                yield row, before
            elif not words_of(text):
                yield row, _nothing(method, text, label, "There is no word in the text.")
            else:
                jobs.append(_Job(row, text, *self._cut(text), label))
        crashes: list[str] = []
        for job, said in self._explained(method_named(method), jobs, effort):
            if isinstance(said, Exception):
                crashes.append(_reason(said))
                if 2 * len(crashes) > len(jobs):
                    raise AuditkitError(f"{method} crashed on most texts, first: {crashes[0]}.")
                found = _nothing(method, job.text, job.label, f"It crashed: {crashes[-1]}.")
            else:
                found = job.whole(method, said)
                self._remember((method, job.text, job.label, effort), found)
            yield job.row, found

    def _explained(
        self, method: Method, jobs: Sequence[_Job], effort: Effort
    ) -> Iterator[tuple[_Job, Attribution | TokenScores | Exception]]:
        if method.by_asking is None:
            yield from self._inside(method, jobs, effort)
            return
        model = self._model
        tokenizer = model.text_tokenizer() if isinstance(model, ReadingModel) else None
        explain = method.by_asking(tokenizer)
        for group in _groups(jobs, method.together):
            with self._forgetting():
                tasks = (
                    Task(
                        place,
                        partial(_guarded, explain, job, effort),
                        RandomStreams.seeded(effort.seed),
                    )
                    for place, job in enumerate(group)
                )
                hub = Interleaving(self._probabilities, method.in_flight, at_work=_at_work)
                for task, said in hub.run(tasks):
                    yield group[task.row], said

    def _forgetting(self) -> AbstractContextManager[None]:
        if isinstance(self._predictor, SharedPredictor):
            return self._predictor.forgetting()
        return nullcontext()

    def _inside(
        self, method: Method, jobs: Sequence[_Job], effort: Effort
    ) -> Iterator[tuple[_Job, TokenScores | Exception]]:
        """Explain by looking inside the model, one text after the other.

        The longest come first: what they need in memory is enough for all others.
        """
        assert method.inside is not None
        for job in sorted(jobs, key=lambda job: -len(job.read)):
            try:
                yield job, method.inside(self._box(), job.read, job.label, effort)
            except AuditkitError:
                raise
            except Exception as error:  # noqa: BLE001 - one text must not stop the others
                yield job, error

    def _probabilities(self, texts: list[str]) -> NDArray[np.float64]:
        scores = self._predictor.predict(texts).probabilities
        if scores is None:
            raise ModelError(
                "the model answers without probabilities, which an explanation explains.",
                "Let it return a probability per class.",
            )
        return scores

    def _cut(self, text: str) -> tuple[str, str]:
        """What the model reads of a text, and what the reader must know of it."""
        model = self._model
        read = model.characters_read(text) if isinstance(model, ReadingModel) else len(text)
        # The tokenizers take no half of a surrogate pair.
        part = text[:read].encode("utf-8", "replace").decode()
        if read >= len(text):
            return part, ""
        said = f"Only the first {read:,} of {len(text):,} characters are explained: the model reads"
        return part, f"{said} no more."

    def _shows(self) -> bool:
        return Capability.WHITE_BOX in self._model.capabilities

    def _box(self) -> WhiteBox:
        assert isinstance(self._model, WhiteBoxModel)
        return self._model.white_box()

    def _remember(self, key: tuple[str, str, int, Effort], said: Attribution) -> None:
        if len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[key] = said


@dataclass(frozen=True, slots=True)
class _Job:
    """One text to explain: what is read of it, what is to be said of that, and for which class."""

    row: int
    text: str
    read: str
    note: str
    label: int

    def whole(self, method: str, said: Attribution | TokenScores) -> Attribution:
        """What was found, as an attribution of the whole text."""
        if isinstance(said, Attribution):
            note = " ".join(filter(None, (said.note, self.note)))
            return replace(said, text=self.text, note=note)
        features = tuple((span,) for span in said.spans)
        return Attribution(
            method, self.text, self.label, features, said.weights, said.total,
            asked=said.passes, note=self.note,
        )  # fmt: skip


def _groups(jobs: Sequence[_Job], most: int) -> Iterator[list[_Job]]:
    """What is explained at once: so many texts at most, and no more than memory has room for."""
    group: list[_Job] = []
    characters = 0
    for job in jobs:
        characters += len(job.read)
        if group and (len(group) == most or characters > MOST_CHARACTERS):
            yield group
            group, characters = [], len(job.read)
        group.append(job)
    if group:
        yield group


@contextmanager
def _at_work() -> Iterator[None]:
    """What libraries warn of is for those who call them, and random numbers stay as they are."""
    with warnings.catch_warnings(), untouched_randomness():
        warnings.simplefilter("ignore")
        yield


def _guarded(explain: ExplainText, job: _Job, effort: Effort) -> Attribution | Exception:
    """Explain one text; a crash is returned."""
    try:
        return explain(job.read, job.label, ask_from_task, effort)
    except AuditkitError:
        raise
    except Exception as error:  # noqa: BLE001 - one text must not stop the others
        return error


def _nothing(method: str, text: str, label: int, note: str) -> Attribution:
    return Attribution(method, text, label, (), np.zeros(0), note=note)


def _reason(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}"[:_LONGEST_REASON] + where
