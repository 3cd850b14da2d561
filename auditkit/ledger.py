"""The checks of a run as they are finished, here and in the run directory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from auditkit.check import Kept, KeptInMemory
from auditkit.finding import Finding
from auditkit.measured import CheckRecord
from auditkit.observer import Observer
from auditkit.plan import Plan
from auditkit.result import AuditResult, PredictorStatistics, SeedRun
from auditkit.run_identity import RunInputs
from auditkit.run_store import RunStore


@dataclass(slots=True)
class Ledger:
    """What the checks of one run have come to. Safe to use from several threads.

    Args:
        store: Where every finished check is written down; None to write nothing.
        keys: Digest of everything a check's measurements depend on, by its id.
        inputs: Digests of what goes into the run; None without a store.
    """

    store: RunStore | None = None
    keys: dict[str, str] = field(default_factory=dict)
    inputs: RunInputs | None = None
    _done: dict[str, tuple[CheckRecord, Sequence[Finding]]] = field(default_factory=dict)
    _elsewhere: Counter[str] = field(default_factory=Counter)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def begin(self, observer: Observer) -> AuditResult | None:
        """The stored result of the same run, if it is finished."""
        if self.store is None or self.inputs is None:
            return None
        return self.store.begin(self.inputs, observer.note)

    def recall(self, check_id: str) -> CheckRecord | None:
        """The check as it was finished before; what this run asked for it is added to the total.

        What an earlier run asked for a replayed check is no cost of this one.
        """
        record = self.store.recall(check_id, self.keys[check_id]) if self.store else None
        if record is not None and not record.replayed:
            self.count(record.cost)
        return record

    def count(self, cost: Mapping[str, int]) -> None:
        """Add what was asked otherwise than of this run's shared predictor."""
        with self._lock:
            self._elsewhere.update(cost)

    def parts(self, check_id: str) -> Kept:
        """Where a check keeps what it has finished of its work."""
        if self.store is None:
            return KeptInMemory()
        return _OneAtATime(self.store.parts(check_id, self.keys[check_id]), self._lock)

    def keep(self, record: CheckRecord) -> None:
        """Write down a check that has just finished."""
        if self.store is not None:
            with self._lock:
                self.store.keep(replace(record, key=self.keys[record.check]))

    def add(self, record: CheckRecord, findings: Sequence[Finding]) -> None:
        """Count a finished check into the result."""
        self._done[record.check] = record, findings

    def findings(self, plan: Plan) -> list[Finding]:
        """What every check came to, in the order of the plan."""
        return [finding for entry in plan.checks for finding in self._done[entry.check.id][1]]

    def replayed(self, plan: Plan) -> tuple[str, ...]:
        """Checks taken over from an earlier run, in the order of the plan."""
        ids = (entry.check.id for entry in plan.checks)
        return tuple(check_id for check_id in ids if self._done[check_id][0].replayed)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds per check."""
        return {check_id: record.seconds for check_id, (record, _) in self._done.items()}

    @property
    def seeds_seen(self) -> tuple[SeedRun, ...]:
        """Other seeds this directory has seen."""
        if self.store is None or self.inputs is None:
            return ()
        return self.store.seeds_seen(self.inputs)

    def total(self, *asked: PredictorStatistics) -> PredictorStatistics:
        """What asking has cost; `asked` is what it cost this run's shared predictors."""
        total = Counter(self._elsewhere)
        for one in asked:
            total.update(asdict(one))
        return PredictorStatistics(**total)


class _OneAtATime:
    """The parts of a check, written while no other thread writes."""

    def __init__(self, kept: Kept, lock: threading.RLock) -> None:
        self._kept, self._lock = kept, lock
        self.get = kept.get

    def put(self, name: str, content: object) -> None:
        """Keep a part."""
        with self._lock:
            self._kept.put(name, content)
