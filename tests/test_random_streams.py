"""Each example draws what it would draw alone, and the global generators stay as they are."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from auditkit.random_streams import RandomStreams, untouched_randomness


def drawn() -> list[Any]:
    """An odd number of normal ones, of which numpy draws two at a time and keeps one."""
    return [
        random.random(),
        np.random.randn(),
        *np.random.permutation(700).tolist(),
        np.random.randn(),
        np.random.randint(1 << 30),
        np.random.randn(),
    ]


def seeded(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)


def test_streams_that_take_turns_draw_what_each_draws_alone():
    alone = []
    for seed in (1, 2, 3):
        seeded(seed)
        alone.append([drawn() for _ in range(4)])
    streams = [RandomStreams.seeded(seed) for seed in (1, 2, 3)]
    in_turn: list[list[Any]] = [[], [], []]
    with untouched_randomness():
        for _ in range(4):
            for stream, found in zip(streams, in_turn, strict=True):
                stream.use()
                found.append(drawn())
                stream.keep()
    assert in_turn == alone


@pytest.mark.parametrize("within", [drawn, lambda: seeded(9)])
def test_the_global_generators_go_on_as_if_nothing_had_been(within):
    seeded(4)
    expected = [drawn(), drawn()]
    seeded(4)
    generator = np.random.get_bit_generator()
    found = [drawn()]
    with untouched_randomness(), untouched_randomness():
        assert np.random.get_bit_generator() is not generator
        within()
    found.append(drawn())
    assert found == expected
    assert np.random.get_bit_generator() is generator


def test_work_goes_on_with_the_global_numbers_and_may_seed_them_and_keep_their_state():
    seeded(5)
    expected = [drawn(), drawn()]
    seeded(5)
    found = [drawn()]
    with untouched_randomness():
        found.append(drawn())
        seeded(5)
        assert drawn() == expected[0]
        state = np.random.get_state()
        after = np.random.randn(3)
        np.random.set_state(state)
        np.testing.assert_array_equal(np.random.randn(3), after)
    assert found == expected


def test_a_generator_of_another_kind_is_left_in_place():
    before = np.random.get_bit_generator()
    other = np.random.PCG64(3)
    np.random.set_bit_generator(other)
    try:
        first = np.random.randn()
        with untouched_randomness():
            assert np.random.get_bit_generator() is other
            second = np.random.randn()
        assert np.random.randn() == second != first
    finally:
        np.random.set_bit_generator(before)
