"""Applies one remedy: trains in a work folder, publishes the model folder when it is whole.

FOLDER/model/         the repaired model; transformers loads it without auditkit
FOLDER/training.json  what it was made from and how
FOLDER/work-DIGEST/   what an interrupted training goes on from
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from auditkit.check import Predictor
from auditkit.config import AuditConfig, ModelConfig
from auditkit.data import AuditData
from auditkit.errors import AuditkitError
from auditkit.models.model_folder import inspect_folder
from auditkit.models.transformers_loading import in_folder
from auditkit.prediction_store import PredictionStore
from auditkit.predictor import SharedPredictor
from auditkit.remedy import Remedy, RemedyContext, RemedyError
from auditkit.run_identity import own_source, source_digest
from auditkit.run_lock import RunLock
from auditkit.store import publish_folder, recover_folder, unwritable, write_atomic
from auditkit.training.blocks import OpenedBlocks
from auditkit.training.fine_tune import PACKAGES, TrainingReport, Workshop
from auditkit.training.linear_head import OpenedHead
from auditkit.training.rows import RemedyRows
from auditkit.training.run_by import is_outdated, run_by

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """`training.json`: what a repaired model was made from and how."""

    order: str
    """Digest of everything it depends on."""
    model: str
    """Digest of the model folder."""
    params: dict[str, Any]
    trainings: tuple[TrainingReport, ...]
    notes: tuple[str, ...]
    """What the remedy had to say."""
    seconds: float
    """It took, in the process that finished it."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """A model that a remedy made.

    Attributes:
        model: Its folder.
        record: How it was made.
        again: False when it was there already, made from the same things.
    """

    model: Path
    record: TrainingRecord
    again: bool


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """What a repair is made from.

    Attributes:
        remedy: The remedy.
        params: Its parameters.
        rows: What it may see.
        config: The configuration; `model.path` is the folder of the model to repair.
        predictor: Asks that model.
    """

    remedy: Remedy
    params: Any
    rows: RemedyRows
    config: AuditConfig
    predictor: Predictor

    @property
    def source(self) -> Path:
        """Folder of the model to repair."""
        return Path(self.config.model.path or "")

    @property
    def digest(self) -> str:
        """SHA-256 of everything the repaired model depends on."""
        remedy, rows, model = self.remedy, self.rows, self.config.model
        said = [
            remedy.id,
            json.dumps(dataclasses.asdict(self.params), sort_keys=True, default=str),
            source_digest(remedy),
            own_source(),
            inspect_folder(self.source).digest,
            rows.train.digest,
            rows.validation.digest,
            hashlib.sha256(b"".join(sorted(rows.audited))).hexdigest(),
            [model.max_length, model.device, self.config.seed],
            [_version(package) for package in (*PACKAGES, *remedy.extras)],
            [resource.content_digest() for resource in remedy.resources(self.params)],
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Told:
    """Whom to tell about progress.

    Attributes:
        advance: Told the share (0..1) of the running training that is done.
        note: Told what the user should know.
    """

    advance: Callable[[float], None] = field(default=lambda _: None)
    note: Callable[[str], None] = field(default=lambda _: None)


def repair(order: Order, folder: Path, told: Told | None = None) -> Repaired:
    """Apply a remedy, or return the model that the same order has made before.

    Args:
        order: What to make it from.
        folder: Where to; see above.
        told: Whom to tell about progress.

    Raises:
        RemedyError: The remedy cannot be applied, failed, or made no model. A model that was in
            the folder is still there.
        StoreError: The folder cannot be written, or another process is at work in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from None
    lock = RunLock(folder)
    lock.acquire()
    try:
        recover_folder(folder / "model")
        digest = order.digest
        finished = _finished(folder, digest)
        if finished is not None:
            return finished
        work = folder / f"work-{digest[:12]}"
        notes: list[str] = []
        workshop = _workshop(order, work, told or Told())
        began = time.perf_counter()
        made = _apply(order, workshop, notes, work)
        publish_copy(made, folder)
        record = TrainingRecord(
            order=digest,
            model=inspect_folder(folder / "model").whole_digest,
            params=json.loads(json.dumps(dataclasses.asdict(order.params))),
            trainings=tuple(workshop.reports),
            notes=tuple(notes),
            seconds=time.perf_counter() - began,
        )
        write_atomic(folder / "training.json", _json(record))
        for left in folder.glob("work-*"):
            shutil.rmtree(left, ignore_errors=True)
        return Repaired(folder / "model", record, again=True)
    finally:
        lock.release()


def _finished(folder: Path, digest: str) -> Repaired | None:
    """The model of an earlier run, if it was made from the same and is as it was left."""
    try:
        record = _record_type().validate_json((folder / "training.json").read_bytes())
        if record.order != digest or inspect_folder(folder / "model").whole_digest != record.model:
            return None
        if is_outdated(folder / "model"):
            return None
    except (OSError, ValueError, AuditkitError):
        return None
    return Repaired(folder / "model", record, again=False)


