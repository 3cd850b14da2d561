"""The result itself, as JSON: what every other report is made from."""

from __future__ import annotations

from auditkit.result import AuditResult


def render(result: AuditResult) -> str:
    """The record with a final line break."""
    return result.to_json() + "\n"
