"""How often the whole gate errs: all checks together, on fair models and on unfair ones.

Usage: python benchmarks/gate_error.py [runs]

Every run simulates a calibrated classifier on 2, 4 or 8 groups and sends it through every check
with default limits. A fair model must not fail anywhere in more than 5 % of runs. Beside it the
same numbers are judged as most tools do, by comparing point estimates with the limits.
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
from rich.console import Console
from rich.table import Table

from auditkit.check import Check
from auditkit.data import AuditData
from auditkit.finding import Finding, Outcome
from auditkit.measuring import run_check
from auditkit.model import Predictions
from auditkit.plan import PlannedCheck
from auditkit.registry import load_registry
from auditkit.result import SuiteLimit
from auditkit.testing import tiny_context, tiny_data

SIZES = (100, 200, 500, 1000)
GROUPS = (2, 4, 8)


def simulate(
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


def audit(
    checks: list[Check], data: AuditData, predictions: Predictions, seed: int
) -> list[Finding]:
    family = sum(limit.value is not None for check in checks for limit in check.limits)
    context = tiny_context(data, predictions, family=family, seed=seed)
    found: list[Finding] = []
    for check in checks:
        limits = {limit.name: SuiteLimit(limit.direction, limit.value) for limit in check.limits}
        entry = PlannedCheck(
            check, check.severity, limits, check.params(), required=False, obstacle=""
        )
        found.extend(run_check(entry, context))
    return found


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


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    checks = list(load_registry().checks.values())
    table = Table(title=f"{runs} runs a row, {len(checks)} checks, default limits")
    for column in (
        "groups",
        "n a group",
        "truth",
        "auditkit FAIL",
        "PASS",
        "undecided",
        "point estimate",
    ):
        table.add_column(column, justify="right")
    worst = 0.0
    for groups in GROUPS:
        for size in SIZES:
            for missed in (0.0, 0.3):
                tally: Counter[str] = Counter()
                for run in range(runs):
                    rng = np.random.default_rng([groups, size, int(missed * 100), run])
                    findings = audit(checks, *simulate(groups, size, missed, rng), seed=run)
                    outcomes = {f.outcome for f in findings if f.limit is not None}
                    broken = [f.message for f in findings if f.outcome is Outcome.ERROR]
                    assert not broken, broken[0]
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
    return 1 if worst > 0.05 + 1.65 * (0.05 * 0.95 / runs) ** 0.5 else 0


if __name__ == "__main__":
    sys.exit(main())
