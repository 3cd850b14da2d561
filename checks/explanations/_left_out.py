"""Methods that cannot be used here, and what a check says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from auditkit.finding import Measurement


def left_out(blocked: Mapping[str, str]) -> str:
    """A sentence on the usual methods that cannot be used here, or nothing."""
    if not blocked:
        return ""
    listed = "; ".join(f"{name} ({why})" for name, why in blocked.items())
    return f" Not used here: {listed}."


def unusable(
    name: str, asked: tuple[str, ...], blocked: Mapping[str, str]
) -> Iterator[Measurement]:
    """For each method that the configuration names and that cannot be used, why."""
    for method in asked:
        if method in blocked:
            yield Measurement(name, None, 0, None, method, blocked[method], counted="examples")
