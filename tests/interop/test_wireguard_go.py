"""Our node and wireguard-go, across a NAT, each as the one who starts: the same WireGuard."""

from __future__ import annotations

import json
import shutil
import sys
from base64 import b64decode
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from lab.pytest_plugin import Net, NoReply, StartLab
from node.core.device import Device, PeerConfig, Transmit
from node.keys import NodePrivate, NodePublic
from tests.e2e.captures import captured
from tests.e2e.pairs import until_dropped
from tests.interop.datagrams import payloads, send
from tests.interop.routers import reboot

PORT = 51820  # wireguard-go's in this topology; the nodes have their own
NODE_PORT = 41641
INITIATION, TRANSPORT = 1, 4
missing = [program for program in ("wireguard-go", "wg") if shutil.which(program) is None]
pytestmark = pytest.mark.skipif(
    bool(missing),
    reason=f"{' and '.join(missing)} not installed: apt-get install wireguard-go wireguard-tools",
)


def test_a_node_behind_a_nat_reaches_wireguard_go(lab: StartLab) -> None:
    net = lab("plain-wireguard")
    node, other = net.node("node-a"), net.node("wg-out")

    node.ping(other)
    other.ping(node)  # the other way round through the same hole

    assert peer(net, "wg-out", node.overlay)["endpoint"].startswith("203.0.113.10:")
    assert handshakes(net, "node-a", "wg-out") == 1
    assert node.path_history(other) == ["direct"]


def test_wireguard_go_behind_a_nat_reaches_a_node(lab: StartLab) -> None:
    net = lab("plain-wireguard")
    node, other = net.node("node-b"), net.node("wg-in")

    other.ping(node)
    node.ping(other)

    [path] = node.path_events(other)
    assert path["via"].startswith("203.0.113.20:")
    assert handshakes(net, "wg-in", "node-b") == 1


@pytest.mark.scenario(87)
def test_keys_are_renewed_and_no_packet_is_lost(lab: StartLab) -> None:
    net = lab("plain-wireguard", set={"host.node-a.args": ["--rekey-after", "1"]})
    node, other = net.node("node-a"), net.node("wg-out")
    node.ping(other)

    stream, since = node.stream(other, count=50, interval=0.1, lasting=True), 0.0
    for _ in range(3):  # one in 5 s: WireGuard starts none sooner
        since = net.wait_for_event("node-a", "handshake", 20, since, peer="wg-out")["at"] + 0.001
    echoes = stream.finish()

    assert (echoes.lost, echoes.duplicated) == (0, 0)


def test_a_wrong_preshared_key_lets_nobody_through(lab: StartLab) -> None:
    net = lab("plain-wireguard")
    node, other = net.node("node-a"), net.node("wg-out")
    key = peer(net, "wg-out", node.overlay)["key"]
    right = json.loads((net.lab.folder / "hosts/node-a/netmap.json").read_text())
    [preshared] = [p["preshared_key"] for p in right["peers"] if p["name"] == "wg-out"]

    set_preshared_key(net, "wg-out", key, "A" * 43 + "=")
    with pytest.raises(NoReply):
        node.ping(other, patience=1)
    set_preshared_key(net, "wg-out", key, preshared)
    node.ping(other, patience=8)  # the next handshake is tried after 5 s

    private = (net.lab.folder / "hosts/node-a/node.key").read_text().strip()
    told = f"{net.lab.events()} {list(net.lab.logs('node-a'))} {status(net, 'node-a')}"
    assert NodePrivate.parse(private).public.raw.hex() in told  # the control
    for secret in (private.removeprefix("privkey:"), preshared, b64decode(preshared).hex()):
        assert secret not in told


