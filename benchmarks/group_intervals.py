"""Bootstrap intervals of every group's rates, side by side with fairlearn's MetricFrame.

    python benchmarks/group_intervals.py [--rows N] [--replicates N] [--fairlearn-replicates N]

20,000 rows, two attributes crossed (10 groups), five rates. Both draw the same resamples from the
same seed, so their bounds must be the same numbers; the program ends with 1 when one differs. As
fairlearn needs minutes for thousands of replicates, it is given fewer, the bounds are compared on
exactly those, and the speed is compared per replicate.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np

from auditkit import group_intervals
from auditkit.data import Attribute
from auditkit.metrics.group_intervals import METRICS

QUANTILES = (0.025, 0.975)
SEED = 11
GOAL = 500
ROUNDING = 1e-12


def simulated(rows: int) -> tuple[np.ndarray, np.ndarray, Attribute, Attribute]:
    rng = np.random.default_rng(0)
    first = rng.choice(["a", "b", "c", "d", "e"], rows, p=[0.4, 0.25, 0.2, 0.1, 0.05])
    second = rng.choice(["x", "y"], rows)
    truth = rng.random(rows) < 0.4
    chosen = rng.random(rows) < np.where(truth, 0.8, 0.15) - 0.05 * (first == "e")
    return (
        truth, chosen, Attribute.from_values("first", first.tolist()),
        Attribute.from_values("second", second.tolist()),
    )  # fmt: skip


def fairlearn_frame(data: tuple[np.ndarray, np.ndarray, Attribute, Attribute], times: int) -> Any:
    from fairlearn.metrics import (
        MetricFrame,
        false_positive_rate,
        selection_rate,
        true_positive_rate,
    )
    from sklearn.metrics import accuracy_score, precision_score

    truth, chosen, first, second = data
    functions = dict(
        zip(
            METRICS,
            (selection_rate, true_positive_rate, false_positive_rate, precision_score,
             accuracy_score),
            strict=True,
        )
    )  # fmt: skip
    levels = [[one.levels[code] for code in one.codes] for one in (first, second)]
    return MetricFrame(
        metrics=functions, y_true=truth.astype(int), y_pred=chosen.astype(int),
        sensitive_features={"first": levels[0], "second": levels[1]},
        n_boot=times, ci_quantiles=list(QUANTILES), random_state=SEED,
    )  # fmt: skip


def largest_difference(frame: Any, ours: Any) -> tuple[float, int]:
    """The largest difference between any two bounds, and how many there are."""
    names = list(METRICS)
    by_group = np.stack([one[names].to_numpy().T for one in frame.by_group_ci])
    gaps = frame.difference_ci(method="between_groups")
    between = np.stack([one[names].to_numpy() for one in gaps])
    worst = max(
        float(np.abs(by_group - ours.by_group(QUANTILES)).max()),
        float(np.abs(between - ours.between_groups(QUANTILES)).max()),
    )
    assert not np.isnan(worst)
    return worst, by_group.size + between.size


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--replicates", type=int, default=2_000)
    parser.add_argument("--fairlearn-replicates", type=int, default=50)
    chosen = parser.parse_args()
    data = simulated(chosen.rows)
    few, many = chosen.fairlearn_replicates, chosen.replicates
    # Imports and first calls are nobody's speed.
    fairlearn_frame(data, 1)
    group_intervals(data[0], data[1], data[2], resamples=2)

    start = time.perf_counter()
    crossed = data[2].cross(data[3])
    ours = group_intervals(data[0], data[1], crossed, resamples=many, seed=SEED)
    ours.by_group(QUANTILES)
    ours.between_groups(QUANTILES)
    own = time.perf_counter() - start

    start = time.perf_counter()
    frame = fairlearn_frame(data, few)
    frame.difference_ci(method="between_groups")
    theirs = time.perf_counter() - start
    same = group_intervals(data[0], data[1], crossed, resamples=few, seed=SEED)
    worst, bounds = largest_difference(frame, same)

    ratio = theirs / few / (own / many)
    print(f"{chosen.rows:,} rows, {len(crossed.levels)} groups, {len(METRICS)} rates")
    print(f"auditkit:  {many:,} replicates in {own:.2f} s, {own / many * 1e3:.3f} ms each")
    print(f"fairlearn: {few:,} replicates in {theirs:.2f} s, {theirs / few * 1e3:.1f} ms each")
    print(f"{bounds} bounds on the same {few:,} resamples: largest difference {worst:.3g}")
    measured = "measured" if few == many else f"per replicate; fairlearn was given {few:,}"
    print(f"{ratio:,.0f} times as fast ({measured}; at least {GOAL} wanted)")
    return 0 if worst <= ROUNDING and ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
