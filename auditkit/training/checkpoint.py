"""Checkpoints of a training: safetensors and JSON, never a pickle.

transformers would write optimizer and random states with `torch.save`, and read them with
`torch.load`. These files hold the same things and cannot run code. Each checkpoint is a folder
that gets its name when everything in it is on the disk.

    checkpoint-000120/state.safetensors    weights that are trained, optimizer, random states
                      state.json           the rest of optimizer, scheduler, scaler, random states
                      trainer_state.json   steps done and evaluations so far, by transformers
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from auditkit.store import sync_directory, sync_file

PREFIX = "checkpoint-"
_TENSORS, _REST, _TRAINER = "state.safetensors", "state.json", "trainer_state.json"
Tensors = dict[str, Any]


def save_checkpoint(folder: Path, trainer: Any) -> Path:
    """Write the state of a training into a folder of its own, and remove older ones.

    Raises:
        OSError: It cannot be written; older checkpoints are untouched.
    """
    step = trainer.state.global_step
    target = folder / f"{PREFIX}{step:08d}"
    writing = folder / f".{target.name}.writing"
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir(parents=True)
    tensors, rest = _state(trainer)
    save_tensors(writing / _TENSORS, tensors)
    (writing / _REST).write_text(json.dumps(rest), encoding="utf-8")
    trainer.state.save_to_json(str(writing / _TRAINER))
    for name in (_REST, _TRAINER):
        sync_file(writing / name)
    shutil.rmtree(target, ignore_errors=True)
    writing.replace(target)
    sync_directory(folder)
    for older in checkpoints(folder)[:-1]:
        shutil.rmtree(older, ignore_errors=True)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    return sorted(path for path in folder.glob(f"{PREFIX}*") if path.is_dir())


def is_readable(checkpoint: Path) -> bool:
    """Whether a checkpoint can be gone on from."""
    from safetensors import SafetensorError, safe_open

    try:
        json.loads((checkpoint / _REST).read_bytes())
        json.loads((checkpoint / _TRAINER).read_bytes())
        with safe_open(checkpoint / _TENSORS, "pt") as tensors:
            return bool(tensors.keys())
    except (OSError, ValueError, SafetensorError):
        return False


def trained_tensors(model: Any, loss: Any) -> Tensors:
    """What training changes: the weights of the model that are trained, buffers, the loss's own."""
    tensors = {f"model/{n}": p for n, p in model.named_parameters() if p.requires_grad}
    tensors |= {f"buffer/{name}": buffer for name, buffer in model.named_buffers()}
    if hasattr(loss, "state_dict"):
        tensors |= {f"loss/{name}": value for name, value in loss.state_dict().items()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def restore_tensors(model: Any, loss: Any, tensors: Mapping[str, Any]) -> None:
    """Put back what `trained_tensors` took."""
    import torch

    there = {f"model/{n}": p for n, p in model.named_parameters() if p.requires_grad}
    there |= {f"buffer/{name}": buffer for name, buffer in model.named_buffers()}
    with torch.no_grad():
        for name, tensor in there.items():
            tensor.copy_(tensors[name])
    if hasattr(loss, "load_state_dict"):
        loss.load_state_dict(_below("loss/", tensors))


def save_tensors(file: Path, tensors: Mapping[str, Any]) -> None:
    """Write tensors so that `file` has the old content or the new."""
    from safetensors.torch import save_file

    writing = file.with_name(f".{file.name}.writing")
    # Copies, because safetensors refuses tensors that share memory.
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, writing)
    sync_file(writing)
    writing.replace(file)


def read_tensors(file: Path) -> Tensors:
    """The tensors of a file, on the CPU."""
    from safetensors.torch import load_file

    return dict(load_file(file))


def load_weights(checkpoint: Path, model: Any, loss: Any) -> None:
    """Put the weights of a checkpoint back."""
    restore_tensors(model, loss, read_tensors(checkpoint / _TENSORS))


def load_optimizer(checkpoint: Path, trainer: Any) -> None:
    """Put optimizer, learning-rate scheduler and gradient scaler back."""
    tensors, rest = read_tensors(checkpoint / _TENSORS), _read_rest(checkpoint)
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in _below("optimizer/", tensors).items():
        number, _, key = name.partition("/")
        state.setdefault(int(number), {})[key] = tensor
    groups = [{**group, "betas": tuple(group["betas"])} for group in rest["optimizer"]]
    trainer.optimizer.load_state_dict({"state": state, "param_groups": groups})
    trainer.lr_scheduler.load_state_dict(rest["scheduler"])
    scaler = getattr(trainer.accelerator, "scaler", None)
    if scaler is not None and rest["scaler"] is not None:
        scaler.load_state_dict(rest["scaler"])


def load_random_state(checkpoint: Path) -> None:
    """Put every random generator back where it was."""
    import torch

    tensors, rest = read_tensors(checkpoint / _TENSORS), _read_rest(checkpoint)
    version, internal, gauss = rest["python"]
    random.setstate((version, tuple(internal), gauss))
    name, position, has_gauss, cached = rest["numpy"]
    key = tensors["rng/numpy"].numpy().astype(np.uint32)
    np.random.set_state((name, key, position, has_gauss, cached))
    torch.random.set_rng_state(tensors["rng/cpu"])
    if "rng/cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["rng/cuda"])


def _state(trainer: Any) -> tuple[Tensors, dict[str, Any]]:
    import torch

    tensors = trained_tensors(trainer.model, trainer.hooks.loss)
    optimizer = trainer.optimizer.state_dict()
    for number, values in optimizer["state"].items():
        for key, value in values.items():
            tensors[f"optimizer/{number}/{key}"] = value.detach().cpu().contiguous()
    name, internal, position, has_gauss, cached = np.random.get_state(legacy=True)
    tensors["rng/cpu"] = torch.random.get_rng_state()
    tensors["rng/numpy"] = torch.from_numpy(np.asarray(internal, dtype=np.int64))
    if torch.cuda.is_available():
        tensors["rng/cuda"] = torch.cuda.get_rng_state()
    scaler = getattr(trainer.accelerator, "scaler", None)
    return tensors, {
        "optimizer": optimizer["param_groups"],
        "scheduler": trainer.lr_scheduler.state_dict(),
        "scaler": None if scaler is None else scaler.state_dict(),
        "python": random.getstate(),
        "numpy": [name, int(position), int(has_gauss), float(cached)],
    }


def _read_rest(checkpoint: Path) -> dict[str, Any]:
    rest: dict[str, Any] = json.loads((checkpoint / _REST).read_bytes())
    return rest


def _below(prefix: str, tensors: Mapping[str, Any]) -> Tensors:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