def test_each_follows_the_other_when_its_nat_is_rebooted(lab: StartLab) -> None:
    net = lab("plain-wireguard", nat={"home-a": "symmetric"})
    for inside, outside, router in (
        ("node-a", "wg-out", "home-a"),
        ("wg-in", "node-b", "home-b"),
    ):
        one, other = net.node(inside), net.node(outside)
        one.ping(other)
        before = seen_at(net, outside, inside)
        reboot(net, router)
        one.ping(other)
        other.ping(one)
        after = seen_at(net, outside, inside)
        assert before.split(":")[0] == after.split(":")[0]
        assert before != after


@pytest.mark.scenario(89)
def test_wireguard_go_takes_nothing_of_ours_twice(lab: StartLab, tmp_path: Path) -> None:
    net = lab("plain-wireguard")
    node, other = net.node("node-a"), net.node("wg-out")
    with captured(net, ["wg-out"], tmp_path, f"udp dst port {PORT}") as captures:
        node.ping(other)
    sent = payloads(captures.files["wg-out"], PORT)
    assert {each[0] for each in sent} >= {INITIATION, TRANSPORT}
    before = peer(net, "wg-out", node.overlay)

    send(net, "nyc", net.lab.plan().underlay["wg-out"], PORT, sent)
    node.ping(other)  # what was sent before it has been looked at

    after = peer(net, "wg-out", node.overlay)
    assert after["endpoint"] == before["endpoint"]  # not where the copies came from
    assert after["handshake"] == before["handshake"]
    assert handshakes(net, "node-a", "wg-out") == 1


@pytest.mark.scenario(89)
def test_we_take_nothing_of_wireguard_go_twice(lab: StartLab, tmp_path: Path) -> None:
    net = lab("plain-wireguard")
    node, other = net.node("node-b"), net.node("wg-in")
    with captured(net, ["node-b"], tmp_path, f"udp dst port {NODE_PORT}") as captures:
        other.ping(node)
    sent = payloads(captures.files["node-b"], NODE_PORT)
    transport = [each for each in sent if each[0] == TRANSPORT]
    assert transport
    assert len(transport) < len(sent)

    send(net, "nyc", net.lab.plan().underlay["node-b"], NODE_PORT, sent)
    other.ping(node)

    counters = status(net, "node-b")["counters"]
    assert counters["replayed"] == len(transport)
    assert counters["replayed_initiation"] == len(sent) - len(transport)
    assert len(node.path_events(other)) == 1
    assert handshakes(net, "node-b", "wg-in") == 1


def test_under_a_flood_wireguard_go_gets_in_by_the_cookie_that_we_gave_it(
    lab: StartLab, tmp_path: Path
) -> None:
    net = lab("plain-wireguard")
    there = net.lab.plan().underlay["node-b"]
    stranger = initiation_for(net, "node-b").hex()
    argv = [sys.executable, "-c", FLOOD, there, str(NODE_PORT), stranger]
    with (
        captured(net, ["node-b"], tmp_path, f"udp dst port {NODE_PORT}") as captures,
        net.lab.popen("nyc", argv, stdout=PIPE) as flood,
        net.lab.popen("nyc", argv, stdout=PIPE) as another,  # one of them may stand still
    ):
        for each in (flood, another):
            assert each.stdout is not None
            each.stdout.readline()
        pinged = net.run("wg-in", "ping", "-c1", "-W20", net.node("node-b").overlay)
        flood.kill()
        another.kill()
    assert pinged.returncode == 0, pinged.stdout

    sent = payloads(captures.files["node-b"], NODE_PORT)
    ours = [each for each in sent if each[0] == INITIATION and each.hex() != stranger]
    proofs = [each[-16:] != bytes(16) for each in ours]  # MAC2, by the cookie
    assert (proofs[0], proofs[-1]) == (False, True)
    assert status(net, "node-b")["counters"]["cookie_sent"] > 128
    assert handshakes(net, "node-b", "wg-in") == 1


