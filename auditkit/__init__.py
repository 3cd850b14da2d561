"""auditkit: the pre-release gate for fine-tuned models.

    import auditkit

    audit = auditkit.run("auditkit.toml")
    audit.passed, audit.exit_code
    audit.save("audit")

Importing this package loads nothing heavy; `run` and `mitigate` do when they are called.
`group_intervals` gives the bootstrap intervals of fairlearn's MetricFrame, from counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditkit.api import Audit, run
    from auditkit.closed_loop import mitigate
    from auditkit.metrics.group_intervals import group_intervals

__all__ = ["Audit", "__version__", "group_intervals", "mitigate", "run"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name in {"Audit", "run"}:
        from auditkit import api

        return getattr(api, name)
    if name == "mitigate":
        from auditkit.closed_loop import mitigate

        return mitigate
    if name == "group_intervals":
        from auditkit.metrics.group_intervals import group_intervals

        return group_intervals
    raise AttributeError(f"module 'auditkit' has no attribute {name!r}")
