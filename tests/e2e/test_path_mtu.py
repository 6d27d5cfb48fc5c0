"""Paths that pass small datagrams and lose large ones: never used for data, so nothing black-holes.

A full packet of the tunnel is 1280 bytes inside and 1340 outside; the pings that prove a path are as
large.
"""

from __future__ import annotations

import re

import pytest

from lab.pytest_plugin import Net, Node, StartLab
from tests.e2e.download import downloading
from tests.e2e.pairs import BACK, history

FULL = 1280 - 28  # the payload of a ping that fills the tunnel's MTU
LARGE = "1301:65535"  # bytes of the IP packet


@pytest.mark.scenario(82)
def test_through_a_narrow_link_full_packets_go_directly_in_fragments(lab: StartLab) -> None:
    net = lab("nat-pair", set={"link.home-a.mtu": 1300})
    a, b = net.node("node-a"), net.node("node-b")
    a.ping(b)
    a.wait_for_path(b, "direct", within=BACK)
    assert replies(net, a, b, count=5) >= 1  # a few may be lost while the link's MTU is learned
    assert replies(net, a, b, count=20) == 20
    stream = a.stream(b, count=10, interval=0.05, lasting=True)
    with downloading(net, to=a, server=b, size=1 << 20) as download:  # many at once
        done = download.finish()
    assert (done.size, done.whole) == (1 << 20, True)
    assert history(a, b, stream.finish()) == ["relay", "direct"]


def test_a_way_that_eats_large_datagrams_is_not_taken(lab: StartLab) -> None:
    net = lab("nat-pair")
    a, b = net.node("node-a"), net.node("node-b")
    rule(net, "-I", "-p", "udp", "-m", "length", "--length", LARGE)

    assert replies(net, a, b, count=30) == 30
    assert replies(net, b, a, count=5) == 5
    assert a.path_history(b) == b.path_history(a) == ["relay"]

    rule(net, "-D", "-p", "udp", "-m", "length", "--length", LARGE)
    stream = a.stream(b, count=10, interval=0.1, lasting=True)
    a.wait_for_path(b, "direct", within=BACK)
    stream.finish()


@pytest.mark.scenario(82)
def test_a_direct_way_that_begins_to_eat_them_is_left_for_the_relay(lab: StartLab) -> None:
    net = lab("nat-pair")
    a, b = net.node("node-a"), net.node("node-b")
    a.ping(b)
    a.wait_for_path(b, "direct", within=BACK)
    b.wait_for_path(a, "direct", within=BACK)

    rule(net, "-I", "-p", "udp", "-m", "length", "--length", LARGE)
    assert replies(net, a, b, count=40) > 10  # noticed long before its trust ends
    assert a.path_history(b)[-1] == "relay"
    assert replies(net, a, b, count=10) == 10


def test_not_even_a_narrow_link_that_hides_it_stops_the_relay(lab: StartLab) -> None:
    net = lab("nat-pair", set={"link.home-a.mtu": 1300})
    a, b = net.node("node-a"), net.node("node-b")
    silence = ["-p", "icmp", "--icmp-type", "fragmentation-needed", "-j", "DROP"]
    for machine in ("home-a", "internet"):
        done = net.run(machine, "iptables", "-w", "-I", "OUTPUT", *silence)
        assert done.returncode == 0, done.stderr

    for one, other in ((a, b), (b, a)):
        assert replies(net, one, other, count=5) >= 1  # TCP finds out by losing a few
        assert replies(net, one, other, count=20) == 20


def replies(net: Net, source: Node, to: Node, count: int) -> int:
    """How many of so many full packets were answered.

    Without a deadline ping would stay for two round trips after the last one; with it, it sends more.
    """
    argv = f"ping -n -M do -s {FULL} -c{count} -i0.1 -w{count // 10 + 8}".split()
    done = net.run(source.name, *argv, to.overlay, timeout=60)
    answered = {int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", done.stdout)}
    return len([number for number in answered if number <= count])


def rule(net: Net, change: str, *what: str) -> None:
    done = net.run("home-a", "iptables", "-w", change, "FORWARD", *what, "-j", "DROP")
    assert done.returncode == 0, done.stderr
