"""Two relays far apart, and what becomes of the traffic when one of them does not do its work.

Both NATs are symmetric, so relays are all there is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lab.model.verdict import expect
from lab.pytest_plugin import Echoes, Net, Node, NoReply, StartLab
from tests.e2e.asked import status
from tests.e2e.captures import wait_for_packets
from tests.e2e.pairs import BACK, at_last, lost_after

LONG = 5.0  # seconds; far more than it takes, and less than one more WireGuard handshake's patience


def test_each_node_is_reached_by_way_of_its_own_home(lab: StartLab) -> None:
    net = lab("two-regions")
    a, b = net.node("node-a"), net.node("node-b")
    for host in ("node-a", "node-b"):  # one that came before a relay goes round it for a while
        net.daemon(host, "restart")

    a.ping(b)
    b.ping(a)

    assert [event["via"] for event in a.path_events(b)] == ["fra"]
    assert [event["via"] for event in b.path_events(a)] == ["nyc"]
    for relay in ("nyc", "fra"):
        net.unplug(relay)
    with pytest.raises(NoReply):  # the control: nothing else carried it
        a.ping(b, patience=2)


@pytest.mark.parametrize(
    ("ports", "path"), [("sequential", "direct"), ("random", "relay")], ids=["counts", "scatters"]
)
def test_a_nat_that_two_relays_see_counting_meets_a_port_restricted_one(
    lab: StartLab, ports: str, path: str
) -> None:
    hard = f'{{ preset = "symmetric", ports = "{ports}" }}'
    net = lab("two-regions", nat={"home-a": hard, "home-b": "port-restricted-cone"})
    a, b = net.node("node-a"), net.node("node-b")
    assert expect(net.lab.topology(), "node-a", "node-b").path == path

    a.ping(b)
    if path == "direct":
        a.wait_for_path(b, "direct", within=BACK)
        net.prove_direct(a, b)
    else:
        net.prove_relayed(a, b)


@pytest.mark.scenario(40)
@pytest.mark.parametrize("relay", ["nyc", "fra"])
@pytest.mark.parametrize("harm", ["kill", "freeze"])
def test_the_other_relay_takes_over(lab: StartLab, relay: str, harm: str) -> None:
    """nyc is the home of the one that asks, fra the home of the one that answers."""
    net = lab("two-regions")
    a, b = net.node("node-a"), net.node("node-b")
    a.ping(b)

    stream = a.stream(b, count=600, interval=0.01)
    net.lab.daemon(relay, harm)
    echoes = stream.finish()

    assert silence(echoes) < LONG
    assert echoes.received[-1] != []
    net.unplug(relay)  # what is left of it has no part in this
    a.ping(b)
    b.ping(a)


def test_a_relay_that_is_replaced_is_home_again(lab: StartLab) -> None:
    """Another process, with another key: what a redeployment looks like."""
    net = lab("two-regions")
    a, b = net.node("node-a"), net.node("node-b")
    a.ping(b)

    stream = a.stream(b, count=600, interval=0.01)
    net.lab.daemon("fra", "restart")
    echoes = stream.finish()

    assert silence(echoes) < LONG
    net.lab.daemon("nyc", "kill")
    assert reaches(a, b)  # by way of the new one, for there is no other


@pytest.mark.scenario(41)
def test_both_relays_gone_and_back(lab: StartLab) -> None:
    net = lab("two-regions")
    a, b = net.node("node-a"), net.node("node-b")
    a.ping(b)

    for relay in ("nyc", "fra"):
        net.lab.daemon(relay, "kill")
    with pytest.raises(NoReply):
        a.ping(b, patience=2)
    for relay in ("nyc", "fra"):
        net.lab.daemon(relay, "start")

    assert reaches(a, b)


@pytest.mark.scenario(44)
def test_home_moves_to_a_relay_that_came_nearer(lab: StartLab) -> None:
    """The others still find the node where the netmap says it is."""
    net = lab("two-regions", set={"link.nyc.delay": "50ms", "link.fra.delay": "80ms"})
    a, b = net.node("node-a"), net.node("node-b")
    assert nearest(net) == "nyc"
    b.ping(a)
    stream = b.stream(a, count=300, interval=0.02, lasting=True)
    wait_for_packets(net, "nyc", 20, "tcp port 443")  # it is under way

    net.lab.link("fra", delay="1ms")  # so much nearer that no other process in between hides it
    nearer = at_last(net, "link")

    assert nearest(net) == status(net, "node-a")["home"] == "fra"
    moved = at_last(net, "netcheck", host="node-a", preferred="fra")
    echoes = stream.finish()
    assert echoes.sent[0] < nearer < moved < echoes.sent[-1]
    assert lost_after(echoes, nearer) == 0  # but for what was on that link
    assert set(a.path_history(b)) == set(b.path_history(a)) == {"relay"}

    net.lab.daemon("nyc", "kill")
    assert reaches(b, a)


@pytest.mark.parametrize(("near", "far"), [("nyc", "fra"), ("fra", "nyc")])
def test_without_udp_the_nearer_relay_by_https_is_home(lab: StartLab, near: str, far: str) -> None:
    """node-a has no other home in its netmap than nyc, and both of its relays answer TCP alone."""
    delays = {f"link.{near}.delay": "2ms", f"link.{far}.delay": "40ms"}
    net = lab("two-regions", nat={"home-a": "udp-blocked"}, set=delays)
    a, b = net.node("node-a"), net.node("node-b")

    a.ping(b)  # a node in use; an idle one does not ask again
    # What another process has delayed is measured again, 26 s later at the latest.
    report = net.wait_for_event("node-a", "netcheck", within=40, udp=False, preferred=near)

    assert sorted(report["latency_ms"]) == ["fra", "nyc"]
    assert report["latency_ms"][near] < report["latency_ms"][far]
    assert status(net, "node-a")["home"] == near
    b.ping(a)


@pytest.mark.scenario(34)
def test_a_relay_by_the_pin_of_its_certificate(lab: StartLab, tmp_path: Path) -> None:
    """`CertName` in the relay map: no authority vouches for it, and none is asked."""
    net = lab("nat-pair")
    port = "8443"
    argv = [sys.executable, "-m", "node", "derper", "--hostname", "nyc.derp.example"]
    argv += ["--self-signed", "--listen", f"0.0.0.0:{port}", "--stun-port", "0"]
    with net.lab.popen("nyc", argv, stdout=subprocess.PIPE, text=True) as relay:
        assert relay.stdout is not None
        pin = json.loads(relay.stdout.readline())["cert_name"]
        right = about_relays(net, tmp_path, int(port), pin)
        wrong = about_relays(net, tmp_path, int(port), "sha256-raw:" + "00" * 32)
        relay.terminate()

    assert (right["event"], right["region"]) == ("relay_connected", "nyc")
    assert wrong["event"] == "relay_lost"
    assert f"its certificate is {pin}, not the pinned" in wrong["why"]


# --- what was seen ---


def reaches(one: Node, other: Node) -> bool:
    """Not at once, perhaps: what was on its way through a relay when it died is lost."""
    return one.stream(other, count=80, interval=0.1).finish().received[-1] != []


def silence(echoes: Echoes) -> float:
    """The longest time without a reply, in seconds."""
    times = sorted(when for replies in echoes.received for when in replies)
    return max(later - sooner for sooner, later in pairwise(times))


def nearest(net: Net) -> str:
    """What node-a's netcheck says, asked for now."""
    control = net.lab.folder / "hosts" / "node-a" / "control.sock"
    argv = [sys.executable, "-m", "node", "netcheck", "--control", str(control), "--json"]
    report: dict[str, Any] = json.loads(net.run("node-a", *argv).stdout)
    return str(report["preferred"])


def about_relays(net: Net, folder: Path, port: int, pin: str) -> dict[str, Any]:
    """The first that a second node, beside node-a's own, says about relays."""
    files = net.lab.folder / "hosts" / "node-a"
    netmap = json.loads((files / "netmap.json").read_text())
    [region] = netmap["derp_map"]["Regions"].values()
    region["Nodes"][0] |= {"DERPPort": port, "CertName": pin}
    netmap["addresses"] = ["100.64.9.9"]
    (folder / "netmap.json").write_text(json.dumps(netmap))
    (folder / "node.key").write_text(
        net.run("node-a", sys.executable, "-m", "node", "genkey").stdout
    )
    (folder / "node.key").chmod(0o600)
    argv = [sys.executable, "-m", "node", "up", "--tun", "ts1", "--listen-port", "41642"]
    argv += ["--netmap", str(folder / "netmap.json"), "--key", str(folder / "node.key")]
    with net.lab.popen("node-a", argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        events = map(json.loads, process.stdout)
        found = next(e for e in events if e["event"] in ("relay_connected", "relay_lost"))
        process.terminate()
    return dict(found)
