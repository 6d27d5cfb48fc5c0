"""Every target of the fuzzer with every seed and a few hundred mutations: a smoke test of both."""

from __future__ import annotations

import random

import pytest

from tests.bench.fuzz import NAMES, mutated, seeds
from tests.bench.fuzz_targets import TARGETS

SLOW = {"mesh_datagrams", "mesh_disco"}  # a whole node each time


def test_the_fuzzer_knows_all_targets() -> None:
    assert tuple(TARGETS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_raised(name: str) -> None:
    dice, target, pool = random.Random(name), TARGETS[name], seeds()
    for _ in range(60 if name in SLOW else 400):
        target(mutated(dice.choice(pool), dice))
    target(b"")
