"""What auditkit adds to the latency of a request: the scenarios with models that do nothing.

    python benchmarks/latency_overhead.py [--requests N] [--model DIR]

The null model returns the same answer at once, so all that is timed between the moment a request is
due and its answer is auditkit's; the time from one request to the next is what a single stream
costs beside it. A request to the server is also late by as much as the process is woken late. With
--model, a transformers folder whose forward pass is replaced by constant logits: what is left is
tokenising, and padding a batch, which any program does. Medians and 99 % quantiles in microseconds.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np

from auditkit.config import ModelConfig
from auditkit.latency.asking import Asker, Timings
from auditkit.latency.clock import HostClock
from auditkit.latency.scenarios import Length, server, single_stream
from auditkit.model import Predictions
from auditkit.stats.quantiles import quantile_interval
from auditkit.testing import FakeModel

GOAL = 50.0
TEXTS = tuple(f"a film of {n} words" for n in range(100))


class Null(FakeModel):
    """Answers before it is asked."""

    _ready = Predictions(np.zeros(1, np.int64), np.array([[0.6, 0.4]]))

    def predict(self, batch: Any) -> Predictions:
        del batch
        return self._ready


class NullForward:
    """Constant logits."""

    def logits(self, arrays: Any) -> Any:
        return np.tile([0.2, -0.2], (len(arrays["input_ids"]), 1))


def shown(name: str, timings: Timings) -> float:
    latency = np.sort(timings.latency) / 1e3
    between = np.sort(np.diff(timings.started)) / 1e3
    median = float(np.median(latency))
    bounds = quantile_interval(latency, 0.5, 0.025)
    print(
        f"{name:34} {len(latency):>8,} requests  median {median:6.2f} us "
        f"({bounds.lower:.2f} to {bounds.upper:.2f})  p99 {np.quantile(latency, 0.99):7.2f} us"
        f"  start to start {np.median(between):8.2f} us"
    )
    return median


def nulled(folder: Path) -> Any:
    from dataclasses import replace

    from auditkit.models.transformers_text import load_transformers

    model = load_transformers(ModelConfig(path=str(folder), device="cpu"), online=False)
    model._parts = replace(model._loaded, forward=NullForward())
    return model


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--model", type=Path)
    given = parser.parse_args()
    clock, rng = HostClock(), np.random.default_rng(0)
    length = Length(1e-9, given.requests)
    null = Null(lambda _: (0.6, 0.4))
    asker = Asker(null, TEXTS, clock)
    median = shown("single stream, null model", single_stream(asker, length, rng))
    coming = (round(5e6 * n) for n in itertools.count(1))  # 200 a second
    timings = server(asker, coming, Length(10.0), rng)
    shown("server at 200 a second, null model", timings)
    if given.model is not None:
        asker = Asker(nulled(given.model), TEXTS, clock)
        timings = single_stream(asker, length, rng)
        shown("single stream, null forward pass", timings)
        model_only = np.sort(timings.model_only) / 1e3
        print(f"  of it without tokenising: median {np.median(model_only):.2f} us")
    met = median < GOAL
    said = "met" if met else "NOT MET"
    print(f"goal: median of the single stream with the null model below {GOAL:g} us: {said}")
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
