"""The delay line's rules: who waits how long, who goes ahead, who is lost. No kernel in here."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.model.link import CLEAN, Shape
from lab.world.line import Early, Line, Lost


def new_line(shape: Shape, seed: int = 1) -> Line:
    return Line(shape, Random(seed).random)


def test_packets_wait_for_the_delay_and_go_together() -> None:
    line = new_line(Shape(delay=0.05))

    assert line.admit(1, 3, now=10.0) == []
    assert line.admit(4, 4, now=10.02) == []

    assert line.deadline == pytest.approx(10.05)
    assert line.release(now=10.04) is None
    assert line.release(now=10.05) == 3
    assert line.deadline == pytest.approx(10.07)
    assert line.release(now=10.08) == 4
    assert line.deadline is None


def test_a_shorter_delay_lets_nobody_overtake() -> None:
    line = new_line(Shape(delay=0.1))
    line.admit(1, 1, now=10.0)

    line.shape = Shape(delay=0.01)
    line.admit(2, 2, now=10.0)

    assert line.release(now=10.05) is None
    assert line.release(now=10.1) == 2


def test_a_clean_shape_lets_all_go() -> None:
    line = new_line(Shape(delay=10.0))
    line.admit(1, 5, now=10.0)

    line.shape = CLEAN

    assert line.release(now=10.0) == 5
    assert line.deadline is None


def test_without_a_delay_packets_go_at_once() -> None:
    line = new_line(CLEAN)

    assert line.admit(7, 9, now=10.0) == []
    assert line.release(now=10.0) == 9


@given(st.integers(), st.lists(st.floats(0.0, 0.01), min_size=2, max_size=50))
def test_jitter_varies_the_delay_and_keeps_the_order(seed: int, gaps: list[float]) -> None:
    line = new_line(Shape(delay=0.05, jitter=0.02), seed)
    now = 0.0
    came: dict[int, float] = {}
    went: dict[int, float] = {}
    for packet, gap in enumerate(gaps):
        now += gap
        came[packet] = now
        assert line.admit(packet, packet, now) == []
    gone = -1
    while (deadline := line.deadline) is not None:
        last = line.release(deadline)
        assert last is not None
        went |= dict.fromkeys(range(gone + 1, last + 1), deadline)
        gone = last
        assert line.deadline is None or line.deadline > deadline

    assert list(went) == list(came)
    assert all(earlier <= later for earlier, later in pairwise(went.values()))
    assert all(went[packet] - came[packet] >= 0.03 - 1e-9 for packet in came)
    assert went[0] - came[0] <= 0.07 + 1e-9


def test_a_packet_that_is_reordered_does_not_wait() -> None:
    line = new_line(Shape(delay=0.05, reorder=0.25))

    early = line.admit(1, 10_000, now=10.0)

    assert {type(each) for each in early} == {Early}
    assert len(early) == pytest.approx(2500, abs=5 * 43)  # five standard deviations
    assert line.release(now=10.05) is not None


@pytest.mark.parametrize(("loss", "burst"), [(0.1, 3), (0.05, 10), (0.5, 2), (0.02, 1.5)])
def test_losses_come_in_bursts_and_keep_their_share(loss: float, burst: float) -> None:
    packets = 200_000
    line = new_line(Shape(loss=loss, burst=burst))

    lost = [each.packet for each in line.admit(1, packets, now=0.0) if isinstance(each, Lost)]

    bursts = 1 + sum(later > earlier + 1 for earlier, later in pairwise(lost))
    assert len(lost) / packets == pytest.approx(loss, rel=0.1)
    assert len(lost) / bursts == pytest.approx(burst, rel=0.1)


def test_everything_can_be_lost() -> None:
    line = new_line(Shape(loss=1.0, burst=5))

    assert line.admit(1, 3, now=0.0) == [Lost(1), Lost(2), Lost(3)]
    assert line.deadline is None
