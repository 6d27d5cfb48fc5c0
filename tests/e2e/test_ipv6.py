"""Nodes with IPv6: where their paths settle, each with the proof and the control."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.pytest_plugin import Net, Node, NoReply, StartLab

WITHIN = 15  # seconds for a direct path on a busy machine

# scenario 20 and 47: whatever each has, the relay has both
ONE_FAMILY_EACH = """
relay.nyc = {}
router.home-a = { nat = "port-restricted-cone" }
router.home-b = { ipv4 = false, ipv6 = "firewall" }
host.node-a = { on = "home-a", runs = "node", overlay = "100.64.1.10" }
host.node-b = { on = "home-b", runs = "node", overlay = "100.64.2.20" }
"""


@pytest.mark.scenario(18)
def test_dual_stack_finds_the_direct_path_in_ipv6(lab: StartLab) -> None:
    net = lab("dual-stack")
    a, b = both(net)

    assert settles_direct(a, b) == "[2001:db8:1:2::10]:41641"
    assert settles_direct(b, a) == "[2001:db8:1:1::10]:41641"
    assert_lives_without_relay(net, a, b)


def test_the_same_homes_without_ipv6_in_one_stay_on_the_relay(lab: StartLab) -> None:
    net = lab("dual-stack", set={"host.node-b.ipv6": False})
    assert_needs_the_relay(net, *both(net))


@pytest.mark.scenario(20, 21)
def test_two_homes_with_ipv6_alone_find_the_direct_path(lab: StartLab) -> None:
    net = lab("v6-only")
    a, b = both(net)

    assert settles_direct(a, b) == "[2001:db8:b::10]:41641"
    netcheck = net.wait_for_event("node-a", "netcheck")
    assert (netcheck["ipv4"], netcheck["ipv6"]) == (None, "[2001:db8:a::10]:41641")  # scenario 21
    assert_lives_without_relay(net, a, b)


@pytest.mark.scenario(18)
def test_with_ipv6_alone_the_first_packets_need_the_relay(lab: StartLab) -> None:
    net = lab("v6-only")
    a, b = both(net)

    net.unplug("nyc")
    with pytest.raises(NoReply):
        a.ping(b, patience=2)


@pytest.mark.scenario(18, 23)
@pytest.mark.parametrize(
    ("kind", "seen_as"), [("nat66", "[2001:db8:203::10]"), ("nptv6", "[2001:db8:2:1:")]
)
def test_a_translated_home_is_reached_where_it_is_seen(
    lab: StartLab, kind: str, seen_as: str
) -> None:
    net = lab("v6-only", set={"router.home-a.ipv6": kind, "router.home-a.lan6": "fd00:a::/64"})
    a, b = both(net)  # scenario 23

    settles_direct(a, b)
    assert settles_direct(b, a).startswith(seen_as)
    assert_lives_without_relay(net, a, b)


@pytest.mark.scenario(22)
def test_a_phone_behind_nat64_is_reached_where_its_carrier_lets_anybody_in(lab: StartLab) -> None:
    net = lab("nat64")
    phone, b = net.node("phone"), net.node("node-b")

    assert settles_direct(phone, b) == "[2001:db8:64::cb00:7114]:41641"
    assert settles_direct(b, phone) == "203.0.113.10:41641"
    assert_lives_without_relay(net, phone, b)


@pytest.mark.scenario(22)
def test_a_phone_behind_nat64_stays_on_the_relay_where_the_carrier_filters(lab: StartLab) -> None:
    net = lab("nat64", nat={"carrier": "port-restricted-cone"})
    assert_needs_the_relay(net, net.node("phone"), net.node("node-b"))


@pytest.mark.scenario(20, 47)
def test_ipv4_alone_and_ipv6_alone_meet_at_the_relay(lab: StartLab, tmp_path: Path) -> None:
    topology = tmp_path / "one-family-each.toml"
    topology.write_text(ONE_FAMILY_EACH)
    net = lab(str(topology))

    assert_needs_the_relay(net, *both(net))
    sources = {event["from"].rpartition(":")[0] for event in events(net, "nyc", "client_connected")}
    assert sources == {"203.0.113.10", "[2001:db8:1:1::10]"}


def test_a_black_hole_in_ipv6_costs_the_relay_connection_only_a_moment(lab: StartLab) -> None:
    net = lab("dual-stack")
    a, b = both(net)
    net.daemon("node-a", "restart")  # at first it may find the relay when that listens by half
    done = net.run("home-a", "ip", "-6", "route", "replace", "blackhole", "default")
    assert done.returncode == 0, done.stderr

    assert relay_of(net, "node-a") == "[2001:db8:198::10]:443"
    net.lab.daemon("node-a", "restart")
    *_, told, ready = (each["at"] for each in daemon_events(net, "node-a", "told", "ready"))
    assert ready - told < 10  # and not a TCP time-out's minutes
    assert relay_of(net, "node-a") == "198.51.100.10:443"
    assert_needs_the_relay(net, a, b)


@pytest.mark.scenario(20)
def test_a_black_hole_in_ipv4_is_not_even_noticed(lab: StartLab) -> None:
    net = lab("dual-stack")
    a, b = both(net)
    for router in ("home-a", "home-b"):
        done = net.run(router, "ip", "route", "replace", "blackhole", "default")
        assert done.returncode == 0, done.stderr
    for node in (a, b):  # on a busy machine they may be at the relay by IPv4
        net.daemon(node.name, "restart")

    settles_direct(a, b)
    assert_lives_without_relay(net, a, b)


def both(net: Net) -> tuple[Node, Node]:
    return net.node("node-a"), net.node("node-b")


def settles_direct(a: Node, b: Node) -> str:
    """Where the direct path leads."""
    a.ping(b)
    a.wait_for_path(b, "direct", within=WITHIN)
    assert a.path_history(b) == ["relay", "direct"]
    return str(a.path_events(b)[-1]["via"])


def assert_lives_without_relay(net: Net, a: Node, b: Node) -> None:
    settles_direct(b, a)
    net.unplug("nyc")
    a.ping(b)
    b.ping(a)


def assert_needs_the_relay(net: Net, a: Node, b: Node) -> None:
    """It is the only way: with it packets flow, without it they do not."""
    assert a.stream(b, count=150, interval=0.02).finish().lost == 0
    assert a.path_history(b) == ["relay"]
    net.unplug("nyc")
    with pytest.raises(NoReply):
        a.ping(b, patience=2)
    assert "direct" not in a.path_history(b)


def relay_of(net: Net, host: str) -> str:
    """Where its connection to the relay goes, as the kernel says it."""
    connections = net.run(host, "ss", "-Htn", "state", "established", "dport = :443").stdout
    [line] = connections.splitlines()
    return line.split()[-1]


def daemon_events(net: Net, host: str, *states: str) -> list[dict[str, Any]]:
    return [each for each in events(net, host, "daemon") if each["state"] in states]


def events(net: Net, host: str, name: str) -> list[dict[str, Any]]:
    return [each for each in net.lab.events() if (each["host"], each["event"]) == (host, name)]
