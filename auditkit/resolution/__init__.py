"""What the data can show before the model is asked: margins, detectable gaps, chances of a PASS.

No answer of the model is looked at. Rates that only the answers would tell are assumed, and said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from auditkit.check import Confidence
from auditkit.data import AuditData
from auditkit.errors import AuditkitError, NotApplicable
from auditkit.plan import PlannedCheck
from auditkit.resolution.gaps import Comparing, band_resolutions, gap_resolutions
from auditkit.resolution.overall import calibration_resolutions, metric_resolutions
from auditkit.resolution.ranking import ASSUMED_AUC, auc_resolutions
from auditkit.resolution.resolved import ASSUMED_RATE, POWER, Resolution, Unresolved
from auditkit.resolution.rows import AttributeRows, GroupRows, attribute_rows
from auditkit.resolution.scores import (
    distribution_resolutions,
    probe_resolutions,
    ranking_gap_resolutions,
)
from auditkit.resolution.shifts import (
    Audited,
    contrast_resolutions,
    coverage_resolutions,
    detection_resolutions,
    drift_resolutions,
    drop_resolutions,
    leakage_resolutions,
    noise_resolutions,
)

_COMPARING = {
    "fairness.demographic-parity": Comparing("gap", ("selection rate",)),
    "fairness.equalized-odds": Comparing("gap", ("true positive rate", "false positive rate")),
    "fairness.impact-ratio": Comparing("ratio", ("selection rate",)),
    "fairness.error-rate-balance": Comparing("gap", ("false positive rate", "false negative rate")),
    "fairness.label-bias": Comparing("gap", ("share labelled",)),
    "fairness.predictive-parity": Comparing("gap", ("precision",)),
    "quality.group-quality": Comparing("gap", ("accuracy",)),
}
_OWN: Mapping[str, Callable[[PlannedCheck, AuditData, Confidence], Iterator[Resolution]]] = {
    "fairness.proxy": probe_resolutions,
    "fairness.ranking-gap": ranking_gap_resolutions,
    "fairness.score-distribution": distribution_resolutions,
    "fairness.subgroup-auc": auc_resolutions,
    "ood.invariance-to-length": band_resolutions,
    "quality.calibration": calibration_resolutions,
    "quality.metric": metric_resolutions,
}
_AROUND: Mapping[str, Callable[[PlannedCheck, Audited, Confidence], Iterator[Resolution]]] = {
    "ood.accuracy-drop": drop_resolutions,
    "ood.conformal-coverage": coverage_resolutions,
    "ood.contrast-consistency": contrast_resolutions,
    "ood.detection": detection_resolutions,
    "ood.drift": drift_resolutions,
    "ood.label-noise": noise_resolutions,
    "ood.leakage": leakage_resolutions,
}
"""Those that look at other rows than the audited ones, too."""
_WITHOUT = {
    "fairness.calibration-gap": "how far calibration errors spread depends on the scores",
    "fairness.counterfactual-terms": "its pairs are the texts that name a group",
    "fairness.individual-consistency": "how alike neighbours are answered is not known",
    "fairness.representation": "it depends on the shares that the groups are compared with",
    "fairness.template-bias": "its texts are templates, whatever the data",
    "fairness.worst-slice": "which slices are found depends on the answers",
    "ood.calibration-shift": "how far calibration errors spread depends on the scores",
    "ood.selective-prediction": "how many answers are given depends on the scores",
}
"""Why nothing is estimated, where that is another reason than that no formula is known."""
_RATES = frozenset({"accuracy", "balanced-accuracy"})


def resolutions(
    checks: Iterable[PlannedCheck], audited: Audited | AuditData, confidence: Confidence
) -> tuple[tuple[Resolution, ...], tuple[Unresolved, ...]]:
    """What every applicable check can show, and those of which that is not estimated."""
    if isinstance(audited, AuditData):
        audited = Audited(audited)
    found: list[Resolution] = []
    unknown: list[Unresolved] = []
    for entry in checks:
        if entry.obstacle:
            continue
        reason = _beyond(entry)
        if not reason:
            try:
                own = list(_of_check(entry, audited, confidence))
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
        case known if known in _COMPARING or known in _OWN or known in _AROUND:
            return ""
    return _WITHOUT.get(entry.check.id, "no formula is known for this check")


def _of_check(
    entry: PlannedCheck, audited: Audited, confidence: Confidence
) -> Iterator[Resolution]:
    data = audited.data
    if around := _AROUND.get(entry.check.id):
        return around(entry, audited, confidence)
    if own := _OWN.get(entry.check.id):
        return own(entry, data, confidence)
    return gap_resolutions(entry, _COMPARING[entry.check.id], data, confidence)


__all__ = [
    "ASSUMED_AUC",
    "ASSUMED_RATE",
    "POWER",
    "AttributeRows",
    "Audited",
    "GroupRows",
    "Resolution",
    "Unresolved",
    "attribute_rows",
    "resolutions",
]
