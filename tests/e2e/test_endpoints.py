"""Where a node can be reached, by what it knows of itself: its interfaces, STUN, or its router."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.pytest_plugin import Net, StartLab
from tests.e2e.captures import captured
from tests.e2e.pairs import BACK, direct_pair, history, via
from tests.interop.datagrams import payloads

UNREACHABLE = [f"10.77.{number}.1" for number in range(32)]
WITHOUT_STUN = {"relay.nyc.args": ["--stun-port", "0"]}
NEIGHBOUR = """
[host.neighbour]
on = "home-a"
"""
DISCO_TO_THEM = "udp and dst net 10.77.0.0/16"


@pytest.mark.scenario(16)
def test_32_addresses_that_nobody_can_reach_do_not_hide_the_one(
    lab: StartLab, tmp_path: Path
) -> None:
    net = lab("nat-pair")
    a, b = net.node("node-a"), net.node("node-b")
    batch = "".join(f"addr add {address}/32 dev eth0\n" for address in UNREACHABLE)
    assert net.lab.run("node-a", ["ip", "-batch", "-"], input=batch).returncode == 0
    await_endpoints(net, "node-a", UNREACHABLE)

    with captured(net, ["node-b"], tmp_path, DISCO_TO_THEM) as captures:
        stream = a.stream(b, count=200, interval=0.01, lasting=True)
        for one, other in ((a, b), (b, a)):
            one.wait_for_path(other, "direct", within=BACK)
        echoes = stream.finish()

    assert echoes.lost == 0
    assert history(a, b, echoes) == history(b, a, echoes) == ["relay", "direct"]
    assert 0 < len(payloads(captures.files["node-b"], 41641)) < 32 * 8  # tried, and no storm
    net.prove_direct(a, b)


@pytest.mark.scenario(17)
@pytest.mark.parametrize(
    ("topology", "without", "endpoint"),
    [
        pytest.param("same-lan", WITHOUT_STUN, "192.168.1.11:41641", id="interfaces"),
        pytest.param("nat-pair", {}, "203.0.113.20:41641", id="STUN"),
        pytest.param("port-mapped", WITHOUT_STUN, "44.12.0.10:41641", id="port mapping"),
    ],
)
def test_any_one_source_of_endpoints_is_enough(
    lab: StartLab, topology: str, without: dict[str, Any], endpoint: str
) -> None:
    net, a, b = direct_pair(lab, topology, set=without)

    assert endpoint in (via(a, b), via(b, a))
    assert net.wait_for_event("node-a", "netcheck")["udp"] is (not without)
    net.prove_direct(a, b)


@pytest.mark.scenario(17)
def test_without_any_source_that_helps_the_path_stays_on_the_relay(lab: StartLab) -> None:
    net = lab("nat-pair", set=WITHOUT_STUN)  # and an address in the LAN says nothing outside it
    a, b = net.node("node-a"), net.node("node-b")

    assert a.stream(b, count=150, interval=0.02).finish().lost == 0

    assert a.path_history(b) == b.path_history(a) == ["relay"]
    net.prove_relayed(a, b)


@pytest.mark.scenario(19)
def test_a_neighbour_with_an_address_of_the_overlay_s_block_is_still_there(lab: StartLab) -> None:
    net, a, b = direct_pair(lab, add=NEIGHBOUR)

    for host, address in (("node-a", "100.64.77.1"), ("neighbour", "100.64.77.2")):
        done = net.run(host, "ip", "addr", "add", f"{address}/24", "dev", "eth0")
        assert done.returncode == 0, done.stderr

    assert net.run("node-a", "ping", "-c1", "-W5", "100.64.77.2").returncode == 0
    assert net.run("neighbour", "ping", "-c1", "-W5", "100.64.77.1").returncode == 0
    assert net.run("node-a", "ping", "-c1", "-W1", "100.64.77.3").returncode != 0  # nobody is there
    a.ping(b)
    net.prove_direct(a, b)
    assert "100.64.77.1" not in str(net.events("node-a", "endpoints"))


def await_endpoints(net: Net, host: str, addresses: list[str]) -> None:
    """Until a node tells of all of these."""
    for event in net.lab.events(follow=True):
        if (event["event"], event["host"]) == ("endpoints", host):
            told: list[str] = event["endpoints"]
            if {each.rpartition(":")[0] for each in told} >= set(addresses):
                return
    raise AssertionError(f"the lab ended before {host} told so")
