"""How often an attacker who may change a few words gets another answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.attacks import (
    AttackOutcome,
    AttackSettings,
    Status,
    example_id,
    find_recipe,
    meaning_similarity,
)
from auditkit.check import Context, Limit, check
from auditkit.finding import Example, Examples, Measurement, Severity
from auditkit.metrics.edits import similarity
from auditkit.metrics.robustness import Attacked, Sampled, attack_measurements
from auditkit.model import Capability
from auditkit.resources import SENTENCE_ENCODER, Resource

from ._attacking import Campaign, drawn, in_range, outcome_record, runnable, texts_only


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters of `robustness.adversarial-attack`."""

    recipes: tuple[str, ...] = ("deepwordbug",)
    """Attacks to run. deepwordbug and pruthi need no files; pruthi asks ten times as much.
    `auditkit resources` lists what the others need."""
    examples: int = 200
    """Examples to attack, drawn by the seed in proportion to the classes."""
    minimum_examples: int = 50
    """Examples below which nothing is decided."""
    budget: int = 1000
    """Most texts an attack may ask about for one example."""
    timeout: float = 300.0
    """Seconds for one example; one that takes longer counts as neither held nor broken."""
    show: int = 10
    """Broken examples shown in the report, those with the fewest changed words. 0 keeps the texts
    of the data out of the run directory."""
    encoder: bool = False
    """Also compare meanings, by the sentence encoder in the resource folder."""

    def __post_init__(self) -> None:
        if not self.recipes or len(set(self.recipes)) < len(self.recipes):
            raise ValueError("recipes must name at least one attack, and none twice")
        for name in self.recipes:
            runnable("recipes", name)
        in_range(self.examples, self.minimum_examples, self.budget, self.timeout)
        if self.show < 0:
            raise ValueError("show must be at least 0")


def needed(params: Params) -> Iterable[Resource]:
    """Files the chosen attacks read."""
    named = chain.from_iterable(find_recipe(name).resources for name in params.recipes)
    return dict.fromkeys((*named, *((SENTENCE_ENCODER,) if params.encoder else ())))


@check(
    "robustness.adversarial-attack",
    title="Most answers survive an attacker who may change a few words",
    severity=Severity.LOW,
    needs={Capability.LABELS, Capability.PROBABILITIES, Capability.NEW_INPUTS},
    params=Params,
    limits=(
        Limit("accuracy_under_attack", "min", 0.5, means="a share of examples still right"),
        Limit("success_rate", "max", None, means="a share of right answers made wrong"),
        Limit("accuracy_drop", "max", None, lowest=-1.0, means="a loss of accuracy"),
        Limit("queries", "min", None, highest=1e9, means="texts asked about per attacked example"),
        Limit("changed_words", "min", None, means="a share of words changed to succeed"),
        Limit("similarity", "max", None, means="a likeness of characters to the original"),
    ),
    extras=("textattack", "greenlet"),
    resources=needed,
    grows_with="examples",
)
def adversarial_attack(context: Context, params: Params) -> Iterator[Measurement]:
    """Accuracy on examples that an attack has tried to turn, and how often it succeeds.

    What it measures:
        `params.examples` texts are drawn in proportion to the classes. Each attack of
        `params.recipes` asks the model about changed versions of a text until the answer is no
        longer the true class, or the search or the budget ends. Accuracy under attack is the share
        of drawn examples that are right before and stay right; the success rate is the share of
        those right before that become wrong. "All attacks together" counts an example as lost when
        any attack turns it. Beside them stand the drop in accuracy, and what an attack takes:
        queries, words changed, and how alike the two texts still are (1 less their edit distance
        as a share of the longer one).

    Why it matters:
        Spam, abuse and fraud are written by people who try until they get through. A model that
        one changed letter turns is also one that a typing error turns.

    How to read it:
        Passing means accuracy under each attack is shown to be at least the limit. Most fine-tuned
        encoders lose most of their accuracy to a character attack without bounds, so a failure is
        of low severity by default; raise it where people write to get through. Look at how many
        words and queries a success takes: 2 of 20 words within 30 queries is an open door, half of
        the words after 900 is not.

    What to do:
        Train on attacked versions of the training texts, check spelling before the model, or limit
        how often one user may ask. Then measure again, with an attack that was not trained on too.

    Limits of this check:
        These attacks give a lower bound of what an attacker can do: surviving them proves nothing
        about others. A changed text may no longer mean what its label says; read the examples.
        Stop words and keyboards are English. An example whose attack times out or crashes is left
        out of the value, and counted against either side in the interval.

    References:
        Morris et al. 2020, TextAttack; Gao et al. 2018, DeepWordBug; Pruthi et al. 2019, Combating
        adversarial misspellings; Clopper & Pearson 1934; Tango 1998 and McNemar 1947 for the drop.
    """
    data = context.data
    texts_only(data.inputs)
    assert data.labels is not None
    rows = drawn(data.inputs, data.labels, params.examples, context.rng)
    seed = int(context.rng.integers(2**32))
    texts = [data.inputs[row] for row in rows]
    right = context.predictor.predict(texts).labels == data.labels[rows]
    sample = Sampled(
        ids=tuple(map(example_id, texts)),
        right=right,
        clusters=None if data.clusters is None else data.clusters[rows],
        least=params.minimum_examples,
    )
    run = _Run(context, params, seed, texts, data.labels[rows], right)
    yield from attack_measurements(context, sample, [run.of(name) for name in params.recipes])


