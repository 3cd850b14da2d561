"""auditkit: the pre-release gate for fine-tuned models.

    import auditkit

    audit = auditkit.run("auditkit.toml")
    audit.passed, audit.exit_code
    audit.save("audit")

Importing this package loads nothing heavy; `run` does when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditkit.api import Audit, run

__all__ = ["Audit", "__version__", "run"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name in {"Audit", "run"}:
        from auditkit import api

        return getattr(api, name)
    raise AttributeError(f"module 'auditkit' has no attribute {name!r}")
