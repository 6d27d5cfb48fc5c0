"""What a node does not send: nothing before it is used, and no more questions than it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.pytest_plugin import StartLab
from tests.e2e.asked import node
from tests.e2e.captures import captured
from tests.e2e.pairs import BACK, direct_pair

DISCO = "udp[8:4]=0x5453f09f"  # the first bytes of a disco packet
QUESTIONS = "udp and (port 3478 or port 5351 or port 1900)"  # STUN; NAT-PMP and PCP; UPnP's search
EMPTY = 24  # bytes of a capture in which nothing is: its file's header


@pytest.mark.scenario(31)
def test_a_path_is_looked_for_only_when_somebody_has_something_to_say(
    lab: StartLab, tmp_path: Path
) -> None:
    net = lab("nat-pair")
    a, b = net.node("node-a"), net.node("node-b")

    with captured(net, ["home-a", "home-b"], tmp_path, DISCO) as idle:
        others = net.run("node-a", "ping", "-c20", "-i0.1", "nyc.derp.example")  # two seconds
    assert others.returncode == 0
    assert sizes(idle.files) == [EMPTY, EMPTY]
    assert a.path_history(b) == b.path_history(a) == []

    with captured(net, ["home-a", "home-b"], tmp_path, DISCO) as busy:  # the control
        a.ping(b)
        a.wait_for_path(b, "direct", within=BACK)
    assert min(sizes(busy.files)) > EMPTY


@pytest.mark.scenario(37)
@pytest.mark.needs_lab("miniupnpd")
def test_once_direct_nobody_is_asked_for_endpoints_any_more(lab: StartLab, tmp_path: Path) -> None:
    net, a, b = direct_pair(lab, "port-mapped")
    net.wait_for_event("node-a", "port_mapping", within=BACK)
    node(net, "node-a", "netcheck")  # the next one of its own accord is 20 seconds away

    with captured(net, ["node-a"], tmp_path, QUESTIONS) as after:
        assert a.stream(b, count=250, interval=0.02).finish().lost == 0  # five seconds
    assert sizes(after.files) == [EMPTY]

    with captured(net, ["node-a"], tmp_path, QUESTIONS) as asked:  # the control
        node(net, "node-a", "netcheck")
    assert sizes(asked.files) > [EMPTY]
    assert a.path(b) == "direct"


def sizes(files: dict[str, Path]) -> list[int]:
    return [file.stat().st_size for file in files.values()]
