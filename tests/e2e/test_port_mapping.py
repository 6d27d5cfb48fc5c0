"""A router that maps a port on request, with a real miniupnpd on it, and what that is worth.

node-a -- home-a (symmetric, maps ports) --+
                                           +-- internet -- nyc (DERP), prober
node-b -- home-b (symmetric) --------------+
"""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from lab import watching
from lab.model import topology
from lab.pytest_plugin import Net, NoReply, StartLab
from lab.world.programs import find
from tests.e2e.asked import node
from tests.e2e.captures import captured
from tests.e2e.pairs import BACK, history

pytestmark = pytest.mark.skipif(
    find("miniupnpd") is None,
    reason="no miniupnpd: apt-get install -y --no-install-recommends miniupnpd-nftables",
)

PROTOCOLS = "router.home-a.port_mapping"
EXTERNAL = "44.12.0.10:41641"
CARRIER = """
[router.isp]
nat = "port-restricted-cone"
"""
THIRD_NODE = """
[host.node-c]
on = "home-a"
runs = "node"
overlay = "100.64.3.30"
"""
SEND = "import socket,sys; socket.socket(2, 2).sendto(b'x', (sys.argv[1], int(sys.argv[2])))"


@pytest.mark.scenario(24)
@pytest.mark.parametrize("protocol", ["nat-pmp", "pcp", "upnp"])
def test_a_mapped_port_makes_a_hard_pair_direct(lab: StartLab, protocol: str) -> None:
    net = lab("port-mapped", set={PROTOCOLS: [protocol]})
    a, b = net.node("node-a"), net.node("node-b")
    mapping = wait_for_mapping(net, "node-a")
    assert (mapping["protocol"], mapping["external"]) == (protocol, EXTERNAL)
    assert f"PortMapping: {EXTERNAL} by {protocol}\n" in node(net, "node-a", "netcheck")

    stream = a.stream(b, count=200, interval=0.01, lasting=True)
    b.wait_for_path(a, "direct", within=BACK)
    echoes = stream.finish()

    assert (echoes.lost, echoes.duplicated) == (0, 0)
    assert history(b, a, echoes) == ["relay", "direct"]
    assert next(e["via"] for e in b.path_events(a) if e["kind"] == "direct") == EXTERNAL
    a.wait_for_path(b, "direct", within=BACK)
    net.unplug("nyc")  # what the nodes claim, the lab proves
    a.ping(b)
    b.ping(a)


@pytest.mark.scenario(24, 26)
def test_without_a_mapping_the_same_pair_stays_on_the_relay(lab: StartLab, tmp_path: Path) -> None:
    net = lab("port-mapped", set={PROTOCOLS: []})
    a, b = net.node("node-a"), net.node("node-b")

    with captured(net, ["home-a"], tmp_path, "udp port 5351 or udp port 1900") as seen:
        net.daemon("node-a", "restart")
        echoes = a.stream(b, count=1000, interval=0.01).finish()

    asked = net.run("home-a", "tcpdump", "-nr", str(seen.files["home-a"])).stdout
    assert set(re.findall(r"> \S+\.(\d+): ", asked)) == {"5351", "1900"}
    assert (echoes.lost, echoes.duplicated) == (0, 0)
    assert a.path_history(b) == b.path_history(a) == ["relay"]
    assert mappings(net, "node-a") == []  # a router that is silent is no news
    net.unplug("nyc")
    with pytest.raises(NoReply):
        a.ping(b, patience=2)


def test_behind_a_carrier_s_nat_the_router_refuses_in_words(lab: StartLab, tmp_path: Path) -> None:
    net = lab(port_mapped_and(CARRIER, tmp_path), set={"router.home-a.upstream": "isp"})
    a, b = net.node("node-a"), net.node("node-b")

    refused = wait_for_mapping(net, "node-a")
    a.stream(b, count=200, interval=0.01).finish()

    assert refused["external"] is None
    assert refused["why"] == "the router has no address on the internet itself"
    assert a.path_history(b) == ["relay"]
    assert router_maps(net) == []


