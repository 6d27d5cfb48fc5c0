"""Two ICE agents of somebody else's make, in a lab: the contract with a daemon is enough for them."""

from __future__ import annotations

from typing import Any

import pytest

from lab.pytest_plugin import Net, StartLab

pytest.importorskip("aioice", reason="aioice is not installed: pip install aioice")

ICE: dict[str, Any] = {
    "relay.nyc.args": ["--stun-for-all"],
    "host.node-a.runs": "tests.interop.ice_agent:IceAgent",
    "host.node-a.args": ["node-b"],
    "host.node-b.runs": "tests.interop.ice_agent:IceAgent",
    "host.node-b.args": ["node-a"],
}


def words_heard(net: Net, host: str) -> int:
    return len(net.events(host, "heard"))


def test_two_ice_agents_behind_port_restricted_nats_connect_directly(lab: StartLab) -> None:
    profile = "port-restricted-cone"
    net = lab("nat-pair", nat={"home-a": profile, "home-b": profile}, set=ICE)

    net.lab.wait_for_path("node-a", "node-b", "direct", within=20)
    net.lab.wait_for_path("node-b", "node-a", "direct", within=20)

    net.unplug("nyc")  # STUN was there only to be asked
    for host in ("node-a", "node-b"):
        net.wait_for_event(host, "heard", count=words_heard(net, host) + 5, within=20)


@pytest.mark.needs_lab("turnserver")
def test_behind_symmetric_nats_a_turn_server_is_between_them(lab: StartLab) -> None:
    turn = {"host.node-a.args": ["node-b", "turn"], "host.node-b.args": ["node-a", "turn"]}
    nat = {"home-a": "symmetric", "home-b": "symmetric"}
    net = lab("nat-pair", nat=nat, set=ICE | turn, add='[host.turn]\nruns = "coturn"\n')

    net.lab.wait_for_path("node-a", "node-b", "relay", within=20)
    net.lab.wait_for_path("node-b", "node-a", "relay", within=20)
    for host in ("node-a", "node-b"):
        net.wait_for_event(host, "heard", count=5, within=20)

    net.unplug("turn")
    heard = words_heard(net, "node-a")
    assert net.run("node-a", "ping", "-c1", "-W2", "turn").returncode == 1
    assert words_heard(net, "node-a") - heard < 10  # some were on their way; twenty would have come


def test_two_ice_agents_behind_symmetric_nats_do_not(lab: StartLab) -> None:
    net = lab("nat-pair", nat={"home-a": "symmetric", "home-b": "symmetric"}, set=ICE)

    for host in ("node-a", "node-b"):
        told = net.wait_for_event(host, "failed", within=40)
        assert told["why"] == "ICE negotiation failed"
        assert len(net.events(host, "endpoints")[0]["endpoints"]) == 2  # its own, and STUN's
    assert (words_heard(net, "node-a"), words_heard(net, "node-b")) == (0, 0)