def _workshop(order: Order, work: Path, told: Told) -> Workshop:
    return Workshop(
        model=order.config.model,
        folder=work,
        validation=order.rows.validation,
        audited=order.rows.audited,
        seed=order.config.seed,
        advance=told.advance,
        note=told.note,
    )


def _apply(order: Order, workshop: Workshop, notes: list[str], work: Path) -> Path:
    def note(text: str) -> None:
        notes.append(text)
        workshop.note(text)

    entropy = int.from_bytes(hashlib.sha256(order.remedy.id.encode()).digest()[:8], "little")
    context = RemedyContext(
        model=order.source,
        train=order.rows.train,
        validation=order.rows.validation,
        predictor=order.predictor,
        ask=lambda folder: predictor_of(order.config.model, folder),
        fine_tune=workshop.fine_tune,
        seed=order.config.seed,
        rng=np.random.default_rng([order.config.seed, entropy]),
        work=work / "made",
        kept=KeptInFolder(work / "kept"),
        digest=inspect_folder(order.source).digest,
        head=lambda: OpenedHead(order.config.model, work / "head", workshop.advance),
        blocks=lambda: OpenedBlocks(order.config.model, work / "blocks"),
        run_by=lambda backend: run_by(order.config.model, backend, work / "run"),
        advance=workshop.advance,
        note=note,
    )
    with _crashes_named(order.remedy):
        made = order.remedy.apply(context, order.params)
    if not isinstance(made, Path) or not (made / "config.json").is_file():
        raise RemedyError(f"{order.remedy.id} returned no model folder but {made!r}.")
    inspect_folder(made)
    return made


def publish_copy(made: Path, folder: Path) -> None:
    """Make a copy of a model folder the model of `folder`, which then has no record yet."""
    writing = folder / ".model.writing"
    try:
        shutil.rmtree(writing, ignore_errors=True)
        shutil.copytree(made, writing)
    except OSError as error:
        raise unwritable(folder / "model", error) from None
    (folder / "training.json").unlink(missing_ok=True)  # says nothing of a model not yet there
    publish_folder(writing, folder / "model")


def decisions_of(
    model: ModelConfig, folder: Path, data: AuditData, store: PredictionStore | None = None
) -> tuple[SharedPredictor, AuditData]:
    """Asks the model in a folder as it is run, with the thresholds that lie there.

    Returns:
        What asks, and the rows to ask it about.

    Raises:
        ConfigError: The thresholds are for an attribute that the rows do not have.
    """
    from auditkit.models.thresholded import ThresholdedModel, with_thresholds
    from auditkit.models.transformers_text import load_transformers

    settings = _in_folder(model, folder)
    loaded = with_thresholds(
        load_transformers(settings, online=False, store=store), settings, data.groups, store
    )
    rows = loaded.with_groups(data) if isinstance(loaded, ThresholdedModel) else data
    return SharedPredictor(loaded, batch_tokens=model.batch_tokens, store=store), rows


def predictor_of(model: ModelConfig, folder: Path) -> SharedPredictor:
    """Asks the model in a folder, with the settings of the configured one.

    On torch, unless the folder says by what it is run.
    """
    from auditkit.models.transformers_text import load_transformers

    return SharedPredictor(
        load_transformers(_in_folder(model, folder), online=False), batch_tokens=model.batch_tokens
    )


def _in_folder(model: ModelConfig, folder: Path) -> ModelConfig:
    return in_folder(model.model_copy(update={"backend": "torch"}), folder)


class KeptInFolder:
    """Parts of a remedy's work, one file each; see `auditkit.check.Kept`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> Any | None:
        """What was put under this name; None when there is nothing, or it is damaged."""
        try:
            record = json.loads(self._file(name).read_bytes())
            return record["content"] if record["name"] == name else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, name: str, content: Any) -> None:
        """Keep a part; it is on the disk when this returns."""
        text = json.dumps({"name": name, "content": content}, allow_nan=False)
        write_atomic(self._file(name), text)

    def _file(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"


@contextmanager
def _crashes_named(remedy: Remedy) -> Iterator[None]:
    try:
        yield
    except AuditkitError:
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        crash = RemedyError(f"{remedy.id} crashed: {type(error).__name__}: {error}{where}")
        crash.exit_code = 4
        raise crash from error


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _json(record: TrainingRecord) -> str:
    return str(_record_type().dump_json(record, indent=1).decode()) + "\n"


def _record_type() -> TypeAdapter[TrainingRecord]:
    from pydantic import TypeAdapter

    return TypeAdapter(TrainingRecord)
