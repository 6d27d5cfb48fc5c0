"""The relays of all regions as one node uses them: home, back-off, queues, the idle close."""

from __future__ import annotations

import pytest

from node.core.actions import CloseRelay, ConnectRelay, PreferRelay, ProbeRelay, SendRelay
from node.core.relays import Relays
from node.keys import NodePublic

PEER = NodePublic(bytes(range(32)))


def no_jitter(size: int) -> bytes:
    return bytes([128]) * size


def relays(*regions: int, up: tuple[int, ...] = ()) -> Relays:
    made = Relays(no_jitter)
    made.set_regions(regions, 0.0)
    for region in up:
        made.send(region, PEER, [b"first"], 0.0)
        made.connected(region, 0.0)
    return made


def test_the_first_region_is_home_until_a_netcheck_knows_better() -> None:
    made = Relays(no_jitter)
    assert made.set_regions([900, 901], 0.0) == [ConnectRelay(900, home=True)]
    assert made.connected(900, 0.1) == [PreferRelay(900, True)]
    assert made.prefer([901, 900], 1.0) == [PreferRelay(900, False), ConnectRelay(901, home=True)]
    assert made.connected(901, 1.1) == [PreferRelay(901, True)]


def test_the_region_where_others_look_for_us_is_kept_even_when_another_is_better() -> None:
    made = Relays(no_jitter)
    assert made.set_regions([900, 901], 0.0, 901) == [ConnectRelay(901, home=True)]
    made.connected(901, 0.1)
    assert made.prefer([900, 901], 1.0) == [PreferRelay(901, False), ConnectRelay(900, home=True)]
    made.connected(900, 1.1)
    assert made.tick(1000.0) == []
    made.lost(901, 1001.0)
    assert made.tick(1002.0) == [ConnectRelay(901, home=False)]


def test_a_new_netmap_keeps_what_a_netcheck_found() -> None:
    made = relays(900, 901, up=(900,))
    made.prefer([901, 900], 1.0)
    made.connected(901, 1.1)
    assert made.set_regions([900, 901, 902], 2.0) == []
    assert made.regions == [901, 900, 902]
    assert made.set_regions([900, 901, 902], 3.0, 902) == [
        PreferRelay(901, False),
        ConnectRelay(902, home=True),
    ]


def test_a_peers_home_is_dialled_for_its_first_packet_and_let_go_a_minute_after_the_last() -> None:
    made = relays(900, 901, up=(900,))
    assert made.send(901, PEER, [b"1"], 10.0) == [ConnectRelay(901, home=False)]
    assert made.send(901, PEER, [b"2"], 10.1) == []
    assert made.connected(901, 10.2) == [SendRelay(901, PEER, [b"1", b"2"])]
    assert made.send(901, PEER, [b"3"], 20.0) == [SendRelay(901, PEER, [b"3"])]
    made.heard(901)
    assert made.tick(79.9) == []
    assert made.deadline == 80.0
    assert made.tick(80.0) == [CloseRelay(901)]
    assert made.deadline is None


def test_the_queue_keeps_the_newest_packets_in_order_and_by_peer() -> None:
    other = NodePublic(bytes(32))
    made = relays(900)
    made.send(900, PEER, [b"%d" % number for number in range(40)], 0.0)
    made.send(900, other, [b"x", b"y"], 0.0)
    [prefer, first, second] = made.connected(900, 0.1)
    assert prefer == PreferRelay(900, True)
    assert first == SendRelay(900, PEER, [b"%d" % number for number in range(10, 40)])
    assert second == SendRelay(900, other, [b"x", b"y"])
    assert made.counters["queue_dropped"] == 10


def test_packets_that_waited_too_long_are_stale() -> None:
    made = relays(900)
    made.send(900, PEER, [b"old"], 0.0)
    made.send(900, PEER, [b"new"], 5.0)
    assert made.connected(900, 5.1) == [PreferRelay(900, True), SendRelay(900, PEER, [b"new"])]


