"""One fine-tuning routine for all remedies: checkpoints, early stopping, a folder plainly loadable.

STAGE/identity       digest of everything that the training depends on
STAGE/checkpoint-N/  where a training that was cut off goes on
STAGE/model/         the result, there only when it is whole
STAGE/training.json  what happened
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.config import ModelConfig
from auditkit.content import content_digest
from auditkit.data import AuditData
from auditkit.errors import MissingExtraError
from auditkit.models.tokens import LoadedTokens
from auditkit.models.transformers_loading import Loaded, inspected, load_parts, silenced
from auditkit.remedy import Hooks, RemedyError, TrainingParams, TrainingRows
from auditkit.store import publish_folder, write_atomic
from auditkit.training.batches import Collator, items, rows_at_once
from auditkit.training.checkpoint import (
    checkpoints,
    is_readable,
    read_tensors,
    restore_tensors,
)
from auditkit.training.trainer import (
    BEST,
    Evaluation,
    Job,
    best_of,
    diverged,
    evaluations,
    is_patience_over,
    make_trainer,
)

PACKAGES = ("torch", "transformers", "accelerate", "tokenizers")
"""Packages whose version changes what training comes to."""
_COPIED = frozenset({".json", ".txt", ".model", ".jinja", ".tiktoken"})
_NOT_COPIED = frozenset(
    {
        "config.json", "generation_config.json", "model.safetensors.index.json",
        "pytorch_model.bin.index.json", "trainer_state.json", "all_results.json",
        "train_results.json", "eval_results.json",
    }
)  # fmt: skip
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """One training, for the record."""

    stage: str
    rows: int
    left_out: int
    """Rows not trained on because they are audited."""
    validation_rows: int
    steps: int
    """Steps taken, those before an interruption included."""
    best_step: int
    """Step the weights are of."""
    evaluations: tuple[Evaluation, ...]
    device: str
    trained_weights: int
    """Numbers that training changed; fewer than the model has with adapters."""
    seconds: float
    """Spent in the last process."""


@dataclass(slots=True)
class Workshop:
    """Trains copies of a model for one remedy; `fine_tune` is what `RemedyContext` offers.

    Attributes:
        model: The model to repair: `path` is a folder.
        folder: Where the stages are kept until the remedy has finished.
        validation: Rows to choose by, with labels.
        audited: Content digests of rows that must not be trained on.
        seed: Seed of everything random.
        advance: Told the share (0..1) of the running training that is done.
        note: Told what the user should know.
        reports: One for each training so far.
    """

    model: ModelConfig
    folder: Path
    validation: AuditData
    audited: frozenset[bytes]
    seed: int
    advance: Callable[[float], None] = field(default=lambda _: None)
    note: Callable[[str], None] = field(default=lambda _: None)
    reports: list[TrainingReport] = field(default_factory=list)

    def fine_tune(
        self,
        rows: TrainingRows,
        params: TrainingParams,
        *,
        hooks: Hooks | None = None,
        start: Path | None = None,
        stage: str = "model",
    ) -> Path:
        """See `auditkit.remedy.FineTune`."""
        _require_packages(params)
        kept = self._not_audited(rows)
        _refuse_hopeless(kept)
        source = Path(start or self.model.path or "")
        place = self.folder / stage
        identity = self._identity(kept, params, source)
        if not _is(place, identity):
            shutil.rmtree(place, ignore_errors=True)
            write_atomic(place / "identity", identity)
        if not (place / "model").is_dir():
            began = time.perf_counter()
            with silenced(import_module("transformers.utils.logging")), _explained(params):
                report = self._train(kept, params, hooks or Hooks(), source, place)
            report = dataclasses.replace(
                report, left_out=len(rows) - len(kept), seconds=time.perf_counter() - began
            )
            write_atomic(place / "training.json", _report_type().dump_json(report).decode())
            publish_folder(place / ".model.writing", place / "model")
            _tidy(place)
        self.reports.append(_report_type().validate_json((place / "training.json").read_bytes()))
        return place / "model"

    def _not_audited(self, rows: TrainingRows) -> TrainingRows:
        keep = np.array([content_digest(text) not in self.audited for text in rows.texts], bool)
        return rows if keep.all() else _taken(rows, np.flatnonzero(keep))

    def _identity(self, rows: TrainingRows, params: TrainingParams, source: Path) -> str:
        said = hashlib.sha256()
        for part in (rows.texts, rows.labels, rows.weights, sorted(rows.columns), self.seed):
            said.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        for name in sorted(rows.columns):
            said.update(rows.columns[name].tobytes())
        settings = [
            json.dumps(dataclasses.asdict(params), sort_keys=True),
            inspected(source).digest,
            self.validation.digest,
            str(self.model.max_length),
            self.model.device,
            *(version(package) for package in PACKAGES),
        ]
        said.update("\n".join(settings).encode())
        return said.hexdigest()

    def _train(
        self, rows: TrainingRows, params: TrainingParams, hooks: Hooks, source: Path, place: Path
    ) -> TrainingReport:
        import torch

        loaded = load_parts(inspected(source), self.model)
        torch.manual_seed(self.seed)
        dtype = loaded.model.dtype
        network = _with_adapters(loaded.model.float(), params)
        job = self._job(loaded, network, rows, params, hooks, place)
        trainer = make_trainer(job)
        seen = _run(trainer, job, self.note)
        best = best_of(seen, params)
        restore_tensors(network, None, read_tensors(place / BEST))
        _refuse_broken(network, seen[best].step)
        report = TrainingReport(
            stage=place.name,
            rows=len(rows),
            left_out=0,
            validation_rows=len(self.validation),
            steps=trainer.state.global_step,
            best_step=seen[best].step,
            evaluations=tuple(seen),
            device=str(trainer.args.device),
            trained_weights=sum(p.numel() for p in network.parameters() if p.requires_grad),
            seconds=0.0,
        )
        whole = network.merge_and_unload() if params.lora_rank else network
        save_model(whole.to(dtype).cpu(), source, place / ".model.writing")
        return report

    def _job(
        self,
        loaded: Loaded,
        network: Any,
        rows: TrainingRows,
        params: TrainingParams,
        hooks: Hooks,
        place: Path,
    ) -> Job:
        held_out = TrainingRows.of(self.validation)
        tokens = _tokenized(loaded, rows.texts)
        held_out_tokens = _tokenized(loaded, held_out.texts)
        validation = items(held_out_tokens, held_out)
        validation.sort(key=lambda item: len(item["input_ids"]))
        longest = max(map(len, (*tokens, *held_out_tokens)))
        at_once = rows_at_once(params.batch, params.rows_at_once, longest)
        return Job(
            model=network,
            params=params,
            hooks=hooks,
            train=items(tokens, rows),
            validation=validation,
            collator=Collator(loaded.pad or 0, loaded.types),
            # Without a padding token, rows of different lengths share no batch.
            rows_at_once=at_once if loaded.pad is not None else 1,
            folder=place,
            seed=self.seed,
            device=network.device.type,
            advance=self.advance,
            note=self.note,
        )


def _tokenized(loaded: Loaded, texts: Sequence[str]) -> list[list[int]]:
    """Token ids as an audit of the model makes them."""
    # The tokenizers take no half of a surrogate pair.
    whole = [text.encode("utf-8", "replace").decode() for text in texts]
    tokens = LoadedTokens(loaded.tokenizer).ids(whole, loaded.max_length)
    empty = next((position for position, ids in enumerate(tokens) if not ids), None)
    if empty is not None:
        raise RemedyError(f"the tokenizer makes no token of the text {texts[empty][:80]!r}.")
    return tokens


def _run(trainer: Any, job: Job, note: Callable[[str], None]) -> list[Evaluation]:
    """Train, from the last checkpoint if there is one; what was seen on the validation rows."""
    found = [checkpoint for checkpoint in checkpoints(job.folder) if is_readable(checkpoint)]
    last = found[-1] if found and (job.folder / BEST).exists() else None
    if last is not None:
        state = json.loads((last / "trainer_state.json").read_bytes())
        seen = evaluations(state["log_history"])
        note(f"Going on with the training at step {state['global_step']} of {job.steps}.")
        if state["global_step"] >= job.steps or is_patience_over(seen, job.params):
            trainer.state.global_step = state["global_step"]
            return seen
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    return evaluations(trainer.state.log_history)


def _with_adapters(model: Any, params: TrainingParams) -> Any:
    if not params.lora_rank:
        return model
    peft = import_module("peft")
    settings = peft.LoraConfig(
        task_type=peft.TaskType.SEQ_CLS,
        r=params.lora_rank,
        lora_alpha=2 * params.lora_rank,
        target_modules="all-linear",
    )
    with warnings.catch_warnings():
        # peft asks transformers in ways that only the next major version will refuse.
        warnings.simplefilter("ignore", FutureWarning)
        return peft.get_peft_model(model, settings)


def save_model(model: Any, source: Path, folder: Path) -> None:
    """Weights and config as transformers writes them; the tokenizer's files as they were."""
    shutil.rmtree(folder, ignore_errors=True)
    model.eval()
    model.save_pretrained(str(folder))
    for file in source.iterdir():
        wanted = file.suffix in _COPIED and file.name not in _NOT_COPIED
        if wanted and file.is_file() and not (folder / file.name).exists():
            shutil.copyfile(file, folder / file.name)


