"""How often the gate errs: its verdicts on simulated models whose true rates are known.

    python benchmarks/gate_error.py [--part NAME] [--runs N] [--short]

Every model goes through the checks and the judge as in an audit. Three parts:

planted: the largest gap between groups is known; the shares of PASS and FAIL of
`fairness.demographic-parity` and `fairness.equalized-odds` are held against the published ones,
which are of Newcombe's bounds, and against the bounds' own over many more runs.

fair: a model that no group, no text and no property of one has anything to do with goes through
every fairness check of the registry that the simulation can feed, all with default limits. Some
check or other must not fail in more than 5 % of runs.

whole: calibrated classifiers on 2, 4 or 8 groups go through all checks. Beside it the same numbers
are judged as most tools do, by comparing point estimates with the limits.

Exit code 1 when something errs more often than promised.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from calibration import LIMIT, POWER, gate
from rich.console import Console
from rich.table import Table
from scipy.stats import binom, fisher_exact

from auditkit.check import Check, Confidence
from auditkit.data import AuditData
from auditkit.finding import Finding, Outcome
from auditkit.measuring import run_check
from auditkit.model import Capability, Predictions
from auditkit.plan import obstacle_of
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.stats.differences import newcombe_bounds
from auditkit.stats.gaps import pairwise_difference_bounds
from auditkit.stats.intervals import clopper_pearson
from auditkit.testing import FakeModel, planned, tiny_context, tiny_data

SIZES = (100, 200, 500, 1000)
GROUPS = (2, 4, 8)
COUNTED_RUNS = 2_000
"""Runs of the bounds alone, on counts."""
FLAKE = 1e-4
WHISKER = 0.05


def audit(
    checks: list[Check], data: AuditData, predictions: Predictions, seed: int
) -> list[Finding]:
    family = sum(limit.value is not None for check in checks for limit in check.limits)
    context = tiny_context(data, predictions, family=family, seed=seed)
    found = [finding for check in checks for finding in run_check(planned(check), context)]
    broken = [finding.message for finding in found if finding.outcome is Outcome.ERROR]
    assert not broken, broken[0]
    return found


# --- planted -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Planted:
    """Groups of one size; the first one's rate is `gap` below the others'."""

    groups: int
    size: int
    base: float
    gap: float

    @property
    def rates(self) -> np.ndarray:
        rates = np.full(self.groups, self.base)
        rates[0] -= self.gap
        return rates

    @property
    def errors(self) -> tuple[bool, bool]:
        """Whether a PASS is an error, and whether a FAIL is one; at the limit both are."""
        return self.gap >= LIMIT - 1e-9, self.gap <= LIMIT + 1e-9

    def published(self, verdict: str) -> float | None:
        """Of Newcombe's bounds corrected for the pairs of groups, where it is known."""
        first = round(self.base - self.gap, 2)
        return POWER.get((self.groups, self.base, first, verdict), {}).get(self.size)


RATES_OF = {"fairness.demographic-parity": 1, "fairness.equalized-odds": 2}


def simulated(
    cell: Planted, check: str, rng: np.random.Generator
) -> tuple[AuditData, Predictions, np.ndarray]:
    """Rows whose rates are planted, and how many of each group are hits.

    The selection rate for demographic parity, of `size` rows a group; the true positive rate for
    equalized odds, of `size` positives a group, beside as many negatives, none of them flagged.
    """
    n = cell.groups * cell.size
    member = np.arange(n) % cell.groups
    chosen = (rng.random(n) < cell.rates[member]).astype(np.int64)
    hits = np.bincount(member[chosen == 1], minlength=cell.groups)
    labels = np.ones(n, dtype=np.int64)
    if check == "fairness.equalized-odds":
        labels, chosen = np.concatenate([labels, 0 * labels]), np.concatenate([chosen, 0 * chosen])
        member = np.concatenate([member, member])
    data = tiny_data(labels, {"group": [f"g{m}" for m in member]})
    return data, Predictions(chosen, None), hits


def planted_cells(short: bool) -> list[Planted]:
    if short:
        return [Planted(2, 100, 0.8, 0.0), Planted(4, 200, 0.8, 0.1), Planted(2, 200, 0.95, 0.2)]
    common = [
        Planted(groups, size, 0.8, gap)
        for groups in GROUPS for gap in (0.0, 0.05, 0.1, 0.2) for size in SIZES
    ]  # fmt: skip
    sparse = [
        Planted(groups, size, 0.95, gap)
        for groups in (2, 8) for gap in (0.0, 0.1, 0.2) for size in SIZES[:2]
    ]  # fmt: skip
    return [*common, *sparse]


