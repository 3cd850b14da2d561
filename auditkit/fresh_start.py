"""Starts a new process that loads the model and answers, and reads what that took.

A process that has audited for a while has everything imported, loaded and warm, and its most memory
is that of the audit. Only a new one shows what a server needs when it is started.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from auditkit.config import ModelConfig
from auditkit.errors import ModelError
from auditkit.latency.bench import FreshStart

MOST_SECONDS = 900
"""A process that has not answered by then is ended."""


def start_fresh(
    model: ModelConfig, inputs: Sequence[Any], batch: int, *, online: bool
) -> FreshStart:
    """Start one, let it answer all inputs in batches, and end it.

    Args:
        model: The model to load.
        inputs: What to ask it, as JSON can carry it.
        batch: Inputs of one batch.
        online: Whether the model may come from the network.

    Raises:
        ModelError: The process fails, or takes longer than `MOST_SECONDS`.
    """
    # What is not set stays so: the model's folder may say by what it is run.
    settings = model.model_dump(exclude_unset=True)
    job = {"model": settings, "inputs": list(inputs), "batch": batch, "online": online}
    with tempfile.TemporaryDirectory(prefix="auditkit-start-") as folder:
        asked, told = Path(folder, "job.json"), Path(folder, "took.json")
        asked.write_text(json.dumps(job), encoding="utf-8")
        began = time.monotonic_ns()
        command = [sys.executable, "-m", "auditkit.fresh_start", str(asked), str(told), str(began)]
        try:
            done = subprocess.run(  # noqa: S603 - this interpreter, and files made here
                command, capture_output=True, check=False, timeout=MOST_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise ModelError(
                f"a new process had not answered {len(inputs)} inputs after {MOST_SECONDS} s."
            ) from None
        if done.returncode or not told.exists():
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise ModelError(
                "a new process could not load the model and answer: "
                + (last[0] if last else f"it ended with code {done.returncode}")
            )
        return FreshStart(**json.loads(told.read_text(encoding="utf-8")))


def peak_bytes(status: Path = Path("/proc/self/status")) -> int:
    """Most memory that this process ever had in use.

    Linux' `ru_maxrss` is not that: it begins with the parent's, from before the program was loaded.
    """
    try:
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def main(asked: str, told: str, began: str) -> None:
    """What the new process does."""
    from auditkit.models.python_callable import load_callable
    from auditkit.models.transformers_text import load_transformers

    job = json.loads(Path(asked).read_text(encoding="utf-8"))
    config, inputs, batch = ModelConfig(**job["model"]), job["inputs"], job["batch"]
    started = int(began)
    host_start, imported = peak_bytes(), time.monotonic_ns()
    model = (
        load_callable(config)
        if config.callable is not None
        else load_transformers(config, online=job["online"], texts=tuple(inputs))
    )
    host_loaded, loaded = peak_bytes(), time.monotonic_ns()
    model.predict(inputs[:1])
    first = time.monotonic_ns()
    model.predict(inputs[:1])
    second = time.monotonic_ns()
    for start in range(0, len(inputs), batch):
        model.predict(inputs[start : start + batch])
    took = FreshStart(
        ready=(first - started) / 1e9,
        imported=(imported - started) / 1e9,
        loaded=(loaded - imported) / 1e9,
        first=(first - loaded) / 1e9,
        second=(second - first) / 1e9,
        host_start=host_start,
        host_loaded=host_loaded,
        host_peak=peak_bytes(),
        device_peak=_device_peak(),
    )
    names = FreshStart.__dataclass_fields__
    Path(told).write_text(json.dumps({n: getattr(took, n) for n in names}), encoding="utf-8")


def _device_peak() -> int | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return int(torch.cuda.max_memory_reserved())


if __name__ == "__main__":
    main(*sys.argv[1:])
