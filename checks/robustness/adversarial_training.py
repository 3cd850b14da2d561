"""Training on examples that an attack on the current model has found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from auditkit.attacks import AttackSettings, Status, attack, blocked, example_id, find_recipe
from auditkit.check import Predictor
from auditkit.errors import AuditkitError
from auditkit.metrics.choosing import clean_and_noisy
from auditkit.remedy import RemedyContext, RemedyError, Suite, TrainingParams, TrainingRows, remedy
from auditkit.resources import Resource

JUDGE = "robustness.adversarial-attack"


@dataclass(frozen=True, slots=True)
class Params(TrainingParams):
    """Parameters of `robustness.adversarial-training`."""

    recipes: tuple[str, ...] = ("pruthi",)
    """Attacks to train against, taken in turn; not those the repaired model is judged by. pruthi
    needs no files; pwws, which exchanges words, needs WordNet."""
    rounds: int = 2
    """How often the then current model is attacked and trained further."""
    examples: int = 300
    """Training rows attacked in each round."""
    budget: int = 200
    """Most texts an attack may ask about for one example."""
    timeout: float = 60.0
    """Seconds for one example."""
    restart: bool = False
    """Train each round from the weights of the model to repair, not those of the last round."""
    epochs: int = 2
    """Passes over the rows and the examples found so far, in each round."""

    def __post_init__(self) -> None:
        TrainingParams.__post_init__(self)
        if not self.recipes or len(set(self.recipes)) < len(self.recipes):
            raise ValueError("recipes must name at least one attack, and none twice")
        for name in self.recipes:
            try:
                recipe = find_recipe(name)
            except AuditkitError as error:
                raise ValueError(f"recipes: {error.message} {error.hint}") from None
            if not recipe.changes_label:
                raise ValueError(f"recipes: {name!r} does not try to change the answer")
            if blocked(recipe):
                raise ValueError(f"recipes: {name!r} cannot run: {'; '.join(blocked(recipe))}")
        if min(self.rounds, self.examples) < 1 or self.budget < 2:
            raise ValueError("rounds and examples must be at least 1, budget at least 2")
        if not self.timeout > 0:
            raise ValueError(f"timeout must be more than 0 seconds, not {self.timeout}")


def needed(params: Params) -> Iterable[Resource]:
    """Files the chosen attacks read."""
    named = chain.from_iterable(find_recipe(name).resources for name in params.recipes)
    return dict.fromkeys(named)


def judged_by_the_same(params: Params, suite: Suite) -> str:
    """A sentence if an attack that is trained against also judges the repaired model."""
    judging: Mapping[str, Any] = suite.get(JUDGE, {})
    same = [name for name in params.recipes if name in judging.get("recipes", ())]
    if not same:
        return ""
    named = " and ".join(same)
    return f"it trains against {named}, by which {JUDGE} judges."


@remedy(
    "robustness.adversarial-training",
    title="Retrain on the examples with which an attack fools the model",
    improves=("robustness",),
    params=Params,
    score=clean_and_noisy,
    extras=("textattack", "greenlet"),
    resources=needed,
    conflict=judged_by_the_same,
)
def adversarial_training(context: RemedyContext, params: Params) -> Path:
    """Adversarial training with an attack on texts, in rounds.

    What it does:
        In each round some training rows are drawn and attacked with the model as it then is. The
        changed texts that fool it are added to the training rows under their true label, and the
        model is trained on all of them.

    When to use it:
        When accuracy under attack is too low and `robustness.augmentation` was not enough. Train
        against one kind of attack (words, say) and judge by another (characters): only that shows
        that more was learnt than one attack's habits.

    What it costs:
        `examples` times some hundred questions to the model in each round, and the training. What
        was found is kept, so that a run that was cut off does not attack the same rows again.

    Limits of this remedy:
        The changed text of a word attack may not mean what its label says any more. Robustness to
        one attack carries over to others in part only, and some clean accuracy may be lost; the
        comparison after it says how much of each.

    References:
        Goodfellow et al. 2015; Yoo & Qi 2021, Towards improving adversarial training of NLP models;
        Morris et al. 2020, TextAttack.
    """
    rows = TrainingRows.of(context.train)
    texts: list[str] = []
    labels: list[int] = []
    folder, ask = context.model, context.predictor
    for number in range(params.rounds):
        sample = context.rng.permutation(len(rows))[: params.examples]
        found = _fooling(context, params, number, rows, sample, ask)
        context.note(
            f"Round {number + 1}: {len(found)} of {len(sample)} attacked rows have a changed text "
            "that fools the model."
        )
        if not found and not texts:
            raise RemedyError(
                f"the attack {' and '.join(params.recipes)} fools the model on none of "
                f"{len(sample)} training rows, so there is nothing to train on.",
                "Raise params.budget or params.examples, or train against another attack.",
            )
        texts += [text for text, _ in found]
        labels += [label for _, label in found]
        start = context.model if params.restart else folder
        mixed = rows.and_also(texts, labels)
        folder = context.fine_tune(mixed, params, start=start, stage=f"round-{number + 1}")
        ask = context.ask(folder)
    return folder


def _fooling(
    context: RemedyContext,
    params: Params,
    number: int,
    rows: TrainingRows,
    sample: np.ndarray,
    ask: Predictor,
) -> list[tuple[str, int]]:
    """Changed texts that fool the model, with their true classes, in the order of the sample."""
    found: dict[int, str] = {}
    for place, recipe in enumerate(params.recipes):
        mine = sample[place :: len(params.recipes)].tolist()
        parts = {row: context.kept.get(_part(number, recipe, rows.texts[row])) for row in mine}
        left = [row for row in mine if parts[row] is None]
        settings = AttackSettings(context.seed + number, params.budget, params.timeout)
        attacked = [rows.texts[row] for row in left], rows.labels[left].tolist()
        for outcome in attack(*attacked, ask.predict, recipe, settings):
            row = left[outcome.row]
            fooled = outcome.status is Status.SUCCEEDED
            parts[row] = {"text": outcome.perturbed if fooled else None}
            context.kept.put(_part(number, recipe, rows.texts[row]), parts[row])
            done = sum(part is not None for part in parts.values()) / max(len(mine), 1)
            context.advance((place + done) / len(params.recipes))
        found |= {row: part["text"] for row, part in parts.items() if part and part["text"]}
    return [(found[row], int(rows.labels[row])) for row in sample.tolist() if row in found]


def _part(number: int, recipe: str, text: str) -> str:
    return f"{number}/{recipe}/{example_id(text)}"
