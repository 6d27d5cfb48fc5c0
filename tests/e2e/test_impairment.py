"""Bad links: one home's, the other's, the relay's; and what the tunnel makes of them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE
from typing import Any

import pytest

from lab.pytest_plugin import Echoes, Net, Node, StartLab
from tests.e2e.asked import counter
from tests.e2e.download import downloading
from tests.e2e.pairs import BACK, direct_pair, moved, reaches, stood_still
from tests.e2e.test_path_mtu import FULL

pytestmark = pytest.mark.xdist_group("impairment")  # one lab for all of these

LADDER: dict[str, dict[str, Any]] = {
    "cable": {"delay": "1ms"},
    "good Wi-Fi": {"delay": "3ms", "jitter": "2ms", "loss": "0.1%"},
    "Wi-Fi": {"delay": "10ms", "jitter": "5ms", "loss": "1%"},
    "bad Wi-Fi": {"delay": "20ms", "jitter": "15ms", "loss": "5%"},
    "4G": {"delay": "30ms", "jitter": "10ms", "loss": "0.5%", "rate": "20mbit"},
    "3G": {"delay": "100ms", "jitter": "30ms", "loss": "2%", "rate": "2mbit"},
    "edge of coverage": {"delay": "150ms", "jitter": "50ms", "loss": "10%", "rate": "400kbit"},
    "satellite": {"delay": "300ms", "jitter": "10ms", "loss": "1%", "rate": "10mbit"},
    "unusable": {"delay": "400ms", "jitter": "200ms", "loss": "50%", "rate": "100kbit"},
}
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def world(module_lab: StartLab) -> Net:
    return direct_pair(module_lab)[0]


@pytest.fixture
def pair(world: Net) -> tuple[Net, Node, Node]:
    a, b = world.node("node-a"), world.node("node-b")
    reaches(a, b)
    for one, other in ((a, b), (b, a)):
        one.wait_for_path(other, "direct", within=BACK)
    return world, a, b


@pytest.mark.scenario(76)
@pytest.mark.parametrize("end", ["home-a", "home-b"])
@pytest.mark.parametrize("rung", LADDER)
def test_a_rung_of_the_ladder_is_felt_and_bears(
    pair: tuple[Net, Node, Node], rung: str, end: str
) -> None:
    net, a, b = pair

    with bent(net, end, **LADDER[rung]):
        echoes = a.stream(b, count=30, interval=0.02).finish()
        if rung != "unusable":
            a.wait_for_path(b, "direct", within=BACK)

    delay, jitter = (LADDER[rung].get(word, "0ms") for word in ("delay", "jitter"))
    least = 2 * (milliseconds(delay) - milliseconds(jitter))
    assert all(1000 * trip >= least for trip in trips(echoes))
    assert trips(echoes) or rung == "unusable"
    if rung in ("cable", "unusable"):
        assert (echoes.lost > 0) is (rung == "unusable")


@pytest.mark.scenario(77)
def test_a_download_through_heavy_loss_never_stands_still(pair: tuple[Net, Node, Node]) -> None:
    net, a, b = pair
    before = retransmitted(net, "node-b")

    with (
        bent(net, "home-b", way="up", loss="20%", rate="20mbit"),
        downloading(net, to=a, server=b, size=MEGABYTE) as download,
    ):
        done = download.finish()

    assert (done.size, done.whole) == (MEGABYTE, True)
    assert retransmitted(net, "node-b") > before + 50


@pytest.mark.scenario(78)
def test_delays_of_several_hops_and_ways_add_up_and_change_live(
    pair: tuple[Net, Node, Node],
) -> None:
    net, a, b = pair
    stream = a.stream(b, count=150, interval=0.02, lasting=True)

    with bent(net, "node-a", way="up", delay="30ms"), bent(net, "home-b", delay="20ms"):
        crooked = time.monotonic()
        a.stream(b, count=20, interval=0.02).finish()
        still = time.monotonic() - 0.2  # what was sent by then is back by now
    straight = time.monotonic()
    reaches(a, b)
    echoes = stream.finish()

    assert min(trips(echoes, crooked, still)) >= 0.03 + 2 * 0.02
    assert min(trips(echoes, straight)) < 0.03


@pytest.mark.scenario(79)
@pytest.mark.parametrize("harm", [{"loss": "60%"}, {"delay": "150ms"}])
def test_a_relay_that_is_bad_is_no_matter_to_a_direct_path(
    pair: tuple[Net, Node, Node], harm: dict[str, str]
) -> None:
    net, a, b = pair
    began = time.monotonic()

    with bent(net, "nyc", **harm):
        echoes = a.stream(b, count=100, interval=0.02).finish()
        pings = net.run("node-a", "ping", "-c10", "-i0.05", "-W1", "nyc.derp.example").stdout

    assert echoes.lost == 0
    assert moved(a, b, began) == [] or stood_still(echoes)
    took = [float(each) for each in re.findall(r"time=([\d.]+) ms", pings)]
    assert len(took) < 10 if "loss" in harm else min(took) >= 300  # it was bad


@pytest.mark.scenario(80)
def test_what_comes_twice_or_late_on_the_way_comes_once(pair: tuple[Net, Node, Node]) -> None:
    net, a, b = pair
    before = counter(net, "node-b", "replayed")

    with bent(net, "home-a", delay="20ms", reorder="30%", duplicate="50%"):
        echoes = a.stream(b, count=200, interval=0.005).finish()

    assert (echoes.lost, echoes.duplicated) == (0, 0)
    assert counter(net, "node-b", "replayed") > before
    first = [times[0] for times in echoes.received]
    assert first != sorted(first)


@pytest.mark.scenario(80)
def test_what_is_damaged_on_the_way_is_dropped_and_counted(pair: tuple[Net, Node, Node]) -> None:
    net, a, b = pair
    before = counter(net, "node-b", "forged")

    with damaged(net, "home-a"):
        echoes = a.stream(b, count=200, interval=0.005).finish()

    assert counter(net, "node-b", "forged") > before
    assert 0 < echoes.lost < 200
    assert a.stream(b, count=50, interval=0.01).finish().lost == 0


@pytest.mark.scenario(82)
def test_an_mtu_that_shrinks_and_grows_again_loses_no_full_packet_for_long(
    pair: tuple[Net, Node, Node],
) -> None:
    net, a, b = pair
    full = "x" * FULL

    stream = a.stream(b, count=150, interval=0.02, payload=full)
    a.stream(b, count=10, interval=0.02, payload=full).finish()
    fitted = too_large(net, "home-a")
    with bent(net, "home-a", mtu=1300):
        a.stream(b, count=50, interval=0.02, payload=full).finish()
    echoes = stream.finish()

    assert fitted == 0
    assert too_large(net, "home-a") > 50  # each of the others, at least
    assert echoes.lost <= 20  # while the link's new MTU is learned
    assert a.path(b) == "direct"


@pytest.mark.scenario(82)
@pytest.mark.parametrize("codepoint", [1, 2, 3])
def test_ecn_survives_the_tunnel(pair: tuple[Net, Node, Node], codepoint: int) -> None:
    """RFC 3168 §5: ECT(1), ECT(0), CE, in the packet that comes out as in the one that went in."""
    net, _, b = pair
    look = ["tcpdump", "-i", "ts0", "-n", "-Z", "root", "-c1", "-w", "/dev/null"]
    words = f"icmp[icmptype] == icmp-echo and ip[1] & 3 == {codepoint}"
    with net.lab.popen("node-b", [*look, words], stderr=PIPE, text=True) as seeing:
        assert seeing.stderr is not None
        assert any("listening on" in line for line in seeing.stderr)
        net.run("node-a", "ping", "-c20", "-i0.05", "-Q", str(codepoint), b.overlay)
        assert seeing.wait(timeout=10) == 0


# --- what they share


@contextmanager
def bent(net: Net, link: str, **values: Any) -> Iterator[None]:
    net.lab.link(link, **values)
    try:
        yield
    finally:
        net.lab.link(link, clean=True)


@contextmanager
def damaged(net: Net, router: str) -> Iterator[None]:
    """Of every five WireGuard packets that it forwards one has another byte, and a right checksum."""
    rules = """
        table ip damaging {
            chain some {
                type filter hook forward priority 0
                udp dport 41641 @th,64,8 4 numgen inc mod 5 == 0 @th,400,8 set 0x5a
            }
        }"""
    done = net.lab.run(router, ["nft", "-f", "-"], input=rules)
    assert done.returncode == 0, done.stderr
    try:
        yield
    finally:
        net.run(router, "nft", "delete", "table", "ip", "damaging")


def retransmitted(net: Net, host: str) -> int:
    """TCP segments sent again, of all connections of the host's kernel (RFC 4022)."""
    return counted(net, host, "Tcp", "RetransSegs")


def too_large(net: Net, router: str) -> int:
    """Packets that it sent on in fragments, and those whose sender it told to make them (RFC 4293)."""
    return counted(net, router, "Ip", "FragOKs") + counted(net, router, "Ip", "FragFails")


def counted(net: Net, host: str, protocol: str, name: str) -> int:
    """Of the host's kernel, since it is up."""
    names, values = (
        line.split()
        for line in net.run(host, "cat", "/proc/net/snmp").stdout.splitlines()
        if line.startswith(f"{protocol}:")
    )
    return int(values[names.index(name)])


def trips(echoes: Echoes, since: float = 0.0, until: float = float("inf")) -> list[float]:
    """Seconds there and back, of those that were sent in this time and came back."""
    pairs = zip(echoes.sent, echoes.received, strict=True)
    return [times[0] - at for at, times in pairs if times and since < at < until]


def milliseconds(text: str) -> int:
    return int(text.removesuffix("ms"))
