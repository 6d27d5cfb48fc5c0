"""A laptop on its way: from home to a café and on to a station, asleep and awake.

    home-a (symmetric) --+
    cafe --------------- +-- internet -- home-b -- node-b
    station -------------+

At home it is relayed, elsewhere it is direct: node-b's home is a port-restricted cone.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from lab import watching
from lab.pytest_plugin import Net, Node, NoReply, StartLab
from tests.e2e.download import downloading
from tests.e2e.pairs import BACK, moved, reaches

pytestmark = pytest.mark.xdist_group("roaming")  # one lab for all of these

PLACES = """
[router.cafe]
nat = "port-restricted-cone"
lan = "192.168.77.0/24"
[router.station]
nat = "port-restricted-cone"
lan = "192.168.88.0/24"
"""
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def world(module_lab: StartLab) -> Net:
    return module_lab("nat-pair", nat={"home-a": "symmetric"}, add=PLACES)


@pytest.fixture
def at_home(world: Net) -> tuple[Net, Node, Node]:
    return settled(world, "home-a", "relay")


@pytest.fixture
def in_the_cafe(world: Net) -> tuple[Net, Node, Node]:
    return settled(world, "cafe", "direct")


def settled(net: Net, place: str, kind: str) -> tuple[Net, Node, Node]:
    a, b = net.node("node-a"), net.node("node-b")
    net.move("node-a", place)
    reaches(a, b)
    for one, other in ((a, b), (b, a)):
        one.wait_for_path(other, kind, within=BACK)
    last = b.path_events(a)[-1]
    if kind == "direct" and last["via"] != wan(net, place):  # still to where node-a was before
        via = wan(net, place)
        net.wait_for_event("node-b", "path", BACK, since=last["at"], kind="direct", via=via)
    return net, a, b


@pytest.mark.scenario(59)
def test_a_laptop_that_leaves_a_hard_nat_is_direct_elsewhere(
    at_home: tuple[Net, Node, Node],
) -> None:
    net, a, b = at_home
    stream = a.stream(b, count=200, interval=0.02, lasting=True)
    left = time.monotonic()

    net.move("node-a", "cafe")
    a.wait_for_path(b, "direct", within=BACK)

    assert stream.finish().received[-1] != []
    assert moved(a, b, left) == ["direct"]
    net.prove_direct(a, b)


@pytest.mark.scenario(63)
def test_another_address_in_the_same_network_is_as_good(
    in_the_cafe: tuple[Net, Node, Node],
) -> None:
    """As a DHCP client does it whose lease was not renewed."""
    net, a, b = in_the_cafe
    stream = a.stream(b, count=200, interval=0.02, lasting=True)
    before = time.monotonic()

    with addresses(net, "192.168.77.99"):
        net.wait_for_event("node-a", "relay_connected", within=BACK, since=before)
        a.wait_for_path(b, "direct", within=BACK)
        net.prove_direct(a, b)
        echoes = stream.finish()

    assert ["192.168.77.99:41641"] in [
        e["endpoints"] for e in net.events("node-a", "endpoints") if e["at"] > before
    ]
    assert echoes.received[-1] != []


@pytest.mark.scenario(63)
def test_a_second_address_beside_the_first_is_told_and_costs_nothing(
    in_the_cafe: tuple[Net, Node, Node],
) -> None:
    net, a, b = in_the_cafe
    stream = a.stream(b, count=100, interval=0.02)
    before = time.monotonic()

    with addresses(net, "192.168.77.10", "192.168.77.98"):
        wait_for_addresses(net, before, "192.168.77.10", "192.168.77.98")
        echoes = stream.finish()
        net.prove_direct(a, b)

    assert echoes.lost == 0


@pytest.mark.scenario(70)
def test_a_laptop_that_wakes_up_somewhere_else_tells_so_at_once(
    in_the_cafe: tuple[Net, Node, Node],
) -> None:
    net, a, b = in_the_cafe

    net.daemon("node-a", "freeze")
    net.move("node-a", "station")
    with pytest.raises(NoReply):  # it sleeps
        b.ping(a, patience=1)
    woke = time.monotonic()
    net.daemon("node-a", "thaw")
    stream = b.stream(a, count=200, interval=0.02, lasting=True)
    net.wait_for_event("node-b", "path", within=BACK, since=woke, kind="direct", via=wan(net))
    net.wait_for_event("node-a", "path", within=BACK, since=woke, kind="direct")

    told = [
        e["event"]
        for e in net.events("node-a")
        if e["at"] > woke and e.get("kind", "direct") == "direct"
    ]
    assert told.index("call_me_maybe") < told.index("path")
    assert stream.finish().received[-1] != []
    net.prove_direct(a, b)


@pytest.mark.scenario(72)
def test_a_download_survives_the_way_from_the_cafe_to_the_station(
    in_the_cafe: tuple[Net, Node, Node],
) -> None:
    net, a, b = in_the_cafe
    net.lab.link("home-b", rate="10mbit")  # so that it is still going on when the laptop leaves

    with downloading(net, to=a, server=b, size=8 * MEGABYTE) as download:
        left = time.monotonic()
        net.move("node-a", "station")
        assert download.process.poll() is None
        found = net.wait_for_event(
            "node-b", "path", within=BACK, since=left, kind="direct", via=wan(net)
        )
        done = download.finish()
    net.lab.link("home-b", clean=True)

    assert (done.size, done.whole) == (8 * MEGABYTE, True)
    handshakes = [e["at"] for e in net.events("node-a", "handshake")]
    due = {later for earlier, later in pairwise(handshakes) if later - earlier >= 120}  # anyway
    between = [at for at in handshakes if left < at < found["at"] and at not in due]
    assert between == []  # no session has an address


@pytest.mark.scenario(74)
def test_behind_a_captive_portal_nothing_goes_and_after_signing_in_everything(
    in_the_cafe: tuple[Net, Node, Node],
) -> None:
    net, a, b = in_the_cafe
    left = time.monotonic()

    with captive_portal(net, "station"):
        net.move("node-a", "station")
        why = f"its certificate is not signed by the CA in /run/punchlab/{net.lab.name}"
        why += "/hosts/node-a/ca.pem"
        net.wait_for_event("node-a", "relay_lost", BACK, since=left, why=why)
        with pytest.raises(NoReply):
            a.ping(b, patience=2)
    reaches(a, b, tries=40)  # a relay with a wrong certificate is asked again after up to 37 s
    a.wait_for_path(b, "direct", within=BACK)
    # What node-b answers goes to where node-a was, until it has noticed, too.
    net.wait_for_event("node-b", "path", BACK, since=left, kind="direct", via=wan(net))
    net.prove_direct(a, b)


def wan(net: Net, place: str = "station") -> str:
    """By which endpoint it shows node-a."""
    address = net.lab.plan().underlay[place]
    return f"{address}:41641"


@contextmanager
def addresses(net: Net, *wanted: str) -> Iterator[None]:
    """Of node-a in the café's LAN; in the end it is the one that the lab gave it, and node-a knows."""
    _exchange(net, *wanted)
    yield
    over = time.monotonic()
    _exchange(net, "192.168.77.10")
    wait_for_addresses(net, over, "192.168.77.10")


