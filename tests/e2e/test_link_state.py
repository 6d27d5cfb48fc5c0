"""A direct path idle and busy, with a peer that is off, late, or behind a NAT that forgets quickly."""

from __future__ import annotations

import time

import pytest

from lab.pytest_plugin import Net, Node, NoReply, StartLab
from tests.e2e.captures import wait_for_packets
from tests.e2e.pairs import BACK, NOTICED, direct_pair, moved, reaches, silence, stood_still

pytestmark = pytest.mark.xdist_group("link state")  # one lab for all of these

FORGETS = '{ preset = "port-restricted-cone", ports = "random", timeout = 5 }'  # seconds
DISCO_IN_UDP = "udp[8:4]=0x5453f09f"


@pytest.fixture(scope="module")
def world(module_lab: StartLab) -> Net:
    return direct_pair(module_lab, nat={"home-a": FORGETS})[0]


@pytest.fixture
def pair(world: Net) -> tuple[Net, Node, Node]:
    a, b = world.node("node-a"), world.node("node-b")
    reaches(a, b)
    for one, other in ((a, b), (b, a)):
        one.wait_for_path(other, "direct", within=BACK)
    return world, a, b


@pytest.mark.scenario(55, 56, 65)
def test_a_path_that_is_idle_stays_as_it_is_and_so_does_its_mapping(
    pair: tuple[Net, Node, Node],
) -> None:
    net, a, b = pair
    quiet = time.monotonic()

    while time.monotonic() < quiet + 5.5:  # the mapping would be gone by itself
        wait_for_packets(net, "home-a", 4, DISCO_IN_UDP)  # a heartbeat there and back, seen twice

    net.prove_direct(b, a)  # by the way in, which node-a has opened
    assert moved(a, b, quiet) == moved(b, a, quiet) == []
    assert a.stream(b, count=50, interval=0.02).finish().lost == 0


@pytest.mark.scenario(65)
def test_a_mapping_that_nobody_keeps_alive_is_gone_and_another_one_serves(
    pair: tuple[Net, Node, Node],
) -> None:
    """The control of the heartbeats: there are none while both are frozen."""
    net, a, b = pair
    before = b.path_events(a)[-1]["via"]

    for host in ("node-a", "node-b"):
        net.daemon(host, "freeze")
    with pytest.raises(NoReply):
        a.ping(b, patience=6)
    for host in ("node-a", "node-b"):
        net.daemon(host, "thaw")
    stream = a.stream(b, count=150, interval=0.02, lasting=True)
    reaches(a, b)
    b.wait_for_path(a, "direct", within=BACK)
    assert stream.finish().received[-1] != []

    net.prove_direct(a, b)
    assert b.path_events(a)[-1]["via"] != before


@pytest.mark.scenario(56)
def test_a_busy_path_stays_as_it_is(pair: tuple[Net, Node, Node]) -> None:
    net, a, b = pair
    began = time.monotonic()

    streams = [one.stream(other, 2000, 0.001) for one, other in ((a, b), (b, a))]
    for stream in streams:
        assert silence(stream.finish()) < NOTICED

    assert moved(a, b, began) == moved(b, a, began) == []
    net.prove_direct(a, b)


@pytest.mark.scenario(56)
def test_replies_that_are_late_are_not_taken_for_lost(pair: tuple[Net, Node, Node]) -> None:
    net, a, b = pair
    began = time.monotonic()
    stream = a.stream(b, count=150, interval=0.02, lasting=True)

    net.lab.link("node-b", way="up", delay="250ms")
    after = a.stream(b, count=150, interval=0.02).finish()
    echoes = stream.finish()
    net.lab.link("node-b", clean=True)

    assert (echoes.lost, after.lost) == (0, 0)
    assert max(times[0] - at for at, times in zip(after.sent, after.received, strict=True)) > 0.25
    assert moved(a, b, began) == [] or stood_still(echoes)


@pytest.mark.scenario(56)
def test_a_peer_that_is_off_is_no_longer_direct_and_is_when_it_is_on(
    pair: tuple[Net, Node, Node],
) -> None:
    net, a, b = pair
    off = time.monotonic()
    stream = a.stream(b, count=150, interval=0.02)

    net.daemon("node-b", "stop")
    a.wait_for_path(b, "relay", within=BACK)
    assert stream.finish().received[-1] == []
    net.daemon("node-b", "start")
    reaches(a, b)
    a.wait_for_path(b, "direct", within=BACK)

    assert moved(a, b, off) == ["relay", "direct"]
