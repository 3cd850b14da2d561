"""The plan as JSON; docs/plan.md describes its shape."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from auditkit.forecast import Budgeted, Forecast
from auditkit.forecast.check_cost import CheckCost
from auditkit.forecast.comparison import Compared

SCHEMA_VERSION = 1


def outlook_json(
    expected: Forecast, fitted: Budgeted | None, compared: Sequence[Compared] | None
) -> str:
    """The document that `auditkit plan --format json` prints, without NaN or infinity."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "subject": {
            "model": expected.model_name,
            "data": expected.data_name,
            "rows": expected.rows,
            "recorded": expected.recorded,
            "clustered": expected.clustered,
        },
        "seconds": {
            "total": expected.seconds,
            "complete": expected.complete,
            "load": expected.load,
            "probe": expected.probe,
            "model": sum(cost.seconds for cost in expected.asked),
            "tokenize": sum(cost.tokenize for cost in expected.asked),
            "cache": sum(cost.lookup for cost in expected.asked),
        },
        "audited": _figures(expected.model),
        "timing": {"batches": expected.timed, "spread": expected.spread},
        "cache": expected.cache,
        "run": {
            "directory": expected.directory,
            "stored_verdict": expected.found.stored,
            "note": expected.found.note,
        },
        "checks": [*map(_check, expected.checks), *map(_left_out, expected.left_out)],
        "groups": [asdict(one) for one in expected.attributes],
        "resolution": [asdict(one) for one in expected.resolutions],
        "not_estimated": [asdict(one) for one in expected.unresolved],
        "budget": None if fitted is None else _budget(fitted),
        "against": None if compared is None else [asdict(c) | {"ratio": c.ratio} for c in compared],
    }
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _figures(cost: Any) -> dict[str, int]:
    names = ("distinct", "cached", "asked", "tokens", "batches")
    return {name: getattr(cost, name) for name in names}


def _check(cost: CheckCost) -> dict[str, Any]:
    state = "runs"
    if cost.obstacle:
        state = "not applicable"
    elif cost.recalled:
        state = "replayed"
    return {
        "id": cost.id,
        "state": state,
        "reason": cost.obstacle,
        "asks": cost.asks,
        "asked": None if cost.asked is None else _figures(cost.asked),
        "seconds": cost.total,
    }


def _left_out(one: tuple[str, str]) -> dict[str, Any]:
    check, reason = one
    return {
        "id": check,
        "state": "left out",
        "reason": reason,
        "asks": False,
        "asked": None,
        "seconds": None,
    }


def _budget(fitted: Budgeted) -> dict[str, Any]:
    return {
        "budget": fitted.budget,
        "rows": fitted.rows,
        "seconds": fitted.seconds,
        "note": fitted.note,
        "resolution": [asdict(one) for one in fitted.resolutions],
    }
