"""Whether an attack does what an attack must."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditkit.attacks import (
    Allowance,
    AttackOutcome,
    AttackSettings,
    Status,
    at_random,
    example_id,
    find_recipe,
)
from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.attack_sanity import Trials, sanity_measurements
from auditkit.metrics.robustness import Attacked, Sampled
from auditkit.model import Capability
from auditkit.resources import Resource

from ._attacking import Campaign, Record, drawn, in_range, outcome_record, runnable, texts_only

PARTS = {"a quarter": 0.25, "half": 0.5}


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters of `robustness.attack-sanity`."""

    recipe: str = "deepwordbug"
    """The attack to examine."""
    examples: int = 100
    """Examples to attack, drawn by the seed in proportion to the classes."""
    minimum_examples: int = 50
    """Examples below which nothing is decided."""
    budget: int = 1000
    """Most texts an attack may ask about for one example."""
    timeout: float = 300.0
    """Seconds for one example; one that takes longer counts as neither held nor broken."""

    def __post_init__(self) -> None:
        runnable("recipe", self.recipe)
        in_range(self.examples, self.minimum_examples, self.budget, self.timeout)


def needed(params: Params) -> Iterable[Resource]:
    """Files the attack reads."""
    return find_recipe(params.recipe).resources


@check(
    "robustness.attack-sanity",
    title="The attack's result can be trusted",
    severity=Severity.LOW,
    needs={Capability.LABELS, Capability.PROBABILITIES, Capability.NEW_INPUTS},
    params=Params,
    limits=(
        Limit("changed_without_query", "max", 0.05, means="a share of examples"),
        Limit("lost_by_budget", "max", 0.05, means="a share of right answers"),
        Limit(
            "lead_over_chance", "min", 0.0, lowest=-1.0, means="a difference of two success rates"
        ),
    ),
    extras=("textattack", "greenlet"),
    resources=needed,
    grows_with="examples",
)
def attack_sanity(context: Context, params: Params) -> Iterator[Measurement]:
    """Whether an attack keeps still without queries, gains by more of them, and beats chance.

    What it measures:
        Three things that hold of any attack that works, each on the same drawn examples and with
        the same random numbers. Changed without a query: the share of examples on which an attack
        that may ask about the original only ends otherwise than the model alone. Lost by budget:
        the share of right answers that a smaller budget breaks and a larger one does not; the
        smaller ones are a quarter and a half of what the attack asks about a typical (median)
        example. Lead over chance: the success rate of the attack less that of random changes by the
        same transformation under the same constraints. Chance asks as many texts about an example
        as the attack did there, and changes at most as many words as its success took; where the
        attack failed, as many as the constraints allow.

    Why it matters:
        A broken attack and a robust model look the same: few successes. An accuracy under attack
        is worth as much as the attack that it comes from.

    How to read it:
        A failure means that this recipe's results on this model are untrustworthy, not that the
        model is weak; the note says which of the three it is. The lead stays undecided when neither
        breaks anything, or both break everything: then nothing tells the search from chance.

    What to do:
        With a lost lead, take another recipe for `robustness.adversarial-attack`, or another
        budget. With changes without a query, see whether the model answers the same text alike
        every time. Successes lost to a larger budget point to a search that forgets what it found.

    Limits of this check:
        Passing does not make the attack a strong one. A search that asks nothing is compared with
        chance that asks nothing. With more than two classes a greedy search may pass by a success
        for a text that looks better, so that a few losses are no defect. Budgets cut off a request
        in its middle, as TextAttack does: the first candidates of a list are asked about.

    References:
        Carlini et al. 2019, On evaluating adversarial robustness; Gao et al. 2018, DeepWordBug;
        Clopper & Pearson 1934; McNemar 1947, Tango 1998 for the paired comparison.
    """
    data = context.data
    texts_only(data.inputs)
    assert data.labels is not None
    rows = drawn(data.inputs, data.labels, params.examples, context.rng)
    texts = [data.inputs[row] for row in rows]
    campaign = Campaign(context, texts, data.labels[rows], _record)
    settings = AttackSettings(int(context.rng.integers(2**32)), params.budget, params.timeout)
    right = context.predictor.predict(texts).labels == data.labels[rows]
    sample = Sampled(
        ids=tuple(map(example_id, texts)),
        right=right,
        clusters=None if data.clusters is None else data.clusters[rows],
        least=params.minimum_examples,
    )
    yield from sanity_measurements(context, _trials(campaign, sample, settings, params.recipe))


def _record(outcome: AttackOutcome) -> Record:
    return outcome_record(outcome) | {"changed": len(outcome.changed_words)}


def _trials(campaign: Campaign, sample: Sampled, settings: AttackSettings, name: str) -> Trials:
    recipe, attacked = find_recipe(name), np.flatnonzero(sample.right).tolist()
    everyone = list(range(len(sample.right)))
    silent = campaign.run(recipe, everyone, replace(settings, budget=1), "silent", (0.0, 0.05))
    full = campaign.run(recipe, attacked, settings, "full", (0.05, 0.5))
    typical = float(np.median([part["queries"] for part in full.values()])) if full else 1.0
    smaller = {
        part: campaign.run(
            recipe,
            attacked,
            replace(settings, budget=max(1, min(round(share * typical), settings.budget or 1))),
            part,
            (0.5, 0.6),
        )
        for part, share in PARTS.items()
    }
    allowed = {campaign.texts[row]: _allowance(part) for row, part in full.items()}
    chance = campaign.run(at_random(recipe, allowed), attacked, settings, "chance", (0.6, 1.0))
    quiet = _attacked(campaign, silent, "no queries")
    held = campaign.ended(silent, Status.FAILED, Status.BUDGET)
    return Trials(
        sample,
        replace(quiet, broken=(held != sample.right) & ~quiet.unknown),
        [_attacked(campaign, found, part) for part, found in {**smaller, "all": full}.items()],
        _attacked(campaign, chance, "chance"),
    )


def _allowance(part: Record) -> Allowance:
    succeeded = part["status"] == Status.SUCCEEDED
    return Allowance(part["queries"], part["changed"] if succeeded else None)


def _attacked(campaign: Campaign, found: Mapping[int, Record], name: str) -> Attacked:
    unknown: NDArray[np.bool_] = campaign.ended(found, Status.TIMEOUT, Status.ERROR)
    endings = Counter(part["status"] for part in found.values())
    return Attacked(
        name, campaign.ended(found, Status.SUCCEEDED), unknown, dict(sorted(endings.items()))
    )
