"""A laptop with Wi-Fi at home and a phone beside it, and what becomes of the path when the way out changes.

           +-- home-a --+
    node-a +-- cell ----+-- internet -- home-b --+
           +            |                        + node-b
           +-- office --+-- (only the LAN) ------+

Only the Wi-Fi is plugged in, unless a test says otherwise.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

import pytest

from lab.pytest_plugin import Net, Node, NoReply, StartLab
from tests.e2e.captures import wait_for_packets
from tests.e2e.pairs import BACK, moved, reaches

pytestmark = pytest.mark.xdist_group("two uplinks")  # one lab for all of these

OFFICE = """
[router.office]
nat = "port-restricted-cone"
lan = "192.168.9.0/24"
"""
PLACES = {
    "host.node-a.on": ["home-a", "cell", "office"],
    "host.node-b.on": ["home-b", "office"],
    "link.home-a.delay": "20ms",
}
WIFI, PHONE, OFFICE_A, OFFICE_B = "node-a", "node-a@cell", "node-a@office", "node-b@office"
ENDPOINTS = {  # with the address that goes with the cable
    PHONE: "192.168.43.10:41641",
    OFFICE_A: "192.168.9.10:41641",
    OFFICE_B: "192.168.9.11:41641",
}


@pytest.fixture(scope="module")
def world(module_lab: StartLab) -> Net:
    net = module_lab("two-uplinks", nat={"cell": "port-restricted-cone"}, set=PLACES, add=OFFICE)
    unplug(net, PHONE, OFFICE_A, OFFICE_B)
    return net


@pytest.fixture
def by_wifi(world: Net) -> tuple[Net, Node, Node]:
    a, b = world.node("node-a"), world.node("node-b")
    reaches(a, b)
    for one, other in ((a, b), (b, a)):
        one.wait_for_path(other, "direct", within=BACK)
    node_b_sees_wifi(world)
    return world, a, b


@pytest.mark.scenario(60)
def test_a_faster_link_that_appears_is_used(by_wifi: tuple[Net, Node, Node]) -> None:
    net, a, b = by_wifi
    stream = a.stream(b, count=200, interval=0.02, lasting=True)
    began = time.monotonic()

    with plugged(net, OFFICE_A, OFFICE_B):
        for host, via in (("node-a", "192.168.9.11:41641"), ("node-b", "192.168.9.10:41641")):
            net.wait_for_event(host, "path", BACK, began, kind="direct", via=via)
        echoes = stream.finish()
        assert min(trips(echoes.sent, echoes.received)) < 0.02  # home-a's link takes more, one way
        left = time.monotonic()
    back_by_wifi(net, left)


@pytest.mark.scenario(67)
def test_wifi_is_lost_and_after_a_gap_the_phone_takes_over(
    by_wifi: tuple[Net, Node, Node],
) -> None:
    net, a, b = by_wifi
    left = time.monotonic()

    net.lab.link(WIFI, plugged=False)
    with pytest.raises(NoReply):  # the gap
        a.ping(b, patience=1)
    net.lab.link(PHONE, delay="60ms", loss="2%")
    with plugged(net, PHONE):
        stream = a.stream(b, count=200, interval=0.02, lasting=True)
        net.wait_for_event("node-b", "path", BACK, left, kind="direct", via=seen(net, "cell"))
        echoes = stream.finish()
        over = time.monotonic()
        net.lab.link(WIFI, plugged=True)
    net.lab.link(PHONE, clean=True)

    assert min(trips(echoes.sent, echoes.received)) >= 0.12
    back_by_wifi(net, over)


@pytest.mark.scenario(58, 68)
def test_a_laptop_that_goes_back_and_forth_takes_the_path_along(
    by_wifi: tuple[Net, Node, Node],
) -> None:
    net, a, b = by_wifi
    began = time.monotonic()
    stream = a.stream(b, count=250, interval=0.02, lasting=True)

    for _ in range(3):
        for new, old, router in ((PHONE, WIFI, "cell"), (WIFI, PHONE, "home-a")):
            left, via = time.monotonic(), seen(net, router)
            net.lab.link(new, plugged=True)
            net.lab.link(old, plugged=False)
            net.wait_for_event("node-b", "path", BACK, left, kind="direct", via=via)

    assert stream.finish().received[-1] != []
    ways = [e["via"] for e in b.path_events(a) if e["at"] > began and e["kind"] == "direct"]
    assert [way for way, _ in groupby(ways)] == [seen(net, "cell"), seen(net, "home-a")] * 3
    net.prove_direct(a, b)


@pytest.mark.scenario(75)
def test_a_kill_switch_lets_nothing_out_but_by_the_vpn(by_wifi: tuple[Net, Node, Node]) -> None:
    """The phone's interface is the VPN's, as far as a node can tell."""
    net, a, b = by_wifi

    with kill_switch(net), plugged(net, PHONE):
        with pytest.raises(NoReply):  # not connected yet
            a.ping(b, patience=2)
        connected, via = time.monotonic(), seen(net, "cell")
        with route(net, "default via 192.168.43.1 dev eth1 metric 50"):  # Wi-Fi has 100
            reaches(a, b)
            net.wait_for_event("node-b", "path", BACK, connected, kind="direct", via=via)
            net.prove_direct(a, b)
            over = time.monotonic()
    reaches(a, b)
    back_by_wifi(net, over)


@pytest.mark.scenario(75)
def test_a_split_tunnel_that_leads_to_the_peer_alone_is_got_round(
    by_wifi: tuple[Net, Node, Node],
) -> None:
    """node-b is sent to by the phone, and everybody else by Wi-Fi."""
    net, a, b = by_wifi
    home_b = net.lab.plan().underlay["home-b"]
    stream = a.stream(b, count=150, interval=0.02, lasting=True)

    with plugged(net, PHONE), route(net, f"{home_b} via 192.168.43.1"):
        wait_for_packets(net, "cell", 5, f"udp and dst host {home_b}")  # that is where they go
        reaches(a, b)
    a.wait_for_path(b, "direct", within=BACK)
    node_b_sees_wifi(net)

    assert stream.finish().received[-1] != []
    net.prove_direct(a, b)


@pytest.mark.scenario(79)
def test_a_direct_path_stays_though_the_relay_is_faster(by_wifi: tuple[Net, Node, Node]) -> None:
    net, a, b = by_wifi
    nyc, before = net.lab.plan().underlay["nyc"], time.monotonic()

    with plugged(net, PHONE), route(net, f"{nyc} via 192.168.43.1"):
        reaches(a, b)
        began = net.wait_for_event("node-a", "path", BACK, before, kind="direct")["at"]
        stream = a.stream(b, count=150, interval=0.02)
        to_the_relay = net.run("node-a", "ping", "-c50", "-i0.05", nyc).stdout  # all the while
        echoes = stream.finish()
        assert moved(a, b, began) == []
        net.prove_direct(a, b)

    assert min(map(float, re.findall(r"time=([\d.]+) ms", to_the_relay))) < 20
    assert min(trips(echoes.sent, echoes.received)) >= 0.02  # by home-a, one way at least


# --- what they share


def seen(net: Net, router: str) -> str:
    """The endpoint by which that router shows node-a."""
    return f"{net.lab.plan().underlay[router]}:41641"


def node_b_sees_wifi(net: Net) -> None:
    """Or will: either end may notice a change later than the other."""
    last, via = net.node("node-b").path_events(net.node("node-a"))[-1], seen(net, "home-a")
    if (last["kind"], last["via"]) != ("direct", via):
        net.wait_for_event("node-b", "path", BACK, since=last["at"], kind="direct", via=via)


def back_by_wifi(net: Net, since: float) -> None:
    a, b = net.node("node-a"), net.node("node-b")
    stream = a.stream(b, count=400, interval=0.05)  # somebody has to need the path
    net.wait_for_event("node-b", "path", BACK, since, kind="direct", via=seen(net, "home-a"))
    stream.process.kill()


def trips(sent: list[float], received: list[list[float]]) -> list[float]:
    """Seconds there and back, of those that came back."""
    return [times[0] - at for at, times in zip(sent, received, strict=True) if times]


@contextmanager
def plugged(net: Net, *cables: str) -> Iterator[None]:
    for cable in cables:
        net.lab.link(cable, plugged=True)
    try:
        yield
    finally:
        unplug(net, *cables)


def unplug(net: Net, *cables: str) -> None:
    """And the nodes have noticed: Linux may tell of a carrier that is lost a second later."""
    began = time.monotonic()
    for cable in cables:
        net.lab.link(cable, plugged=False)
    for cable in cables:
        while not is_forgotten(net, cable, began):
            assert time.monotonic() < began + BACK


def is_forgotten(net: Net, cable: str, since: float) -> bool:
    told = net.events(cable.partition("@")[0], "endpoints")
    return any(ENDPOINTS[cable] not in e["endpoints"] for e in told if e["at"] > since)


@contextmanager
def route(net: Net, words: str) -> Iterator[None]:
    """A route of node-a's, while the block lasts."""
    _run(net, "ip", "route", "add", *words.split())
    try:
        yield
    finally:
        _run(net, "ip", "route", "del", *words.split())


@contextmanager
def kill_switch(net: Net) -> Iterator[None]:
    """What node-a sends by Wi-Fi is dropped; and it was, as the rule's counter says."""
    rule = ["OUTPUT", "-o", "eth0", "-j", "DROP"]
    _run(net, "iptables", "-w", "-I", *rule)
    try:
        yield
        counted = _run(net, "iptables", "-w", "-nvxL", "OUTPUT").splitlines()[2]
        assert int(counted.split()[0]) > 0
    finally:
        _run(net, "iptables", "-w", "-D", *rule)


def _run(net: Net, *argv: str) -> str:
    done = net.run("node-a", *argv)
    assert done.returncode == 0, done.stderr
    return done.stdout
