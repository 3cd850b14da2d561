"""What is expected of an audit, as one value."""

from __future__ import annotations

from dataclasses import dataclass

from auditkit.forecast.check_cost import CheckCost
from auditkit.forecast.model_cost import ModelCost
from auditkit.found_run import FoundRun
from auditkit.resolution import AttributeRows, Resolution, Unresolved


@dataclass(frozen=True, slots=True)
class Forecast:
    """An audit before it runs.

    Attributes:
        model_name: The model.
        data_name: The data.
        rows: Rows to audit.
        recorded: Whether there are only recorded predictions, so that nothing is asked.
        load: Seconds to read the data and load the model, as just measured.
        model: Cost of the answers for the audited rows.
        probe: Seconds of asking some rows twice, to see whether the model is deterministic.
        timed: Batches the model was timed on; 0 when it was not.
        spread: How many times longer the same work took in slow batches than in fast ones; far
            above 1 when the machine has other things to do.
        workers: How many batches the model is asked at once.
        cores: Cores of this machine that may be used.
        cache: Why no answer comes from the cache or goes there; empty where they do.
        directory: The run directory.
        found: What is finished already in it.
        checks: Cost of every check, in their order.
        left_out: Checks left out on purpose, with the reason.
        attributes: Groups and their rows.
        resolutions: What the checks can show.
        unresolved: Checks of which that is not estimated.
        clustered: Whether rows come in clusters, which are then what is counted.
    """

    model_name: str
    data_name: str
    rows: int
    recorded: bool
    load: float
    model: ModelCost
    probe: float
    timed: int
    spread: float
    workers: int
    cores: int
    cache: str
    directory: str
    found: FoundRun
    checks: tuple[CheckCost, ...]
    left_out: tuple[tuple[str, str], ...]
    attributes: tuple[AttributeRows, ...]
    resolutions: tuple[Resolution, ...]
    unresolved: tuple[Unresolved, ...]
    clustered: bool

    @property
    def seconds(self) -> float:
        """All that is estimated."""
        return self.load + self.probe + self.model.total + self.checking()

    def checking(self, share: float = 1.0) -> float:
        """Seconds of the checks on a share of the rows.

        Checks that ask nothing new run in a thread beside those that do. Both together take no
        less than either, than their work on all cores, and than what is Python in both.
        """
        asking = [c.at(share) for c in self.checks if c.asks]
        beside = sum(own for _, own in (c.at(share) for c in self.checks if not c.asks))
        model, own = (sum(part) for part in zip(*asking, strict=True)) if asking else (0.0, 0.0)
        if not own or not beside:
            return model + own + beside
        work = (model * self.workers + own + beside) / self.cores
        return max(model + own, own + beside, work)

    @property
    def asked(self) -> tuple[ModelCost, ...]:
        """Every request that is estimated: for the audited rows, then for new inputs of checks."""
        return (self.model, *(c.asked for c in self.checks if c.asked is not None))

    @property
    def complete(self) -> bool:
        """Whether everything is estimated."""
        return all(c.total is not None for c in self.checks)
