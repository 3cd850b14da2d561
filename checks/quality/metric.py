"""A headline metric, and whether the model beats a constant answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from auditkit.check import Context, Limit, check
from auditkit.errors import AuditkitError
from auditkit.finding import Bounds, Cell, Measurement, Severity, Table
from auditkit.metrics.hub_metric import hub_metric
from auditkit.metrics.quality import METRICS
from auditkit.metrics.resampled import Answers, Quality, answers, quality_bounds
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
    higher_is_better: bool | None = None
    """Whether more of an evaluate metric is better; must be said for one."""

    def __post_init__(self) -> None:
        if self.metric.startswith(HUB) and self.higher_is_better is None:
            raise ValueError(f"higher_is_better must be true or false for {self.metric}")
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
        Limit("error", "max", None, lowest=-1.0, means="a metric of which less is better"),
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
        Set `limits.value` to the quality the use needs (`limits.error` for an evaluate metric of
        which less is better). The gain is gated at 0 by default; it is positive when the model is
        better, whichever way the metric points.

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
    if params.metric.startswith(HUB):
        yield from _by_jackknife(context, params, rows, majority, evidence)
        return
    positive = _f1_class(context)
    over = f"over always answering {context.data.class_names[majority]}"
    for name, quality, note, shown in (
        ("value", Quality(params.metric, positive), params.metric, evidence),
        ("gain", Quality(params.metric, positive, majority), f"{params.metric} {over}", ()),
    ):
        yield Measurement(
            name=name,
            value=float(quality.of(rows.matrix)),
            n=len(rows),
            bounds=quality_bounds(rows, quality, context),
            note=f"Metric: {note}.",
            evidence=shown,
        )


def _by_jackknife(
    context: Context,
    params: Params,
    rows: Answers,
    majority: int,
    evidence: tuple[Table, ...],
) -> Iterator[Measurement]:
    """An evaluate metric is slow and opaque: a hundred calls and a t interval."""
    if rows.clusters is not None:
        raise AuditkitError(
            "an evaluate metric has no interval for clustered rows; use a built-in one."
        )
    score = hub_metric(params.metric.removeprefix(HUB), params.arguments, params.key)
    labels, predicted = (
        _positive_last(context, rows.labels),
        _positive_last(context, rows.predicted),
    )
    constant = _positive_last(context, np.full_like(rows.predicted, majority))
    better = 1.0 if params.higher_is_better else -1.0
    claim, corrected = context.confidence.claim_alpha, context.confidence.corrected_alpha(1)
    statistics: dict[str, Callable[[np.ndarray], float]] = {
        "value" if params.higher_is_better else "error": lambda i: score(predicted[i], labels[i]),
        "gain": lambda i: better * (score(predicted[i], labels[i]) - score(constant[i], labels[i])),
    }
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
            evidence=evidence if name != "gain" else (),
        )


def _positive_last(context: Context, classes: np.ndarray) -> np.ndarray:
    """Class numbers for an evaluate metric, which takes 1 to be the positive of two classes."""
    return (
        1 - classes
        if context.data.positive == 0 and len(context.data.class_names) == 2
        else classes
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