def _refuse_hopeless(rows: TrainingRows) -> None:
    if not len(rows):
        raise RemedyError("there is no row to train on.")
    if len(np.unique(rows.labels)) < 2:
        raise RemedyError(
            f"all {len(rows)} rows to train on have one class: a model trained on them answers "
            "nothing else.",
            "Add training rows of the other classes.",
        )


def _refuse_broken(model: Any, step: int) -> None:
    import torch

    if not all(torch.isfinite(weight).all() for weight in model.parameters()):
        raise diverged(step)


def _require_packages(params: TrainingParams) -> None:
    from importlib.util import find_spec

    if any(find_spec(package) is None for package in PACKAGES):
        raise MissingExtraError("Training", "transformers")
    if params.lora_rank and find_spec("peft") is None:
        raise MissingExtraError("params.lora_rank", "peft")


def _taken(rows: TrainingRows, keep: NDArray[np.int64]) -> TrainingRows:
    return TrainingRows(
        tuple(rows.texts[i] for i in keep),
        rows.labels[keep],
        None if rows.weights is None else rows.weights[keep],
        {name: values[keep] for name, values in rows.columns.items()},
    )


def _is(place: Path, identity: str) -> bool:
    file = place / "identity"
    return file.is_file() and file.read_text(encoding="utf-8") == identity


def _tidy(place: Path) -> None:
    for checkpoint in checkpoints(place):
        shutil.rmtree(checkpoint, ignore_errors=True)
    (place / BEST).unlink(missing_ok=True)


def _report_type() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(TrainingReport)


@contextmanager
def _explained(params: TrainingParams) -> Iterator[None]:
    """Say in words that memory ran out. What was trained so far stays in the last checkpoint."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        is_memory = isinstance(error, MemoryError) or any(
            words in str(error).lower() for words in _OUT_OF_MEMORY
        )
        if not is_memory:
            raise
        held = params.rows_at_once or "chosen by length"
        problem = RemedyError(
            f"memory ran out while training (rows in memory at once: {held}).",
            f"Lower params.rows_at_once; the batch of {params.batch} rows stays the same. Shorter "
            "texts (model.max_length) and params.lora_rank = 8 need less, too.",
        )
        problem.exit_code = 4
        raise problem from None
    finally:
        gc.collect()
