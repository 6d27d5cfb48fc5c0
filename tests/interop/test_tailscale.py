"""A real Tailscale client and our node: by our relay at once, then directly, and by the relay again."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.pytest_plugin import Net, StartLab
from tests.e2e.asked import via
from tests.e2e.netmaps import change_netmap, with_peer
from tests.e2e.pairs import history, reaches
from tests.interop.tailnet.client import missing
from tests.interop.tailscale import tailscale

NODE = "100.64.1.10"
PEER_RELAY = """
[host.node-c]
runs = "node"
overlay = "100.64.3.30"
peer_relay = true
"""
ANOTHER_HOME = """
[router.home-d]
nat = "symmetric"

[host.node-d]
on = "home-d"
runs = "node"
overlay = "100.64.4.40"
"""
pytestmark = pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed")


@pytest.fixture
def net(lab: StartLab) -> Net:
    return lab("tailnet.toml")


def test_they_begin_by_the_relay_and_move_to_a_direct_path(net: Net, tmp_path: Path) -> None:
    with tailscale(net, tmp_path) as (node, other, client):
        stream = node.stream(other, count=20, interval=0.05, lasting=True)
        node.wait_for_path(other, "direct", within=20)
        echoes = stream.finish()

        assert (echoes.lost, echoes.duplicated) == (0, 0)
        assert history(node, other, echoes) == ["relay", "direct"]
        client.becomes_direct(NODE)
        assert client.ways(NODE) == {"203.0.113.10:41641"}
        net.prove_direct(node, other)


def test_the_client_may_be_the_first_to_speak(net: Net, tmp_path: Path) -> None:
    with tailscale(net, tmp_path) as (node, other, client):
        assert node.path_events(other) == []
        other.ping(node)
        node.wait_for_path(other, "direct", within=20)

        client.becomes_direct(NODE)
        assert client.ways(NODE) == {"203.0.113.10:41641"}


def test_behind_two_hard_nats_they_stay_on_the_relay(lab: StartLab, tmp_path: Path) -> None:
    net = lab("tailnet.toml", nat={"home-a": "symmetric", "home-b": "symmetric"})
    with tailscale(net, tmp_path) as (node, other, client):
        stream = node.stream(other, count=100, interval=0.05)
        assert client.ways(NODE, count=5) == {"DERP(nyc)"}
        assert stream.finish().lost == 0

        assert node.path_history(other) == ["relay"]
        net.prove_relayed(node, other)


def test_our_peer_relay_carries_what_the_client_sends(lab: StartLab, tmp_path: Path) -> None:
    nat = {"home-a": "symmetric", "home-b": "symmetric"}
    net = lab("tailnet.toml", nat=nat, add=PEER_RELAY)
    with tailscale(net, tmp_path) as (node, other, client):
        stream = node.stream(other, count=20, interval=0.05, lasting=True)
        node.wait_for_path(other, "peer-relay", within=40)
        assert stream.finish().lost == 0

        [way] = client.ways(NODE)
        assert way.startswith("peer-relay(")
        net.prove_direct(node, other)  # without the DERP relay


def test_the_clients_peer_relay_carries_what_two_of_ours_send(
    lab: StartLab, tmp_path: Path
) -> None:
    nat = {"home-a": "symmetric", "home-b": "full-cone"}
    net = lab("tailnet.toml", nat=nat, add=ANOTHER_HOME)
    with tailscale(net, tmp_path) as (node, _, client):
        third = net.node("node-d")
        node.ping(third)
        assert node.path(third) == "relay"  # as long as nobody offers another way
        client.command("set", "--relay-server-port=40000")
        change_netmap(net, "node-a", with_peer("tail", peer_relay=True))

        stream = node.stream(third, count=20, interval=0.05, lasting=True)
        node.wait_for_path(third, "peer-relay", within=40)
        assert stream.finish().lost == 0
        assert via(net, "node-a", "node-d").startswith("203.0.113.20:40000")


def test_a_direct_path_that_is_cut_is_left_by_both_and_found_again(
    net: Net, tmp_path: Path
) -> None:
    with tailscale(net, tmp_path) as (node, other, client):
        node.ping(other)
        node.wait_for_path(other, "direct", within=20)

        net.cut("node-a", "tail")
        reaches(other, node)  # Tailscale trusts a path for 6.5 s
        reaches(node, other)
        assert node.path(other) == "relay"

        assert net.restore("node-a", "tail") > 0
        stream = node.stream(other, count=20, interval=0.05, lasting=True)
        node.wait_for_path(other, "direct", within=30)
        assert stream.finish().lost == 0
        client.becomes_direct(NODE)


def test_a_relay_that_begins_anew_has_both_again(lab: StartLab, tmp_path: Path) -> None:
    net = lab("tailnet.toml", nat={"home-a": "symmetric", "home-b": "symmetric"})
    with tailscale(net, tmp_path) as (node, other, _):
        node.ping(other)

        net.daemon("nyc", "restart")
        reaches(other, node)

        node.ping(other)
        assert node.path(other) == "relay"