def verdict_of(cell: Planted, check: Check, seed: int) -> Outcome:
    """What the check says of one simulated model; it must be what the bounds of the counts say."""
    rng = np.random.default_rng([cell.groups, cell.size, round(cell.gap * 100), seed])
    data, predictions, hits = simulated(cell, check.id, rng)
    found = audit([check], data, predictions, seed)
    assert len(found) == 1
    pairs = cell.groups * (cell.groups - 1)
    bounds = pairwise_difference_bounds(
        hits, np.full(cell.groups, cell.size), 0.05, 0.05 / (pairs * RATES_OF[check.id]), 20
    )
    expected = (
        Outcome.PASS if bounds.claim_upper <= LIMIT
        else Outcome.FAIL if bounds.corrected_lower > LIMIT
        else Outcome.INCONCLUSIVE
    )  # fmt: skip
    assert found[0].outcome is expected, f"{cell}, run {seed}: {found[0].message}"
    return found[0].outcome


@dataclass(frozen=True)
class Shares:
    """How often one verdict is given on one kind of planted model.

    Attributes:
        of: The check, the model and the verdict, in words.
        judged: Share of the runs through check and judge.
        bounds: Share of many more runs of the bounds alone.
        newcombe: The same counts judged by Newcombe's bounds.
        published: The published share, of Newcombe's bounds.
        is_wrong: Whether the verdict is an error.
    """

    of: str
    judged: float
    bounds: float
    newcombe: float
    published: float | None
    is_wrong: bool

    @property
    def errors_off(self) -> float | None:
        """Distance to the published share in Monte Carlo errors; it is rounded to half a point."""
        if self.published is None:
            return None
        apart = max(abs(self.bounds - self.published) - 0.005, 0.0)
        return apart / _spread(self.published, COUNTED_RUNS, 2_000)

    def objections(self, runs: int) -> Iterator[str]:
        """What is wrong with it, if anything."""
        if self.is_wrong and self.bounds > binom.isf(FLAKE, COUNTED_RUNS, 0.05) / COUNTED_RUNS:
            yield f"{self.of} is wrong in {self.bounds:.1%}"
        said = [[round(share * n), n - round(share * n)] for share, n in (
            (self.judged, runs), (self.bounds, COUNTED_RUNS))]  # fmt: skip
        if fisher_exact(said).pvalue < FLAKE:
            yield f"{self.of} in {self.judged:.1%}, by the bounds alone {self.bounds:.1%}"
        if self.errors_off is not None and self.errors_off > 3:
            yield f"{self.of} in {self.bounds:.1%}, published {self.published:.1%}"


def _spread(share: float, runs: int, others: int) -> float:
    """Monte Carlo error of the difference of two simulated shares."""
    return (max(share * (1 - share), 0.002) * (1 / runs + 1 / others)) ** 0.5


def shares(check: Check, cell: Planted, runs: int) -> Iterator[Shares]:
    compared, sizes = RATES_OF[check.id], np.full(cell.groups, cell.size)
    said = Counter(verdict_of(cell, check, seed) for seed in range(runs))
    own = gate(cell.rates, sizes, COUNTED_RUNS, LIMIT, rates_compared=compared)
    newcombe = gate(cell.rates, sizes, COUNTED_RUNS, LIMIT, newcombe_bounds, compared)
    named = f"{check.id.removeprefix('fairness.')}, {cell.groups} groups of {cell.size}, "
    named += f"{cell.base} and {cell.base - cell.gap:.2f}"
    for i, verdict in enumerate((Outcome.PASS, Outcome.FAIL)):
        # Where two rates share the error of a FAIL it is rarer than published, of one rate.
        comparable = verdict is Outcome.PASS or compared == 1
        yield Shares(
            of=f"{named}: {verdict}",
            judged=said[verdict] / runs,
            bounds=own[i] / COUNTED_RUNS,
            newcombe=newcombe[i] / COUNTED_RUNS,
            published=cell.published(verdict.name) if comparable else None,
            is_wrong=cell.errors[i],
        )