def wait_for_addresses(net: Net, since: float, *wanted: str) -> None:
    """Until node-a tells of these in the café's LAN and of no others."""
    for event in watching.follow(net.lab.folder, BACK):
        if (event["event"], event["host"]) == ("endpoints", "node-a") and event["at"] > since:
            told = {each.rpartition(":")[0] for each in event["endpoints"]}
            if {each for each in told if each.startswith("192.168.77.")} == set(wanted):
                return
    raise AssertionError(f"node-a never told of {wanted}")


def _exchange(net: Net, *wanted: str) -> None:
    there = net.run("node-a", "ip", "-4", "-o", "address", "show", "dev", "eth0").stdout
    gone = set(re.findall(r"inet ([\d.]+)/", there)) - set(wanted)
    lines = [f"address del {each}/24 dev eth0" for each in gone]
    lines += [f"address replace {each}/24 dev eth0" for each in wanted]
    lines += ["route replace default via 192.168.77.1 dev eth0"]
    done = net.lab.run("node-a", ["ip", "-batch", "-"], input="\n".join(lines))
    assert done.returncode == 0, done.stderr


@contextmanager
def captive_portal(net: Net, router: str) -> Iterator[None]:
    """Whatever guests connect to by TCP, it is the router that answers; all else is dropped."""
    listen = ["--listen", "0.0.0.0:8443", "--stun-port", "0"]
    relay = [sys.executable, "-m", "node", "derper", "--hostname", "portal.example", *listen]
    redirect = "PREROUTING -t nat -i lan0 -p tcp -j REDIRECT --to-ports 8443"
    rules = [redirect.split(), ["FORWARD", "-i", "lan0", "-j", "DROP"]]
    with net.lab.popen(
        router, [*relay, "--self-signed"], stdout=subprocess.PIPE, text=True
    ) as portal:
        assert portal.stdout is not None
        assert '"ready"' in portal.stdout.readline()
        for rule in rules:
            assert net.run(router, "iptables", "-w", "-I", *rule).returncode == 0
        try:
            yield
        finally:
            for rule in rules:
                net.run(router, "iptables", "-w", "-D", *rule)
            portal.terminate()
