"""Chooses among parameters of a remedy by the validation rows; the audited rows have no say.

FOLDER/candidates/N/  a model per combination, until one is chosen
FOLDER/choice.json    what was tried, what it came to, and which was chosen
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditkit.run_lock import RunLock
from auditkit.store import recover_folder, write_atomic
from auditkit.training.repair import Order, Repaired, Told, decisions_of, publish_copy, repair

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class Candidate:
    """One combination of parameters that was tried."""

    params: dict[str, Any]
    """The values chosen among."""
    score: float
    """The remedy's score of its model on the validation rows; higher is better."""
    chosen: bool


@dataclass(frozen=True, slots=True)
class _Choice:
    digest: str
    """Of everything that was tried."""
    candidates: tuple[Candidate, ...]


def choose(
    orders: Sequence[Order],
    values: Sequence[dict[str, Any]],
    folder: Path,
    told: Told | None = None,
) -> tuple[Repaired, tuple[Candidate, ...]]:
    """Make a model by each order, and publish the one that the remedy scores highest.

    Args:
        orders: One for each combination of parameters, at least one.
        values: The parameters that differ between them, as many.
        folder: Where to; see `auditkit.training.repair` for what else is there.
        told: Whom to tell about progress.

    Returns:
        The model, and what was tried; nothing when there was nothing to choose.

    Raises:
        AuditkitError: As `repair`.
    """
    told = told or Told()
    if len(orders) == 1:
        return repair(orders[0], folder, told), ()
    said = "\n".join(order.digest for order in orders)
    digest = hashlib.sha256(said.encode()).hexdigest()
    choice = _read(folder / "choice.json", digest)
    if choice is None:
        choice = _Choice(digest, _try_all(orders, values, folder, told))
        best = _best(choice)
        _adopt(folder / "candidates" / str(best), folder)
        write_atomic(folder / "choice.json", _choice_type().dump_json(choice, indent=1).decode())
        shutil.rmtree(folder / "candidates", ignore_errors=True)
    return repair(orders[_best(choice)], folder, told), choice.candidates


def _try_all(
    orders: Sequence[Order], values: Sequence[dict[str, Any]], folder: Path, told: Told
) -> tuple[Candidate, ...]:
    scores = []
    for number, (order, own) in enumerate(zip(orders, values, strict=True)):
        made = repair(order, folder / "candidates" / str(number), told)
        predictor, rows = decisions_of(order.config.model, made.model, order.rows.validation)
        scores.append(float(order.remedy.score(predictor, rows, order.params)))
        said = ", ".join(f"{name} = {json.dumps(value)}" for name, value in own.items())
        told.note(f"{said}: {scores[-1]:.4g} on the validation rows")
    best = max(range(len(scores)), key=lambda i: (scores[i], -i))
    return tuple(
        Candidate(own, score, number == best)
        for number, (own, score) in enumerate(zip(values, scores, strict=True))
    )


def _adopt(candidate: Path, folder: Path) -> None:
    """Make a candidate the model of the folder."""
    lock = RunLock(folder)
    lock.acquire()
    try:
        recover_folder(folder / "model")
        publish_copy(candidate / "model", folder)
        text = (candidate / "training.json").read_text(encoding="utf-8")
        write_atomic(folder / "training.json", text)
    finally:
        lock.release()


def _best(choice: _Choice) -> int:
    return next(i for i, candidate in enumerate(choice.candidates) if candidate.chosen)


def _read(file: Path, digest: str) -> _Choice | None:
    try:
        choice = _choice_type().validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None
    known = choice.digest == digest and any(one.chosen for one in choice.candidates)
    return choice if known else None


def _choice_type() -> TypeAdapter[_Choice]:
    from pydantic import TypeAdapter

    return TypeAdapter(_Choice)