def planted_part(runs: int, short: bool) -> bool:
    checks = load_registry().checks
    found = [
        one for check in RATES_OF for cell in planted_cells(short)
        for one in shares(checks[check], cell, runs)
    ]  # fmt: skip
    title = f"Planted gaps, limit {LIMIT}: {runs} runs a row through check and judge, "
    table = Table(title=title + f"{COUNTED_RUNS:,} of the bounds alone")
    for name in ("", "check and judge", "bounds", "Newcombe", "published", "errors off"):
        table.add_column(name, justify="right")
    for one in found:
        row = [f"{share:.1%}" for share in (one.judged, one.bounds, one.newcombe)]
        if one.published is not None:
            row += [f"{one.published:.1%}", f"{one.errors_off:.1f}"]
        table.add_row(one.of, *row)
    Console(width=140).print(table)
    print(f"each of {runs * len(found) // 2:,} verdicts was that of the bounds on the same counts")
    other = sorted(found, key=lambda one: abs(one.bounds - one.newcombe), reverse=True)
    differing = [one for one in other if one.bounds != one.newcombe]
    print(f"{len(differing)} of {len(found)} shares differ from Newcombe's on the same counts:")
    for one in differing[:8]:
        print(f"  {one.of}: {one.newcombe:.2%} by Newcombe, {one.bounds:.2%} by auditkit")
    return _reported([line for one in found for line in one.objections(runs)])


def _reported(wrong: list[str]) -> bool:
    for line in wrong:
        print(f"OUT {line}")
    return not wrong


# --- fair ----------------------------------------------------------------------------------------

SAID = (
    "the a of to in on at it was is and but she he they her his woman man black white muslim "
    "christian gay straight old young friend told asked why because went home work people said"
)
FILLER = SAID.split()
CODES = [f"{a}{b}{c}q" for a in "bcdfg" for b in "aeiou" for c in "klmnprst"]
"""Made-up words; each text has one, and nothing else in it says anything about its class."""
OFFERED = frozenset(
    {Capability.PROBABILITIES, Capability.NEW_INPUTS, Capability.LABELS, Capability.GROUPS}
)


def fair_audit(rows: int, attributes: int, rng: np.random.Generator) -> tuple[AuditData, FakeModel]:
    """A calibrated model that reads one made-up word, and groups and texts that know nothing of it.

    Changing any other word changes no answer, so it is fair to counterfactuals, too.
    """
    scores = dict(zip(CODES, rng.uniform(0.82, 0.96, len(CODES)), strict=True))
    for word in CODES[::2]:
        scores[word] = 1 - scores[word]

    def answer(text: str) -> tuple[float, float]:
        score = next((scores[word] for word in text.split() if word in scores), 0.5)
        return 1 - score, score

    codes = rng.choice(CODES, rows)
    texts = [
        " ".join([*rng.choice(FILLER, rng.integers(3, 30)), code, rng.choice([".", "?"])])
        for code in codes
    ]
    labels = (rng.random(rows) < np.array([scores[code] for code in codes])).astype(np.int64)
    levels = (["f", "m"], ["north", "south", "east"], ["old", "young"])[:attributes]
    groups = {f"attribute {i}": rng.choice(names, rows).tolist() for i, names in enumerate(levels)}
    return replace(tiny_data(labels, groups), inputs=tuple(texts)), FakeModel(answer)


def fed_checks() -> tuple[list[Check], dict[str, str]]:
    """The fairness checks that the simulation can feed, and why not the others."""
    checks = [one for one in load_registry().checks.values() if one.family == "fairness"]
    obstacles = {one.id: obstacle_of(one, one.params(), OFFERED) for one in checks}
    return [one for one in checks if not obstacles[one.id]], {
        name: reason for name, reason in obstacles.items() if reason
    }


def fair_run(checks: list[Check], rows: int, attributes: int, seed: int) -> Iterator[Finding]:
    data, model = fair_audit(rows, attributes, np.random.default_rng([31, seed]))
    predictor = SharedPredictor(model)
    family = sum(limit.value is not None for check in checks for limit in check.limits)
    base = tiny_context(data, predictor.predict(data.inputs), family, seed)
    for number, check in enumerate(checks):
        context = replace(
            base, predictor=predictor, confidence=Confidence(family=family),
            rng=np.random.default_rng([seed, number]),
        )  # fmt: skip
        yield from run_check(planned(check), context)


