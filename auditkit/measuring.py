"""Runs one check, and judges what it came to. Whatever a check raises is recorded, never raised."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

from auditkit.check import Context
from auditkit.errors import AuditkitError, NotApplicable
from auditkit.finding import Finding, Measurement, Outcome
from auditkit.interruption import raise_if_requested
from auditkit.judge import judge
from auditkit.measured import Ending, Measured
from auditkit.plan import PlannedCheck


def run_check(entry: PlannedCheck, context: Context) -> list[Finding]:
    """Measure and judge one check. Whatever it raises becomes a finding."""
    return judge_measured(entry, measure(entry, context))


def measure(entry: PlannedCheck, context: Context) -> Measured:
    """Run one check. Whatever it raises is recorded, never raised."""
    if entry.obstacle:
        return Measured(Ending.NOT_APPLICABLE, reason=f"{entry.obstacle}.")
    if not len(context.data):
        return Measured(Ending.NOT_APPLICABLE, reason="there are no rows.")
    try:
        measurements = list(entry.check.measure(context, entry.params))
        _check_names(entry, measurements)
        return Measured(Ending.MEASURED, tuple(measurements)).as_recorded()
    except NotApplicable as reason:
        ending, said = Ending.NOT_APPLICABLE, reason.reason
    except AuditkitError as error:
        raise_if_requested()
        ending, said = Ending.ERROR, str(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - nor may exit(0) in it be a pass
        raise_if_requested()
        ending, said = Ending.ERROR, _crash(error)
    return Measured(ending, reason=said).as_recorded()


def judge_measured(entry: PlannedCheck, measured: Measured) -> list[Finding]:
    """The findings of what a check came to, under the limits of this audit."""
    if measured.ending is not Ending.MEASURED:
        return [_without_number(entry, Outcome(measured.ending.value), measured.reason)]
    return [_judged(entry, measurement) for measurement in measured.measurements]


def _check_names(entry: PlannedCheck, measurements: Sequence[Measurement]) -> None:
    if not measurements:
        raise AuditkitError("the check measured nothing and did not say why.")
    names = [(m.name, m.slice) for m in measurements]
    unknown = [name for name, _ in names if name not in entry.limits]
    if unknown:
        raise AuditkitError(f"the check measured {unknown[0]!r}, for which it declares no limit.")
    if len(set(names)) < len(names):
        raise AuditkitError("the check measured the same thing twice on one slice.")


def _crash(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"the check crashed: {type(error).__name__}: {error}{where}"


def _judged(entry: PlannedCheck, measurement: Measurement) -> Finding:
    limit = entry.limits[measurement.name]
    verdict = judge(measurement, limit.value, limit.direction)
    return Finding(
        check=entry.check.id,
        title=entry.check.title,
        outcome=verdict.outcome,
        severity=entry.severity,
        message=verdict.message,
        measurement=measurement,
        limit=limit.value,
        direction=limit.direction,
        interval=verdict.interval,
        needed_n=verdict.needed_n,
        required=entry.required,
    )


def _without_number(entry: PlannedCheck, outcome: Outcome, message: str) -> Finding:
    return Finding(
        check=entry.check.id,
        title=entry.check.title,
        outcome=outcome,
        severity=entry.severity,
        message=message,
        required=entry.required,
    )
