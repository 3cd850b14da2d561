"""What the checks that start new processes have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auditkit.check import Context
from auditkit.errors import NotApplicable
from auditkit.finding import Table
from auditkit.latency.bench import Bench, FreshStart
from auditkit.metrics.latency import bench_of, machine_table
from auditkit.metrics.starting import MOST_STARTS, starts_needed


@dataclass(frozen=True, slots=True)
class StartParams:
    """How often a new process is started, and what it answers."""

    starts: int = 0
    """Processes; 0 for as many as the median needs to be bounded, 5 for a single limit."""
    texts: int = 256
    """Texts it answers, spread over the audited ones, the longest among them."""
    batch: int = 32
    """Texts of a batch."""

    def __post_init__(self) -> None:
        if not 0 <= self.starts <= MOST_STARTS:
            raise ValueError(f"starts must lie between 0 and {MOST_STARTS}, not {self.starts}")
        if not (1 <= self.texts <= 100_000 and 1 <= self.batch <= 10_000):
            raise ValueError("texts must lie between 1 and 100,000, and batch up to 10,000")


@dataclass(frozen=True, slots=True)
class Started:
    """New processes that were started.

    Attributes:
        bench: What they were timed with.
        starts: What each needed.
        machine: The machine, and who else used it.
    """

    bench: Bench
    starts: Sequence[FreshStart]
    machine: Table


def started(context: Context, params: StartParams) -> Started:
    """Start them, one after the other.

    Raises:
        NotApplicable: No new process can be started.
    """
    bench = bench_of(context)
    if bench.start is None:
        raise NotApplicable("the model cannot be loaded in a process of its own.")
    before, wanted = bench.busy(), params.starts or starts_needed(context.confidence)
    inputs = _spread(context.data.inputs, params.texts)
    found = bench.starts(inputs, params.batch, min(wanted, MOST_STARTS), context.advance)
    return Started(bench, found, machine_table(bench, before, bench.busy()))


def _spread(inputs: Sequence[object], most: int) -> list[object]:
    """Inputs of all lengths, the longest first, as the predictor batches them, too."""
    order = sorted(range(len(inputs)), key=lambda row: -len(str(inputs[row])))
    places = np.unique(np.linspace(0, len(order) - 1, min(len(order), most)).astype(np.int64))
    return [inputs[order[place]] for place in places.tolist()]
