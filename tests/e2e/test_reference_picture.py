"""The four claims of the reference picture, each with its control.

node-a -- home-a --+
                   +-- internet -- nyc (DERP)
node-b -- home-b --+
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.pytest_plugin import NoReply, StartLab
from tests.e2e.captures import captured
from tests.e2e.pairs import BACK, history

EVERYWHERE = ["nyc", "internet", "home-a", "home-b"]
DISCO_MAGIC = b"TS\xf0\x9f\x92\xac"  # the first bytes of a disco packet
DISCO_IN_UDP = "udp[8:4]=0x5453f09f"


def test_the_very_first_ping_is_answered_over_the_relay(lab: StartLab) -> None:
    net = lab("double-nat")
    a, b = net.node("node-a"), net.node("node-b")
    net.cut("node-a", "node-b")  # so there can be no direct path yet

    [reply] = a.stream(b, count=1, interval=1).finish().received

    assert len(reply) == 1
    assert a.path_history(b) == ["relay"]
    assert net.restore("node-a", "node-b") > 0  # one was looked for meanwhile
    a.ping(b)
    a.wait_for_path(b, "direct", within=BACK)


def test_without_the_relay_the_very_first_ping_is_lost(lab: StartLab) -> None:
    net = lab("double-nat")
    a, b = net.node("node-a"), net.node("node-b")

    net.unplug("nyc")

    with pytest.raises(NoReply):
        a.ping(b, patience=2)


@pytest.mark.scenario(91)
def test_the_relay_cannot_read_what_it_carries(lab: StartLab, tmp_path: Path) -> None:
    inside, outside = b"MARKER inside the tunnel", b"MARKER outside it"[:16]  # what ping -p takes
    frames = tmp_path / "frames-after-tls"
    net = lab("hard-pair", set={"relay.nyc.args": ["--tap", str(frames)]})
    a, b = net.node("node-a"), net.node("node-b")

    with captured(net, EVERYWHERE, tmp_path) as captures:
        echoes = a.stream(b, count=20, interval=0.01, payload=inside.decode()).finish()
        net.run("node-a", "ping", "-c1", "-p", outside.hex(), "nyc.derp.example")

    assert echoes.lost == 0
    assert a.path_history(b) == ["relay"]
    assert captures.machines_that_saw(inside) == set()
    assert captures.machines_that_saw(outside) == {"nyc", "internet", "home-a"}
    assert inside not in frames.read_bytes()
    assert frames.stat().st_size > 20 * len(inside)  # it did carry them


@pytest.mark.scenario(3)
def test_packets_flow_over_the_relay_while_direct_paths_are_tried(
    lab: StartLab, tmp_path: Path
) -> None:
    net = lab("hard-pair")
    a, b = net.node("node-a"), net.node("node-b")

    with captured(net, ["home-a", "home-b"], tmp_path, DISCO_IN_UDP) as tried:
        echoes = a.stream(b, count=200, interval=0.01).finish()

    assert (echoes.lost, echoes.duplicated) == (0, 0)
    assert a.path_history(b) == ["relay"]
    assert tried.machines_that_saw(DISCO_MAGIC) == {"home-a", "home-b"}


@pytest.mark.scenario(1, 10)
@pytest.mark.parametrize("topology", ["nat-pair", "double-nat"])
def test_traffic_moves_from_relay_to_direct_and_loses_nothing(lab: StartLab, topology: str) -> None:
    net = lab(topology)
    a, b = net.node("node-a"), net.node("node-b")

    stream = a.stream(b, count=300, interval=0.01, lasting=True)
    for one, other in ((a, b), (b, a)):
        one.wait_for_path(other, "direct", within=BACK)
    echoes = stream.finish()

    assert (echoes.lost, echoes.duplicated) == (0, 0)
    assert history(a, b, echoes) == history(b, a, echoes) == ["relay", "direct"]
    _relayed, direct, *_ = a.path_events(b)
    assert echoes.sent[0] < direct["at"] < echoes.sent[-1]  # the move was within the stream

    net.unplug("nyc")  # what the node claims, the lab proves
    a.ping(b)
    b.ping(a)


@pytest.mark.scenario(3)
def test_two_symmetric_nats_stay_on_the_relay(lab: StartLab) -> None:
    net = lab("hard-pair")
    a, b = net.node("node-a"), net.node("node-b")

    a.ping(b)
    net.unplug("nyc")

    with pytest.raises(NoReply):  # the control: here the relay was the only way
        a.ping(b)
    assert "direct" not in a.path_history(b)
