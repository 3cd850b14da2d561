"""How much memory a process needs that answers with the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.starting import MEGABYTE, median_of_starts, memory_table
from auditkit.model import Capability

from ._starting import StartParams, started
from ._timed import MOST


@check(
    "latency.memory",
    title="The model fits into the memory it is given",
    severity=Severity.LOW,
    needs={Capability.TIMED},
    params=StartParams,
    limits=(
        Limit("host", "max", None, highest=MOST, means="megabytes"),
        Limit("device", "max", None, highest=MOST, means="megabytes"),
    ),
)
def memory(context: Context, params: StartParams) -> Iterator[Measurement]:
    """Most memory that a process holds which loads the model and answers.

    What it measures:
        A new process loads the model and answers `params.texts` of the audited texts in batches of
        `params.batch`, the longest first. `host` is the most memory that was resident, `device` the
        most that torch had reserved on the GPU, both in megabytes (1,000,000 bytes); the median
        over several processes.

    Why it matters:
        A container that is given less is ended in the middle of a request.

    How to read it:
        The table tells what Python and its packages hold, what loading adds, and what answering
        adds. A small sample of texts or a larger batch in production need more than this.

    What to do:
        Smaller batches and shorter texts bring down what answering adds; a precision of fewer bits
        brings down the model. The backend onnx does without torch.

    Limits of this check:
        Pages of files that are mapped count as resident, though they can be given back. The process
        loads the model as auditkit does. Without a GPU there is no `device`.

    References:
        proc(5), VmHWM; the memory statistics of torch.cuda.
    """
    found = started(context, params)
    confidence, elsewhere = context.confidence, found.bench.elsewhere
    note = "Megabytes, the median of the processes."
    host = [one.host_peak / MEGABYTE for one in found.starts]
    measured = median_of_starts("host", host, confidence, note, elsewhere)
    yield replace(measured, evidence=(memory_table(found.starts), found.machine))
    device = [one.device_peak / MEGABYTE for one in found.starts if one.device_peak is not None]
    if device:
        yield median_of_starts("device", device, confidence, note, elsewhere)
    else:
        yield Measurement("device", None, 0, None, note="no GPU.")
