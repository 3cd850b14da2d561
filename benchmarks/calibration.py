"""How often the statistics behind a verdict are wrong, against what they promise.

    python benchmarks/calibration.py

Exact where the sample space can be enumerated, simulated elsewhere. A cell that is promised must
not be wrong more often than its band allows; the others are there to compare with. A binomial
band has a chance of 1 in 10,000 to be left upwards by a method that keeps its level.
Exit code 1 when a promised cell is out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from auditkit.stats.auc import auc_components, auc_difference, auc_interval
from auditkit.stats.bootstrap import RowDesign, bootstrap_counts, bootstrap_rows
from auditkit.stats.differences import (
    difference_bounds,
    exact_hybrid_bounds,
    miettinen_nurminen_bounds,
    newcombe_bounds,
)
from auditkit.stats.gaps import ordered_pairs, pairwise_difference_bounds
from auditkit.stats.intervals import (
    clopper_pearson_bounds,
    effective_counts,
    mean_interval,
    rate,
    wilson,
    wilson_bounds,
)
from auditkit.stats.jackknife import delete_group_jackknife
from auditkit.stats.paired import paired_difference
from auditkit.stats.quantiles import order_statistic_ranks
from auditkit.stats.ratios import exact_hybrid_ratio_bounds, koopman_bounds, ratio_bounds

RUNS = 5_000
SLOW_RUNS = 1_000
LIMIT = 0.1
FLAKE = 1e-4
TINY = 1e-12

Array = NDArray[np.float64]
Bounds = tuple[Array, Array]


@dataclass(frozen=True)
class Cell:
    """One line of the table. `low` and `high` bound the error that its level allows."""

    part: str
    setting: str
    error: float
    low: float
    high: float
    promised: bool = True

    @property
    def verdict(self) -> str:
        if self.error > self.high:
            return "OUT" if self.promised else "above"
        return "below" if self.error < self.low else "in"


def simulated(part: str, setting: str, wrong: int, runs: int, level: float) -> Cell:
    low, high = binom.ppf(FLAKE, runs, level) / runs, binom.isf(FLAKE, runs, level) / runs
    return Cell(part, setting, wrong / runs, low, high)


def band(level: float) -> float:
    """The largest error that a 5,000-run coverage test would let through."""
    return float(binom.isf(FLAKE, RUNS, level)) / RUNS


def one_rate() -> Iterator[Cell]:
    grid = np.linspace(0.0005, 0.9995, 1999)[:, None]
    for n in (20, 50, 200, 1000):
        k = np.arange(n + 1)
        weight = binom.pmf(k, n, grid)
        for alpha in (0.05, 0.025, 0.001):
            for name, bounds in (("Wilson", wilson_bounds), ("exact", clopper_pearson_bounds)):
                lower, upper = bounds(k, n, alpha)
                worst = max(
                    (weight * (lower > grid)).sum(1).max(), (weight * (upper < grid)).sum(1).max()
                )
                exact = name == "exact"
                setting = f"{name}, n={n}, worst end at alpha={alpha}"
                yield Cell("one rate", setting, worst, 0.0, alpha * (1 + 1e-9), exact)


def published_coverage() -> Iterator[Cell]:
    """Mean coverage over rates from 0.05 to 0.95; the mean is published, to three digits."""
    grid = np.linspace(0.05, 0.95, 901)[:, None]
    published = {
        ("Wilson", 20): 0.954, ("Wilson", 100): 0.951,
        ("exact", 20): 0.976, ("exact", 100): 0.963,
    }  # fmt: skip
    for (name, n), mean in published.items():
        k = np.arange(n + 1)
        lower, upper = (wilson_bounds if name == "Wilson" else clopper_pearson_bounds)(k, n, 0.025)
        covered = (binom.pmf(k, n, grid) * ((lower <= grid) & (grid <= upper))).sum(1)
        setting = f"{name}, n={n}: worst coverage {covered.min():.3f}, mean is {covered.mean():.4f}"
        yield Cell("published", setting, 1 - covered.mean(), 1 - mean - 0.002, 1 - mean + 0.002)


RATES = np.array([0.01, 0.02, 0.05, 0.08, 0.1, 0.12, 0.2, 0.3, 0.5])
ALL_RATES = np.concatenate([RATES, 1 - RATES[:-1][::-1]])
SIZES = ((20, 20), (50, 50), (200, 200), (1000, 1000), (20, 180), (50, 450), (100, 900))


def _window(n: int, rate_: float) -> tuple[NDArray[np.int64], Array]:
    low, high = binom.ppf(1e-9, n, rate_), binom.isf(1e-9, n, rate_)
    k = np.arange(int(max(low, 0)), int(min(high, n)) + 1)
    return k, binom.pmf(k, n, rate_)


def worst_end(
    bounds: Callable[[Array, int, Array, int, float], Bounds],
    sizes: tuple[int, int],
    alpha: float,
    truths: list[tuple[float, float, float]],
) -> tuple[float, float, float]:
    """Largest error of either end over (rate, rate, true value), and the rates it is at."""
    n1, n2 = sizes
    lowers, uppers = bounds(np.arange(n1 + 1)[:, None], n1, np.arange(n2 + 1)[None, :], n2, alpha)
    worst = (0.0, 0.0, 0.0)
    for rate1, rate2, truth in truths:
        (k1, weight1), (k2, weight2) = _window(n1, rate1), _window(n2, rate2)
        at = slice(k1[0], k1[-1] + 1), slice(k2[0], k2[-1] + 1)
        for wrong in (lowers[at] > truth + TINY, uppers[at] < truth - TINY):
            worst = max(worst, (float(weight1 @ wrong @ weight2), rate1, rate2))
    return worst


def differences() -> Iterator[Cell]:
    truths = [(p, q, p - q) for p in ALL_RATES for q in ALL_RATES if abs(p - q) <= 0.301]
    methods = {
        "default": difference_bounds,
        "Newcombe": newcombe_bounds,
        "Miettinen-Nurminen": miettinen_nurminen_bounds,
        "exact hybrid": exact_hybrid_bounds,
    }
    yield from _two_rates("difference", methods, truths, SIZES)


def ratios() -> Iterator[Cell]:
    truths = [(p * r, p, r) for p in ALL_RATES for r in (0.5, 0.67, 0.8, 0.9, 1.0)]
    methods = {
        "default": ratio_bounds,
        "Koopman": koopman_bounds,
        "exact hybrid": exact_hybrid_ratio_bounds,
    }
    sizes = (*SIZES[:3], SIZES[4], (180, 20), SIZES[5], (450, 50))
    yield from _two_rates("ratio", methods, truths, sizes)


def _two_rates(part, methods, truths, sizes) -> Iterator[Cell]:
    for n1, n2 in sizes:
        for alpha in (0.05, 0.025, 0.05 / 56):
            for name, bounds in methods.items():
                error, rate1, rate2 = worst_end(bounds, (n1, n2), alpha, truths)
                at = f"{name}, n={n1}/{n2}, alpha={alpha:.4f}, at {rate1:.3f}/{rate2:.3f}"
                # At the corrected level the family is promised, not one pair: see false_verdicts.
                promised = name == "default" and alpha >= 0.025
                yield Cell(part, at, error, 0.0, band(alpha), promised)


def paired() -> Iterator[Cell]:
    ends = cache(paired_difference)
    for n in (50, 200):
        for first, second in ((0.03, 0.01), (0.1, 0.1), (0.2, 0.05), (0.02, 0.02)):
            low = high = 0.0
            discordant, weights = _window(n, first + second)
            for rows, weight in zip(discordant, weights, strict=True):
                for b in range(int(rows) + 1):
                    chance = weight * binom.pmf(b, rows, first / (first + second))
                    interval = ends(b, int(rows) - b, n, 0.05)
                    low += chance * (interval.lower > first - second + TINY)
                    high += chance * (interval.upper < first - second - TINY)
            setting = f"Tango, n={n}, {first}/{second} discordant"
            # A score interval oscillates around its level, so no single cell is promised.
            yield Cell("paired", setting, max(low, high), 0.0, band(0.05), promised=False)
            both = simulated(
                "paired", setting + ", both ends", round(RUNS * (low + high)), RUNS, 0.1
            )
            yield Cell("paired", both.setting, low + high, both.low, both.high)


def _missed(interval, truth: float) -> tuple[bool, bool]:
    above = interval.lower is not None and interval.lower > truth + TINY
    below = interval.upper is not None and interval.upper < truth - TINY
    return above, below


def _coverage(part, setting, draw, truth, runs=RUNS, promised=True) -> Iterator[Cell]:
    """Two-sided 95 % coverage of `draw(rng) -> Interval`."""
    rng = np.random.default_rng(1)
    wrong = sum(any(_missed(draw(rng), truth)) for _ in range(runs))
    cell = simulated(part, setting, wrong, runs, 0.05)
    yield Cell(cell.part, cell.setting, cell.error, cell.low, cell.high, promised)


def means() -> Iterator[Cell]:
    for n in (20, 50, 200, 1000):
        yield from _coverage(
            "mean", f"uniform, n={n}", lambda r, n=n: mean_interval(r.random(n), 0.025), 0.5
        )
    for n in (20, 50, 200, 1000):
        draw = lambda r, n=n: mean_interval(r.beta(9, 1, n), 0.025)  # noqa: E731
        yield from _coverage("mean", f"beta(9, 1), n={n}", draw, 0.9, promised=n >= 200)

    def clustered(rng: np.random.Generator, clusters: int):
        label = np.repeat(np.arange(clusters), 5)
        values = 0.5 * rng.random(clusters)[label] + 0.5 * rng.random(label.size)
        return mean_interval(values, 0.025, label)

    for clusters in (10, 30, 100):
        draw = lambda r, c=clusters: clustered(r, c)  # noqa: E731
        yield from _coverage("mean", f"{clusters} clusters of 5", draw, 0.5)


def repeated_rows() -> Iterator[Cell]:
    """Rows copied from the first of their cluster with some probability."""

    def hits(rng, clusters, size, copied):
        first = rng.random((clusters, 1)) < 0.8
        own = rng.random((clusters, size)) < 0.8
        return np.where(rng.random((clusters, size)) < copied, first, own).ravel().astype(int)

    for size, copied in ((5, 0.5), (10, 0.5), (10, 0.9)):
        for clusters in (20, 100):
            label = np.repeat(np.arange(clusters), size)

            def naive(rng, clusters=clusters, size=size, copied=copied):
                rows = hits(rng, clusters, size, copied)
                return wilson(rows.sum(), rows.size, 0.025)

            def careful(rng, clusters=clusters, size=size, copied=copied, label=label):
                counted = effective_counts(hits(rng, clusters, size, copied), label, 0.025)
                return rate(counted.k, counted.n, 0.025)

            setting = f"{clusters} clusters of {size}, {copied:.0%} copied"
            yield from _coverage(
                "repeated rows", f"naive, {setting}", naive, 0.8, 2000, promised=False
            )
            yield from _coverage("repeated rows", f"effective n, {setting}", careful, 0.8, 2000)


def aucs() -> Iterator[Cell]:
    for positives, negatives in ((20, 20), (50, 50), (50, 450), (200, 200)):
        mask = np.arange(positives + negatives) < positives
        for shift in (0.0, 1.0, 2.0, 3.0):

            def draw(rng, mask=mask, shift=shift):
                scores = rng.normal(0, 1, mask.size) + shift * mask
                return auc_interval(auc_components(scores, mask, ~mask), 0.025)

            setting = f"{positives}/{negatives}, area {norm.cdf(shift / 2**0.5):.3f}"
            yield from _coverage("AUC", setting, draw, norm.cdf(shift / 2**0.5))

        for noise in (1.0, 0.3):

            def paired_draw(rng, mask=mask, noise=noise):
                base = rng.normal(0, 1, mask.size) + mask
                a, b = (
                    auc_components(base + rng.normal(0, noise, mask.size), mask, ~mask)
                    for _ in range(2)
                )
                return auc_difference(a, b, 0.025).interval

            setting = f"paired difference, {positives}/{negatives}, noise {noise}"
            yield from _coverage("AUC", setting, paired_draw, 0.0)


def _balanced_accuracy(tables: Array) -> Array:
    return (tables[:, 0] / tables[:, :2].sum(1) + tables[:, 3] / tables[:, 2:].sum(1)) / 2


def _f1(tables: Array) -> Array:
    bottom = 2 * tables[:, 3] + tables[:, 1] + tables[:, 2]
    return np.divide(2 * tables[:, 3], bottom, out=np.full(len(tables), np.nan), where=bottom > 0)


def _mcc(tables: Array) -> Array:
    tn, fp, fn, tp = tables.T
    bottom = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.divide(tp * tn - fp * fn, bottom, out=np.full(len(tables), np.nan), where=bottom > 0)


def bootstraps() -> Iterator[Cell]:
    metrics = {"balanced accuracy": _balanced_accuracy, "F1": _f1, "MCC": _mcc}
    for n in (50, 200):
        for correct in (0.8, 0.9, 0.98):
            cells = np.array([correct, 1 - correct, 1 - correct, correct])
            for name, metric in metrics.items():

                def draw(rng, n=n, correct=correct, metric=metric):
                    hits = rng.binomial(n, correct, 2)
                    table = [hits[0], n - hits[0], n - hits[1], hits[1]]
                    return bootstrap_counts(table, metric, 0.025, rng, [0, 0, 1, 1]).interval(0.025)

                truth = float(metric(n * cells[None, :])[0])
                setting = f"{name}, {n} a class, rates {correct}"
                yield from _coverage("BCa counts", setting, draw, truth, SLOW_RUNS)
    for n in (50, 200):

        def rows(rng, n=n):
            values = rng.exponential(size=n)
            return bootstrap_rows(
                lambda index: values[index].mean(axis=1), RowDesign(n), 0.025, rng
            ).interval(0.025)

        setting = f"mean of exponentials, n={n}"
        yield from _coverage("BCa rows", setting, rows, 1.0, SLOW_RUNS, promised=n >= 200)

    def whole(rng):
        label = np.repeat(np.arange(60), 5)
        values = rng.random(60)[label] + rng.random(300)
        design = RowDesign(300, clusters=label)
        return bootstrap_rows(lambda i: values[i].mean(axis=1), design, 0.025, rng).interval(0.025)

    yield from _coverage("BCa rows", "60 clusters of 5", whole, 1.0, 300)

    def jackknifed(rng):
        values = rng.random((200, 2))
        return delete_group_jackknife(
            lambda i: float(values[i, 0].sum() / values[i, 1].sum()), 200, 20, rng, 0.025
        )

    yield from _coverage("jackknife", "ratio of means, n=200, 20 groups", jackknifed, 1.0)


def quantiles() -> Iterator[Cell]:
    for n in (100, 1000):
        for p in (0.5, 0.95, 0.99):
            lower, upper = order_statistic_ranks(n, p, 0.05)
            ends = [0.0 if lower is None else float(binom.cdf(lower - 1, n, p))]
            ends.append(0.0 if upper is None else float(binom.sf(upper - 1, n, p)))
            yield Cell("quantile", f"p={p}, n={n}", max(ends), 0.0, 0.05)


Judging = Callable[[Array, Array, Array, Array, float], Bounds]


def gate(
    rates: Array,
    sizes: NDArray[np.int64],
    runs: int,
    limit: float,
    bounds: Judging = difference_bounds,
    rates_compared: int = 1,
) -> tuple[int, int, int]:
    """PASS, FAIL and uncorrected FAIL of `runs` simulated models with these true rates.

    The same counts are drawn whatever the bounds. A FAIL is corrected for all ordered pairs of
    groups, times the number of rates that a check compares.
    """
    rng = np.random.default_rng(7)
    k = rng.binomial(sizes, rates, (runs, len(rates)))
    corrected = 0.05 / (ordered_pairs(len(rates)) * rates_compared)
    passed = np.ones(runs, dtype=bool)
    failed, uncorrected = np.zeros(runs, dtype=bool), np.zeros(runs, dtype=bool)
    for i in range(len(rates)):
        for j in range(len(rates)):
            if i == j:
                continue
            code, at = np.unique(k[:, i] * 10_000 + k[:, j], return_inverse=True)
            counts = code // 10_000, sizes[i], code % 10_000, sizes[j]
            claim_lower, claim_upper = bounds(*counts, 0.05)
            passed &= (claim_upper <= limit)[at]
            uncorrected |= (claim_lower > limit)[at]
            failed |= (bounds(*counts, corrected)[0] > limit)[at]
    for run in range(5 if bounds is difference_bounds else 0):
        judged = pairwise_difference_bounds(k[run], sizes, 0.05, corrected, 1)
        assert (judged.claim_upper <= limit) == passed[run]
        assert (judged.corrected_lower > limit) == failed[run]
    return int(passed.sum()), int(failed.sum()), int(uncorrected.sum())


def false_verdicts() -> Iterator[Cell]:
    for groups in (2, 4, 8):
        for n in (50, 100, 200, 500):
            sizes = np.full(groups, n)
            fair = gate(np.full(groups, 0.8), sizes, RUNS, LIMIT)
            yield simulated("false FAIL", f"{groups} equal groups of {n}", fair[1], RUNS, 0.05)
            for name, rates in _at_the_limit(groups).items():
                passed, failed, _ = gate(rates, sizes, RUNS, LIMIT)
                setting = f"{groups} groups of {n}, {name}"
                yield simulated("false PASS at the limit", setting, passed, RUNS, 0.05)
                yield simulated("false FAIL at the limit", setting, failed, RUNS, 0.05)
    for small, large in ((20, 180), (50, 450), (100, 900)):
        for rare in (0.02, 0.12, 0.9, 0.98):
            rates = np.array([rare, *([rare + (LIMIT if rare < 0.5 else -LIMIT)] * 3)])
            sizes = np.array([small, large, large, large])
            passed, failed, _ = gate(rates, sizes, RUNS, LIMIT)
            setting = f"one of {small} at {rare}, three of {large} at {rates[1]:.2f}"
            yield simulated("false PASS at the limit", setting, passed, RUNS, 0.05)
            yield simulated("false FAIL at the limit", setting, failed, RUNS, 0.05)


def _at_the_limit(groups: int) -> dict[str, Array]:
    one, half = np.full(groups, 0.8), np.full(groups, 0.8)
    one[0] = 0.7
    half[: groups // 2] = 0.7
    rare = np.full(groups, 0.02)
    rare[: groups // 2] = 0.12
    return {"one at 0.7": one, "half at 0.7": half, "half at 0.12, rest 0.02": rare}


POWER = {
    # (groups, base rate, rate of the first group, what): share of runs by rows per group
    (2, 0.8, 0.8, "PASS"): {100: 0.11, 200: 0.61, 500: 0.98, 1000: 1.0},
    (4, 0.8, 0.8, "PASS"): {100: 0.003, 200: 0.18, 500: 0.91, 1000: 1.0},
    (8, 0.8, 0.8, "PASS"): {100: 0.0, 200: 0.01, 500: 0.72, 1000: 0.998},
    (8, 0.8, 0.6, "FAIL"): {100: 0.20, 200: 0.47, 500: 0.93, 1000: 1.0},
    (8, 0.8, 0.6, "FAIL uncorrected"): {100: 0.83, 200: 0.96, 500: 1.0, 1000: 1.0},
    (8, 0.8, 0.7, "PASS"): {200: 0.0, 500: 0.002, 1000: 0.002},
    (8, 0.8, 0.7, "FAIL"): {200: 0.003, 500: 0.005, 1000: 0.004},
    (8, 0.8, 0.7, "FAIL uncorrected"): {200: 0.196, 500: 0.191, 1000: 0.189},
    (2, 0.85, 0.7, "FAIL uncorrected"): {100: 0.21, 200: 0.33, 500: 0.61, 1000: 0.86},
}  # fmt: skip


def power() -> Iterator[Cell]:
    """The verdicts' power against the published simulation, within three Monte Carlo errors."""
    for (groups, base, first, what), table in POWER.items():
        rates = np.full(groups, base)
        rates[0] = first
        for n, published in table.items():
            counts = gate(rates, np.full(groups, n), RUNS, LIMIT)
            share = counts[("PASS", "FAIL", "FAIL uncorrected").index(what)] / RUNS
            error = 3 * (max(published * (1 - published), 0.002) * (1 / RUNS + 1 / 2000)) ** 0.5
            error += 0.005
            setting = f"{what}: {groups} groups of {n}, {base} and {first}, published {published}"
            low, high = published - error, published + error
            yield Cell("power", setting, share, low, high, promised=False)


