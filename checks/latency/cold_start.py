"""How long a new process needs to its first answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.starting import median_of_starts, time_table
from auditkit.model import Capability

from ._starting import StartParams, started
from ._timed import MOST


@check(
    "latency.cold-start",
    title="A new process answers soon after it is started",
    severity=Severity.LOW,
    needs={Capability.TIMED},
    params=StartParams,
    limits=(
        Limit("ready", "max", None, highest=MOST, means="seconds"),
        Limit("first_request", "max", None, highest=MOST, means="milliseconds"),
    ),
)
def cold_start(context: Context, params: StartParams) -> Iterator[Measurement]:
    """Seconds from the start of a process to its first answer.

    What it measures:
        A new process is started several times, one after the other; each imports what it needs,
        loads the model and answers. `ready` is the median time from its start to the first answer,
        in seconds; `first_request` is what the first request took of it, in milliseconds, which is
        more than any later one where something is compiled or allocated then.

    Why it matters:
        Servers are started when load rises, and where none is kept running the first user waits for
        all of this.

    How to read it:
        The bounds are order statistics of the median: of 5 starts the slowest bounds it from above.
        The table has the parts.

    What to do:
        Importing torch and transformers often takes longer than loading a small model; the backend
        onnx does without. Send a request to a new server before it gets any.

    Limits of this check:
        The files are in the operating system's cache after the first start, so this is not the
        first start of a new machine. Every process loads the model as auditkit does, with its
        checks of the folder.

    References:
        Reddi et al. 2020, MLPerf Inference, leaves out what this measures; Conover 1999, 3.2.
    """
    found = started(context, params)
    confidence, elsewhere = context.confidence, found.bench.elsewhere
    ready = median_of_starts(
        "ready", [one.ready for one in found.starts], confidence,
        "Seconds, the median of the starts.", elsewhere,
    )  # fmt: skip
    yield replace(ready, evidence=(time_table(found.starts), found.machine))
    yield median_of_starts(
        "first_request", [one.first * 1000 for one in found.starts], confidence,
        "Milliseconds, the median of the starts.", elsewhere,
    )  # fmt: skip