@pytest.mark.scenario(88)
def test_a_handshake_that_is_lost_is_tried_again(lab: StartLab) -> None:
    net = lab("plain-wireguard")
    overlay = net.node("wg-out").overlay

    net.cut("node-a", "wg-out")
    with net.lab.popen("node-a", ["ping", "-c1", "-W20", overlay]) as ping:
        until_dropped(net, 1)
        net.restore("node-a", "wg-out")
        assert ping.wait(30) == 0  # the packet waited for it

    assert handshakes(net, "node-a", "wg-out") == 1


@pytest.mark.scenario(88)
def test_handshakes_cut_short_changed_or_for_somebody_else_are_counted_and_nothing_more(
    lab: StartLab, tmp_path: Path
) -> None:
    net = lab("plain-wireguard")
    with captured(net, ["node-b", "wg-out"], tmp_path, "udp dst port 41641 or 51820") as captures:
        net.node("wg-in").ping(net.node("node-b"))
        net.node("node-a").ping(net.node("wg-out"))
    ours = initiation(captures.files["node-b"], NODE_PORT)
    for_another = initiation(captures.files["wg-out"], PORT)
    before = status(net, "node-b")["counters"]

    changed = ours[:50] + bytes([ours[50] ^ 1]) + ours[51:]
    send(
        net, "nyc", net.lab.plan().underlay["node-b"], NODE_PORT, [ours[:60], changed, for_another]
    )
    net.node("wg-in").ping(net.node("node-b"))

    after = status(net, "node-b")["counters"]
    assert after.get("malformed", 0) == before.get("malformed", 0) + 1
    assert after.get("bad_mac1", 0) == before.get("bad_mac1", 0) + 2
    assert handshakes(net, "node-b", "wg-in") == 1


# --- what both say ---

FLOOD = """
import socket, sys, time
host, port, datagram = sys.argv[1:]
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    for _ in range(200):
        sender.sendto(bytes.fromhex(datagram), (host, int(port)))
    print("sent", flush=True)
    time.sleep(0.3)
"""


def initiation_for(net: Net, host: str) -> bytes:
    """Of somebody it does not know, with the MAC1 that anybody can make."""
    key = NodePublic.parse(status(net, host)["node_key"])
    stranger = Device(NodePrivate.from_seed(b"s" * 32), random=bytes, epoch=1e9)
    stranger.set_peers([PeerConfig(key, ())], 0.0)
    [transmit] = stranger.initiate(key, 0.0)
    assert isinstance(transmit, Transmit)
    [datagram] = transmit.datagrams
    return datagram


def initiation(capture: Path, port: int) -> bytes:
    [first] = [each for each in payloads(capture, port) if each[0] == INITIATION][:1]
    return first


def peer(net: Net, host: str, overlay: str) -> dict[str, Any]:
    """What `wg` says of the peer with that address."""
    lines = net.run(host, "wg", "show", "wg0", "dump").stdout.splitlines()[1:]
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
    peers = [dict(zip(names, line.split("\t"), strict=True)) for line in lines]
    return next(each for each in peers if each["allowed"] == f"{overlay}/32")


def seen_at(net: Net, host: str, other: str) -> str:
    """Where the one outside sees the one inside."""
    if host == "wg-out":
        return str(peer(net, host, net.node(other).overlay)["endpoint"])
    return str(net.node(host).path_events(net.node(other))[-1]["via"])


def set_preshared_key(net: Net, host: str, key: str, preshared: str) -> None:
    script = f'echo "{preshared}" | wg set wg0 peer "{key}" preshared-key /dev/stdin'
    done = net.run(host, "sh", "-c", script)
    assert done.returncode == 0, done.stderr


def handshakes(net: Net, host: str, other: str) -> int:
    wanted = ("handshake", host, other)
    return sum((e["event"], e["host"], e.get("peer")) == wanted for e in net.lab.events())


def status(net: Net, host: str) -> Any:
    control = net.lab.folder / "hosts" / host / "control.sock"
    argv = [sys.executable, "-m", "node", "status", "--control", str(control), "--json"]
    return json.loads(net.run(host, *argv).stdout)
