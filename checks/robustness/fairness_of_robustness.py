"""Whether an attacker has the same success with every group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditkit.attacks import AttackSettings, Status, find_recipe
from auditkit.check import Context, Limit, check
from auditkit.data import AuditData
from auditkit.finding import Measurement, Severity
from auditkit.metrics.disparity import rate_gaps
from auditkit.metrics.group_choice import GroupChoice, GroupParams, chosen_attributes
from auditkit.metrics.rates import Rate
from auditkit.model import Capability
from auditkit.resources import Resource

from ._attacking import Campaign, evenly_drawn, in_range, runnable, texts_only


@dataclass(frozen=True, slots=True)
class Params(GroupChoice):
    """Parameters of `robustness.fairness-of-robustness`."""

    recipe: str = "deepwordbug"
    """The attack. `auditkit resources` lists what others than deepwordbug and pruthi need."""
    examples: int = 400
    """Right answers to attack, drawn by the seed with as many of every group as there are."""
    budget: int = 1000
    """Most texts an attack may ask about for one example."""
    timeout: float = 300.0
    """Seconds for one example; one that takes longer is left out."""

    def __post_init__(self) -> None:
        GroupChoice.__post_init__(self)
        runnable("recipe", self.recipe)
        in_range(self.examples, 1, self.budget, self.timeout)


def needed(params: Params) -> Iterable[Resource]:
    """Files the attack reads."""
    return find_recipe(params.recipe).resources


@check(
    "robustness.fairness-of-robustness",
    title="An attacker has the same success with every group",
    severity=Severity.LOW,
    needs={
        Capability.GROUPS,
        Capability.LABELS,
        Capability.PROBABILITIES,
        Capability.NEW_INPUTS,
    },
    params=Params,
    limits=(Limit("gap", "max", 0.1, means="a difference of attack success rates"),),
    extras=("textattack", "greenlet"),
    resources=needed,
    grows_with="examples",
)
def fairness_of_robustness(context: Context, params: Params) -> Iterator[Measurement]:
    """The largest difference between two groups in how often an attack turns a right answer.

    What it measures:
        `params.examples` texts that the model answers rightly are attacked. The success rate of a
        group is the share of its attacked texts whose answer becomes wrong; the measurement is the
        largest difference of it between two groups, per sensitive attribute and for every two of
        them crossed. So that a small group counts, examples are not drawn in proportion: one of
        every group in turn (of every combination, with several attributes) until there are enough
        or a group has no more. The report shows how many of each were attacked.

    Why it matters:
        Equal accuracy can hide unequal robustness. If the posts of one group are easily pushed to
        the other side by a typing error, its members carry more of the mistakes in use, and whoever
        wants to silence or smuggle something through uses their words.

    How to read it:
        0 means that the same effort has the same success everywhere. The evidence gives each
        group's rate with its examples. An overall high rate is no matter of this check; see
        `robustness.adversarial-attack`.

    What to do:
        Look at the lengths and the sureness of the group's answers: short texts and answers near
        the border turn easily. More training rows of that group, or training on attacked versions
        of them, is the usual repair. Where it stays undecided, raise `params.examples`.

    Limits of this check:
        Only right answers are attacked, so that the groups compared differ in accuracy, and often
        in classes and lengths too. With several attributes a group's rate is that of an even mix
        of its combinations, not that of the data. Rows of unknown group are left out, as if they
        were missing at random. Examples whose attack times out or crashes are
        left out. Surviving one attack proves nothing about others.

    References:
        Nanda et al. 2021, Fairness through robustness; Xu et al. 2021, To be robust or to be fair;
        Newcombe 1998, Miettinen & Nurminen 1985; Berger 1982 (intersection-union).
    """
    data = context.data
    texts_only(data.inputs)
    assert data.labels is not None
    right = context.predictor.predict(data.inputs).labels == data.labels
    strata = _strata(data, params)
    rows = evenly_drawn(data.inputs, strata, right, params.examples, context.rng)
    campaign = Campaign(context, [data.inputs[row] for row in rows], data.labels[rows])
    settings = AttackSettings(int(context.rng.integers(2**32)), params.budget, params.timeout)
    found = campaign.run(
        find_recipe(params.recipe), range(len(rows)), settings, params.recipe, (0.0, 0.95)
    )
    broken = campaign.ended(found, Status.SUCCEEDED)
    unknown = campaign.ended(found, Status.TIMEOUT, Status.ERROR)
    attacked, turned = np.zeros(len(data), dtype=bool), np.zeros(len(data), dtype=bool)
    attacked[rows[~unknown]], turned[rows[broken]] = True, True
    # The share of the attacked that are turned is counted as a true positive rate is.
    rate = Rate("attack success rate", "true_positive_rate", attacked, turned)
    said = f" {len(rows):,} right answers were attacked, drawn evenly from the groups."
    if unknown.any():
        said += f" {int(unknown.sum()):,} attacks did not finish and are left out."
    # The attacked rows are drawn by group, so that those of unknown group are not like the data's.
    compared = GroupParams(
        params.attributes, params.intersections, params.minimum_group_size, unknown="left-out"
    )
    for measured in rate_gaps(context, [rate], compared):
        yield replace(measured, note=measured.note + said)


def _strata(data: AuditData, params: Params) -> NDArray[np.int64]:
    """A number for each row's combination of groups; -1 where all of them are unknown."""
    singles = chosen_attributes(data, replace(params, intersections=False))
    codes = np.stack([attribute.codes for attribute in singles], axis=1)
    _, numbers = np.unique(codes, axis=0, return_inverse=True)
    return np.where((codes < 0).all(axis=1), -1, numbers.reshape(-1)).astype(np.int64)