def test_the_back_off_doubles_from_a_tenth_of_a_second_to_five() -> None:
    made = relays(900)
    now, waits = 0.0, []
    for _ in range(9):
        made.lost(900, now)
        waits.append(round((made.deadline or now) - now, 3))
        now = made.deadline or now
        assert made.tick(now) == [ConnectRelay(900, home=True)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


@pytest.mark.parametrize(("dice", "shortest", "longest"), [(0, 0.075, 3.75), (255, 0.125, 6.24)])
def test_a_fleet_does_not_come_back_in_step(dice: int, shortest: float, longest: float) -> None:
    made = Relays(lambda size: bytes([dice]) * size)
    made.set_regions([900], 0.0)
    waits = []
    for _ in range(9):
        made.lost(900, 0.0)
        waits.append(round(made.deadline or 0.0, 3))
    assert (waits[0], waits[-1]) == (shortest, longest)  # a quarter less and a quarter more


def test_what_will_fail_until_somebody_does_something_is_asked_ever_more_rarely() -> None:
    made = relays(900)
    now, waits = 0.0, []
    for _ in range(11):
        made.lost(900, now, retry=False)
        waits.append(round((made.deadline or now) - now, 3))
        now = made.deadline or now
        made.tick(now)
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_a_home_that_fails_twice_is_replaced_and_comes_back_once_it_is_stable() -> None:
    made = relays(900, 901, up=(900,))
    assert made.lost(900, 10.0) == []  # it may just have restarted
    assert made.tick(10.1) == [ConnectRelay(900, home=True)]
    assert made.lost(900, 10.2) == [ConnectRelay(901, home=True)]
    assert made.home == 901
    made.connected(901, 10.3)

    made.tick(10.4)
    made.connected(900, 10.5)
    assert made.home == 901
    assert made.tick(18.5) == [PreferRelay(901, False), PreferRelay(900, True)]
    assert made.home == 900


def test_a_dial_that_takes_longer_than_a_second_is_not_waited_for() -> None:
    made = relays(900, 901)
    assert made.deadline == 1.0
    assert made.tick(1.0) == [ConnectRelay(901, home=True)]
    assert made.deadline == 2.0


def test_a_relay_that_says_nothing_while_we_send_is_asked_whether_it_lives() -> None:
    made = relays(900, up=(900,))
    made.send(900, PEER, [b"anybody?"], 10.0)
    assert made.deadline == 10.7
    assert made.tick(10.7) == [ProbeRelay(900)]
    assert made.deadline is None  # the connection itself gives up if no answer comes
    assert not made.is_silent(900, 11.1)
    assert made.is_silent(900, 11.2)
    made.heard(900)
    assert not made.is_silent(900, 11.3)
    made.send(900, PEER, [b"more"], 13.0)
    assert made.deadline == 13.7
    assert not made.is_silent(900, 15.0)  # not asked yet


def test_a_link_change_asks_what_is_open_and_dials_what_waits() -> None:
    made = relays(900, 901, up=(901,))
    made.lost(900, 10.0)
    assert made.link_changed(10.01) == [ConnectRelay(900, home=True), ProbeRelay(901)]


def test_a_link_change_dials_anew_what_was_being_dialled() -> None:
    """The first attempt went out by a way that is perhaps gone, and TCP is slow to try again."""
    made = relays(900)
    assert made.link_changed(0.5) == [CloseRelay(900), ConnectRelay(900, home=True)]
    assert made.deadline == 0.5 + 1.0  # a slow dial is counted from here


def test_a_region_that_leaves_the_map_is_closed() -> None:
    made = relays(900, 901, up=(900, 901))
    assert made.set_regions([901], 5.0) == [CloseRelay(900), PreferRelay(901, True)]
    assert made.set_regions([], 6.0) == [CloseRelay(901)]
    assert made.home is None
    assert made.send(901, PEER, [b"x"], 7.0) == []
    assert made.connected(901, 7.0) == [CloseRelay(901)]


def test_a_tick_always_moves_the_deadline() -> None:
    made = relays(900, 901, up=(900, 901))
    made.prefer([901, 900], 1.0)
    made.lost(901, 2.0)
    now = 2.0
    for _ in range(50):
        if made.deadline is None:
            break
        now = made.deadline
        for action in made.tick(now):
            if isinstance(action, ConnectRelay):
                made.lost(action.region, now)
        assert made.deadline is None or made.deadline > now