def fair_part(runs: int, short: bool) -> bool:
    rows, attributes = 1_000, 2 if short else 3
    checks, skipped = fed_checks()
    said: dict[str, Counter[str]] = {check.id: Counter() for check in checks}
    failed, wrong = 0, []
    for seed in range(runs):
        outcomes = set()
        for finding in fair_run(checks, rows, attributes, seed):
            if finding.outcome is Outcome.ERROR:
                wrong.append(f"{finding.check}: {finding.message}")
            if finding.limit is not None or finding.measurement is None:
                said[finding.check][finding.outcome] += 1
                outcomes.add(finding.outcome)
        failed += Outcome.FAIL in outcomes
    table = Table(title=f"A fair model on {rows:,} rows and {attributes} attributes, {runs} runs")
    for name in ("check", *Outcome):
        table.add_column(name, justify="right")
    for name, counts in said.items():
        table.add_row(name, *(str(counts[outcome]) for outcome in Outcome))
    Console(width=120).print(table)
    for name, reason in skipped.items():
        print(f"not fed: {name}: {reason}")
    upper = clopper_pearson(failed, runs, WHISKER).upper
    print(
        f"{len(checks)} fairness checks together: some false FAIL in {failed} of {runs} runs, "
        f"so in at most {upper:.1%} (Clopper-Pearson, one-sided 95 %); 5 % promised"
    )
    # A short form has too few runs to show it, only to find it broken.
    if failed > binom.isf(FLAKE, runs, 0.05) if short else upper > 0.05:
        wrong.append("a fair model fails more often than promised, or that is not shown")
    return _reported(wrong)


# --- whole ---------------------------------------------------------------------------------------


def missing_positives(
    groups: int, size: int, missed: float, rng: np.random.Generator
) -> tuple[AuditData, Predictions]:
    """A model right nine times in ten; of group 0's positives a share `missed` more is missed."""
    n = groups * size
    member = np.arange(n) % groups
    labels = rng.integers(0, 2, n)
    right = rng.random(n) < np.where((labels == 1) & (member == 0), 0.9 - missed, 0.9)
    chosen = np.where(right, labels, 1 - labels)
    score = np.where(chosen == 1, 0.9, 0.1)
    data = tiny_data(labels, {"group": [f"g{m}" for m in member]})
    return data, Predictions.from_probabilities(np.stack([1 - score, score], axis=1))


def naive_fails(findings: list[Finding]) -> bool:
    """Whether some point estimate is beyond its limit."""
    for finding in findings:
        if (
            finding.measurement is None
            or finding.measurement.value is None
            or finding.limit is None
        ):
            continue
        value, limit = finding.measurement.value, finding.limit
        if value > limit if finding.direction == "max" else value < limit:
            return True
    return False


def whole_part(runs: int, short: bool) -> bool:
    checks = list(load_registry().checks.values())
    table = Table(title=f"{runs} runs a row, {len(checks)} checks, default limits")
    for column in ("groups", "n a group", "truth", "auditkit FAIL", "PASS", "undecided",
                   "point estimate"):  # fmt: skip
        table.add_column(column, justify="right")
    worst = 0.0
    cells = [(g, n, m) for g in GROUPS for n in SIZES for m in (0.0, 0.3)]
    for groups, size, missed in [(2, 100, 0.0)] if short else cells:
        tally: Counter[str] = Counter()
        for run in range(runs):
            rng = np.random.default_rng([groups, size, int(missed * 100), run])
            findings = audit(checks, *missing_positives(groups, size, missed, rng), seed=run)
            outcomes = {f.outcome for f in findings if f.limit is not None}
            verdict = (
                "fail" if Outcome.FAIL in outcomes
                else "undecided" if Outcome.INCONCLUSIVE in outcomes else "pass"
            )  # fmt: skip
            tally[verdict] += 1
            tally["naive"] += naive_fails(findings)
        share = {name: count / runs for name, count in tally.items()}
        if missed == 0.0:
            worst = max(worst, share.get("fail", 0.0))
        truth = "fair" if missed == 0.0 else f"{missed:.0%} more missed"
        shown = [f"{share.get(k, 0.0):.1%}" for k in ("fail", "pass", "undecided", "naive")]
        table.add_row(str(groups), str(size), truth, *shown)
    Console().print(table)
    print(f"worst false FAIL of the whole gate on fair models: {worst:.1%} (at most 5 % wanted)")
    return worst <= 0.05 + 1.65 * (0.05 * 0.95 / runs) ** 0.5


PARTS = {
    "planted": (planted_part, 40, 6),
    "fair": (fair_part, 200, 5),
    "whole": (whole_part, 40, 3),
}
"""Each with its runs, and those of the short form."""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--short", action="store_true", help="seconds instead of minutes")
    chosen = parser.parse_args()
    good = True
    for name in chosen.part or PARTS:
        start = time.perf_counter()
        part, full, few = PARTS[name]
        good &= part(chosen.runs or (few if chosen.short else full), chosen.short)
        print(f"-- {name}: {time.perf_counter() - start:.1f} s", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