@dataclass(frozen=True, slots=True)
class _Run:
    """Attacks on the same examples, one recipe after the other."""

    context: Context
    params: Params
    seed: int
    texts: Sequence[str]
    labels: NDArray[np.int64]
    right: NDArray[np.bool_]

    def of(self, name: str) -> Attacked:
        """What one attack does to the examples; finished ones are taken from an earlier try."""
        began, all_of_them = self.params.recipes.index(name), len(self.params.recipes)
        campaign = Campaign(self.context, self.texts, self.labels, self._record)
        found = campaign.run(
            find_recipe(name),
            np.flatnonzero(self.right).tolist(),
            AttackSettings(self.seed, self.params.budget, self.params.timeout),
            name,
            (began / all_of_them, (began + 1) / all_of_them),
        )
        return self._attacked(name, found)

    def _record(self, outcome: AttackOutcome) -> dict[str, Any]:
        """What is kept of an outcome; the original text is in the data."""
        record = outcome_record(outcome)
        if outcome.status is Status.SUCCEEDED:
            before, after = outcome.original, outcome.perturbed or ""
            record["after"] = outcome.perturbed_label
            record["cost"] = {
                "changed_words": len(outcome.changed_words) / max(outcome.words, 1),
                "similarity": similarity(before, after),
                "similarity of words": similarity(before.split(), after.split()),
            }
            if self.params.encoder:
                record["cost"]["similarity of meanings"] = meaning_similarity(before, after)
            if self.params.show:
                record["text"] = after
        return record

    def _attacked(self, name: str, found: dict[int, dict[str, Any]]) -> Attacked:
        ended = np.full(len(self.texts), "", dtype=object)
        for row, part in found.items():
            ended[row] = part["status"]
        broken = {row: part for row, part in found.items() if ended[row] == Status.SUCCEEDED}
        endings = dict(sorted(Counter(part["status"] for part in found.values()).items()))
        costs = [broken[row]["cost"] for row in sorted(broken)]
        return Attacked(
            name=name,
            broken=ended == Status.SUCCEEDED,
            unknown=(ended == Status.TIMEOUT) | (ended == Status.ERROR),
            endings=endings | {"not attacked, wrong before": int((~self.right).sum())},
            queries=tuple(float(found[row]["queries"]) for row in sorted(found)),
            cost={name: tuple(c[name] for c in costs) for name in (costs[0] if costs else ())},
            examples=self._shown(broken),
        )

    def _shown(self, broken: dict[int, dict[str, Any]]) -> Examples:
        names = self.context.data.class_names
        rows = sorted(broken, key=lambda row: (broken[row]["cost"]["changed_words"], row))
        return Examples(
            "Broken examples with the fewest changed words",
            tuple(
                Example(
                    self.texts[row],
                    broken[row]["text"],
                    names[self.labels[row]],
                    names[broken[row]["after"]],
                    f"{broken[row]['queries']:,} queries",
                )
                for row in rows[: self.params.show]
            ),
        )
