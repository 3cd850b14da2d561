"""transformers' Trainer with a remedy's loss, moved embeddings, and checkpoints without pickles.

The loop, the optimizer, the schedule and mixed precision are transformers' own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.remedy import Hooks, RemedyError, TrainingParams
from auditkit.training.batches import EpochSampler, steps_per_epoch
from auditkit.training.checkpoint import (
    load_optimizer,
    load_random_state,
    load_weights,
    save_checkpoint,
    save_tensors,
    trained_tensors,
)

MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
SAVE_EVERY = 300.0
"""Seconds between checkpoints, besides those after an evaluation."""
BEST = "best.safetensors"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The validation rows, looked at once."""

    step: int
    loss: float
    accuracy: float
    score: float | None = None
    """What the remedy chooses by, if not by loss or accuracy."""


def evaluations(history: list[dict[str, Any]]) -> list[Evaluation]:
    """What a trainer has seen on the validation rows so far, from its `log_history`."""
    return [
        Evaluation(
            int(entry["step"]),
            float(entry["eval_loss"]),
            float(entry["eval_accuracy"]),
            entry.get("eval_score"),
        )
        for entry in history
        if "eval_loss" in entry
    ]


def best_of(seen: list[Evaluation], params: TrainingParams) -> int:
    """Position of the best evaluation, the first of equals."""
    scores = [one.score for one in seen if one.score is not None]
    if scores:
        return scores.index(max(scores))
    if params.stop_on == "accuracy":
        return max(range(len(seen)), key=lambda i: (seen[i].accuracy, -i))
    return min(range(len(seen)), key=lambda i: (seen[i].loss, i))


