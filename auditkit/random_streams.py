"""Random numbers of one example: the global generators that libraries draw from, kept apart."""

from __future__ import annotations

import ctypes
import hashlib
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np


class RandomStreams:
    """A state of the generators of `random`, numpy and, where it is loaded, torch.

    TextAttack, SHAP and scipy draw from the global ones. Each example carries its own state, put in
    place when the example goes on and taken back when it stops, so that it draws the same numbers
    however many others run between.
    """

    def __init__(self) -> None:
        self.keep()

    @classmethod
    def seeded(cls, seed: int) -> RandomStreams:
        """The state after all are seeded with `seed`. The global state stays as it is."""
        before = cls()
        random.seed(seed)
        np.random.seed(seed)
        if torch := _torch():
            torch.default_generator.manual_seed(seed)
        streams = cls()
        before.use()
        return streams

    def keep(self) -> None:
        """Remember the state the generators are in now."""
        torch = _torch()
        self._python = random.getstate()
        self._numpy: Any = np.random.get_state(legacy=False)
        self._torch = torch.default_generator.get_state() if torch else None

    def use(self) -> None:
        """Put the generators into this state."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        if self._torch is not None and (torch := _torch()):
            torch.default_generator.set_state(self._torch)


def _torch() -> Any:
    return sys.modules.get("torch")


@contextmanager
def untouched_randomness() -> Iterator[None]:
    """The global generators are afterwards as they were before.

    Meanwhile numpy's is one that draws the same numbers, but can be put into another state sooner.
    """
    numpy: Any = np.random
    before, generator = RandomStreams(), numpy.get_bit_generator()
    if type(generator) is np.random.MT19937 and (quick := _quick_twister()):
        numpy.set_bit_generator(quick)
        before.use()
    try:
        yield
    finally:
        numpy.set_bit_generator(generator)
        before.use()


class _QuickTwister(np.random.MT19937):
    """A Mersenne Twister whose state is copied at once; numpy's own copies 624 numbers singly."""

    def __init__(self) -> None:
        super().__init__(0)
        numbers = (ctypes.c_uint32 * 625).from_address(self.ctypes.state_address)
        self._numbers = np.ctypeslib.as_array(numbers)

    @property
    def state(self) -> Any:
        key, position = self._numbers[:-1].copy(), int(self._numbers[-1])
        return {"bit_generator": "MT19937", "state": {"key": key, "pos": position}}

    @state.setter
    def state(self, value: Any) -> None:
        self._numbers[:-1] = value["state"]["key"]
        self._numbers[-1] = value["state"]["pos"]


@cache
def _quick_twister() -> _QuickTwister | None:
    """None where numpy lays out the state in another way than known here."""
    known, quick = np.random.MT19937(7), _QuickTwister()
    quick.state = known.state
    drawn = [generator.random_raw(1000).tolist() for generator in (known, quick)]
    positions = [generator.state["state"]["pos"] for generator in (known, quick)]
    return quick if drawn[0] == drawn[1] and positions[0] == positions[1] else None


def seed_of(seed: int, purpose: str, example: str) -> int:
    """Seed of one example, 32 bits. It depends on the text, not on its position or neighbours."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{example}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:4], "little")
