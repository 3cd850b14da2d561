"""What a check came to before it is judged, in a form that can be written down and read back."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from auditkit.finding import Measurement

if TYPE_CHECKING:
    from pydantic import TypeAdapter


class Ending(enum.StrEnum):
    """How a check ended."""

    MEASURED = "measured"
    NOT_APPLICABLE = "not_applicable"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of one check, or why there are none."""

    ending: Ending
    measurements: tuple[Measurement, ...] = ()
    reason: str = ""

    def as_recorded(self) -> Measured:
        """The same after a journey through JSON, as a later run would read it.

        Raises:
            ValueError: It cannot make that journey: it has NaN, or a field of a wrong type.
        """
        import json

        from pydantic_core import PydanticSerializationError

        adapter = _measured()
        try:
            content = adapter.dump_python(self, mode="json", warnings="none")
        except PydanticSerializationError as error:
            raise ValueError(f"what it measured cannot be recorded: {error}") from None
        text = json.dumps(content, allow_nan=False, ensure_ascii=False)
        return adapter.validate_json(text.encode("utf-8", errors="replace"))


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """A finished check as the run directory keeps it."""

    check: str
    key: str
    """Digest of everything its measurements depend on."""
    measured: Measured
    seconds: float = 0.0
    cost: dict[str, int] = field(default_factory=dict)
    """What it added to the predictor's statistics, by their names."""
    replayed: bool = False
    """True when it was taken over from an earlier run."""

    def to_record(self) -> dict[str, Any]:
        """As JSON values."""
        content: dict[str, Any] = _check_record().dump_python(self, mode="json")
        return content

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> CheckRecord:
        """From JSON values.

        Raises:
            ValueError: They are not those of a check.
        """
        return _check_record().validate_python(record)


@dataclass(frozen=True, slots=True)
class PartRecord:
    """A finished part of a check that is not finished yet."""

    check: str
    key: str
    """That of the check; see `CheckRecord`."""
    name: str
    content: Any
    """JSON values."""


def _measured() -> TypeAdapter[Measured]:
    from pydantic import TypeAdapter

    return TypeAdapter(Measured)


def _check_record() -> TypeAdapter[CheckRecord]:
    from pydantic import TypeAdapter

    return TypeAdapter(CheckRecord)
