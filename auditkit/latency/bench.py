"""What a check times with: the model, a clock, and what is known of the machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from auditkit.errors import NotApplicable
from auditkit.latency.asking import Asker
from auditkit.latency.clock import Clock, Device, HostClock
from auditkit.latency.energy import Meter
from auditkit.latency.hardware import Busy, Hardware
from auditkit.latency.variants import MakeVariant
from auditkit.model import Model


@dataclass(frozen=True, slots=True)
class FreshStart:
    """What a new process needed to answer its first request. Times in seconds, sizes in bytes.

    Attributes:
        ready: From starting the process to its first answer.
        imported: Of it, starting Python and importing what the model needs to be loaded.
        loaded: Of it, loading the model.
        first: Of it, the first request.
        second: The same request again.
        host_start: Most memory of the process before the model was loaded.
        host_loaded: The same once it was loaded.
        host_peak: The same once all inputs were answered.
        device_peak: Most memory of the device; None without one.
    """

    ready: float
    imported: float
    loaded: float
    first: float
    second: float
    host_start: int
    host_loaded: int
    host_peak: int
    device_peak: int | None = None


StartFresh = Callable[[Sequence[Any], int], FreshStart]
"""From inputs and a batch size to what a new process needed that answered all of them."""


@dataclass(slots=True)
class Bench:
    """Times one model on one machine, one check at a time.

    Attributes:
        model: The model under audit, past every cache of auditkit.
        hardware: The machine, and how the model runs on it.
        clock: Tells the time.
        device: A device with a queue of its own; None when the model runs on the CPU.
        start: Starts a new process that loads the model; None when that is not possible.
        baseline: A model to compare with; None when there is none that can be asked again.
        variants: Makes variants of the model; None where none can be made.
        busy: Reads who uses the processor.
        meters: Energy meters that can be read.
        limits_from: Fingerprint of the hardware that the limits were set on; empty when not said.
        hourly_price: Price of an hour of this machine; None when not given.
        currency: In which.
    """

    model: Model
    hardware: Hardware = field(default_factory=Hardware)
    clock: Clock = field(default_factory=HostClock)
    device: Device | None = None
    start: StartFresh | None = None
    baseline: Model | None = None
    variants: MakeVariant | None = None
    busy: Callable[[], Busy] = Busy.read
    meters: Sequence[Meter] = ()
    limits_from: str = ""
    hourly_price: float | None = None
    currency: str = ""
    _starts: dict[tuple[tuple[Any, ...], int], list[FreshStart]] = field(default_factory=dict)

    def asker(self, inputs: Sequence[Any]) -> Asker:
        """Asks the model about these inputs with the clock beside it."""
        return self.asker_of(self.model, inputs)

    def starts(
        self,
        inputs: Sequence[Any],
        batch: int,
        times: int,
        advance: Callable[[float], None] = lambda _: None,
    ) -> list[FreshStart]:
        """What so many new processes needed, one after the other.

        Checks that ask for the same share them.
        """
        assert self.start is not None
        found = self._starts.setdefault((tuple(inputs), batch), [])
        while len(found) < times:
            found.append(self.start(inputs, batch))
            advance(len(found) / times)
        return found[:times]

    def baseline_asker(self, inputs: Sequence[Any]) -> Asker:
        """The same for the baseline.

        Raises:
            NotApplicable: There is none that can be asked again.
        """
        if self.baseline is None:
            raise NotApplicable("the baseline's predictions are on file, so it cannot be timed.")
        return self.asker_of(self.baseline, inputs)

    def asker_of(self, model: Model, inputs: Sequence[Any]) -> Asker:
        """The same for any model that computes where this one does."""
        return Asker(model, inputs, self.clock, self.device)

    @property
    def elsewhere(self) -> str:
        """Why limits do not hold here: they were set on other hardware. Empty when they do."""
        own = self.hardware.fingerprint
        if not self.limits_from or self.limits_from == own:
            return ""
        return (
            f"the limits were set on hardware {self.limits_from}, and this is {own} "
            "([timing] hardware)"
        )