def test_anybody_outside_reaches_a_mapped_port_and_no_other(lab: StartLab) -> None:
    net = lab("port-mapped")
    wait_for_mapping(net, "node-a")
    inside = net.lab.popen(
        "node-a",
        ["tcpdump", "-i", "eth0", "-n", "--immediate-mode", "-c1", "udp and src host 192.0.2.10"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert inside.stderr is not None
    assert any("listening on" in line for line in inside.stderr)

    for port in ("41642", "41641"):  # the first that comes through is told
        net.run("prober", "python3", "-c", SEND, "44.12.0.10", port)

    seen, _ = inside.communicate(timeout=10)
    assert "192.168.1.10.41641: UDP" in seen


@pytest.mark.scenario(28)
def test_two_hosts_that_want_one_port_get_two_and_both_work(lab: StartLab, tmp_path: Path) -> None:
    net = lab(port_mapped_and(THIRD_NODE, tmp_path))
    a, b, c = (net.node(name) for name in ("node-a", "node-b", "node-c"))
    externals = [wait_for_mapping(net, name)["external"] for name in ("node-a", "node-c")]
    assert len(set(externals)) == 2
    assert EXTERNAL in externals  # and the other's external port is not its own

    for each, external in zip((a, c), externals, strict=True):
        each.ping(b)
        b.wait_for_path(each, "direct", within=BACK)
        assert b.path_events(each)[-1]["via"] == external


@pytest.mark.scenario(27)
def test_a_lease_is_renewed_before_it_ends_and_not_by_a_frozen_node(lab: StartLab) -> None:
    args = ["--port-mapping", "4", "--endpoint", "192.0.2.99:7"]
    net = lab("port-mapped", set={"host.node-a.args": args})
    wait_for_mapping(net, "node-a")
    assert "192.0.2.99:7" in net.events("node-a", "endpoints")[-1]["endpoints"]
    a, b = net.node("node-a"), net.node("node-b")

    a.stream(b, count=650, interval=0.01).finish()  # more than a lease and a half
    wait_until_router_maps(net, ["41641 -> 192.168.1.10:41641"])
    assert len(mappings(net, "node-a")) == 1

    net.lab.daemon("node-a", "freeze")
    wait_until_router_maps(net, [])


@pytest.mark.scenario(27)
@pytest.mark.parametrize("protocol", ["nat-pmp", "pcp", "upnp"])
def test_a_node_that_stops_gives_its_port_back(lab: StartLab, protocol: str) -> None:
    net = lab("port-mapped", set={PROTOCOLS: [protocol]})
    wait_for_mapping(net, "node-a")
    assert router_maps(net) == ["41641 -> 192.168.1.10:41641"]

    net.lab.daemon("node-a", "stop")
    wait_until_router_maps(net, [])

    ended = {"event": "daemon", "host": "node-a", "state": "exited"}
    assert net.lab.wait_for_event(ended, within=10)["status"] == 0
    assert len(net.events("node-a", "stopped")) == 1
    assert "ts0" not in net.run("node-a", "ip", "-br", "link").stdout
    assert "41641" not in net.run("node-a", "ss", "-Huan").stdout
    assert not (net.lab.folder / "hosts/node-a/control.sock").exists()


def test_a_router_that_restarts_is_asked_again_at_once(lab: StartLab) -> None:
    net = lab("port-mapped")
    wait_for_mapping(net, "node-a")

    net.lab.daemon("home-a", "stop")
    net.run("home-a", "nft", "flush", "chain", "inet", "portmap", "prerouting_miniupnpd")
    net.run("home-a", "nft", "flush", "chain", "inet", "portmap", "miniupnpd")
    assert router_maps(net) == []
    net.lab.daemon("home-a", "start")

    wait_until_router_maps(net, ["41641 -> 192.168.1.10:41641"])
    assert len(mappings(net, "node-a")) == 1


def test_a_router_whose_miniupnpd_is_killed_says_so_and_maps_again_once_started(
    lab: StartLab,
) -> None:
    net = lab("port-mapped")
    wait_for_mapping(net, "node-a")
    [pid] = [
        host["daemon"]["pid"] for host in net.lab.status()["hosts"] if host["name"] == "home-a"
    ]

    net.run("home-a", "kill", "-KILL", str(pid))

    died = net.lab.wait_for_event(
        {"event": "daemon", "host": "home-a", "state": "exited"}, within=10
    )
    assert died["status"] == -9
    net.run("home-a", "nft", "flush", "chain", "inet", "portmap", "prerouting_miniupnpd")
    net.lab.daemon("home-a", "start")
    wait_until_router_maps(net, ["41641 -> 192.168.1.10:41641"])


# --- what the tests are made of ---


def port_mapped_and(more: str, folder: Path) -> str:
    """The topology with further machines."""
    file = folder / "more.toml"
    file.write_text((topology.folder() / "port-mapped.toml").read_text() + more)
    return str(file)


def mappings(net: Net, host: str) -> list[dict[str, Any]]:
    return [each for each in net.lab.events() if is_mapping(each, host)]


def wait_for_mapping(net: Net, host: str, within: float = 15) -> dict[str, Any]:
    """The first thing that a node learns of its router: a mapped port, or a refusal."""
    for event in watching.follow(net.lab.folder, within):
        if is_mapping(event, host):
            return event
    raise AssertionError(f"{host}'s router neither mapped a port nor refused to")


def is_mapping(event: dict[str, Any], host: str) -> bool:
    return (event["event"], event["host"]) == ("port_mapping", host)


def router_maps(net: Net) -> list[str]:
    """What home-a really translates, as its kernel has it."""
    chain = ["inet", "portmap", "prerouting_miniupnpd"]
    text = net.run("home-a", "nft", "list", "chain", *chain).stdout
    return [f"{port} -> {to}" for port, to in re.findall(r"dport (\d+) dnat ip to (\S+)", text)]


def wait_until_router_maps(net: Net, wanted: list[str], within: float = 15) -> None:
    until = time.monotonic() + within
    while (now := router_maps(net)) != wanted:
        assert time.monotonic() < until, f"home-a maps {now}, not {wanted}"
