"""What became of one attacked example."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


class Status(enum.StrEnum):
    """How an attack on one example ended."""

    SUCCEEDED = "succeeded"
    """The goal was reached: for most recipes, the answer changed."""
    FAILED = "failed"
    """The search ended without reaching it."""
    SKIPPED = "skipped"
    """Nothing to attack: the model was wrong before."""
    MAXIMIZED = "maximized"
    """The recipe has no goal to reach; it went as far as it could (input reduction)."""
    BUDGET = "budget"
    """The budget of queries ran out first."""
    TIMEOUT = "timeout"
    """The time ran out first; whether it would have succeeded is not known."""
    ERROR = "error"
    """The attack crashed on this example; `reason` says how."""


@dataclass(frozen=True, slots=True)
class AttackOutcome:
    """One example under one recipe.

    What the attack did not get to (after a timeout or an error) is None.
    """

    example: str
    """`example_id` of the original text."""
    row: int
    """Position among the texts given to `attack`."""
    recipe: str
    status: Status
    original: str
    perturbed: str | None
    """The text the attack ended with. It is a success only if the status says so."""
    label: int
    """The true class."""
    original_label: int | None
    """The class the model gives to the original text."""
    perturbed_label: int | None
    original_score: float | None
    """The recipe's own score of the original text; 1 - p(true class) for most. Higher is closer to
    the goal."""
    perturbed_score: float | None
    queries: int
    """Texts the attack asked about, as TextAttack counts them: repeats and the original too."""
    words: int
    """Words of the original, as TextAttack splits them."""
    changed_words: tuple[int, ...]
    """Positions at which original and perturbed text have different words."""
    seed: int
    """Seed of this example's random numbers."""
    seconds: float
    """Its own time and its share of the model's; never a reason for a different outcome unless
    the status is TIMEOUT."""
    reason: str = ""

    def to_record(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"changed_words": list(self.changed_words)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> AttackOutcome:
        """From JSON values.

        Raises:
            ValueError: They are not those of an outcome.
        """
        try:
            values = {field.name: record[field.name] for field in fields(cls)}
            values["status"] = Status(values["status"])
            values["changed_words"] = tuple(values["changed_words"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"not the record of an attack: {error}") from None
        return cls(**values)


def example_id(text: str) -> str:
    """16 hex digits naming a text: the start of its content digest (`auditkit.predictor`)."""
    body = text.encode("utf-8", "surrogatepass")
    return hashlib.sha256(f"str:{len(body)}:".encode() + body).hexdigest()[:16]
