"""Relays come and go, one connection or all of them; whoever needs one finds one."""

from __future__ import annotations

import json
import time
from itertools import combinations
from typing import Any

import pytest

from lab.pytest_plugin import Echoes, Net, Node, NoReply, StartLab
from tests.e2e.asked import netmap_of, node, status, via, wait_for_gauge
from tests.e2e.pairs import BACK, at_last, direct_pair, moved, reaches, relayed_pair

HOMES = "gauge_current_home_connections"
A_THIRD = """
[relay.lon]
hostname = "lon.derp.example"
[router.home-c]
nat = "symmetric"
[host.node-c]
on = "home-c"
runs = "node"
overlay = "100.64.3.30"
home = "lon"
"""


@pytest.mark.scenario(38)
def test_a_node_whose_connection_is_reset_is_reached_by_the_next_relay(lab: StartLab) -> None:
    net, a, b = two_regions(lab, set={"host.node-b.home": "nyc"})
    assert vias(net) == ("nyc", "nyc")
    began = time.monotonic()  # at the start they may have knocked before the relay was open

    net.cut("node-a", "nyc", reset=True)
    reaches(b, a)
    reaches(a, b)

    net.wait_for_event("node-a", "relay_lost", within=BACK, since=began)
    lost = [e for e in net.events(event="relay_lost") if e["at"] > began]
    assert {(e["host"], e["region"]) for e in lost} == {("node-a", "nyc")}  # nyc itself is well
    assert status(net, "node-a")["home"] == "fra"
    assert net.restore("node-a", "nyc") > 0


@pytest.mark.parametrize(
    ("takes_up", "why"),
    [
        (1, "the relay closed the connection"),
        (0, "it left a ping unanswered, and a second connection was answered"),
    ],
    ids=["told by the relay", "told by nobody"],
)
def test_a_connection_that_a_rebooted_nat_has_left_half_open_is_made_anew(
    lab: StartLab, takes_up: int, why: str
) -> None:
    """nyc goes on sending to a port that leads nowhere, and is not told.

    A NAT that takes up connections in the middle shows the rest of this one at another port, and nyc
    answers with a reset. One that does not lets nothing of it out.
    """
    net, a, b = relayed_pair(lab)
    loose = f"net.netfilter.nf_conntrack_tcp_loose={takes_up}"
    assert net.run("home-a", "sysctl", "-qw", loose).returncode == 0
    stream = b.stream(a, count=200, interval=0.02)

    assert net.flush_nat("home-a") > 0
    flushed = at_last(net, "nat")
    again = net.wait_for_event("node-a", "relay_connected", within=BACK, since=flushed)
    echoes = stream.finish()

    lost = [e for e in net.events("node-a", "relay_lost") if e["at"] > flushed]
    assert [event["why"] for event in lost] == [why]
    assert answered_after(echoes, again["at"])


@pytest.mark.scenario(39)
def test_three_nodes_keep_talking_while_relay_after_relay_is_lost(lab: StartLab) -> None:
    net = lab("two-regions", add=A_THIRD)
    nodes = [net.node(name) for name in ("node-a", "node-b", "node-c")]

    for relay in ("nyc", "fra"):
        net.daemon(relay, "kill")
        for one, other in combinations(nodes, 2):
            reaches(one, other)

    assert [status(net, each.name)["relays"] for each in nodes] == [["lon"]] * 3
    net.daemon("lon", "kill")
    with pytest.raises(NoReply):  # the control: there was no other way
        nodes[0].ping(nodes[1], patience=2)


@pytest.mark.scenario(40)
def test_each_relay_in_turn_is_stopped_and_started(lab: StartLab) -> None:
    net, a, b = two_regions(lab)

    for relay, other in (("nyc", "fra"), ("fra", "nyc")):
        net.daemon(relay, "stop")
        reaches(a, b)
        reaches(b, a)
        assert vias(net) == (other, other)
        started = time.monotonic()  # who knocks early is in before the relay is known to be ready
        net.daemon(relay, "start")
        for host in ("node-a", "node-b"):
            net.wait_for_event(host, "relay_connected", within=BACK, since=started, region=relay)


@pytest.mark.scenario(48)
@pytest.mark.parametrize("blocked", [("home-a",), ("home-a", "home-b")])
def test_without_udp_the_path_is_the_relay_and_stays_so(
    lab: StartLab, blocked: tuple[str, ...]
) -> None:
    net = lab("nat-pair", nat=dict.fromkeys(blocked, "udp-blocked"))
    a, b = net.node("node-a"), net.node("node-b")

    echoes = a.stream(b, count=150, interval=0.02).finish()

    assert (echoes.lost, echoes.duplicated) == (0, 0)
    assert a.path_history(b) == b.path_history(a) == ["relay"]
    for host, router in (("node-a", "home-a"), ("node-b", "home-b")):
        net.wait_for_event(host, "netcheck", udp=router not in blocked)
    net.unplug("nyc")
    with pytest.raises(NoReply):
        a.ping(b, patience=1)


