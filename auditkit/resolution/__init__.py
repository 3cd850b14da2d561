"""What the data can show before the model is asked: margins, detectable gaps, chances of a PASS.

No answer of the model is looked at. Rates that only the answers would tell are assumed, and said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditkit.check import Confidence
from auditkit.data import AuditData
from auditkit.errors import AuditkitError, NotApplicable
from auditkit.plan import PlannedCheck
from auditkit.resolution.gaps import Comparing, gap_resolutions
from auditkit.resolution.overall import calibration_resolutions, metric_resolutions
from auditkit.resolution.ranking import ASSUMED_AUC, auc_resolutions
from auditkit.resolution.resolved import ASSUMED_RATE, POWER, Resolution, Unresolved
from auditkit.resolution.rows import AttributeRows, GroupRows, attribute_rows

_COMPARING = {
    "fairness.demographic-parity": Comparing("gap", ("selection rate",)),
    "fairness.equalized-odds": Comparing("gap", ("true positive rate", "false positive rate")),
    "fairness.impact-ratio": Comparing("ratio", ("selection rate",)),
    "fairness.predictive-parity": Comparing("gap", ("precision",)),
    "quality.group-quality": Comparing("gap", ("accuracy",)),
}
_RATES = frozenset({"accuracy", "balanced-accuracy"})


def resolutions(
    checks: Iterable[PlannedCheck], data: AuditData, confidence: Confidence
) -> tuple[tuple[Resolution, ...], tuple[Unresolved, ...]]:
    """What every applicable check can show, and those of which that is not estimated."""
    found: list[Resolution] = []
    unknown: list[Unresolved] = []
    for entry in checks:
        if entry.obstacle:
            continue
        reason = _beyond(entry)
        if not reason:
            try:
                own = list(_of_check(entry, data, confidence))
                found += own
                reason = "" if own else "there is nothing to compare"
            except NotApplicable as error:
                reason = error.reason
            except AuditkitError as error:
                reason = error.message
        if reason:
            unknown.append(Unresolved(entry.check.id, reason))
    return tuple(found), tuple(unknown)


def _beyond(entry: PlannedCheck) -> str:
    """Why there is no formula for this check; empty where there is one."""
    metric = getattr(entry.params, "metric", "accuracy")
    if given := getattr(entry.params, "given", ""):
        return f"what a comparison given {given} can show depends on its strata"
    match entry.check.id:
        case "quality.metric" if metric not in _RATES:
            return f"the interval of {metric} depends on which rows are wrong"
        case "quality.group-quality" if metric != "accuracy":
            return f"the gap of {metric} depends on which rows are wrong"
        case "quality.metric" | "quality.calibration" | "fairness.subgroup-auc":
            return ""
        case known if known in _COMPARING:
            return ""
    return "no formula is known for this check"


def _of_check(entry: PlannedCheck, data: AuditData, confidence: Confidence) -> Iterator[Resolution]:
    match entry.check.id:
        case "quality.metric":
            yield from metric_resolutions(entry, data, confidence)
        case "quality.calibration":
            yield from calibration_resolutions(entry, data, confidence)
        case "fairness.subgroup-auc":
            yield from auc_resolutions(entry, data, confidence)
        case check_id:
            yield from gap_resolutions(entry, _COMPARING[check_id], data, confidence)


__all__ = [
    "ASSUMED_AUC",
    "ASSUMED_RATE",
    "POWER",
    "AttributeRows",
    "GroupRows",
    "Resolution",
    "Unresolved",
    "attribute_rows",
    "resolutions",
]
