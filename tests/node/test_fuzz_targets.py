"""Every target of the fuzzer with every seed and a few hundred mutations: a smoke test of both."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench.fuzz import NAMES, Outcome, mutated, seeds, table
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


@pytest.mark.parametrize(
    ("name", "found"),
    [("tun_reads", "ff0000c3110000000100000000")],  # a checksum over nothing but zeros
)
def test_what_was_found_once_is_found_no_more(name: str, found: str) -> None:
    TARGETS[name](bytes.fromhex(found))


@given(st.binary(max_size=300))
@settings(max_examples=50)
def test_no_bytes_at_all_make_any_of_them_raise(data: bytes) -> None:
    for target in TARGETS.values():
        target(data)


def test_what_was_found_is_told_and_counts_as_a_goal_missed() -> None:
    shown = table([Outcome("http", 7, 3, "KeyError: 'a'"), Outcome("texts", 5, 2, None)])
    assert [row[-1] for row in shown.rows[:2]] == ["SOMETHING", "nothing"]
    assert "http: KeyError: 'a'" in shown.notes
    [goal] = shown.goals
    assert (goal.value, goal.met) == (1, False)