@pytest.mark.scenario(49)
def test_a_relay_counts_once_it_is_in_the_netmap(lab: StartLab) -> None:
    net, a, b = two_regions(lab)
    before = {host: netmap_of(net, host).read_text() for host in ("node-a", "node-b")}

    for host, text in before.items():
        netmap_of(net, host).write_text(with_fra_alone(text))
        node(net, host, "reload")
    reaches(a, b)
    assert [status(net, each)["relays"] for each in before] == [["fra"], ["fra"]]
    net.daemon("fra", "kill")
    with pytest.raises(NoReply):  # nyc is well, but nobody knows of it
        a.ping(b, patience=2)

    for host, text in before.items():
        netmap_of(net, host).write_text(text)
        node(net, host, "reload")
    reaches(a, b)
    assert [status(net, each)["relays"] for each in before] == [["nyc"], ["nyc"]]


@pytest.mark.scenario(50)
@pytest.mark.parametrize("harm", ["gone", "broken"])
def test_without_a_netmap_to_read_everything_goes_on_by_the_last_one(
    lab: StartLab, harm: str
) -> None:
    net, a, b = direct_pair(lab)

    for host in ("node-a", "node-b"):
        file = netmap_of(net, host)
        file.unlink() if harm == "gone" else file.write_text("{")
        net.run(host, "pkill", "-HUP", "-f", f"hosts/{host}/netmap.json")
        net.wait_for_event(host, "netmap_refused")
    net.daemon("nyc", "restart")
    ended = at_last(net, "daemon", host="nyc", state="exited")
    for host in ("node-a", "node-b"):
        net.wait_for_event(host, "relay_connected", within=BACK, since=ended)
    stream = a.stream(b, count=150, interval=0.02, lasting=True)
    net.cut("node-a", "node-b")
    a.wait_for_path(b, "relay", within=BACK)
    assert net.restore("node-a", "node-b") > 0
    a.wait_for_path(b, "direct", within=BACK)

    assert stream.finish().received[-1] != []
    assert moved(a, b, at_last(net, "cut")) == ["relay", "direct"]


@pytest.mark.scenario(51)
def test_whoever_comes_back_tells_its_relay_again_that_it_is_at_home_there(lab: StartLab) -> None:
    net, _, _ = relayed_pair(lab)
    wait_for_gauge(net, "nyc", HOMES, 2)

    net.daemon("node-a", "stop")
    wait_for_gauge(net, "nyc", HOMES, 1)
    net.daemon("node-a", "start")
    wait_for_gauge(net, "nyc", HOMES, 2)
    net.daemon("nyc", "restart")  # this one has never heard of anybody
    wait_for_gauge(net, "nyc", HOMES, 2)


@pytest.mark.scenario(83)
def test_a_region_that_is_cut_off_is_used_again_once_it_is_back(lab: StartLab) -> None:
    net, a, b = two_regions(lab)
    assert vias(net) == ("fra", "nyc")

    for out, back in (("fra", "nyc"), ("nyc", "fra")):
        net.unplug(out)
        reaches(a, b)
        reaches(b, a)
        net.plug(out)
        net.unplug(back)  # so it is by the one that was cut off
        reaches(a, b)
        reaches(b, a)
        net.plug(back)

    for relay in ("nyc", "fra"):
        net.unplug(relay)
    with pytest.raises(NoReply):  # the control: nothing else carried it
        a.ping(b, patience=2)


# --- what they share


def answered_after(echoes: Echoes, at: float) -> bool:
    """Whatever was sent once that had happened."""
    pairs = zip(echoes.sent, echoes.received, strict=True)
    return all(times for sent, times in pairs if sent > at + 0.1)


def two_regions(lab: StartLab, **how: Any) -> tuple[Net, Node, Node]:
    net = lab("two-regions", **how)
    a, b = net.node("node-a"), net.node("node-b")
    a.ping(b)
    return net, a, b


def vias(net: Net) -> tuple[str, str]:
    """By which relays node-a and node-b reach each other."""
    return via(net, "node-a", "node-b"), via(net, "node-b", "node-a")


def with_fra_alone(text: str) -> str:
    netmap = json.loads(text)
    [fra] = [r for r in netmap["derp_map"]["Regions"].values() if r["RegionCode"] == "fra"]
    number = fra["RegionID"]
    netmap["derp_map"]["Regions"] = {str(number): fra}
    netmap["home_region"] = number
    netmap["peers"] = [peer | {"home_region": number} for peer in netmap["peers"]]
    return json.dumps(netmap)
