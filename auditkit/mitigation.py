"""The record of a mitigation: one versioned JSON document from which its report is made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditkit.comparison import Comparison
from auditkit.errors import ResultError
from auditkit.remedy_choice import Choice, Standing, Target
from auditkit.training.choice import Candidate
from auditkit.training.fine_tune import TrainingReport

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA_VERSION = 2
_INCOMPLETE = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate said of one of the models."""

    model: str
    model_digest: str
    exit_code: int
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Repair:
    """One remedy, the model it made, and how that model compares."""

    remedy: str
    title: str
    improves: tuple[str, ...]
    params: dict[str, Any]
    tried: tuple[Candidate, ...]
    """Combinations of parameters among which the validation rows chose; none without a choice."""
    model: str
    """Folder of the repaired model, seen from the record's."""
    audit: str
    """Run directory of its audit, seen from the record's."""
    verdict: Verdict
    trainings: tuple[TrainingReport, ...]
    comparison: Comparison
    notes: tuple[str, ...] = ()
    """What the remedy had to say."""
    warnings: tuple[str, ...] = ()
    """What a reader should know before believing an improvement."""
    seconds: float = 0.0
    """Making the model took, in the process that finished it."""
    audited: Standing | None = None
    """Where it stands on the audited rows."""
    validated: Standing | None = None
    """Where it stands on the validation rows."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A remedy that made no model that could be judged."""

    remedy: str
    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class Mitigation:
    """Remedies for one model, each judged by the audit that judged the model."""

    title: str
    before: Verdict
    audit: str
    """Run directory of the audit before, seen from the record's."""
    data: str
    data_digest: str
    split: str
    rows: int
    """Rows audited."""
    suite_digest: str
    seed: int
    confidence: float
    training_rows: tuple[str, ...]
    """Where the rows to train on came from, in sentences."""
    repairs: tuple[Repair, ...]
    judged: int
    """Repaired models that have been judged by these rows in this folder, these included. The more
    there are, the more the best of them owes to chance."""
    environment: dict[str, str]
    failures: tuple[Failure, ...] = ()
    target: Target | None = None
    """What the remedies are compared by."""
    audited: Standing | None = None
    """Where the model before stands on the audited rows."""
    validated: Standing | None = None
    """Where the model before stands on the validation rows."""
    choice: Choice | None = None
    """Which repaired model the validation rows choose; None when nothing could be chosen by."""
    schema_version: int = SCHEMA_VERSION

    @property
    def exit_code(self) -> int:
        """0 if a repaired model passes the gate, else what the gate says of the first one.

        4 instead of 0 and 3 when a remedy failed: the comparison is incomplete.
        """
        codes = [repair.verdict.exit_code for repair in self.repairs]
        code = 0 if 0 in codes else codes[0]
        return _INCOMPLETE if self.failures and code in {0, 3} else code

    def to_json(self) -> str:
        """The record as JSON text, keys sorted, without NaN or infinity."""
        document = _adapter().dump_python(self, mode="json")
        text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
        return text.encode("utf-8", errors="replace").decode("utf-8")

    @classmethod
    def from_json(cls, text: str | bytes) -> Mitigation:
        """Read a record written by `to_json`.

        Raises:
            ResultError: It is not JSON, not such a record, or from another schema.
        """
        from pydantic import ValidationError

        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ResultError(f"not a saved mitigation: {error}.") from None
        version = document.get("schema_version") if isinstance(document, dict) else None
        if version != SCHEMA_VERSION:
            raise ResultError(
                f"this mitigation has schema version {version!r}; this program reads "
                f"{SCHEMA_VERSION}.",
                "Read it with the auditkit version named in it under environment.",
            )
        try:
            return _adapter().validate_json(json.dumps(document))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ResultError(f"not a saved mitigation: {where}: {first['msg']}.") from None


def _adapter() -> TypeAdapter[Mitigation]:
    from pydantic import TypeAdapter

    return TypeAdapter(Mitigation)