def naive_bootstrap() -> Iterator[Cell]:
    """What a percentile bootstrap of max - min does to fair models."""
    rng = np.random.default_rng(3)
    for groups, n in ((2, 1000), (8, 50), (8, 500)):
        shares = rng.binomial(n, 0.8, (300, groups)) / n
        drawn = rng.binomial(n, shares[:, None, :], (300, 1000, groups)) / n
        lower = np.quantile(drawn.max(2) - drawn.min(2), 0.025, axis=1)
        wrong = int((lower > 0).sum())
        cell = simulated("naive bootstrap", f"max - min, {groups} groups of {n}", wrong, 300, 0.05)
        over = f"; lower end above 0.1 in {(lower > LIMIT).mean():.0%}"
        yield Cell(cell.part, cell.setting + over, cell.error, cell.low, cell.high, promised=False)


PARTS = (
    one_rate, published_coverage, differences, ratios, paired, means, repeated_rows, aucs,
    bootstraps, quantiles, false_verdicts, power, naive_bootstrap,
)  # fmt: skip


def main() -> int:
    out = 0
    print(f"{'part':24} {'setting':66} {'error':>8} {'band':>15}  promised  verdict")
    for part in PARTS:
        start = time.perf_counter()
        for cell in part():
            out += cell.verdict == "OUT"
            limits = f"{cell.low:.4f}-{cell.high:.4f}"
            promised = "yes" if cell.promised else "no"
            print(
                f"{cell.part:24} {cell.setting:66} {cell.error:8.4f} {limits:>15}  "
                f"{promised:8}  {cell.verdict}"
            )
        print(f"-- {part.__name__}: {time.perf_counter() - start:.1f} s", flush=True)
    print(f"{out} promised cells out of their band")
    return 1 if out else 0


if __name__ == "__main__":
    sys.exit(main())
