"""`wg show` reads our node as it reads any WireGuard interface, and cannot change it."""

from __future__ import annotations

import shutil

import pytest

from lab.pytest_plugin import Net, StartLab

pytestmark = pytest.mark.skipif(
    shutil.which("wg") is None, reason="wg is not installed: apt-get install wireguard-tools"
)


def test_wg_shows_the_node_its_peer_and_where_the_peer_is(lab: StartLab) -> None:
    net = lab("nat-pair")
    a, b = net.node("node-a"), net.node("node-b")
    assert peer(net)["endpoint"] == "(none)"
    a.ping(b)
    a.wait_for_path(b, "direct", within=10)
    a.ping(b)

    said = net.run("node-a", "wg", "show", "ts0").stdout
    assert "listening port: 41641" in said
    assert "latest handshake: " in said
    known = peer(net)
    assert known["endpoint"] == a.path_events(b)[-1]["via"]
    assert known["allowed"] == f"{b.overlay}/32"
    assert min(int(known["received"]), int(known["sent"])) > 100
    key = net.run("node-a", "wg", "show", "ts0", "public-key").stdout.strip()
    assert [line.split("\t")[0] for line in dump(net, "node-b")] == [key]


def test_wg_sets_nothing(lab: StartLab) -> None:
    net = lab("nat-pair")
    before = dump(net, "node-a")

    refused = net.run("node-a", "wg", "set", "ts0", "listen-port", "7")

    assert refused.returncode != 0
    assert "Operation not permitted" in refused.stderr
    assert dump(net, "node-a") == before
    logged = [line for host, line in net.lab.logs("node-a")]
    assert "node: wg: nothing can be set here, the netmap rules" in logged


def dump(net: Net, host: str) -> list[str]:
    """`wg`'s lines of the peers."""
    return net.run(host, "wg", "show", "ts0", "dump").stdout.splitlines()[1:]


def peer(net: Net) -> dict[str, str]:
    names = (
        "key",
        "preshared",
        "endpoint",
        "allowed",
        "handshake",
        "received",
        "sent",
        "keepalive",
    )
    [line] = dump(net, "node-a")
    return dict(zip(names, line.split("\t"), strict=True))
