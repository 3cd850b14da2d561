"""The audited model and variants of it, made, answering, and timed in turn."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.errors import AuditkitError, NotApplicable
from auditkit.interruption import raise_if_requested
from auditkit.latency.asking import Asker, Timings
from auditkit.latency.bench import Bench
from auditkit.latency.repeats import repeated_and_new
from auditkit.latency.scenarios import Length, Patience, Turn, asked_once, rounds
from auditkit.latency.variants import Variant, check_names
from auditkit.metrics.latency import TimedRun, caching, repeat_gain
from auditkit.metrics.variants import Answers, Timed, drifted, each_input

from ._timed import TimedParams, timed

_FAR_SLOWER = 10.0
"""Times the audited model's time from which on a variant is asked no more."""
_ROUNDS = 30
"""Rounds after which that is looked at: enough to bound the median at any level that is used."""
_ANSWERING = 0.4
"""Share of the progress at which all variants have answered."""


@dataclass(frozen=True, slots=True)
class VariantParams(TimedParams):
    """Parameters of `latency.variants`."""

    variants: tuple[str, ...] = ("eager", "threads-1", "int8", "onnx", "onnx-int8")
    """Variants: fp32, bf16, fp16, compile, sdpa, eager, threads-N, batch-N, onnx, int8, onnx-int8,
    half-layers, tf32, cuda-graphs. What cannot be made here is named, with the reason. compile
    takes a minute or more to make, and bf16 and fp16 are slow on many CPUs."""
    requests: int = 100
    """Requests at least that are put to every variant."""
    batch: int = 1
    """Texts of a request; the ratio is that of one text."""
    texts: int = 1000
    """Texts at most whose answers are compared, drawn from the audited ones."""
    answer_seconds: float = 60.0
    """Seconds after which a slow variant answers no more of them."""

    def __post_init__(self) -> None:
        TimedParams.__post_init__(self)
        check_names(self.variants)
        if not self.variants:
            raise ValueError("variants must name at least one")
        if not (1 <= self.requests <= 10_000_000 and 1 <= self.batch <= 10_000):
            raise ValueError("requests must lie between 1 and 1e7, and batch up to 10,000")
        if not (1 <= self.texts <= 10_000_000 and 0 < self.answer_seconds <= 86_400):
            raise ValueError("texts must lie between 1 and 1e7, answer_seconds up to a day")


@dataclass(slots=True)
class Made:
    """A variant that there is."""

    name: str
    variant: Variant
    turn: Turn
    seconds: float
    answers: Answers


@dataclass(slots=True)
class Beside:
    """The audited model, and the variants of it that can be made."""

    context: Context
    bench: Bench
    params: VariantParams
    made: list[Made] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    def make(self, kept: ExitStack) -> None:
        """Make every variant and have it answer; note why others cannot be.

        Args:
            kept: Ends with the variants.
        """
        names, n = self.params.variants, len(self.context.data)
        rows = self.context.rng.permutation(n)[: self.params.texts]
        for place, name in enumerate(names):
            try:
                # One that answers nonsense is released at once.
                with ExitStack() as own:
                    self.made.append(self._made(name, own, rows))
                    kept.push(own.pop_all())
            except NotApplicable as error:
                self.missing[name] = error.reason
            except AuditkitError as error:
                raise_if_requested()
                self.missing[name] = error.message
            self.context.advance(_ANSWERING * (place + 1) / len(names))

    def _made(self, name: str, own: ExitStack, rows: NDArray[np.int64]) -> Made:
        bench, context = self.bench, self.context
        assert bench.variants is not None
        inputs, began = context.data.inputs, bench.clock.now()
        variant = own.enter_context(bench.variants(name))
        size = variant.batch or self.params.batch
        turn = Turn(bench.asker_of(variant.model, inputs), size, variant.within)
        first = asked_once(turn, rows[:size].tolist(), 1.0)
        seconds = (int(first.finished[-1]) - began) / 1e9
        told = asked_once(turn, rows.tolist(), self.params.answer_seconds)
        audited = context.predictor.predict(inputs).take(told.rows)
        answers = Answers(context.data.rows(told.rows), audited, told.answers)
        return Made(name, variant, turn, seconds, answers)

    def timed(self) -> tuple[TimedRun, list[Timed]]:
        """Time all of them in turn. They are warm from having answered the texts."""
        params, context, others = self.params, self.context, [one.turn for one in self.made]
        length = Length(params.seconds, params.requests, params.most_seconds)
        share = params.most_seconds / (2 * len(others) + 2)
        patience = Patience(_FAR_SLOWER, _ROUNDS, share)
        theirs: list[Timings] = []

        def scenario(asker: Asker) -> Timings:
            own, *rest = rounds(
                [Turn(asker, params.batch), *others], length, context.rng,
                lambda done: context.advance(_ANSWERING + (1 - _ANSWERING) * done), patience,
            )  # fmt: skip
            theirs.extend(rest)
            return own

        run = timed(context, self.bench, params, scenario)
        cached = self._caching(Variant(self.bench.model))
        pairs = zip(self.made, theirs, strict=True)
        return run, [self._compared(one, its, run, cached) for one, its in pairs]

    def _compared(self, one: Made, its: Timings, run: TimedRun, cached: str) -> Timed:
        audited, took = each_input(run.timings), each_input(its)
        left = len(took) < len(audited)
        usable = len(took) and min(took.min(), audited.min()) > 0
        ratios = took / audited[: len(took)] if usable else np.zeros(0)
        note = f"far slower, so asked no more after {len(took):,} requests" if left else ""
        if len(one.answers.data) < min(self.params.texts, len(self.context.data)):
            note = "; ".join(filter(None, (note, "it was too slow to answer all texts in time")))
        own = "" if left else self._caching(one.variant)
        return Timed(
            one.name, took / 1e6, ratios, one.seconds, one.answers,
            "; ".join(filter(None, (one.variant.note, note))),
            run.withheld(cached, own, drifted(ratios)),
        )  # fmt: skip

    def _caching(self, variant: Variant) -> str:
        """Why this one's times say nothing of new texts."""
        bench, context = replace(self.bench, model=variant.model), self.context
        with variant.within():
            pairs = repeated_and_new(bench, context.data.inputs, context.rng)
        return caching(repeat_gain(pairs, context.confidence))
