"""Runs the checks: those that have more to ask the model, and the others beside them."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib import import_module

import numpy as np

from auditkit.baseline import BaselinePredictor
from auditkit.check import Confidence, Context, Explainer, Kept, Predictor
from auditkit.data import AuditData, Shift
from auditkit.latency.bench import Bench
from auditkit.ledger import Ledger
from auditkit.measured import CheckRecord
from auditkit.measuring import judge_measured, measure
from auditkit.model import Capability
from auditkit.observer import Observer, Silent
from auditkit.plan import Plan, PlannedCheck
from auditkit.predictor import AnsweredRows, SharedPredictor

_ASKING = {
    Capability.NEW_INPUTS, Capability.EMBEDDINGS, Capability.SHIFTS, Capability.PAIRS,
    Capability.BASELINE, Capability.EXPLANATIONS,
}  # fmt: skip
"""What the model has to be asked for, besides its answers for the audited rows."""
_IMPORTED_BY_BOTH = (
    "pandas", "scipy.stats", "sklearn.metrics", "sklearn.linear_model", "sklearn.neighbors",
    "statsmodels.stats.proportion",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Workbench:
    """What the checks of one audit share.

    Attributes:
        predictor: Has answered the audited rows.
    """

    predictor: SharedPredictor
    data: AuditData
    splits: dict[str, AuditData]
    confidence: Confidence
    seed: int
    shifts: Mapping[str, Shift] = field(default_factory=dict)
    training: AuditData | None = None
    validation: AuditData | None = None
    held_out: Mapping[str, AuditData] = field(default_factory=dict)
    baseline: BaselinePredictor | None = None
    timing: Bench | None = None
    explainer: Explainer | None = None

    def context(
        self,
        entry: PlannedCheck,
        predictor: Predictor,
        advance: Callable[[float], None],
        kept: Kept,
    ) -> Context:
        """The context of one check, with random numbers of its own."""
        trained = entry.is_given(Capability.TRAINING_ROWS)
        return Context(
            predictor=predictor,
            data=self.data,
            splits=self.splits,
            confidence=self.confidence,
            rng=rng_of(entry.check.id, self.seed),
            advance=advance,
            kept=kept,
            shifts=self.shifts,
            training=self.training if trained else None,
            validation=self.validation if entry.is_given(Capability.VALIDATION_ROWS) else None,
            held_out=self.held_out if trained else {},
            lacking=entry.lacking,
            baseline=self.baseline if entry.is_given(Capability.BASELINE) else None,
            explainer=self.explainer if entry.is_given(Capability.EXPLANATIONS) else None,
            timing=self.timing if entry.is_given(Capability.TIMED) else None,
        )


def rng_of(check_id: str, seed: int) -> np.random.Generator:
    """The random numbers of one check, whichever others run beside it."""
    entropy = int.from_bytes(hashlib.sha256(check_id.encode()).digest()[:8], "little")
    return np.random.default_rng([seed, entropy])


def run_checks(plan: Plan, bench: Workbench, observer: Observer, ledger: Ledger) -> None:
    """Run every check that is not finished yet, and enter all of them in the ledger.

    A check that needs new inputs or embeddings runs here, one after the other. The rest needs
    nothing but the answers for the audited rows: while there are checks of the first kind, the
    second kind runs in a thread beside them. What each measures does not depend on the other.
    Checks that time the model come last, one after the other, when nothing runs beside them.

    Raises:
        StoreError: A finished check cannot be written down.
    """
    crew = _Crew(bench, observer, ledger, len(plan.checks))
    waiting = [
        (position, entry)
        for position, entry in enumerate(plan.checks, start=1)
        if not crew.recalled(entry)
    ]
    timed = [one for one in waiting if is_timed(one[1])]
    _run_untimed([one for one in waiting if not is_timed(one[1])], crew)
    for position, entry in timed:
        crew.run(entry, position)


def _run_untimed(waiting: Sequence[tuple[int, PlannedCheck]], crew: _Crew) -> None:
    asking = [(position, entry) for position, entry in waiting if asks_more(entry)]
    others = [(position, entry) for position, entry in waiting if not asks_more(entry)]
    if not asking or not others:
        for position, entry in waiting:
            crew.run(entry, position)
        return
    _import_for_both()
    with ThreadPoolExecutor(1, "auditkit-checks") as pool:
        beside = pool.submit(crew.run_beside, [entry for _, entry in others])
        try:
            for position, entry in asking:
                _raise_what_it_raised(beside)
                crew.run(entry, position)
            beside.result()
        finally:
            crew.stopped.set()


def _import_for_both() -> None:
    """Import what checks on either thread import.

    Two threads that import a package whose modules import each other can deadlock, and then one
    of the checks crashes (python/cpython#83065).
    """
    for package in _IMPORTED_BY_BOTH:
        import_module(package)


def asks_more(entry: PlannedCheck) -> bool:
    """Whether a check has more to ask the model than the answers for the audited rows."""
    return bool(_ASKING & entry.check.asks_for) and not entry.obstacle


def is_timed(entry: PlannedCheck) -> bool:
    """Whether a check times the model, so that nothing may run beside it."""
    return entry.is_given(Capability.TIMED)


def _raise_what_it_raised(beside: Future[None]) -> None:
    if beside.done():
        beside.result()


class _Crew:
    """Runs checks and enters what they come to."""

    def __init__(self, bench: Workbench, observer: Observer, ledger: Ledger, total: int) -> None:
        self._bench, self._observer, self._ledger = bench, observer, ledger
        self._total = total
        self._telling = threading.Lock()
        self.stopped = threading.Event()

    def recalled(self, entry: PlannedCheck) -> bool:
        """Enter a check that was finished before; False when it was not."""
        record = self._ledger.recall(entry.check.id)
        if record is None:
            return False
        found = judge_measured(entry, record.measured)
        self._ledger.add(record, found)
        self._observer.check_recalled(entry.check.id, found, replayed=record.replayed)
        return True

    def run(self, entry: PlannedCheck, position: int) -> None:
        """Run a check in front, where its progress is shown."""
        self._observer.check_started(entry.check.id, position, self._total)
        self._run(entry, self._observer.advanced)

    def run_beside(self, entries: Sequence[PlannedCheck]) -> None:
        """Run checks in the background, until `stopped`."""
        for entry in entries:
            if self.stopped.is_set():
                return
            self._run(entry, Silent().advanced)

    def _run(self, entry: PlannedCheck, advance: Callable[[float], None]) -> None:
        check_id, shared = entry.check.id, self._bench.predictor
        predictor = shared if asks_more(entry) else AnsweredRows(shared)
        began, before = time.perf_counter(), self._asked(predictor)
        context = self._bench.context(entry, predictor, advance, self._ledger.parts(check_id))
        measured = measure(entry, context)
        cost = self._asked(predictor)
        cost.subtract(before)
        record = CheckRecord(check_id, "", measured, time.perf_counter() - began, dict(cost))
        self._ledger.keep(record)
        if predictor is not shared:
            self._ledger.count(cost)
        found = judge_measured(entry, measured)
        self._ledger.add(record, found)
        with self._telling:
            self._observer.check_finished(check_id, found)

    def _asked(self, predictor: SharedPredictor | AnsweredRows) -> Counter[str]:
        """What this predictor and the baseline's have been asked so far.

        The baseline is asked by checks that run in front only, one at a time.
        """
        asked, baseline = Counter(asdict(predictor.statistics)), self._bench.baseline
        if baseline is not None and predictor is self._bench.predictor:
            asked.update(asdict(baseline.statistics))
        return asked
