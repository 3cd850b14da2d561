"""What a model keeps of its accuracy on a set out of distribution, compared with a baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import AuditData, unit_id
from auditkit.errors import NotApplicable
from auditkit.finding import Bounds, Interval, Measurement
from auditkit.metrics.behaviour import MOST_UNITS
from auditkit.metrics.group_pairs import Levels
from auditkit.metrics.shifted import Flags, Rows, Side, gain_interval, guarded, sides
from auditkit.stats.bootstrap import needed_resamples
from auditkit.stats.intervals import Floats, cluster_sums, critical_t
from auditkit.stats.power import smallest_detectable_paired

_RIGHT = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
"""Whether the model and the baseline are right, by the cells of `Both.counts`."""
_NAMES = ("relative_robustness", "effective_robustness")
_ADDED = np.array([[0.5, 0.75, 0.25, 0.5], [0.5, 0.25, 0.75, 0.5]])
"""Rows added to the counts of `Both.counts`, in distribution and on the set, for the lower end."""


@dataclass(frozen=True, slots=True, eq=False)
class Both:
    """Which answers of the model and of the baseline are right, on the same n rows.

    Attributes:
        model: Shape (n,).
        baseline: Shape (n,).
        clusters: Shape (n,); None when every row is independent.
    """

    model: Flags
    baseline: Flags
    clusters: Rows | None

    @property
    def counts(self) -> Floats:
        """Rows that neither, only the model, only the baseline, and both answer rightly."""
        return np.bincount(self.model + 2 * self.baseline, minlength=4).astype(np.float64)


def beyond_the_line(inside: Floats, outside: Floats, added: float = 0.0) -> Floats:
    """Accuracy on the set beyond the one that the baseline's line gives for that in distribution.

    The line has slope 1 on the logit scale and goes through the baseline: as far as the model is
    above the baseline in distribution, so far is it expected to be on the set.

    Args:
        inside: Counts or weights in the order of `Both.counts`, shape (..., 4).
        outside: The same on the set.
        added: Rows added to the right and to the wrong answers of each.

    Returns:
        Shape (...), between -1 and 1.
    """
    odds = [
        (table @ _RIGHT + added) / (table @ (1 - _RIGHT) + added) for table in (inside, outside)
    ]
    (model, baseline), (there, baseline_there) = (np.moveaxis(one, -1, 0) for one in odds)
    expected = model * baseline_there / baseline
    return np.asarray(there / (1 + there) - expected / (1 + expected))


def effective_robustness(
    inside: Both, outside: Both, alphas: Sequence[float], rng: np.random.Generator
) -> tuple[float, list[Interval]]:
    """Effective robustness over the baseline's line, and an interval at each one-sided level.

    Half a right and half a wrong answer are added to each accuracy, so that one of 1 has a logit;
    two models that answer all rows alike still have exactly 0. The ends are quantiles of Dirichlet
    posteriors of both tables of paired answers. Of the row that Jeffreys' prior gives to the rows
    on which the two differ, three quarters go to those that speak for an end: half way to Clopper
    and Pearson's ends, which give all of it. By simulation of 120 to 400 rows a side, of which 1 to
    9 % are answered differently, an end of 5 % errs in up to 3.5 % of samples, and one of 0.5 % in
    up to 0.4 %; with even halves up to 6.9 %. Clustered rows count as fewer, by the design effect
    of the linearised quantity over the clusters of both sides together.
    """
    effect = _design_effect(inside, outside, min(alphas))
    tables = np.stack([inside.counts, outside.counts]) / effect
    draws = needed_resamples(min(alphas)), *tables.shape
    value = float(beyond_the_line(inside.counts, outside.counts, 0.5))
    ends = []
    for added in (_ADDED, _ADDED[::-1]):
        drawn = rng.standard_gamma(tables + added, size=draws)
        ends.append(beyond_the_line(drawn[:, 0], drawn[:, 1]))
    found = []
    for alpha in alphas:
        lower = float(np.quantile(ends[0], alpha, method="lower"))
        upper = float(np.quantile(ends[1], 1 - alpha, method="higher"))
        found.append(Interval(min(lower, value), max(upper, value)))
    return value, found


def _design_effect(inside: Both, outside: Both, alpha: float) -> float:
    """How many clustered rows are worth one; with the allowance of t for few clusters."""
    if inside.clusters is None or outside.clusters is None:
        return 1.0
    influence = np.concatenate(_influences(inside, outside))
    sums = cluster_sums(influence, np.concatenate([inside.clusters, outside.clusters]))
    rows, groups = len(influence), len(sums)
    plain = float(influence @ influence)
    if groups == rows:
        return 1.0
    if groups < 2 or plain <= 1e-24:
        effect = rows / groups
    else:
        effect = max(1.0, groups / (groups - 1) * float(sums @ sums) / plain)
    return effect * (critical_t(alpha, max(groups - 1, 1)) / critical_t(alpha, rows - 1)) ** 2


def _influences(inside: Both, outside: Both) -> tuple[Floats, Floats]:
    """How far each row moves the quantity, by its derivatives."""
    shares = [
        [(float(flags.sum()) + 0.5) / (len(flags) + 1) for flags in (side.model, side.baseline)]
        for side in (inside, outside)
    ]
    (a, b), (there, b_there) = shares
    expected = there - float(beyond_the_line(inside.counts, outside.counts, 0.5))
    slope = expected * (1 - expected)
    here = inside.baseline * (slope / (b * (1 - b))) - inside.model * (slope / (a * (1 - a)))
    far = outside.model - outside.baseline * (slope / (b_there * (1 - b_there)))
    return (here - here.mean()) / len(here), (far - far.mean()) / len(far)


def beside_baseline(context: Context) -> Iterator[Measurement]:
    """Relative and effective robustness on each set; nothing without a baseline."""
    if context.baseline is None:
        return
    inside, sets = sides(context)
    here = _both(context, inside)
    for one in sets:
        try:
            there = _both(context, one)
        except NotApplicable as missing:
            for name in _NAMES:
                yield Measurement(name, None, len(one), None, one.slice, missing.reason)
            continue
        yield _relative(context, one, there, len(sets))
        yield _effective(context, one, (here, there), len(sets))


def _both(context: Context, side: Side) -> Both:
    assert context.baseline is not None
    answers = context.baseline.predict(side.data.inputs)
    return Both(side.right, np.asarray(answers.labels == side.labels), side.data.clusters)


def _relative(context: Context, side: Side, there: Both, comparisons: int) -> Measurement:
    levels = Levels.of(context.confidence, comparisons)
    gains = there.model.astype(np.float64) - there.baseline
    measured = Measurement(
        "relative_robustness",
        float(gains.mean()),
        len(gains),
        levels.bounds(
            lambda alpha: gain_interval(there.baseline, there.model, there.clusters, alpha),
            "Tango, paired" if there.clusters is None else "paired, cluster-robust t",
            comparisons,
        ),
        side.slice,
        f"Right on {there.model.mean():.4f} of the rows, the baseline on "
        f"{there.baseline.mean():.4f}.",
        detectable=smallest_detectable_paired(
            len(gains), float(np.abs(gains).mean()), levels.corrected
        ),
        units=_units(side.data, gains),
    )
    return guarded(measured, len(side), worse="less")


def _effective(
    context: Context, side: Side, both: tuple[Both, Both], comparisons: int
) -> Measurement:
    here, there = both
    levels = Levels.of(context.confidence, comparisons)
    value, (claim, corrected) = effective_robustness(here, there, tuple(levels), context.rng)
    shares = [float(flags.mean()) for one in both for flags in (one.model, one.baseline)]
    method = "Dirichlet posterior of paired answers"
    measured = Measurement(
        "effective_robustness",
        value,
        len(here.model) + len(side),
        Bounds(
            claim,
            corrected,
            method if here.clusters is None else f"{method}, design effect of clusters",
            comparisons,
        ),
        side.slice,
        "Accuracy goes from {0:.4f} in distribution to {2:.4f} here, the baseline's from {1:.4f} "
        "to {3:.4f}. Assumed is a line of slope 1 on the logit scale through the "
        "baseline.".format(*shares),
    )
    return guarded(measured, min(len(here.model), len(side)), worse="less")


def _units(data: AuditData, gains: NDArray[np.float64]) -> dict[str, float]:
    texts = data.inputs
    if len(texts) > MOST_UNITS or not all(isinstance(text, str) for text in texts):
        return {}
    units = {unit_id(text): float(gain) for text, gain in zip(texts, gains, strict=True)}
    return units if len(units) == len(texts) else {}
