"""Two hard NATs: the path through a third node, and the proof that it is no other."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from lab.model.topology import load
from lab.model.verdict import expect
from lab.pytest_plugin import Net, NoReply, StartLab
from tests.e2e.captures import captured
from tests.e2e.pairs import BACK

MARKER = "marker-that-nobody-may-read"


@pytest.mark.scenario(32)
def test_the_path_leads_through_the_third_node_and_needs_no_derp(
    lab: StartLab, tmp_path: Path
) -> None:
    net = lab("peer-relay")
    a, b = net.node("node-a"), net.node("node-b")

    a.ping(b)
    a.wait_for_path(b, "peer-relay", within=BACK)
    b.wait_for_path(a, "peer-relay", within=BACK)
    assert a.path_history(b) == ["relay", "peer-relay"]

    net.unplug("nyc")  # what the node claims, the lab proves
    with captured(net, ["node-c"], tmp_path) as captures:
        assert a.stream(b, count=50, interval=0.02, payload=MARKER).finish().lost == 0
    assert captures.files["node-c"].stat().st_size > 50 * 4 * len(MARKER)  # in and out, and back
    assert captures.machines_that_saw(MARKER.encode()) == set()
    assert expect(load("peer-relay"), "node-a", "node-b").path == "peer-relay"


@pytest.mark.scenario(32)
def test_without_the_third_node_the_path_is_derp_again(lab: StartLab) -> None:
    net = lab("peer-relay")
    a, b = net.node("node-a"), net.node("node-b")
    a.ping(b)
    a.wait_for_path(b, "peer-relay", within=BACK)

    net.unplug("node-c")
    echoes = a.stream(b, count=40, interval=0.1).finish()
    assert echoes.lost < 30  # noticed long before its trust ends
    assert a.path_history(b) == ["relay", "peer-relay", "relay"]

    net.unplug("nyc")  # the control: now there is nothing left
    with pytest.raises(NoReply):
        a.ping(b, patience=2)


def test_people_see_the_peer_relay_in_ping_and_status(lab: StartLab) -> None:
    net = lab("peer-relay")
    a, b = net.node("node-a"), net.node("node-b")
    a.ping(b)
    a.wait_for_path(b, "peer-relay", within=BACK)

    relay = net.lab.plan().underlay["node-c"]
    ping = node(net, "ping", "node-b", "--count", "1")
    assert ping.startswith(
        f"pong from node-b (100.64.2.20) via peer-relay({relay}:41641:vni:1) in "
    )
    assert f"active; peer-relay {relay}:41641:vni:1, tx " in node(net, "status")
    counters = json.loads(node(net, "status", "--json", host="node-c"))["counters"]
    assert counters["peer_relay_bound"] == 2
    assert counters["peer_relay_forwarded_packets"] > 2


def node(net: Net, command: str, *words: str, host: str = "node-a") -> str:
    control = net.lab.folder / "hosts" / host / "control.sock"
    argv = [sys.executable, "-m", "node", command, "--control", str(control), *words]
    return net.run(host, *argv).stdout
