"""Who is who: keys that change, peers that come and go, and those who do not answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from lab.pytest_plugin import Net, NoReply, StartLab
from tests.e2e.asked import netmap_of, node, status, via
from tests.e2e.captures import captured
from tests.e2e.netmaps import change_netmap, with_peer, without
from tests.e2e.pairs import BACK, at_last, direct_pair, reaches
from tests.interop.datagrams import payloads

DISCO_OF_B = "src host 192.168.2.10 and udp[8:4]=0x5453f09f"
A_THIRD = """
[host.node-c]
runs = "node"
overlay = "100.64.3.30"
"""


@pytest.mark.scenario(85)
@pytest.mark.parametrize("first", ["node-a", "node-b"])
def test_a_new_disco_key_is_learned_whoever_speaks_first(
    lab: StartLab, tmp_path: Path, first: str
) -> None:
    net, a, b = direct_pair(lab)
    one, other = (a, b) if first == "node-a" else (b, a)

    with captured(net, ["node-b"], tmp_path, DISCO_OF_B) as captures:
        node(net, "node-b", "ping", "node-a", "--count", "1")
        net.daemon("node-b", "kill")
        net.daemon("node-b", "start")
        reaches(one, other)
        started = at_last(net, "daemon", host="node-b", state="ready")
        net.wait_for_event("node-b", "path", within=BACK, since=started, kind="direct")

    keys = {disco[6:38] for disco in payloads(captures.files["node-b"], 41641)}
    assert len(keys) == 2  # after the magic comes the sender's key: it is another one now
    net.prove_direct(a, b)


@pytest.mark.scenario(87)
def test_both_begin_at_once_and_one_session_is_enough(lab: StartLab) -> None:
    net = lab("nat-pair")
    a, b = net.node("node-a"), net.node("node-b")
    net.unplug("nyc")
    streams = [one.stream(other, 200, 0.02, lasting=True) for one, other in ((a, b), (b, a))]
    for one, other in ((a, b), (b, a)):
        with pytest.raises(NoReply):  # so both have begun, and neither has heard of it
            one.ping(other, patience=1)

    net.plug("nyc")
    reaches(a, b)
    reaches(b, a)
    echoes = [each.finish() for each in streams]

    assert [each.duplicated for each in echoes] == [0, 0]
    assert [each.received[-1] != [] for each in echoes] == [True, True]
    assert max(len(net.events(host, "handshake")) for host in ("node-a", "node-b")) <= 2
    a.wait_for_path(b, "direct", within=BACK)
    net.prove_direct(a, b)


@pytest.mark.scenario(88)
def test_a_netmap_in_which_a_node_is_its_own_peer_is_no_way_to_itself(lab: StartLab) -> None:
    net, a, b = direct_pair(lab)
    own = status(net, "node-a")
    itself = {"name": "itself", "node_key": own["node_key"], "home_region": 900}
    itself |= {"addresses": ["100.64.9.9"], "allowed_ips": ["100.64.9.9/32"]}

    change_netmap(net, "node-a", lambda netmap: netmap | {"peers": [*netmap["peers"], itself]})

    assert [peer["name"] for peer in status(net, "node-a")["peers"]] == ["node-b"]
    assert net.run("node-a", "ping", "-c1", "-W1", "100.64.9.9").returncode == 1
    a.ping(b)
    assert a.path(b) == "direct"


@pytest.mark.scenario(90)
def test_a_peer_that_does_not_answer_holds_up_nobody(lab: StartLab) -> None:
    net, a, b = direct_pair(lab, add=A_THIRD)
    c = net.node("node-c")
    a.ping(c)

    net.daemon("node-c", "freeze")
    calls = a.stream(c, count=100, interval=0.02)
    talk = a.stream(b, count=100, interval=0.02).finish()
    assert (talk.lost, calls.finish().lost) == (0, 100)

    net.daemon("node-c", "thaw")
    reaches(a, c)
    reaches(c, b)


@pytest.mark.scenario(93)
def test_a_peer_that_is_removed_gets_and_sends_nothing_more(lab: StartLab) -> None:
    net, a, b = direct_pair(lab)
    before = netmap_of(net, "node-b").read_text()

    change_netmap(net, "node-b", without("node-a"))
    for one, other in ((a, b), (b, a)):  # though node-a still thinks that it knows node-b
        with pytest.raises(NoReply):
            one.ping(other, patience=1)
    assert status(net, "node-b")["peers"] == []
    assert [peer["name"] for peer in status(net, "node-a")["peers"]] == ["node-b"]

    change_netmap(net, "node-b", lambda _: json.loads(before))
    reaches(b, a)
    reaches(a, b)


@pytest.mark.scenario(95)
def test_another_private_key_is_another_node_until_the_peers_know_it(lab: StartLab) -> None:
    net, a, b = direct_pair(lab)
    old = status(net, "node-b")["node_key"]

    net.daemon("node-b", "stop")
    with node_with_a_new_key(net, "node-b") as process:
        new = status(net, "node-b")["node_key"]
        for one, other in ((a, b), (b, a)):  # the control: for node-a it is a stranger
            with pytest.raises(NoReply):
                one.ping(other, patience=1)
        change_netmap(net, "node-a", with_peer("node-b", node_key=new))
        reaches(a, b)
        reaches(b, a)
        process.terminate()

    assert new != old
    assert [peer["node_key"] for peer in status(net, "node-a")["peers"]] == [new]


@pytest.mark.scenario(33)
def test_a_reply_finds_its_way_though_the_home_of_the_other_is_unknown(lab: StartLab) -> None:
    net = lab("two-regions", set={"link.nyc.delay": "40ms"})  # node-b has no business there
    a, b = net.node("node-a"), net.node("node-b")
    change_netmap(net, "node-b", with_peer("node-a", home_region=999))  # which no map has

    a.ping(b)
    b.ping(a)

    assert [peer["relay"] for peer in status(net, "node-b")["peers"]] == ["999"]
    assert via(net, "node-b", "node-a") == "fra"  # where it was heard
    net.prove_relayed(a, b)


def node_with_a_new_key(net: Net, host: str) -> subprocess.Popen[str]:
    """In place of the lab's own, which would be given its old key again."""
    files = net.lab.folder / "hosts" / host
    (files / "node.key").write_text(net.run(host, sys.executable, "-m", "node", "genkey").stdout)
    argv = [sys.executable, "-m", "node", "up", "--tun", "ts0", "--key", str(files / "node.key")]
    argv += ["--netmap", str(files / "netmap.json"), "--control", str(files / "control.sock")]
    process = net.lab.popen(host, [*argv, "--ca", str(files / "ca.pem")], stdout=PIPE, text=True)
    assert process.stdout is not None
    assert any(json.loads(line)["event"] == "ready" for line in process.stdout)
    return process
