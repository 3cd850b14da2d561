"""A headline metric, and whether the model beats a constant answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from auditkit.check import Context, Limit, check
from auditkit.errors import AuditkitError
from auditkit.finding import Bounds, Cell, Measurement, Severity, Table
from auditkit.metrics.hub_metric import hub_metric
from auditkit.metrics.quality import METRICS, majority_matrix, metric_function
from auditkit.metrics.resampled import Answers, Statistic, answers, metric_bounds
from auditkit.model import Capability
from auditkit.stats.jackknife import jackknife

HUB = "evaluate:"
JACKKNIFE_GROUPS = 100


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters of `quality.metric`."""

    metric: str = "accuracy"
    """accuracy, balanced-accuracy, f1, mcc, or evaluate:NAME for a metric of Hugging Face evaluate:
    a local folder, whose code is run, or a hub id, which needs `online`."""
    arguments: dict[str, str | int | float | bool] = field(default_factory=dict)
    """Arguments for the metric's compute, for an evaluate metric: average = "macro"."""
    key: str = ""
    """Which of the numbers an evaluate metric returns; empty when it returns one."""

    def __post_init__(self) -> None:
        if self.metric not in METRICS and not self.metric.startswith(HUB):
            raise ValueError(
                f"metric must be {', '.join(METRICS)} or {HUB}NAME, not {self.metric!r}"
            )


@check(
    "quality.metric",
    title="The model is better than always answering the most frequent class",
    severity=Severity.HIGH,
    needs={Capability.LABELS},
    params=Params,
    limits=(
        Limit("gain", "min", 0.0, lowest=-1.0, means="a gain over the most frequent class"),
        Limit("value", "min", None, lowest=-1.0, means="the metric itself"),
    ),
)
def metric(context: Context, params: Params) -> Iterator[Measurement]:
    """A headline metric, and its gain over a constant answer.

    What it measures:
        Accuracy, balanced accuracy, F1 (of the positive class, or averaged over all classes),
        Matthews correlation, or any metric of Hugging Face evaluate. The gain is the metric less
        that of always answering the most frequent class of the audited rows.

    Why it matters:
        On unbalanced data a model that has learnt nothing scores high. A gain that cannot be told
        from zero means the rest of the audit is about noise.

    How to read it:
        Set `limits.value` to the quality the use needs. The gain is gated at 0 by default.

    What to do:
        If the gain is small, look at the confusion matrix for classes that are never predicted.

    Limits of this check:
        The number holds for data like these. An evaluate metric's interval is a delete-a-group
        jackknife, which suits smooth metrics and not medians.

    References:
        Clopper & Pearson 1934; Efron 1987 (BCa); Shao & Tu 1995 (jackknife).
    """
    rows = answers(context)
    majority = int(np.bincount(rows.labels, minlength=rows.classes).argmax())
    evidence = (_confusion_table(context, rows),)
    name = context.data.class_names[majority]
    if params.metric.startswith(HUB):
        yield from _by_jackknife(context, params, rows, majority)
        return
    statistic = metric_function(params.metric, _f1_class(context))

    def gain(matrix: np.ndarray) -> np.ndarray:
        return statistic(matrix) - statistic(majority_matrix(matrix, majority))

    yield _measured("value", statistic, context, rows, params.metric, evidence)
    yield _measured("gain", gain, context, rows, f"{params.metric} over always answering {name}")


def _measured(
    name: str,
    statistic: Statistic,
    context: Context,
    rows: Answers,
    note: str,
    evidence: tuple[Table, ...] = (),
) -> Measurement:
    return Measurement(
        name=name,
        value=float(statistic(rows.matrix)),
        n=len(rows),
        bounds=metric_bounds(rows, statistic, context),
        note=f"Metric: {note}.",
        evidence=evidence,
    )


def _by_jackknife(
    context: Context, params: Params, rows: Answers, majority: int
) -> Iterator[Measurement]:
    """An evaluate metric is slow and opaque: a hundred calls and a t interval."""
    compute = hub_metric(params.metric.removeprefix(HUB), params.arguments, params.key)
    constant = np.full_like(rows.predicted, majority)
    claim, corrected = context.confidence.claim_alpha, context.confidence.corrected_alpha(1)
    statistics = {
        "value": lambda i: compute(rows.predicted[i], rows.labels[i]),
        "gain": lambda i: (
            compute(rows.predicted[i], rows.labels[i]) - compute(constant[i], rows.labels[i])
        ),
    }
    if rows.clusters is not None:
        raise AuditkitError(
            "an evaluate metric has no interval for clustered rows; use a built-in one."
        )
    for done, (name, statistic) in enumerate(statistics.items()):
        estimate = jackknife(statistic, len(rows), JACKKNIFE_GROUPS, context.rng)
        context.advance((done + 1) / len(statistics))
        yield Measurement(
            name=name,
            value=estimate.value,
            n=len(rows),
            bounds=Bounds(
                estimate.interval(claim), estimate.interval(corrected), "delete-a-group jackknife"
            ),
            note=f"Metric: {params.metric}.",
        )


def _f1_class(context: Context) -> int | None:
    """F1 is that of the positive class of a binary task, else the mean over classes."""
    return context.data.positive if len(context.data.class_names) == 2 else None


def _confusion_table(context: Context, rows: Answers) -> Table:
    names = context.data.class_names
    cells: list[tuple[Cell, ...]] = [
        (name, *(int(count) for count in counts))
        for name, counts in zip(names, rows.matrix, strict=True)
    ]
    return Table("Confusion matrix", ("true class", *(f"→ {name}" for name in names)), tuple(cells))
