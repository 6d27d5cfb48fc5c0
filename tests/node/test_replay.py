"""The replay window accepts each counter once, and nothing too old."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.core.limits import REPLAY_WINDOW
from node.core.replay import ReplayWindow
from tests.node.vectors import VECTORS

CASES = VECTORS["replay_window"]["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_published_sequences(case: dict[str, Any]) -> None:
    window = ReplayWindow()
    assert [[text, window.accept(int(text))] for text, _ in case["ops"]] == case["ops"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_published_sequences_as_one_batch(case: dict[str, Any]) -> None:
    counters = [int(text) for text, _ in case["ops"]]
    assert ReplayWindow().accept_all(counters) == [verdict for _, verdict in case["ops"]]


def test_a_run_is_accepted_at_once_and_only_once() -> None:
    window = ReplayWindow()
    assert window.accept_all(range(10, 54)) == [True] * 44
    assert window.accept_all(range(10, 54)) == [False] * 44
    assert window.accept(9)
    assert window.highest == 53


def test_a_gap_before_a_run_stays_open() -> None:
    window = ReplayWindow()
    window.accept_all([0, 1, 2])
    window.accept_all([5, 6, 7])
    assert window.accept_all([2, 3, 4, 5]) == [False, True, True, False]


counters = st.one_of(
    st.integers(0, 300),
    st.integers(REPLAY_WINDOW - 20, REPLAY_WINDOW + 300),
    st.integers(3 * REPLAY_WINDOW, 3 * REPLAY_WINDOW + 20),
)
batches = st.lists(
    st.one_of(
        st.lists(counters, max_size=8),
        st.tuples(counters, st.integers(1, 60)).map(lambda t: list(range(t[0], sum(t)))),
    ),
    max_size=12,
)


@given(batches)
def test_batches_get_the_verdicts_of_a_plain_set(sequence: list[list[int]]) -> None:
    window, seen, highest = ReplayWindow(), set[int](), -1
    for batch in sequence:
        expected = []
        for counter in batch:
            new = counter not in seen and highest - counter <= REPLAY_WINDOW
            expected.append(new)
            if new:
                seen.add(counter)
                highest = max(highest, counter)
        assert window.accept_all(batch) == expected
