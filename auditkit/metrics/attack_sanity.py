"""Whether the result of an attack can be believed: what must hold of any search that works."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from auditkit.check import Context
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Cell,
    Estimate,
    Estimates,
    Interval,
    Measurement,
    Table,
)
from auditkit.metrics.robustness import (
    Attacked,
    Flags,
    Sampled,
    both_levels,
    rate_bounds,
)
from auditkit.stats.intervals import mean_interval, wilson
from auditkit.stats.paired import mcnemar, paired_gap


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """The same examples attacked in several ways.

    Attributes:
        sample: All n examples.
        silent: The attack that may ask about the original only, of all examples. `broken` says
            where the answer it reports is not as right or wrong as the model's own.
        budgets: The attack with ever more queries, of the examples that were right.
        chance: The same changes by chance, of the examples that were right.
    """

    sample: Sampled
    silent: Attacked
    budgets: Sequence[Attacked]
    chance: Attacked


def sanity_measurements(context: Context, trials: Trials) -> Iterator[Measurement]:
    """Changes without a query, successes lost by a larger budget, and the lead over chance.

    Examples whose attack did not finish count against either side of every interval.
    """
    sample, silent = trials.sample, trials.silent
    yield _violations(
        context,
        "changed_without_query",
        sample,
        silent,
        "With no query beyond the original, accuracy under attack must equal clean accuracy; if "
        "not, the attack counts as success what it did not do.",
    )
    attacked = sample.only(sample.right)
    if not len(attacked.ids):
        nothing = "the model was wrong on every example"
        yield Measurement("lost_by_budget", None, 0, None, note=nothing)
        yield Measurement("lead_over_chance", None, 0, None, note=nothing)
        return
    steps = [*pairwise(trials.budgets)]
    for less, more in steps:
        lost = Attacked(
            f"{more.name} after {less.name}",
            less.broken & ~more.broken & ~more.unknown,
            (less.unknown & ~more.broken) | (less.broken & more.unknown),
            {},
        )
        yield _violations(
            context,
            "lost_by_budget",
            attacked,
            _only(lost, sample.right),
            "Success must not fall with more queries; if it does, what the attack reports depends "
            "on when it was stopped.",
            len(steps),
        )
    yield _lead(context, trials)


def _only(attack: Attacked, rows: Flags) -> Attacked:
    return Attacked(attack.name, attack.broken[rows], attack.unknown[rows], {})


def _violations(
    context: Context, name: str, sample: Sampled, attack: Attacked, means: str, comparisons: int = 1
) -> Measurement:
    """Share of examples on which something happened that must not."""
    broken, sure = attack.broken, ~attack.unknown
    n = len(broken)
    return Measurement(
        name=name,
        value=float(broken.sum() / sure.sum()) if sure.any() else None,
        n=n,
        bounds=rate_bounds(context, sample, (broken, broken | attack.unknown), comparisons),
        slice=attack.name,
        note=f"{means} Seen on {int(broken.sum()):,} of {n:,} examples{_unsure(attack.unknown)}.",
        least_n=sample.least if n < sample.least else None,
    )


def _unsure(unknown: Flags) -> str:
    return f"; on {int(unknown.sum()):,} an attack did not finish" if unknown.any() else ""


def _lead(context: Context, trials: Trials) -> Measurement:
    """Success of the search less that of chance on the same examples."""
    right, search, chance = trials.sample.right, trials.budgets[-1], trials.chance
    sample, unknown = trials.sample.only(right), (search.unknown | chance.unknown)[right]
    ours, theirs = search.broken[right], chance.broken[right]
    change = ours.astype(float) - theirs
    sure, n = ~unknown, len(right[right])
    b, c = int((ours & ~theirs & sure).sum()), int((theirs & ~ours & sure).sum())
    unsure = int(unknown.sum())

    def interval(alpha: float) -> Interval:
        if sample.clusters is not None:
            worst, best = np.where(unknown, -1.0, change), np.where(unknown, 1.0, change)
            lower = mean_interval(worst, alpha, sample.clusters, (-1.0, 1.0)).lower
            return Interval(lower, mean_interval(best, alpha, sample.clusters, (-1.0, 1.0)).upper)
        lower = paired_gap(b, c + unsure, n, alpha).lower
        return Interval(lower, paired_gap(b + unsure, c, n, alpha).upper)

    clustered = sample.clusters is not None
    method = "cluster-robust t" if clustered else "Tango, exact hybrid where sparse"
    return Measurement(
        name="lead_over_chance",
        value=(b - c) / int(sure.sum()) if sure.any() else None,
        n=n,
        bounds=both_levels(context, interval, method, 1) if n >= sample.least else None,
        note="The search must do better than the same changes chosen by chance; if not, it finds "
        f"nothing, and its low success says nothing of the model. {b:,} of {n:,} examples are "
        f"broken by the search only, {c:,} by chance only (McNemar p = {mcnemar(b, c):.2g})"
        f"{_unsure(unknown)}.",
        least_n=sample.least if n < sample.least else None,
        evidence=(_chart(trials), _endings(trials)),
    )


def _chart(trials: Trials) -> Estimates:
    right = trials.sample.right
    rows = []
    for attack in (*trials.budgets, trials.chance):
        sure = right & ~attack.unknown
        k, n = int(attack.broken.sum()), int(sure.sum())
        interval = wilson(k, n, WHISKER_ALPHA)
        rows.append(Estimate(attack.name, n, k / n if n else None, interval, k))
    return Estimates("Success rate", tuple(rows), WHISKER_LEVEL, "Wilson")


def _endings(trials: Trials) -> Table:
    attacks = (trials.silent, *trials.budgets, trials.chance)
    rows: list[tuple[Cell, ...]] = [
        (attack.name, how, count) for attack in attacks for how, count in attack.endings.items()
    ]
    return Table("How the attacks ended", ("attack", "ending", "examples"), tuple(rows))