def is_patience_over(seen: list[Evaluation], params: TrainingParams) -> bool:
    """Whether as many evaluations as the patience allows have passed since the best one."""
    if not seen or params.patience == 0:
        return False
    return len(seen) - 1 - best_of(seen, params) >= params.patience


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What one training is made of.

    Attributes:
        model: The model, with its weights in single precision.
        params: How to train.
        hooks: Where the remedy takes part.
        train: Items to train on.
        validation: Items to choose by.
        collator: Makes batches of items.
        rows_at_once: Rows in memory at once.
        folder: Where checkpoints go.
        seed: Seed of everything random.
        device: "cpu", or the accelerator that transformers finds.
        advance: Told the share that is done.
        note: Told what the user should know.
    """

    model: Any
    params: TrainingParams
    hooks: Hooks
    train: list[dict[str, Any]]
    validation: list[dict[str, Any]]
    collator: Callable[[Any], dict[str, Any]]
    rows_at_once: int
    folder: Path
    seed: int
    device: str
    advance: Callable[[float], None] = field(default=lambda _: None)
    note: Callable[[str], None] = field(default=lambda _: None)

    @property
    def steps(self) -> int:
        """Steps of the whole training, if it is not stopped early."""
        return self.params.epochs * steps_per_epoch(len(self.train), self.params.batch)


def make_trainer(job: Job) -> Any:
    """A `transformers.Trainer` for the job."""
    import transformers

    library: Any = transformers
    kind: Any = type("RepairTrainer", (_Repairing, library.Trainer), {})
    watch: Any = type("RepairWatch", (_Watching, library.TrainerCallback), {})(job)
    trainer = kind(
        model=job.model,
        args=_arguments(library, job),
        data_collator=job.collator,
        train_dataset=job.train,
        eval_dataset=job.validation,
        compute_metrics=_metrics(job),
        callbacks=[watch],
    )
    trainer.remove_callback(library.PrinterCallback)
    trainer.model_accepts_loss_kwargs = False  # losses are means over what is in memory at once
    trainer.hooks, trainer.job = job.hooks, job
    if hasattr(job.hooks.loss, "to"):
        job.hooks.loss.to(trainer.args.device)  # type: ignore[union-attr]
    return trainer


def _arguments(library: Any, job: Job) -> Any:
    params = job.params
    arguments = library.TrainingArguments(
        output_dir=str(job.folder),
        num_train_epochs=params.epochs,
        per_device_train_batch_size=job.rows_at_once,
        per_device_eval_batch_size=job.rows_at_once,
        gradient_accumulation_steps=params.batch // job.rows_at_once,
        learning_rate=params.learning_rate,
        warmup_steps=round(params.warmup * job.steps),
        weight_decay=params.weight_decay,
        lr_scheduler_type="linear",
        optim="adamw_torch",
        seed=job.seed,
        use_cpu=job.device == "cpu",
        dataloader_pin_memory=job.device != "cpu",
        remove_unused_columns=False,
        eval_strategy="no",  # when to evaluate and to save says _Watching
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        **_precision(job),
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # else transformers spreads a batch over all of them
    return arguments


def _precision(job: Job) -> dict[str, bool]:
    import torch

    if job.device != "cuda" or not job.params.mixed_precision:
        return {}
    return {"bf16": True} if torch.cuda.is_bf16_supported() else {"fp16": True}


def _metrics(job: Job) -> Callable[[Any], dict[str, float]]:
    """What is computed of the answers to the validation rows."""
    order = np.array([item["rows"] for item in job.validation])

    def computed(prediction: Any) -> dict[str, float]:
        logits = np.asarray(prediction.predictions)
        found = {"accuracy": float((logits.argmax(axis=-1) == prediction.label_ids).mean())}
        if job.hooks.score is not None and np.isfinite(logits).all():
            in_order = np.empty(logits.shape, dtype=np.float64)
            in_order[order] = logits
            found["score"] = float(job.hooks.score(in_order))
        return found

    return computed


class _Repairing:
    """What differs from `transformers.Trainer`."""

    hooks: Hooks
    job: Job

    def compute_loss(
        self: Any,
        model: Any,
        inputs: Mapping[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,  # noqa: ARG002 - losses here are means
    ) -> Any:
        """The remedy's loss in training, the plain cross-entropy in evaluation."""
        from torch.nn.functional import cross_entropy

        given = {name: inputs[name] for name in MODEL_INPUTS if name in inputs}
        batch = {name: value for name, value in inputs.items() if name not in MODEL_INPUTS}
        with _head_input(model, batch, wanted=self.hooks.representation and model.training):
            logits = model(**given).logits.float()
        if not model.training:
            loss = cross_entropy(logits, batch["labels"])
        elif self.hooks.loss is not None:
            loss = self.hooks.loss(logits, batch)
        else:
            loss = (
                cross_entropy(logits, batch["labels"], reduction="none") * batch["weights"]
            ).mean()
        return (loss, {"loss": loss, "logits": logits}) if return_outputs else loss

    def training_step(self: Any, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """One forward and backward pass, or as many as the perturbation has steps."""
        perturbation = self.hooks.perturbation
        if perturbation is None:
            return super().training_step(model, inputs, num_items_in_batch)  # type: ignore[misc]
        import torch

        model.train()
        inputs = self._prepare_inputs(inputs)
        table, mask = model.get_input_embeddings(), inputs["attention_mask"]
        with torch.no_grad():
            embeddings = table(inputs["input_ids"]).float()
        move = perturbation.start(embeddings, mask)
        # One dropout mask for all steps (Zhu et al. 2020, section 3.3).
        same = int(torch.randint(2**31, (1,)))
        total = torch.zeros((), device=embeddings.device)
        share = perturbation.steps * self.current_gradient_accumulation_steps
        for step in range(perturbation.steps):
            torch.manual_seed(same)
            move = move.detach().requires_grad_()
            with _moved(table, move), self.compute_loss_context_manager():
                loss = self.compute_loss(model, inputs) / share
            self.accelerator.backward(loss)
            total += loss.detach()
            if step + 1 < perturbation.steps:
                move = perturbation.ascend(move.detach(), move.grad, embeddings, mask)
        return total

    def create_optimizer(self: Any, *arguments: Any, **named: Any) -> Any:
        """The optimizer of the model, and of the loss where it has parameters of its own."""
        optimizer = super().create_optimizer(*arguments, **named)  # type: ignore[misc]
        extra = list(self.hooks.loss.parameters()) if hasattr(self.hooks.loss, "parameters") else []
        if extra and len(optimizer.param_groups) == 2:
            rate = self.hooks.learning_rate or self.args.learning_rate
            optimizer.add_param_group({"params": extra, "weight_decay": 0.0, "lr": rate})
        return optimizer

    def _get_train_sampler(self: Any, *_: Any) -> EpochSampler:
        lengths = np.array([len(item["input_ids"]) for item in self.job.train])
        return EpochSampler(
            lengths, self.job.params.batch, self.job.seed, lambda: self.state.global_step
        )

    def _save_checkpoint(self: Any, *_: Any, **__: Any) -> None:
        save_checkpoint(self.job.folder, self)

    def _load_from_checkpoint(self: Any, checkpoint: str, *_: Any) -> None:
        load_weights(Path(checkpoint), self.model, self.hooks.loss)

    def _load_optimizer_and_scheduler(self: Any, checkpoint: str | None) -> None:
        if checkpoint is not None:
            load_optimizer(Path(checkpoint), self)

    def _load_rng_state(self: Any, checkpoint: str | None) -> None:
        if checkpoint is not None:
            load_random_state(Path(checkpoint))

    def _load_scaler(self: Any, _: str | None) -> None:
        """Comes with the optimizer."""


class _moved:  # noqa: N801 - used like a function
    """Adds a move to what the embedding table answers, for every model that has one."""

    def __init__(self, table: Any, move: Any) -> None:
        self._handle = table.register_forward_hook(lambda _, __, out: out + move.to(out.dtype))

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._handle.remove()


class _head_input:  # noqa: N801 - used like a function
    """Adds `representation` to a batch: what the last linear layer reads in a forward pass.

    Of the layers as wide as the classes, the one that was called last counts: with adapters and in
    some heads there are several.
    """

    def __init__(self, model: Any, batch: dict[str, Any], *, wanted: bool) -> None:
        from torch.nn import Linear

        classes, self._batch = model.config.num_labels, batch
        self._handles = [
            layer.register_forward_pre_hook(self._keep)
            for layer in (model.modules() if wanted else ())
            if isinstance(layer, Linear) and layer.out_features == classes
        ]

    def _keep(self, _: Any, given: tuple[Any, ...]) -> None:
        self._batch["representation"] = given[0].float()

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()


class _Watching:
    """Says when to evaluate, to save and to stop; keeps the best weights; tells how far it is.

    What it decides follows from the steps and evaluations that are in every checkpoint.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job
        self._per_epoch = steps_per_epoch(len(job.train), job.params.batch)
        self._every = max(1, -(-self._per_epoch // job.params.evaluations))
        self._saved = time.monotonic()

    def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> None:
        """Evaluate at the end of the epoch, and as often within it as asked for."""
        self._job.advance(state.global_step / max(state.max_steps, 1))
        within = (state.global_step - 1) % self._per_epoch + 1
        if within == self._per_epoch or within % self._every == 0:
            control.should_evaluate = True
        elif time.monotonic() - self._saved > SAVE_EVERY:
            control.should_save = True

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        """The Trainer forgets the gradients of the model only."""
        if hasattr(self._job.hooks.loss, "zero_grad"):
            self._job.hooks.loss.zero_grad()  # type: ignore[union-attr]

    def on_evaluate(self, _: Any, state: Any, control: Any, **given: Any) -> None:
        """Keep the weights if they are the best so far, and stop if they have long not been."""
        seen = evaluations(state.log_history)
        latest = seen[-1]
        if not np.isfinite([latest.loss, latest.score or 0.0]).all():
            raise diverged(latest.step)
        if best_of(seen, self._job.params) == len(seen) - 1:
            save_tensors(self._job.folder / BEST, trained_tensors(given["model"], None))
        chosen_by = "" if latest.score is None else f", score {latest.score:.4g}"
        self._job.note(
            f"Step {latest.step}: validation loss {latest.loss:.4g}, "
            f"accuracy {latest.accuracy:.4g}{chosen_by}"
        )
        control.should_save = True
        if is_patience_over(seen, self._job.params):
            control.should_training_stop = True

    def on_save(self, *_: Any, **__: Any) -> None:
        """Remember when."""
        self._saved = time.monotonic()


def diverged(step: int) -> RemedyError:
    """The error for a loss that is no number."""
    error = RemedyError(
        f"training diverged: at step {step} the loss is not a finite number.",
        "Lower params.learning_rate.",
    )
    error.exit_code = 4
    return error


def lengths_of(items: list[dict[str, Any]]) -> NDArray[np.int64]:
    """Tokens of each item."""
    return np.array([len(item["input_ids"]) for item in items], dtype=np.int64)
